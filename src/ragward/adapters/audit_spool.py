"""Events on their way into the audit log: one file per process, written before an answer leaves, read by the log's one writer.

A `write` of a few hundred bytes costs about a microsecond and survives the process, `kill -9` included; only losing power can
take what the log has not fetched yet, a fifth of a second's worth. Frames: u32 length, u32 CRC-32, u64 number, then the event.
Numbers go on over all files of a process, so a frame that is missing shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from ragward.domain.audit import AuditEvent
from ragward.domain.errors import UnavailableError

_FRAME: Final = struct.Struct(">IIQ")
_SUFFIX: Final = ".spool"
_ROTATE_BYTES: Final = 4 * 2**20


def encoded(event: AuditEvent) -> bytes:
    """`event.to_bytes()`, several times as fast: every answer waits for it."""
    return msgspec.json.encode(event.body(), order="sorted")


class Spool:
    """The end that is written to. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._worker = directory, uuid.uuid4().hex
        self._lock = threading.Lock()
        self._file, self._bytes, self._files, self._number = -1, 0, 0, 0

    def write(self, event: bytes) -> None:
        """It outlives this process when this returns. Raises `unavailable.audit`."""
        with self._lock:
            frame = _FRAME.pack(len(event), zlib.crc32(event), self._number) + event
            try:
                if self._file < 0 or self._bytes > _ROTATE_BYTES:
                    self._next()
                written = os.write(self._file, frame)
                if written != len(frame):
                    os.ftruncate(self._file, self._bytes)  # half a frame would hide those behind it
                    raise OSError("short write")
            except OSError as error:
                raise UnavailableError(code="unavailable.audit") from error
            self._bytes += written
            self._number += 1

    def close(self) -> None:
        """Whoever reads it may remove it from now on, once it is read."""
        with self._lock:
            self._release()

    def _next(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        name = f"{self._worker}-{self._files:06}{_SUFFIX}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        opened = os.open(self._directory / name, flags, 0o600)
        fcntl.flock(opened, fcntl.LOCK_EX)
        self._release()  # after: a process that holds no file is taken for dead
        self._file, self._files, self._bytes = opened, self._files + 1, 0

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(frozen=True, slots=True)
class Read:
    """Events of one file, and where reading goes on. `expected` and `number` differ where frames are missing."""

    name: str
    offset: int
    events: tuple[bytes, ...]
    worker: str
    expected: int
    next_number: int
    damaged: bool = False

    @property
    def is_gap(self) -> bool:
        """Whether something that had been written is not there."""
        return self.damaged or self.next_number - len(self.events) != self.expected


def spool_files(directory: Path) -> list[Path]:
    """Oldest of each process first."""
    return sorted(directory.glob(f"*{_SUFFIX}")) if directory.is_dir() else []


def worker_of(path: Path) -> str:
    """The process that a file is of."""
    return path.stem.partition("-")[0]


def read_spool(path: Path, offset: int, expected: int) -> Read:
    """What was written to a file after `offset`. A frame that does not verify ends the file: what is behind it cannot be
    told apart from noise. Raises OSError."""
    data = path.read_bytes()[offset:] if offset <= path.stat().st_size else b""
    events: list[bytes] = []
    at, number, damaged = 0, expected, False
    for end, found, event in _frames(data):
        if event is None:
            damaged = not _is_being_written(path)
            at = len(data) if damaged else at
            break
        if not events:
            number = found
        elif found != number:
            damaged = True
        events.append(event)
        number, at = found + 1, end
    return Read(path.name, offset + at, tuple(events), worker_of(path), expected, number, damaged)


def remove_if_finished(path: Path, offset: int) -> bool:
    """Removes a file that was read to its end and whose writer has let go of it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= offset and not _is_being_written(path):
            path.unlink()
            return True
    return False


def _frames(data: bytes) -> Iterator[tuple[int, int, bytes | None]]:
    """(end, number, event), and None for the event where a frame does not verify."""
    at = 0
    while at < len(data):
        if len(data) - at < _FRAME.size:
            yield at, 0, None
            return
        length, checksum, number = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        event = data[at : at + length]
        at += length
        if len(event) != length or zlib.crc32(event) != checksum:
            yield at, number, None
            return
        yield at, number, event


def _is_being_written(path: Path) -> bool:
    """Whether the process that made it still holds it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
