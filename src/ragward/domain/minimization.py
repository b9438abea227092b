"""Only as much as the question needs: near-duplicates out, sentences that answer kept, the budget held.

Judged on the redacted text alone, so that nothing hidden decides what is cut. Sentences are chosen by the question's
words (light stems, weighted by how rare they are among the texts retrieved). A text that shares no word with the question is kept
whole: wording must not cost an answer. Cost is linear in the text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from ragward.domain.funnel import Fate
from ragward.domain.passages import MinimalText

CUT_MARK: Final = " […] "
_NEAR: Final = 0.8
_SHINGLE: Final = 5
_ENDINGS: Final = ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "ly")
_STEM_CHARACTERS: Final = 3
_LAST_LETTERS: Final = frozenset(ending[-1] for ending in _ENDINGS)
_SHORT_CHARACTERS: Final = 300
_SHORT_SENTENCES: Final = 3
_KEEP_SHARE_OF_BEST: Final = 0.35
_WORD: Final = re.compile(r"\w+")
_BOUNDARY: Final = re.compile(r"(?:[.!?][\"')\]]?\s+(?=[^a-z\s]))|\n+")
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|vs|e\.g|i\.e|inc|ltd|approx)|\b[a-z])\.\s+$", re.IGNORECASE
)
_REFERRING: Final = re.compile(
    r"(?:it|this|that|these|those|he|she|they|its|their|such)\b", re.IGNORECASE
)
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
    """Why nothing is left of a text: `NEAR_DUPLICATE` of text `other`, past the `LIMIT`, or no room in the `BUDGET`."""

    fate: Fate
    other: int | None = None


def minimize(
    texts: Sequence[str],
    query: str,
    *,
    levels: Sequence[int],
    budgets: Mapping[int, int],
    limit: int,
    cut: bool = True,
) -> list[MinimalText | LeftOut]:
    """What is left of each text, in rank order.

    `levels` are the texts' classifications, `budgets` the tokens all texts of one level may have together. A text is left
    out that is a near-duplicate of an earlier one, that is past `limit`, or for which its level's budget has no room.
    """
    repeated = near_duplicates(texts)
    weights = _weights(texts, query)
    spent: Counter[int] = Counter()
    out: list[MinimalText | LeftOut] = []
    given = 0
    for index, (text, level) in enumerate(zip(texts, levels, strict=True)):
        room = budgets[level] - spent[level]
        if index in repeated:
            out.append(LeftOut(Fate.NEAR_DUPLICATE, repeated[index]))
            continue
        if given >= limit:
            out.append(LeftOut(Fate.LIMIT))
            continue
        minimal = minimal_text(text, weights if cut else {}, room) if room > 0 else None
        if minimal is None:
            out.append(LeftOut(Fate.BUDGET))
            continue
        spent[level] += tokens_of(minimal.text)
        given += 1
        out.append(minimal)
    return out


def minimal_text(text: str, weights: dict[str, float], budget_tokens: int) -> MinimalText | None:
    """The sentences of `text` that answer, in order; None if not even one fits the budget."""
    sentences = split_sentences(text)
    scores = [_score(text[start:end], weights) for start, end in sentences]
    best = max(scores, default=0.0)
    short = len(text) <= _SHORT_CHARACTERS or len(sentences) <= _SHORT_SENTENCES
    if best == 0.0 or short:
        chosen = set(range(len(sentences)))
    else:
        chosen = {i for i, score in enumerate(scores) if score >= best * _KEEP_SHARE_OF_BEST}
        chosen |= _context(text, sentences, chosen)
    chosen = _within_budget(sentences, scores, chosen, budget_tokens)
    if not chosen:
        return None
    kept = sum(sentences[i][1] - sentences[i][0] for i in chosen)
    return MinimalText(
        text=_joined(text, sentences, chosen),
        share=round(kept / len(text), 4) or 0.0001,
        sentences_cut=len(sentences) - len(chosen),
    )


def split_sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of the sentences of `text`, lines and headings on their own; together they cover it."""
    bounds = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        end = match.end()
        if not _ABBREVIATION.search(text, max(start, end - 12), end) and text[start:end].strip():
            bounds.append((start, end))
            start = end
    if start < len(text):
        bounds.append((start, len(text)))
    return bounds


def near_duplicates(texts: Sequence[str]) -> dict[int, int]:
    """Index of each text to leave out -> the earlier kept text that it repeats: the Jaccard similarity of their shingles is
    0.8 or more.

    Sets that similar share one of their first shingles in any common order (prefix filtering, Chaudhuri et al. 2006), so
    only such pairs are compared.
    """
    repeated: dict[int, int] = {}
    kept: dict[int, frozenset[int]] = {}
    holders: dict[int, list[int]] = {}
    for index, text in enumerate(texts):
        own = _shingles(text)
        first = sorted(own)[: len(own) - math.ceil(_NEAR * len(own)) + 1]
        near = {other for shingle in first for other in holders.get(shingle, ())}
        alike = [other for other in sorted(near) if _jaccard(own, kept[other]) >= _NEAR]
        if alike:
            repeated[index] = alike[0]
            continue
        kept[index] = own
        for shingle in first:
            holders.setdefault(shingle, []).append(index)
    return repeated


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


def _weights(texts: Sequence[str], query: str) -> dict[str, float]:
    """The question's stems, the rarer among the texts the heavier."""
    asked = {stem(word) for word in _WORD.findall(query.lower()) if word not in _STOP}
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update(_found(text, asked))
    return {
        term: 1.0 + math.log((1 + len(texts)) / (1 + frequency[term])) for term in sorted(asked)
    }


def _score(sentence: str, weights: dict[str, float]) -> float:
    found = _found(sentence, weights.keys())
    return sum(weight for term, weight in weights.items() if term in found)


def _found(text: str, asked: Set[str]) -> Set[str]:
    """Those of the stems that occur. A stem begins its word, so words that begin like none need no stemming."""
    starts = {term[:_STEM_CHARACTERS] for term in asked}
    words = set(_WORD.findall(text.lower())) if asked else set()
    return asked & {stem(word) for word in words if word[:_STEM_CHARACTERS] in starts}


def _context(text: str, sentences: list[tuple[int, int]], chosen: set[int]) -> set[int]:
    """Headings right above a chosen sentence, and what a chosen sentence that begins with "it" or "this" refers to."""
    extra = set()
    for index in chosen:
        if index == 0:
            continue
        start, end = sentences[index - 1]
        before = text[start:end]
        is_heading = before.endswith("\n") and len(before.strip()) <= 80
        own = text[sentences[index][0] :]
        if is_heading or _REFERRING.match(own):
            extra.add(index - 1)
    return extra


def _within_budget(
    sentences: list[tuple[int, int]], scores: list[float], chosen: set[int], budget: int
) -> set[int]:
    """The best of the chosen sentences that fit together; earlier ones win ties."""
    fitting: set[int] = set()
    characters = len(CUT_MARK)  # there may be one more mark than sentences
    for index in sorted(chosen, key=lambda i: (-scores[i], i)):
        length = sentences[index][1] - sentences[index][0] + len(CUT_MARK)
        if (characters + length) // 4 <= budget:
            fitting.add(index)
            characters += length
    return fitting


def _joined(text: str, sentences: list[tuple[int, int]], chosen: set[int]) -> str:
    parts: list[str] = []
    last = -1
    for index in sorted(chosen):
        if index != last + 1:
            parts.append(CUT_MARK)
        start, end = sentences[index]
        parts.append(text[start:end])
        last = index
    if last != len(sentences) - 1:
        parts.append(CUT_MARK)
    return "".join(parts).strip()


def _shingles(text: str) -> frozenset[int]:
    """Hashes of all runs of five words; of all words, where there are fewer."""
    words = _WORD.findall(text.lower())
    if len(words) < _SHINGLE:
        return frozenset({hash(tuple(words))})
    return frozenset(map(hash, zip(*(words[i:] for i in range(_SHINGLE)), strict=False)))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)
