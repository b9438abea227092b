"""Where a search goes on: a string that callers hold and bring back, of no use to anybody else."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from ragward.domain.access import Subject
from ragward.domain.errors import InvalidRequestError

_TAG_BYTES: Final = 32
_MAX_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class PageToken:
    """Where a search goes on: after the result `after`, in pages of `limit`, of the request with digest `query`."""

    query: str
    after: str
    limit: int

    def signed(self, key: bytes, bearer: str) -> str:
        """The token as text, good for `bearer` only."""
        body = json.dumps([self.query, self.after, self.limit], separators=(",", ":")).encode()
        return urlsafe_b64encode(_tag(key, bearer, body) + body).decode()

    @classmethod
    def verified(cls, untrusted: str, key: bytes, bearer: str) -> PageToken:
        """The token behind its text. Raises `request.invalid` for what we did not give to this bearer."""
        try:
            if len(untrusted) > _MAX_CHARACTERS:
                raise ValueError
            data = urlsafe_b64decode(untrusted.encode("ascii"))
            tag, body = data[:_TAG_BYTES], data[_TAG_BYTES:]
            genuine = hmac.compare_digest(tag, _tag(key, bearer, body))
            if not genuine or urlsafe_b64encode(data).decode() != untrusted:
                raise ValueError
        except (ValueError, binascii.Error):
            raise InvalidRequestError("the page token is not one of yours") from None
        query, after, limit = json.loads(body)
        return cls(query=query, after=after, limit=limit)


def bearer_of(subject: Subject) -> str:
    """Who a page token is given to: this subject, through this application and these agents."""
    chain = (subject.tenant, subject.principal, subject.application.principal, *subject.agents)
    return "|".join(chain)


def _tag(key: bytes, bearer: str, body: bytes) -> bytes:
    bound = hashlib.sha256(bearer.encode()).digest()
    return hmac.new(key, b"ragward.page.v1\0" + bound + body, hashlib.sha256).digest()
