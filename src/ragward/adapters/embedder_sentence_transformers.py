"""Embeddings by sentence-transformers: offline, a pinned model of any architecture, safetensors only, no code from the model."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragward.adapters.egress import stay_offline
from ragward.adapters.model_manifest import ModelManifest, dimension_of
from ragward.domain.corpus import Vector

_BATCH = 32


class SentenceTransformersEmbedder:
    """`ports.Embedder`. The files are verified when it is made; the model is loaded on first use, because that takes
    seconds and not every command embeds. Thread-safe: one call at a time runs in the model."""

    def __init__(self, directory: Path, manifest: ModelManifest, threads: int) -> None:
        self._directory, self._threads = directory, threads
        self._digest = manifest.digest()
        self._dimension = dimension_of(directory)
        self._model: Any = None
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, directory: Path, manifest: ModelManifest, *, threads: int = 2
    ) -> SentenceTransformersEmbedder:
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
        """Unit-length vectors."""
        if not texts:
            return []
        with self._lock:
            if self._model is None:
                self._model = self._loaded()
            vectors = self._model.encode(
                list(texts),
                batch_size=_BATCH,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return [vector.tolist() for vector in vectors]

    def _loaded(self) -> Any:
        stay_offline()
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # of loading weights: it would run through our own output
        torch.set_num_threads(self._threads)
        return SentenceTransformer(
            str(self._directory),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
