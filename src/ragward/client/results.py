"""What the client gives back that is not the domain's own, and how it is read from the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragward.domain.assurance import Lack, StepUp
from ragward.domain.jobs import ItemOutcome, ItemResult
from ragward.domain.labels import Classification
from ragward.domain.marking import Trust
from ragward.domain.outputs import InspectedOutput, Outcome
from ragward.domain.passages import Answer, Cut, Passage, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentInfo:
    """What the API says of a document."""

    document_id: str
    version: int
    corpus: str
    source: str
    title: str
    state: str
    media_type: str
    classification: str
    compartments: Sequence[str]
    attributes: Mapping[str, str | int | float | bool]
    chunks: int
    created_at: int
    gone_since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """Documents, and what to ask for next with; None at the end."""

    documents: Sequence[DocumentInfo]
    next_page_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """How far an ingest job is; `errors` lists failed and quarantined items, `notes` those that went in with a remark."""

    job_id: str
    state: str
    total: int
    done: int
    counts: Mapping[str, int]
    errors: Sequence[ItemResult]
    notes: Sequence[ItemResult]
    created_at: int
    updated_at: int


def answer_of(body: Mapping[str, Any]) -> Answer:
    """An answer."""
    passages = tuple(
        Passage(
            **{name: value for name, value in item.items() if name != "marked_text"}
            | {
                "classification": Classification.parse(item["classification"]),
                "trust": Trust(item["trust"]),
                "cut": _cut(item["cut"]),
            }
        )
        for item in body["passages"]
    )
    return Answer(
        passages=passages,
        receipt=Receipt(**body["receipt"]),
        classification=Classification.parse(body["classification"]),
        near_duplicates_removed=body["near_duplicates_removed"],
        not_answering_removed=body["not_answering_removed"],
        query_flags=tuple(body["query_flags"]),
        stage_seconds={},
        step_up=_step_up(body.get("step_up")),
    )


def _step_up(body: Mapping[str, Any] | None) -> StepUp | None:
    if body is None:
        return None
    lacks = frozenset(map(Lack, body["lacks"]))
    return StepUp(acr_values=tuple(body["acr_values"]), max_age=body["max_age"], lacks=lacks)


def _cut(body: Mapping[str, Any]) -> Cut:
    ranges = tuple((start, end) for start, end in body["ranges"])
    return Cut(sentences=body["sentences"], tokens=body["tokens"], ranges=ranges)


def inspected_of(body: Mapping[str, Any]) -> InspectedOutput:
    """A model's answer, inspected."""
    changed = {
        "outcome": Outcome(body["outcome"]),
        "flags": tuple(body["flags"]),
        "unknown_citations": tuple(body["unknown_citations"]),
        "classification": Classification.parse(body["classification"]),
    }
    return InspectedOutput(**(dict(body) | changed))


def item_of(body: Mapping[str, Any]) -> ItemResult:
    """What became of a document."""
    return ItemResult(**(dict(body) | {"outcome": ItemOutcome(body["outcome"])}))


def document_of(body: Mapping[str, Any]) -> DocumentInfo:
    """A document."""
    return DocumentInfo(**body)


def page_of(body: Mapping[str, Any]) -> DocumentPage:
    """Documents."""
    found = [document_of(item) for item in body["documents"]]
    return DocumentPage(documents=found, next_page_token=body["next_page_token"])


def job_of(body: Mapping[str, Any]) -> JobInfo:
    """A job."""
    told = {name: [item_of(item) for item in body[name]] for name in ("errors", "notes")}
    return JobInfo(**(dict(body) | told))
