"""Salts and the officer's part of receipts: AES-256-GCM under a key of each tenant, derived from the keyring's."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ragward.domain.errors import IntegrityError
from ragward.domain.receipts import padded, salt_of

_NONCE_BYTES: Final = 12
_TENANTS: Final = 256


class AESGCMReceiptSecrets:
    """`ports.ReceiptSecrets` under a 32-byte key, which is asked for once a tenant."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key
        self._keys = functools.lru_cache(maxsize=_TENANTS)(self._derived)

    def salt(self, tenant: str, receipt_id: str) -> bytes:
        return salt_of(self._keys(tenant)[0], tenant, receipt_id)

    def encrypt(self, tenant: str, receipt_id: str, officer: Mapping[str, object]) -> bytes:
        data = padded(msgspec.json.encode(officer, order="sorted"))
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._keys(tenant)[1].encrypt(nonce, data, _bound(tenant, receipt_id))

    def decrypt(self, tenant: str, receipt_id: str, data: bytes) -> dict[str, Any]:
        nonce, rest = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
        try:
            plain = self._keys(tenant)[1].decrypt(nonce, rest, _bound(tenant, receipt_id))
        except (InvalidTag, ValueError):
            raise IntegrityError("the officer's part of a receipt was edited") from None
        return msgspec.json.decode(plain, type=dict[str, Any])

    def _derived(self, tenant: str) -> tuple[bytes, AESGCM]:
        """(for salts, for the officer's part)."""
        secret = self._key()
        made = [
            HKDF(
                algorithm=SHA256(),
                length=32,
                salt=None,
                info=b"ragward.receipt.v1\0" + use + tenant.encode(),
            ).derive(secret)
            for use in (b"salt\0", b"officer\0")
        ]
        return made[0], AESGCM(made[1])


def _bound(tenant: str, receipt_id: str) -> bytes:
    return b"ragward.receipt.officer.v1\0" + tenant.encode() + b"\0" + receipt_id.encode()
