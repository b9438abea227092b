"""The sockets of a key broker: one for each role, of mode 0600, and who is at the other end is looked at (SO_PEERCRED).

A socket answers its owner's processes and the broker's own user's; an operator gives one to another user with chown.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ragward.adapters import broker_wire as pack
from ragward.adapters import owner_wire as wire
from ragward.adapters.keyring_limited import LimitedKeyring
from ragward.domain.access import Credentials
from ragward.domain.envelope import KeyPurpose, PurposeKey, WrappingContext
from ragward.domain.errors import LimitExceededError, RagwardError
from ragward.domain.keys import USES_OF, KEKStatus, KeyRole, KeyUse, WrappedDEK
from ragward.domain.labels import Classification
from ragward.ports import Keyring


class Broker(Protocol):
    """Who decides: `ragward.brokering.KeyBroker`."""

    def unwrap_all(
        self, credentials: Credentials, action: str, wraps: Sequence[WrappedDEK]
    ) -> Sequence[tuple[bytes | RagwardError, Classification | None]]:
        """For a subject."""

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """For the index."""

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        credentials: Credentials | None,
    ) -> Sequence[bytes | RagwardError]:
        """For relabelling and rotation."""

    def administered(self, act: str, tenant: str, details: Mapping[str, object]) -> None:
        """Records."""


class BrokerServer:
    """Answers until `close`, one thread for each connection."""

    def __init__(self, directory: Path, broker: Broker, keyring: Keyring) -> None:
        self._directory = directory
        self._connections: set[socket.socket] = set()
        self._closed = False
        self._listeners: list[socket.socket] = []
        for role, name in pack.SOCKETS.items():
            listener = wire.listener(directory, name)
            self._listeners.append(listener)
            calls = _Calls(broker, keyring, role)
            threading.Thread(
                target=self._accept, args=(listener, directory / name, calls), daemon=True
            ).start()

    def close(self) -> None:
        """Ends every connection and removes the sockets."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self._connections):
            wire.end(connection)
        for name in pack.SOCKETS.values():
            (self._directory / name).unlink(missing_ok=True)

    def _accept(self, listener: socket.socket, path: Path, calls: _Calls) -> None:
        while not self._closed:
            connection = None
            try:
                connection, _ = listener.accept()
                wire.require_same_user(connection, or_user=path.stat().st_uid)
            except OSError:
                if connection is not None:
                    connection.close()
                continue  # closed, or not ours to talk to
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection, calls), daemon=True).start()

    def _serve(self, connection: socket.socket, calls: _Calls) -> None:
        try:
            wire.send(connection, {"broker": pack.VERSION, "role": calls.role.value})
            while (message := wire.receive(connection)) is not None:
                wire.send(connection, calls.answer(message))
        except OSError:
            pass  # the other process is gone, or does not speak our language
        finally:
            self._connections.discard(connection)
            wire.end(connection)


class _Calls:
    """What may be called through one socket, by name; arguments as they arrived, nothing but data."""

    def __init__(self, broker: Broker, keyring: Keyring, role: KeyRole) -> None:
        self.role = role
        self._broker = broker
        self._keyring = LimitedKeyring(keyring, USES_OF[role])
        guarded: dict[str, tuple[KeyUse, Callable[..., Any]]] = {
            "unwrap": (KeyUse.UNWRAP, self._unwrap),
            "vectors": (KeyUse.VECTORS, self._vectors),
            "rewrap": (KeyUse.REWRAP, self._rewrap),
            "stage": (KeyUse.ADMINISTER, self._stage),
            "activate": (KeyUse.ADMINISTER, self._activate),
            "destroy": (KeyUse.ADMINISTER, self._destroy),
            "status": (KeyUse.ADMINISTER, self._status),
            "active": (KeyUse.WRAP, self._active),
            "wrap": (KeyUse.WRAP, self._wrap),
        }
        self._by_name = {n: call for n, (use, call) in guarded.items() if use in USES_OF[role]}
        self._by_name["mac"] = self._keyring.mac_key

    def answer(self, message: wire.Message) -> wire.Message:
        """The result, or the code of why not."""
        try:
            call = self._by_name.get(message["call"])
            if call is None:
                return {"code": "unavailable.keys", "detail": "not through this socket"}
            return {"ok": call(**message["with"])}
        except RagwardError as error:
            retry = error.retry_after_seconds if isinstance(error, LimitExceededError) else None
            return {"code": error.code, "detail": error.detail, "retry": retry}
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            return {"code": "request.invalid", "detail": type(error).__name__, "retry": None}

    def _unwrap(
        self, credentials: object, action: str, wraps: object
    ) -> list[tuple[Classification | None, pack.Result]]:
        found = self._broker.unwrap_all(
            pack.credentials_of(credentials), action, pack.wraps_of(wraps)
        )
        return [(level, pack.packed(value)) for value, level in found]

    def _vectors(self, wraps: object) -> list[pack.Result]:
        return [
            pack.packed(value if isinstance(value, RagwardError) else value.key)
            for value in self._broker.vector_keys(pack.wraps_of(wraps))
        ]

    def _rewrap(self, moves: object, credentials: object | None) -> list[pack.Result]:
        shown = None if credentials is None else pack.credentials_of(credentials)
        return list(map(pack.packed, self._broker.rewrap_all(pack.moves_of(moves), shown)))

    def _active(self, tenant: str, classification: str, purpose: str) -> list[Any]:
        level, use = Classification[classification], KeyPurpose(purpose)
        return list(self._keyring.active_kek(tenant, level, use))

    def _wrap(self, dek: object, context: object) -> bytes:
        return self._keyring.wrap(pack.data_of(dek), pack.context_of(context))

    def _stage(self, tenant: str, classification: str, purpose: str) -> list[Any]:
        level, use = Classification[classification], KeyPurpose(purpose)
        self._broker.administered("stage", tenant, {"classification": level.name})
        return list(self._keyring.stage(tenant, level, use))

    def _activate(self, kek_id: str, version: int) -> None:
        self._broker.administered("activate", "", {"kek": kek_id, "version": version})
        self._keyring.activate(kek_id, version)

    def _destroy(self, kek_id: str, version: int) -> None:
        self._broker.administered("destroy", "", {"kek": kek_id, "version": version})
        self._keyring.destroy(kek_id, version)

    def _status(self) -> Sequence[KEKStatus]:
        return self._keyring.status()
