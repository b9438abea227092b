"""Screening: stored verdicts brought up to date."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Strict, Whole
from ragward.rescreening import MAX_DOCUMENTS

router = APIRouter(prefix="/v1", tags=["screening"])


class RescreenRequest(Strict):
    """Where to go on, and how far."""

    limit: Whole = Field(100, ge=1, le=MAX_DOCUMENTS)
    after_corpus: str = Field("", max_length=63)
    after_source: str = Field("", max_length=1024)
    older_than: str = Field(
        "",
        max_length=200,
        description="Only what was done by versions in use before this one (`GET /v1/lineage/versions`).",
    )


class RescreenResponse(BaseModel):
    """What was done; `next_corpus` and `next_source` to go on from, null at the end."""

    looked_at: int
    changed: int = Field(description="Judged anew.")
    quarantined: int = Field(description="Held back by it: they wait for a steward.")
    next_corpus: str | None
    next_source: str | None


@router.post("/rescreen", operation_id="rescreen_documents", responses=responses(403, 422))
def rescreen(
    body: RescreenRequest, parts: Parts, subject: Asker, response: Response
) -> RescreenResponse:
    """The next documents, judged by the rules in force where other ones judged them. Ask again until `next_source` is null."""
    after = (body.after_corpus, body.after_source) if body.after_corpus else None
    done = parts.ragward.rescreening.run(
        subject, limit=body.limit, after=after, older_than=body.older_than
    )
    stamp(response, parts, subject)
    corpus, source = done.next_after or (None, None)
    return RescreenResponse(
        looked_at=done.looked_at,
        changed=done.changed,
        quarantined=done.quarantined,
        next_corpus=corpus,
        next_source=source,
    )
