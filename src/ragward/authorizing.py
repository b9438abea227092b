"""From a search to authorized chunks: every candidate decided again on what the catalog says, then decrypted and verified.

A lot at a time and no further than is asked for: an answer of ten passages reads and opens about ten chunks, and more only
where re-checks, near-duplicates or the cap on a document leave too few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Final

from ragward.answers import Tally
from ragward.disclosure import Disclosure
from ragward.domain.access import Permit, Subject
from ragward.domain.admission import drop_reason, joined
from ragward.domain.audit import EventType
from ragward.domain.content import ChunkContent
from ragward.domain.corpus import StoredChunk
from ragward.domain.errors import IntegrityError, NotFoundError, RagwardError
from ragward.domain.findings import Verdict, verdict_now
from ragward.domain.funnel import Fate
from ragward.domain.keys import Reading
from ragward.domain.marking import SourceTrust
from ragward.domain.passages import Admitted, AuthorizedChunk, Candidate, RetrievalRequest
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.ports import Catalog, ChunkIndex, Screener
from ragward.protection import Protection
from ragward.searching import Question, Search, Within

_SLACK: Final = 10
_LOT_SLACK: Final = 2
_GROWTH: Final = 4
_MAX_SEEN: Final = 20_000


class EpochMovedError(Exception):
    """Permissions moved under an answer, which is decided again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at an answer."""

    subject: Subject
    request: RetrievalRequest
    permit: Permit
    tally: Tally
    pseudonyms: bool = False
    """whether values may get pseudonyms: in an answer, not in a rehearsal"""

    @property
    def enough(self) -> int:
        """How many chunks an answer is made of at most: some repeat others, or are of one document."""
        return self.request.limit * 2 + _SLACK

    @property
    def lot(self) -> int:
        """How many are read and opened at once: a few more than wanted, because another lot is another read."""
        return self.request.limit + _LOT_SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizing:
    """The re-check and the opening. Thread-safe."""

    index: ChunkIndex
    catalog: Catalog
    protection: Protection
    disclosure: Disclosure
    screener: Screener
    trust: SourceTrust
    recorder: Recorder

    def lots(
        self, attempt: Attempt, question: Question, within: Within, only: Collection[str] | None
    ) -> Iterator[list[AuthorizedChunk]]:
        """The chunks that the permit admits, best first, in lots. Raises `EpochMovedError`, `unavailable.keys`."""
        searches = question.searches(within)
        # Lists that are joined by rank are looked at as far down as is enough, so they are read at once.
        size = attempt.lot if len(searches) == 1 else attempt.enough
        rankings = [self._ranking(attempt, search, only, size) for search in searches]
        admitted = rankings[0] if len(rankings) == 1 else self._joined(attempt, question, rankings)
        for lot in admitted:
            with attempt.tally.stage("decrypt"):
                opened = self._opened(attempt, lot)
            if attempt.pseudonyms:
                with attempt.tally.stage("pseudonyms"):
                    opened = self.disclosure.with_tokens(
                        attempt.subject.tenant, attempt.tally.purpose, opened
                    )
            yield opened

    # Candidates, decided again. -------------------------------------------------------------------------------------

    def _ranking(
        self, attempt: Attempt, search: Search, only: Collection[str] | None, lot: int
    ) -> Iterator[list[Admitted]]:
        """What one search finds and the permit admits, read in lots of that many.

        While what was found is not enough, searches again and wider without those seen: points that the index has in a wrong
        place must not shorten an answer, or their number would show in it.
        """
        size = attempt.enough
        seen: set[str] = set()
        while len(seen) < _MAX_SEEN:
            with attempt.tally.stage("search"):
                found = search.best(size, seen, only)
            attempt.tally.searches += 1
            fresh = [candidate for candidate in found if candidate.point_id not in seen]
            attempt.tally.trace.found(fresh)
            seen.update(candidate.point_id for candidate in fresh)
            for start in range(0, len(fresh), lot):
                with attempt.tally.stage("read"):
                    admitted = self._admitted(attempt, fresh[start : start + lot], search)
                yield admitted
            if len(fresh) < size:
                return
            size *= _GROWTH

    def _admitted(
        self, attempt: Attempt, candidates: Sequence[Candidate], search: Search
    ) -> list[Admitted]:
        """ONE catalog read, in one state with the epoch, which is the permit's; then the decision on each label."""
        snapshot = self.catalog.stored_chunks(
            attempt.subject.tenant, [candidate.point_id for candidate in candidates]
        )
        if snapshot.epoch != attempt.permit.epoch:
            raise EpochMovedError
        admitted = []
        for candidate in candidates:
            stored = snapshot.chunks.get(candidate.point_id)
            fate = drop_reason(attempt.permit, attempt.request, stored) or self._untrusted(stored)
            if stored is None or fate:
                attempt.tally.drop(candidate.point_id, fate or Fate.ABSENT)
                self._notice(attempt, stored)
                continue
            similarity = candidate.score if search.by_vector else None
            admitted.append(Admitted(stored=stored, score=candidate.score, similarity=similarity))
        return admitted

    def _notice(self, attempt: Attempt, stored: StoredChunk | None) -> None:
        if stored is not None:
            notice(self.recorder, attempt.subject, stored.label, stored.document_id, "search")

    def _untrusted(self, stored: StoredChunk | None) -> Fate | None:
        """Why a chunk is not answered whose source is trusted less than the handling of its classification demands."""
        if stored is None:
            return None
        profile = self.protection.handling[stored.label.classification]
        flagged = stored.verdict == Verdict.FLAG
        trust = self.trust.of(stored.label.tenant, stored.corpus, stored.source, flagged=flagged)
        return None if profile.is_trusted(trust) else Fate.UNTRUSTED

    def _joined(
        self, attempt: Attempt, question: Question, rankings: Sequence[Iterator[list[Admitted]]]
    ) -> Iterator[list[Admitted]]:
        """By rank, as far down as is enough, then further. What only words found gets its similarity, by which its sentences
        are chosen."""
        sources = [chain.from_iterable(ranking) for ranking in rankings]
        lists: list[list[Admitted]] = [[] for _ in rankings]
        given: set[str] = set()
        step = attempt.enough
        while True:
            added = [list(islice(source, step)) for source in sources]
            if not any(added):
                return
            for ranking, more in zip(lists, added, strict=True):
                ranking.extend(more)
            fresh = [one for one in joined(lists) if one.stored.point_id not in given]
            given.update(one.stored.point_id for one in fresh)
            for start in range(0, len(fresh), attempt.lot):
                yield self._with_similarity(attempt, question, fresh[start : start + attempt.lot])
            step *= _GROWTH

    def _with_similarity(
        self, attempt: Attempt, question: Question, lot: list[Admitted]
    ) -> list[Admitted]:
        others = [one.stored.point_id for one in lot if one.similarity is None]
        near: dict[str, float] = {}
        if others and question.vector is not None:
            with attempt.tally.stage("search"):
                scored = self.index.score_points(question.vector, others)
            near = {candidate.point_id: candidate.score for candidate in scored}
        return [
            one
            if one.similarity is not None
            else replace(one, similarity=near.get(one.stored.point_id, 0.0))
            for one in lot
        ]

    # Opening. -------------------------------------------------------------------------------------------------------

    def _opened(self, attempt: Attempt, lot: Sequence[Admitted]) -> list[AuthorizedChunk]:
        """Decrypts and verifies; what cannot be answered is dropped and counted."""
        reading = Reading(subject=attempt.subject, epoch=attempt.permit.epoch)
        contents = self.protection.opened([one.stored for one in lot], reading)
        opened = []
        for one, content in zip(lot, contents, strict=True):
            if isinstance(content, RagwardError):
                self._refused(attempt, one.stored, content)
            elif (chunk := self._answerable(attempt, one, content)) is not None:
                opened.append(chunk)
        return opened

    def _answerable(
        self, attempt: Attempt, one: Admitted, content: ChunkContent
    ) -> AuthorizedChunk | None:
        stored, tally = one.stored, attempt.tally
        if self._raised(stored, content.text):
            tally.drop(stored.point_id, Fate.QUARANTINED)
            return None
        grant = attempt.permit.grant_of(stored.label_id)
        level = self.protection.handling[stored.label.classification]
        spans = self.disclosure.current_spans(content, level.stale_spans)
        if grant is None or spans is None:
            tally.drop(stored.point_id, Fate.STALE_SPANS)
            return None
        return AuthorizedChunk(
            stored=stored,
            score=one.score,
            text=content.text,
            spans=spans,
            revealed=grant.revealed,
            similarity=one.similarity or 0.0,
            shown_as=self.disclosure.shown_as(attempt.subject.tenant, tally.purpose, grant),
        )

    def _refused(self, attempt: Attempt, stored: StoredChunk, why: RagwardError) -> None:
        """What does not verify, or a key broker does not open to this subject, is dropped; a key that is away ends the answer."""
        if isinstance(why, IntegrityError):
            attempt.tally.drop(stored.point_id, Fate.INTEGRITY)
            details = {"code": why.code, "chunk": stored.chunk_id, "document": stored.document_id}
            self.recorder.record(EventType.INTEGRITY_FAILURE, attempt.subject, "dropped", details)
        elif isinstance(why, NotFoundError):
            attempt.tally.drop(stored.point_id, Fate.LABEL)
        else:
            raise why

    def _raised(self, stored: StoredChunk, text: str) -> bool:
        """Whether rules newer than those the chunk was screened with hold it back."""
        if stored.rule_set == self.screener.rule_set:
            return False
        verdict = verdict_now(Verdict(stored.verdict), stored.rules, self.screener.screen(text))
        return verdict is Verdict.QUARANTINE
