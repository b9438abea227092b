"""How much of a classification one subject, and one agent, is shown in a day.

A process takes a part of the budget out of the store, alone among all workers, and counts what leaves against that part: mostly in
memory, and never more than the budget over all of them. What it took and did not use is lost for the day when it ends.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.access import Subject
from ragward.domain.errors import LimitExceededError, UnavailableError
from ragward.domain.handling import Handling
from ragward.domain.labels import Classification
from ragward.domain.minimization import tokens_of
from ragward.domain.passages import Passage
from ragward.ports import BudgetStore, Clock

_DAY: Final = 86_400
_PARTS: Final = 32
_MAX_LEASES: Final = 20_000


@dataclass(slots=True)
class _Lease:
    """What was taken out of a day's budget and is not used yet."""

    day: int
    left: int


class Exposure:
    """Budgets by handling. Thread-safe."""

    def __init__(self, store: BudgetStore, handling: Handling, clock: Clock) -> None:
        self._store, self._handling, self._clock = store, handling, clock
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._lock = threading.Lock()

    def spend(self, subject: Subject, passages: Sequence[Passage], *, counted: bool) -> None:
        """Before they leave. Raises `limit.exposure`, `unavailable.limiter`, `unavailable.catalog`."""
        tokens: Counter[Classification] = Counter()
        for passage in passages:
            tokens[passage.classification] += tokens_of(passage.text)
        if not counted and any(self._handling[level].needs_limiter for level in tokens):
            raise UnavailableError(code="unavailable.limiter")
        now = self._clock.now()
        for level, wanted in tokens.items():
            budget = self._handling[level].daily_tokens
            if budget is None or not wanted:
                continue
            for principal in (subject.principal, *subject.agents):
                name = f"{level.name} {principal}"
                if not self._took(subject.tenant, name, now // _DAY, wanted, budget):
                    wait = _DAY - now % _DAY
                    raise LimitExceededError(code="limit.exposure", retry_after_seconds=wait)

    def _took(self, tenant: str, name: str, day: int, wanted: int, budget: int) -> bool:
        with self._lock:
            key = (tenant, name)
            lease = self._leases.get(key)
            if lease is None or lease.day < day:
                lease = _Lease(day, 0)
            lacking = wanted - lease.left
            if lacking > 0:
                part = max(lacking, budget // _PARTS)
                lease.left += self._store.take(tenant, name, lease.day, part, lacking, budget)
            if lease.left < wanted:
                return False
            lease.left -= wanted
            if key not in self._leases and len(self._leases) >= _MAX_LEASES:
                del self._leases[next(iter(self._leases))]
            self._leases[key] = lease
            return True
