"""Chunks by semchunk, counted with the embedding model's own tokenizer."""

from __future__ import annotations

import hashlib
import threading
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ragward.domain.corpus import Chunk

_WINDOW = 200_000


class SemchunkChunker:
    """`ports.Chunker`: paragraphs and sentences kept together up to `max_tokens`. Thread-safe."""

    def __init__(self, tokenizer_file: Path, max_tokens: int = 200) -> None:
        self._file, self._max_tokens = tokenizer_file, max_tokens
        self._chunker: Any = None
        self._tokenizer: Any = None
        self._lock = threading.Lock()

    @cached_property
    def version(self) -> str:
        """Library, size and tokenizer."""
        with self._file.open("rb") as file:
            tokenizer = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        return f"semchunk-{version('semchunk')}/{self._max_tokens}/{tokenizer}"

    def chunk(self, text: str) -> list[Chunk]:
        """Pieces with exact offsets; white space alone is no chunk."""
        self._load()
        chunks: list[Chunk] = []
        for base in range(0, len(text), _WINDOW):  # bounded memory on pathological texts
            pieces, offsets = self._chunker(text[base : base + _WINDOW], offsets=True)
            for piece, (start, end) in zip(pieces, offsets, strict=True):
                if piece.strip():
                    chunks.append(
                        Chunk(
                            ordinal=len(chunks),
                            start=base + start,
                            end=base + end,
                            text=text[base + start : base + end],
                        )
                    )
        return chunks

    def count_tokens(self, text: str) -> int:
        """Tokens of the model's tokenizer."""
        self._load()
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _load(self) -> None:
        with self._lock:
            if self._chunker is None:
                import semchunk
                from tokenizers import Tokenizer

                tokenizer = Tokenizer.from_file(str(self._file))
                tokenizer.no_truncation()
                tokenizer.no_padding()
                self._tokenizer = tokenizer
                count = lru_cache(maxsize=65_536)(
                    lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
                )
                self._chunker = semchunk.chunkerify(count, self._max_tokens, memoize=False)
