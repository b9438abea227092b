"""Pseudonyms as self-delimiting AES-SIV tokens (RFC 5297): deterministic, authenticated, found wherever a text carries them.

    [[TYPE:VERSION.base64url]]

Associated data are tenant, purpose and type, so that the same value gives the same token within a purpose and another one
elsewhere, and a token that was changed, or moved to another type, purpose or tenant, is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ragward.domain.errors import InvalidRequestError
from ragward.domain.pseudonyms import FoundToken, Payload

VERSION: Final = 1
_TOKEN: Final = re.compile(r"\[\[([A-Z][A-Z0-9_]{1,40}):([0-9]{1,3})\.([A-Za-z0-9_-]{22,700})\]\]")


class AESSIVPseudonyms:
    """`ports.PseudonymTokens`. Keys are derived per tenant and key version from one root. Thread-safe."""

    def __init__(self, root: Callable[[], bytes]) -> None:
        self._root = root

    def issue(self, tenant: str, purpose: str, entity_type: str, payload: Payload) -> str:
        """The token of a payload. Raises `unavailable.keys`."""
        plain = payload.value.encode()
        sealed = self._cipher(tenant, VERSION).encrypt(
            plain, self._bound(tenant, purpose, entity_type)
        )
        return f"[[{entity_type}:{VERSION}.{_encoded(sealed)}]]"

    def found(self, text: str) -> Iterator[FoundToken]:
        """Everything in a text that looks like a token."""
        for match in _TOKEN.finditer(text):
            yield FoundToken(match.start(), match.end(), match[1], match[0])

    def read(self, tenant: str, purpose: str, token: str) -> Payload:
        """What a token stands for. Raises `pseudonym.invalid` for one that is not ours, not whole or of elsewhere."""
        match = _TOKEN.fullmatch(token)
        refused = InvalidRequestError(code="pseudonym.invalid")
        if match is None or int(match[2]) != VERSION:
            raise refused
        try:
            sealed = base64.urlsafe_b64decode(match[3] + "=" * (-len(match[3]) % 4))
            bound = self._bound(tenant, purpose, match[1])
            plain = self._cipher(tenant, VERSION).decrypt(sealed, bound)
        except (InvalidTag, binascii.Error, ValueError):
            raise refused from None
        if (
            _encoded(sealed) != match[3]
        ):  # the unused bits of the last character are part of the token
            raise refused
        return Payload(value=plain.decode())

    def _cipher(self, tenant: str, version: int) -> AESSIV:
        info = b"ragward.pseudonyms.v1\0" + version.to_bytes(2, "big") + tenant.encode()
        return AESSIV(HKDF(SHA256(), 64, None, info).derive(self._root()))

    @staticmethod
    def _bound(tenant: str, purpose: str, entity_type: str) -> list[bytes]:
        return [
            b"ragward.pseudonym.v1",
            tenant.encode() or b"-",
            b"p" + purpose.encode(),
            entity_type.encode(),
        ]


def _encoded(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
