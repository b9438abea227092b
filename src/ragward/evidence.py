"""Recording what happened, for all flows: cannot record, cannot answer."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ragward.domain.access import Subject
from ragward.domain.audit import AuditEvent, EventType, Recorded
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.outputs import named
from ragward.ports import AuditLog, Clock, Watch


class EventCounts:
    """How many events of each type this process recorded. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, event_type: EventType) -> None:
        """One more."""
        with self._lock:
            self._counts[event_type.value] += 1

    def so_far(self) -> Mapping[str, int]:
        """By type."""
        with self._lock:
            return dict(self._counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Appends events to the audit log."""

    audit: AuditLog
    clock: Clock
    watch: Watch | None = None
    """Told of what is on record."""
    counts: EventCounts = field(default_factory=EventCounts)

    def record(
        self,
        event_type: EventType,
        subject: Subject | None,
        decision: str,
        details: Mapping[str, object],
        *,
        tenant: str = "",
        durable: bool = False,
        event_id: str = "",
    ) -> Recorded:
        """On record when this returns, under an id of its own or the one given. Raises `unavailable.audit`."""
        event = AuditEvent(
            event_id=event_id or str(uuid.uuid4()),
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
        if self.watch is not None:
            self.watch.noticed(event_type, subject, str(details.get("code", "")))
        self.counts.add(event_type)
        return Recorded(event_id=event.event_id, at=event.at, leaf_hash=leaf)


def actor_of(subject: Subject | None) -> dict[str, object]:
    """The subject as the log names it."""
    if subject is None:
        return {}
    return named(subject)
