"""Recording what happened, for all flows: cannot record, cannot answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from ragward.domain.access import Subject
from ragward.domain.audit import AuditEvent, EventType, Recorded
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.outputs import named
from ragward.ports import AuditLog, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Appends events to the audit log."""

    audit: AuditLog
    clock: Clock

    def record(
        self,
        event_type: EventType,
        subject: Subject | None,
        decision: str,
        details: Mapping[str, object],
        *,
        tenant: str = "",
        durable: bool = False,
    ) -> Recorded:
        """On record when this returns. Raises `unavailable.audit`."""
        event = AuditEvent(
            event_id=str(uuid.uuid4()),
            at=self.clock.now_milliseconds(),
            type=event_type,
            tenant=subject.tenant if subject else tenant,
            actor=actor_of(subject),
            decision=decision,
            details=details,
        )
        try:
            leaf = self.audit.append(event, durable=durable)
        except RagwardError:
            raise
        except Exception as error:  # a log that breaks in any way is a log that did not record
            raise UnavailableError(code="unavailable.audit") from error
        return Recorded(event_id=event.event_id, at=event.at, leaf_hash=leaf)


def actor_of(subject: Subject | None) -> dict[str, object]:
    """The subject as the log names it."""
    if subject is None:
        return {}
    return named(subject)
