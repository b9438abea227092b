"""Which keyring a URI names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ragward.adapters.keyring_routed import HoldingKeyring
from ragward.domain.errors import ConfigurationError

SCHEMES: Final = ("file",)


def scheme_of(uri: str) -> str:
    """The scheme of a keys URI. Raises `config.invalid`."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in SCHEMES or bool(rest) == (scheme == "file"):
        raise ConfigurationError("keys are at file:")
    return scheme


def open_keyring(uri: str, path: Path, passphrase: Callable[[], str]) -> HoldingKeyring:
    """The keyring that is there. Raises `config.*`, `integrity.keyring`, `unavailable.keys`."""
    from ragward.adapters.keyring_file import FileKeyring

    scheme_of(uri)
    return FileKeyring.open(path, passphrase())


def create_keyring(uri: str, path: Path, passphrase: Callable[[], str]) -> None:
    """A new keyring with its file. Raises `config.already_initialised`."""
    from ragward.adapters.keyring_file import FileKeyring

    scheme_of(uri)
    FileKeyring.create(path, passphrase()).close()
