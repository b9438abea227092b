"""Generations of vectors: what the catalog keeps of them, and an index that has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragward.domain.generations import Generation, Generations
from ragward.ports.content import Embedder
from ragward.ports.index import ChunkIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A current document version that lacks vectors of a generation."""

    tenant: str
    document_id: str


class GenerationStore(Protocol):
    """The record of generations, and vectors that are made later than their document."""

    def generations(self) -> Generations | None:
        """None as long as nobody has begun a second one. Raises `integrity.model`."""

    def start_generation(self, before: Generations, model: str, dimension: int) -> Generation:
        """A generation to be built; `before` is what there is where nothing is on record. Raises `config.generation`."""

    def count_lacking(self, generation: int) -> tuple[int, int]:
        """(points of current versions without a vector of it, all points of current versions), of all tenants."""

    def documents_lacking(
        self, generation: int, *, after: str = "", limit: int
    ) -> Sequence[Lacking]:
        """Of all tenants, by id, from after an id on."""

    def add_vectors(
        self,
        tenant: str,
        document_id: str,
        version: int,
        dek_id: str,
        generation: int,
        blobs: Mapping[str, bytes],
    ) -> bool:
        """Stores vectors by point, and owes them to the index; False, and nothing stored, if the version, its key or the
        generation is not what it was. Points that are gone, or have one, are left out."""

    def switch_generation(self, number: int, also: Mapping[str, str]) -> Generations:
        """Another generation answers, and `also` is on record (see `Catalog.set_meta`), at once. Raises `config.generation`, also
        while a point lacks its vector."""

    def begin_drop(self, number: int) -> Generations:
        """From here on no write makes vectors of it. Again is fine. Raises `config.generation`."""

    def remove_vectors(self, number: int, *, limit: int) -> int:
        """Removes up to so many vectors of a generation that is being dropped; returns how many."""

    def finish_drop(self, number: int) -> Generations:
        """Forgets it. Raises `config.generation` while it has vectors, or is not being dropped."""


class LiveModels(Protocol):
    """The models of generations."""

    def live(self) -> Mapping[int, Embedder]:
        """For a write: by generation, read anew. Raises `config.model_mismatch` where one is not in this process."""

    def read(self) -> Generations:
        """What there is, read anew."""

    def embedder_of(self, generation: Generation) -> Embedder:
        """Raises `config.model_mismatch`."""

    def waiting(self) -> Sequence[Embedder]:
        """Models of this process that no generation is of."""


class GenerationalIndex(ChunkIndex, Protocol):
    """An index with a part for each generation. A vector that says whose it is (`EmbeddedQuery`) meets that part only; another
    one meets the part that answers now."""

    def forget(self, generation: int) -> None:
        """Removes a generation's part with its files."""
