"""Only as much as the question needs: near-duplicates out, sentences that answer kept, the budget held.

Judged on the redacted text alone, so that nothing hidden decides what is cut. Sentences are chosen by the question's
words (light stems, weighted by how rare they are among the texts retrieved). A text that shares no word with the question is kept
whole: wording must not cost an answer. Cost is linear in the text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from ragward.domain.passages import MinimalText

CUT_MARK: Final = " […] "
_NEAR: Final = 0.8
_SHINGLE: Final = 5
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


def minimize(
    texts: Sequence[str],
    query: str,
    *,
    levels: Sequence[int],
    budgets: Mapping[int, int],
    limit: int,
    cut: bool = True,
) -> tuple[list[MinimalText | None], int]:
    """(per text, in rank order: what is left of it or None, and how many near-duplicates went).

    `levels` are the texts' classifications, `budgets` the tokens all texts of one level may have together. None stands for
    a near-duplicate of an earlier text, a text past `limit`, or one for which its level's budget has no room.
    """
    kept = set(remove_near_duplicates(texts))
    weights = _weights(texts, query)
    spent: Counter[int] = Counter()
    out: list[MinimalText | None] = []
    given = 0
    for index, (text, level) in enumerate(zip(texts, levels, strict=True)):
        room = budgets[level] - spent[level]
        if index not in kept or given >= limit or room <= 0:
            out.append(None)
            continue
        minimal = minimal_text(text, weights if cut else {}, room)
        if minimal is not None:
            spent[level] += tokens_of(minimal.text)
            given += 1
        out.append(minimal)
    return out, len(texts) - len(kept)


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


def remove_near_duplicates(texts: Sequence[str]) -> list[int]:
    """Indices of the texts to keep: those not nearly equal to an earlier one."""
    kept: list[int] = []
    shingles: list[frozenset[tuple[str, ...]]] = []
    for index, text in enumerate(texts):
        own = _shingles(text)
        if not any(_jaccard(own, other) >= _NEAR for other in shingles):
            kept.append(index)
            shingles.append(own)
    return kept


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters."""
    return max(1, len(text) // 4)


def stem(word: str) -> str:
    """A word without its commonest English endings."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _stems(text: str) -> list[str]:
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


def _weights(texts: Sequence[str], query: str) -> dict[str, float]:
    """The question's stems, the rarer among the texts the heavier."""
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update(set(_stems(text)))
    return {
        term: 1.0 + math.log((1 + len(texts)) / (1 + frequency[term]))
        for term in set(_stems(query))
    }


def _score(sentence: str, weights: dict[str, float]) -> float:
    return sum(weights[term] for term in set(_stems(sentence)) & weights.keys())


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


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    if len(words) < _SHINGLE:
        return frozenset({tuple(words)})
    return frozenset(zip(*(words[i:] for i in range(_SHINGLE)), strict=False))


def _jaccard(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0
