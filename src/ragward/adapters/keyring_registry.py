"""A keyring file over a provider: which KEKs there are and in which state, and the doors to them.

The file's body is ``{"root", "keks": [{"id", "tenant", "classification", "purpose", "version", "state", "created_at",
"activated_at", "destroyed_at", "wraps", "key"}]}``. `root` is a secret from which MAC keys are derived by purpose; `key` is what
the provider wants kept of a KEK: its bytes, its wrapped bytes, or its name there.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from ragward.adapters.dek_cache import DEKCache, Fetched, seconds_for
from ragward.adapters.keyring_store import Body, KeyringStore, from_text, to_text
from ragward.domain.envelope import KeyPurpose, PurposeKey, WrappingContext, purpose_key
from ragward.domain.errors import (
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    RagwardError,
    UnavailableError,
)
from ragward.domain.keys import (
    MAC_PURPOSES,
    KEKName,
    KEKState,
    KEKStatus,
    Reading,
    WrappedDEK,
)
from ragward.domain.labels import Classification

_MAX_WRAPS: Final = 2**32 - 2**24  # random 96-bit nonces (NIST SP 800-38D, 8.3); counts may be late
_COUNT_EVERY: Final = 8192
_Version = tuple[str, int]


class KEK(Protocol):
    """One KEK version, as its provider lets us use it."""

    def wrap(self, dek: bytes, associated: bytes) -> bytes:
        """Raises `unavailable.keys`."""

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """Raises `integrity.wrapped_key`, `unavailable.keys`."""


class KEKProvider(Protocol):
    """Where KEKs are. `is_remote`: every use of one is a call; `expires`: the bytes of one come from a call and must be asked
    for again after their time."""

    name: str
    is_remote: bool
    expires: bool

    def create(self, which: KEKName) -> str:
        """Makes a KEK; returns what the keyring file has to keep of it. Raises `unavailable.keys`."""

    def open(self, which: KEKName, kept: str) -> KEK:
        """Raises `unavailable.keys`, `integrity.keyring`."""

    def destroy(self, which: KEKName, kept: str) -> None:
        """Erases it there, as far as the provider does that at once. Raises `unavailable.keys`."""

    def close(self) -> None:
        """Releases sessions and connections."""


class RegistryKeyring:
    """`ports.Keyring`. Thread-safe; several processes may share the file."""

    def __init__(
        self,
        store: KeyringStore,
        provider: KEKProvider,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._provider, self._now = store, provider, monotonic
        self._lock = threading.RLock()
        self._body: Body = {}
        self._items: dict[_Version, dict[str, Any]] = {}
        self._keks: dict[_Version, tuple[KEK, float]] = {}
        self._opening: dict[_Version, threading.Lock] = {}
        self._wraps: Counter[_Version] = Counter()
        self._cache = DEKCache(monotonic) if provider.is_remote else None
        self._load()

    def active_kek(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """(kek_id, version) to wrap with; made on first use."""
        with self._lock:
            self._load()
            found = self._newest(tenant, classification, purpose, KEKState.ACTIVE)
            if found is None:
                found = self._add(tenant, classification, purpose, KEKState.ACTIVE)
            return str(found["id"]), int(found["version"])

    def stage(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """A new pending version; one that is pending already is that one."""
        with self._lock:
            made = self._add(tenant, classification, purpose, KEKState.PENDING)
            return str(made["id"]), int(made["version"])

    def activate(self, kek_id: str, version: int) -> None:
        """Pending becomes active, active becomes decrypt-only. Doing it twice is fine."""
        with self._changing():
            item = self._item((kek_id, version))
            if item["state"] == KEKState.ACTIVE:
                return
            if item["state"] != KEKState.PENDING:
                raise ConflictError(code="key.state")
            for other in self._body["keks"]:
                if other["id"] == kek_id and other["state"] == KEKState.ACTIVE:
                    other["state"] = KEKState.DECRYPT_ONLY.value
            item |= {"state": KEKState.ACTIVE.value, "activated_at": int(time.time())}

    def destroy(self, kek_id: str, version: int) -> None:
        """First in the file, then at the provider; interrupted, it can be done again."""
        with self._lock:
            key = (kek_id, version)
            with self._changing():
                item = self._item(key)
                kept = item.pop("key", None) or item.get("destroying", "")
                state = {"state": KEKState.DESTROYED.value, "destroyed_at": int(time.time())}
                item |= state | ({"destroying": kept} if self._provider.is_remote else {})
            self._keks.pop(key, None)
            self.forget()
            if self._provider.is_remote and kept:
                self._provider.destroy(_named(item), kept)
                with self._changing():
                    self._item(key).pop("destroying", None)

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """The DEK under the active version, bound to the context."""
        key = (context.kek_id, context.kek_version)
        with self._lock:
            item = self._item(key)
            if item["state"] != KEKState.ACTIVE:
                self._load()
                item = self._item(key)
            if item["state"] != KEKState.ACTIVE or item["tenant"] != context.tenant:
                raise ConflictError(code="key.state")
            self._count(key, item)
        return self._kek(key).wrap(dek, context.to_bytes())

    def unwrap(self, wrapped: bytes, context: WrappingContext) -> bytes:
        """The DEK, from the KEK itself. Raises `integrity.wrapped_key`, `integrity.key_destroyed`, `unavailable.keys`."""
        key = (context.kek_id, context.kek_version)
        return self._kek(key).unwrap(wrapped, context.to_bytes())

    def unwrap_all(
        self, wraps: Sequence[WrappedDEK], reading: Reading | None
    ) -> Sequence[bytes | RagwardError]:
        """Per item the DEK or why not; through the cache where unwrapping is a call."""
        with self._lock:
            self._load()
        if self._cache is not None:
            return self._cache.unwrap_all(wraps, reading, self._fetched)
        return self._tried_all(wraps)

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """The derived key alone leaves the keyring."""
        with self._lock:
            self._load()
        return [
            dek if isinstance(dek, RagwardError) else purpose_key(dek, KeyPurpose.VECTOR)
            for dek in self._tried_all(wraps)
        ]

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        reading: Reading | None = None,  # noqa: ARG002 - whoever asks has decided
    ) -> Sequence[bytes | RagwardError]:
        """Unwrap and wrap; the DEK does not leave the keyring."""
        for item, to in moves:
            require_same_dek(item.context, to)
        with self._lock:
            self._load()
        opened = self._tried_all([item for item, _ in moves])
        return [
            dek if isinstance(dek, RagwardError) else self.wrap(dek, to)
            for dek, (_, to) in zip(opened, moves, strict=True)
        ]

    def mac_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose, derived from the root secret."""
        if purpose not in MAC_PURPOSES:
            raise ValueError(f"unknown purpose {purpose!r}")
        message = b"ragward.mac-key.v1\0" + purpose.encode()
        return hmac.new(from_text(self._body["root"]), message, hashlib.sha256).digest()

    def status(self) -> Sequence[KEKStatus]:
        """All KEK versions, without key material."""
        with self._lock:
            self._load()
            return [self._status(key, item) for key, item in self._items.items()]

    def holds(self, kek_id: str) -> bool:
        """Whether a version of this KEK is or was here. Raises `unavailable.keys`."""
        with self._lock:
            if not any(key[0] == kek_id for key in self._items):
                self._load()
            return any(key[0] == kek_id for key in self._items)

    def classification_of(self, kek_id: str, version: int) -> Classification | None:
        """What a KEK version is for; None if it is not here."""
        item = self._items.get((kek_id, version))
        return Classification[item["classification"]] if item else None

    def forget(self) -> None:
        """Drops cached DEKs."""
        if self._cache is not None:
            self._cache.forget()

    def close(self) -> None:
        """Writes down what was counted, forgets, and releases the provider."""
        self.forget()
        with self._lock:
            if +self._wraps:
                with self._changing():
                    pass
            self._keks.clear()
        self._provider.close()

    # How. -----------------------------------------------------------------------------------------------------------

    def _tried_all(self, wraps: Sequence[WrappedDEK]) -> list[bytes | RagwardError]:
        """Per item; a KEK that cannot be reached is tried once, not for each of its DEKs."""
        out: list[bytes | RagwardError] = []
        away: dict[_Version, UnavailableError] = {}
        for item in wraps:
            key = (item.context.kek_id, item.context.kek_version)
            if key in away:
                out.append(away[key])
                continue
            try:
                out.append(self.unwrap(item.wrapped, item.context))
            except IntegrityError as damaged:
                out.append(damaged)
            except UnavailableError as error:
                away[key] = error
                out.append(error)
        return out

    def _fetched(self, wraps: Sequence[WrappedDEK]) -> Fetched:
        keys = [(item.context.kek_id, item.context.kek_version) for item in wraps]
        levels = [self.classification_of(*key) for key in keys]
        return list(zip(self._tried_all(wraps), levels, strict=True))

    def _kek(self, key: _Version) -> KEK:
        """The open KEK; one thread opens it for all, and only that one KEK waits."""
        found = self._keks.get(key)
        if found is not None and found[1] > self._now():
            return found[0]
        with self._lock:
            item = self._item(key)
            if item["state"] == KEKState.DESTROYED:
                raise IntegrityError(code="integrity.key_destroyed")
            gate = self._opening.setdefault(key, threading.Lock())
        with gate:
            found = self._keks.get(key)
            if found is None or found[1] <= self._now():
                self._keks.pop(key, None)  # over is over, also if the provider is away now
                name = _named(item)
                ends = self._now() + seconds_for(name.classification)
                opened = self._provider.open(name, item["key"])
                found = self._keks[key] = (opened, ends if self._provider.expires else float("inf"))
        return found[0]

    def _item(self, key: _Version) -> dict[str, Any]:
        if key not in self._items:
            self._load()
        if key not in self._items:
            raise UnavailableError("the keyring does not hold that key", code="unavailable.keys")
        return self._items[key]

    def _newest(
        self, tenant: str, level: Classification, purpose: KeyPurpose, *states: KEKState
    ) -> dict[str, Any] | None:
        for item in reversed(self._body["keks"]):
            of = (item["tenant"], item["classification"], item["purpose"])
            if of == (tenant, level.name, purpose.value) and (
                not states or item["state"] in states
            ):
                return dict(item)
        return None

    def _add(
        self, tenant: str, level: Classification, purpose: KeyPurpose, state: KEKState
    ) -> dict[str, Any]:
        with self._changing():
            before = self._newest(tenant, level, purpose, state)
            if before is not None:
                return before  # another process was first
            latest = self._newest(tenant, level, purpose)
            now = int(time.time())
            made: dict[str, Any] = {
                "id": latest["id"] if latest else str(uuid.uuid4()),
                "tenant": tenant,
                "classification": level.name,
                "purpose": purpose.value,
                "version": int(latest["version"]) + 1 if latest else 1,
                "state": state.value,
                "created_at": now,
                "activated_at": now if state is KEKState.ACTIVE else 0,
                "destroyed_at": 0,
                "wraps": 0,
            }
            made["key"] = self._provider.create(_named(made))
            self._body["keks"].append(made)
            return made

    def _count(self, key: _Version, item: dict[str, Any]) -> None:
        self._wraps[key] += 1
        if int(item["wraps"]) + self._wraps[key] >= _MAX_WRAPS:
            raise UnavailableError("this KEK version is used up: rotate", code="unavailable.keys")
        if self._wraps[key] >= _COUNT_EVERY:
            with self._changing():
                pass

    def _changing(self) -> _Change:
        """The file as it is, exclusively; written back at the end, with what was counted since the last time."""
        return _Change(self)

    def _load(self) -> None:
        """Reads the file again if it changed."""
        body = self._store.load()
        if body is None:
            return
        for item in body["keks"]:
            item.setdefault("purpose", KeyPurpose.CONTENT.value)
            item.setdefault("activated_at", item["created_at"])
            item.setdefault("destroyed_at", 0)
            item.setdefault("wraps", 0)
        self._body = body
        self._items = {(item["id"], item["version"]): item for item in body["keks"]}
        for key in tuple(self._keks):
            if key not in self._items or self._items[key]["state"] == KEKState.DESTROYED:
                del self._keks[key]
                self.forget()

    def _status(self, key: _Version, item: dict[str, Any]) -> KEKStatus:
        name = _named(item)
        return KEKStatus(
            kek_id=name.kek_id,
            tenant=name.tenant,
            classification=name.classification,
            purpose=name.purpose,
            version=name.version,
            state=KEKState(item["state"]),
            provider=self._provider.name,
            created_at=item["created_at"],
            activated_at=item["activated_at"],
            destroyed_at=item["destroyed_at"],
            wraps=int(item["wraps"]) + self._wraps[key],
        )


class _Change:
    """One change of the file."""

    def __init__(self, keyring: RegistryKeyring) -> None:
        self._keyring = keyring
        self._held = keyring._store.exclusive()

    def __enter__(self) -> None:
        self._keyring._lock.acquire()
        self._held.__enter__()
        self._keyring._load()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        ring = self._keyring
        try:
            if kind is None:
                for item in ring._body["keks"]:
                    item["wraps"] += ring._wraps.pop((item["id"], item["version"]), 0)
                ring._store.save(ring._body)
            else:
                ring._store.doubt()  # what was changed in memory is not so
            ring._load()
        finally:
            self._held.__exit__(None, None, None)
            ring._lock.release()


def new_body() -> Body:
    """The body of a keyring in which there is nothing yet."""
    return {"root": to_text(os.urandom(32)), "keks": []}


def require_same_dek(before: WrappingContext, after: WrappingContext) -> None:
    """Raises `request.invalid` where a rewrap would bind a DEK to another place."""
    places = [(c.tenant, c.dek_id, c.document_id, c.document_version) for c in (before, after)]
    if places[0] != places[1]:
        raise InvalidRequestError("a DEK is rewrapped for its own document version only")


def _named(item: dict[str, Any]) -> KEKName:
    return KEKName(
        kek_id=str(item["id"]),
        version=int(item["version"]),
        tenant=str(item["tenant"]),
        classification=Classification[item["classification"]],
        purpose=KeyPurpose(item["purpose"]),
    )
