"""The span evaluation of presidio-research (SpanEvaluator), written anew: its package would bring pandas and plotly along.

Tokens by spaCy's blank English tokenizer; runs of tokens with one tag are spans; stop words, punctuation and a few address words
do not count towards where a span begins and ends; spans of one type with only such words between them are one. A gold span
is found when the predictions of its type that overlap it have an intersection over union with it, in characters, of at
least the threshold. "PII" is the same with all types as one.
"""

from __future__ import annotations

import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import spacy
from spacy.lang.en.stop_words import STOP_WORDS

Tagged = tuple[int, int, str]
_ADDRESS_WORDS = [
    "'s",
    "street",
    "st.",
    "st",
    "de",
    "rue",
    "via",
    "and",
    "a",
    "the",
    "or",
    "do",
    "as",
    "of",
    "day",
    "address",
    "country",
    "state",
    "city",
    "zip",
    "po",
    "apt",
    "unit",
    "corner",
    "p.o.",
    "box",
    "suite",
    "mr.",
    "mrs.",
    "miss",
    "year",
    "years",
    "y/o",
    "month",
    "months",
    "old",
    "morning",
    "noon",
    "afternoon",
    "night",
    "evening",
    "this",
    "first",
    "last",
    "week",
    "weeks",
    "weekend",
    "days",
    "age",
    "ago",
    "inc",
    "inc.",
    "ltd",
    "ltd.",
]
SKIPPED = frozenset(
    [
        *string.punctuation,
        *string.whitespace,
        "",
        "\n\n",
        "\t\t",
        ">>",
        *_ADDRESS_WORDS,
        *STOP_WORDS,
    ]
)
_NLP = spacy.blank("en")


@dataclass
class Counts:
    """Of one type."""

    found: int = 0
    predicted: int = 0
    annotated: int = 0

    @property
    def precision(self) -> float:
        return self.found / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.found / self.annotated if self.annotated else 0.0

    def f(self, beta: float = 2.0) -> float:
        p, r = self.precision, self.recall
        return (1 + beta**2) * p * r / (beta**2 * p + r) if p + r else 0.0


@dataclass
class _Run:
    kind: str
    start: int
    end: int
    first: int
    last: int


@dataclass
class Evaluation:
    """Adds up over texts."""

    threshold: float
    per_type: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    pii: Counts = field(default_factory=Counts)

    def add(self, text: str, gold: Iterable[Tagged], predicted: Iterable[Tagged]) -> None:
        """One text."""
        doc = [(token.text, token.idx) for token in _NLP(text)]
        golden, guessed = _tags(doc, gold), _tags(doc, predicted)
        self._compare(_runs(doc, golden), _runs(doc, guessed), lambda kind: self.per_type[kind])
        as_one = [[tag and "PII" for tag in tags] for tags in (golden, guessed)]
        self._compare(_runs(doc, as_one[0]), _runs(doc, as_one[1]), lambda _kind: self.pii)

    def _compare(self, golden: list[_Run], guessed: list[_Run], counts) -> None:
        met: set[int] = set()
        for gold in golden:
            counts(gold.kind).annotated += 1
            by_kind: dict[str, list[_Run]] = defaultdict(list)
            for at, guess in enumerate(guessed):
                if min(gold.end, guess.end) > max(gold.start, guess.start):
                    met.add(at)
                    by_kind[guess.kind].append(guess)
            for kind, runs in by_kind.items():
                counts(kind).predicted += 1
                if kind == gold.kind and _iou(gold, runs) >= self.threshold:
                    counts(kind).found += 1
        for at, guess in enumerate(guessed):
            if at not in met:
                counts(guess.kind).predicted += 1


def _tags(doc: Sequence[tuple[str, int]], spans: Iterable[Tagged]) -> list[str]:
    tags = [""] * len(doc)
    for start, end, kind in spans:
        for at, (word, begin) in enumerate(doc):
            if begin < end and begin + len(word) > start:
                tags[at] = kind
    return tags


def _runs(doc: Sequence[tuple[str, int]], tags: Sequence[str]) -> list[_Run]:
    runs: list[_Run] = []
    at = 0
    while at < len(doc):
        end = at + 1
        while end < len(doc) and tags[end] == tags[at]:
            end += 1
        counted = [(word, start) for word, start in doc[at:end] if word.lower() not in SKIPPED]
        if tags[at] and counted:
            run = _Run(tags[at], counted[0][1], counted[-1][1] + len(counted[-1][0]), at, end)
            before = runs[-1] if runs else None
            between = [] if before is None else doc[before.last : at]
            if (
                before
                and before.kind == run.kind
                and all(w.lower().strip() in SKIPPED for w, _ in between)
            ):
                before.end, before.last = run.end, run.last
            else:
                runs.append(run)
        at = end
    return runs


def _iou(gold: _Run, runs: Sequence[_Run]) -> float:
    own = set(range(gold.start, gold.end))
    theirs = {at for run in runs for at in range(run.start, run.end)}
    return len(own & theirs) / len(own | theirs)


def masking(
    texts: Iterable[tuple[str, Sequence[Tagged], Sequence[Tagged]]],
) -> tuple[dict[str, float], float, Counter[str]]:
    """(share of gold entities of a type with at least 90 % of their letters covered, share of other letters covered)."""
    masked: Counter[str] = Counter()
    total: Counter[str] = Counter()
    over: Counter[str] = Counter()
    plain = 0
    for text, gold, predicted in texts:
        letters = {at for at, c in enumerate(text) if c.isalnum()}
        covered = {at for a, b, _ in predicted for at in range(a, b)}
        entities = {at for a, b, _ in gold for at in range(a, b)}
        for a, b, kind in gold:
            own = letters & set(range(a, b))
            total[kind] += 1
            masked[kind] += len(own & covered) >= 0.9 * len(own)
        rest = letters - entities
        plain += len(rest)
        over["ANY"] += len(rest & covered)
        for kind in {k for _, _, k in predicted}:
            over[kind] += len(
                rest & {at for a, b, k in predicted if k == kind for at in range(a, b)}
            )
    shares = {kind: masked[kind] / total[kind] for kind in total}
    return (
        shares,
        over["ANY"] / max(plain, 1),
        Counter({k: n / max(plain, 1) for k, n in over.items()}),
    )
