"""How sure a trained classifier is, and what follows: a level to take at once, or a person's review under the higher one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.labels import Classification

LEVELS: Final = tuple(Classification)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a prediction is taken without a person: `confidence` is its least probability, `risk` the largest probability of
    being too low."""

    confidence: float = 0.7
    risk: float = 0.1

    def __post_init__(self) -> None:
        if not 0.25 <= self.confidence <= 1 or not 0 < self.risk <= 0.5:
            raise ValueError("confidence is between 0.25 and 1, risk above 0 and at most 0.5")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The probability that a document is of each level or a higher one: four numbers that fall from 1."""

    at_least: tuple[float, ...]

    def __post_init__(self) -> None:
        falls = all(a >= b for a, b in itertools.pairwise(self.at_least))
        if len(self.at_least) != len(LEVELS) or not falls:
            raise ValueError("a prediction has a falling probability per level")

    @classmethod
    def joined(cls, parts: Iterable[Prediction]) -> Prediction:
        """A document's from its chunks': as high as the highest. Text that is added can only raise it."""
        columns = zip(*(part.at_least for part in parts), strict=True)
        return cls(tuple(max(column) for column in columns))

    @property
    def level(self) -> Classification:
        """The most likely one; of equals the higher."""
        return max(reversed(LEVELS), key=self.probability)

    @property
    def confidence(self) -> float:
        """The probability of `level`."""
        return self.probability(self.level)

    def probability(self, level: Classification) -> float:
        """That it is this level exactly."""
        above = self.at_least[level + 1] if level < LEVELS[-1] else 0.0
        return self.at_least[level] - above


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A prediction under the thresholds. `level` is what to treat the document as: the predicted one or, while it is
    doubtful, the highest that it may well be."""

    predicted: Classification
    confidence: float
    doubtful: bool
    level: Classification

    @classmethod
    def of(cls, prediction: Prediction, thresholds: Thresholds) -> Judgement:
        """Doubtful where the prediction is not sure enough, or could too easily be too low."""
        predicted, confidence = prediction.level, prediction.confidence
        possible = max(
            level for level in LEVELS if prediction.at_least[level] > thresholds.risk or not level
        )
        doubtful = confidence < thresholds.confidence or possible > predicted
        return cls(
            predicted=predicted,
            confidence=confidence,
            doubtful=doubtful,
            level=max(possible, predicted) if doubtful else predicted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A document whose level a person vouches for. `group` keeps documents that are alike on one side when a classifier is
    judged on what it has not seen."""

    group: str
    level: Classification
    vectors: Sequence[Sequence[float]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What training made: the artefact, its SHA-256 (hex), and how it did on groups of documents that it had not seen."""

    artefact: bytes = field(repr=False)
    sha256: str
    documents: Mapping[str, int]
    """by level"""
    groups: int
    accuracy: float
    """before review"""
    reviewed: float
    """share sent to a person"""
    too_low: float
    """share that is neither sent to a person nor high enough"""
