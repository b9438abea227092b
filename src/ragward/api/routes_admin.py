"""Applications, the log."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import (
    ApplicationModel,
    ApplicationRequest,
    EntryModel,
    VerifyRequest,
    VerifyResponse,
)
from ragward.domain.access import ALL_CORPORA, Application
from ragward.domain.audit import AuditEntry
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification, require_name

router = APIRouter(prefix="/v1", tags=["administration"])


@router.post(
    "/applications", status_code=201, operation_id="register_application", responses=responses(403)
)
def register_application(
    body: ApplicationRequest, parts: Parts, subject: Asker, response: Response
) -> ApplicationModel:
    """An AI application and what may pass through it."""
    for corpus in body.corpora:
        if corpus != ALL_CORPORA:
            require_name(corpus, "corpus")
    application = Application(
        principal=body.principal,
        tenant=subject.tenant,
        client_id=body.client_id,
        corpora=frozenset(body.corpora),
        ceiling=Classification.parse(body.ceiling),
        public_client=body.public_client,
        expires_at=body.expires_at,
    )
    key = parts.ragward.stewardship.register_application(
        subject, application, with_key=body.with_key, replace_keys=body.replace_keys
    )
    stamp(response, parts, subject)
    return ApplicationModel(principal=application.principal, api_key=key)


@router.get("/audit/entries", operation_id="get_audit_entries", responses=responses(403))
def get_audit_entries(
    parts: Parts,
    subject: Asker,
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[EntryModel]:
    """The log of this tenant, from an index on."""
    found = parts.ragward.stewardship.audit_entries(subject, start=start, limit=limit)
    return [_entry(entry) for entry in found]


@router.get(
    "/audit/entries/{event_id}", operation_id="get_audit_entry", responses=responses(403, 404)
)
def get_audit_entry(
    event_id: Annotated[str, Path(min_length=1, max_length=100)], parts: Parts, subject: Asker
) -> EntryModel:
    """The entry of one event: what a receipt with this id is of."""
    return _entry(parts.ragward.stewardship.audit_entry(subject, event_id))


@router.post("/audit/verify", operation_id="verify_audit", responses=responses(403))
def verify_audit(body: VerifyRequest, parts: Parts, subject: Asker) -> VerifyResponse:
    """Checks the whole log, against an anchor or a receipt if one was kept."""
    anchor = receipt = None
    if body.anchor_index is not None and body.anchor_hash is not None:
        anchor = (body.anchor_index, body.anchor_hash)
    if body.receipt_id is not None and body.audit_hash is not None:
        receipt = (body.receipt_id, body.audit_hash)
    given = sum(value is not None for value in body.model_dump().values())
    whole = sum(pair is not None for pair in (anchor, receipt))
    if whole > 1 or given != 2 * whole:
        raise InvalidRequestError("an anchor is an index and a hash, a receipt an id and a hash")
    found = parts.ragward.stewardship.verify_audit(subject, anchor=anchor, receipt=receipt)
    return VerifyResponse(
        consistent=found.consistent,
        complete=found.complete,
        entries=found.entries,
        head=found.head,
        problem=found.problem,
        first_bad_index=found.first_bad_index,
    )


def _entry(entry: AuditEntry) -> EntryModel:
    return EntryModel(index=entry.index, hash=entry.chain_hash.hex(), event=json.loads(entry.data))
