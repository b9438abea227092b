"""Questions: ours, and in the shape OpenAI's clients speak."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.concurrency import run_in_threadpool

from ragward.api.context import Credential, Parts
from ragward.api.problems import responses
from ragward.api.rate_headers import rate_headers
from ragward.api.schemas import (
    RetrieveRequest,
    RetrieveResponse,
    SearchContent,
    SearchHit,
    SearchRequest,
    SearchResponse,
    mode_of,
)
from ragward.domain.passages import Answer, Passage, RetrievalRequest, SearchMode

router = APIRouter(prefix="/v1", tags=["retrieval"])
_MAX_ATTRIBUTES = 16


@router.post("/retrieve", operation_id="retrieve", responses=responses(400, 403, 409))
async def retrieve(
    body: RetrieveRequest, parts: Parts, credential: Credential, response: Response
) -> RetrieveResponse:
    """What this asker may know of it, only as much as the question needs, with a receipt."""
    # Of a plain function FastAPI would have the answer checked in a thread as well: one more change of threads.
    request = RetrievalRequest(
        query=body.query,
        corpora=tuple(body.corpora),
        document_id=body.document_id,
        limit=body.limit,
        max_passages_per_document=body.max_passages_per_document,
        filters=body.filters,
        minimize=mode_of(body.minimize),
        min_epoch=body.min_epoch,
        purpose=body.purpose,
        search=SearchMode(body.search),
    )
    answer = await run_in_threadpool(parts.ragward.retrieve, credential, request)
    parts.metrics.observe_answer(answer)
    response.headers.update(rate_headers(answer.rates))
    return RetrieveResponse.of(answer)


@router.post(
    "/vector_stores/{corpus}/search",
    operation_id="search_vector_store",
    responses=responses(400, 403, 404),
)
def search(
    corpus: Annotated[str, Path(min_length=1, max_length=63)],
    body: SearchRequest,
    parts: Parts,
    credential: Credential,
    response: Response,
) -> SearchResponse:
    """A corpus as a vector store, for OpenAI's clients; texts are marked as quoted. Unknown and unreadable corpora are the
    same 404."""
    queries = [body.query] if isinstance(body.query, str) else body.query
    request = RetrievalRequest(
        query=" ".join(queries),
        corpora=(corpus,),
        limit=body.max_num_results,
        filters=body.filters,
    )
    answer = parts.ragward.retrieve(credential, request)
    parts.metrics.observe_answer(answer)
    response.headers.update(rate_headers(answer.rates))
    if not answer.passages:
        parts.ragward.retrieval.require_corpus(parts.ragward.identify(credential), corpus)
    return SearchResponse(search_query=queries, data=[_hit(p, answer) for p in answer.passages])


def _hit(passage: Passage, answer: Answer) -> SearchHit:
    own: dict[str, str | int | float | bool] = {
        "chunk_id": passage.chunk_id,
        "classification": passage.classification.name,
        "title": passage.title[:512],
        "share": passage.share,
        "sentences_cut": passage.cut.sentences,
        "flagged": passage.flagged,
        "trust": passage.trust.value,
    }
    room = _MAX_ATTRIBUTES - len(own)
    given = {key: value for key, value in list(passage.attributes.items())[:room] if key not in own}
    return SearchHit(
        file_id=passage.document_id,
        filename=passage.source,
        score=passage.score,
        attributes=given | own,
        content=[SearchContent(text=answer.marked_text(passage))],
    )
