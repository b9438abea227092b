"""The embedding model as the name detector reads it: its first three layers alone, or in the pass that makes vectors.

Texts longer than the model's window are cut into overlapping windows of words. torch and tokenizers are loaded on first use.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragward.adapters.names_head import LAYER, Floats, Words

WINDOW_TOKENS: Final = 256
_STRIDE: Final = 32
_BATCH: Final = 32


class Windows:
    """Tokenized texts, cut to the model's window, with the way back to words. Thread-safe."""

    def __init__(self, tokenizer_file: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._lock = threading.Lock()

    def of(self, texts: Sequence[str]) -> list[tuple[int, Any]]:
        """(index of the text, encoding) for every window; the first window of a text is what its vector is made from."""
        with self._lock:
            self._tokenizer.enable_truncation(WINDOW_TOKENS, stride=_STRIDE)
            encodings = self._tokenizer.encode_batch(list(texts))
        return [
            (index, window)
            for index, encoding in enumerate(encodings)
            for window in (encoding, *encoding.overflowing)
        ]


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


def padded(encodings: Sequence[Any]) -> dict[str, Any]:
    """Encodings as the model's input."""
    import torch

    width = max(len(encoding.ids) for encoding in encodings)
    ids = torch.zeros((len(encodings), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        size = len(encoding.ids)
        ids[row, :size] = torch.tensor(encoding.ids)
        mask[row, :size] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def batches(windows: Sequence[tuple[int, Any]]) -> list[list[int]]:
    """Positions of `windows` in batches of like length, the longest first."""
    order = sorted(range(len(windows)), key=lambda at: -len(windows[at][1].ids))
    return [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]


class ShortBody:
    """The first three layers, for texts that are not embedded: questions, models' answers. Thread-safe.

    On as many threads as torch has in this process, which the embedder says: torch has one number for all."""

    def __init__(self, directory: Path, *, quantised: bool = True) -> None:
        self._directory, self._quantised = directory, quantised
        self._model: Any = None
        self._windows: Any = None
        self._lock = threading.Lock()

    def read(self, texts: Sequence[str]) -> list[tuple[int, Words]]:
        """(index of the text, words) of every window of every text."""
        import torch

        with self._lock:
            if self._model is None:
                self._load()
            windows = self._windows.of(texts)
            found: list[tuple[int, Words]] = [None] * len(windows)  # type: ignore[list-item]
            with torch.inference_mode():
                for batch in batches(windows):
                    inputs = padded([windows[at][1] for at in batch])
                    hidden = self._model(**inputs).last_hidden_state.numpy()
                    for row, at in enumerate(batch):
                        index, encoding = windows[at]
                        found[at] = (index, words_of(encoding, hidden[row, : len(encoding.ids)]))
        return found

    def _load(self) -> None:
        import warnings

        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        before = logging.get_verbosity()
        logging.set_verbosity_error()  # a table of the pooler's weights, which are left out on purpose
        try:
            model = AutoModel.from_pretrained(
                str(self._directory),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                add_pooling_layer=False,
            )
        finally:
            logging.set_verbosity(before)
        model.encoder.layer = model.encoder.layer[:LAYER]
        model.eval()
        if self._quantised:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of torchao, which is to follow this and is not there
                model = torch.ao.quantization.quantize_dynamic(
                    model, {torch.nn.Linear}, dtype=torch.qint8
                )
        self._model = model
        self._windows = Windows(self._directory / "tokenizer.json")
