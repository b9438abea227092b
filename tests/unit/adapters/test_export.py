"""Receivers of the exported log, and the place of an export."""

from __future__ import annotations

import datetime
import json
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ragward.adapters.export_cursor import FileCursor, cursor_path, next_index
from ragward.adapters.export_sinks import SinkOptions, sink_of, syslog_message
from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.domain.ocsf import ExportedLine, Place
from ragward.domain.ocsf_classes import Severity

KEY = b"k" * 32
OPTIONS = SinkOptions(admits=lambda host: host in ("127.0.0.1", "localhost"))


def lines(*numbers, severity=Severity.LOW):
    return [
        ExportedLine(
            text=f'{{"action_id":1,"n":{number}}}',
            event_type="honey.touched",
            severity=severity,
            at=1_700_000_000_123,
        )
        for number in numbers
    ]


# Files. -------------------------------------------------------------------------------------------------------------


def test_a_file_gets_lines_that_nobody_else_may_read(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = sink_of(f"file:{path}", OPTIONS)
    sink.send(lines(1, 2))
    sink.send(lines(3))
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert path.stat().st_mode & 0o777 == 0o600


def test_half_a_line_of_ours_goes_and_what_is_not_ours_stays(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = sink_of(f"file:{path}", OPTIONS)
    sink.send(lines(1))
    with path.open("a") as out:
        out.write('{"action_id":1,"n"')
    sink.send(lines(2))
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [1, 2]
    other = tmp_path / "notes.txt"
    other.write_text("not ours, without an end")
    sink_of(f"file:{other}", OPTIONS).send(lines(3))
    assert other.read_text().splitlines()[0] == "not ours, without an end"


def test_a_file_that_cannot_be_written_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError) as caught:
        sink_of(f"file:{tmp_path}/absent/out.jsonl", OPTIONS).send(lines(1))
    assert caught.value.code == "unavailable.egress"


# Syslog. ------------------------------------------------------------------------------------------------------------


def test_a_message_has_the_form_of_rfc_5424():
    text = syslog_message(lines(1, severity=Severity.CRITICAL)[0]).decode()
    form = r"<106>1 2023-11-14T22:13:20\.123Z \S+ ragward \d+ honey\.touched - \{.*\}"
    assert re.fullmatch(form, text)


def test_datagrams_carry_a_message_each():
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        port = receiver.getsockname()[1]
        sink_of(f"syslog+udp://127.0.0.1:{port}", OPTIONS).send(lines(1, 2))
        assert receiver.recv(65_535).endswith(b'"n":1}')
        assert receiver.recv(65_535).endswith(b'"n":2}')


class Collector:
    """A syslog collector for one connection: reads to the end, then closes."""

    def __init__(self, context=None, *, hangs_up=False):
        self.data = b""
        self._context, self._hangs_up = context, hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        connection, _ = self._listener.accept()
        if self._hangs_up:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            return
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while data := connection.recv(4096):
                self.data += data
            if self._context is not None:
                connection = connection.unwrap()
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def messages(self):
        self._thread.join(5)
        self._listener.close()
        found, data = [], self.data
        while data:
            length, _, rest = data.partition(b" ")
            found.append(rest[: int(length)])
            data = rest[int(length) :]
        return found


def certified(tmp_path, name="localhost"):
    """A context for a server, and the file with its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    both = tmp_path / f"{name}.pem"
    both.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + public
    )
    authority = tmp_path / f"{name}.crt"
    authority.write_bytes(public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, authority


def test_a_stream_is_framed_by_octets_and_read_to_its_end():
    collector = Collector()
    sink_of(f"syslog+tcp://127.0.0.1:{collector.port}", OPTIONS).send(lines(1, 2))
    assert [message[-6:] for message in collector.messages()] == [b'"n":1}', b'"n":2}']


def test_tls_is_verified_and_closed_in_order(tmp_path):
    context, authority = certified(tmp_path)
    collector = Collector(context)
    options = SinkOptions(admits=OPTIONS.admits, authority=authority)
    sink_of(f"syslog+tls://localhost:{collector.port}", options).send(lines(1))
    assert len(collector.messages()) == 1


def test_a_collector_that_hangs_up_has_taken_nothing():
    collector = Collector(hangs_up=True)
    with pytest.raises(UnavailableError):
        sink_of(f"syslog+tcp://127.0.0.1:{collector.port}", OPTIONS).send(lines(*range(1000)))
    collector.messages()


# Webhooks. ----------------------------------------------------------------------------------------------------------


class Service:
    """Takes posts; answers the statuses it is given, then 204."""

    def __init__(self, *statuses, location=""):
        self.bodies, self.headers = [], []
        service, waiting = self, list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                service.headers.append(dict(self.headers))
                service.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(waiting.pop(0) if waiting else 204)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service():
    made = Service(503)
    yield made
    made.close()


def test_a_service_takes_lines_with_a_2xx(service):
    sink = sink_of(service.url, SinkOptions(admits=OPTIONS.admits, token="s3cret"))
    with pytest.raises(UnavailableError):
        sink.send(lines(1))
    sink.send(lines(1, 2))
    assert service.bodies[1].decode().splitlines() == [line.text for line in lines(1, 2)]
    assert service.headers[1]["Content-Type"] == "application/x-ndjson"
    assert service.headers[1]["Authorization"] == "Bearer s3cret"


# Addresses. ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:",
        "http://siem.example/x",
        "ftp://siem.example/",
        "syslog://siem.example",
        "syslog+tls://",
        "https://",
        "https://siem.example:0/",
        "https://siem.example:99999/",
        "https://user:pass@127.0.0.1/",
    ],
)
def test_other_receivers_are_refused(uri):
    with pytest.raises(ConfigurationError):
        sink_of(uri, SinkOptions(admits=lambda host: True))


# Places. ------------------------------------------------------------------------------------------------------------


def test_a_place_is_kept(tmp_path):
    place = Place(next_index=5, leaf="ab", line_uid="x", fingerprint="cd")
    cursor = FileCursor(tmp_path, "file:/x", KEY)
    assert cursor.load() is None
    cursor.save(place)
    assert cursor.load() == place
    assert next_index(cursor_path(tmp_path, "file:/x")) == 5
    assert next_index(tmp_path / "absent") == 0
    with pytest.raises(ConfigurationError) as caught:
        FileCursor(tmp_path, "file:/x", KEY)
    assert caught.value.code == "config.index_owned"
    cursor.close()
    again = FileCursor(tmp_path, "file:/x", KEY)
    assert again.load() == place
    again.close()
