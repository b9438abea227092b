"""The embedding model as the name detector reads it: its first three layers alone, or in the pass that makes vectors.

Texts longer than the model's window are cut into overlapping windows. ONNX Runtime and tokenizers are loaded on first use.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragward.adapters.encoder_onnx import OnnxEncoder
from ragward.adapters.model_manifest import window_of
from ragward.adapters.names_head import LAYER, Floats, Words

_STRIDE: Final = 32


class Windows:
    """Tokenized texts, cut to the model's window, with the way back to words. Thread-safe."""

    def __init__(self, tokenizer_file: Path, tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(tokens, stride=_STRIDE)

    def of(self, texts: Sequence[str]) -> list[tuple[int, Any]]:
        """(index of the text, encoding) for every window; the first window of a text is what its vector is made from."""
        return [
            (index, window)
            for index, encoding in enumerate(self.first(texts))
            for window in (encoding, *encoding.overflowing)
        ]

    def first(self, texts: Sequence[str]) -> list[Any]:
        """The encoding of each text's first window."""
        found: list[Any] = self._tokenizer.encode_batch(list(texts))
        return found


def words_of(encoding: Any, hidden: Floats) -> Words:
    """The words of a window and their vectors; `hidden` holds one row per token."""
    ids = encoding.word_ids
    spans = encoding.offsets
    offsets: list[tuple[int, int]] = []
    counts: list[int] = []
    firsts: list[int] = []
    before = None
    for position, word in enumerate(ids):
        if word is None:
            continue
        if word != before:
            offsets.append(spans[position])
            counts.append(1)
            firsts.append(position)
            before = word
        else:
            offsets[-1] = (offsets[-1][0], spans[position][1])
            counts[-1] += 1
    if not offsets:
        return Words([], [], np.empty((0, hidden.shape[1]), np.float32))
    inside = hidden[firsts[0] : firsts[-1] + counts[-1]]
    sums = np.add.reduceat(inside, [first - firsts[0] for first in firsts])
    vectors = np.asarray(sums / np.array(counts, np.float32)[:, None], np.float32)
    return Words(offsets, counts, vectors)


class ShortBody:
    """The first three layers, for texts that are not embedded: questions, models' answers. Thread-safe."""

    def __init__(self, directory: Path, *, threads: int = 1) -> None:
        self._encoder = OnnxEncoder(directory, threads=threads, hidden_after=LAYER, vectors=False)
        self._directory = directory
        self._windows: Windows | None = None
        self._lock = threading.Lock()

    def read(self, texts: Sequence[str]) -> list[tuple[int, Words]]:
        """(index of the text, words) of every window of every text."""
        with self._lock:
            if self._windows is None:
                self._windows = Windows(
                    self._directory / "tokenizer.json", window_of(self._directory)
                )
        windows = self._windows.of(texts)
        found: list[Any] = [None] * len(windows)
        for at, hidden in self._encoder.hidden([encoding for _, encoding in windows]):
            index, encoding = windows[at]
            found[at] = (index, words_of(encoding, hidden))
        return found
