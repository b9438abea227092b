"""Documents and chunks: what they are labelled, where they came from, what keys they are under, who can see them and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response

from ragward.console.guard import Signed
from ragward.console.places import DOCUMENTS
from ragward.console.rendering import page
from ragward.domain.access import Action
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import InvalidRequestError, RequestRefusedError
from ragward.domain.explanation import DocumentId
from ragward.domain.handling import Mode
from ragward.domain.passages import RetrievalRequest

router = APIRouter()
_PAGE = 50
_READERS = 200
_MOST_PASSAGES = 50
T = TypeVar("T")
Short = Annotated[str, Query(max_length=100)]


@router.get("/documents")
def documents(
    visitor: Signed,
    corpus: Short = "",
    state: Short = "",
    page_token: Annotated[str, Query(max_length=8192)] = "",
) -> Response:
    """Those the steward may know of."""
    visitor.require(DOCUMENTS)
    try:
        wanted = DocumentState(state) if state else None
    except ValueError:
        raise InvalidRequestError from None
    found, more = visitor.ragward.stewardship.documents(
        visitor.subject,
        corpus=corpus or None,
        state=wanted,
        untrusted_page_token=page_token or None,
        limit=_PAGE,
    )
    given = {"corpus": corpus, "state": state, "page_token": more or ""}
    following = urlencode({name: value for name, value in given.items() if value})
    return page(
        visitor,
        "documents.html",
        found=found,
        corpus=corpus,
        state=state,
        states=list(DocumentState),
        more=f"/console/documents?{following}" if more else "",
    )


@router.get("/documents/{document_id}")
def document(
    document_id: str, visitor: Signed, after: Annotated[str, Query(max_length=300)] = ""
) -> Response:
    """One document. What its reader may not be told (explanations, chunks) is left out of the page."""
    visitor.require(DOCUMENTS)
    flows, subject = visitor.ragward, visitor.subject
    record = flows.stewardship.document(subject, document_id)
    target = DocumentId(document_id)
    return page(
        visitor,
        "document.html",
        record=record,
        history=_if_permitted(lambda: flows.reviewing.history(subject, document_id)) or [],
        chunks=_if_permitted(lambda: flows.stewardship.chunks(subject, document_id)) or [],
        readers=_if_permitted(
            lambda: flows.explainer.readers(subject, target, after=after, limit=_READERS)
        ),
        keys=flows.rotation.keys(subject) if visitor.may(Action.KEY_ROTATE) else [],
        here=f"/console/documents/{quote(document_id, safe='')}",
    )


@router.get("/documents/{document_id}/text")
def text(document_id: str, visitor: Signed) -> Response:
    """As much of the text as its reader may see: an answer like any other, decided, minimised, redacted and recorded."""
    visitor.require(DOCUMENTS)
    record = visitor.ragward.stewardship.document(visitor.subject, document_id)
    title = " ".join(word for word in record.title.split() if word.isprintable())[:200]
    answer = visitor.ragward.retrieve(
        visitor.credentials,
        RetrievalRequest(
            query=title if any(map(str.isalnum, title)) else "document",
            document_id=document_id,
            limit=_MOST_PASSAGES,
            max_passages_per_document=_MOST_PASSAGES,
            minimize=Mode.OFF,
        ),
    )
    return page(visitor, "text.html", record=record, answer=answer)


@router.get("/chunks/{chunk_id}")
def chunk(chunk_id: str, visitor: Signed) -> Response:
    """Where one chunk came from."""
    visitor.require(DOCUMENTS)
    found = visitor.ragward.lineage.of_chunk(visitor.subject, chunk_id)
    return page(visitor, "chunk.html", chunk=found)


def _if_permitted(ask: Callable[[], T]) -> T | None:
    """What a flow tells this person, None where it refuses."""
    try:
        return ask()
    except RequestRefusedError:
        return None
