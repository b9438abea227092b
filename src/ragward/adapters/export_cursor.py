"""The place of an export in a file, under a key: who can write the file cannot move it past events that were not sent."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.domain.ocsf import Place

_CONTEXT: Final = b"ragward.export-cursor.v1\0"


class FileCursor:
    """`ports.export.ExportCursor`: one file for each receiver; one process at a time holds it."""

    def __init__(self, directory: Path, receiver: str, key: bytes) -> None:
        """Raises `config.index_owned` when another process exports there."""
        self._receiver, self._key = receiver, key
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = cursor_path(directory, receiver)
        self._lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigurationError(
                "another process exports there", code="config.index_owned"
            ) from None

    def load(self) -> Place | None:
        """None also where the file was edited, or is of another receiver."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(code="unavailable.audit") from error
        try:
            body: dict[str, Any] = json.loads(text)
            place = Place(**body["place"])
            given = bytes.fromhex(body["mac"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return place if hmac.compare_digest(given, self._mac(place)) else None

    def save(self, place: Place) -> None:
        """Put in the place of the one before, both on disk."""
        body = {"place": asdict(place), "mac": self._mac(place).hex()}
        beside = self._path.with_suffix(".new")
        try:
            descriptor = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, json.dumps(body).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            beside.replace(self._path)
        except OSError as error:
            raise UnavailableError(code="unavailable.audit") from error

    def close(self) -> None:
        """Lets another process export there."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _mac(self, place: Place) -> bytes:
        message = json.dumps([self._receiver, asdict(place)], sort_keys=True).encode()
        return hmac.new(self._key, _CONTEXT + message, hashlib.sha256).digest()


def cursor_path(directory: Path, receiver: str) -> Path:
    """Where the place of a receiver is kept."""
    return directory / f"{hashlib.sha256(receiver.encode()).hexdigest()[:24]}.json"


def next_index(path: Path) -> int:
    """How far an export says it has come, for metrics: nothing hangs on it."""
    try:
        found = json.loads(path.read_bytes())["place"]["next_index"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return 0
    return found if type(found) is int else 0
