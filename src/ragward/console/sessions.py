"""Who is signed in, and who is about to: held in this process and nowhere else.

A browser holds a random id, we its digest; the token that the id stands for never leaves the process. An id is made at
sign-in and never taken from a browser, so there is none to fix; at sign-out, and when its token ends, it is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from ragward.domain.errors import StepUpRequiredError
from ragward.ports import Clock

IDLE_SECONDS: Final = 1800
LONGEST_SECONDS: Final = 8 * 3600
SIGN_IN_SECONDS: Final = 600
_MOST_SESSIONS: Final = 10_000
_MOST_SIGN_INS: Final = 2_000


def secret() -> str:
    """256 random bits, fit for a cookie and a form."""
    return secrets.token_urlsafe(32)


def is_equal(given: str, expected: str) -> bool:
    """In constant time; nothing equals an empty secret."""
    return bool(expected) and hmac.compare_digest(
        given.encode("utf-8", "replace"), expected.encode()
    )


@dataclass(slots=True, kw_only=True)
class Session:
    """Somebody who signed in. `told` is what the next page says once."""

    token: str = field(repr=False)
    ends_at: int
    csrf: str = field(default_factory=secret, repr=False)
    told: list[tuple[str, str]] = field(default_factory=list)
    """(kind, text): `done` or `problem`"""
    wanted: StepUpRequiredError | None = None
    """The last challenge: what the next sign-in asks the issuer for."""
    used_at: int = 0

    def is_over(self, now: int) -> bool:
        """Whether it ended, or nobody used it for long."""
        return now >= self.ends_at or now - self.used_at >= IDLE_SECONDS


@dataclass(slots=True, kw_only=True)
class SignIn:
    """A sign-in under way in one browser: what its end is compared with. It is used once."""

    next_path: str
    ends_at: int
    csrf: str = field(default_factory=secret, repr=False)
    state: str = field(default_factory=secret, repr=False)
    nonce: str = field(default_factory=secret, repr=False)
    verifier: str = field(default_factory=secret, repr=False)
    """PKCE (RFC 7636)"""

    def is_over(self, now: int) -> bool:
        """Whether it took too long."""
        return now >= self.ends_at


class _Ending(Protocol):
    def is_over(self, now: int) -> bool: ...


T = TypeVar("T", bound=_Ending)


class Held(Generic[T]):
    """A bounded number of things by the digest of a random id; the oldest gives way. Thread-safe."""

    def __init__(self, clock: Clock, at_most: int) -> None:
        self._clock, self._at_most = clock, at_most
        self._items: OrderedDict[bytes, T] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, item: T) -> str:
        """Its new id."""
        given = secret()
        with self._lock:
            while len(self._items) >= self._at_most:
                self._items.popitem(last=False)
            self._items[_digest(given)] = item
        return given

    def find(self, untrusted_id: str | None) -> T | None:
        """What stands under an id, unless it is over."""
        if not untrusted_id:
            return None
        key = _digest(untrusted_id)
        with self._lock:
            item = self._items.get(key)
            if item is not None and item.is_over(self._clock.now()):
                del self._items[key]
                return None
            return item

    def take(self, untrusted_id: str | None) -> T | None:
        """The same, and it is gone."""
        item = self.find(untrusted_id)
        with self._lock:
            if item is not None and self._items.pop(_digest(untrusted_id or ""), None) is None:
                return None  # of two at the same time, one takes it
        return item

    def __len__(self) -> int:
        return len(self._items)


class Sessions:
    """Both kinds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: Held[Session] = Held(clock, _MOST_SESSIONS)
        self._sign_ins: Held[SignIn] = Held(clock, _MOST_SIGN_INS)

    def begin(self, token: str, ends_at: int) -> str:
        """A new session's id."""
        now = self._clock.now()
        ends_at = min(ends_at, now + LONGEST_SECONDS)
        return self._sessions.add(Session(token=token, ends_at=ends_at, used_at=now))

    def find(self, untrusted_id: str | None) -> Session | None:
        """The session, which was used now."""
        found = self._sessions.find(untrusted_id)
        if found is not None:
            found.used_at = self._clock.now()
        return found

    def end(self, untrusted_id: str | None) -> None:
        """Signs out."""
        self._sessions.take(untrusted_id)

    def begin_sign_in(self, next_path: str) -> tuple[str, SignIn]:
        """(id, a sign-in that begins)."""
        made = SignIn(next_path=next_path, ends_at=self._clock.now() + SIGN_IN_SECONDS)
        return self._sign_ins.add(made), made

    def take_sign_in(self, untrusted_id: str | None) -> SignIn | None:
        """The one that ends now, once."""
        return self._sign_ins.take(untrusted_id)


def _digest(untrusted_id: str) -> bytes:
    return hashlib.sha256(untrusted_id.encode("utf-8", "replace")).digest()
