"""What is demanded of sources before their documents are taken in: signatures, and that they do not flood.

A signature is Ed25519 (RFC 8032) over `signed_message`: everything that a source says of a document, where it belongs included,
so that it holds for no other name, corpus, tenant, label or attributes. It does not say that the text is the newest one.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import ConfigurationError

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
MAX_HOURS: Final = 24 * 366


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSource:
    """Sources (patterns with `*` and `?`) of which only what one of these public keys verifies is taken in."""

    tenant: str
    corpus: str
    source: str = "*"
    keys: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys or any(len(key) != KEY_BYTES for key in self.keys):
            raise ConfigurationError("a signed source has Ed25519 public keys of 32 bytes")

    def covers(self, tenant: str, corpus: str, source: str) -> bool:
        """Whether it is about this document."""
        pairs = ((tenant, self.tenant), (corpus, self.corpus), (source, self.source))
        return all(fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodLimit:
    """What of one folder looks like a flood: more than `most` documents within `hours` that share at least `share` of their
    fingerprints with another document."""

    most: int
    hours: int = 24
    share: float = 0.8

    def __post_init__(self) -> None:
        if not (type(self.most) is int and self.most >= 1):
            raise ConfigurationError("flood: most is a number from 1")
        if not (type(self.hours) is int and 1 <= self.hours <= MAX_HOURS):
            raise ConfigurationError(f"flood: hours is between 1 and {MAX_HOURS}")
        if type(self.share) is not float or not 0.3 <= self.share <= 1:
            raise ConfigurationError("flood: share is between 0.3 and 1.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """All of it; as it stands, nothing."""

    signed: tuple[SignedSource, ...] = ()
    flood: FloodLimit | None = None

    def keys_for(self, tenant: str, corpus: str, source: str) -> frozenset[bytes] | None:
        """The keys of which one must verify a document; None where no signature is demanded.

        What several lines are about has to satisfy every one of them."""
        found = [set(each.keys) for each in self.signed if each.covers(tenant, corpus, source)]
        return frozenset(set.intersection(*found)) if found else None


def signed_message(document: SourceDocument) -> bytes:
    """What is signed: each part hashed or length-prefixed, in this order."""
    attributes: Mapping[str, object] = document.attributes
    said = json.dumps(dict(attributes), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    parts = (
        document.label.tenant.encode(),
        document.label.corpus.encode(),
        document.source.encode(),
        hashlib.sha256(document.data).digest(),
        document.label.digest(),
        hashlib.sha256(said.encode()).digest(),
    )
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return b"ragward.source.v1\0" + body


def folder_of(source: str) -> str:
    """The first folder of a source name, with its slash; empty for what lies in none. Members of archives belong to where the
    archive lies."""
    head, slash, _ = source.partition("/")
    return head + slash if slash and not head.endswith("!") else ""
