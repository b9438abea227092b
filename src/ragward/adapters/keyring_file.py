"""The keyring file: every KEK of an installation, sealed by a passphrase.

JSON ``{"format": 1, "kdf": {"name": "argon2id", "salt", "memory_kib", "iterations", "lanes"}, "check", "body"}``. Argon2id
(RFC 9106) over the passphrase gives 64 bytes: an HMAC key for `check`, which tells a wrong passphrase from a damaged
file, and an AES-256-GCM key for `body`, with format and KDF parameters as associated data. The body holds one root
secret, from which MAC keys are derived by purpose, and the KEKs by (tenant, classification, version).
"""

from __future__ import annotations

import base64
import fcntl
import getpass
import hashlib
import hmac
import json
import os
import stat
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ragward.domain.envelope import WRAPPED_DEK_BYTES, KEKStatus, WrappingContext
from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError
from ragward.domain.labels import Classification

_FORMAT: Final = 1
_KDF: Final = {"memory_kib": 64 * 1024, "iterations": 3, "lanes": 4}
_KDF_BOUNDS: Final = {
    "memory_kib": (19 * 1024, 4 * 2**20),
    "iterations": (1, 64),
    "lanes": (1, 64),
}
_MAX_WRAPS: Final = 2**32
_MAC_PURPOSES: Final = frozenset(
    {"audit-chain", "query-tag", "epoch-token", "page-token", "pseudonym"}
)


class FileKeyring:
    """`ports.Keyring` on one file. Thread-safe; several processes may share the file."""

    def __init__(self, path: Path, passphrase_keys: tuple[bytes, bytes], may_create: bool) -> None:
        self._path = path
        self._check_key, self._body_key = passphrase_keys
        self._may_create = may_create
        self._lock = threading.RLock()
        self._seen: tuple[int, int, int] | None = None
        self._body: dict[str, Any] = {}
        self._ciphers: dict[tuple[str, int], AESGCM] = {}
        self._wraps: dict[tuple[str, int], int] = {}
        self._load()

    @classmethod
    def create(cls, path: Path, passphrase: str) -> FileKeyring:
        """A new keyring file, mode 0600. Raises `config.already_initialised`."""
        if path.exists():
            raise ConfigurationError("the keyring file exists", code="config.already_initialised")
        _require_passphrase(passphrase)
        kdf = {"name": "argon2id", "salt": _text(os.urandom(16)), **_KDF}
        check_key, body_key = _stretched(passphrase, kdf)
        body = {"root": _text(os.urandom(32)), "keks": []}
        _replace(path, _sealed(kdf, check_key, body_key, body))
        return cls.open(path, passphrase)

    @classmethod
    def open(cls, path: Path, passphrase: str, *, may_create: bool = True) -> FileKeyring:
        """Raises `config.passphrase`, `config.newer_version`, `integrity.keyring`, `config.invalid`.

        Without `may_create` no KEK can be made: for processes that only answer queries.
        """
        outer = _read(path)
        keys = _stretched(passphrase, outer["kdf"])
        expected = hmac.new(keys[0], b"ragward.keyring.check.v1", hashlib.sha256).digest()
        if not hmac.compare_digest(expected, _bytes(outer["check"])):
            raise ConfigurationError(code="config.passphrase")
        return cls(path, keys, may_create)

    def active_kek(self, tenant: str, classification: Classification) -> tuple[str, int]:
        """(kek_id, version) to wrap with; made on first use. Raises `unavailable.keys`."""
        with self._lock:
            self._load()
            found = self._active(tenant, classification)
            if found is None:
                found = self._add_version(tenant, classification, only_if_missing=True)
            return str(found["id"]), int(found["version"])

    def rotate(self, tenant: str, classification: Classification) -> tuple[str, int]:
        """A new active version; earlier ones still unwrap."""
        with self._lock:
            made = self._add_version(tenant, classification, only_if_missing=False)
            return str(made["id"]), int(made["version"])

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """nonce(12) | AES-256-GCM(DEK)(32) | tag(16), with the context as associated data."""
        key = (context.kek_id, context.kek_version)
        with self._lock:
            cipher = self._cipher(key)
            self._wraps[key] = self._wraps.get(key, 0) + 1
            if self._wraps[key] >= _MAX_WRAPS:  # random 96-bit nonces (NIST SP 800-38D, 8.3)
                raise UnavailableError(
                    "this KEK version is used up: rotate", code="unavailable.keys"
                )
        nonce = os.urandom(12)
        return nonce + cipher.encrypt(nonce, dek, context.to_bytes())

    def unwrap(self, wrapped: bytes, context: WrappingContext) -> bytes:
        """The DEK. Raises `integrity.wrapped_key`, `unavailable.keys`."""
        if len(wrapped) != WRAPPED_DEK_BYTES:
            raise IntegrityError(code="integrity.wrapped_key")
        with self._lock:
            cipher = self._cipher((context.kek_id, context.kek_version))
        try:
            return cipher.decrypt(wrapped[:12], wrapped[12:], context.to_bytes())
        except InvalidTag:
            raise IntegrityError(code="integrity.wrapped_key") from None

    def mac_key(self, purpose: str) -> bytes:
        """32 bytes for one purpose, derived from the root secret."""
        if purpose not in _MAC_PURPOSES:
            raise ValueError(f"unknown purpose {purpose!r}")
        message = b"ragward.mac-key.v1\0" + purpose.encode()
        return hmac.new(_bytes(self._body["root"]), message, hashlib.sha256).digest()

    def status(self) -> Sequence[KEKStatus]:
        """All KEK versions, without key material; `wraps` counts this process's."""
        with self._lock:
            self._load()
            return [
                KEKStatus(
                    kek_id=item["id"],
                    tenant=item["tenant"],
                    purpose=item["classification"],
                    version=item["version"],
                    state=item["state"],
                    created_at=item["created_at"],
                    wraps=self._wraps.get((item["id"], item["version"]), 0),
                )
                for item in self._body["keks"]
            ]

    def _active(self, tenant: str, classification: Classification) -> dict[str, Any] | None:
        for item in self._body["keks"]:
            ours = (item["tenant"], item["classification"]) == (tenant, classification.name)
            if ours and item["state"] == "active":
                return dict(item)
        return None

    def _add_version(
        self, tenant: str, classification: Classification, *, only_if_missing: bool
    ) -> dict[str, Any]:
        if not self._may_create:
            raise UnavailableError("this process may not create keys", code="unavailable.keys")
        with _exclusive(self._path):
            self._load()
            before = self._active(tenant, classification)
            if before is not None and only_if_missing:
                return before  # another process was first
            for item in self._body["keks"]:
                if before is not None and item["id"] == before["id"] and item["state"] == "active":
                    item["state"] = "decrypt_only"
            made = {
                "id": before["id"] if before else str(uuid.uuid4()),
                "tenant": tenant,
                "classification": classification.name,
                "version": int(before["version"]) + 1 if before else 1,
                "state": "active",
                "created_at": int(time.time()),
                "key": _text(os.urandom(32)),
            }
            self._body["keks"].append(made)
            kdf = _read(self._path)["kdf"]
            _replace(self._path, _sealed(kdf, self._check_key, self._body_key, self._body))
            self._load()
            return made

    def _cipher(self, key: tuple[str, int]) -> AESGCM:
        if key not in self._ciphers:
            self._load()
        if key not in self._ciphers:
            raise UnavailableError("the keyring does not hold that key", code="unavailable.keys")
        return self._ciphers[key]

    def _load(self) -> None:
        """Reads the file again if it changed."""
        try:
            found = self._path.stat()
        except OSError:
            raise UnavailableError(code="unavailable.keys") from None
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        if mark == self._seen:
            return
        outer = _read(self._path)
        sealed = _bytes(outer["body"])
        try:
            plain = AESGCM(self._body_key).decrypt(sealed[:12], sealed[12:], _header(outer["kdf"]))
            self._body = json.loads(plain)
        except (InvalidTag, ValueError):
            raise IntegrityError(code="integrity.keyring") from None
        self._ciphers = {
            (item["id"], item["version"]): AESGCM(_bytes(item["key"]))
            for item in self._body["keks"]
        }
        self._seen = mark


def read_passphrase(source: str, *, demo: bool = False) -> str:
    """The passphrase from `prompt:`, `file:PATH`, `fd:N`, `credential:NAME` or, in demos, `env:NAME`.

    Raises `config.passphrase` or, for an unsafe source, `config.invalid`.
    """
    kind, _, rest = source.partition(":")
    if kind == "prompt":
        if not sys.stdin.isatty():
            raise ConfigurationError(
                "no terminal to ask for the passphrase", code="config.passphrase"
            )
        return getpass.getpass("Keyring passphrase: ")
    if kind == "env" and demo:
        text = os.environ.get(rest, "")
    elif kind == "file":
        text = _private_file(Path(rest))
    elif kind == "credential":
        text = _private_file(Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / Path(rest).name)
    elif kind == "fd" and rest.isdigit():
        with os.fdopen(int(rest), encoding="utf-8") as inherited:
            text = inherited.read(4096)
    else:
        raise ConfigurationError("unknown or unsafe passphrase source")
    text = text.rstrip("\r\n")
    if not text:
        raise ConfigurationError("the passphrase is empty", code="config.passphrase")
    return text


def _private_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(f"{path.name} must be readable by its owner only")
        return path.read_text(encoding="utf-8")
    except OSError:
        raise ConfigurationError(
            "the passphrase file cannot be read", code="config.passphrase"
        ) from None


def _require_passphrase(passphrase: str) -> None:
    if len(passphrase) < 12:
        raise ConfigurationError(
            "a passphrase has at least 12 characters", code="config.passphrase"
        )


def _stretched(passphrase: str, kdf: dict[str, Any]) -> tuple[bytes, bytes]:
    for name, (low, high) in _KDF_BOUNDS.items():
        if not isinstance(kdf.get(name), int) or not low <= kdf[name] <= high:
            raise IntegrityError(
                "the keyring's key derivation is out of bounds", code="integrity.keyring"
            )
    try:
        out = Argon2id(
            salt=_bytes(kdf["salt"]),
            length=64,
            iterations=kdf["iterations"],
            lanes=kdf["lanes"],
            memory_cost=kdf["memory_kib"],
        ).derive(passphrase.encode())
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(code="integrity.keyring") from None
    return out[:32], out[32:]


def _header(kdf: dict[str, Any]) -> bytes:
    return b"ragward.keyring.v1\0" + json.dumps(kdf, sort_keys=True).encode()


def _sealed(kdf: dict[str, Any], check_key: bytes, body_key: bytes, body: dict[str, Any]) -> bytes:
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(body_key).encrypt(nonce, json.dumps(body).encode(), _header(kdf))
    check = hmac.new(check_key, b"ragward.keyring.check.v1", hashlib.sha256).digest()
    outer = {"format": _FORMAT, "kdf": kdf, "check": _text(check), "body": _text(sealed)}
    return json.dumps(outer, indent=1).encode()


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


def _replace(path: Path, data: bytes) -> None:
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


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One process at a time reads, changes and writes the file."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise IntegrityError(code="integrity.keyring") from None
