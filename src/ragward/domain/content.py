"""The plaintext inside blobs: a chunk's text with its personal-data spans, and vectors.

Content: version byte 1, then canonical JSON {"d": detector version, "h": SHA-256 of the text, "s": [[start, end, type,
score], ...], "t": text}. Vector: version byte 1, then float32 little endian. Unknown versions are refused.
"""

from __future__ import annotations

import array
import hashlib
import json
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.errors import IntegrityError
from ragward.domain.findings import Span

_VERSION: Final = b"\x01"


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
            body = json.loads(data[1:])
            spans = tuple(Span(int(a), int(b), str(kind), float(p)) for a, b, kind, p in body["s"])
            content = cls.of(body["t"], spans, str(body["d"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError("content cannot be read") from error
        if content.text_sha256 != body.get("h") or any(s.end > len(content.text) for s in spans):
            raise IntegrityError("spans do not belong to this text")
        return content


def pack_vector(vector: Sequence[float]) -> bytes:
    """A vector as bytes, 4 per dimension plus one."""
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return _VERSION + packed.tobytes()


def unpack_vector(data: bytes) -> list[float]:
    """The vector. Raises `integrity.envelope`."""
    packed = packed_floats(data, len(data) // 4)
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))


def packed_floats(data: bytes, dimension: int) -> bytes:
    """A packed vector's float32 values, little endian. Raises `integrity.envelope` unless it has so many."""
    if data[:1] != _VERSION or dimension < 1 or len(data) != 4 * dimension + 1:
        raise IntegrityError("vector cannot be read")
    return data[1:]
