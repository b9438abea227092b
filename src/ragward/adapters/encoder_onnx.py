"""Passes of the encoder on ONNX Runtime: texts in windows, like lengths together, no torch and no lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragward.adapters.bert_graph import HIDDEN, IDS, MASK, VECTOR, Floats, bert_graph

_BATCH: Final = 32


class OnnxEncoder:
    """One graph, loaded on first use. Thread-safe: passes run beside each other."""

    def __init__(
        self, directory: Path, *, threads: int, hidden_after: int, vectors: bool = True
    ) -> None:
        self._directory, self._threads = directory, threads
        self._hidden_after, self._vectors = hidden_after, vectors
        self._session: Any = None
        self._lock = threading.Lock()

    def hidden(self, encodings: Sequence[Any]) -> Iterator[tuple[int, Floats]]:
        """(position in `encodings`, tokens x dimensions) of each, in the order they come out."""
        for batch, (hidden,) in self._passes(encodings, [HIDDEN]):
            for row, at in enumerate(batch):
                yield at, hidden[row, : len(encodings[at].ids)]

    def vectors(self, encodings: Sequence[Any]) -> Iterator[tuple[int, Floats]]:
        """(position, dimensions), unit length."""
        for batch, (vectors,) in self._passes(encodings, [VECTOR]):
            yield from zip(batch, vectors, strict=True)

    def both(self, encodings: Sequence[Any]) -> Iterator[tuple[int, Floats, Floats]]:
        """(position, vector, hidden), of one pass."""
        for batch, (vectors, hidden) in self._passes(encodings, [VECTOR, HIDDEN]):
            for row, at in enumerate(batch):
                yield at, vectors[row], hidden[row, : len(encodings[at].ids)]

    def _passes(
        self, encodings: Sequence[Any], wanted: list[str]
    ) -> Iterator[tuple[list[int], list[Floats]]]:
        session = self._loaded()
        for batch in _batches(encodings):
            yield batch, session.run(wanted, _padded([encodings[at] for at in batch]))

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = self._load()
            return self._session

    def _load(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for work by spinning take the processor from the requests beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = bert_graph(self._directory, hidden_after=self._hidden_after, vectors=self._vectors)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _batches(encodings: Sequence[Any]) -> list[list[int]]:
    """Positions in batches of like length, the longest first."""
    order = sorted(range(len(encodings)), key=lambda at: -len(encodings[at].ids))
    return [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]


def _padded(encodings: Sequence[Any]) -> dict[str, Any]:
    width = max(len(encoding.ids) for encoding in encodings)
    ids = np.zeros((len(encodings), width), np.int64)
    mask = np.zeros((len(encodings), width), np.int32)
    for row, encoding in enumerate(encodings):
        size = len(encoding.ids)
        ids[row, :size] = encoding.ids
        mask[row, :size] = 1
    return {IDS: ids, MASK: mask}
