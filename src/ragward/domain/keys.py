"""Key-encryption keys: what they are for, the states they pass, and who may do what with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ragward.domain.access import Action, Subject
from ragward.domain.envelope import KeyPurpose, WrappingContext
from ragward.domain.labels import Classification


class KEKState(StrEnum):
    """The life of a KEK version. ACTIVE alone wraps; DESTROYED opens nothing any more."""

    PENDING = "pending"
    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt_only"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KEKName:
    """One version of a KEK, and what it is for: bound into everything a provider keeps of it."""

    kek_id: str
    version: int
    tenant: str
    classification: Classification
    purpose: KeyPurpose

    def to_context(self) -> dict[str, str]:
        """Name and value pairs, for providers that authenticate such."""
        return {
            "ragward": "kek.v1",
            "kek": self.kek_id,
            "version": str(self.version),
            "tenant": self.tenant,
            "classification": self.classification.name,
            "purpose": self.purpose.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KEKStatus:
    """One KEK version, for `ragward keys`. Times in Unix seconds, 0 for never; holds no key material.

    `wraps` counts what was wrapped under it, some thousands behind after a kill.
    """

    kek_id: str
    tenant: str
    classification: Classification
    purpose: KeyPurpose
    version: int
    state: KEKState
    provider: str
    created_at: int
    activated_at: int
    destroyed_at: int
    wraps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedDEK:
    """A wrapped DEK and what it is bound to."""

    wrapped: bytes = field(repr=False)
    context: WrappingContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """For whom DEKs are unwrapped, for what, and at which epoch that was decided. A key broker decides it again."""

    subject: Subject
    epoch: int = 0
    action: Action = Action.CORPUS_RETRIEVE


class KeyUse(StrEnum):
    """What can be done with a keyring. MAC keys are for everybody who has one."""

    WRAP = "wrap"
    """and make the first version of a KEK"""
    UNWRAP = "unwrap"
    VECTORS = "vectors"
    REWRAP = "rewrap"
    ADMINISTER = "administer"


class KeyRole(StrEnum):
    """What a process is for."""

    SERVICE = "service"
    QUERY = "query"
    INGEST = "ingest"


#: Who answers questions makes no keys; who ingests opens none for reading, and of stored ones gets the vectors' only.
USES_OF: Final[Mapping[KeyRole, frozenset[KeyUse]]] = {
    KeyRole.SERVICE: frozenset(KeyUse),
    KeyRole.QUERY: frozenset({KeyUse.UNWRAP}),
    KeyRole.INGEST: frozenset({KeyUse.WRAP, KeyUse.VECTORS}),
}

#: DEKs that one subject may have unwrapped in a minute by a key broker; all of a tenant together, a hundred times that.
DEKS_PER_MINUTE: Final[Mapping[Classification, int]] = {
    Classification.PUBLIC: 6000,
    Classification.INTERNAL: 6000,
    Classification.CONFIDENTIAL: 6000,
    Classification.RESTRICTED: 3000,
}

MAC_PURPOSES: Final = frozenset(
    {
        "audit-chain",
        "query-tag",
        "epoch-token",
        "export",
        "page-token",
        "fingerprint",
        "pseudonym",
        "pseudonym-tag",
        "receipt",
        "subject-tag",
        "behaviour",
        "words",
    }
)
