"""A question of somebody's, rehearsed for a steward: the query flow itself, and where a named document left it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ragward.domain.access import Grant, Permit
from ragward.domain.admission import drop_reason
from ragward.domain.corpus import DocumentState, StoredChunk
from ragward.domain.explanation import (
    AskedAbout,
    DocumentNamed,
    QueryExplanation,
    ReturnedTold,
)
from ragward.domain.funnel import ChunkTold, Fate, StageTold, stages_told
from ragward.domain.passages import Candidate, RetrievalRequest
from ragward.explanation.asked import Named, StewardQuestion
from ragward.narrowing import MAX_FILTERED_CHUNKS
from ragward.ports import ChunkIndex
from ragward.protection import point_id_of
from ragward.retrieval import Rehearsal, Retrieval

MAX_RANK: Final = 1000
"""How far a chunk that was not near enough is looked for."""
_FURTHEST: Final = {fate: position for position, fate in enumerate(Fate)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsing:
    """One rehearsal. Labels that the steward may not explain are as if nothing were under them."""

    question: StewardQuestion
    retrieval: Retrieval
    index: ChunkIndex
    request: RetrievalRequest

    def run(self, about: AskedAbout, named: Named | None, *, refused: bool) -> QueryExplanation:
        """The funnel, and with a document named how far it came. Who is refused asks nothing."""
        explainable = self.question.explainable()

        def narrow(permit: Permit) -> Permit:
            grants = (
                Grant(
                    labels=frozenset(i for i in grant.labels if i in explainable and not refused),
                    revealed=grant.revealed,
                )
                for grant in permit.grants
            )
            return replace(permit, grants=tuple(grant for grant in grants if grant.labels))

        seen = self.retrieval.rehearse(self.question.steward, about, self.request, narrow)
        told = QueryExplanation(
            about=about,
            stages=(*self._documents(seen.permit), *stages_told(seen.trace)),
            returned=self._returned(seen),
        )
        if named is None:
            return told
        chunks = self._placed(seen, named)
        fate = chunks[0].fate if chunks else Fate.ABSENT
        return replace(told, named=named.document, fate=fate, chunks=chunks)

    # Stages before the search. --------------------------------------------------------------------------------------

    def _documents(self, permit: Permit | None) -> list[StageTold]:
        """How many documents the steward may explain, how many of them are permitted, how many are in the corpora asked for."""
        tenant = self.question.steward.tenant
        counts = self.question.catalog.documents_per_label(tenant)
        labels = self.question.pdp.described(tenant, self.question.explainable())
        known = sum(counts.get(i, 0) for i in labels)
        permitted = {i for i in labels if permit is not None and permit.admits(i)}
        allowed = sum(counts.get(i, 0) for i in permitted)
        stages = [_stage("permitted by policy and label", known, allowed, Fate.LABEL)]
        if self.request.corpora:
            within = sum(
                counts.get(i, 0) for i in permitted if labels[i].corpus in self.request.corpora
            )
            stages.append(_stage("in the corpora asked for", allowed, within, Fate.CORPUS))
        return stages

    def _returned(self, seen: Rehearsal) -> tuple[ReturnedTold, ...]:
        return tuple(
            ReturnedTold(
                rank=passage.rank,
                document=DocumentNamed(
                    document_id=passage.document_id,
                    corpus=passage.corpus,
                    source=passage.source,
                    classification=passage.classification,
                    state=DocumentState.ACTIVE,
                    chunk_id=passage.chunk_id,
                ),
                share=passage.share,
                removed=passage.removed,
            )
            for passage in seen.passages
        )

    # The named document. --------------------------------------------------------------------------------------------

    def _placed(self, seen: Rehearsal, named: Named) -> tuple[ChunkTold, ...]:
        """For each chunk, the point of it that came furthest; the furthest chunk first."""
        nearest = _Nearest(self.retrieval, self.question, self.request, seen)
        best: dict[str, ChunkTold] = {}
        for stored in named.chunks:
            told = self._told(seen, nearest, stored)
            known = best.get(stored.chunk_id)
            if known is None or _FURTHEST[told.fate] > _FURTHEST[known.fate]:
                best[stored.chunk_id] = told
        return tuple(sorted(best.values(), key=_chunk_key))

    def _told(self, seen: Rehearsal, nearest: _Nearest, stored: StoredChunk) -> ChunkTold:
        told = ChunkTold(
            chunk_id=stored.chunk_id,
            ordinal=stored.ordinal,
            view=stored.view,
            fate=Fate.LABEL,
        )
        if seen.permit is None:
            return told
        ended = seen.trace.ended.get(stored.point_id)
        if ended is not None:
            return self._ended(seen, told, ended.fate, ended.other)
        fate = drop_reason(seen.permit, self.request, stored)
        if fate is None and not nearest.admits(stored.point_id):
            fate = Fate.ATTRIBUTES
        if fate is not None:
            return replace(told, fate=fate)
        return self._not_near(seen, nearest, told, stored)

    def _ended(self, seen: Rehearsal, told: ChunkTold, fate: Fate, other: str | None) -> ChunkTold:
        passage = next((p for p in seen.passages if p.chunk_id == told.chunk_id), None)
        if fate is Fate.RETURNED and passage is not None:
            return replace(told, fate=fate, rank=passage.rank, share=passage.share)
        ranked = sorted(seen.trace.candidates.values(), key=lambda c: (-c.score, c.point_id))
        point = point_id_of(told.chunk_id, told.view)
        place = next((at for at, c in enumerate(ranked, start=1) if c.point_id == point), None)
        return replace(
            told,
            fate=fate,
            rank=place,
            considered=len(ranked),
            duplicate_of=self._chunk_of(other) if other is not None else None,
        )

    def _not_near(
        self, seen: Rehearsal, nearest: _Nearest, told: ChunkTold, stored: StoredChunk
    ) -> ChunkTold:
        """Not among the candidates though nothing forbids it: too far from the question, or not where the index looks."""
        own = self.index.score_points(seen.vector, [stored.point_id])
        rank = nearest.rank(stored.point_id)
        if not own or (rank is None and nearest.should_hold(own[0])):
            return replace(told, fate=Fate.NOT_INDEXED)
        considered = list(seen.trace.candidates.values())
        score = cut = None
        if self._may_read(stored):
            score = round(own[0].score, 2)
            cut = round(min((c.score for c in considered), default=0.0), 2)
        return replace(
            told, fate=Fate.NOT_NEAR, rank=rank, considered=len(considered), score=score, cut=cut
        )

    def _may_read(self, stored: StoredChunk) -> bool:
        """Whether the steward could read the chunk as a whole: how near a text is to a question tells about the text."""
        question = self.question
        permit = question.pdp.decide_labels(question.steward, question.context)
        return isinstance(permit, Permit) and (
            permit.admits(stored.label_id)
            and stored.entity_types <= permit.revealed_under(stored.label_id)
        )

    def _chunk_of(self, point_id: str) -> str | None:
        tenant = self.question.steward.tenant
        found = self.question.catalog.stored_chunks(tenant, [point_id]).chunks.get(point_id)
        return None if found is None else found.chunk_id


class _Nearest:
    """What the search would have gone on with, as far as is looked; made when it is needed."""

    def __init__(
        self,
        retrieval: Retrieval,
        question: StewardQuestion,
        request: RetrievalRequest,
        seen: Rehearsal,
    ) -> None:
        self._retrieval, self._question = retrieval, question
        self._request, self._seen = request, seen
        self._ranks: dict[str, int] | None = None
        self._last = 0.0
        self._only: frozenset[str] | None = None

    def admits(self, point_id: str) -> bool:
        """Whether the request's attribute filter does."""
        filters = self._request.filters
        if filters is None:
            return True
        if self._only is None:
            permit = self._seen.permit
            self._only = frozenset(
                self._question.catalog.points_with_attributes(
                    self._question.steward.tenant,
                    filters,
                    admits=permit.admits if permit else lambda _label_id: False,
                    limit=MAX_FILTERED_CHUNKS,
                )
            )
        return point_id in self._only

    def rank(self, point_id: str) -> int | None:
        """Its place, counted from 1."""
        return self._found().get(point_id)

    def should_hold(self, candidate: Candidate) -> bool:
        """Whether a point as near as this one would have been found, had the index had it in the right place."""
        return len(self._found()) < MAX_RANK or candidate.score > self._last

    def _found(self) -> dict[str, int]:
        if self._ranks is None:
            found = self._retrieval.nearest(
                self._question.steward, self._request, self._seen, MAX_RANK
            )
            self._ranks = {c.point_id: place for place, c in enumerate(found, start=1)}
            self._last = found[-1].score if found else 0.0
        return self._ranks


def _stage(stage: str, entered: int, left: int, fate: Fate) -> StageTold:
    lost = {fate.value: entered - left} if entered > left else {}
    return StageTold(stage=stage, unit="documents", entered=entered, left=left, lost=lost)


def _chunk_key(told: ChunkTold) -> tuple[int, int, int]:
    return (-_FURTHEST[told.fate], told.rank or MAX_RANK + 1, told.ordinal)
