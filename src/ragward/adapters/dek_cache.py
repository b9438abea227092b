"""DEKs that a remote provider unwrapped, kept for a minute or five. Beneath every check: a hit decides nothing.

An entry is found by the wrapped bytes, all they are bound to, and who they were unwrapped for, so that a hit opens nothing
that the provider would have refused to the same asker. It ends at a fixed time, whether or not the provider can be reached
then; when its tenant's epoch moves; and when the cache is full. What goes is overwritten, as far as Python lets us.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.keys import Reading, WrappedDEK
from ragward.domain.labels import Classification

MAX_ENTRIES: Final = 4096
RESTRICTED_SECONDS: Final = 60.0
OTHER_SECONDS: Final = 300.0
_WAIT_SECONDS: Final = 30.0
#: What unwrapping gives: per item the DEK or why not, and the classification of its KEK.
Fetched = Sequence[tuple[bytes | RagwardError, Classification | None]]


def seconds_for(classification: Classification | None) -> float:
    """How long key material may be kept; what is not known is kept the shortest."""
    short = classification is None or classification >= Classification.RESTRICTED
    return RESTRICTED_SECONDS if short else OTHER_SECONDS


@dataclass(slots=True)
class _Entry:
    dek: bytearray
    tenant: str
    ends: float


class DEKCache:
    """Thread-safe; what several threads miss at once is unwrapped once."""

    def __init__(self, monotonic: Callable[[], float], *, entries: int = MAX_ENTRIES) -> None:
        self._now, self._limit = monotonic, entries
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, _Entry] = OrderedDict()
        self._under_way: dict[bytes, Future[bytes | RagwardError]] = {}
        self._epochs: dict[str, int] = {}
        self._generation = 0
        self._timer: threading.Timer | None = None

    def unwrap_all(
        self,
        wraps: Sequence[WrappedDEK],
        reading: Reading | None,
        fetch: Callable[[Sequence[WrappedDEK]], Fetched],
    ) -> list[bytes | RagwardError]:
        """Per item what `fetch` gives, or gave a moment ago. Raises what `fetch` raises."""
        names = [_name(item, reading) for item in wraps]
        found: dict[bytes, bytes | RagwardError] = {}
        waits: dict[bytes, Future[bytes | RagwardError]] = {}
        mine: dict[bytes, WrappedDEK] = {}
        with self._lock:
            self._follow(reading)
            generation = self._generation
            for name, item in zip(names, wraps, strict=True):
                entry = self._valid(name)
                if entry is not None:
                    found[name] = bytes(entry.dek)
                elif name in self._under_way:
                    waits[name] = self._under_way[name]
                elif name not in mine:
                    mine[name] = item
                    self._under_way[name] = Future()
        if mine:
            found |= self._fetched(mine, fetch, generation)
        for name, future in waits.items():
            if name not in mine:
                found[name] = _awaited(future)
        return [found[name] for name in names]

    def forget(self) -> None:
        """Drops everything."""
        with self._lock:
            self._generation += 1
            for name in tuple(self._held):
                self._drop(name)

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def _fetched(
        self,
        mine: dict[bytes, WrappedDEK],
        fetch: Callable[[Sequence[WrappedDEK]], Fetched],
        generation: int,
    ) -> dict[bytes, bytes | RagwardError]:
        try:
            given = dict(zip(mine, fetch(list(mine.values())), strict=True))
        except BaseException as error:
            with self._lock:
                futures = [self._under_way.pop(name) for name in mine]
            for future in futures:
                future.set_exception(error)
            raise
        with self._lock:
            futures = [self._under_way.pop(name) for name in mine]
            for name, (value, level) in given.items():
                if isinstance(value, bytes) and generation == self._generation:
                    self._keep(name, value, mine[name].context.tenant, level)
        for future, (value, _) in zip(futures, given.values(), strict=True):
            future.set_result(value)
        return {name: value for name, (value, _) in given.items()}

    def _keep(self, name: bytes, dek: bytes, tenant: str, level: Classification | None) -> None:
        ends = self._now() + seconds_for(level)
        self._held[name] = _Entry(bytearray(dek), tenant, ends)
        while len(self._held) > self._limit:
            self._drop(next(iter(self._held)))
        self._arm()

    def _valid(self, name: bytes) -> _Entry | None:
        entry = self._held.get(name)
        if entry is not None and entry.ends <= self._now():
            self._drop(name)
            return None
        return entry

    def _follow(self, reading: Reading | None) -> None:
        """A moved epoch may mean a taken permission: nothing of before is used again."""
        if reading is None:
            return
        tenant = reading.subject.tenant
        if reading.epoch > self._epochs.get(tenant, -1):
            self._epochs[tenant] = reading.epoch
            self._generation += 1  # what is being fetched for an earlier epoch is not kept either
            for name in [n for n, entry in self._held.items() if entry.tenant == tenant]:
                self._drop(name)

    def _drop(self, name: bytes) -> None:
        dek = self._held.pop(name).dek
        dek[:] = bytes(len(dek))

    def _arm(self) -> None:
        """What nobody asks for again ends on time too. Nothing ends sooner than the shortest time after it came."""
        if self._timer is None and self._held:
            first = min(entry.ends for entry in self._held.values()) - self._now()
            wait = min(max(0.05, first), RESTRICTED_SECONDS)
            self._timer = threading.Timer(wait, self._sweep)
            self._timer.daemon = True
            self._timer.start()

    def _sweep(self) -> None:
        with self._lock:
            self._timer = None
            for name in tuple(self._held):
                self._valid(name)
            self._arm()


def _name(item: WrappedDEK, reading: Reading | None) -> bytes:
    bound = item.context.to_bytes()
    out = hashlib.sha256(len(bound).to_bytes(4, "big") + bound + item.wrapped)
    if reading is not None:
        who = reading.subject
        asker = (who.tenant, who.principal, who.application.principal, who.agents, who.not_after)
        out.update(repr((reading.action.value, *asker)).encode())
    return out.digest()


def _awaited(future: Future[bytes | RagwardError]) -> bytes | RagwardError:
    try:
        return future.result(timeout=_WAIT_SECONDS)
    except TimeoutError:
        raise UnavailableError(code="unavailable.keys") from None
