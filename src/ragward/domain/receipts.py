"""Receipts of answers: what was given, so that only who has it can show it, in a leaf of the log that may be shown to them.

leaf       who asked, when, a salted digest of each passage, an opaque epoch, and the officer's part, encrypted
salt       32 bytes, with the answer; without it a digest says nothing, whoever guesses the text
proof      that the leaf is in the log (`domain.checkpoints.InclusionProof`): the signature is the log's
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ragward.domain.audit import AuditEntry, EventType
from ragward.domain.checkpoints import InclusionProof, LogKey, Verify, opened_checkpoint
from ragward.domain.errors import InvalidRequestError
from ragward.domain.merkle import leaf_hash

SALT_BYTES: Final = 32
PADDED_TO: Final = 1024
MAX_FILE: Final = 1 << 20
_PREFIX: Final = "receipt-"
_SALT: Final = b"ragward.receipt.salt.v1\0"
_PASSAGE: Final = b"ragward.receipt.passage.v1\0"


def receipt_event(receipt_id: str) -> str:
    """The id of the leaf of an answer's receipt."""
    return f"{_PREFIX}{receipt_id}"


def salt_of(key: bytes, tenant: str, receipt_id: str) -> bytes:
    """A receipt's salt: not stored, made again from the installation's key."""
    return hmac.new(key, _SALT + tenant.encode() + b"\0" + receipt_id.encode(), "sha256").digest()


def passage_digest(salt: bytes, rank: int, chunk_id: str, text: str) -> str:
    """What a receipt says of a passage: its place, its chunk, and the text as it was given."""
    named = chunk_id.encode()
    body = salt + struct.pack(">II", rank, len(named)) + named + text.encode()
    return hashlib.sha256(_PASSAGE + body).hexdigest()


def padded(data: bytes) -> bytes:
    """The officer's part, its size saying little of it."""
    return data + b" " * (-len(data) % PADDED_TO)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPassage:
    """A passage as its asker got it."""

    rank: int
    chunk_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldReceipt:
    """A receipt as its holder keeps it: the leaf's bytes, the salt, and later the proof."""

    event: bytes
    salt: bytes = field(repr=False)
    proof: InclusionProof | None = None

    def text(self) -> str:
        """As a file."""
        proof = None if self.proof is None else self.proof.text()
        body = {"v": 1, "event": self.event.decode(), "salt": self.salt.hex(), "proof": proof}
        return json.dumps(body, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> HeldReceipt:
        """The inverse. Raises `request.invalid`."""
        try:
            body = json.loads(text) if len(text) <= MAX_FILE else {}
            proof = body["proof"]
            made = cls(
                event=body["event"].encode(),
                salt=bytes.fromhex(body["salt"]),
                proof=None if proof is None else InclusionProof.parse(proof),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InvalidRequestError("not a receipt") from None
        if body.get("v") != 1 or len(made.salt) != SALT_BYTES:
            raise InvalidRequestError("not a receipt")
        return made

    def body(self) -> Mapping[str, Any]:
        """What the leaf says. Raises `request.invalid` for one that is of no receipt."""
        try:
            body = json.loads(self.event)
            details, actor = body["details"], body["actor"]
            if (
                body["type"] != EventType.RECEIPT_ISSUED.value
                or body["id"] != receipt_event(details["answer"])
                or not all(isinstance(digest, str) for digest in details["passages"])
                or not isinstance(actor["principal"], str)
            ):
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InvalidRequestError("the event is not a receipt's") from None
        return dict(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptVerification:
    """What a receipt proves. `included` up to a log of `size` entries; without a proof it proves nothing to others."""

    receipt_id: str
    principal: str
    at: int
    """Unix milliseconds"""
    included: bool
    size: int
    passages: int
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything that was to be shown is."""
        return self.included and not self.problem


def verified_receipt(
    held: HeldReceipt,
    passages: Sequence[GivenPassage] | None,
    key: LogKey,
    verify: Verify,
    *,
    principal: str | None = None,
) -> ReceiptVerification:
    """By the log's public key alone. `passages` are all of an answer; None leaves them unlooked at. Raises `request.invalid`
    for what is no receipt, or is proven by another log."""
    body = held.body()
    details = body["details"]
    size, problem = 0, ""
    if held.proof is None:
        problem = "there is no proof of inclusion yet"
    else:
        size = opened_checkpoint(held.proof.note, key, verify).size
        if not held.proof.proves(leaf_hash(held.event), key, verify):
            size, problem = 0, "the log does not hold this receipt"
    if not problem and principal not in (None, body["actor"]["principal"]):
        problem = "the receipt is somebody else's"
    if not problem and passages is not None:
        problem = _passages_problem(details["passages"], passages, held.salt)
    return ReceiptVerification(
        receipt_id=details["answer"],
        principal=body["actor"]["principal"],
        at=int(body["ts"]),
        included=size > 0,
        size=size,
        passages=len(details["passages"]),
        problem=problem,
    )


def _passages_problem(digests: Sequence[str], given: Sequence[GivenPassage], salt: bytes) -> str:
    if len(digests) != len(given):
        return f"the answer had {len(digests)} passages, not {len(given)}"
    for digest, passage in zip(digests, given, strict=True):
        found = passage_digest(salt, passage.rank, passage.chunk_id, passage.text)
        if not hmac.compare_digest(found, digest):
            return f"passage {passage.rank} is not what was given"
    return ""


def is_of(entry: AuditEntry, tenant: str, actor: Mapping[str, object] | None = None) -> bool:
    """Whether an entry is a receipt of this tenant, and of this very asker: person, application and agents."""
    event = json.loads(entry.data)
    is_receipt = event["type"] == EventType.RECEIPT_ISSUED.value and event["tenant"] == tenant
    return is_receipt and (actor is None or event["actor"] == dict(actor))
