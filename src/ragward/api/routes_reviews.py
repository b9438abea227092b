"""Classification as a steward tries it, and the review queue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.routes_documents import source_of
from ragward.api.schemas import DocumentRequest, Name
from ragward.api.schemas_reviews import (
    ClassificationModel,
    DecidedModel,
    DecisionRequest,
    DecisionsRequest,
    DecisionsResponse,
    DowngradeRequest,
    Kind,
    ReviewModel,
    ReviewPage,
    State,
)
from ragward.domain.labels import Classification
from ragward.domain.review import Choice, ReviewKind, ReviewState
from ragward.reviewing import Queue

router = APIRouter(prefix="/v1", tags=["reviews"])
Id = Annotated[str, Path(min_length=1, max_length=100)]
_DECIDED = {
    202: {"description": "It waits for a second person.", "model": ReviewModel},
    **responses(403, 404, 409),
}


@router.post("/classify", operation_id="classify_document", responses=responses(403))
def classify(body: DocumentRequest, parts: Parts, subject: Asker) -> ClassificationModel:
    """What a document would be classified as if it were new, which rules hold and where; nothing is stored."""
    source = source_of(body, subject)
    return ClassificationModel.of(parts.ragward.ingestion.assess(subject, source))


@router.get("/reviews", operation_id="list_reviews", responses=responses())
def list_reviews(
    parts: Parts,
    subject: Asker,
    state: Annotated[State, Query()] = "open",
    kind: Annotated[Kind | None, Query()] = None,
    corpus: Annotated[Name | None, Query()] = None,
    page_token: Annotated[str | None, Query(max_length=8192)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ReviewPage:
    """What waits for a person, or what was decided, about documents that this subject may relabel."""
    found, next_page_token = parts.ragward.reviewing.items(
        subject,
        Queue(
            states=(ReviewState(state),),
            kinds=(ReviewKind(kind),) if kind else (),
            corpus=corpus,
        ),
        untrusted_page_token=page_token,
        limit=limit,
    )
    return ReviewPage(
        reviews=[ReviewModel.of(each) for each in found], next_page_token=next_page_token
    )


@router.post("/reviews/decide", operation_id="decide_reviews", responses=responses())
def decide_all(
    body: DecisionsRequest, parts: Parts, subject: Asker, response: Response
) -> DecisionsResponse:
    """Decides many, each by itself: one that is refused does not hold up the others. `open` means that it became, or still is,
    a request that waits for a second person."""
    done = parts.ragward.reviewing.decide_all(
        subject, body.review_ids, Choice(body.decision), body.reason, _level(body)
    )
    if any(each.state is not None for each in done):
        stamp(response, parts, subject)
    return DecisionsResponse(outcomes=[DecidedModel.of(each) for each in done])


@router.get("/reviews/{review_id}", operation_id="get_review", responses=responses(404))
def get_review(review_id: Id, parts: Parts, subject: Asker) -> ReviewModel:
    """One of them. Absent and not yours are the same 404."""
    return ReviewModel.of(parts.ragward.reviewing.item(subject, review_id))


@router.post("/reviews/{review_id}/decide", operation_id="decide_review", responses=_DECIDED)
def decide(
    review_id: Id, body: DecisionRequest, parts: Parts, subject: Asker, response: Response
) -> ReviewModel:
    """Decides one, in force when this returns. A change below RESTRICTED becomes a request for a downgrade, which somebody
    else has to grant."""
    done = parts.ragward.reviewing.decide(
        subject, review_id, Choice(body.decision), body.reason, _level(body)
    )
    if done.item.item_id != review_id:
        response.status_code = 202
    stamp(response, parts, subject)
    return ReviewModel.of(done)


@router.post(
    "/documents/{document_id}/downgrade",
    status_code=202,
    operation_id="request_downgrade",
    responses=responses(403, 404, 409),
)
def request_downgrade(
    document_id: Id, body: DowngradeRequest, parts: Parts, subject: Asker, response: Response
) -> ReviewModel:
    """Asks for a lower classification; somebody who may relabel the document decides."""
    made = parts.ragward.reviewing.request_downgrade(
        subject, document_id, Classification.parse(body.classification), body.reason
    )
    response.headers["Location"] = f"/v1/reviews/{made.item.item_id}"
    return ReviewModel.of(made)


def _level(body: DecisionRequest) -> Classification | None:
    return Classification.parse(body.classification) if body.classification else None
