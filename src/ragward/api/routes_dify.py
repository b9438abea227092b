"""Dify's external-knowledge API. Dify sends one key and names no end user: the answer is what that key's holder may know."""

from __future__ import annotations

from fastapi import APIRouter

from ragward.api.context import Credential, Parts
from ragward.api.problems import responses
from ragward.api.schemas_dify import DifyRecord, DifyRequest, DifyResponse

router = APIRouter(prefix="/dify", tags=["retrieval"])


@router.post("/retrieval", operation_id="dify_retrieval", responses=responses(400, 404))
def retrieve(body: DifyRequest, parts: Parts, credential: Credential) -> DifyResponse:
    """A corpus as external knowledge of Dify. An application's key alone sees PUBLIC; texts are marked as quoted. Unknown and
    unreadable corpora are the same 404."""
    answer = parts.ragward.retrieve(credential, body.request())
    parts.metrics.observe_answer(answer)
    if not answer.passages:
        subject = parts.ragward.identify(credential)
        parts.ragward.retrieval.require_corpus(subject, body.knowledge_id)
    least = body.retrieval_setting.score_threshold
    found = [passage for passage in answer.passages if passage.score >= least]
    return DifyResponse(records=[DifyRecord.of(passage, answer) for passage in found])
