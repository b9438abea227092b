"""A small trained head that reads names of people, places and organizations off the embedding model's third layer.

Per word: the mean of its tokens' layer-3 vectors and the shape of its spelling; layer normalisation, one hidden layer, BIO
labels, and the best consistent sequence of them (Viterbi). `training/` builds the weights, `make pii-model`; the file is pinned
by its digest. English, trained on generated sentences only.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragward.domain.errors import IntegrityError
from ragward.domain.findings import Span

Floats = NDArray[np.float32]
KINDS: Final = ("PERSON", "LOCATION", "ORGANIZATION")
LABELS: Final = ("O", *(f"{tag}-{kind}" for kind in KINDS for tag in ("B", "I")))
#: Which hidden state of the embedding model the head was trained on; 0 is the embeddings.
LAYER: Final = 3
SHAPES: Final = 36
_MODELS: Final = Path(__file__).parent / "models"
_ENTITY: Final = np.arange(len(LABELS)) > 0
_EPSILON: Final = 1e-5
_GELU: Final = math.sqrt(2 / math.pi)
_CERTAIN: Final = 3.5  # log odds above which a word is no name whatever its neighbours are
_NONE: Final = (0.0,) * 7
_BREAKS: Final = ".!?:;\n|"


@dataclass(frozen=True, slots=True)
class Words:
    """One text's words: where each stands, and the mean of its tokens' vectors."""

    offsets: list[tuple[int, int]]
    subwords: list[int]
    vectors: Floats


class NamesHead:
    """The weights and what they say of a text. Immutable, thread-safe."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        outer = self._weights["hidden_weight"][:-SHAPES]  # the normalisation's weights go into it
        self._inner = np.ascontiguousarray(self._weights["norm_weight"][:, None] * outer)
        self._outer = np.ascontiguousarray(self._weights["hidden_weight"][-SHAPES:])
        self._inner_bias = self._weights["norm_bias"] @ outer + self._weights["hidden_bias"]
        self._scores: list[list[float]] = self._weights["transitions"].tolist()

    @classmethod
    def shipped(cls) -> tuple[NamesHead, str]:
        """The head in the package and its digest. Raises `integrity.model` if it is not the pinned one."""
        data = (_MODELS / "names-head.npz").read_bytes()
        pinned = json.loads((_MODELS / "names-head.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256(data).hexdigest()
        if digest != pinned["sha256"]:
            raise IntegrityError("the name detector's weights were changed", code="integrity.model")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return cls({name: stored[name] for name in stored.files}), digest

    def names(self, text: str, words: Words, *, bias: float = 0.0) -> list[Span]:
        """The names in `text`. `bias` is added to the log odds of every name: above 0 finds more and errs more."""
        if not words.offsets:
            return []
        logits = self._logits(words.vectors, shapes(text, words))
        logits[:, 1:] += bias
        labels = self._labels(logits)
        chances = _softmax(logits)
        return _spans(words.offsets, labels, chances)

    def _logits(self, vectors: Floats, rest: Floats) -> Floats:
        normal = vectors - vectors.mean(axis=1, keepdims=True)
        normal /= np.sqrt(np.square(normal).mean(axis=1, keepdims=True) + _EPSILON)
        hidden = normal @ self._inner + rest @ self._outer + self._inner_bias
        inside = np.tanh(_GELU * (hidden + 0.044715 * hidden**3))  # Hendrycks and Gimpel 2016
        active = 0.5 * hidden * (1 + inside)
        logits = active @ self._weights["out_weight"] + self._weights["out_bias"]
        return np.asarray(logits, np.float32)

    def _labels(self, logits: Floats) -> list[int]:
        """Stretches between words that are surely no names are decided each by itself."""
        possible = logits[:, _ENTITY].max(axis=1) > logits[:, 0] - _CERTAIN
        labels = [0] * len(logits)
        at = 0
        while at < len(logits):
            if not possible[at]:
                at += 1
                continue
            end = at
            while end < len(logits) and possible[end]:
                end += 1
            labels[at:end] = self._best_path(logits[at:end].tolist())
            at = end
        return labels

    def _best_path(self, rows: list[list[float]]) -> list[int]:
        score = self._scores
        size = len(LABELS)
        best = [rows[0][label] + score[0][label] for label in range(size)]
        came: list[list[int]] = []
        for row in rows[1:]:
            back = [
                max(range(size), key=lambda b, to=to: best[b] + score[b][to])  # type: ignore[misc]  # mypy has no type for a default in a lambda
                for to in range(size)
            ]
            best = [best[b] + score[b][to] + row[to] for to, b in enumerate(back)]
            came.append(back)
        label = max(range(size), key=best.__getitem__)
        path = [label]
        for back in reversed(came):
            label = back[label]
            path.append(label)
        return path[::-1]


def shapes(text: str, words: Words) -> Floats:
    """How each word is written, and the two beside it."""
    letters = [c for c in text if c.isalpha()]
    capitals = sum(map(str.isupper, letters)) / max(len(letters), 1)
    whole = (float(capitals > 0.7), float(capitals == 0.0))
    own = [_shape(text[a:b]) for a, b in words.offsets]
    last = len(own) - 1
    rows = []
    end_before = 0
    for i, ((start, end), count) in enumerate(zip(words.offsets, words.subwords, strict=True)):
        between = text[end_before:start]
        previous = text[words.offsets[i - 1][1] - 1] if i else "\n"
        following = text[words.offsets[i + 1][0]] if i < last else "\n"
        rows.append(
            (
                *own[i],
                float(end - start == 1),
                float(end - start >= 8),
                float(count == 1),
                float(count >= 3),
                float(previous in _BREAKS or "\n" in between),
                float("\n" in between),
                float(bool(between)),
                float(previous == ","),
                float(following == ","),
                float(following == "."),
                float(following == "@"),
                float(previous == "@"),
                float(previous in "\"'(<"),
                *whole,
                *(own[i - 1] if i else _NONE),
                *(own[i + 1] if i < last else _NONE),
            )
        )
        end_before = end
    return np.array(rows, np.float32).reshape(-1, SHAPES)


def _shape(word: str) -> tuple[float, ...]:
    first = word[0]
    return (
        float(first.isupper()),
        float(word.isupper() and len(word) > 1),
        float(word.islower()),
        float(word.isdigit()),
        float(not first.isalnum()),
        float(not word.isascii()),
        float(first.isupper() and not word[1:].islower() and not word.isupper()),
    )


def _spans(offsets: Sequence[tuple[int, int]], labels: list[int], chances: Floats) -> list[Span]:
    found: list[Span] = []
    at = 0
    while at < len(labels):
        if labels[at] == 0:
            at += 1
            continue
        kind = (labels[at] - 1) // 2
        end = at + 1
        while end < len(labels) and labels[end] == 2 * kind + 2:
            end += 1
        chance = chances[at:end, 2 * kind + 1 : 2 * kind + 3].sum(axis=1).mean()
        found.append(
            Span(offsets[at][0], offsets[end - 1][1], KINDS[kind], round(float(chance), 3))
        )
        at = end
    return found


def transitions(counts: Floats) -> Floats:
    """Log chances of one label after another from their counts; an I follows its own B or I only."""
    scores = np.log((counts + 1.0) / (counts + 1.0).sum(axis=1, keepdims=True))
    for to in range(2, len(LABELS), 2):
        for before in range(len(LABELS)):
            if before not in (to, to - 1):
                scores[before, to] = -1e4
    return np.asarray(scores, np.float32)


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
