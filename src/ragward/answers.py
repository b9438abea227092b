"""What the making of an answer leaves behind: a tally for the log, the record of it, a receipt for the asker."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ragward.domain.access import Deny, Permit, Subject
from ragward.domain.assurance import StepUp
from ragward.domain.audit import EventType, Recorded, query_tag
from ragward.domain.funnel import Fate, Trace
from ragward.domain.labels import Classification
from ragward.domain.passages import Answer, Passage, Receipt, SearchMode
from ragward.evidence import Recorder
from ragward.ports import Clock, EpochTokens
from ragward.protection import Protection
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
    shown: dict[str, dict[str, int]] = field(default_factory=dict)
    """chunk id -> personal data of each type that was shown as it is"""

    trace: Trace = field(default_factory=Trace)

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
    budgets: TaskBudgets

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
        """With passages: within the task's budget, and on record before it leaves. Raises `limit.task_budget`,
        `unavailable.*`."""
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
                    "sha256": hashlib.sha256(p.text.encode()).hexdigest(),
                    "removed": dict(p.removed),
                    "altered": dict(p.altered),
                    "shown": tally.shown.get(p.chunk_id, {}),
                }
                for p in passages
            ],
        }
        if (tokens := self.budgets.reserve(subject, passages)) is not None:
            details["task_tokens"] = tokens
        with tally.stage("audit"):
            recorded = self.recorder.record(
                EventType.RETRIEVAL_ANSWERED, subject, "permit", details, durable=durable
            )
        return Answer(
            passages=passages,
            receipt=self._receipt(subject, recorded, permit.epoch),
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
        with tally.stage("audit"):
            recorded = self.recorder.record(EventType.RETRIEVAL_DENIED, subject, "deny", details)
        return Answer(
            passages=(),
            receipt=self._receipt(subject, recorded, deny.epoch),
            classification=Classification.PUBLIC,
            near_duplicates_removed=0,
            query_flags=flags,
            stage_seconds=tally.seconds,
            step_up=tally.step_up,
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
