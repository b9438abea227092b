"""By which names a route may be reached: what a browser's page sends under a name of its own is refused (DNS rebinding)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from ragward.domain.errors import DeniedError
from ragward.settings import Settings

_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_ANY: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Host, or host and port, in lower case; a name without a port is allowed with any."""
    named = {*_LOOPBACK, *(host.lower() for host in settings.mcp_hosts)}
    if settings.host not in _ANY:
        named.add(f"[{settings.host}]" if ":" in settings.host else settings.host)
    if settings.public_url:
        named.add(urlsplit(settings.public_url).netloc.lower())
    return frozenset(named)


def require_own_name(request: Request, allowed: frozenset[str]) -> None:
    """Raises `access.origin` unless the request's one Host, and its Origin if there is any, are ours."""
    hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
    if len(hosts) != 1 or len(origins) > 1 or not _is_allowed(hosts[0], allowed):
        raise DeniedError(code="access.origin")
    if origins and not _is_allowed(_host_of(origins[0]), allowed):
        raise DeniedError(code="access.origin")


def _host_of(origin: str) -> str:
    """`null`, and what is no origin, is nobody's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    plain = (
        parts.scheme in ("http", "https")
        and not parts.path
        and not parts.query
        and not parts.fragment
    )
    return parts.netloc if plain and "@" not in parts.netloc else ""


def _is_allowed(host: str, allowed: frozenset[str]) -> bool:
    host = host.lower()
    name, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        name = host  # no port, or an address in brackets
    return host in allowed or name in allowed
