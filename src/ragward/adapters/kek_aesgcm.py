"""A KEK whose bytes are in this process: DEKs wrapped by AES-256-GCM. The format: `domain.envelope`."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ragward.domain.envelope import DEK_BYTES, NONCE_BYTES, WRAPPED_DEK_BYTES
from ragward.domain.errors import IntegrityError


class LocalKEK:
    """Wraps and unwraps DEKs; thread-safe."""

    def __init__(self, key: bytes) -> None:
        if len(key) != DEK_BYTES:
            raise IntegrityError("a KEK has 32 bytes", code="integrity.keyring")
        self._cipher = AESGCM(key)

    def wrap(self, dek: bytes, associated: bytes) -> bytes:
        """nonce(12) | AES-256-GCM(DEK)(32) | tag(16), under a random nonce."""
        return self.wrap_with_nonce(dek, associated, os.urandom(NONCE_BYTES))

    def wrap_with_nonce(self, dek: bytes, associated: bytes, nonce: bytes) -> bytes:
        """`wrap` with the nonce given: for vectors only. A nonce must never be used twice under one KEK."""
        if len(dek) != DEK_BYTES or len(nonce) != NONCE_BYTES:
            raise ValueError("a DEK has 32 bytes, a nonce 12")
        return nonce + self._cipher.encrypt(nonce, dek, associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """The DEK. Raises `integrity.wrapped_key`."""
        if len(wrapped) != WRAPPED_DEK_BYTES:
            raise IntegrityError(code="integrity.wrapped_key")
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated)
        except InvalidTag:
            raise IntegrityError(code="integrity.wrapped_key") from None
