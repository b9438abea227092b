"""READ FIRST. The query flow: the policy enforcement point, one step a line, data flowing down.

    credential       -> Subject            verified; application, person and agents kept apart
    query            -> checked query      bounded, normalised, screened (flagged, not refused)
    Subject          -> Permit             Casbin decides labels, not chunks
    query            -> Candidates         a search within the permit, by vectors, words or both
    Candidates       -> AuthorizedChunks   ONE catalog read: authoritative label, state, key, ciphertext, epoch
    AuthorizedChunks -> redacted texts     personal data by entitlement; all that follows sees only these
    redacted texts   -> Passages           near-duplicates out, sentences that answer kept, budget held
    Passages         -> receipt            recorded before it is given: cannot record, cannot answer

What the index returns is a candidate, never an answer: it may be stale, tampered with or lost.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ragward.answers import Answers, Tally
from ragward.disclosure import Disclosure
from ragward.domain.access import Context, Credentials, Deny, Permit, Subject
from ragward.domain.admission import (
    capped_per_document,
    check_bounds,
    checked_query,
    drop_reason,
    joined,
    passage,
)
from ragward.domain.assurance import Assuring
from ragward.domain.audit import EventType
from ragward.domain.corpus import (
    CatalogSnapshot,
    StoredChunk,
    Vector,
)
from ragward.domain.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    RagwardError,
    RequestRefusedError,
    UnavailableError,
)
from ragward.domain.explanation import AskedAbout
from ragward.domain.findings import Span, Verdict, verdict_now
from ragward.domain.funnel import Fate, Trace
from ragward.domain.keys import Reading
from ragward.domain.marking import SourceTrust
from ragward.domain.minimization import LeftOut, Shown, minimize
from ragward.domain.passages import (
    Answer,
    AuthorizedChunk,
    Candidate,
    Passage,
    RetrievalRequest,
    SearchMode,
)
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.narrowing import in_reading_order, narrowed
from ragward.ports import (
    Catalog,
    ChunkIndex,
    Clock,
    EpochTokens,
    IdentityVerifier,
    Limiter,
    PolicyDecisionPoint,
    ScopeDirectory,
    Screener,
    Watch,
)
from ragward.protection import Protection
from ragward.receipting import Receipting
from ragward.searching import Question, Search, VectorSearch, Within
from ragward.task_budgets import TaskBudgets

_SLACK: Final = 10
_REFILL_GROWTH: Final = 4
_MAX_SEEN: Final = 20_000
_OPENED_AT_ONCE: Final = 16
_REDECISIONS: Final = 2
_EPOCH_WAIT_SECONDS: Final = 2.0
_EPOCH_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalPorts:
    """Everything the query flow talks to."""

    identity: IdentityVerifier
    limiter: Limiter
    screener: Screener
    trust: SourceTrust
    pdp: PolicyDecisionPoint
    scopes: ScopeDirectory
    index: ChunkIndex
    catalog: Catalog
    protection: Protection
    disclosure: Disclosure
    recorder: Recorder
    receipting: Receipting
    epoch_tokens: EpochTokens
    watch: Watch
    clock: Clock
    assuring: Assuring
    tally: Callable[[Clock], Tally] = Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What an answer to somebody would have been, and what became of every candidate. Without a permit nothing was looked at."""

    permit: Permit | None
    passages: tuple[Passage, ...]
    trace: Trace
    vector: Vector = field(repr=False)


class Retrieval:
    """Answers questions with what the asker may know. Thread-safe."""

    def __init__(self, ports: RetrievalPorts) -> None:
        self._ports = ports
        self._record = ports.recorder.record
        self._answers = Answers(
            protection=ports.protection,
            recorder=ports.recorder,
            receipting=ports.receipting,
            epoch_tokens=ports.epoch_tokens,
            budgets=TaskBudgets(store=ports.catalog),
            watch=ports.watch,
        )

    def retrieve(self, credentials: Credentials, request: RetrievalRequest) -> Answer:
        """The passages `credentials` may see, best first, with a receipt.

        Raises every `RequestRefusedError`, `UnavailableError` and, when a stored key or the model is damaged as a whole,
        `IntegrityError`. Damage to single chunks is recorded and the chunk left out.
        """
        tally = self._ports.tally(self._ports.clock)
        with tally.stage("identity"):
            subject = self.identify(credentials)
        with tally.stage("limits"):
            tally.counted = self._ports.limiter.acquire(subject)
        try:
            answer = self._answer(subject, request, tally)
            return dataclasses.replace(answer, rates=self._ports.limiter.rates(subject))
        except RequestRefusedError as refused:
            self._record(EventType.REQUEST_REFUSED, subject, "refused", {"code": refused.code})
            raise
        finally:
            self._ports.limiter.release(subject)

    def warm_up(self) -> None:
        """Loads what the first answer would otherwise wait for, seconds long."""
        name = Span(0, 1, "PERSON", 1.0)
        self._ports.protection.redactor.redact("?", [name], frozenset())

    def identify(self, credentials: Credentials) -> Subject:
        """The verified subject; a refusal is recorded."""
        try:
            subject = self._ports.identity.verify(credentials)
            return dataclasses.replace(subject, credentials=credentials)
        except RequestRefusedError as refused:
            self._record(EventType.IDENTITY_REFUSED, None, "refused", {"code": refused.code})
            raise

    def rehearse(
        self,
        steward: Subject,
        about: AskedAbout,
        request: RetrievalRequest,
        narrow: Callable[[Permit], Permit],
    ) -> Rehearsal:
        """The same flow for somebody else, as a steward's question: nothing is answered, counted or limited, and only labels
        that `narrow` leaves are looked at. Raises as `retrieve`."""
        tally = Tally(self._ports.clock)
        query = checked_query(request.query)
        check_bounds(request)
        vector = self._ports.protection.embedder.embed([query])[0]
        question = self._question(steward, query, request, vector)
        for _ in range(1 + _REDECISIONS):
            tally.trace.restart()
            decision = self._ports.pdp.decide_about(about, Context(now=self._ports.clock.now()))
            if isinstance(decision, Deny):
                return Rehearsal(permit=None, passages=(), trace=tally.trace, vector=vector)
            permit = narrow(decision)
            chunks = self._authorized(steward, request, permit, question, tally)
            if chunks is not None:
                passages, _ = self._passages(query, request, chunks, tally)
                return Rehearsal(permit=permit, passages=passages, trace=tally.trace, vector=vector)
        raise UnavailableError(code="unavailable.consistency")

    def nearest(
        self, steward: Subject, request: RetrievalRequest, seen: Rehearsal, limit: int
    ) -> list[Candidate]:
        """The candidates of a rehearsal and those that came after them: its search, further."""
        if seen.permit is None:
            return []
        only = self._filtered(steward, request, seen.permit)
        within = self._within(steward, request, seen.permit)
        return VectorSearch(within, seen.vector).best(limit, (), only)

    def require_corpus(self, subject: Subject, corpus: str) -> None:
        """Raises `access.not_found` unless the corpus holds a chunk that would be answered: denied, absent, waiting for a
        steward and gone look the same."""
        request = RetrievalRequest(query="", corpora=(corpus,), limit=1)
        any_direction = [1.0, *[0.0] * (self._ports.protection.embedder.dimension - 1)]
        tally = Tally(self._ports.clock)
        for _ in range(1 + _REDECISIONS):
            permit = self._decided(subject)
            if isinstance(permit, Deny):
                raise NotFoundError
            found = self._authorized(
                subject, request, permit, Question(vector=any_direction), tally
            )
            if found is not None:
                break
        else:
            raise UnavailableError(code="unavailable.consistency")
        if not found:
            raise NotFoundError

    # The flow. ------------------------------------------------------------------------------------------------------

    def _answer(self, subject: Subject, request: RetrievalRequest, tally: Tally) -> Answer:
        with tally.stage("check"):
            query = checked_query(request.query)
            check_bounds(request)
            tally.purpose = self._ports.disclosure.purpose_of(subject, request.purpose)
            tally.search = request.search.value
            flags = self._ports.screener.screen(query).rules
        with tally.stage(
            "embed"
        ):  # before the decision: how long an answer takes must not tell what was decided
            question = self._question(subject, query, request)
        with tally.stage("wait"):
            self._reach(subject, request)
        for _ in range(1 + _REDECISIONS):
            with tally.stage("decide"):
                permit = self._decided(subject, tally.purpose)
            now = self._ports.clock.now()
            tally.step_up = self._ports.assuring.hint(subject, permit, request.corpora, now)
            if isinstance(permit, Deny):
                self._filtered(subject, request, permit)
                return self._answers.empty(subject, query, permit, flags, tally)
            chunks = self._authorized(subject, request, permit, question, tally)
            if chunks is None:
                continue  # permissions moved under the answer: decide again
            with tally.stage("pseudonyms"):
                chunks = self._ports.disclosure.with_tokens(subject.tenant, tally.purpose, chunks)
            passages, left_out = self._passages(query, request, chunks, tally)
            if self._still_current(subject, permit, passages):
                return self._answers.receipted(
                    subject, query, permit, passages, flags, left_out, tally
                )
        raise UnavailableError(code="unavailable.consistency")

    def _decided(self, subject: Subject, purpose: str = "") -> Permit | Deny:
        context = Context(now=self._ports.clock.now(), purpose=purpose)
        return self._ports.pdp.decide_labels(subject, context)

    def _reach(self, subject: Subject, request: RetrievalRequest) -> None:
        """Waits, not for long, until the catalog is at the epoch that the request asks for. Raises `access.epoch_not_reached`."""
        if request.min_epoch is None:
            return
        ports = self._ports
        wanted = ports.epoch_tokens.read(subject.tenant, request.min_epoch)
        give_up = ports.clock.monotonic() + _EPOCH_WAIT_SECONDS
        while ports.catalog.epoch(subject.tenant) < wanted:
            if ports.clock.monotonic() >= give_up:
                raise ConflictError(code="access.epoch_not_reached")
            ports.clock.sleep(_EPOCH_POLL_SECONDS)

    def _authorized(
        self,
        subject: Subject,
        request: RetrievalRequest,
        permit: Permit,
        question: Question,
        tally: Tally,
    ) -> list[AuthorizedChunk] | None:
        """The best chunks the permit admits; None when the epoch moved."""
        with tally.stage("search"):
            only = self._filtered(subject, request, permit)
            within = self._within(subject, request, permit)
        rankings: list[list[AuthorizedChunk]] = []
        for search in question.searches(within):
            found = self._ranked(subject, request, permit, search, only, tally)
            if found is None:
                return None
            rankings.append(found)
        if len(rankings) == 1:
            chunks = rankings[0]
        else:
            chunks = self._joined(request, question, rankings, tally)
        if request.document_id is None:
            return chunks
        best = in_reading_order(request, chunks)
        tally.trace.end_missing(_points(chunks), _points(best), Fate.PER_DOCUMENT)
        return best

    def _joined(
        self,
        request: RetrievalRequest,
        question: Question,
        rankings: Sequence[list[AuthorizedChunk]],
        tally: Tally,
    ) -> list[AuthorizedChunk]:
        """By rank; what only words found gets its similarity, by which its sentences are chosen."""
        chunks = joined(rankings, request.limit * 2 + _SLACK)
        for ranking in rankings:
            tally.trace.end_missing(_points(ranking), _points(chunks), Fate.RANK)
        near = {chunk.stored.point_id: chunk.similarity for chunk in rankings[0]}
        others = [point_id for point_id in _points(chunks) if point_id not in near]
        if others and question.vector is not None:
            with tally.stage("search"):
                scored = self._ports.index.score_points(question.vector, others)
            near |= {candidate.point_id: candidate.score for candidate in scored}
        return [
            dataclasses.replace(chunk, similarity=near.get(chunk.stored.point_id, 0.0))
            for chunk in chunks
        ]

    def _ranked(
        self,
        subject: Subject,
        request: RetrievalRequest,
        permit: Permit,
        search: Search,
        only: Collection[str] | None,
        tally: Tally,
    ) -> list[AuthorizedChunk] | None:
        """The best of one search that the permit admits; None when the epoch moved.

        While re-checks leave too few, searches again and wider without those seen: points that the index has in a wrong
        place must not shorten an answer, or their number would show in it.
        """
        wanted = size = request.limit * 2 + _SLACK
        seen: set[str] = set()
        chunks: list[AuthorizedChunk] = []
        while len(chunks) < wanted and len(seen) < _MAX_SEEN:
            with tally.stage("search"):
                found = search.best(size, seen, only)
            tally.searches += 1
            fresh = [candidate for candidate in found if candidate.point_id not in seen]
            tally.trace.found(fresh)
            seen.update(candidate.point_id for candidate in fresh)
            with tally.stage("read"):
                snapshot = self._ports.catalog.stored_chunks(
                    subject.tenant, [candidate.point_id for candidate in fresh]
                )
            if snapshot.epoch != permit.epoch:
                return None
            with tally.stage("decrypt"):
                opened = self._open(subject, request, permit, fresh, snapshot, tally, search)
                chunks += islice(opened, wanted - len(chunks))
            if len(fresh) < size:
                break
            size *= _REFILL_GROWTH
        chunks.sort(key=lambda chunk: (-chunk.score, chunk.stored.point_id))
        tally.trace.end_missing(
            seen - tally.trace.ended.keys(), _points(chunks), Fate.RANK
        )  # enough were opened before them
        return chunks

    def _filtered(
        self, subject: Subject, request: RetrievalRequest, permit: Permit | Deny
    ) -> Collection[str] | None:
        """The points that the request leaves, None for all."""
        ports = self._ports
        return narrowed(ports.catalog, ports.recorder, subject, request, permit)

    def _question(
        self,
        subject: Subject,
        query: str,
        request: RetrievalRequest,
        vector: Vector | None = None,
    ) -> Question:
        """What to search for. Words alone are not embedded."""
        protection, mode = self._ports.protection, request.search
        if mode is SearchMode.LEXICAL:
            vector = None
        elif vector is None:
            vector = protection.embedder.embed([query])[0]
        by_words = mode is not SearchMode.VECTOR
        words = protection.words_asked(subject.tenant, query) if by_words else None
        return Question(vector=vector, words=words)

    def _within(self, subject: Subject, request: RetrievalRequest, permit: Permit) -> Within:
        ports = self._ports
        return Within(
            index=ports.index,
            catalog=ports.catalog,
            tenant=subject.tenant,
            permit=permit,
            scopes=ports.scopes.permitted(subject.tenant, permit, request.corpora),
        )

    def _open(
        self,
        subject: Subject,
        request: RetrievalRequest,
        permit: Permit,
        candidates: Sequence[Candidate],
        snapshot: CatalogSnapshot,
        tally: Tally,
        search: Search,
    ) -> Iterator[AuthorizedChunk]:
        """Re-decides every candidate on its authoritative label, then decrypts and verifies; the rest is dropped and counted."""
        disclosure = self._ports.disclosure
        reading = Reading(subject=subject, epoch=permit.epoch)
        for start in range(0, len(candidates), _OPENED_AT_ONCE):
            part = candidates[start : start + _OPENED_AT_ONCE]
            found = [snapshot.chunks.get(candidate.point_id) for candidate in part]
            fates = [
                drop_reason(permit, request, stored) or self._untrusted(stored) for stored in found
            ]
            admitted = [
                s for s, fate in zip(found, fates, strict=True) if s is not None and not fate
            ]
            contents = self._ports.protection.opened(admitted, reading)
            for candidate, stored, fate in zip(part, found, fates, strict=True):
                if stored is None or fate:
                    tally.drop(candidate.point_id, fate or Fate.ABSENT)
                    if stored is not None:
                        notice(
                            self._ports.recorder,
                            subject,
                            stored.label,
                            stored.document_id,
                            "search",
                        )
                    continue
                content = next(contents)
                if isinstance(content, RagwardError):
                    self._refused(subject, stored, content, tally)
                    continue
                if self._raised(stored, content.text):
                    tally.drop(candidate.point_id, Fate.QUARANTINED)
                    continue
                grant = permit.grant_of(stored.label_id)
                level = self._ports.protection.handling[stored.label.classification]
                spans = disclosure.current_spans(content, level.stale_spans)
                if grant is None or spans is None:
                    tally.drop(candidate.point_id, Fate.STALE_SPANS)
                    continue
                yield AuthorizedChunk(
                    stored=stored,
                    score=candidate.score,
                    text=content.text,
                    spans=spans,
                    revealed=grant.revealed,
                    similarity=candidate.score if search.by_vector else 0.0,
                    shown_as=disclosure.shown_as(subject.tenant, tally.purpose, grant),
                )

    def _refused(
        self, subject: Subject, stored: StoredChunk, why: RagwardError, tally: Tally
    ) -> None:
        """What does not verify, or a key broker does not open to this subject, is dropped; a key that is away ends the answer."""
        if isinstance(why, IntegrityError):
            tally.drop(stored.point_id, Fate.INTEGRITY)
            details = {"code": why.code, "chunk": stored.chunk_id, "document": stored.document_id}
            self._record(EventType.INTEGRITY_FAILURE, subject, "dropped", details)
        elif isinstance(why, NotFoundError):
            tally.drop(stored.point_id, Fate.LABEL)
        else:
            raise why

    def _untrusted(self, stored: StoredChunk | None) -> Fate | None:
        """Why a chunk is not answered whose source is trusted less than the handling of its classification demands."""
        if stored is None:
            return None
        profile = self._ports.protection.handling[stored.label.classification]
        flagged = stored.verdict == Verdict.FLAG
        trust = self._ports.trust.of(
            stored.label.tenant, stored.corpus, stored.source, flagged=flagged
        )
        return None if profile.is_trusted(trust) else Fate.UNTRUSTED

    def _raised(self, stored: StoredChunk, text: str) -> bool:
        """Whether rules newer than those the chunk was screened with hold it back."""
        screener = self._ports.screener
        if stored.rule_set == screener.rule_set:
            return False
        verdict = verdict_now(Verdict(stored.verdict), stored.rules, screener.screen(text))
        return verdict is Verdict.QUARANTINE

    def _passages(
        self, query: str, request: RetrievalRequest, chunks: list[AuthorizedChunk], tally: Tally
    ) -> tuple[tuple[Passage, ...], Counter[Fate]]:
        """Redacts, then minimizes what is left; both near-duplicates and budgets are judged on the redacted text."""
        handling = self._ports.protection.handling
        with tally.stage("redact"):
            capped = capped_per_document(chunks, request.max_passages_per_document)
            tally.trace.end_missing(_points(chunks), _points(capped), Fate.PER_DOCUMENT)
            redacted = [
                self._ports.protection.redactor.redact(
                    chunk.text, chunk.spans, chunk.revealed, chunk.shown_as
                )
                for chunk in capped
            ]
        with tally.stage("minimize"):
            safe = [self._ports.screener.neutralise(text.text) for text in redacted]
            minimal = minimize(
                [
                    Shown(
                        text=text,
                        level=chunk.stored.label.classification,
                        mode=handling[chunk.stored.label.classification].mode(request.minimize),
                        similarity=chunk.similarity,
                    )
                    for chunk, text in zip(capped, safe, strict=True)
                ],
                query,
                budgets={
                    level: profile.budget(tally.purpose) for level, profile in handling.items()
                },
                limit=request.limit,
            )
        passages: list[Passage] = []
        left_out: Counter[Fate] = Counter()
        for chunk, text, kept in zip(capped, redacted, minimal, strict=True):
            if isinstance(kept, LeftOut):
                left_out[kept.fate] += 1
                other = None if kept.other is None else capped[kept.other].stored.point_id
                tally.trace.end(chunk.stored.point_id, kept.fate, other)
            else:
                tally.trace.end(chunk.stored.point_id, Fate.RETURNED)
                raw = handling[chunk.stored.label.classification].raw_scores
                trust = self._ports.trust
                made = passage(len(passages) + 1, chunk, text, kept, raw_score=raw, trust=trust)
                tally.labels[chunk.stored.chunk_id] = chunk.stored.label_id, chunk.stored.label
                tally.shown[chunk.stored.chunk_id] = Counter(
                    span.entity_type for span in chunk.spans if span.entity_type in chunk.revealed
                )
                passages.append(made)
        return tuple(passages), left_out

    def _still_current(self, subject: Subject, permit: Permit, passages: Sequence[Passage]) -> bool:
        """For classifications whose handling says so, the epoch is compared once more immediately before sending."""
        if any(self._ports.protection.handling[p.classification].recheck_epoch for p in passages):
            return self._ports.catalog.epoch(subject.tenant) == permit.epoch
        return True


def _points(chunks: Sequence[AuthorizedChunk]) -> list[str]:
    return [chunk.stored.point_id for chunk in chunks]
