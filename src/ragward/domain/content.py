"""The plaintext inside blobs: a chunk's text with its personal-data spans, and vectors.

Content: version byte 1, then canonical JSON {"d": detector version, "h": SHA-256 of the text, "s": [[start, end, type,
score], ...], "t": text}. Vector: version byte 2, how many words there are (uint32), their hashes, ascending
(uint32), their weights (float32), then the vector (float32), all little endian; version 1 is the byte and the vector. Unknown
versions are refused.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.errors import IntegrityError
from ragward.domain.findings import Span

_VERSION: Final = b"\x01"
_WITH_WORDS: Final = b"\x02"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkContent:
    """A chunk's text and what was found in it; the spans are bound to this very text by its digest."""

    text: str = field(repr=False)
    spans: tuple[Span, ...] = field(repr=False)
    detector_version: str
    text_sha256: str

    @classmethod
    def of(cls, text: str, spans: Iterable[Span], detector_version: str) -> ChunkContent:
        """The content of a text and the spans found in it."""
        return cls(
            text=text,
            spans=tuple(spans),
            detector_version=detector_version,
            text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        )

    def to_bytes(self) -> bytes:
        """The plaintext to encrypt."""
        body = {
            "d": self.detector_version,
            "h": self.text_sha256,
            "s": [[s.start, s.end, s.entity_type, s.score] for s in self.spans],
            "t": self.text,
        }
        return _VERSION + json.dumps(body, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ChunkContent:
        """The content. Raises `integrity.envelope` on another version, or spans that are not of this text."""
        try:
            if data[:1] != _VERSION:
                raise ValueError("unknown version")
            body = json.loads(data[1:].decode())  # given bytes, it looks for their encoding first
            spans = tuple(Span(int(a), int(b), str(kind), float(p)) for a, b, kind, p in body["s"])
            content = cls.of(body["t"], spans, str(body["d"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError("content cannot be read") from error
        if content.text_sha256 != body.get("h") or any(s.end > len(content.text) for s in spans):
            raise IntegrityError("spans do not belong to this text")
        return content


def pack_vector(vector: Sequence[float], words: Mapping[int, float]) -> bytes:
    """A vector and the hashed words of the same text as bytes: 4 per dimension, 8 per word, and five."""
    ascending = sorted(words)
    return b"".join(
        (
            _WITH_WORDS,
            struct.pack("<I", len(ascending)),
            struct.pack(f"<{len(ascending)}I", *ascending),
            struct.pack(f"<{len(ascending)}f", *(words[word] for word in ascending)),
            struct.pack(f"<{len(vector)}f", *vector),
        )
    )


def unpack_vector(data: bytes) -> tuple[list[float], dict[int, float]]:
    """The vector, and the words with their weights. Raises `integrity.envelope`."""
    parts = packed_parts(data)
    words = struct.unpack(f"<{len(parts.words) // 4}I", parts.words)
    weights = struct.unpack(f"<{len(parts.weights) // 4}f", parts.weights)
    vector = list(struct.unpack(f"<{len(parts.vector) // 4}f", parts.vector))
    return vector, dict(zip(words, weights, strict=True))


@dataclass(frozen=True, slots=True)
class PackedParts:
    """Pieces of a packed vector, little endian: float32, uint32 and float32."""

    vector: bytes = field(repr=False)
    words: bytes = field(repr=False)
    weights: bytes = field(repr=False)


def packed_parts(data: bytes, dimension: int | None = None) -> PackedParts:
    """Its pieces. Raises `integrity.envelope` unless the vector has that dimension, if one is given."""
    if data[:1] == _VERSION:
        parts = PackedParts(data[1:], b"", b"")
    else:
        count = int.from_bytes(data[1:5], "little")
        first, second = 5 + 4 * count, 5 + 8 * count
        if data[:1] != _WITH_WORDS:
            raise IntegrityError("vector cannot be read")
        parts = PackedParts(data[second:], data[5:first], data[first:second])
    size = len(parts.vector)
    if size < 4 or size % 4 or dimension not in (None, size // 4):
        raise IntegrityError("vector cannot be read")
    return parts
