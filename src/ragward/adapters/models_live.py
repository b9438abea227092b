"""Which generation of vectors answers now, and the models of all of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from ragward.domain.corpus import Vector
from ragward.domain.errors import ConfigurationError
from ragward.domain.generations import EmbeddedQuery, Generation, Generations
from ragward.ports import Clock, Embedder, GenerationStore

REMEMBERED_SECONDS: Final = 1.0
"""How long a process may go on answering from a generation after another took its place: it is kept until it is dropped."""


class ModelGenerations:
    """`ports.LiveModels`, over the catalog's record. Thread-safe."""

    def __init__(self, store: GenerationStore, embedders: Sequence[Embedder], clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._first = embedders[0]
        self._embedders: dict[str, Embedder] = {each.model_digest: each for each in embedders}
        self._lock = threading.Lock()
        self._known: tuple[float, Generations] | None = None

    def read(self) -> Generations:
        """As it is on record now. Raises `unavailable.catalog`, `integrity.model`."""
        found = self._store.generations()
        if found is None:
            found = Generations.first(self._first.model_digest, self._first.dimension)
        with self._lock:
            self._known = (self._clock.monotonic(), found)
        return found

    def remembered(self) -> Generations:
        """As it was on record a second ago at most."""
        known = self._known
        if known is None or not 0 <= self._clock.monotonic() - known[0] < REMEMBERED_SECONDS:
            return self.read()
        return known[1]

    def serving(self) -> tuple[Generation, Embedder]:
        """The one that answers, and its model."""
        found = self.remembered().serving
        return found, self.embedder_of(found)

    def live(self) -> Mapping[int, Embedder]:
        """Read anew. Raises `config.model_mismatch`."""
        return {each.number: self.embedder_of(each) for each in self.read().live}

    def waiting(self) -> Sequence[Embedder]:
        """Models that no generation is of."""
        taken = {each.model for each in self.read().all}
        return [
            each
            for digest, each in self._embedders.items()
            if digest not in taken and each is not self._first
        ]

    @property
    def several(self) -> bool:
        """Whether there is more than one model in this process."""
        return len(self._embedders) > 1

    def digests(self) -> str:
        """All models of this process: who shares an installation has the same."""
        return ",".join(self._embedders)

    def embedder_of(self, generation: Generation) -> Embedder:
        """Raises `config.model_mismatch` where this process does not have it."""
        found = self._embedders.get(generation.model)
        if found is None or found.dimension != generation.dimension:
            raise ConfigurationError(
                f"generation {generation.number} of vectors is of a model that the settings do not name",
                code="config.model_mismatch",
            )
        return found


class ServingEmbedder:
    """`ports.Embedder` for questions: by the model of the generation that answers, which the vectors then name."""

    def __init__(self, models: ModelGenerations) -> None:
        self._models = models

    @property
    def model_digest(self) -> str:
        """Of the model that answers now."""
        return self._models.serving()[1].model_digest

    @property
    def dimension(self) -> int:
        """Of the model that answers now."""
        return self._models.serving()[1].dimension

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """All by one model."""
        generation, embedder = self._models.serving()
        return [EmbeddedQuery(vector, generation.number) for vector in embedder.embed(texts)]
