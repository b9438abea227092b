"""Classification and the review queue over the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ragward.api.schemas import Level, Strict, level_of
from ragward.domain.labels import Classification
from ragward.domain.review import Doubt
from ragward.labelling import Labelled
from ragward.reviewing import MAX_AT_ONCE, Decided, Reviewed

Kind = Literal["doubt", "conflict", "quarantine", "downgrade", "relabelling"]
State = Literal["open", "accepted", "changed", "rejected", "superseded"]
Decision = Annotated[
    Literal["accept", "change", "reject"],
    Field(
        description="accept: the label stays, the quarantined document is let pass, the downgrade is granted. change: another "
        "classification, of a doubt or a conflict. reject: a quarantine or a downgrade stays as it is."
    ),
]


class DoubtModel(BaseModel):
    """What a person would be asked."""

    kind: Kind
    proposed: Level = Field(description="What the trained classifier takes it for.")
    confidence: float

    @classmethod
    def of(cls, doubt: Doubt) -> DoubtModel:
        """From the domain's."""
        return cls(
            kind=doubt.kind.value,
            proposed=level_of(doubt.proposed),
            confidence=round(doubt.confidence, 3),
        )


class ClassificationModel(BaseModel):
    """What a document would be classified as, and why."""

    classification: Level
    evidence: list[str] = Field(description="One line per opinion and finding; holds no content.")
    reviews: list[DoubtModel]

    @classmethod
    def of(cls, labelled: Labelled) -> ClassificationModel:
        """From the flow's."""
        return cls(
            classification=level_of(labelled.label.classification),
            evidence=list(labelled.evidence),
            reviews=[DoubtModel.of(doubt) for doubt in labelled.doubts],
        )


class ReviewModel(BaseModel):
    """What waits for a person, or what they decided. Times are Unix seconds."""

    review_id: str
    kind: Kind
    state: State
    document_id: str
    version: int
    corpus: str
    source: str
    classification: Level = Field(description="The document's, now.")
    document_state: str
    proposed: Level | None = Field(description="By the classifier, or by who asks for a downgrade.")
    confidence: float | None
    evidence: list[str] = Field(description="The document's: which rule, where.")
    requested_by: str | None
    request_reason: str
    created_at: int
    decided_by: str | None
    decided_at: int | None
    decided: Level | None = Field(description="The classification after the decision.")
    decision_reason: str

    @classmethod
    def of(cls, reviewed: Reviewed) -> ReviewModel:
        """From the flow's."""
        item, document = reviewed.item, reviewed.document
        return cls(
            review_id=item.item_id,
            kind=item.kind.value,
            state=item.state.value,
            document_id=item.document_id,
            version=item.version,
            corpus=document.corpus,
            source=document.source,
            classification=level_of(document.label.classification),
            document_state=document.state.value,
            proposed=_level(item.proposed),
            confidence=item.confidence,
            evidence=list(document.evidence),
            requested_by=item.requested_by,
            request_reason=item.request_reason,
            created_at=item.created_at,
            decided_by=item.decided_by,
            decided_at=item.decided_at,
            decided=_level(item.decided),
            decision_reason=item.decision_reason,
        )


class ReviewPage(BaseModel):
    """A page of the queue, oldest first."""

    reviews: list[ReviewModel]
    next_page_token: str | None


class DecisionRequest(Strict):
    """What a reviewer says, and why."""

    decision: Decision
    classification: Level | None = Field(None, description="With change: the other one.")
    reason: str = Field(min_length=8, max_length=500)


class DecisionsRequest(DecisionRequest):
    """The same for many."""

    review_ids: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        min_length=1, max_length=MAX_AT_ONCE
    )


class DecidedModel(BaseModel):
    """What became of one of many: its state, or the code of why nothing did."""

    review_id: str
    state: State | None
    code: str | None

    @classmethod
    def of(cls, decided: Decided) -> DecidedModel:
        """From the flow's."""
        return cls(
            review_id=decided.item_id,
            state=decided.state.value if decided.state else None,
            code=decided.code,
        )


class DecisionsResponse(BaseModel):
    """One outcome per review, in the order of the request."""

    outcomes: list[DecidedModel]


class DowngradeRequest(Strict):
    """A lower classification that somebody asks for."""

    classification: Level
    reason: str = Field(min_length=8, max_length=500)


def _level(level: Classification | None) -> Level | None:
    return None if level is None else level_of(level)
