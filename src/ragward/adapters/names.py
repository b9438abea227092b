"""Names of people, places and organizations: the trained head over the embedding model that is loaded anyway.

At ingest the pass that makes the vectors is read from (`read_chunks`); for single texts its first three layers run alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ragward.adapters.names_body import ShortBody
from ragward.adapters.names_head import NamesHead, Words
from ragward.domain.corpus import Vector
from ragward.domain.findings import Span

#: Added to the log odds of a name: what is missed costs more than what is hidden needlessly.
STANDARD_BIAS = 1.5
STRICT_BIAS = 2.5


class EmbedsAndReads(Protocol):
    """An embedder whose pass also yields the words of the texts."""

    def embed_and_read(
        self, texts: Sequence[str]
    ) -> tuple[list[Vector], list[tuple[int, Words]]]: ...


class NamesDetector:
    """The head and the two ways to feed it. Thread-safe."""

    def __init__(
        self,
        embedder: EmbedsAndReads,
        directory: Path,
        *,
        strict: bool = False,
        threads: int = 2,
    ) -> None:
        self._embedder = embedder
        self._head, digest = NamesHead.shipped()
        self._body = ShortBody(directory, threads=threads)
        self._bias = STRICT_BIAS if strict else STANDARD_BIAS
        self.version = f"head-{digest[:12]}+{self._bias}"

    def read_chunks(self, texts: Sequence[str]) -> tuple[list[Vector], list[list[Span]]]:
        """The vectors of the texts, and the names in each, from one pass."""
        vectors, read = self._embedder.embed_and_read(texts)
        return vectors, self._named(texts, read)

    def read(self, texts: Sequence[str]) -> list[list[Span]]:
        """The names in each text."""
        return self._named(texts, self._body.read(texts)) if texts else []

    def _named(self, texts: Sequence[str], read: Sequence[tuple[int, Words]]) -> list[list[Span]]:
        found: list[list[Span]] = [[] for _ in texts]
        for index, words in read:
            found[index] += self._head.names(texts[index], words, bias=self._bias)
        return found
