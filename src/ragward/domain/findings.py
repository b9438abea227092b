"""What scanners found in a text: personal data spans and signs of injection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Personal data at text[start:end] (code points), with the detector's confidence 0..1."""

    start: int
    end: int
    entity_type: str
    score: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"span {self.start}..{self.end} is empty or negative")


class Verdict(StrEnum):
    """What to do with a text that may give orders to a model."""

    ALLOW = "allow"
    FLAG = "flag"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """The verdict on one text, the ids of the rules that hit, and the version of the rule set."""

    verdict: Verdict
    rules: tuple[str, ...]
    rule_set: str
