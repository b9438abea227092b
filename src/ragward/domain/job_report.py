"""What a job came to, counted: outcomes, labels by source, personal data by type, how sure the classifier was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.jobs import ItemOutcome, ItemResult
from ragward.domain.labels import Classification

BINS: Final = 10
MAX_SOURCES: Final = 12
MAX_TOLD: Final = 200
OTHERS: Final = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """The counts. `levels` is by the first folder of a document's name, the largest first, the rest as others."""

    items: int
    chunks: int
    outcomes: Mapping[str, int]
    levels: Mapping[str, Mapping[Classification, int]]
    entities: Mapping[str, int]
    confidences: Sequence[int]
    """documents by confidence of the trained classifier, in tenths from 0"""
    codes: Mapping[str, int]
    told: Sequence[ItemResult]
    """the first that failed, wait in quarantine, or went in with a remark"""

    @classmethod
    def of(cls, items: Iterable[ItemResult]) -> JobSummary:
        """In one pass; nothing but counts and what is told is kept."""
        outcomes: Counter[str] = Counter()
        entities: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        confidences = [0] * BINS
        levels: dict[str, Counter[Classification]] = {}
        told: list[ItemResult] = []
        number = chunks = 0
        for item in items:
            number += 1
            chunks += item.chunks
            outcomes[item.outcome.value] += 1
            entities.update(item.entity_counts)
            if item.code is not None:
                codes[item.code] += 1
            if item.classification is not None and item.outcome is not ItemOutcome.REMOVED:
                of_source = levels.setdefault(folder_of(item.source), Counter())
                of_source[Classification.parse(item.classification)] += 1
            if item.confidence is not None:
                confidences[min(BINS - 1, int(item.confidence * BINS))] += 1
            if (item.code or item.detail) and len(told) < MAX_TOLD:
                told.append(item)
        return cls(
            items=number,
            chunks=chunks,
            outcomes=dict(sorted(outcomes.items())),
            levels=_largest(levels),
            entities=dict(entities.most_common()),
            confidences=tuple(confidences),
            codes=dict(codes.most_common()),
            told=tuple(told),
        )


def folder_of(source: str) -> str:
    """The first folder, or the archive, that a document lies in; `.` for none."""
    first, slash, _ = source.partition("/")
    return first.removesuffix("!") if slash else "."


def _largest(
    levels: Mapping[str, Counter[Classification]],
) -> dict[str, Mapping[Classification, int]]:
    ordered = sorted(levels.items(), key=lambda each: (-each[1].total(), each[0]))
    found: dict[str, Mapping[Classification, int]] = dict(ordered[:MAX_SOURCES])
    others: Counter[Classification] = Counter()
    for _, counts in ordered[MAX_SOURCES:]:
        others.update(counts)
    return found | ({OTHERS: others} if others else {})
