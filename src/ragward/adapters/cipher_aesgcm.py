"""Blobs: key-committing AES-256-GCM under keys derived from a document version's DEK.

Per blob, `HKDF-Expand-SHA512(DEK, info)` (RFC 5869) yields key(32) | base nonce(12) | commitment(32), with
``info = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\\0" | salt(24) | context``: the construction of C2SP
chunked-encryption, with our context string. The commitment is compared before anything is decrypted, so a ciphertext
made to open under two keys (an "invisible salamander") does not. Chunk i is encrypted with base nonce XOR i, and the last one
is shorter than the others, so that truncation, extension and reordering fail. Formats: `domain.envelope`, docs/envelope.md.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ragward.domain.envelope import (
    COMMITMENT_BYTES,
    HEADER_BYTES,
    SALT_BYTES,
    BlobHeader,
    EncryptionContext,
    PurposeKey,
    Suite,
    blob_key,
)
from ragward.domain.errors import IntegrityError

_INFO: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_CHUNK: Final = 16 * 1024
_TAG: Final = 16
_NONCE: Final = 12
_PREFIX: Final = HEADER_BYTES + SALT_BYTES + COMMITMENT_BYTES


class AESGCMCipher:
    """`ports.Cipher`. Stateless and thread-safe."""

    def new_dek(self) -> bytes:
        """32 random bytes."""
        return os.urandom(32)

    def encrypt(
        self, plaintext: bytes, *, dek: bytes, dek_id: str, context: EncryptionContext, suite: Suite
    ) -> bytes:
        """A blob; 96 bytes longer than the plaintext for up to 16 KiB."""
        return encrypt_with_salt(
            plaintext,
            dek=dek,
            dek_id=dek_id,
            context=context,
            suite=suite,
            salt=os.urandom(SALT_BYTES),
        )

    def decrypt(
        self, blob: bytes, *, dek: bytes | PurposeKey, dek_id: str, context: EncryptionContext
    ) -> bytes:
        """The plaintext, verified as a whole. Raises `integrity.envelope`."""
        header = BlobHeader.from_bytes(blob)
        if header.dek_id != dek_id or header.kind is not context.kind:
            raise IntegrityError("blob belongs to another key or kind")
        raw_header = blob[:HEADER_BYTES]
        salt = blob[HEADER_BYTES : HEADER_BYTES + SALT_BYTES]
        made_from = blob_key(dek, context.kind)
        key, nonce, commitment = _derived(made_from, salt, context.to_bytes(raw_header))
        if not hmac.compare_digest(commitment, blob[HEADER_BYTES + SALT_BYTES : _PREFIX]):
            raise IntegrityError("blob was not made with this key for this place")
        body = blob[_PREFIX:]
        try:
            if header.suite is Suite.AUTHENTICATED:
                plaintext, tag = body[:-_TAG], body[-_TAG:]
                AESGCM(key).decrypt(nonce, tag, plaintext)
                return plaintext
            return _opened(AESGCM(key), nonce, body)
        except (InvalidTag, ValueError):
            raise IntegrityError("blob was modified") from None


def encrypt_with_salt(
    plaintext: bytes,
    *,
    dek: bytes,
    dek_id: str,
    context: EncryptionContext,
    suite: Suite,
    salt: bytes,
) -> bytes:
    """`AESGCMCipher.encrypt` with the salt given: for vectors only. A salt must never be used twice under one DEK."""
    header = BlobHeader(suite=suite, kind=context.kind, dek_id=dek_id).to_bytes()
    made_from = blob_key(dek, context.kind)
    key, nonce, commitment = _derived(made_from, salt, context.to_bytes(header))
    cipher = AESGCM(key)
    if suite is Suite.AUTHENTICATED:
        body = plaintext + cipher.encrypt(nonce, b"", plaintext)
    else:
        starts = range(0, len(plaintext) + 1, _CHUNK)  # a last chunk may be empty, never full
        body = b"".join(
            cipher.encrypt(_chunk_nonce(nonce, i), plaintext[start : start + _CHUNK], None)
            for i, start in enumerate(starts)
        )
    return header + salt + commitment + body


def _derived(dek: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes, bytes]:
    length = 32 + _NONCE + COMMITMENT_BYTES
    out = HKDFExpand(algorithm=SHA512(), length=length, info=_INFO + salt + context).derive(dek)
    return out[:32], out[32 : 32 + _NONCE], out[32 + _NONCE :]


def _chunk_nonce(base: bytes, index: int) -> bytes:
    return (int.from_bytes(base, "big") ^ index).to_bytes(_NONCE, "big")


def _opened(cipher: AESGCM, nonce: bytes, body: bytes) -> bytes:
    step = _CHUNK + _TAG
    if len(body) % step < _TAG:
        raise IntegrityError("blob was cut")
    pieces = (body[start : start + step] for start in range(0, len(body), step))
    return b"".join(
        cipher.decrypt(_chunk_nonce(nonce, i), piece, None) for i, piece in enumerate(pieces)
    )
