"""How a request came: the method and URL that a proof must be about, and, as the socket and listed proxies say, from where and
with which certificate. Headers of anybody else are not looked at."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import uuid
from functools import lru_cache
from typing import Final

from starlette.requests import Request

from ragward.domain.proof import Connection
from ragward.settings import Settings

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAX_CERTIFICATE: Final = 16_384
_MAX_HOPS: Final = 32


def connection_of(request: Request, settings: Settings, by_dpop: tuple[bool, bool]) -> Connection:
    """What is known of a request before anything in it is believed."""
    proxies = _networks(settings.trusted_proxies)
    peer = _address(request.client.host if request.client else "")
    is_proxy = _is_listed(peer, proxies)
    return Connection(
        method=request.method,
        url=_url(request, settings),
        address=str(_asker(request, peer, proxies) or ""),
        certificate_sha256=_certificate(request) if is_proxy else "",
        untrusted_dpop=tuple(request.headers.getlist("dpop")),
        by_dpop=by_dpop,
        request_id=str(uuid.uuid4()),  # never the caller's own
    )


def _url(request: Request, settings: Settings) -> str:
    """By our own name, never by the Host header: a proof for another server must not fit here."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = settings.public_url or f"http://{host}:{settings.port}"
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return base + raw.partition(b"?")[0].decode("ascii", "replace")


def _asker(
    request: Request, peer: _Address | None, proxies: tuple[_Network, ...]
) -> _Address | None:
    """The nearest address that is no listed proxy's, None where there is none: what stands before it in the header, its sender may have made up."""
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    address = peer
    for hop in reversed(hops[-_MAX_HOPS:]):
        if not hop.strip() or not _is_listed(address, proxies):
            break
        address = _address(hop.strip())
    return None if _is_listed(address, proxies) else address


def _certificate(request: Request) -> str:
    """`x5t#S256` of the client's certificate, as a proxy hands it on (RFC 9440)."""
    values = request.headers.getlist("client-cert")
    if len(values) != 1 or len(values[0]) > _MAX_CERTIFICATE:
        return ""
    value = values[0].strip()
    if len(value) < 3 or value[0] != ":" or value[-1] != ":":
        return ""
    try:
        der = base64.b64decode(value[1:-1], validate=True)
    except ValueError:
        return ""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


@lru_cache(maxsize=8)
def _networks(cidrs: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(map(ipaddress.ip_network, cidrs))


def _is_listed(address: _Address | None, networks: tuple[_Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
