"""READ FIRST. The query flow: the policy enforcement point, one step a line, data flowing down.

    credential       -> Subject            verified; application, person and agents kept apart
    query            -> checked query      bounded, normalised, screened (flagged, not refused)
    Subject          -> Permit             Casbin decides labels, not chunks
    query            -> Candidates         one vector search within the permit
    Candidates       -> AuthorizedChunks   ONE catalog read: authoritative label, state, key, ciphertext, epoch
    AuthorizedChunks -> redacted texts     personal data by entitlement; all that follows sees only these
    redacted texts   -> Passages           near-duplicates out, sentences that answer kept, budget held
    Passages         -> receipt            recorded before it is given: cannot record, cannot answer

What the index returns is a candidate, never an answer: it may be stale, tampered with or lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.access import Context, Credentials, Deny, Permit, Subject
from ragward.domain.admission import (
    capped_per_document,
    check_bounds,
    checked_query,
    drop_reason,
    passage,
)
from ragward.domain.audit import AuditEntry, EventType, query_tag
from ragward.domain.corpus import (
    CatalogSnapshot,
    Vector,
)
from ragward.domain.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    RequestRefusedError,
    UnavailableError,
)
from ragward.domain.labels import Classification
from ragward.domain.minimization import minimize
from ragward.domain.passages import (
    Answer,
    AuthorizedChunk,
    Candidate,
    Passage,
    Receipt,
    RetrievalRequest,
)
from ragward.evidence import Recorder
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
)
from ragward.protection import Protection

MAX_FILTERED_POINTS: Final = 10_000
MAX_PENDING_POINTS: Final = 20_000
_SLACK: Final = 10
_REFILLS: Final = 2
_REDECISIONS: Final = 2
_EPOCH_WAIT_SECONDS: Final = 2.0
_EPOCH_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalPorts:
    """Everything the query flow talks to."""

    identity: IdentityVerifier
    limiter: Limiter
    screener: Screener
    pdp: PolicyDecisionPoint
    scopes: ScopeDirectory
    index: ChunkIndex
    catalog: Catalog
    protection: Protection
    recorder: Recorder
    epoch_tokens: EpochTokens
    clock: Clock


@dataclass(slots=True)
class _Tally:
    """What happened on the way to one answer: for the log, never for the asker."""

    clock: Clock
    dropped: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    searches: int = 0

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = self.clock.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock.monotonic() - begin


class Retrieval:
    """Answers questions with what the asker may know. Thread-safe."""

    def __init__(self, ports: RetrievalPorts) -> None:
        self._ports = ports
        self._record = ports.recorder.record

    def retrieve(self, credentials: Credentials, request: RetrievalRequest) -> Answer:
        """The passages `credentials` may see, best first, with a receipt.

        Raises every `RequestRefusedError`, `UnavailableError` and, when a stored key or the model is damaged as a whole,
        `IntegrityError`. Damage to single chunks is recorded and the chunk left out.
        """
        tally = _Tally(self._ports.clock)
        with tally.stage("identity"):
            subject = self.identify(credentials)
        with tally.stage("limits"):
            self._ports.limiter.acquire(subject)
        try:
            return self._answer(subject, request, tally)
        except RequestRefusedError as refused:
            self._record(EventType.REQUEST_REFUSED, subject, "refused", {"code": refused.code})
            raise
        finally:
            self._ports.limiter.release(subject)

    def identify(self, credentials: Credentials) -> Subject:
        """The verified subject; a refusal is recorded."""
        try:
            return self._ports.identity.verify(credentials)
        except RequestRefusedError as refused:
            self._record(EventType.IDENTITY_REFUSED, None, "refused", {"code": refused.code})
            raise

    def require_corpus(self, subject: Subject, corpus: str) -> None:
        """Raises `access.not_found` unless something in the corpus may be read: denied and absent look the same."""
        context = Context(now=self._ports.clock.now())
        permit = self._ports.pdp.decide_labels(subject, context)
        if isinstance(permit, Deny) or not self._ports.scopes.permitted(
            subject.tenant, permit, (corpus,)
        ):
            raise NotFoundError

    # The flow. ------------------------------------------------------------------------------------------------------

    def _answer(self, subject: Subject, request: RetrievalRequest, tally: _Tally) -> Answer:
        with tally.stage("check"):
            query = checked_query(request.query)
            check_bounds(request)
            flags = self._ports.screener.screen(query).rules
        with tally.stage(
            "embed"
        ):  # before the decision: how long an answer takes must not tell what was decided
            vector = self._ports.protection.embedder.embed([query])[0]
        with tally.stage("wait"):
            self._reach(subject, request)
        for _ in range(1 + _REDECISIONS):
            with tally.stage("decide"):
                permit = self._ports.pdp.decide_labels(
                    subject, Context(now=self._ports.clock.now())
                )
            if isinstance(permit, Deny):
                return self._empty(subject, query, permit, flags, tally)
            chunks = self._authorized(subject, request, permit, vector, tally)
            if chunks is None:
                continue  # permissions moved under the answer: decide again
            passages, duplicates = self._passages(query, request, chunks, tally)
            if self._still_current(subject, permit, passages):
                return self._receipted(subject, query, permit, passages, flags, duplicates, tally)
        raise UnavailableError(code="unavailable.consistency")

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
        vector: Vector,
        tally: _Tally,
    ) -> list[AuthorizedChunk] | None:
        """The best chunks the permit admits; None when the epoch moved. Searches again when re-checks left too few."""
        wanted = request.limit * 2 + _SLACK
        seen: set[str] = set()
        chunks: list[AuthorizedChunk] = []
        for _ in range(1 + _REFILLS):
            with tally.stage("search"):
                found = self._search(subject, request, permit, vector, wanted, seen)
            tally.searches += 1
            fresh = [candidate for candidate in found if candidate.point_id not in seen]
            seen.update(candidate.point_id for candidate in fresh)
            with tally.stage("read"):
                snapshot = self._ports.catalog.stored_chunks(
                    subject.tenant, [candidate.point_id for candidate in fresh]
                )
            if snapshot.epoch != permit.epoch:
                return None
            with tally.stage("decrypt"):
                opened = self._open(subject, request, permit, fresh, snapshot, tally)
            chunks.extend(opened)
            if len(chunks) >= wanted or len(fresh) < wanted or len(opened) == len(fresh):
                break
        return sorted(chunks, key=lambda chunk: (-chunk.score, chunk.stored.point_id))[:wanted]

    def _search(
        self,
        subject: Subject,
        request: RetrievalRequest,
        permit: Permit,
        vector: Vector,
        wanted: int,
        seen: Collection[str],
    ) -> list[Candidate]:
        """Candidates within the permit: the index by its own copy, and points it has not caught up with by the catalog's."""
        ports = self._ports
        scopes = ports.scopes.permitted(subject.tenant, permit, request.corpora)
        only: Collection[str] | None = None
        if request.filters is not None:
            only = ports.catalog.points_with_attributes(
                subject.tenant, request.filters, limit=MAX_FILTERED_POINTS
            )
        found = {
            candidate.point_id: candidate
            for candidate in ports.index.search(
                vector, scopes=scopes, limit=wanted, excluding=seen, only_points=only
            )
        }
        if permit.head.has_pending:
            pending = ports.catalog.pending_points(subject.tenant, limit=MAX_PENDING_POINTS)
            late = [
                point_id
                for point_id, scope_id in pending.items()
                if scope_id in scopes
                and point_id not in seen
                and (only is None or point_id in only)
            ]
            for candidate in ports.index.score_points(vector, late) if late else ():
                found[candidate.point_id] = candidate
        best = sorted(found.values(), key=lambda candidate: (-candidate.score, candidate.point_id))
        return best[:wanted]

    def _open(
        self,
        subject: Subject,
        request: RetrievalRequest,
        permit: Permit,
        candidates: Sequence[Candidate],
        snapshot: CatalogSnapshot,
        tally: _Tally,
    ) -> list[AuthorizedChunk]:
        """Re-decides every candidate on its authoritative label, then decrypts and verifies; the rest is dropped and counted."""
        opened = []
        for candidate in candidates:
            stored = snapshot.chunks.get(candidate.point_id)
            reason = drop_reason(permit, request, stored)
            if stored is None or reason:
                tally.drop(reason or "absent")
                continue
            try:
                content = self._ports.protection.open(stored)
            except IntegrityError as damaged:
                tally.drop("integrity")
                self._record(
                    EventType.INTEGRITY_FAILURE,
                    subject,
                    "dropped",
                    {
                        "code": damaged.code,
                        "chunk": stored.chunk_id,
                        "document": stored.document_id,
                    },
                )
                continue
            revealed = permit.revealed_under(stored.label_id)
            opened.append(
                AuthorizedChunk(
                    stored=stored,
                    score=candidate.score,
                    text=content.text,
                    spans=content.spans,
                    revealed=revealed,
                )
            )
        return opened

    def _passages(
        self, query: str, request: RetrievalRequest, chunks: list[AuthorizedChunk], tally: _Tally
    ) -> tuple[tuple[Passage, ...], int]:
        """Redacts, then minimizes what is left; both near-duplicates and budgets are judged on the redacted text."""
        with tally.stage("redact"):
            chunks = capped_per_document(chunks, request.max_passages_per_document)
            redacted = [
                self._ports.protection.redactor.redact(chunk.text, chunk.spans, chunk.revealed)
                for chunk in chunks
            ]
        with tally.stage("minimize"):
            safe = [self._ports.screener.neutralise(text.text) for text in redacted]
            levels = [chunk.stored.label.classification for chunk in chunks]
            budgets: dict[int, int] = {
                level: profile.budget_tokens
                for level, profile in self._ports.protection.handling.items()
            }
            minimal, duplicates = minimize(
                safe,
                query,
                levels=levels,
                budgets=budgets,
                limit=request.limit,
                cut=request.minimize,
            )
        ranked = enumerate(
            (
                (chunk, text, kept)
                for chunk, text, kept in zip(chunks, redacted, minimal, strict=True)
                if kept
            ),
            start=1,
        )
        return tuple(passage(rank, *parts) for rank, parts in ranked), duplicates

    def _still_current(self, subject: Subject, permit: Permit, passages: Sequence[Passage]) -> bool:
        """For classifications whose handling says so, the epoch is compared once more immediately before sending."""
        if any(self._ports.protection.handling[p.classification].recheck_epoch for p in passages):
            return self._ports.catalog.epoch(subject.tenant) == permit.epoch
        return True

    # Evidence. ------------------------------------------------------------------------------------------------------

    def _receipted(
        self,
        subject: Subject,
        query: str,
        permit: Permit,
        passages: tuple[Passage, ...],
        flags: tuple[str, ...],
        duplicates: int,
        tally: _Tally,
    ) -> Answer:
        durable = any(
            self._ports.protection.handling[p.classification].durable_audit for p in passages
        )
        details = {
            "query_tag": self._query_tag(subject, query),
            "query_flags": list(flags),
            "epoch": permit.epoch,
            "policy": permit.policy_digest,
            "model": self._ports.protection.embedder.model_digest,
            "dropped": tally.dropped,
            "searches": tally.searches,
            "near_duplicates": duplicates,
            "passages": [
                {
                    "document": p.document_id,
                    "chunk": p.chunk_id,
                    "classification": p.classification.name,
                    "sha256": hashlib.sha256(p.text.encode()).hexdigest(),
                    "removed": dict(p.removed),
                }
                for p in passages
            ],
        }
        with tally.stage("audit"):
            receipt_id, entry = self._record(
                EventType.RETRIEVAL_ANSWERED, subject, "permit", details, durable=durable
            )
        return Answer(
            passages=passages,
            receipt=self._receipt(subject, receipt_id, entry, permit.epoch),
            classification=max((p.classification for p in passages), default=Classification.PUBLIC),
            near_duplicates_removed=duplicates,
            query_flags=flags,
            stage_seconds=tally.seconds,
        )

    def _empty(
        self, subject: Subject, query: str, deny: Deny, flags: tuple[str, ...], tally: _Tally
    ) -> Answer:
        """Nothing is permitted: the same shape as nothing found."""
        details = {
            "query_tag": self._query_tag(subject, query),
            "reason": deny.reason,
            "epoch": deny.epoch,
        }
        with tally.stage("audit"):
            receipt_id, entry = self._record(EventType.RETRIEVAL_DENIED, subject, "deny", details)
        return Answer(
            passages=(),
            receipt=self._receipt(subject, receipt_id, entry, deny.epoch),
            classification=Classification.PUBLIC,
            near_duplicates_removed=0,
            query_flags=flags,
            stage_seconds=tally.seconds,
        )

    def _query_tag(self, subject: Subject, query: str) -> str:
        return query_tag(self._ports.protection.keyring.mac_key("query-tag"), subject.tenant, query)

    def _receipt(self, subject: Subject, receipt_id: str, entry: AuditEntry, epoch: int) -> Receipt:
        return Receipt(
            receipt_id=receipt_id,
            recorded_at=entry.at,
            audit_index=entry.index,
            audit_hash=entry.chain_hash.hex(),
            epoch_token=self._ports.epoch_tokens.issue(subject.tenant, epoch),
        )
