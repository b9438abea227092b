"""Another embedding model, while everything goes on: its vectors are made beside those that answer, then it takes their place.

    build      for every document version that lacks them: open, embed every view, encrypt under the version's own key, store;
               writes meanwhile make the vectors of both. Killed, it goes on where it was: what is stored is done
    switch     gated: no vector may lack, and the canary queries are answered no worse; from then on the new ones answer
    roll back  the ones before answer again, at once: they were kept up to date
    drop       the ones that do not answer are removed, from catalog, index and memory

Who may read what does not depend on any of this: vectors are candidates, and every candidate is decided on in the catalog.
These are acts on the installation as a whole, like `ragward upgrade`: they need its keys, not a token, and are recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.canary import KEY as CANARY
from ragward.canary import ModelCanary
from ragward.domain.audit import EventType
from ragward.domain.canary import CanaryRecord, regressions
from ragward.domain.corpus import DocumentRecord, Pending, StoredChunk, View
from ragward.domain.errors import (
    ConfigurationError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.generations import Generation, Generations, GenerationState
from ragward.domain.words import word_weights
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import (
    Catalog,
    Clock,
    Embedder,
    Finder,
    GenerationalIndex,
    Lacking,
    LiveModels,
)
from ragward.protection import Protection, contents

_AT_ONCE: Final = 16
"""Documents embedded together, and lost together when the process is killed."""
_REMOVED_AT_ONCE: Final = 1000

Progress = Callable[[int, int], None]
"""(vectors there are, vectors there are to be)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReembeddingPorts:
    """Everything this flow talks to."""

    catalog: Catalog
    models: LiveModels
    protection: Protection
    index: GenerationalIndex
    index_sync: IndexSync
    finder: Finder
    recorder: Recorder
    clock: Clock
    grace_seconds: float
    """How long a request that began before a switch may still be under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One run: documents done, what stood in the way of others by code, and how far it is."""

    generation: Generation
    documents: int
    failed: Mapping[str, int] = field(default_factory=dict)
    lacking: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What came of a switch; refused, everything is as it was."""

    accepted: bool
    serving: Generation
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One text to embed."""

    point: StoredChunk
    text: str = field(repr=False)


class Reembedding:
    """Builds, switches, rolls back, drops."""

    def __init__(self, ports: ReembeddingPorts) -> None:
        self._ports = ports

    def status(self) -> tuple[Generations, Mapping[int, tuple[int, int]]]:
        """What there is, and per generation (vectors that lack, vectors there are to be)."""
        found = self._ports.models.read()
        counts = {each.number: self._ports.catalog.count_lacking(each.number) for each in found.all}
        return found, counts

    def build(self, progress: Progress = lambda _done, _total: None) -> Built:
        """Begins a generation of the model that the settings add, or goes on with the one that is being built.

        Raises `config.generation`, `config.model_mismatch`, every `UnavailableError`."""
        generation = self._begun()
        embedder = self._ports.models.embedder_of(generation)
        failed: Counter[str] = Counter()
        lacking, total = self._ports.catalog.count_lacking(generation.number)
        documents, made, after = 0, total - lacking, ""
        while page := self._ports.catalog.documents_lacking(
            generation.number, after=after, limit=_AT_ONCE
        ):
            stored = self._embed(page, generation, embedder, failed)
            self._ports.index_sync.run()
            after = page[-1].document_id
            documents, made = documents + len(stored), made + sum(stored)
            progress(
                min(made, total), total
            )  # counting anew each time would take longer than the work
        lacking, total = self._ports.catalog.count_lacking(generation.number)
        self._record("built", generation, documents=documents, lacking=lacking)
        return Built(
            generation=generation,
            documents=documents,
            failed=failed,
            lacking=lacking,
            total=total,
        )

    def switch(self) -> Switched:
        """The generation that was built answers from now on, unless it answers the canary queries worse.

        Raises `config.generation` while a vector lacks or there is nothing to switch to."""
        found = self._ports.models.read()
        to = self._beside(found, GenerationState.BUILDING)
        now = self._canary(to).measured()
        stored = self._ports.catalog.meta(CANARY)
        before = (
            self._canary(found.serving).measured()
            if stored is None
            else CanaryRecord.from_text(stored)
        )
        if problems := regressions(before, now):
            details = {"model": now.model_digest, "problems": list(problems)}
            self._ports.recorder.record(EventType.MODEL_REFUSED, None, "refused", details)
            return Switched(accepted=False, serving=found.serving, problems=problems)
        return self._switched(to, now, "switched")

    def roll_back(self) -> Switched:
        """The generation that answered before answers again. Raises `config.generation` where there is none."""
        to = self._beside(self._ports.models.read(), GenerationState.STANDBY)
        return self._switched(to, self._canary(to).measured(), "rolled back")

    def drop(self) -> Generation:
        """Removes the generation that does not answer; killed, it is finished by another call. Returns it.

        Raises `config.generation` where there is none."""
        ports = self._ports
        found = ports.models.read().other()
        if found is None:
            raise ConfigurationError("there is nothing to drop", code="config.generation")
        self._record("dropping", found)
        ports.catalog.begin_drop(found.number)
        ports.models.read()
        if found.state is not GenerationState.BUILDING:
            ports.clock.sleep(ports.grace_seconds)  # for answers that began before the switch
        while ports.catalog.remove_vectors(found.number, limit=_REMOVED_AT_ONCE):
            pass
        ports.index.forget(found.number)
        ports.catalog.finish_drop(found.number)
        ports.models.read()
        self._record("dropped", found)
        return found

    # Building. ------------------------------------------------------------------------------------------------------

    def _begun(self) -> Generation:
        found = self._ports.models.read()
        other = found.other()
        if other is not None:
            if not other.is_live:
                raise ConfigurationError(
                    "a generation is being dropped: finish that", code="config.generation"
                )
            return other
        waiting = self._ports.models.waiting()
        if len(waiting) != 1:
            raise ConfigurationError(
                "name one further model in search_models", code="config.generation"
            )
        [embedder] = waiting
        details = {"act": "begun", "model": embedder.model_digest}
        self._ports.recorder.record(EventType.GENERATION_CHANGED, None, "permit", details)
        return self._ports.catalog.start_generation(
            found, embedder.model_digest, embedder.dimension
        )

    def _embed(
        self,
        page: Sequence[Lacking],
        generation: Generation,
        embedder: Embedder,
        failed: Counter[str],
    ) -> list[int]:
        """Of these documents, embedded together; returns how many vectors each got that was done."""
        opened: list[tuple[DocumentRecord, list[_View]]] = []
        for each in page:
            try:
                record = self._ports.catalog.get_document(each.tenant, each.document_id)
                if record.pending is Pending.REWRAP:
                    failed["rewrap_pending"] += 1
                elif views := self._views(record):
                    opened.append((record, views))
            except NotFoundError:
                continue  # gone meanwhile
            except IntegrityError as damaged:
                failed[damaged.code] += 1
                details = {"code": damaged.code, "document": each.document_id}
                self._ports.recorder.record(
                    EventType.INTEGRITY_FAILURE, None, "dropped", details, tenant=each.tenant
                )
        vectors = iter(embedder.embed([view.text for _, views in opened for view in views]))
        made = [(record, [(view, next(vectors)) for view in views]) for record, views in opened]
        return [len(of) for record, of in made if self._stored(record, generation, of)]

    def _views(self, record: DocumentRecord) -> list[_View]:
        """The texts that its points were made from."""
        protection = self._ports.protection
        points = self._ports.catalog.document_chunks(record.tenant, record.document_id)
        if not points or points[0].version != record.version:
            return []
        full = [point for point in points if point.view is View.FULL]
        opened = contents(protection.opened(full, None))
        by_chunk = {p.chunk_id: content for p, content in zip(full, opened, strict=True)}
        found: list[_View] = []
        for point in points:
            content = by_chunk[point.chunk_id]
            text = content.text
            if point.view is View.REDACTED:
                text = protection.redactor.redact(text, content.spans, frozenset()).text
            found.append(_View(point=point, text=text))
        return found

    def _stored(
        self,
        record: DocumentRecord,
        generation: Generation,
        made: Sequence[tuple[_View, list[float]]],
    ) -> bool:
        """Unless the document was changed meanwhile: then whoever changed it has made the vectors, or the next run does."""
        protection, first = self._ports.protection, made[0][0].point
        encryption = protection.version_of(first, None)
        key = protection.words_key(record.tenant)
        blobs = {
            view.point.point_id: encryption.vector_blob(
                view.point.point_id, generation.number, vector, word_weights(view.text, key)
            )
            for view, vector in made
        }
        return self._ports.catalog.add_vectors(
            record.tenant,
            record.document_id,
            record.version,
            first.key.dek_id,
            generation.number,
            blobs,
        )

    # Switching. -----------------------------------------------------------------------------------------------------

    def _switched(self, to: Generation, now: CanaryRecord, act: str) -> Switched:
        ports = self._ports
        try:
            ports.index_sync.run()
        except UnavailableError as away:
            if away.code != "unavailable.keys":
                raise
            # what is still owed is scored from the catalog, and waits for its key in any generation
        self._record(act, to)
        ports.catalog.switch_generation(to.number, {CANARY: now.to_text()})
        return Switched(accepted=True, serving=ports.models.read().serving)

    def _beside(self, found: Generations, state: GenerationState) -> Generation:
        other = found.other()
        if other is None or other.state is not state:
            raise ConfigurationError(
                f"there is no generation that is {state.value}", code="config.generation"
            )
        return other

    def _canary(self, generation: Generation) -> ModelCanary:
        ports = self._ports
        return ModelCanary(
            catalog=ports.catalog,
            embedder=ports.models.embedder_of(generation),
            finder=ports.finder,
            recorder=ports.recorder,
        )

    def _record(self, act: str, generation: Generation, **more: int) -> None:
        details = {"act": act, "generation": generation.number, "model": generation.model} | more
        self._ports.recorder.record(
            EventType.GENERATION_CHANGED, None, "permit", details, durable=True
        )
