"""What reading a document gives, before anything is decided about it: its text, cut, searched, judged and embedded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ragward.domain.corpus import ExtractedText, ScannedChunk, Vector, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """One document, read. Depends on its bytes, its name and the analysers' versions alone, so it can be made anywhere."""

    extracted: ExtractedText
    chunks: tuple[ScannedChunk, ...] = field(repr=False)
    vectors: Mapping[tuple[int, View], Vector] = field(repr=False)
    """By (ordinal, view), of every view of every chunk."""
    title: str = field(repr=False)
    """The document's, or the file's name, without personal data."""
    suspicious: bool
    """Whether its text, or text hidden in it, tries to give a model orders."""
    detector: str
    model_digest: str
    chunker: str = ""
    """Version of what cut it."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Finds of personal data by type."""
        return Counter(span.entity_type for item in self.chunks for span in item.spans)

    @property
    def full_vectors(self) -> list[Vector]:
        """One per chunk, of its whole text, in order."""
        return [self.vectors[item.chunk.ordinal, View.FULL] for item in self.chunks]
