"""DPoP (RFC 9449): a proof that whoever sends a token holds the key it is bound to.

A proof is a JWS of type `dpop+jwt` under the public key in its own header, about one method, one URL and one token, used
once. Which key may prove for which token is the token's business (`cnf.jkt`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from ragward.adapters.identity_keys import public_key_of
from ragward.domain.errors import UnauthenticatedError, UnavailableError
from ragward.domain.proof import Connection
from ragward.ports import Clock

_MAX_CHARACTERS: Final = 4096
_MAX_ID: Final = 128
_OLDEST_SECONDS: Final = 60
_LEEWAY_SECONDS: Final = 10
_MAX_REMEMBERED: Final = 100_000
_HEADER: Final = frozenset({"typ", "alg", "jwk"})
_THUMBPRINT_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}


class Replays:
    """Proofs that were seen, for as long as they could be used again; bounded, and full means no. Thread-safe."""

    def __init__(self, clock: Clock, limit: int = _MAX_REMEMBERED) -> None:
        self._clock, self._limit = clock, limit
        self._seen: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        self._lock = threading.Lock()

    def require_first(self, name: bytes, request_id: str) -> None:
        """Raises `auth.unbound` for a proof seen in another request, `unavailable.identity` when no more can be remembered."""
        now = self._clock.now()
        with self._lock:
            while self._seen and next(iter(self._seen.values()))[0] <= now:
                self._seen.popitem(last=False)
            known = self._seen.get(name)
            if known is not None:
                if not request_id or known[1] != request_id:
                    raise UnauthenticatedError(code="auth.unbound")
                return
            if len(self._seen) >= self._limit:
                raise UnavailableError(code="unavailable.identity")
            ends = now + _OLDEST_SECONDS + _LEEWAY_SECONDS + 1
            self._seen[name] = ends, request_id


class DPoPProofs:
    """Verifies proofs. Without `replays` a proof may come again: for a key broker, which sees each one several times and gets
    them from processes that have refused replays."""

    def __init__(self, clock: Clock, replays: Replays | None) -> None:
        self._clock, self._replays = clock, replays

    def require(self, connection: Connection, token: str, thumbprint: str) -> None:
        """Raises `auth.unbound` unless the one proof of this request is by the key with this thumbprint (RFC 7638) and about this
        token, method and URL, now and for the first time."""
        if len(connection.untrusted_dpop) != 1 or not connection.url or not connection.method:
            raise UnauthenticatedError(code="auth.unbound")
        proof = connection.untrusted_dpop[0]
        claims, found = self._verified(proof)
        now = self._clock.now()
        at, jti = claims.get("iat"), claims.get("jti")
        fits = (
            claims.get("htm") == connection.method
            and _same_target(claims.get("htu"), connection.url)
            and claims.get("ath") == _digest(token)
            and found == thumbprint
            and type(at) is int
            and now - _OLDEST_SECONDS <= at <= now + _LEEWAY_SECONDS
            and isinstance(jti, str)
            and 1 <= len(jti) <= _MAX_ID
        )
        if not fits:
            raise UnauthenticatedError(code="auth.unbound")
        if self._replays is not None:
            name = hashlib.sha256(f"{thumbprint}\0{jti}".encode()).digest()
            self._replays.require_first(name, connection.request_id)

    def _verified(self, proof: str) -> tuple[dict[str, Any], str]:
        """(claims, thumbprint of the key) of a proof that is signed by the key it names."""
        try:
            if len(proof) > _MAX_CHARACTERS or proof.count(".") != 2:
                raise ValueError
            header = jwt.get_unverified_header(proof)
            jwk = header.get("jwk")
            if header.keys() != _HEADER or header["typ"] != "dpop+jwt" or not isinstance(jwk, dict):
                raise ValueError
            key = public_key_of(jwk)
            if key is None or header["alg"] != key[1]:
                raise ValueError
            claims = jwt.decode(
                proof,
                key[0],
                algorithms=[key[1]],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                },
            )
            return claims, thumbprint_of(jwk)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError):
            raise UnauthenticatedError(code="auth.unbound") from None


def thumbprint_of(jwk: dict[str, Any]) -> str:
    """RFC 7638, SHA-256, base64url. Raises `KeyError` for what is no public key."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _digest(text)


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _same_target(untrusted: object, url: str) -> bool:
    """Scheme and host by RFC 3986's case rules, the rest as it stands; query and fragment do not count (RFC 9449, 4.3)."""
    if not isinstance(untrusted, str):
        return False
    try:
        theirs, ours = urlsplit(untrusted), urlsplit(url)
        places = [(each.scheme, each.hostname, _port(each)) for each in (theirs, ours)]
    except ValueError:
        return False
    return not theirs.username and places[0] == places[1] and theirs.path == ours.path


def _port(parts: Any) -> int | None:
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme)
