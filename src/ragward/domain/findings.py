"""What scanners found in a text: personal data spans and signs of injection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RELEASED: Final = "released"
"""Among the rules of a chunk: a person read it with those signs, and let it pass."""


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


def verdict_now(before: Verdict, known: tuple[str, ...], found: Screening) -> Verdict:
    """The verdict on a chunk that newer rules judged anew: a machine only raises it, and what a person let pass stays
    flagged unless there are signs that the person did not see. Where those were not kept, a release stands."""
    if RELEASED in known and (len(known) == 1 or set(found.rules) <= set(known)):
        return Verdict.FLAG
    return max(before, found.verdict, key=list(Verdict).index)


def judged_again(before: Screening, found: Screening) -> Screening:
    """What is stored of a chunk that the rules in force judged anew: `verdict_now`, and the signs behind it.

    A release names what its person saw and nothing else, so while it stands its list stays as it was; it ends, and is to be
    given again, when other signs hold the chunk back."""
    verdict = verdict_now(before.verdict, before.rules, found)
    rules = before.rules
    if RELEASED not in before.rules or verdict is Verdict.QUARANTINE:
        seen = dict.fromkeys((*before.rules, *found.rules))
        rules = tuple(rule for rule in seen if rule != RELEASED)
    return Screening(verdict=verdict, rules=rules, rule_set=found.rule_set)
