"""Embeddings by sentence-transformers: offline, one pinned model, safetensors only, no code from the model."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragward.adapters.egress import stay_offline
from ragward.adapters.model_manifest import ModelManifest
from ragward.adapters.names_body import Windows, batches, padded, words_of
from ragward.adapters.names_head import LAYER, Words
from ragward.domain.corpus import Vector
from ragward.domain.errors import ConfigurationError

_BATCH = 32


class SentenceTransformersEmbedder:
    """`ports.Embedder`. The files are verified when it is made; the model is loaded on first use, because that takes
    seconds and not every command embeds. Thread-safe: one call at a time runs in the model."""

    def __init__(self, directory: Path, manifest: ModelManifest, threads: int) -> None:
        self._directory, self._threads = directory, threads
        self._digest = manifest.digest()
        self._dimension = _dimension(directory)
        self._model: Any = None
        self._windows: Any = None
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

    def embed_and_read(self, texts: Sequence[str]) -> tuple[list[Vector], list[tuple[int, Words]]]:
        """The vectors of `embed` and, of the same pass, (index of its text, words with their layer-3 vectors) per window."""
        import torch

        if not texts:
            return [], []
        with self._lock:
            if self._model is None:
                self._model = self._loaded()
            if self._windows is None:
                self._windows = Windows(self._directory / "tokenizer.json")
            windows = self._windows.of(texts)
            vectors: list[Vector] = [[] for _ in texts]
            read: list[tuple[int, Words]] = []
            with torch.inference_mode():
                for batch in batches(windows):
                    inputs = padded([windows[at][1] for at in batch])
                    out = self._model[0].auto_model(**inputs, output_hidden_states=True)
                    given = {
                        "token_embeddings": out.last_hidden_state,
                        "attention_mask": inputs["attention_mask"],
                    }
                    pooled = self._model[1](given)["sentence_embedding"]
                    unit = torch.nn.functional.normalize(pooled, dim=1).numpy()
                    hidden = out.hidden_states[LAYER].numpy()
                    for row, at in enumerate(batch):
                        index, encoding = windows[at]
                        read.append((index, words_of(encoding, hidden[row, : len(encoding.ids)])))
                        vectors[index] = vectors[index] or unit[row].tolist()
        return vectors, read

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


def _dimension(directory: Path) -> int:
    import json

    try:
        pooling = json.loads((directory / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        return int(pooling.get("word_embedding_dimension", pooling.get("embedding_dimension")))
    except (OSError, ValueError, TypeError):
        raise ConfigurationError("the model lacks its pooling configuration") from None
