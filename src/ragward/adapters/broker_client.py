"""`broker:`: a keyring in another process, which decides for itself. No KEK and no root secret is ever in this one."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ragward.adapters import broker_wire as pack
from ragward.adapters import owner_wire as wire
from ragward.adapters.dek_cache import DEKCache, Fetched
from ragward.domain.envelope import KeyPurpose, PurposeKey, WrappingContext
from ragward.domain.errors import (
    ConfigurationError,
    LimitExceededError,
    RagwardError,
    UnavailableError,
    error_of,
)
from ragward.domain.keys import MAC_PURPOSES, KEKStatus, Reading, WrappedDEK
from ragward.domain.labels import Classification

_TIMEOUT_SECONDS: Final = 10.0
_AT_ONCE: Final = 1000


class BrokerKeyring:
    """`ports.Keyring` through a broker's socket. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = wire.Connections(self._connected, _TIMEOUT_SECONDS)
        self._cache = DEKCache(time.monotonic)
        self._mac_keys: dict[str, bytes] = {}

    @classmethod
    def connect(cls, path: Path) -> BrokerKeyring:
        """Raises `unavailable.keys` where no broker listens, `config.newer_version` where one of another version does."""
        keyring = cls(path)
        try:
            keyring._connections.open_one()
        except OSError:
            raise UnavailableError("no key broker listens there", code="unavailable.keys") from None
        return keyring

    def active_kek(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """(kek_id, version) to wrap with."""
        kek_id, version = self._call(
            "active", tenant=tenant, classification=classification.name, purpose=purpose.value
        )
        return str(kek_id), int(version)

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """Wrapped there."""
        return pack.data_of(self._call("wrap", dek=dek, context=context))

    def unwrap_all(
        self, wraps: Sequence[WrappedDEK], reading: Reading | None
    ) -> Sequence[bytes | RagwardError]:
        """Per item what the broker decided for the subject."""
        credentials = None if reading is None else reading.subject.credentials
        if reading is None or credentials is None:
            return [UnavailableError(code="unavailable.keys") for _ in wraps]
        action = reading.action.value

        def fetch(items: Sequence[WrappedDEK]) -> Fetched:
            found = self._call("unwrap", credentials=credentials, action=action, wraps=items)
            return [
                (pack.result_of(result), None if level is None else Classification(level))
                for level, result in pack.granted_of(found)
            ]

        return self._cache.unwrap_all(wraps, reading, fetch)

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """The derived keys; the DEKs stay there."""
        out: list[PurposeKey | RagwardError] = []
        for start in range(0, len(wraps), _AT_ONCE):
            part = wraps[start : start + _AT_ONCE]
            for value in pack.results_of(self._call("vectors", wraps=part)):
                if isinstance(value, RagwardError):
                    out.append(value)
                else:
                    out.append(PurposeKey(purpose=KeyPurpose.VECTOR, key=value))
        return out

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        reading: Reading | None = None,
    ) -> Sequence[bytes | RagwardError]:
        """Rewrapped there."""
        out: list[bytes | RagwardError] = []
        credentials = None if reading is None else reading.subject.credentials
        for start in range(0, len(moves), _AT_ONCE):
            part = moves[start : start + _AT_ONCE]
            out += pack.results_of(self._call("rewrap", moves=part, credentials=credentials))
        return out

    def stage(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """A new pending version, there."""
        kek_id, version = self._call(
            "stage", tenant=tenant, classification=classification.name, purpose=purpose.value
        )
        return str(kek_id), int(version)

    def activate(self, kek_id: str, version: int) -> None:
        """There."""
        self._call("activate", kek_id=kek_id, version=version)

    def destroy(self, kek_id: str, version: int) -> None:
        """There, and forgotten here."""
        self._call("destroy", kek_id=kek_id, version=version)
        self.forget()

    def mac_key(self, purpose: str) -> bytes:
        """Asked for once."""
        if purpose not in MAC_PURPOSES:
            raise ValueError(f"unknown purpose {purpose!r}")
        if purpose not in self._mac_keys:
            self._mac_keys[purpose] = pack.data_of(self._call("mac", purpose=purpose))
        return self._mac_keys[purpose]

    def status(self) -> Sequence[KEKStatus]:
        """All versions there."""
        return pack.statuses_of(self._call("status"))

    def holds(self, kek_id: str) -> bool:  # noqa: ARG002 - the broker says when it is asked to use it
        """A broker is asked for everything."""
        return True

    def forget(self) -> None:
        """Drops cached DEKs."""
        self._cache.forget()

    def close(self) -> None:
        """Forgets, and ends the connections."""
        self.forget()
        self._mac_keys.clear()
        self._connections.close()

    def _call(self, name: str, **arguments: object) -> Any:
        try:
            answer = self._connections.call({"call": name, "with": arguments})
        except OSError:
            raise UnavailableError(code="unavailable.keys") from None
        if "code" in answer:
            raised = error_of(answer["code"], answer["detail"])
            if isinstance(raised, LimitExceededError) and answer.get("retry"):
                raised.retry_after_seconds = answer["retry"]
            raise raised
        return answer["ok"]

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_TIMEOUT_SECONDS)
            with wire.short_path(self._path.parent, self._path.name) as path:
                connection.connect(path)
            wire.require_same_user(connection, or_user=self._path.parent.stat().st_uid)
            hello = wire.receive(connection)
            if hello is None:
                raise OSError("the broker is gone")
            if hello.get("broker") != pack.VERSION:
                raise ConfigurationError(code="config.newer_version")
        except BaseException:
            connection.close()
            raise
        return connection
