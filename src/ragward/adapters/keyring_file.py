"""`file:`: KEKs in the keyring file itself, under a passphrase.

Argon2id (RFC 9106) over the passphrase gives the keys of the file (`keyring_store`).
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ragward.adapters.kek_aesgcm import LocalKEK
from ragward.adapters.keyring_registry import RegistryKeyring, new_body
from ragward.adapters.keyring_store import KeyringStore, from_text, to_text
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.domain.keys import KEKName

_KDF: Final = {"memory_kib": 64 * 1024, "iterations": 3, "lanes": 4}
_KDF_BOUNDS: Final = {
    "memory_kib": (19 * 1024, 4 * 2**20),
    "iterations": (1, 64),
    "lanes": (1, 64),
}


class InFile:
    """The provider that is the file itself: what it keeps of a KEK is its bytes."""

    name = "file"
    is_remote = False
    expires = False

    def create(self, which: KEKName) -> str:  # noqa: ARG002 - the file says what it is for
        """32 random bytes."""
        return to_text(os.urandom(32))

    def open(self, which: KEKName, kept: str) -> LocalKEK:  # noqa: ARG002 - the signature of the port
        """The KEK of these bytes."""
        return LocalKEK(from_text(kept))

    def destroy(self, which: KEKName, kept: str) -> None:
        """The file no longer has it; nobody else had."""

    def close(self) -> None:
        """Nothing to release."""


class FileKeyring(RegistryKeyring):
    """`ports.Keyring` on one file and a passphrase."""

    @classmethod
    def create(cls, path: Path, passphrase: str) -> FileKeyring:
        """A new keyring file, mode 0600. Raises `config.already_initialised`."""
        if len(passphrase) < 12:
            raise ConfigurationError(
                "a passphrase has at least 12 characters", code="config.passphrase"
            )
        kdf = {"name": "argon2id", "salt": to_text(os.urandom(16)), **_KDF}
        return cls(
            KeyringStore.create(path, kdf, _stretched(passphrase, kdf), new_body()), InFile()
        )

    @classmethod
    def open(cls, path: Path, passphrase: str) -> FileKeyring:
        """Raises `config.passphrase`, `config.newer_version`, `integrity.keyring`, `config.invalid`."""
        return cls(KeyringStore.open(path, lambda kdf: _stretched(passphrase, kdf)), InFile())


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
        text = private_file(Path(rest))
    elif kind == "credential":
        text = private_file(Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / Path(rest).name)
    elif kind == "fd" and rest.isdigit():
        with os.fdopen(int(rest), encoding="utf-8") as inherited:
            text = inherited.read(4096)
    else:
        raise ConfigurationError("unknown or unsafe passphrase source")
    text = text.rstrip("\r\n")
    if not text:
        raise ConfigurationError("the passphrase is empty", code="config.passphrase")
    return text


def private_file(path: Path) -> str:
    """The text of a file that its owner alone can read. Raises `config.invalid`, `config.passphrase`."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(f"{path.name} must be readable by its owner only")
        return path.read_text(encoding="utf-8")
    except OSError:
        raise ConfigurationError(
            "the passphrase file cannot be read", code="config.passphrase"
        ) from None


def _stretched(passphrase: str, kdf: dict[str, Any]) -> bytes:
    for name, (low, high) in _KDF_BOUNDS.items():
        if not isinstance(kdf.get(name), int) or not low <= kdf[name] <= high:
            raise IntegrityError(
                "the keyring's key derivation is out of bounds", code="integrity.keyring"
            )
    try:
        return Argon2id(
            salt=from_text(kdf["salt"]),
            length=64,
            iterations=kdf["iterations"],
            lanes=kdf["lanes"],
            memory_cost=kdf["memory_kib"],
        ).derive(passphrase.encode())
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(code="integrity.keyring") from None
