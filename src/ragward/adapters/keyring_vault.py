"""`vault:`: KEKs are keys of a transit engine (HashiCorp Vault, OpenBao); every wrap and unwrap is a call with associated data.

URI: ``vault:https://HOST:PORT?mount=transit&token=SOURCE&prefix=ragward``, with the token from where passphrases come. Each KEK
version is a transit key of its own, always in its version 1, so that what stands behind `vault:v1:` has the common format of
a wrapped DEK. Transit's own `rewrap` takes no associated data and is not used: rewrapping is decrypt and encrypt.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from ragward.adapters.keyring_file import read_passphrase
from ragward.adapters.keyring_registry import KEK
from ragward.adapters.keyrings import parts_of
from ragward.domain.envelope import WRAPPED_DEK_BYTES
from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError
from ragward.domain.keys import KEKName

_PREFIX: Final = "vault:v1:"
_ROOT_DATA: Final = b"ragward.keyring.v1"
_TIMEOUT_SECONDS: Final = 5.0


class TransitProvider:
    """One transit mount. Thread-safe, as httpx's clients are."""

    name = "vault"
    is_remote = True
    expires = False

    def __init__(self, client: httpx.Client, prefix: str) -> None:
        self._client, self._names = client, prefix

    @classmethod
    def from_uri(cls, uri: str) -> TransitProvider:
        """Raises `config.invalid`, `config.passphrase`. Plain http is for this machine only."""
        where, given = parts_of(uri, "mount", "token", "prefix")
        url = urlsplit(where)
        if url.scheme not in ("https", "http") or not url.hostname or not given.get("token"):
            raise ConfigurationError("vault:https://HOST:PORT?mount=MOUNT&token=SOURCE")
        if url.scheme == "http" and not _is_loopback(url.hostname):
            raise ConfigurationError("a vault on another machine is reached over https")
        client = httpx.Client(
            base_url=f"{where.rstrip('/')}/v1/{quote(given.get('mount', 'transit'))}/",
            headers={"X-Vault-Token": read_passphrase(given["token"])},
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )
        return cls(client, given.get("prefix", "ragward"))

    def protect(self, secret: bytes) -> str:
        """Under a transit key of its own."""
        name = f"{self._names}-root"
        self._create_key(name)
        return self.encrypt(name, secret, _ROOT_DATA)

    def reveal(self, kept: str) -> bytes:
        """The secret."""
        try:
            return self.decrypt(f"{self._names}-root", kept, _ROOT_DATA)
        except IntegrityError:
            raise IntegrityError(code="integrity.keyring") from None

    def create(self, which: KEKName) -> str:
        """A transit key that cannot be exported; returns its name."""
        name = f"{self._names}-{which.kek_id}-{which.version}"
        self._create_key(name)
        return name

    def open(self, which: KEKName, kept: str) -> KEK:  # noqa: ARG002 - the name says which
        """A door to it."""
        return _TransitKEK(self, kept)

    def destroy(self, which: KEKName, kept: str) -> None:  # noqa: ARG002 - the signature of the port
        """Allows its deletion, then deletes it."""
        if self._call("GET", f"keys/{kept}", missing_is_fine=True) is None:
            return
        self._call("POST", f"keys/{kept}/config", json={"deletion_allowed": True})
        self._call("DELETE", f"keys/{kept}")

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def encrypt(self, name: str, data: bytes, associated: bytes) -> str:
        """`vault:v1:...`. Raises `unavailable.keys`."""
        body = {
            "plaintext": base64.b64encode(data).decode(),
            "associated_data": base64.b64encode(associated).decode(),
            "key_version": 1,
        }
        answer = self._call("POST", f"encrypt/{name}", json=body)
        ciphertext = (answer or {}).get("data", {}).get("ciphertext")
        if not isinstance(ciphertext, str) or not ciphertext.startswith(_PREFIX):
            raise UnavailableError("transit answered something else", code="unavailable.keys")
        return ciphertext

    def decrypt(self, name: str, ciphertext: str, associated: bytes) -> bytes:
        """Raises `integrity.wrapped_key`, `unavailable.keys`."""
        body = {
            "ciphertext": ciphertext,
            "associated_data": base64.b64encode(associated).decode(),
        }
        answer = self._call("POST", f"decrypt/{name}", json=body, refused_is_integrity=True)
        try:
            return base64.b64decode((answer or {})["data"]["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise UnavailableError(
                "transit answered something else", code="unavailable.keys"
            ) from None

    def _create_key(self, name: str) -> None:
        body = {"type": "aes256-gcm96", "exportable": False, "allow_plaintext_backup": False}
        self._call("POST", f"keys/{name}", json=body)

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: dict[str, Any] | None = None,
        missing_is_fine: bool = False,
        refused_is_integrity: bool = False,
    ) -> dict[str, Any] | None:
        try:
            answer = self._client.request(method, path, json=json)
            if answer.status_code == 404 and missing_is_fine:
                return None
            if answer.status_code == 400 and refused_is_integrity and _says_tampered(answer):
                raise IntegrityError(code="integrity.wrapped_key")
            answer.raise_for_status()
            return dict(answer.json()) if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise UnavailableError(code="unavailable.keys") from error


class _TransitKEK:
    def __init__(self, provider: TransitProvider, name: str) -> None:
        self._provider, self._name = provider, name

    def wrap(self, dek: bytes, associated: bytes) -> bytes:
        """At the transit engine; kept without its prefix."""
        ciphertext = self._provider.encrypt(self._name, dek, associated)
        wrapped = base64.b64decode(ciphertext.removeprefix(_PREFIX))
        if len(wrapped) != WRAPPED_DEK_BYTES:
            raise UnavailableError("transit answered something else", code="unavailable.keys")
        return wrapped

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """At the transit engine."""
        if len(wrapped) != WRAPPED_DEK_BYTES:
            raise IntegrityError(code="integrity.wrapped_key")
        ciphertext = _PREFIX + base64.b64encode(wrapped).decode()
        return self._provider.decrypt(self._name, ciphertext, associated)


def _says_tampered(answer: httpx.Response) -> bool:
    """Vault's words for a tag that does not match; a 400 for anything else (a key not found) is an outage."""
    return "message authentication failed" in answer.text or "invalid ciphertext" in answer.text


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
