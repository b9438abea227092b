"""Why, who and what: for stewards; and for everybody what they may see themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.api.schemas_explain import (
    AccessResponse,
    ExplainRequest,
    ExplainResponse,
    OwnAccessResponse,
    ReadersResponse,
)
from ragward.domain.errors import InvalidRequestError
from ragward.domain.explanation import DocumentId

router = APIRouter(prefix="/v1", tags=["explanation"])

_At = Annotated[
    int | None, Query(ge=0, le=2**50, description="As it will be, or was, at these Unix seconds.")
]
_Limit = Annotated[int, Query(ge=1, le=1000)]
_After = Annotated[str, Query(max_length=300, description="`next_after` of the page before.")]


@router.post("/explain", operation_id="explain", responses=responses(400, 404))
def explain(body: ExplainRequest, parts: Parts, subject: Asker) -> ExplainResponse:
    """Why somebody may or may not read a document, or where it left the way to their answer; for stewards."""
    target, request = body.target(), body.retrieval()
    if request is not None:
        found = parts.ragward.explainer.query(subject, body.asked(), request, target)
        return ExplainResponse.of_query(found)
    if target is None:
        raise InvalidRequestError("give a document_id, a chunk_id or a query")
    return ExplainResponse.of_document(
        parts.ragward.explainer.document(subject, body.asked(), target)
    )


@router.get(
    "/documents/{document_id}/readers", operation_id="get_readers", responses=responses(404)
)
def get_readers(
    document_id: Annotated[str, Path(min_length=1, max_length=100)],
    parts: Parts,
    subject: Asker,
    at: _At = None,
    after: _After = "",
    limit: _Limit = 100,
) -> ReadersResponse:
    """Who may read a document, and through what; for stewards."""
    found = parts.ragward.explainer.readers(
        subject, DocumentId(document_id), at=at, after=after, limit=limit
    )
    return ReadersResponse.of(found)


@router.get(
    "/subjects/{principal:path}/access",
    operation_id="get_subject_access",
    responses=responses(404),
)
def get_subject_access(
    principal: Annotated[str, Path(min_length=3, max_length=300)],
    parts: Parts,
    subject: Asker,
    at: _At = None,
    after: _After = "",
    limit: _Limit = 100,
) -> AccessResponse:
    """What somebody may read and do; for stewards. The principal is percent-encoded: `user%3Aacme%2Fann`."""
    found = parts.ragward.explainer.access(subject, principal, at=at, after=after, limit=limit)
    return AccessResponse.of(found)


@router.get("/me/access", operation_id="get_own_access", responses=responses())
def get_own_access(parts: Parts, subject: Asker) -> OwnAccessResponse:
    """The corpora and classifications in which the asker can read something already."""
    return OwnAccessResponse.of(parts.ragward.explainer.own_access(subject))
