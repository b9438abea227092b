"""Where verification keys come from, and API keys."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import secrets
import threading
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx
import jwt

from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.ports import Clock

KEY_PREFIX: Final = "rgw_"
#: One algorithm per key type and curve: a token cannot choose (RFC 8725, 3.1).
_ALGORITHM_OF: Final = {
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
    ("RSA", None): "RS256",
}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_BYTES: Final = 256 * 1024
_FRESH_SECONDS: Final = 300
_COOLDOWN_SECONDS: Final = 30
_STALE_SECONDS: Final = 3600
_MIN_RSA_BITS: Final = 2048


def new_api_key() -> tuple[str, str, bytes]:
    """(key, lookup prefix, SHA-256): 256 random bits; only the digest is stored."""
    prefix = secrets.token_hex(4)
    text = f"{KEY_PREFIX}{prefix}_{secrets.token_urlsafe(32)}"
    return text, prefix, hashlib.sha256(text.encode()).digest()


def key_id_in(untrusted_key: str) -> str:
    """The lookup prefix of an API key: the part that is no secret."""
    return untrusted_key.removeprefix(KEY_PREFIX).partition("_")[0][:64]


class KeySource(Protocol):
    """An issuer's verification keys."""

    def find(self, kid: str | None) -> tuple[Any, str] | None:
        """(key, its one algorithm). Raises `unavailable.identity`."""


class JWKSFile:
    """A key set in a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = 0
        self._keys: dict[str | None, tuple[Any, str]] = {}

    def find(self, kid: str | None) -> tuple[Any, str] | None:
        """The key by id."""
        try:
            mark = self._path.stat().st_mtime_ns
            if mark != self._mark:
                self._keys, self._mark = parse_jwks(self._path.read_bytes()), mark
        except (OSError, ValueError):
            raise UnavailableError(code="unavailable.identity") from None
        return self._keys.get(kid)


class JWKSURL:
    """A key set fetched over https: cached, no redirects, bounded; kept for an hour when it cannot be fetched."""

    def __init__(self, url: str, clock: Clock) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (
            parts.scheme == "http" and _is_loopback(parts.hostname)
        ):
            raise ConfigurationError("key sets come over https")
        self._url, self._clock = url, clock
        self._keys: dict[str | None, tuple[Any, str]] = {}
        self._fetched_at = self._tried_at = -(10**9)
        self._lock = threading.Lock()

    def find(self, kid: str | None) -> tuple[Any, str] | None:
        """The key by id; an unknown id causes at most one fetch in 30 seconds."""
        with self._lock:
            now = self._clock.now()
            age, tried = now - self._fetched_at, now - self._tried_at
            if age > _FRESH_SECONDS or (kid not in self._keys and tried > _COOLDOWN_SECONDS):
                self._fetch(now)
            if now - self._fetched_at > _STALE_SECONDS:
                raise UnavailableError(code="unavailable.identity")
            return self._keys.get(kid)

    def _fetch(self, now: int) -> None:
        if now - self._tried_at <= 1:
            return
        self._tried_at = now
        try:
            with httpx.stream("GET", self._url, timeout=5, follow_redirects=False) as response:
                response.raise_for_status()
                data = b""
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > _MAX_BYTES:
                        return
            self._keys, self._fetched_at = parse_jwks(data), now
        except (httpx.HTTPError, ValueError):
            return  # the keys from before hold until they are too old


def parse_jwks(data: bytes) -> dict[str | None, tuple[Any, str]]:
    """Asymmetric signature keys by id, each with its one algorithm; symmetric, weak and malformed ones are left out.

    Raises ValueError for what is no key set.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError("key set too large")
    document = json.loads(data)
    items = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("not a key set")
    return {item.get("kid"): key for item in items if (key := _signature_key(item)) is not None}


def public_key_of(jwk: dict[str, Any]) -> tuple[Any, str] | None:
    """The key of a JWK and its one algorithm; None for one that is private, symmetric, weak or malformed."""
    if _PRIVATE & jwk.keys() or jwk.get("kty") == "oct":
        return None
    return _signature_key(jwk)


def _signature_key(item: dict[str, Any]) -> tuple[Any, str] | None:
    curve = item.get("crv") if item.get("kty") in ("EC", "OKP") else None
    algorithm = _ALGORITHM_OF.get((str(item.get("kty")), curve))
    if (
        algorithm is None
        or not isinstance(item.get("kid"), str | None)
        or item.get("use", "sig") != "sig"
        or item.get("alg", algorithm) != algorithm
    ):
        return None
    try:
        key = jwt.PyJWK(item, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if algorithm == "RS256" and key.key_size < _MIN_RSA_BITS:
        return None
    return key, algorithm


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
