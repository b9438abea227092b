"""Where requests are counted, for `RateLimiter`: in this process's memory, by `limits` in Redis, or in the catalog's database.

Where names become text they are hashed into keys: nothing in a name can make it another one's key.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MovingWindowSupport, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.ports import Clock, RateStore

_MINUTE = 60


_KEYS = 4096
_MAX_NAMES = 100_000


class Hit(NamedTuple):
    """Whether one more was within the quota, how many are left, and in how many seconds there are more."""

    within: bool
    remaining: int
    resets_in: int


class Windows(Protocol):
    """Counts in windows of a minute."""

    def hit(self, policy: str, tenant: str, name: str, quota: int) -> Hit:
        """Counts one in. Raises `unavailable.limiter`."""


class MemoryWindows:
    """Moving windows in this process. Thread-safe. As many names as fit, and no more: none is forgotten while it counts.

    Not those of `limits`: its memory starts a thread for most hits, which took 400 us of each answer (docs/performance.md)."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._hits: OrderedDict[tuple[str, str, str], deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def hit(self, policy: str, tenant: str, name: str, quota: int) -> Hit:
        """Counts one in. Raises `unavailable.limiter`."""
        now, key = self._seconds(), (policy, tenant, name)
        with self._lock:
            hits = self._hits.get(key)
            if hits is None:
                self._make_room(now)
                hits = self._hits[key] = deque()
            while hits and hits[0] <= now - _MINUTE:
                hits.popleft()
            within = len(hits) < quota
            if within:
                hits.append(now)
                self._hits.move_to_end(key)
            first = hits[0] if hits else now
            remaining = max(0, quota - len(hits))
        return Hit(within, remaining, min(_MINUTE, max(1, round(first + _MINUTE - now))))

    def _make_room(self, now: float) -> None:
        """The least recently counted come first; those whose window is over go."""
        while self._hits:
            key, hits = next(iter(self._hits.items()))
            if hits and hits[-1] > now - _MINUTE:
                break
            del self._hits[key]
        if len(self._hits) >= _MAX_NAMES:
            raise UnavailableError(code="unavailable.limiter")


class LimitsWindows:
    """Moving windows of the `limits` library."""

    def __init__(self, storage: Storage) -> None:
        if not isinstance(storage, MovingWindowSupport):
            raise ConfigurationError("limits_uri: this storage has no moving windows")
        self._rates = MovingWindowRateLimiter(storage)

    @classmethod
    def at(cls, uri: str) -> LimitsWindows:
        """In Redis. Raises `config.invalid` where its client is not installed."""
        try:
            storage = storage_from_string(uri, wrap_exceptions=True)
        except Exception as error:
            raise ConfigurationError(
                "limits_uri cannot be used: is the extra `redis` installed?"
            ) from error
        assert isinstance(storage, Storage)
        return cls(storage)

    def hit(self, policy: str, tenant: str, name: str, quota: int) -> Hit:
        """Counts one in. Raises `unavailable.limiter`."""
        item, key = RateLimitItemPerMinute(quota), _key(policy, tenant, name)
        try:
            within = self._rates.hit(item, key)
            reset_at, remaining = self._rates.get_window_stats(item, key)
        except StorageError as error:
            raise UnavailableError(code="unavailable.limiter") from error
        resets_in = min(_MINUTE, max(1, round(reset_at - time.time())))
        return Hit(within, max(0, remaining), resets_in)


class CatalogWindows:
    """Whole minutes, in the catalog's database: for several machines without a Redis."""

    def __init__(self, store: RateStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def hit(self, policy: str, tenant: str, name: str, quota: int) -> Hit:
        """Counts one in. Raises `unavailable.limiter`."""
        now = self._clock.now()
        key = _key(policy, tenant, name)
        try:
            count = self._store.hit(tenant, key, now // _MINUTE, _MINUTE)
        except UnavailableError as error:
            raise UnavailableError(code="unavailable.limiter") from error
        return Hit(count <= quota, max(0, quota - count), _MINUTE - now % _MINUTE)


def open_windows(uri: str, store: RateStore, clock: Clock) -> Windows:
    """What `limits_uri` names: memory:, catalog:, or a Redis by redis:, rediss: or redis+unix:. Raises `config.invalid`."""
    scheme = uri.partition(":")[0]
    if scheme == "memory":
        return MemoryWindows()
    if scheme == "catalog":
        return CatalogWindows(store, clock)
    return LimitsWindows.at(uri)


@functools.lru_cache(maxsize=_KEYS)
def _key(policy: str, tenant: str, name: str) -> str:
    return hashlib.sha256(json.dumps([policy, tenant, name]).encode()).hexdigest()
