"""READ FIRST. The query flow: the policy enforcement point, one step a line, data flowing down.

    credential       -> Subject            verified; application, person and agents kept apart
    query            -> checked query      bounded, normalised, screened (flagged, not refused)
    Subject          -> Permit             Casbin decides labels, not chunks
    query            -> Candidates         a search within the permit, by vectors, words or both
    Candidates       -> AuthorizedChunks   a lot at a time, ONE catalog read each: authoritative label, state, key, ciphertext, epoch
    AuthorizedChunks -> redacted texts     personal data by entitlement; all that follows sees only these
    redacted texts   -> Passages           near-duplicates out, sentences that answer kept, budget held
    Passages         -> receipt            recorded before it is given: cannot record, cannot answer

What the index returns is a candidate, never an answer: it may be stale, tampered with or lost.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from ragward.answers import Answers, Tally
from ragward.authorizing import Attempt, Authorizing, EpochMovedError
from ragward.disclosure import Disclosure
from ragward.domain.access import Context, Credentials, Deny, Permit, Subject
from ragward.domain.admission import (
    check_bounds,
    checked_query,
    passage,
)
from ragward.domain.assurance import Assuring
from ragward.domain.audit import EventType
from ragward.domain.corpus import (
    Vector,
)
from ragward.domain.errors import (
    ConflictError,
    NotFoundError,
    RequestRefusedError,
    UnavailableError,
)
from ragward.domain.explanation import AskedAbout
from ragward.domain.findings import Span
from ragward.domain.funnel import Fate, Trace
from ragward.domain.marking import SourceTrust
from ragward.domain.minimization import LeftOut, Shown, minimize
from ragward.domain.passages import (
    Answer,
    AuthorizedChunk,
    Candidate,
    Passage,
    RedactedText,
    RetrievalRequest,
    SearchMode,
)
from ragward.evidence import Recorder
from ragward.narrowing import narrowed, spread
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
from ragward.searching import Question, VectorSearch, Within
from ragward.task_budgets import TaskBudgets

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
        self._authorizing = Authorizing(
            index=ports.index,
            catalog=ports.catalog,
            protection=ports.protection,
            disclosure=ports.disclosure,
            screener=ports.screener,
            trust=ports.trust,
            recorder=ports.recorder,
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
            try:
                chunks = list(self._authorized(steward, request, permit, question, tally))
            except EpochMovedError:
                continue
            passages = self._traced(query, request, chunks, tally)
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
            question = Question(vector=any_direction)
            try:
                if any(self._authorized(subject, request, permit, question, tally)):
                    return
            except EpochMovedError:
                continue
            raise NotFoundError
        raise UnavailableError(code="unavailable.consistency")

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
            try:
                chunks = self._authorized(
                    subject, request, permit, question, tally, pseudonyms=True
                )
                passages, left_out = self._passages(query, request, spread(request, chunks), tally)
            except EpochMovedError:
                continue  # decided again
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
        *,
        pseudonyms: bool = False,
    ) -> Iterator[AuthorizedChunk]:
        """The best chunks the permit admits, best first, each read and opened when it is taken. Raises `EpochMovedError`."""
        with tally.stage("search"):
            only = self._filtered(subject, request, permit)
            within = self._within(subject, request, permit)
        attempt = Attempt(
            subject=subject, request=request, permit=permit, tally=tally, pseudonyms=pseudonyms
        )
        lots = self._authorizing.lots(attempt, question, within, only)
        return islice(chain.from_iterable(lots), attempt.enough)

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

    def _passages(
        self,
        query: str,
        request: RetrievalRequest,
        chunks: Iterable[AuthorizedChunk],
        tally: Tally,
    ) -> tuple[tuple[Passage, ...], Counter[Fate]]:
        """Redacts, then minimizes what is left; both near-duplicates and budgets are judged on the redacted text. Takes chunks
        one by one, and none after the last that is needed."""
        handling = self._ports.protection.handling
        taken: list[tuple[AuthorizedChunk, RedactedText]] = []
        shown = self._shown(request, chunks, taken, tally)
        first = list(islice(shown, request.limit))  # all of these are needed, whatever they say
        with tally.stage("minimize"):
            minimal = minimize(
                chain(first, shown),
                query,
                budgets={
                    level: profile.budget(tally.purpose) for level, profile in handling.items()
                },
                limit=request.limit,
            )
        passages: list[Passage] = []
        left_out: Counter[Fate] = Counter()
        for (chunk, text), kept in zip(taken, minimal, strict=True):
            if isinstance(kept, LeftOut):
                left_out[kept.fate] += 1
                other = None if kept.other is None else taken[kept.other][0].stored.point_id
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

    def _shown(
        self,
        request: RetrievalRequest,
        chunks: Iterable[AuthorizedChunk],
        taken: list[tuple[AuthorizedChunk, RedactedText]],
        tally: Tally,
    ) -> Iterator[Shown]:
        """Each as the subject may see it, with what could give orders to a model taken out; noted in `taken`."""
        handling, redact = self._ports.protection.handling, self._ports.protection.redactor.redact
        source, size = iter(chunks), request.limit
        while lot := list(islice(source, size)):
            with tally.stage("redact"):
                texts = [redact(c.text, c.spans, c.revealed, c.shown_as) for c in lot]
            with tally.stage("neutralise"):
                safe = [self._ports.screener.neutralise(text.text) for text in texts]
            for chunk, text, clean in zip(lot, texts, safe, strict=True):
                taken.append((chunk, text))
                level = chunk.stored.label.classification
                mode = handling[level].mode(request.minimize)
                yield Shown(text=clean, level=level, mode=mode, similarity=chunk.similarity)
            size = 1  # in the place of one that is left out

    def _traced(
        self,
        query: str,
        request: RetrievalRequest,
        chunks: Sequence[AuthorizedChunk],
        tally: Tally,
    ) -> tuple[Passage, ...]:
        """The passages of a rehearsal, and what became of every chunk."""
        trace = tally.trace
        trace.end_missing(trace.candidates.keys() - trace.ended.keys(), _points(chunks), Fate.RANK)
        left = list(spread(request, chunks))
        trace.end_missing(_points(chunks), _points(left), Fate.PER_DOCUMENT)
        passages, _ = self._passages(query, request, left, tally)
        trace.end_missing(_points(left), trace.ended, Fate.LIMIT)
        return passages

    def _still_current(self, subject: Subject, permit: Permit, passages: Sequence[Passage]) -> bool:
        """For classifications whose handling says so, the epoch is compared once more immediately before sending."""
        if any(self._ports.protection.handling[p.classification].recheck_epoch for p in passages):
            return self._ports.catalog.epoch(subject.tenant) == permit.epoch
        return True


def _points(chunks: Sequence[AuthorizedChunk]) -> list[str]:
    return [chunk.stored.point_id for chunk in chunks]
