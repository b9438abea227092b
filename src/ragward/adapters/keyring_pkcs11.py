"""`pkcs11:`: KEKs are AES keys in a token that cannot be taken out; every wrap and unwrap is done in it.

URI: ``pkcs11:TOKEN?module=/path/to/module.so&pin=SOURCE``, with the PIN from where passphrases come (`file:PATH`,
`credential:NAME`, `fd:N`). AES-GCM with associated data; the format of a wrapped DEK is the common one. Login is per token and
process: one session, used by one thread at a time.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ragward.adapters.keyring_file import read_passphrase
from ragward.adapters.keyring_registry import KEK
from ragward.adapters.keyring_store import from_text, to_text
from ragward.adapters.keyrings import parts_of
from ragward.domain.envelope import NONCE_BYTES, WRAPPED_DEK_BYTES
from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError
from ragward.domain.keys import KEKName

_ROOT_LABEL: Final = "ragward.root.v1"
_ROOT_DATA: Final = b"ragward.keyring.v1"
T = TypeVar("T")


class PKCS11Provider:
    """One token. Thread-safe."""

    name = "pkcs11"
    is_remote = True
    expires = False

    def __init__(self, module: str, token: str, pin: str) -> None:
        self._module, self._token, self._pin = module, token, pin
        self._lock = threading.RLock()
        self._session: Any = None
        self._process = 0
        self._keys: dict[bytes, Any] = {}

    @classmethod
    def from_uri(cls, uri: str) -> PKCS11Provider:
        """Raises `config.invalid`, `config.passphrase`."""
        token, given = parts_of(uri, "module", "pin")
        if not token or not given.get("module") or not given.get("pin"):
            raise ConfigurationError("pkcs11:TOKEN?module=PATH&pin=SOURCE")
        return cls(given["module"], token, read_passphrase(given["pin"]))

    def protect(self, secret: bytes) -> str:
        """Under a key of its own in the token."""
        identifier = self._create(_ROOT_LABEL)
        return f"{identifier.hex()}:{to_text(self.encrypt(identifier, secret, _ROOT_DATA))}"

    def reveal(self, kept: str) -> bytes:
        """The secret."""
        identifier, _, data = kept.partition(":")
        try:
            return self.decrypt(bytes.fromhex(identifier), from_text(data), _ROOT_DATA)
        except (IntegrityError, ValueError):
            raise IntegrityError(code="integrity.keyring") from None

    def create(self, which: KEKName) -> str:
        """A non-extractable AES-256 key in the token; returns its id there."""
        return self._create(f"ragward {which.kek_id} {which.version}").hex()

    def open(self, which: KEKName, kept: str) -> KEK:  # noqa: ARG002 - the id says which
        """A handle; nothing leaves the token."""
        return _TokenKEK(self, bytes.fromhex(kept))

    def destroy(self, which: KEKName, kept: str) -> None:  # noqa: ARG002 - the signature of the port
        """The key object is destroyed in the token."""
        identifier = bytes.fromhex(kept)

        def destroy(session: Any) -> None:
            from pkcs11 import Attribute, ObjectClass

            wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.ID: identifier}
            for found in list(session.get_objects(wanted)):
                found.destroy()
            self._keys.pop(identifier, None)

        self._with_session(destroy)

    def close(self) -> None:
        """Logs out."""
        with self._lock:
            self._keys.clear()
            if self._session is not None and self._process == os.getpid():
                self._session.close()
            self._session = None

    def encrypt(self, identifier: bytes, data: bytes, associated: bytes) -> bytes:
        """nonce | AES-GCM in the token."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._crypt(identifier, "encrypt", nonce, data, associated)

    def decrypt(self, identifier: bytes, data: bytes, associated: bytes) -> bytes:
        """The inverse. Raises `integrity.wrapped_key`."""
        nonce, rest = data[:NONCE_BYTES], data[NONCE_BYTES:]
        return self._crypt(identifier, "decrypt", nonce, rest, associated)

    def _crypt(
        self, identifier: bytes, act: str, nonce: bytes, data: bytes, associated: bytes
    ) -> bytes:
        def crypt(session: Any) -> bytes:
            from pkcs11 import GCMParams, Mechanism
            from pkcs11.exceptions import (
                DataInvalid,
                EncryptedDataInvalid,
                FunctionFailed,
                GeneralError,
            )

            key = self._key(session, identifier)
            parameter = GCMParams(nonce, aad=associated, tag_bits=128)
            try:
                done = getattr(key, act)(
                    data, mechanism=Mechanism.AES_GCM, mechanism_param=parameter
                )
            except (DataInvalid, EncryptedDataInvalid, FunctionFailed, GeneralError):
                # SoftHSM says GeneralError for a tag that does not match; a token that is broken says it too, and to any key
                if act == "decrypt" and self._still_works(key):
                    raise IntegrityError(code="integrity.wrapped_key") from None
                raise
            return bytes(done)

        return self._with_session(crypt)

    def _still_works(self, key: Any) -> bool:
        """Whether the key encrypts: then it was the data that was wrong."""
        from pkcs11 import GCMParams, Mechanism

        parameter = GCMParams(os.urandom(NONCE_BYTES), aad=b"", tag_bits=128)
        return bool(key.encrypt(bytes(16), mechanism=Mechanism.AES_GCM, mechanism_param=parameter))

    def _key(self, session: Any, identifier: bytes) -> Any:
        if identifier not in self._keys:
            from pkcs11 import ObjectClass
            from pkcs11.exceptions import NoSuchKey

            try:
                found = session.get_key(object_class=ObjectClass.SECRET_KEY, id=identifier)
            except NoSuchKey:
                raise UnavailableError(
                    "the token does not hold that key", code="unavailable.keys"
                ) from None
            self._keys[identifier] = found
        return self._keys[identifier]

    def _create(self, label: str) -> bytes:
        identifier = uuid.uuid4().bytes

        def create(session: Any) -> None:
            from pkcs11 import Attribute, KeyType

            template = {
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.ENCRYPT: True,
                Attribute.DECRYPT: True,
                Attribute.WRAP: False,
                Attribute.UNWRAP: False,
            }
            session.generate_key(
                KeyType.AES, 256, id=identifier, label=label, store=True, template=template
            )

        self._with_session(create)
        return identifier

    def _with_session(self, use: Callable[[Any], T]) -> T:
        from pkcs11.exceptions import PKCS11Error

        with self._lock:
            try:
                if self._session is None or self._process != os.getpid():
                    self._open_session()
                return use(self._session)
            except PKCS11Error as error:
                self._session = None  # a token that came back wants a new login
                self._keys.clear()
                raise UnavailableError("the token refused", code="unavailable.keys") from error

    def _open_session(self) -> None:
        import pkcs11
        from pkcs11.exceptions import UserAlreadyLoggedIn

        try:
            token = pkcs11.lib(self._module).get_token(token_label=self._token)
        except (RuntimeError, OSError) as error:
            raise UnavailableError(
                "the module cannot be loaded", code="unavailable.keys"
            ) from error
        self._keys.clear()
        try:
            self._session = token.open(rw=True, user_pin=self._pin)
        except UserAlreadyLoggedIn:  # login is per process
            self._session = token.open(rw=True)
        self._process = os.getpid()


class _TokenKEK:
    def __init__(self, provider: PKCS11Provider, identifier: bytes) -> None:
        self._provider, self._identifier = provider, identifier

    def wrap(self, dek: bytes, associated: bytes) -> bytes:
        """In the token."""
        return self._provider.encrypt(self._identifier, dek, associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """In the token."""
        if len(wrapped) != WRAPPED_DEK_BYTES:
            raise IntegrityError(code="integrity.wrapped_key")
        return self._provider.decrypt(self._identifier, wrapped, associated)
