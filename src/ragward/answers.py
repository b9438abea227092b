"""What the making of an answer leaves behind: a tally for the log, the record of it, a receipt for the asker."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ragward.domain.access import Deny, Permit, Subject
from ragward.domain.audit import EventType, Recorded, query_tag
from ragward.domain.funnel import Fate, Trace
from ragward.domain.labels import Classification
from ragward.domain.passages import Answer, Passage, Receipt, SearchMode
from ragward.evidence import Recorder
from ragward.ports import Clock, EpochTokens, Watch
from ragward.protection import Protection


@dataclass(slots=True)
class Tally:
    """What happened on the way to one answer: for the log, never for the asker."""

    clock: Clock
    dropped: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    searches: int = 0
    purpose: str = ""
    search: str = SearchMode.VECTOR.value
    counted: bool = True
    """whether the limiter could count the request"""
    shown: dict[str, dict[str, int]] = field(default_factory=dict)
    """chunk id -> personal data of each type that was shown as it is"""

    trace: Trace = field(default_factory=Trace)

    def drop(self, point_id: str, fate: Fate) -> None:
        """What the re-check or the decryption refuses is counted in the log, once however it was found."""
        before = self.trace.ended.get(point_id)
        if before is None or before.fate is not fate:
            self.dropped[fate.value] = self.dropped.get(fate.value, 0) + 1
        self.trace.end(point_id, fate)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the seconds of a step."""
        begin = self.clock.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock.monotonic() - begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Puts answers on record, then into their final form."""

    protection: Protection
    recorder: Recorder
    epoch_tokens: EpochTokens
    watch: Watch

    def receipted(
        self,
        subject: Subject,
        query: str,
        permit: Permit,
        passages: tuple[Passage, ...],
        flags: tuple[str, ...],
        left_out: Counter[Fate],
        tally: Tally,
    ) -> Answer:
        """With passages: within the day's budgets, on record before it leaves. Raises `limit.exposure`, `unavailable.*`."""
        with tally.stage("behaviour"):
            self.watch.spend(subject, passages, counted=tally.counted)
        durable = any(self.protection.handling[p.classification].durable_audit for p in passages)
        details = {
            "query_tag": self._query_tag(subject, query),
            "query_flags": list(flags),
            "epoch": permit.epoch,
            "policy": permit.policy_digest,
            "model": self.protection.embedder.model_digest,
            "dropped": tally.dropped,
            "searches": tally.searches,
            "purpose": tally.purpose,
            "search": tally.search,
            "near_duplicates": left_out[Fate.NEAR_DUPLICATE],
            "not_answering": left_out[Fate.NOT_ANSWERING],
            "passages": [
                {
                    "document": p.document_id,
                    "chunk": p.chunk_id,
                    "classification": p.classification.name,
                    "sha256": hashlib.sha256(p.text.encode()).hexdigest(),
                    "removed": dict(p.removed),
                    "altered": dict(p.altered),
                    "shown": tally.shown.get(p.chunk_id, {}),
                }
                for p in passages
            ],
        }
        with tally.stage("audit"):
            recorded = self.recorder.record(
                EventType.RETRIEVAL_ANSWERED, subject, "permit", details, durable=durable
            )
        with tally.stage("behaviour"):
            self.watch.answered(subject, query, passages, flags)
        return Answer(
            passages=passages,
            receipt=self._receipt(subject, recorded, permit.epoch),
            classification=max((p.classification for p in passages), default=Classification.PUBLIC),
            near_duplicates_removed=left_out[Fate.NEAR_DUPLICATE],
            not_answering_removed=left_out[Fate.NOT_ANSWERING],
            query_flags=flags,
            stage_seconds=tally.seconds,
        )

    def empty(
        self, subject: Subject, query: str, deny: Deny, flags: tuple[str, ...], tally: Tally
    ) -> Answer:
        """Nothing is permitted: the same shape as nothing found."""
        details = {
            "query_tag": self._query_tag(subject, query),
            "reason": deny.reason,
            "epoch": deny.epoch,
            "purpose": tally.purpose,
        }
        with tally.stage("audit"):
            recorded = self.recorder.record(EventType.RETRIEVAL_DENIED, subject, "deny", details)
        with tally.stage("behaviour"):
            self.watch.answered(subject, query, (), flags)
        return Answer(
            passages=(),
            receipt=self._receipt(subject, recorded, deny.epoch),
            classification=Classification.PUBLIC,
            near_duplicates_removed=0,
            query_flags=flags,
            stage_seconds=tally.seconds,
        )

    def _query_tag(self, subject: Subject, query: str) -> str:
        return query_tag(self.protection.keyring.mac_key("query-tag"), subject.tenant, query)

    def _receipt(self, subject: Subject, recorded: Recorded, epoch: int) -> Receipt:
        return Receipt(
            receipt_id=recorded.event_id,
            recorded_at=recorded.at,
            audit_hash=recorded.leaf_hash.hex(),
            epoch_token=self.epoch_tokens.issue(subject.tenant, epoch),
        )
