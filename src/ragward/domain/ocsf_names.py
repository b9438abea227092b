"""How principals are called in what is exported: by name, or by a tag under a key that stays here."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from ragward.domain.ocsf import Names


def names_of(key: bytes, *, tagged: bool) -> Names:
    """A principal as it is, or `kind:tenant/~TAG`. One with an @ is always a tag: it may be somebody's address.

    A tag is the same each time, so that a SIEM can still count; who it is, the log says to whoever may read it."""

    @lru_cache(maxsize=4096)
    def tag(principal: str) -> str:
        message = b"ragward.export-name.v1\0" + principal.encode()
        digest = hmac.new(key, message, hashlib.sha256).hexdigest()[:32]
        place, slash, _ = principal.partition("/")
        return f"{place}/~{digest}" if slash and "@" not in place else f"principal:~{digest}"

    def name(principal: str) -> str:
        return tag(principal) if tagged or "@" in principal else principal

    return name
