"""Documents of a job that are read ahead, elsewhere: what is asked, and what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ragward.domain.analysis import Analysed
from ragward.domain.corpus import SourceDocument, SourcePlace


def source_digest(content_sha256: bytes, shape: Sequence[bytes]) -> bytes:
    """What "the same document" means: its bytes, and everything else that shapes the result."""
    parts = [content_sha256, *shape]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTask:
    """What a worker is told: where, for whom, and by which digest it would be the document that is known already. No text, no
    labels, no keys but the job's public one, for which the reply is encrypted."""

    place: SourcePlace
    filename: str
    tenant: str
    shape: tuple[bytes, ...]
    known: bytes = b""
    public: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """A document that was read: its bytes' SHA-256 and, unless it is the one that is known, the analysis."""

    sha256: bytes
    analysed: Analysed | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource(SourceDocument):
    """A document that was read ahead; its `data` is empty. `again` loads it, for where it was not analysed, being known, and yet
    has to be stored."""

    read: ReadDocument
    again: Callable[[], SourceDocument] = field(repr=False, compare=False)


def content_sha256(source: SourceDocument) -> bytes:
    """Of the document's bytes, wherever they are."""
    if isinstance(source, ReadSource):
        return source.read.sha256
    return hashlib.sha256(source.data).digest()
