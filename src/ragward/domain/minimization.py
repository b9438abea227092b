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
from functools import cached_property
from itertools import chain, groupby
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
_BY_LAST_LETTER: Final = {
    ending[-1]: tuple(each for each in _ENDINGS if each[-1] == ending[-1]) for ending in _ENDINGS
}
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
    """Why nothing is left of a text: `NEAR_DUPLICATE` of text `other`, nothing in it that answers (`NOT_ANSWERING`), or no
    room in the `BUDGET`."""

    fate: Fate
    other: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text as the subject may see it, and the similarity of that text to the question."""

    text: str = field(repr=False)
    level: int = 0
    mode: Mode = Mode.BALANCED
    similarity: float = 0.0


class _Read:
    """A text read once. Where its sentences are, their words and their scores are worked out where they decide anything."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.scores: list[float] = []
        self._lower = shown.text.lower()
        if len(self._lower) != len(shown.text):  # a few letters have no lower case of one character
            self._lower = "".join(
                low if len(low := char.lower()) == 1 else char for char in shown.text
            )

    @cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """(start, end) of each sentence."""
        return sentences_of(self.shown.text)

    @cached_property
    def headings(self) -> list[bool]:
        """Which sentences are headings."""
        return [is_heading(self.shown.text, start, end) for start, end in self.bounds]

    @cached_property
    def words(self) -> list[list[str]]:
        """By sentence."""
        return [_WORD.findall(self._lower, start, end) for start, end in self.bounds]

    def all_words(self) -> list[str]:
        """In order. No sentence ends within a word, so those of a text that is not cut are found without its sentences."""
        if self.shown.mode is Mode.OFF:
            return _WORD.findall(self._lower)
        return list(chain.from_iterable(self.words))

    def candidates(self) -> list[int]:
        """The sentences that are chosen from: headings come along with what stands under them."""
        bodies = [at for at, heading in enumerate(self.headings) if not heading]
        return bodies or list(range(len(self.bounds)))


def minimize(
    texts: Iterable[Shown], query: str, *, budgets: Mapping[int, int], limit: int
) -> list[MinimalText | LeftOut]:
    """What is left of each text, in rank order. `budgets` are the tokens that all texts of one level may have together.

    Texts are taken one by one as they are needed; of what is past the limit, and was not taken, nothing is told."""
    source = map(_Distinct().read, texts)
    taken: list[_Read | LeftOut] = []
    given: list[_Read] = []
    while len(given) < limit and (one := next(source, None)) is not None:
        taken.append(one)
        if isinstance(one, _Read):
            given.append(one)
    marks = _Marks(given, query)
    room = dict(budgets)
    out: list[MinimalText | LeftOut] = []
    left = limit
    following = chain(taken, source)
    while left > 0 and (one := next(following, None)) is not None:
        if isinstance(one, LeftOut):
            out.append(one)
            continue
        stands = one.shown.mode is not Mode.STRICT and limit - left < _STANDING
        kept = _minimal(one, marks, room[one.shown.level], stands=stands)
        if isinstance(kept, MinimalText):
            room[one.shown.level] -= tokens_of(kept.text)
        left -= kept != LeftOut(Fate.BUDGET)  # what does not answer is not made up for
        out.append(kept)
    return out


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters."""
    return max(1, len(text) // 4)


def stem(word: str) -> str:
    """A word without its commonest English endings."""
    for ending in _BY_LAST_LETTER.get(word[-1:], ()):
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_CHARACTERS:
            return word[: -len(ending)]
    return word


# Reading and near-duplicates. ---------------------------------------------------------------------------------------


class _Distinct:
    """Texts of which none nearly repeats another. Sets that similar share one of their first shingles in any common order
    (prefix filtering, Chaudhuri et al. 2006), so only such pairs are compared."""

    def __init__(self) -> None:
        self._kept: dict[int, frozenset[int]] = {}
        self._holders: dict[int, list[int]] = {}
        self._taken = 0

    def read(self, shown: Shown) -> _Read | LeftOut:
        """The next text, unless it repeats an earlier one."""
        index, self._taken = self._taken, self._taken + 1
        one = _Read(shown)
        other = self._like(index, one.all_words())
        return one if other is None else LeftOut(Fate.NEAR_DUPLICATE, other)

    def _like(self, index: int, words: list[str]) -> int | None:
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


class _Marks:
    """What the sentences of an answer's texts are judged by, worked out where something is to be judged."""

    def __init__(self, given: Sequence[_Read], query: str) -> None:
        self._given, self._query = given, query
        self._weights: dict[str, float] | None = None
        self._least: dict[Mode, float] = {}

    def score(self, one: _Read) -> None:
        """Scores a text's sentences, once."""
        if self._weights is None:
            self._weights = _weights(self._given, self._query)
        if not one.scores:
            _score(one, self._weights)

    def least(self, mode: Mode) -> float:
        """What a sentence must have to be kept."""
        if mode not in self._least:
            for one in self._given:
                self.score(one)
            self._least[mode] = _least_score(self._given, mode)
        return self._least[mode]


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
    one: _Read, marks: _Marks, budget_tokens: int, *, stands: bool
) -> MinimalText | LeftOut:
    """The sentences that score enough, in order; of a text that `stands` at least one."""
    if one.shown.mode is Mode.OFF:
        if one.shown.text and tokens_of(one.shown.text) <= budget_tokens:
            return MinimalText(text=one.shown.text.strip(), share=1.0, cut=Cut())
        chosen = set(range(len(one.bounds)))
    else:
        own, least = one.candidates(), marks.least(one.shown.mode)
        marks.score(one)
        chosen = {at for at in own if one.scores[at] >= least}
        if not chosen and own:
            if not stands:
                return LeftOut(Fate.NOT_ANSWERING)
            chosen = {_one_of(one, own)}
        chosen |= _headings_above(one, chosen)
    marks.score(one)
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
