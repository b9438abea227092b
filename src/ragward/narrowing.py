"""What a request itself leaves of what is permitted: by public attributes, or one document by its id. It never widens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from ragward.domain.access import Deny, Permit, Subject
from ragward.domain.admission import capped_per_document
from ragward.domain.errors import NotFoundError
from ragward.domain.passages import AuthorizedChunk, RetrievalRequest
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.ports import Catalog

MAX_FILTERED_CHUNKS: Final = 10_000


def narrowed(
    catalog: Catalog,
    recorder: Recorder,
    subject: Subject,
    request: RetrievalRequest,
    permit: Permit | Deny,
) -> Collection[str] | None:
    """The points that the request leaves, None for all. What may not be read is not even counted; a malformed filter is
    refused whatever was decided. Raises `request.invalid`, `request.filter_too_broad`."""
    matching: Collection[str] | None = None
    if request.filters is not None:
        matching = catalog.points_with_attributes(
            subject.tenant,
            request.filters,
            admits=permit.admits if isinstance(permit, Permit) else lambda _label_id: False,
            limit=MAX_FILTERED_CHUNKS,
        )
    if request.document_id is None:
        return matching
    points = _points_of(catalog, recorder, subject, request.document_id)
    return points if matching is None else points & set(matching)


def spread(
    request: RetrievalRequest, chunks: Iterable[AuthorizedChunk]
) -> Iterator[AuthorizedChunk]:
    """So many of each document as the request leaves; where it names one, its best as they follow each other in it."""
    if request.document_id is None:
        return capped_per_document(chunks, request.max_passages_per_document)
    room = min(request.limit, request.max_passages_per_document)
    return iter(sorted(islice(chunks, room), key=lambda chunk: chunk.stored.ordinal))


def _points_of(
    catalog: Catalog, recorder: Recorder, subject: Subject, document_id: str
) -> frozenset[str]:
    """None for a document that is not there: the search then finds nothing, as in one that may not be read."""
    try:
        chunks = catalog.document_chunks(subject.tenant, document_id)
    except NotFoundError:
        return frozenset()
    for chunk in chunks[:1]:
        notice(recorder, subject, chunk.label, chunk.document_id, "document")
    return frozenset(chunk.point_id for chunk in chunks)
