"""A limiter under restrictions: who is throttled may ask a few times a minute, counted for all workers together."""

from __future__ import annotations

from collections.abc import Callable

from ragward.domain.access import Subject
from ragward.domain.errors import LimitExceededError, UnavailableError
from ragward.domain.rates import Rate
from ragward.domain.restrictions import Standing
from ragward.ports import Clock, Limiter, RateStore

_MINUTE = 60


class ThrottledLimiter:
    """`ports.Limiter`. `standing` says what is taken from a subject."""

    def __init__(
        self,
        inner: Limiter,
        standing: Callable[[Subject, int], Standing],
        store: RateStore,
        clock: Clock,
        per_minute: int,
    ) -> None:
        self._inner, self._standing, self._store = inner, standing, store
        self._clock, self._per_minute = clock, per_minute

    def acquire(self, subject: Subject) -> bool:
        """Counts one request in. Raises `limit.rate`, `limit.concurrency`, `unavailable.catalog`."""
        counted = self._inner.acquire(subject)
        try:
            self._require_slow(subject)
        except (LimitExceededError, UnavailableError):
            self._inner.release(subject)
            raise
        return counted

    def release(self, subject: Subject) -> None:
        """Counts it out."""
        self._inner.release(subject)

    def rates(self, subject: Subject) -> tuple[Rate, ...]:
        """As the other limiter has them."""
        return self._inner.rates(subject)

    def _require_slow(self, subject: Subject) -> None:
        now = self._clock.now()
        if not self._standing(subject, now).throttled:
            return
        count = self._store.hit(
            subject.tenant, f"throttle {subject.principal}", now // _MINUTE, _MINUTE
        )
        if count > self._per_minute:
            wait = _MINUTE - now % _MINUTE
            rate = Rate("throttle", self._per_minute, _MINUTE, 0, wait)
            raise LimitExceededError(code="limit.rate", retry_after_seconds=wait, rates=(rate,))
