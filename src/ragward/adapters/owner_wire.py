"""What owner and workers say to each other: a length, then JSON. No pickle: what arrives is data, never code."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pyroaring import FrozenBitMap

from ragward.domain.access import IdSet
from ragward.domain.corpus import Vector

SOCKET: Final = "owner.sock"
VERSION: Final = 2
_MAX_FRAME: Final = 64 * 2**20
_LENGTH: Final = struct.Struct(">I")
_CREDENTIALS: Final = struct.Struct("3i")
Message = dict[str, Any]


def send(connection: socket.socket, message: Message) -> None:
    """One message. Raises `OSError`."""
    data = json.dumps(message, separators=(",", ":")).encode()
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
        message = json.loads(data or b"")
    except ValueError:
        raise OSError("malformed message") from None
    if not isinstance(message, dict):
        raise OSError("malformed message")
    return message


def require_same_user(connection: socket.socket) -> None:
    """Raises `OSError` unless a process of our own user is at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    if user != os.geteuid():
        raise PermissionError("another user's process")


@contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """The socket's path, however deep the directory lies: socket paths end at 108 bytes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def pack_vector(vector: Vector) -> str:
    """Float32, base64."""
    return base64.b64encode(array("f", vector).tobytes()).decode()


def unpack_vector(text: str) -> Vector:
    """The inverse of `pack_vector`."""
    return array("f", base64.b64decode(text)).tolist()


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
