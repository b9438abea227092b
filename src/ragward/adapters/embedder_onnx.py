"""Embeddings on ONNX Runtime: the same vectors as the model's own library gives, which is checked, in less than half the time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragward.adapters.encoder_onnx import OnnxEncoder
from ragward.adapters.model_manifest import ModelManifest, dimension_of, window_of
from ragward.adapters.names_body import Windows, words_of
from ragward.adapters.names_head import LAYER, Words
from ragward.domain.corpus import Vector
from ragward.domain.errors import IntegrityError

#: Between float32 sums in another order; what changes a rank is a hundred times more (docs/performance.md).
_NEAR: Final = 1e-5


class OnnxEmbedder:
    """`ports.Embedder`. The files are verified when it is made; the model is loaded on first use and has to give the manifest's
    reference vectors then. Thread-safe."""

    def __init__(self, directory: Path, manifest: ModelManifest, threads: int) -> None:
        self._directory, self._manifest = directory, manifest
        self._digest = manifest.digest()
        self._dimension = dimension_of(directory)
        self._encoder = OnnxEncoder(directory, threads=threads, hidden_after=LAYER)
        self._windows: Windows | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(cls, directory: Path, manifest: ModelManifest, *, threads: int = 2) -> OnnxEmbedder:
        """Raises `integrity.model` before anything of the model is read by a library."""
        manifest.verify(directory)
        return cls(directory, manifest, threads)

    @property
    def model_digest(self) -> str:
        """Of the manifest: weights, tokenizer, pooling."""
        return self._digest

    @property
    def dimension(self) -> int:
        """384 for all-MiniLM-L6-v2."""
        return self._dimension

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Unit-length vectors. Raises `integrity.model` where they are not the reference's."""
        return self._embed(self._ready(), texts) if texts else []

    def embed_and_read(self, texts: Sequence[str]) -> tuple[list[Vector], list[tuple[int, Words]]]:
        """The vectors of `embed` and, of the same pass, (index of its text, words with their layer-3 vectors) per window.
        Raises `integrity.model` where the vectors are not the reference's."""
        if not texts:
            return [], []
        windows = self._ready().of(texts)
        vectors: list[Vector] = [[] for _ in texts]
        read: list[tuple[int, Words]] = []
        for at, vector, hidden in self._encoder.both([encoding for _, encoding in windows]):
            index, encoding = windows[at]
            read.append((index, words_of(encoding, hidden)))
            if at == 0 or windows[at - 1][0] != index:  # a text's vector is its first window's
                vectors[index] = vector.tolist()
        return vectors, read

    def _embed(self, windows: Windows, texts: Sequence[str]) -> list[Vector]:
        found: list[Any] = [None] * len(texts)
        for at, vector in self._encoder.vectors(windows.first(texts)):
            found[at] = vector.tolist()
        return found

    def _ready(self) -> Windows:
        with self._lock:
            if self._windows is None:
                windows = Windows(self._directory / "tokenizer.json", window_of(self._directory))
                self._compare(windows)
                self._windows = windows
            return self._windows

    def _compare(self, windows: Windows) -> None:
        reference = self._manifest.reference
        if not reference:
            raise IntegrityError(
                "the model's manifest has no vectors to compare with", code="integrity.model"
            )
        given = np.array(self._embed(windows, [text for text, _ in reference]), np.float32)
        expected = np.array([vector for _, vector in reference], np.float32)
        if given.shape != expected.shape or not (np.abs(given - expected) <= _NEAR).all():
            raise IntegrityError(
                "the model does not give the vectors of its manifest", code="integrity.model"
            )
