"""Epoch tokens: what a caller may hold of an epoch without learning anything from it.

AES-SIV (RFC 5297) over the number, bound to the tenant, under fresh salt: two tokens of one epoch differ, and how often a
tenant's permissions change cannot be read off them.
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ragward.domain.errors import InvalidRequestError

_SALT_BYTES: Final = 8
_TOKEN_BYTES: Final = _SALT_BYTES + 16 + 8


class AESSIVEpochTokens:
    """`ports.EpochTokens` under a 32-byte key, which is asked for whenever it is needed."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key

    def issue(self, tenant: str, epoch: int) -> str:
        """43 characters of base64url."""
        salt = os.urandom(_SALT_BYTES)
        sealed = AESSIV(self._key()).encrypt(struct.pack(">Q", epoch), [tenant.encode(), salt])
        return base64.urlsafe_b64encode(salt + sealed).rstrip(b"=").decode()

    def read(self, tenant: str, token: str) -> int:
        """The epoch. Raises `request.invalid` for a token that is not one of this tenant's."""
        try:
            data = base64.b64decode(token.encode() + b"=", altchars=b"-_", validate=True)
            if len(data) != _TOKEN_BYTES:
                raise ValueError
            salt, sealed = data[:_SALT_BYTES], data[_SALT_BYTES:]
            plain = AESSIV(self._key()).decrypt(sealed, [tenant.encode(), salt])
        except (InvalidTag, ValueError, UnicodeEncodeError, binascii.Error):
            raise InvalidRequestError("min_epoch is not an epoch token of your tenant") from None
        return int(struct.unpack(">Q", plain)[0])
