"""Rates and concurrency in this process's memory, on the `limits` library."""

from __future__ import annotations

import threading
from collections import Counter

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ragward.domain.access import Subject
from ragward.domain.errors import LimitExceededError

_TENANT_FACTOR = 50


class MemoryLimiter:
    """`ports.Limiter`: a moving window per subject, one per tenant, and a count of requests at the same time."""

    def __init__(self, *, requests_per_minute: int, concurrent: int) -> None:
        self._rates = MovingWindowRateLimiter(MemoryStorage())
        self._per_subject = RateLimitItemPerMinute(requests_per_minute)
        self._per_tenant = RateLimitItemPerMinute(requests_per_minute * _TENANT_FACTOR)
        self._concurrent = concurrent
        self._running: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def acquire(self, subject: Subject) -> None:
        """Counts one request in. Raises `limit.rate` or `limit.concurrency`."""
        key = (subject.tenant, subject.principal)
        within = self._rates.hit(self._per_subject, "subject", *key) and self._rates.hit(
            self._per_tenant, "tenant", subject.tenant
        )
        if not within:
            raise LimitExceededError(code="limit.rate", retry_after_seconds=5)
        with self._lock:
            if self._running[key] >= self._concurrent:
                raise LimitExceededError(code="limit.concurrency", retry_after_seconds=1)
            self._running[key] += 1

    def release(self, subject: Subject) -> None:
        """Counts it out."""
        key = (subject.tenant, subject.principal)
        with self._lock:
            self._running[key] -= 1
            if self._running[key] <= 0:
                del self._running[key]
