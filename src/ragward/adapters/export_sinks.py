"""Receivers of the exported log: a file of JSON lines, a syslog collector (RFC 5424), a service that takes lines by HTTP.

A file is on disk when `send` returns; a service has answered 2xx; a collector over TCP or TLS has read to the end of what it
was sent and closed its side. UDP (RFC 5426) tells nobody whether anything arrived.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.domain.ocsf import MAX_LINE, ExportedLine
from ragward.domain.ocsf_classes import Severity
from ragward.ports.export import ExportSink

_TIMEOUT_SECONDS: Final = 10.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FACILITY: Final = 13  # log audit (RFC 5424, table 1)
#: RFC 5424, table 2: 2 Critical, 3 Error, 4 Warning, 5 Notice, 6 Informational.
_LEVELS: Final = {
    Severity.CRITICAL: 2,
    Severity.HIGH: 3,
    Severity.MEDIUM: 4,
    Severity.LOW: 5,
    Severity.INFORMATIONAL: 6,
}
#: Of every line: its members are sorted.
_BEGINNING: Final = b'{"action_id":'
_PORTS: Final = {"syslog+udp": 514, "syslog+tcp": 601, "syslog+tls": 6514}


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """What receivers need beside their address. `admits` says which hosts may be connected to."""

    admits: Callable[[str], bool]
    token: str | None = None
    authority: Path | None = None
    """Certificates to trust for TLS; left out, this machine's"""


class FileSink:
    """Appends lines to a file that nobody else may read. It is opened for each batch, so that it can be moved away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, lines: Sequence[ExportedLine]) -> None:
        """On disk when this returns. Half a line that a killed process left is taken off first: it is sent again."""
        data = "".join(f"{line.text}\n" for line in lines).encode()
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                _end_last_line(descriptor)
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UnavailableError(
                "the file of an export cannot be written", code="unavailable.egress"
            ) from error


class WebhookSink:
    """Posts lines as `application/x-ndjson`; redirects are not followed."""

    def __init__(self, url: str, options: SinkOptions) -> None:
        self._url, self._options = url, options

    def send(self, lines: Sequence[ExportedLine]) -> None:
        """Taken over when the answer is 2xx."""
        import httpx

        headers = {"Content-Type": "application/x-ndjson"}
        if self._options.token is not None:
            headers["Authorization"] = f"Bearer {self._options.token}"
        try:
            answer = httpx.post(
                self._url,
                content="".join(f"{line.text}\n" for line in lines).encode(),
                headers=headers,
                timeout=_TIMEOUT_SECONDS,
                follow_redirects=False,
                trust_env=False,
                verify=_tls(self._options.authority),
            )
        except (httpx.HTTPError, OSError) as error:
            raise _unreachable() from error
        if not answer.is_success:
            raise UnavailableError(
                f"a receiver answered {answer.status_code}", code="unavailable.egress"
            )


class DatagramSyslogSink:
    """RFC 5426: a datagram for each line."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def send(self, lines: Sequence[ExportedLine]) -> None:
        """Handed to the network, which may lose any of them."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                *self._address, type=socket.SOCK_DGRAM
            )[0]
            with socket.socket(family, kind, protocol) as connection:
                for line in lines:
                    connection.sendto(syslog_message(line), address)
        except OSError as error:
            raise _unreachable() from error


class StreamSyslogSink:
    """RFC 6587 (octet counting) and, over TLS, RFC 5425. One connection a batch: its orderly end is the receipt."""

    def __init__(self, host: str, port: int, options: SinkOptions, *, tls: bool) -> None:
        self._host, self._port, self._options, self._tls = host, port, options, tls

    def send(self, lines: Sequence[ExportedLine]) -> None:
        """Read by the receiver when this returns."""
        framed = b"".join(
            b"%d %s" % (len(message), message) for message in map(syslog_message, lines)
        )
        try:
            with self._connected() as connection:
                connection.sendall(framed)
                if isinstance(connection, ssl.SSLSocket):
                    connection.unwrap().close()  # RFC 5425, 4.4: the receiver answers the end
                    return
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    continue
        except OSError as error:
            raise _unreachable() from error

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.create_connection((self._host, self._port), _TIMEOUT_SECONDS) as plain:
            if not self._tls:
                yield plain
                return
            context = _tls(self._options.authority)
            with context.wrap_socket(plain, server_hostname=self._host) as wrapped:
                yield wrapped


def syslog_message(line: ExportedLine) -> bytes:
    """RFC 5424, section 6. Nothing in its header comes from anybody but us; the text is ASCII without line breaks."""
    at = datetime.fromtimestamp(max(0, min(line.at, 2**42)) / 1000, UTC)
    moment = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
    priority = _FACILITY * 8 + _LEVELS[line.severity]
    host = "".join(c for c in socket.gethostname() if "!" <= c <= "~")[:255] or "-"
    message_id = line.event_type[:32]
    return (
        f"<{priority}>1 {moment} {host} ragward {os.getpid()} {message_id} - {line.text}".encode()
    )


def sink_of(uri: str, options: SinkOptions) -> ExportSink:
    """The receiver a setting names. Raises `config.invalid`, and `unavailable.egress` for a host that is not allowed."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file" and rest:
        return FileSink(Path(rest))
    place = _parsed(uri)
    host = place.hostname or ""
    if not options.admits(host):
        raise UnavailableError(
            "this process may not connect to the receiver: name it in audit_export or egress_hosts",
            code="unavailable.egress",
        )
    if place.scheme in _PORTS:
        port = place.port or _PORTS[place.scheme]
        if place.scheme == "syslog+udp":
            return DatagramSyslogSink(host, port)
        return StreamSyslogSink(host, port, options, tls=place.scheme == "syslog+tls")
    return WebhookSink(uri, options)


def _parsed(uri: str) -> SplitResult:
    refused = ConfigurationError(
        "a receiver is file:PATH, syslog+udp://, syslog+tcp:// or syslog+tls://HOST:PORT, or an https: URL"
    )
    try:
        place = urlsplit(uri)
        known = bool(place.hostname) and (place.port is None or place.port > 0)
    except ValueError:
        raise refused from None
    plain = place.scheme == "http" and place.hostname in _LOOPBACK
    if not known or not (place.scheme in _PORTS or place.scheme == "https" or plain):
        raise refused
    if place.username or place.password:
        raise ConfigurationError("a receiver's credential is audit_export_token, not in its URL")
    return place


def _tls(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _end_last_line(descriptor: int) -> None:
    """Takes off half a line of ours; what is not ours stays, and ends here."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - MAX_LINE - 1)
    last = os.pread(descriptor, size - start, start).rpartition(b"\n")[2]
    if last and last.startswith(_BEGINNING[: len(last)]):
        os.ftruncate(descriptor, size - len(last))
    elif last:
        os.write(descriptor, b"\n")


def _unreachable() -> UnavailableError:
    return UnavailableError("a receiver cannot be reached", code="unavailable.egress")
