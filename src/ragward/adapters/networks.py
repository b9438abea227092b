"""Networks by name, as the settings list them in CIDR."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
_UNKNOWN: Final[frozenset[str]] = frozenset()


class Networks:
    """Which zones an address is in."""

    def __init__(self, zones: Mapping[str, Iterable[str]]) -> None:
        self._zones = {name: tuple(map(ip_network, cidrs)) for name, cidrs in zones.items()}

    def of(self, address: str) -> frozenset[str]:
        """The zones that hold it; none for what is no address."""
        found = parsed(address)
        if found is None:
            return _UNKNOWN
        return frozenset(
            name
            for name, networks in self._zones.items()
            if any(found in network for network in networks)
        )


def parsed(address: str) -> Address | None:
    """An address; one of IPv4 in IPv6's clothes is what it is. None for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
