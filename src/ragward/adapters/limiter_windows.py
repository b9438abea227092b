"""Where requests are counted, for `RateLimiter`: by `limits` in this process's memory or in Redis, or in the catalog's database.

Names are hashed into keys: nothing in a name can make it another one's key.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Protocol

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, MovingWindowSupport, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.ports import Clock, RateStore

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Hit:
    """Whether one more was within the quota, how many are left, and in how many seconds there are more."""

    within: bool
    remaining: int
    resets_in: int


class Windows(Protocol):
    """Counts in windows of a minute."""

    def hit(self, policy: str, tenant: str, name: str, quota: int) -> Hit:
        """Counts one in. Raises `unavailable.limiter`."""


class LimitsWindows:
    """Moving windows of the `limits` library."""

    def __init__(self, storage: Storage) -> None:
        if not isinstance(storage, MovingWindowSupport):
            raise ConfigurationError("limits_uri: this storage has no moving windows")
        self._rates = MovingWindowRateLimiter(storage)

    @classmethod
    def in_memory(cls) -> LimitsWindows:
        """Of this process."""
        return cls(MemoryStorage())

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
        return LimitsWindows.in_memory()
    if scheme == "catalog":
        return CatalogWindows(store, clock)
    return LimitsWindows.at(uri)


def _key(policy: str, tenant: str, name: str) -> str:
    return hashlib.sha256(json.dumps([policy, tenant, name]).encode()).hexdigest()
