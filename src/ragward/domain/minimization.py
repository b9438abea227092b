"""Only as much as the question needs: near-duplicates out, sentences that answer kept, the budget held.

Judged on the texts as the subject may see them, on the similarity of those very texts and on the question, so that nothing
hidden decides what is cut. A sentence has the share of the question's words in it (light stems, weighted by how rare they
are among the texts), part of its text's similarity, and part of what its heading and its better neighbour have. The best
sentences of all texts together are kept up to a share of them (docs/minimization.md has the figures, ADR 14 what else was tried).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from typing import Final

from ragward.domain.funnel import Fate
from ragward.domain.handling import Mode
from ragward.domain.passages import Cut, MinimalText
from ragward.domain.sentences import is_heading, sentences_of

CUT_MARK: Final = " […] "
_NEAR: Final = 0.8
_SHINGLE: Final = 5
_ENDINGS: Final = ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "ly", "e")
_STEM_CHARACTERS: Final = 3
_LAST_LETTERS: Final = frozenset(ending[-1] for ending in _ENDINGS)
_WORD: Final = re.compile(r"\w+")
_SIMILARITY_SHARE: Final = 0.8
_NEIGHBOUR_SHARE: Final = 0.2
_HEADING_SHARE: Final = 0.2
_NEARLY: Final = 0.65
_STANDING: Final = 3
_CHOSEN_SHARE: Final = {Mode.BALANCED: 0.37, Mode.STRICT: 0.22}
_CHOSEN_CHARACTERS: Final = {Mode.BALANCED: 800, Mode.STRICT: 600}
_STOP: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "may",
        "much",
        "must",
        "my",
        "of",
        "on",
        "or",
        "our",
        "should",
        "that",
        "the",
        "their",
        "them",
        "there",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why nothing is left of a text: `NEAR_DUPLICATE` of text `other`, past the `LIMIT`, nothing in it that answers
    (`NOT_ANSWERING`), or no room in the `BUDGET`."""

    fate: Fate
    other: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text as the subject may see it, and the similarity of that text to the question."""

    text: str = field(repr=False)
    level: int = 0
    mode: Mode = Mode.BALANCED
    similarity: float = 0.0


@dataclass(slots=True)
class _Read:
    """A text read once: where its sentences are, their words, and their scores."""

    shown: Shown
    bounds: list[tuple[int, int]]
    words: list[list[str]]
    headings: list[bool]
    scores: list[float] = field(default_factory=list)

    def candidates(self) -> list[int]:
        """The sentences that are chosen from: headings come along with what stands under them."""
        bodies = [at for at, heading in enumerate(self.headings) if not heading]
        return bodies or list(range(len(self.bounds)))


def minimize(
    texts: Sequence[Shown], query: str, *, budgets: Mapping[int, int], limit: int
) -> list[MinimalText | LeftOut]:
    """What is left of each text, in rank order. `budgets` are the tokens that all texts of one level may have together."""
    distinct = _Distinct()
    read: dict[int, _Read] = {}
    repeated: dict[int, int] = {}

    def is_read(index: int) -> bool:
        """Whether the text is none that was there already; each is read once, and those past the limit not at all."""
        if index not in read and index not in repeated:
            one = _read(texts[index])
            other = distinct.like(index, [word for words in one.words for word in words])
            if other is None:
                read[index] = one
            else:
                repeated[index] = other
        return index in read

    given = [read[at] for at in islice(filter(is_read, range(len(texts))), max(limit, 0))]
    weights = _weights(given, query)
    for one in given:
        _score(one, weights)
    least = {mode: _least_score(given, mode) for mode in _CHOSEN_SHARE}
    room = dict(budgets)
    out: list[MinimalText | LeftOut] = []
    left = limit
    for index, shown in enumerate(texts):
        if left <= 0:
            out.append(LeftOut(Fate.LIMIT))
            continue
        if not is_read(index):
            out.append(LeftOut(Fate.NEAR_DUPLICATE, repeated[index]))
            continue
        one = read[index]
        if not one.scores:
            _score(one, weights)
        stands = shown.mode is not Mode.STRICT and limit - left < _STANDING
        kept = _minimal(one, least.get(shown.mode, -math.inf), room[shown.level], stands=stands)
        if isinstance(kept, MinimalText):
            room[shown.level] -= tokens_of(kept.text)
        left -= kept != LeftOut(Fate.BUDGET)  # what does not answer is not made up for
        out.append(kept)
    return out


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters."""
    return max(1, len(text) // 4)


def stem(word: str) -> str:
    """A word without its commonest English endings."""
    if word[-1:] not in _LAST_LETTERS:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_CHARACTERS:
            return word[: -len(ending)]
    return word


# Reading and near-duplicates. ---------------------------------------------------------------------------------------


def _read(shown: Shown) -> _Read:
    bounds = sentences_of(shown.text)
    lower = shown.text.lower()
    if len(lower) != len(shown.text):  # a few letters have no lower case of one character
        lower = "".join(low if len(low := char.lower()) == 1 else char for char in shown.text)
    return _Read(
        shown=shown,
        bounds=bounds,
        words=[_WORD.findall(lower, start, end) for start, end in bounds],
        headings=[is_heading(shown.text, start, end) for start, end in bounds],
    )


class _Distinct:
    """Texts of which none nearly repeats another. Sets that similar share one of their first shingles in any common order
    (prefix filtering, Chaudhuri et al. 2006), so only such pairs are compared."""

    def __init__(self) -> None:
        self._kept: dict[int, frozenset[int]] = {}
        self._holders: dict[int, list[int]] = {}

    def like(self, index: int, words: list[str]) -> int | None:
        """The first of them that the text repeats; None takes it in."""
        own = _shingles(words)
        first = sorted(own)[: len(own) - math.ceil(_NEAR * len(own)) + 1]
        near = {other for shingle in first for other in self._holders.get(shingle, ())}
        for other in sorted(near):
            if _jaccard(own, self._kept[other]) >= _NEAR:
                return other
        self._kept[index] = own
        for shingle in first:
            self._holders.setdefault(shingle, []).append(index)
        return None


def _shingles(words: list[str]) -> frozenset[int]:
    """Hashes of all runs of five words; of all words, where there are fewer."""
    if len(words) < _SHINGLE:
        return frozenset({hash(tuple(words))})
    return frozenset(map(hash, zip(*(words[i:] for i in range(_SHINGLE)), strict=False)))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)


# Scores. ------------------------------------------------------------------------------------------------------------


def _weights(texts: Sequence[_Read], query: str) -> dict[str, float]:
    """Those of the question's stems that occur, the rarer the heavier; together they weigh 1."""
    asked = {stem(word) for word in _WORD.findall(query.lower()) if word not in _STOP}
    starts = _starts(asked)
    frequency: Counter[str] = Counter()
    for one in texts:
        frequency.update(_found(set().union(*one.words), asked, starts))
    weights = {
        term: 1.0 + math.log((1 + len(texts)) / (1 + count))
        for term, count in sorted(frequency.items())
    }
    total = sum(weights.values())
    return {term: weight / total for term, weight in weights.items()}


def _score(one: _Read, weights: Mapping[str, float]) -> None:
    """Every sentence by itself, then with its heading and its better neighbour."""
    alone = _alone(one, weights)
    heading = 0.0
    for at, own in enumerate(alone):
        if one.headings[at]:
            heading = own
            one.scores.append(own)
            continue
        beside = [
            alone[near]
            for near in (at - 1, at + 1)
            if 0 <= near < len(alone) and not one.headings[near]
        ]
        near_score = max(beside, default=0.0)
        one.scores.append(own + _HEADING_SHARE * heading + _NEIGHBOUR_SHARE * near_score)


def _alone(one: _Read, weights: Mapping[str, float]) -> list[float]:
    starts, terms = _starts(weights), weights.keys()
    similarity = _SIMILARITY_SHARE * max(one.shown.similarity, 0.0)
    return [
        similarity + sum(weights[term] for term in sorted(_found(words, terms, starts)))
        for words in one.words
    ]


def _found(words: Iterable[str], asked: Set[str], starts: Set[str]) -> Set[str]:
    """Those of the stems that occur. A stem begins its word, so words that begin like none need no stemming."""
    return asked & {stem(word) for word in words if word[:_STEM_CHARACTERS] in starts}


def _starts(stems: Iterable[str]) -> Set[str]:
    return {term[:_STEM_CHARACTERS] for term in stems}


def _least_score(texts: Sequence[_Read], mode: Mode) -> float:
    """What a sentence must have to be among the best of all texts, as far as their share reaches. Sentences that are as good
    as each other are all among them or none is, but for the best: where nothing tells them apart nothing is cut."""
    ranked = sorted(
        (
            (one.scores[at], one.bounds[at][1] - one.bounds[at][0])
            for one in texts
            for at in one.candidates()
        ),
        reverse=True,
    )
    room = max(
        _CHOSEN_SHARE[mode] * sum(len(one.shown.text) for one in texts), _CHOSEN_CHARACTERS[mode]
    )
    least = ranked[0][0] if ranked else 0.0
    for score, alike in groupby(ranked, key=itemgetter(0)):
        room -= sum(length for _, length in alike)
        if room < 0:
            break
        least = score
    return least


# Choosing. ----------------------------------------------------------------------------------------------------------


def _minimal(
    one: _Read, least: float, budget_tokens: int, *, stands: bool
) -> MinimalText | LeftOut:
    """The sentences with at least that score, in order; of a text that `stands` at least one."""
    own = one.candidates()
    if one.shown.mode is Mode.OFF:
        chosen = set(range(len(one.bounds)))
    else:
        chosen = {at for at in own if one.scores[at] >= least}
        if not chosen and own:
            if not stands:
                return LeftOut(Fate.NOT_ANSWERING)
            chosen = {_one_of(one, own)}
        chosen |= _headings_above(one, chosen)
    chosen = _within_budget(one, chosen, budget_tokens)
    return _kept(one, chosen) if chosen else LeftOut(Fate.BUDGET)


def _one_of(one: _Read, own: Sequence[int]) -> int:
    """The shortest of the sentences that score nearly as the best one: it stands for the text, it does not answer."""
    nearly = _NEARLY * max(one.scores[at] for at in own)
    good = [at for at in own if one.scores[at] >= nearly] or own
    return min(good, key=lambda at: (one.bounds[at][1] - one.bounds[at][0], at))


def _headings_above(one: _Read, chosen: Set[int]) -> set[int]:
    above = set()
    for at in chosen:
        before = at - 1
        while before >= 0 and one.headings[before]:
            above.add(before)
            before -= 1
    return above


def _within_budget(one: _Read, chosen: Set[int], budget: int) -> set[int]:
    """The best of the chosen sentences that fit together; earlier ones win ties."""
    fitting: set[int] = set()
    characters = len(CUT_MARK)  # there may be one more mark than sentences
    for at in sorted(chosen, key=lambda at: (-one.scores[at], at)):
        start, end = one.bounds[at]
        length = end - start + len(CUT_MARK)
        if (characters + length) // 4 <= budget:
            fitting.add(at)
            characters += length
    return fitting


def _kept(one: _Read, chosen: Set[int]) -> MinimalText:
    text = one.shown.text
    parts: list[str] = []
    ranges: list[tuple[int, int]] = []
    for at, (start, end) in enumerate(one.bounds):
        if at in chosen:
            parts.append(text[start:end])
        elif ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
            parts.append(CUT_MARK)
    characters = sum(end - start for start, end in ranges)
    return MinimalText(
        text="".join(parts).strip(),
        share=round(1 - characters / len(text), 4) or 0.0001,
        cut=Cut(
            sentences=len(one.bounds) - len(chosen), tokens=characters // 4, ranges=tuple(ranges)
        ),
    )
