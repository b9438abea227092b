"""How our processes on one machine talk (owner and workers, key broker and its clients): a length, then MessagePack.

No pickle: what arrives is data, never code.
"""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import socket
import struct
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from pyroaring import FrozenBitMap

from ragward.domain.access import IdSet
from ragward.domain.corpus import Vector
from ragward.domain.generations import EmbeddedQuery
from ragward.domain.words import WordWeights

SOCKET: Final = "owner.sock"
VERSION: Final = 5
_MAX_FRAME: Final = 64 * 2**20
_LENGTH: Final = struct.Struct(">I")
_CREDENTIALS: Final = struct.Struct("3i")
Message = dict[str, Any]
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Message)


def send(connection: socket.socket, message: Message) -> None:
    """One message. Raises `OSError`."""
    data = _ENCODER.encode(message)
    if len(data) > _MAX_FRAME:
        raise OSError("message too long")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> Message | None:
    """The next message; None when the other side is gone. Raises `OSError` for anything malformed."""
    header = _exactly(connection, _LENGTH.size)
    if header is None:
        return None
    (length,) = _LENGTH.unpack(header)
    if length > _MAX_FRAME:
        raise OSError("message too long")
    data = _exactly(connection, length)
    try:
        return _DECODER.decode(data or b"")
    except msgspec.DecodeError:
        raise OSError("malformed message") from None


def require_same_user(connection: socket.socket, or_user: int | None = None) -> None:
    """Raises `OSError` unless a process of our own user, or of the one named, is at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    if user not in (os.geteuid(), or_user):
        raise PermissionError("another user's process")


@contextmanager
def short_path(directory: Path, name: str = SOCKET) -> Iterator[str]:
    """The socket's path, however deep the directory lies: socket paths end at 108 bytes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def listener(directory: Path, name: str = SOCKET) -> socket.socket:
    """A socket that only our own user can connect to. What a killed process left is replaced."""
    (directory / name).unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short_path(directory, name) as path:
            made.bind(path)
    finally:
        os.umask(before)
    made.listen(64)
    return made


def end(connection: socket.socket) -> None:
    """Ends a connection that may be over already."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class Connections:
    """Connections to one process, one for each call under way; they are kept and used again."""

    def __init__(self, connect: Callable[[], socket.socket], timeout_seconds: float) -> None:
        self._connect, self._timeout = connect, timeout_seconds
        self._idle: queue.LifoQueue[socket.socket] = queue.LifoQueue()

    def open_one(self) -> None:
        """Connects at once. Raises as `connect` does."""
        self._idle.put(self._connect())

    def call(self, message: Message) -> Message:
        """The answer. Raises `OSError` when the other process is gone."""
        connection = self._taken()
        try:
            send(connection, message)
            answer = receive(connection)
            if answer is None:
                raise OSError("the other process is gone")
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        return answer

    def close(self) -> None:
        """Ends all that are idle."""
        while not self._idle.empty():
            self._idle.get().close()

    def _taken(self) -> socket.socket:
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return self._connect()
            if self._is_alive(connection):
                return connection
            connection.close()

    def _is_alive(self, connection: socket.socket) -> bool:
        """Whether the other end is still held; an idle connection has nothing to read."""
        try:
            connection.setblocking(False)
            connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            connection.settimeout(self._timeout)
            return True
        except OSError:
            return False
        return False


def pack_vector(vector: Vector) -> str:
    """Float32, base64."""
    return base64.b64encode(array("f", vector).tobytes()).decode()


def unpack_vector(text: str) -> Vector:
    """The inverse of `pack_vector`."""
    return array("f", base64.b64decode(text)).tolist()


def pack_query(vector: Vector) -> list[Any]:
    """A question's vector, and whose generation's it is; 0 for the one that answers."""
    number = vector.generation if isinstance(vector, EmbeddedQuery) else 0
    return [number, pack_vector(vector)]


def unpack_query(pair: list[Any]) -> Vector:
    """The inverse of `pack_query`. Raises `ValueError`."""
    number, text = pair
    vector = unpack_vector(text)
    return EmbeddedQuery(vector, int(number)) if number else vector


def pack_words(words: WordWeights) -> list[list[float]]:
    """Pairs."""
    return [[word, weight] for word, weight in words.items()]


def unpack_words(pairs: list[list[Any]]) -> dict[int, float]:
    """The inverse of `pack_words`. Raises `ValueError`."""
    return {int(word): float(weight) for word, weight in pairs}


def pack_ids(ids: IdSet) -> str:
    """A serialised bitmap, base64. Raises `ValueError` for anything but positive integers."""
    if not isinstance(ids, FrozenBitMap):
        if not all(type(value) is int and 0 < value < 2**32 for value in ids):
            raise ValueError("scopes are positive integers")
        ids = FrozenBitMap(ids)
    return base64.b64encode(ids.serialize()).decode()


def unpack_ids(text: str) -> FrozenBitMap:
    """The inverse of `pack_ids`."""
    return FrozenBitMap.deserialize(base64.b64decode(text))


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    parts = []
    missing = length
    while missing:
        part = connection.recv(min(missing, 2**20))
        if not part:
            if missing == length:
                return None
            raise OSError("the connection broke off")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
