"""The byte formats of encrypted content and wrapped keys (the format; the ciphers are in adapters).

Blob, big-endian::

    "RGW1"(4) | suite u8 | kind u8 | flags u16 = 0 | dek_id(16)      header, 24 bytes
    salt(24) | commitment(32) | body

Suite 1 (encrypted): body is AES-256-GCM chunks of 16 KiB, each followed by its tag. Suite 2 (authenticated only, for
content whose handling says no encryption): body is plaintext followed by one tag over it. Unknown suites, kinds or
flags are refused. The key, base nonce and commitment come from the DEK by HKDF-Expand-SHA512 over the salt and the
context (C2SP chunked-encryption), so a blob opens only for the (tenant, document, chunk, kind, revision) it was made for.

Wrapped DEK: nonce(12) | AES-256-GCM(DEK)(32) | tag(16), 60 bytes, with `wrapping_context` as associated data.

A DEK opens everything of its document version; the key derived from it for vectors opens vectors only (`purpose_key`).
Byte by byte, with an example: docs/envelope.md.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from ragward.domain.errors import IntegrityError

MAGIC: Final = b"RGW1"
HEADER_BYTES: Final = 24
SALT_BYTES: Final = 24
COMMITMENT_BYTES: Final = 32
DEK_BYTES: Final = 32
NONCE_BYTES: Final = 12
WRAPPED_DEK_BYTES: Final = 60


class Suite(IntEnum):
    """How a blob is protected."""

    ENCRYPTED = 1
    AUTHENTICATED = 2


class Kind(IntEnum):
    """What a blob holds. Append only: the number is written to disk."""

    TEXT = 1
    PAYLOAD = 2
    VECTOR = 3
    AUDIT = 4
    PSEUDONYM = 5


class KeyPurpose(StrEnum):
    """What a key is for; two purposes never share one. Append only: the names are written to disk."""

    CONTENT = "content"
    VECTOR = "vector"
    PSEUDONYM = "pseudonym"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeKey:
    """A key derived from a DEK for one purpose. It tells nothing about the DEK or the keys of other purposes."""

    purpose: KeyPurpose
    key: bytes = field(repr=False)


def purpose_key(dek: bytes, purpose: KeyPurpose) -> PurposeKey:
    """HKDF-Expand-SHA512 (RFC 5869), one block: for vectors; content is encrypted under the DEK itself."""
    if purpose is not KeyPurpose.VECTOR:
        raise ValueError("all else is encrypted under the DEK")
    info = b"ragward.purpose.v1\0" + purpose.value.encode() + b"\x01"
    return PurposeKey(purpose=purpose, key=hmac.digest(dek, info, hashlib.sha512)[:32])


def blob_key(key: bytes | PurposeKey, kind: Kind) -> bytes:
    """What the key of a blob of this kind is derived from, given its DEK or a derived key. Raises `integrity.envelope`."""
    wanted = KeyPurpose.VECTOR if kind is Kind.VECTOR else KeyPurpose.CONTENT
    if isinstance(key, PurposeKey):
        if key.purpose is not wanted:
            raise IntegrityError("the key is for another purpose")
        return key.key
    return key if wanted is KeyPurpose.CONTENT else purpose_key(key, wanted).key


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobHeader:
    """The first 24 bytes of a blob."""

    suite: Suite
    kind: Kind
    dek_id: str

    def to_bytes(self) -> bytes:
        """The header as written."""
        return MAGIC + struct.pack(">BBH", self.suite, self.kind, 0) + uuid.UUID(self.dek_id).bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> BlobHeader:
        """The header of a blob. Raises `integrity.envelope` on anything unknown."""
        if len(data) < HEADER_BYTES + SALT_BYTES + COMMITMENT_BYTES or data[:4] != MAGIC:
            raise IntegrityError("not a blob of this format")
        return cls._read(data[:HEADER_BYTES])

    @classmethod
    @lru_cache(maxsize=1 << 12)
    def _read(cls, data: bytes) -> BlobHeader:
        """Chunks of one document version have the same header; it says nothing that the database does not."""
        suite, kind, flags = struct.unpack(">BBH", data[4:8])
        try:
            header = cls(
                suite=Suite(suite), kind=Kind(kind), dek_id=str(uuid.UUID(bytes=data[8:24]))
            )
        except ValueError:
            raise IntegrityError("unknown suite or kind of blob") from None
        if flags:
            raise IntegrityError("unknown flags in a blob")
        return header


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionContext:
    """What a blob is bound to. `chunk_id` is the point id for vectors; `revision` the document version."""

    tenant: str
    document_id: str
    chunk_id: str
    kind: Kind
    revision: int

    def to_bytes(self, header: bytes) -> bytes:
        """The context string of the key derivation, length-prefixed fields."""
        tenant, document = self.tenant.encode(), self.document_id.encode()
        chunk = self.chunk_id.encode()
        sizes = f">16sH{len(header)}sH{len(tenant)}sH{len(document)}sH{len(chunk)}sHBQ"
        return struct.pack(
            sizes,
            b"ragward.blob.v1\0",
            len(header),
            header,
            len(tenant),
            tenant,
            len(document),
            document,
            len(chunk),
            chunk,
            9,
            self.kind,
            self.revision,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappingContext:
    """What a wrapped DEK is bound to: edit the label in the database and the key does not open."""

    tenant: str
    kek_id: str
    kek_version: int
    dek_id: str
    document_id: str
    document_version: int
    label_digest: bytes

    def to_bytes(self) -> bytes:
        """The associated data of the wrap."""
        dek, document = self.dek_id.encode(), self.document_id.encode()
        sizes = f">H{len(dek)}sH{len(document)}sH{len(self.label_digest)}sIQ"
        return _wrapping_prefix(self.tenant, self.kek_id) + struct.pack(
            sizes,
            len(dek),
            dek,
            len(document),
            document,
            len(self.label_digest),
            self.label_digest,
            self.kek_version,
            self.document_version,
        )

    def under(self, kek_version: int) -> WrappingContext:
        """The same place under another version of the KEK."""
        return WrappingContext(
            tenant=self.tenant,
            kek_id=self.kek_id,
            kek_version=kek_version,
            dek_id=self.dek_id,
            document_id=self.document_id,
            document_version=self.document_version,
            label_digest=self.label_digest,
        )


@lru_cache(maxsize=1024)  # a rotation writes it twice for every DEK
def _wrapping_prefix(tenant: str, kek_id: str) -> bytes:
    parts = (tenant.encode(), kek_id.encode())
    return b"ragward.dek.v1\0" + b"".join(struct.pack(">H", len(part)) + part for part in parts)
