"""Rates where `Windows` counts them, and concurrency in this process's memory."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from typing import Final

from ragward.adapters.limiter_windows import MemoryWindows, Windows
from ragward.domain.access import Subject
from ragward.domain.errors import LimitExceededError, UnavailableError
from ragward.domain.rates import Rate

_TENANT_FACTOR: Final = 50
_MINUTE: Final = 60
_MAX_REMEMBERED: Final = 10_000


class MemoryLimiter:
    """`ports.Limiter`: a window per subject, per agent and per tenant, and a count of requests at the same time.

    While `windows` cannot be reached, requests are counted in this process's memory, and `acquire` says so.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int,
        concurrent: int,
        agent_requests_per_minute: int | None = None,
        windows: Windows | None = None,
    ) -> None:
        self._own = MemoryWindows()
        self._windows: Windows = windows or self._own
        self._quotas = {
            "subject": requests_per_minute,
            "agent": agent_requests_per_minute or requests_per_minute * _TENANT_FACTOR,
            "tenant": requests_per_minute * _TENANT_FACTOR,
        }
        self._concurrent = concurrent
        self._running: Counter[tuple[str, str]] = Counter()
        self._rates: OrderedDict[tuple[str, str], tuple[Rate, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def acquire(self, subject: Subject) -> bool:
        """Counts one request in. Raises `limit.rate` or `limit.concurrency`."""
        try:
            self._count(self._windows, subject)
            counted = True
        except UnavailableError:
            self._count(self._own, subject)
            counted = False
        key = (subject.tenant, subject.principal)
        with self._lock:
            if self._running[key] >= self._concurrent:
                raise LimitExceededError(code="limit.concurrency", retry_after_seconds=1)
            self._running[key] += 1
        return counted

    def release(self, subject: Subject) -> None:
        """Counts it out."""
        key = (subject.tenant, subject.principal)
        with self._lock:
            self._running[key] -= 1
            if self._running[key] <= 0:
                del self._running[key]

    def rates(self, subject: Subject) -> tuple[Rate, ...]:
        """As the subject's latest request left them."""
        with self._lock:
            return self._rates.get((subject.tenant, subject.principal), ())

    def _count(self, windows: Windows, subject: Subject) -> None:
        names = [("subject", subject.principal)]
        names += [("agent", agent) for agent in subject.agents]
        names.append(("tenant", subject.tenant))
        rates: list[Rate] = []
        for policy, name in names:
            quota = self._quotas[policy]
            hit = windows.hit(policy, subject.tenant, name, quota)
            if policy != "tenant":  # what others of the tenant ask is not the subject's to know
                rates.append(Rate(policy, quota, _MINUTE, hit.remaining, hit.resets_in))
            if not hit.within:
                raise LimitExceededError(
                    code="limit.rate",
                    retry_after_seconds=hit.resets_in,
                    rates=tuple(rates),
                )
        with self._lock:
            key = (subject.tenant, subject.principal)
            self._rates[key] = tuple(rates)
            self._rates.move_to_end(key)
            while len(self._rates) > _MAX_REMEMBERED:
                self._rates.popitem(last=False)
