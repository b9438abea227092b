"""What the making of an answer leaves behind: a tally for the log, the record of it, a receipt for the asker."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from ragward.domain.access import Deny, Permit, Subject
from ragward.domain.assurance import StepUp
from ragward.domain.audit import EventType, Recorded, query_tag
from ragward.domain.funnel import Fate, Trace
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import Answer, Passage, Receipt, SearchMode
from ragward.evidence import Recorder
from ragward.ports import Clock, EpochTokens, Watch
from ragward.protection import Protection
from ragward.receipting import MadeReceipt, Receipting, Released
from ragward.task_budgets import TaskBudgets


@dataclass(slots=True)
class Tally:
    """What happened on the way to one answer: for the log, never for the asker."""

    clock: Clock
    dropped: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    searches: int = 0
    purpose: str = ""
    search: str = SearchMode.VECTOR.value
    step_up: StepUp | None = None
    labels: dict[str, tuple[int, AccessLabel]] = field(default_factory=dict)
    """chunk id -> the label that an answered chunk was decided on"""
    counted: bool = True
    """whether the limiter could count the request"""
    shown: dict[str, dict[str, int]] = field(default_factory=dict)
    """chunk id -> personal data of each type that was shown as it is"""

    trace: Trace = field(default_factory=Trace)
    within: float = 0.0
    """seconds of the stages that ran within the one that is running"""

    def drop(self, point_id: str, fate: Fate) -> None:
        """What the re-check or the decryption refuses is counted in the log, once however it was found."""
        before = self.trace.ended.get(point_id)
        if before is None or before.fate is not fate:
            self.dropped[fate.value] = self.dropped.get(fate.value, 0) + 1
        self.trace.end(point_id, fate)

    def proof_missing(self) -> list[str]:
        """What kept labels out of the permit that better proof would let in."""
        return sorted(self.step_up.lacks) if self.step_up else []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the seconds of a step, without those of steps within it."""
        before, self.within = self.within, 0.0
        begin = self.clock.monotonic()
        try:
            yield
        finally:
            took = self.clock.monotonic() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + took - self.within
            self.within = before + took


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Puts answers on record, then into their final form."""

    protection: Protection
    recorder: Recorder
    receipting: Receipting
    epoch_tokens: EpochTokens
    budgets: TaskBudgets
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
        """With passages: within the task's and the day's budgets, and on record before it leaves. Raises `limit.task_budget`,
        `limit.exposure`, `unavailable.*`."""
        with tally.stage("receipt"):
            given = self._given(subject, permit.epoch, passages, _released(permit, tally))
        with tally.stage("behaviour"):
            self.watch.spend(subject, passages, counted=tally.counted)
        durable = any(self.protection.handling[p.classification].durable_audit for p in passages)
        details: dict[str, object] = {
            "query_tag": self._query_tag(subject, query),
            "query_flags": list(flags),
            "epoch": permit.epoch,
            "policy": permit.policy_digest,
            "model": self.protection.embedder.model_digest,
            "dropped": tally.dropped,
            "searches": tally.searches,
            "purpose": tally.purpose,
            "search": tally.search,
            "proof_missing": tally.proof_missing(),
            "near_duplicates": left_out[Fate.NEAR_DUPLICATE],
            "not_answering": left_out[Fate.NOT_ANSWERING],
            "passages": [
                {
                    "document": p.document_id,
                    "chunk": p.chunk_id,
                    "classification": p.classification.name,
                    "digest": digest,
                    "removed": dict(p.removed),
                    "altered": dict(p.altered),
                    "shown": tally.shown.get(p.chunk_id, {}),
                }
                for p, digest in zip(passages, given.made.digests, strict=True)
            ],
        }
        if (tokens := self.budgets.reserve(subject, passages)) is not None:
            details["task_tokens"] = tokens
        with tally.stage("audit"):
            recorded = self.recorder.record(
                EventType.RETRIEVAL_ANSWERED,
                subject,
                "permit",
                details,
                durable=durable,
                event_id=given.receipt_id,
            )
        with tally.stage("behaviour"):
            self.watch.answered(subject, query, passages, flags)
        return Answer(
            passages=passages,
            receipt=_receipt(given, recorded),
            classification=max((p.classification for p in passages), default=Classification.PUBLIC),
            near_duplicates_removed=left_out[Fate.NEAR_DUPLICATE],
            not_answering_removed=left_out[Fate.NOT_ANSWERING],
            query_flags=flags,
            stage_seconds=tally.seconds,
            step_up=tally.step_up,
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
            "proof_missing": tally.proof_missing(),
        }
        with tally.stage("receipt"):
            given = self._given(subject, deny.epoch, (), Released(policy="", purpose=tally.purpose))
        with tally.stage("audit"):
            recorded = self.recorder.record(
                EventType.RETRIEVAL_DENIED, subject, "deny", details, event_id=given.receipt_id
            )
        with tally.stage("behaviour"):
            self.watch.answered(subject, query, (), flags)
        return Answer(
            passages=(),
            receipt=_receipt(given, recorded),
            classification=Classification.PUBLIC,
            near_duplicates_removed=0,
            query_flags=flags,
            stage_seconds=tally.seconds,
            step_up=tally.step_up,
        )

    def _query_tag(self, subject: Subject, query: str) -> str:
        return query_tag(self.protection.keyring.mac_key("query-tag"), subject.tenant, query)

    def _given(
        self, subject: Subject, epoch: int, passages: tuple[Passage, ...], released: Released
    ) -> _Given:
        """The receipt's own leaf, recorded before the answer's event."""
        receipt_id, token = str(uuid.uuid4()), self.epoch_tokens.issue(subject.tenant, epoch)
        made = self.receipting.issue(subject, receipt_id, token, passages, released)
        return _Given(receipt_id, token, made)


class _Given(NamedTuple):
    """What of a receipt is known before the answer is on record."""

    receipt_id: str
    epoch_token: str
    made: MadeReceipt


def _released(permit: Permit, tally: Tally) -> Released:
    return Released(policy=permit.policy_digest, purpose=tally.purpose, labels=tally.labels)


def _receipt(given: _Given, recorded: Recorded) -> Receipt:
    return Receipt(
        receipt_id=given.receipt_id,
        recorded_at=recorded.at,
        audit_hash=recorded.leaf_hash.hex(),
        epoch_token=given.epoch_token,
        salt=given.made.salt,
        receipt_hash=given.made.receipt_hash,
    )
