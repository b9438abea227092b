"""Canary queries: what a model and the finder of personal data answer to fixed texts, compared when either changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from ragward.domain.errors import IntegrityError

#: (text, a question that it answers)
PAIRS: Final = (
    ("Parental leave lasts fourteen weeks and is paid in full.", "How long is parental leave?"),
    ("Travel expenses are refunded within ten days of the claim.", "When are expenses refunded?"),
    ("The password of an account expires after ninety days.", "How often must a password change?"),
    ("Overtime is paid at one hundred and twenty-five percent.", "What is paid for overtime?"),
    ("The warehouse in Leeds is closed on Sundays.", "On which day is the warehouse closed?"),
    ("Visitors sign in at the reception and wear a badge.", "What do visitors wear?"),
    ("The pump must not run above a pressure of sixteen bar.", "Which pressure may the pump have?"),
    ("Invoices without an order number are sent back.", "What happens to invoices without number?"),
    ("The fire drill takes place every year in October.", "When is the fire drill?"),
    ("A contract ends with three months of notice.", "What is the notice of a contract?"),
    ("The laboratory calibrates its balances every spring.", "When are balances calibrated?"),
    ("The canteen serves a vegetarian dish each day.", "What does the canteen serve?"),
    ("Backups are kept for thirty days in another building.", "How long are backups kept?"),
    ("The data protection officer answers within one month.", "Who answers on data protection?"),
    ("Goods may be returned within thirty days of delivery.", "Until when may goods be returned?"),
    ("The board meets four times a year in the main hall.", "How often does the board meet?"),
)
PERSONAL: Final = (
    "Write to anna.berg@aurora.example for the minutes.",
    "Her social security number is 536-22-8417, says the form.",
    "Pay to DE89 3704 0044 0532 0130 00 by Friday.",
    "The card 4111 1111 1111 1111 was declined.",
    "The server at 192.0.2.44 was restarted.",
)
_BEST: Final = 5
_LOST_RECALL: Final = 0.05
_LEAST_OVERLAP: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRecord:
    """What was answered: for every query the best texts in order, and the types of personal data found in every text."""

    model_digest: str
    finder: str
    rankings: tuple[tuple[int, ...], ...]
    found: tuple[tuple[str, ...], ...]

    @property
    def recall(self) -> float:
        """The share of queries whose own text comes first."""
        first = sum(order[0] == query for query, order in enumerate(self.rankings))
        return first / len(self.rankings)

    def to_text(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> CanaryRecord:
        """Raises `integrity.model` for what was not written by `to_text`."""
        try:
            body = json.loads(text)
            return cls(
                model_digest=str(body["model_digest"]),
                finder=str(body["finder"]),
                rankings=tuple(tuple(map(int, order)) for order in body["rankings"]),
                found=tuple(tuple(map(str, types)) for types in body["found"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError("the canary record is damaged", code="integrity.model") from error


def ranking(query: Sequence[float], texts: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """The best texts for a query, by cosine of unit vectors."""
    scores = [sum(a * b for a, b in zip(query, text, strict=True)) for text in texts]
    return tuple(sorted(range(len(texts)), key=lambda at: (-scores[at], at))[:_BEST])


def regressions(before: CanaryRecord, now: CanaryRecord) -> tuple[str, ...]:
    """What is worse than it was: recall, order, personal data."""
    problems = []
    if now.recall < before.recall - _LOST_RECALL:
        problems.append(f"recall fell from {before.recall:.2f} to {now.recall:.2f}")
    if len(before.rankings) != len(now.rankings) or len(before.found) != len(now.found):
        return (*problems, "the record is of other queries: record anew")
    pairs = list(zip(before.rankings, now.rankings, strict=True))
    overlap = sum(len(set(a) & set(b)) / len(a) for a, b in pairs) / len(pairs)
    if overlap < _LEAST_OVERLAP:
        problems.append(f"of the best {_BEST} texts only {overlap:.0%} are the same")
    for at, (had, has) in enumerate(zip(before.found, now.found, strict=True)):
        if lost := set(had) - set(has):
            problems.append(f"text {at + 1}: {', '.join(sorted(lost))} is no longer found")
    return tuple(problems)
