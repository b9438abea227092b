"""`awskms:`: KEKs protected by a key of AWS KMS, which never leaves it.

URI: ``awskms:KEY?region=REGION&endpoint=URL&mode=wrap|remote``. With `wrap` (the default) KMS is called once for each KEK and
then again when its time is over: the KEK's bytes lie in the keyring file as KMS encrypted them. With `remote` it wraps and
unwraps every DEK, and no KEK ever is in our memory. Whatever KMS does is bound to an EncryptionContext that names tenant,
classification and purpose, so that a key policy can tell them apart. Credentials are the AWS SDK's own business.
"""

from __future__ import annotations

import base64
import os
from typing import Any, Final

from ragward.adapters.kek_aesgcm import LocalKEK
from ragward.adapters.keyring_registry import KEK
from ragward.adapters.keyring_store import from_text, to_text
from ragward.adapters.keyrings import parts_of
from ragward.domain.envelope import DEK_BYTES
from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError
from ragward.domain.keys import KEKName

_ROOT: Final = {"ragward": "keyring.v1"}
_MODES: Final = ("wrap", "remote")
_WRONG: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KMSProvider:
    """One KMS key. Thread-safe, as boto3's clients are."""

    name = "awskms"

    def __init__(self, client: Any, key_id: str, *, remote: bool) -> None:
        self._client, self._key_id = client, key_id
        self.is_remote = remote
        self.expires = not remote

    @classmethod
    def from_uri(cls, uri: str) -> KMSProvider:
        """Raises `config.invalid`."""
        key_id, given = parts_of(uri, "region", "endpoint", "mode")
        mode = given.get("mode", "wrap")
        if not key_id or mode not in _MODES:
            raise ConfigurationError("awskms:KEY?region=REGION&endpoint=URL&mode=wrap|remote")
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise ConfigurationError("awskms: needs the extra ragward[aws]") from None
        quick = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
        client = boto3.client(
            "kms",
            region_name=given.get("region"),
            endpoint_url=given.get("endpoint"),
            config=quick,
        )
        return cls(client, key_id, remote=mode == "remote")

    def protect(self, secret: bytes) -> str:
        """The secret as KMS encrypted it."""
        return to_text(self.encrypt(secret, _ROOT))

    def reveal(self, kept: str) -> bytes:
        """The secret."""
        return self._revealed(kept, _ROOT)

    def create(self, which: KEKName) -> str:
        """A new KEK as KMS encrypted it; with `remote` the KMS key itself serves, kept apart by context."""
        if self.is_remote:
            return self._key_id
        return to_text(self.encrypt(os.urandom(DEK_BYTES), which.to_context()))

    def open(self, which: KEKName, kept: str) -> KEK:
        """The KEK's bytes from KMS or, with `remote`, a door to it."""
        if self.is_remote:
            return _RemoteKEK(self, which)
        return LocalKEK(self._revealed(kept, which.to_context()))

    def destroy(self, which: KEKName, kept: str) -> None:
        """The keyring file no longer has it. The KMS key serves others; with `remote` it is the operator's to delete."""

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def encrypt(self, data: bytes, context: dict[str, str]) -> bytes:
        """Raises `unavailable.keys`."""
        answer = self._called(
            "encrypt", KeyId=self._key_id, Plaintext=data, EncryptionContext=context
        )
        return bytes(answer["CiphertextBlob"])

    def decrypt(self, data: bytes, context: dict[str, str]) -> bytes:
        """Raises `integrity.wrapped_key`, `unavailable.keys`."""
        answer = self._called(
            "decrypt", KeyId=self._key_id, CiphertextBlob=data, EncryptionContext=context
        )
        return bytes(answer["Plaintext"])

    def _revealed(self, kept: str, context: dict[str, str]) -> bytes:
        try:
            return self.decrypt(from_text(kept), context)
        except IntegrityError:
            raise IntegrityError(code="integrity.keyring") from None

    def _is_there(self) -> bool:
        """Whether our key is: then a ciphertext of a key that is not was never ours."""
        return bool(self._called("describe_key", KeyId=self._key_id))

    def _called(self, name: str, **arguments: object) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            return getattr(self._client, name)(**arguments)
        except ParamValidationError:
            raise IntegrityError(code="integrity.wrapped_key") from None
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            missing = name == "decrypt" and code == "NotFoundException" and self._is_there()
            if code in _WRONG or missing:
                raise IntegrityError(code="integrity.wrapped_key") from None
            raise UnavailableError(code="unavailable.keys") from error
        except BotoCoreError as error:
            raise UnavailableError(code="unavailable.keys") from error


class _RemoteKEK:
    def __init__(self, provider: KMSProvider, which: KEKName) -> None:
        self._provider, self._context = provider, which.to_context()

    def wrap(self, dek: bytes, associated: bytes) -> bytes:
        """At KMS."""
        return self._provider.encrypt(dek, self._bound(associated))

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """At KMS."""
        dek = self._provider.decrypt(wrapped, self._bound(associated))
        if len(dek) != DEK_BYTES:
            raise IntegrityError(code="integrity.wrapped_key")
        return dek

    def _bound(self, associated: bytes) -> dict[str, str]:
        return self._context | {"dek": base64.b64encode(associated).decode()}
