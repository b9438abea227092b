"""Crypto-shredding: what was destroyed, what of it may still exist elsewhere, and the receipt that says so.

A DEK that is gone from the catalog is still in its backups, wrapped: only when every KEK version that ever wrapped it is
destroyed do they hold nothing that opens. And that counts only where nothing lay in clear.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from ragward.domain.erasure import Outcome, StoreOutcome
from ragward.domain.errors import IntegrityError, InvalidRequestError
from ragward.domain.keys import KEKState, KEKStatus
from ragward.domain.labels import Classification, require_principal, tenant_of

#: Providers whose KEKs come back from a copy of the keyring file (with `awskms`, also from KMS itself).
_IN_KEYRING_FILES: Final = frozenset({"file", "awskms"})
_SUBJECT_ATTRIBUTES: Final = ("data_subject", "owner")


class ShredKind(StrEnum):
    """What is shredded."""

    DOCUMENT = "document"
    SOURCE = "source"
    SUBJECT = "subject"
    TENANT = "tenant"
    RETENTION = "retention"
    """What a rule of retention says is due; not to be asked for otherwise."""


class ShredLevel(StrEnum):
    """How far it reaches."""

    BEGUN = "begun"
    """recorded, and not finished: finish it"""
    LOGICAL = "logical"
    """gone here; backups may still open"""
    BACKUP_PROOF = "backup-proof"
    """nothing that is left of it opens, but for what the receipt says"""


class Copies(StrEnum):
    """Copies that only the operator can know to be gone."""

    INDEX = "index"
    """copies of the index directory, in which vectors lay in clear"""
    KEYRING = "keyring"
    """backups of the keyring file from before, with which destroyed KEKs come back; with awskms in remote mode, the KMS key"""


class Obstacle(StrEnum):
    """Why a shredding is not backup-proof."""

    UNFINISHED = "unfinished"
    KEK_ALIVE = "kek-alive"
    KEK_UNKNOWN = "kek-unknown"
    PLAIN_TEXT = "plain-text"
    INDEX_COPIES = "index-copies"
    KEYRING_COPIES = "keyring-copies"


MEANING: Final[Mapping[Obstacle, str]] = {
    Obstacle.UNFINISHED: "the shredding was interrupted",
    Obstacle.KEK_ALIVE: "a KEK version that wrapped its keys is not destroyed: backups open",
    Obstacle.KEK_UNKNOWN: "a KEK version that wrapped its keys is not in this keyring: nobody knows whether it is destroyed",
    Obstacle.PLAIN_TEXT: "its text was stored in clear (authenticated only): every backup from before holds it",
    Obstacle.INDEX_COPIES: "its vectors lay in the index in clear: copies of the index may hold them",
    Obstacle.KEYRING_COPIES: "its KEKs came from a keyring file: a backup of that file brings them back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShreddedKEK:
    """A KEK version under which a shredded DEK lay, or may have lain."""

    kek_id: str
    version: int
    classification: Classification
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What an operator stated, and answers for."""

    gone: Copies
    by: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShredReceipt:
    """What was shredded. Everything but `statements` is fixed once `done`, and its digest is in the audit log.

    `everything` is False where documents of which the requester may not know, or that do not open, were left out, if there are
    any. It names nobody whom it is about: of a person or a folder, `target` is a keyed tag; the reason has no names in it that
    were found.
    """

    receipt_id: str
    tenant: str
    kind: ShredKind
    target: str
    reason: str
    requested_by: str
    at: int
    documents: tuple[str, ...]
    everything: bool
    done: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    keks: tuple[ShreddedKEK, ...] = ()
    plain_text: bool = False
    plain_vectors: bool = False
    held: tuple[str, ...] = ()
    """documents that legal holds kept"""
    stores: tuple[StoreOutcome, ...] = ()
    """every store there is, and what was done there; once done"""
    statements: tuple[Statement, ...] = ()
    event_id: str = ""
    """of the log's entry that it was asked for; of its end, once done"""

    def digest(self) -> str:
        """SHA-256 (hex) over what is fixed."""
        fixed = self.to_fields()
        for later in ("statements", "event_id"):
            del fixed[later]
        for newer in ("held", "stores"):
            if not fixed[newer]:
                del fixed[newer]  # receipts from before these were kept
        text = json.dumps(fixed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(b"ragward.shredding.v1\0" + text.encode()).hexdigest()

    def to_fields(self) -> dict[str, object]:
        """As JSON has it."""
        fields = asdict(self)
        fields["keks"] = [asdict(k) | {"classification": k.classification.name} for k in self.keks]
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[str, object]) -> ShredReceipt:
        """The inverse. Raises `integrity.audit`."""
        given: dict[str, Any] = dict(fields)
        try:
            given["kind"] = ShredKind(str(given["kind"]))
            given["documents"] = tuple(given["documents"])
            given["keks"] = tuple(
                ShreddedKEK(**(k | {"classification": Classification[k["classification"]]}))
                for k in given["keks"]
            )
            given["held"] = tuple(given.get("held", ()))
            given["stores"] = tuple(
                StoreOutcome(**(s | {"outcome": Outcome(s["outcome"])}))
                for s in given.get("stores", ())
            )
            given["statements"] = tuple(
                Statement(**(s | {"gone": Copies(s["gone"])})) for s in given["statements"]
            )
            return cls(**given)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise IntegrityError(
                "a shredding receipt is damaged", code="integrity.envelope"
            ) from None

    def obstacles(self, statuses: Collection[KEKStatus]) -> tuple[Obstacle, ...]:
        """What stands between it and backup-proof, given the keyring's versions as they are."""
        if not self.done:
            return (Obstacle.UNFINISHED,)
        states = {(s.kek_id, s.version): s.state for s in statuses}
        found: list[Obstacle] = []
        of_keks = [states.get((kek.kek_id, kek.version)) for kek in self.keks]
        if any(state not in (None, KEKState.DESTROYED) for state in of_keks):
            found.append(Obstacle.KEK_ALIVE)
        if None in of_keks:
            found.append(Obstacle.KEK_UNKNOWN)
        if self.plain_text:
            found.append(Obstacle.PLAIN_TEXT)
        stated = {statement.gone for statement in self.statements}
        if self.plain_vectors and Copies.INDEX not in stated:
            found.append(Obstacle.INDEX_COPIES)
        in_files = any(kek.provider in _IN_KEYRING_FILES for kek in self.keks)
        if in_files and Copies.KEYRING not in stated:
            found.append(Obstacle.KEYRING_COPIES)
        return tuple(found)

    def level(self, statuses: Collection[KEKStatus]) -> ShredLevel:
        """How far it reaches."""
        if not self.done:
            return ShredLevel.BEGUN
        return ShredLevel.LOGICAL if self.obstacles(statuses) else ShredLevel.BACKUP_PROOF


@dataclass(frozen=True, slots=True, kw_only=True)
class ShredEvidence:
    """A receipt with what holds of it now."""

    receipt: ShredReceipt
    level: ShredLevel
    obstacles: tuple[Obstacle, ...]
    recorded: bool
    """the audit log's entry has the receipt's digest"""
    keys_gone: bool
    """none of its documents has a key in the catalog"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShredRequest:
    """What is to be shredded: a document's id, CORPUS:FOLDER/, a person of the tenant, or the tenant's name.

    A person is a principal, or `identifiers` by which texts name them, or both; `documents` are of `RETENTION`."""

    kind: ShredKind
    target: str
    reason: str
    dry_run: bool = False
    identifiers: tuple[str, ...] = field(default=(), repr=False)
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What the catalog says about documents that are to be shredded, and about their keys."""

    kek_ids: frozenset[str]
    """every KEK under which a DEK of any of their versions is or was"""
    complete: bool
    """False where versions are from before that was recorded: then any KEK of the tenant may have been one"""
    classifications: frozenset[Classification]
    counts: Mapping[str, int]
    """documents, versions with a key, chunks, points"""


def require_subject(principal: str, tenant: str) -> str:
    """A person of this tenant. Raises `principal.invalid`."""
    require_principal(principal)
    if not principal.startswith("user:") or tenant_of(principal) != tenant:
        raise InvalidRequestError("a subject is user:TENANT/NAME", code="principal.invalid")
    return principal


def is_about(principal: str, granted: Collection[str], attributes: Mapping[str, object]) -> bool:
    """Whether a document is recorded as one person's: its attribute `data_subject` or `owner` names them, by principal or by
    name, or its label is granted to them and to nobody else."""
    names = (principal, principal.rpartition("/")[2])
    if set(granted) == {principal}:
        return True
    return any(attributes.get(name) in names for name in _SUBJECT_ATTRIBUTES)


def of_kek(status: KEKStatus) -> ShreddedKEK:
    """A KEK version as a receipt names it."""
    return ShreddedKEK(
        kek_id=status.kek_id,
        version=status.version,
        classification=status.classification,
        provider=status.provider,
    )
