"""What an agent did with an answer, put on record under the answer's receipt by the application that runs it.

receipt -> answer   only whoever got the receipt may add to it; another's and none look the same
events  -> log      digests, names and counts: what was sent or came back is not ours to keep
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragward.domain.access import Subject
from ragward.domain.agent_events import AgentEvent, check_events
from ragward.domain.audit import EventType, Recorded
from ragward.domain.errors import RequestRefusedError
from ragward.domain.outputs import receipted_answer
from ragward.evidence import Recorder
from ragward.ports import AuditLog, Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvents:
    """Records. Thread-safe."""

    audit: AuditLog
    limiter: Limiter
    recorder: Recorder

    def record(self, subject: Subject, receipt_id: str, events: Sequence[AgentEvent]) -> Recorded:
        """On record when this returns, as one event.

        Raises `access.not_found` for a receipt that is not theirs or not there, `request.invalid`, `limit.*`,
        `unavailable.audit`.
        """
        self.limiter.acquire(subject)
        try:
            check_events(events)
            receipted_answer(self.audit.find(receipt_id), subject)
            details = {"receipt": receipt_id, "events": [event.body() for event in events]}
            return self.recorder.record(EventType.AGENT_ACTED, subject, "recorded", details)
        except RequestRefusedError as refused:
            details = {"code": refused.code}
            self.recorder.record(EventType.REQUEST_REFUSED, subject, "refused", details)
            raise
        finally:
            self.limiter.release(subject)
