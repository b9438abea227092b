"""Documents."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import (
    DocumentModel,
    DocumentPage,
    DocumentRequest,
    FolderRelabelRequest,
    FolderRelabelResponse,
    ItemModel,
    Name,
    ReasonRequest,
    RelabelRequest,
    State,
)
from ragward.domain.access import Subject
from ragward.domain.corpus import DocumentState, SourceDocument
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification

router = APIRouter(prefix="/v1", tags=["documents"])
Id = Annotated[str, Path(min_length=1, max_length=100)]


@router.post(
    "/documents", status_code=201, operation_id="ingest_document", responses=responses(403, 409)
)
def ingest(body: DocumentRequest, parts: Parts, subject: Asker, response: Response) -> ItemModel:
    """Classifies, labels, scans, encrypts and indexes one document."""
    item = parts.ragward.ingestion.ingest(subject, source_of(body, subject))
    stamp(response, parts, subject)
    response.headers["Location"] = f"/v1/documents/{item.document_id}"
    return ItemModel.of(item)


@router.get("/documents", operation_id="list_documents", responses=responses())
def list_documents(
    parts: Parts,
    subject: Asker,
    corpus: Annotated[Name | None, Query()] = None,
    state: State | None = None,
    page_token: Annotated[str | None, Query(max_length=8192)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DocumentPage:
    """The documents this subject may know of, by corpus and source."""
    found, next_page_token = parts.ragward.stewardship.documents(
        subject,
        corpus=corpus,
        state=DocumentState(state) if state else None,
        untrusted_page_token=page_token,
        limit=limit,
    )
    return DocumentPage(
        documents=[DocumentModel.of(r) for r in found], next_page_token=next_page_token
    )


@router.get("/documents/{document_id}", operation_id="get_document", responses=responses(404))
def get(document_id: Id, parts: Parts, subject: Asker) -> DocumentModel:
    """What the catalog says of a document. Absent and not yours are the same 404."""
    return DocumentModel.of(parts.ragward.stewardship.document(subject, document_id))


@router.delete(
    "/documents/{document_id}",
    status_code=204,
    operation_id="delete_document",
    responses=responses(403, 404),
)
def delete(document_id: Id, parts: Parts, subject: Asker, response: Response) -> None:
    """Deletes a document; no request begun afterwards sees it."""
    parts.ragward.stewardship.delete(subject, document_id)
    stamp(response, parts, subject)


@router.patch(
    "/documents/{document_id}/label",
    operation_id="relabel_document",
    responses=responses(403, 404, 409),
)
def relabel(
    document_id: Id, body: RelabelRequest, parts: Parts, subject: Asker, response: Response
) -> DocumentModel:
    """Another access label, in force when this returns. What the request does not name stays as it is."""
    before = parts.ragward.stewardship.document(subject, document_id)
    label = body.changed(before.label)
    after = parts.ragward.relabelling.relabel(subject, document_id, label, body.reason)
    stamp(response, parts, subject)
    return DocumentModel.of(after)


@router.post("/relabel", operation_id="relabel_folder", responses=responses(403, 409))
def relabel_folder(
    body: FolderRelabelRequest, parts: Parts, subject: Asker, response: Response
) -> FolderRelabelResponse:
    """Other labels for everything below a source folder, all at once, in force when this returns."""
    done = parts.ragward.relabelling.relabel_folder(
        subject, body.corpus, body.folder, body.change(), body.reason, dry_run=body.dry_run
    )
    stamp(response, parts, subject)
    return FolderRelabelResponse(
        documents=done.documents,
        changed=done.changed,
        raised=done.raised,
        rewrap_pending=done.rewrap_pending,
        classifications=[list(line) for line in done.classifications],
        dry_run=body.dry_run,
    )


@router.post(
    "/documents/{document_id}/release",
    status_code=204,
    operation_id="release_document",
    responses=responses(403, 404, 409),
)
def release(
    document_id: Id, body: ReasonRequest, parts: Parts, subject: Asker, response: Response
) -> None:
    """Lets a quarantined document be answered from."""
    parts.ragward.relabelling.release(subject, document_id, body.reason)
    stamp(response, parts, subject)


def source_of(body: DocumentRequest, subject: Subject) -> SourceDocument:
    """The document of a request. Raises `request.invalid`, `label.*`, `principal.invalid`."""
    return SourceDocument(
        source=body.source,
        filename=body.filename,
        data=_data(body),
        label=body.label(subject.tenant, body.corpus, Classification.CONFIDENTIAL),
        attributes=body.attributes,
    )


def _data(body: DocumentRequest) -> bytes:
    if (body.content is None) == (body.content_base64 is None):
        raise InvalidRequestError("give either content or content_base64")
    if body.content is not None:
        try:
            return body.content.encode()
        except UnicodeEncodeError:
            raise InvalidRequestError("content is not valid text") from None
    try:
        return base64.b64decode(body.content_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError("content_base64 is not base64") from None
