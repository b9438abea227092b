"""Which keyring a URI names: `file:`, `pkcs11:`, `awskms:`, `vault:`, `broker:`. Each provider's library is loaded when it is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from ragward.adapters.keyring_registry import KEKProvider, RegistryKeyring, new_body
from ragward.adapters.keyring_routed import HoldingKeyring
from ragward.adapters.keyring_store import KeyringStore
from ragward.domain.errors import ConfigurationError, IntegrityError

SCHEMES: Final = ("file", "pkcs11", "awskms", "vault", "broker")


class ProtectingProvider(KEKProvider, Protocol):
    """A provider that also keeps the keys of the keyring file itself."""

    def protect(self, secret: bytes) -> str:
        """What `reveal` opens again. Raises `unavailable.keys`."""

    def reveal(self, kept: str) -> bytes:
        """The secret. Raises `integrity.keyring`, `unavailable.keys`."""


def scheme_of(uri: str) -> str:
    """The scheme of a keys URI. Raises `config.invalid`."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in SCHEMES or bool(rest) == (scheme == "file"):
        raise ConfigurationError(
            "keys are at file:, pkcs11:..., awskms:..., vault:... or broker:PATH"
        )
    return scheme


def parts_of(uri: str, *known: str) -> tuple[str, dict[str, str]]:
    """(what stands between scheme and `?`, the parameters). Raises `config.invalid` for one not known, or twice."""
    split = urlsplit(uri.partition(":")[2])
    pairs = parse_qsl(split.query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or not parameters.keys() <= set(known):
        raise ConfigurationError(f"parameters of this keys URI are {', '.join(known)}")
    where = uri.partition(":")[2].partition("?")[0]
    return unquote(where), parameters


def open_keyring(uri: str, path: Path, passphrase: Callable[[], str]) -> HoldingKeyring:
    """The keyring that is there. Raises `config.*`, `integrity.keyring`, `unavailable.keys`."""
    scheme = scheme_of(uri)
    if scheme == "broker":
        from ragward.adapters.broker_client import BrokerKeyring

        return BrokerKeyring.connect(Path(parts_of(uri)[0]))
    if scheme == "file":
        from ragward.adapters.keyring_file import FileKeyring

        return FileKeyring.open(path, passphrase())
    provider = _provider(scheme, uri)

    def keys_of(kdf: dict[str, Any]) -> bytes:
        if kdf.get("name") != provider.name or not isinstance(kdf.get("kept"), str):
            raise ConfigurationError("the keyring file is of another provider")
        keys = provider.reveal(kdf["kept"])
        if len(keys) != 64:
            raise IntegrityError(code="integrity.keyring")
        return keys

    try:
        return RegistryKeyring(KeyringStore.open(path, keys_of), provider)
    except BaseException:
        provider.close()
        raise


def create_keyring(uri: str, path: Path, passphrase: Callable[[], str]) -> None:
    """A new keyring with its file; at a broker there is nothing to create. Raises `config.already_initialised`."""
    scheme = scheme_of(uri)
    if scheme == "broker":
        return
    if scheme == "file":
        from ragward.adapters.keyring_file import FileKeyring

        FileKeyring.create(path, passphrase()).close()
        return
    provider = _provider(scheme, uri)
    try:
        keys = os.urandom(64)
        kdf = {"name": provider.name, "kept": provider.protect(keys)}
        KeyringStore.create(path, kdf, keys, new_body())
    finally:
        provider.close()


def _provider(scheme: str, uri: str) -> ProtectingProvider:
    if scheme == "pkcs11":
        from ragward.adapters.keyring_pkcs11 import PKCS11Provider

        return PKCS11Provider.from_uri(uri)
    if scheme == "awskms":
        from ragward.adapters.keyring_awskms import KMSProvider

        return KMSProvider.from_uri(uri)
    from ragward.adapters.keyring_vault import TransitProvider

    return TransitProvider.from_uri(uri)
