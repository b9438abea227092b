"""The audit log: entries, checkpoints, proofs."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.api.schemas import Strict
from ragward.domain.audit import AuditEntry
from ragward.domain.checkpoints import MAX_NOTE
from ragward.domain.errors import InvalidRequestError

router = APIRouter(prefix="/v1/audit", tags=["administration"])

EventId = Annotated[str, Path(min_length=1, max_length=100)]


class EntryModel(BaseModel):
    """A log entry; `hash` is its leaf's (RFC 9162, 2.1.1), over the event's stored bytes."""

    index: int
    hash: str
    event: dict[str, Any]


class CheckpointModel(BaseModel):
    """The log as it is: a C2SP signed note, and the public key for it."""

    checkpoint: str
    key: str


class InclusionModel(BaseModel):
    """That an event is in the log, as a C2SP tlog-proof."""

    index: int
    hash: str
    proof: str


class ConsistencyModel(BaseModel):
    """That the log of `second` entries begins with that of `first`: base64 hashes of RFC 9162, 2.1.4."""

    first: int
    second: int
    hashes: list[str]


class VerifyRequest(Strict):
    """What was kept elsewhere: checkpoints, or the receipt of an answer."""

    checkpoints: list[Annotated[str, Field(max_length=MAX_NOTE)]] = Field([], max_length=100)
    receipt_id: str | None = Field(None, min_length=1, max_length=100)
    audit_hash: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")


class VerifyResponse(BaseModel):
    """The state of the log. `complete` up to `anchored` entries, if a checkpoint was given."""

    consistent: bool
    complete: bool
    entries: int
    head: str
    problem: str
    first_bad_index: int | None
    anchored: int


@router.get("/entries", operation_id="get_audit_entries", responses=responses(403))
def get_audit_entries(
    parts: Parts,
    subject: Asker,
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[EntryModel]:
    """The log of this tenant, from an index on."""
    found = parts.ragward.auditing.entries(subject, start=start, limit=limit)
    return [_entry(entry) for entry in found]


@router.get("/entries/{event_id}", operation_id="get_audit_entry", responses=responses(403, 404))
def get_audit_entry(event_id: EventId, parts: Parts, subject: Asker) -> EntryModel:
    """The entry of one event: what a receipt with this id is of."""
    return _entry(parts.ragward.auditing.entry(subject, event_id))


@router.get(
    "/entries/{event_id}/proof", operation_id="prove_audit_entry", responses=responses(403, 404)
)
def prove_audit_entry(event_id: EventId, parts: Parts, subject: Asker) -> InclusionModel:
    """That an event of this tenant is in the log; to be checked with the log's public key alone."""
    entry, proof = parts.ragward.auditing.proof(subject, event_id)
    return InclusionModel(index=entry.index, hash=entry.leaf_hash.hex(), proof=proof.text())


@router.get("/checkpoint", operation_id="get_audit_checkpoint", responses=responses(403))
def get_audit_checkpoint(parts: Parts, subject: Asker) -> CheckpointModel:
    """A signed statement of the log as it is, to be kept elsewhere."""
    note, key = parts.ragward.auditing.checkpoint(subject)
    return CheckpointModel(checkpoint=note, key=key)


@router.get("/consistency", operation_id="prove_audit_consistency", responses=responses(400, 403))
def prove_audit_consistency(
    parts: Parts,
    subject: Asker,
    first: Annotated[int, Query(ge=1, le=2**53)],
    second: Annotated[int, Query(ge=1, le=2**53)],
) -> ConsistencyModel:
    """That the log of one size is the beginning of the log of another."""
    hashes = parts.ragward.auditing.consistency(subject, first, second)
    return ConsistencyModel(
        first=first, second=second, hashes=[b64encode(node).decode() for node in hashes]
    )


@router.post("/verify", operation_id="verify_audit", responses=responses(400, 403))
def verify_audit(body: VerifyRequest, parts: Parts, subject: Asker) -> VerifyResponse:
    """Hashes the whole log again, and compares it with what was kept elsewhere."""
    receipt = None
    if body.receipt_id is not None and body.audit_hash is not None:
        receipt = (body.receipt_id, body.audit_hash)
    if receipt is None and (body.receipt_id or body.audit_hash):
        raise InvalidRequestError("a receipt is an id and a hash")
    found = parts.ragward.auditing.verify(subject, anchors=body.checkpoints, receipt=receipt)
    return VerifyResponse(
        consistent=found.consistent,
        complete=found.complete,
        entries=found.entries,
        head=found.head,
        problem=found.problem,
        first_bad_index=found.first_bad_index,
        anchored=found.anchored,
    )


def _entry(entry: AuditEntry) -> EntryModel:
    return EntryModel(index=entry.index, hash=entry.leaf_hash.hex(), event=json.loads(entry.data))
