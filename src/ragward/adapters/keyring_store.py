"""The file of a keyring, encrypted and authenticated under keys that a passphrase or a provider gives.

JSON ``{"format": 1, "kdf": {...}, "check", "body"}``. `kdf` says where 64 bytes come from: Argon2id over the passphrase
(RFC 9106), or a provider that opens what it protected. They are an HMAC key for `check`, which tells a wrong secret from a
damaged file, and an AES-256-GCM key for `body`, with format and `kdf` as associated data.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError

Body = dict[str, Any]
_FORMAT: Final = 1
_CHECK: Final = b"ragward.keyring.check.v1"


class KeyringStore:
    """One file; several processes may share it."""

    def __init__(self, path: Path, keys: bytes) -> None:
        self._path, self._name = path, os.fspath(path)
        self._check_key, self._body_key = keys[:32], keys[32:]
        self._seen: tuple[int, int, int] | None = None

    @classmethod
    def create(cls, path: Path, kdf: Mapping[str, Any], keys: bytes, body: Body) -> KeyringStore:
        """A new file, mode 0600. Raises `config.already_initialised`."""
        if path.exists():
            raise ConfigurationError("the keyring file exists", code="config.already_initialised")
        store = cls(path, keys)
        replace(path, store.encrypted(kdf, body))
        return store

    @classmethod
    def open(cls, path: Path, keys_of: Callable[[dict[str, Any]], bytes]) -> KeyringStore:
        """Raises `config.passphrase`, `config.newer_version`, `integrity.keyring`, `config.invalid`."""
        outer = _read(path)
        store = cls(path, keys_of(outer["kdf"]))
        expected = hmac.new(store._check_key, _CHECK, hashlib.sha256).digest()
        if not hmac.compare_digest(expected, from_text(outer["check"])):
            raise ConfigurationError(code="config.passphrase")
        return store

    def load(self) -> Body | None:
        """The body, or None while the file is as it was. Raises `integrity.keyring`, `unavailable.keys`."""
        try:
            found = os.stat(self._name)  # once for every unwrap: Path.stat takes twice as long
        except OSError:
            raise UnavailableError(code="unavailable.keys") from None
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        if mark == self._seen:
            return None
        outer = _read(self._path)
        data = from_text(outer["body"])
        try:
            plain = AESGCM(self._body_key).decrypt(data[:12], data[12:], _header(outer["kdf"]))
            body = json.loads(plain)
        except (InvalidTag, ValueError):
            raise IntegrityError(code="integrity.keyring") from None
        self._seen = mark
        return dict(body)

    def save(self, body: Body) -> None:
        """Replaces the body, durably. For whoever holds `exclusive`."""
        replace(self._path, self.encrypted(_read(self._path)["kdf"], body))

    def doubt(self) -> None:
        """Makes the next `load` read again, whatever the file's time says."""
        self._seen = None

    def encrypted(self, kdf: Mapping[str, Any], body: Body) -> bytes:
        """The bytes of the file."""
        nonce = os.urandom(12)
        text = json.dumps(body).encode()
        data = nonce + AESGCM(self._body_key).encrypt(nonce, text, _header(kdf))
        check = hmac.new(self._check_key, _CHECK, hashlib.sha256).digest()
        outer = {"format": _FORMAT, "kdf": kdf, "check": to_text(check), "body": to_text(data)}
        return json.dumps(outer, indent=1).encode()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One process at a time reads, changes and writes the file."""
        lock = self._path.with_name(self._path.name + ".lock")
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Atomically and durably: written aside, synced, renamed, and the directory synced."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def to_text(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


def from_text(text: object) -> bytes:
    """The inverse. Raises `integrity.keyring`."""
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]  # no text raises TypeError, below
    except (ValueError, TypeError):
        raise IntegrityError(code="integrity.keyring") from None


def _header(kdf: Mapping[str, Any]) -> bytes:
    return b"ragward.keyring.v1\0" + json.dumps(kdf, sort_keys=True).encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError("the keyring file must be readable by its owner only")
        outer = json.loads(path.read_bytes())
        if not isinstance(outer, dict) or not isinstance(outer.get("kdf"), dict):
            raise ValueError
    except OSError:
        raise ConfigurationError("the keyring file cannot be read") from None
    except ValueError:
        raise IntegrityError(code="integrity.keyring") from None
    if isinstance(outer.get("format"), int) and outer["format"] > _FORMAT:
        raise ConfigurationError(code="config.newer_version")
    if outer.get("format") != _FORMAT or not {"check", "body"} <= outer.keys():
        raise IntegrityError(code="integrity.keyring")
    return outer
