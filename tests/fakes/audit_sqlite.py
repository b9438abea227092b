"""A log in memory: what was recorded, in order; told to break, it does."""

from __future__ import annotations

import json

from ragward.domain.audit import AuditEntry
from ragward.domain.errors import UnavailableError
from ragward.domain.merkle import leaf_hash


class FakeAuditLog:
    """`ragward.ports.AuditLog` without a tree."""

    def __init__(self):
        self.events = []
        self.broken = False

    def append(self, event, *, durable):
        if self.broken:
            raise UnavailableError(code="unavailable.audit")
        self.events.append(event)
        return leaf_hash(event.to_bytes())

    def entries(self, *, start=0, limit=1000):
        return [self._entry(i) for i in range(start, min(len(self.events), start + limit))]

    def find(self, event_id):
        for index, event in enumerate(self.events):
            if event.event_id == event_id:
                return self._entry(index)
        return None

    def close(self):
        """Nothing to release."""

    def kinds(self):
        """The types of what was recorded."""
        return [event.type.value for event in self.events]

    def last(self):
        """The newest event as the log would hold it."""
        return json.loads(self.events[-1].to_bytes())

    def _entry(self, index):
        data = self.events[index].to_bytes()
        return AuditEntry(index=index, leaf_hash=leaf_hash(data), data=data)
