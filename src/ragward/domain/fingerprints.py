"""Keyed fingerprints of texts: what one text repeats of another is found without either.

Words of `SHINGLE` in a row are tagged with a keyed hash; of every `WINDOW` tags in a row the smallest is kept (winnowing,
Schleimer, Wilkerson and Aiken 2003). A run of `SHINGLE + WINDOW - 1` words that two texts share is always found, one of fewer
than `SHINGLE` never.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

SHINGLE: Final = 8
WINDOW: Final = 5
_WORD: Final = re.compile(r"\w+")
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintMatch:
    """A stored chunk that shares fingerprints with a text."""

    chunk_id: str
    document_id: str
    label_id: int
    is_active: bool
    """Its document is one that readers are answered from."""
    shared: frozenset[int]


def tenant_key(key: bytes, tenant: str) -> bytes:
    """The key of one tenant's fingerprints: equal texts of two tenants have nothing in common."""
    return hmac.digest(key, b"ragward.fingerprint.v1\0" + tenant.encode(), "sha256")


def fingerprints(text: str, key: bytes) -> frozenset[int]:
    """The fingerprints of a text, as signed 64-bit numbers; none for fewer than `SHINGLE` words."""
    plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()
    words = _WORD.findall(plain)
    tags = [_tag(key, " ".join(words[at : at + SHINGLE])) for at in range(len(words) - SHINGLE + 1)]
    if len(tags) < WINDOW:
        return frozenset(tags)
    return frozenset(min(tags[at : at + WINDOW]) for at in range(len(tags) - WINDOW + 1))


def _tag(key: bytes, shingle: str) -> int:
    return int.from_bytes(hmac.digest(key, shingle.encode(), "sha256")[:8], signed=True)
