"""Dify's external-knowledge API: its request, and ours made of it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ragward.api.schemas import Attribute, Name, Query, Whole
from ragward.domain.passages import Answer, Passage, RetrievalRequest

_COMPARED: Final = {
    "is": "eq",
    "=": "eq",
    "is not": "ne",
    "≠": "ne",
    ">": "gt",
    "<": "lt",
    "≥": "gte",
    "≤": "lte",
}


class _Theirs(BaseModel):
    """Dify adds fields from version to version; those we have no use for are accepted."""

    model_config = ConfigDict(frozen=True, strict=True)


class DifySetting(_Theirs):
    """How much to return."""

    top_k: Whole = Field(4, ge=1, le=50)
    score_threshold: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Of scores, which are 1/rank where a classification keeps its similarities.",
    )


class DifyCondition(_Theirs):
    """One comparison; any of the names may match."""

    name: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=16
    )
    comparison_operator: Literal["is", "=", "is not", "≠", ">", "<", "≥", "≤"]
    value: Attribute

    def filter(self) -> dict[str, Any]:
        """As an attribute filter."""
        kind = _COMPARED[self.comparison_operator]
        found = [{"type": kind, "key": name, "value": self.value} for name in self.name]
        return found[0] if len(found) == 1 else {"type": "or", "filters": found}


class DifyConditions(_Theirs):
    """Comparisons; operators that we do not have are an error, since to leave one out would widen the answer."""

    logical_operator: Literal["and", "or"] = "and"
    conditions: list[DifyCondition] = Field(min_length=1, max_length=16)

    def filter(self) -> dict[str, Any]:
        """As an attribute filter."""
        return {
            "type": self.logical_operator,
            "filters": [each.filter() for each in self.conditions],
        }


class DifyRequest(_Theirs):
    """A question of Dify's; `knowledge_id` is the corpus."""

    knowledge_id: Name
    query: Query
    retrieval_setting: DifySetting
    metadata_condition: DifyConditions | None = None

    def request(self) -> RetrievalRequest:
        """As the domain has it."""
        conditions = self.metadata_condition
        return RetrievalRequest(
            query=self.query,
            corpora=(self.knowledge_id,),
            limit=self.retrieval_setting.top_k,
            filters=conditions.filter() if conditions else None,
        )


class DifyRecord(BaseModel):
    """A passage in Dify's shape."""

    content: str
    score: float
    title: str
    metadata: dict[str, Attribute]

    @classmethod
    def of(cls, passage: Passage, answer: Answer) -> DifyRecord:
        """From the domain's."""
        own: dict[str, Attribute] = {
            "document_id": passage.document_id,
            "path": passage.source,
            "classification": passage.classification.name,
            "trust": passage.trust.value,
            "receipt_id": answer.receipt.receipt_id,
        }
        return cls(
            content=answer.marked_text(passage),
            score=passage.score,
            title=passage.title,
            metadata=dict(passage.attributes) | own,
        )


class DifyResponse(BaseModel):
    """Passages, best first."""

    records: list[DifyRecord]
