"""Where a serving process may connect to: the hosts that its settings name, this machine, and nothing else.

A second line. Python's own sockets are held by an audit hook (PEP 578), which cannot be taken out again: names are refused when
they are looked up, addresses when they are connected to. Libraries that bring their own network code (libpq, the embedded
index) pass by it; a firewall is the first line.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any, Final

from ragward.domain.errors import UnavailableError

_local: Final = threading.local()
#: Read by the libraries that would otherwise ask their hub, when they are imported.
_OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def stay_offline() -> None:
    """Tells model libraries to use local files only; before any of them is imported."""
    os.environ.update(_OFFLINE)


class EgressRefusedError(UnavailableError, OSError):
    """A connection to a host that is not allowed; an `OSError`, so that libraries treat it as a failure to connect."""


class Egress:
    """The hosts that may be connected to. Thread-safe."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts if host)
        self._addresses = frozenset(host for host in self._hosts if _address(host) is not None)

    def admits_name(self, host: str | None) -> bool:
        """Whether a host may be looked up; None and "" are this machine."""
        if not host:
            return True
        name = host.lower().rstrip(".")
        return name == "localhost" or name in self._hosts or self._is_here(name)

    def admits_address(self, address: str) -> bool:
        """Whether an address may be connected to: this machine's own, one that is named, or one that a named host has."""
        plain = address.partition("%")[0]
        return self._is_here(plain) or plain in self._addresses or plain in self._resolved()

    def install(self) -> None:
        """Holds this process to it, for good."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(_local, "resolving", False):
            return
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = arguments[0]
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            if not self.admits_name(name):
                raise EgressRefusedError(code="unavailable.egress")
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
            if isinstance(address, tuple) and not self._admits_peer(str(address[0])):
                raise EgressRefusedError(code="unavailable.egress")

    def _admits_peer(self, host: str) -> bool:
        if _address(host.partition("%")[0]) is None:
            return self.admits_name(host)
        return self.admits_address(host)

    def _is_here(self, host: str) -> bool:
        found = _address(host)
        return found is not None and (found.is_loopback or found.is_unspecified)

    def _resolved(self) -> set[str]:
        """The addresses that the named hosts have now."""
        _local.resolving = True
        try:
            found: set[str] = set()
            for host in self._hosts - self._addresses:
                try:
                    found.update(str(item[4][0]) for item in socket.getaddrinfo(host, None))
                except OSError:
                    continue
            return found
        finally:
            _local.resolving = False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
