"""Providers of keys for tests, each as real as it can be had here: SoftHSM2, moto's KMS in a process of its own, a transit engine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest

from ragward.adapters.keyrings import create_keyring, open_keyring
from tests.fakes.transit_server import TOKEN, TransitServer

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
PIN = "1234-5678"


class Place:
    """Where a keyring is: `open` gives it as another process would see it."""

    def __init__(self, path, open_again):
        self.path, self._open_again, self._opened = path, open_again, []

    def open(self):
        self._opened.append(self._open_again())
        return self._opened[-1]

    def close(self):
        for keyring in self._opened:
            keyring.close()


def no_passphrase():
    raise AssertionError("no passphrase is needed")


def place_of(uri, path):
    create_keyring(uri, path, no_passphrase)
    return Place(path, lambda: open_keyring(uri, path, no_passphrase))


def secret_file(path, text):
    path.write_text(text)
    path.chmod(0o400)
    return path


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory):
    """(module, token) of a software token. Missing, the tests are skipped, and in CI they fail."""
    module = next((path for path in _MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        if os.environ.get("CI"):
            pytest.fail("softhsm2 is missing: `make softhsm`")
        pytest.skip("softhsm2 is not installed: `make softhsm`")
    home = tmp_path_factory.mktemp("softhsm")
    (home / "tokens").mkdir()
    config = home / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {home / 'tokens'}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(config)  # read when the module is loaded, once in a process
    subprocess.run(
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "ragward",
            "--pin",
            PIN,
            "--so-pin",
            PIN,
        ],
        check=True,
        capture_output=True,
    )
    return module, "ragward"


@pytest.fixture
def pkcs11_uri(softhsm, tmp_path):
    module, token = softhsm
    return f"pkcs11:{token}?module={module}&pin=file:{secret_file(tmp_path / 'pin', PIN)}"


@pytest.fixture
def pkcs11_place(pkcs11_uri, tmp_path):
    return place_of(pkcs11_uri, tmp_path / "keyring.json")


@pytest.fixture(scope="session")
def moto_url():
    """moto's server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    give_up = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/moto-api/", timeout=2)
            break
        except httpx.HTTPError:
            if time.monotonic() > give_up or process.poll() is not None:
                raise
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
def kms_uri(moto_url, monkeypatch):
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("kms", region_name="eu-central-1", endpoint_url=moto_url)
    key = client.create_key()["KeyMetadata"]["KeyId"]
    client.close()
    return f"awskms:{key}?region=eu-central-1&endpoint={moto_url}"


@pytest.fixture
def awskms_place(kms_uri, tmp_path):
    return place_of(kms_uri, tmp_path / "keyring.json")


@pytest.fixture
def awskms_remote_place(kms_uri, tmp_path):
    return place_of(f"{kms_uri}&mode=remote", tmp_path / "keyring.json")


@pytest.fixture
def transit():
    server = TransitServer()
    yield server
    server.close()


@pytest.fixture
def vault_uri(transit, tmp_path):
    token = secret_file(tmp_path / "token", TOKEN)
    return f"vault:{transit.url}?token=file:{token}&prefix=t{uuid.uuid4().hex[:6]}"


@pytest.fixture
def vault_place(vault_uri, tmp_path):
    return place_of(vault_uri, tmp_path / "keyring.json")
