"""Inspected answers over the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ragward.api.schemas import Level, Strict, level_of
from ragward.domain.outputs import MAX_ANSWER_CHARACTERS, MAX_CITATIONS, InspectedOutput


class InspectOutputRequest(Strict):
    """A model's answer and the receipt of the passages it was made from."""

    receipt_id: str = Field(min_length=1, max_length=100)
    answer: str = Field(max_length=MAX_ANSWER_CHARACTERS)
    citations: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[],
        max_length=MAX_CITATIONS,
        description="Chunk or document ids that the answer cites; ids in brackets in its text are found.",
    )


class InspectOutputResponse(BaseModel):
    """What may be shown."""

    inspection_id: str = Field(description="The id of the event in the audit log.")
    outcome: Literal["unchanged", "changed", "withheld"]
    text: str | None = Field(description="The answer as it may be shown; null when withheld.")
    removed: dict[str, int] = Field(description="Personal data taken out, by type.")
    revealed: dict[str, int] = Field(
        description="Pseudonyms of the receipt's purpose turned back, by type."
    )
    flags: list[str] = Field(description="Screening rules that the answer hit.")
    unknown_citations: list[str] = Field(description="Cited, and not among the passages.")
    classification: Level = Field(description="The highest of the passages that were used.")

    @classmethod
    def of(cls, found: InspectedOutput) -> InspectOutputResponse:
        """From the domain's."""
        return cls(
            inspection_id=found.inspection_id,
            outcome=found.outcome.value,
            text=found.text,
            removed=dict(found.removed),
            revealed=dict(found.revealed),
            flags=list(found.flags),
            unknown_citations=list(found.unknown_citations),
            classification=level_of(found.classification),
        )
