"""What keys cost: `python benchmarks/keys.py`. Prints a row for each figure with its target; providers that are not here are said to be missing.

SoftHSM2 needs `softhsm2-util`; awskms runs against moto's server, which this starts; both as the tests do.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.broker_client import BrokerKeyring
from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.adapters.keyring_file import FileKeyring
from ragward.adapters.keyrings import create_keyring, open_keyring
from ragward.domain.access import Application, Credentials, Grant, Permit, Subject, TenantHead
from ragward.domain.envelope import EncryptionContext, Kind, Suite, WrappingContext
from ragward.domain.keys import Reading, WrappedDEK
from ragward.domain.labels import AccessLabel, Classification
from ragward.ports import Keyring

APPLICATION = Application(
    principal="app:acme/bench",
    tenant="acme",
    client_id="bench",
    corpora=frozenset({"*"}),
    ceiling=Classification.RESTRICTED,
)
SUBJECT = Subject(
    tenant="acme",
    principal="user:acme/ann",
    application=APPLICATION,
    not_after=2**40,
    credentials=Credentials(untrusted_authorization="t" * 800),
)
LABEL = AccessLabel(tenant="acme", corpus="hr", classification=Classification.RESTRICTED)
CIPHER = AESGCMCipher()


def microseconds(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """(p50, p99)."""
    work()
    taken = []
    for _ in range(repeat):
        begin = time.perf_counter_ns()
        work()
        taken.append((time.perf_counter_ns() - begin) / 1000)
    return statistics.median(taken), sorted(taken)[int(repeat * 0.99)]


def row(name: str, took: tuple[float, float], target: str) -> None:
    print(f"| {name} | {took[0]:,.1f} | {took[1]:,.1f} | {target} |", flush=True)


def wrapped(keyring: Keyring, count: int) -> list[WrappedDEK]:
    kek_id, version = keyring.active_kek("acme", Classification.RESTRICTED)
    out = []
    for number in range(count):
        context = WrappingContext(
            tenant="acme",
            kek_id=kek_id,
            kek_version=version,
            dek_id=str(uuid.uuid4()),
            document_id=f"document-{number}",
            document_version=1,
            label_digest=LABEL.digest(),
        )
        dek = number.to_bytes(32, "big")
        out.append(WrappedDEK(wrapped=keyring.wrap(dek, context), context=context))
    return out


def blobs() -> None:
    dek, dek_id = os.urandom(32), str(uuid.uuid4())
    context = EncryptionContext(
        tenant="acme", document_id="d", chunk_id="c", kind=Kind.TEXT, revision=1
    )
    for size, repeat in ((1024, 5000), (64 * 1024, 2000)):
        text = os.urandom(size)

        def encrypt(text: bytes = text) -> bytes:
            return CIPHER.encrypt(
                text, dek=dek, dek_id=dek_id, context=context, suite=Suite.ENCRYPTED
            )

        blob = encrypt()

        def decrypt(blob: bytes = blob) -> bytes:
            return CIPHER.decrypt(blob, dek=dek, dek_id=dek_id, context=context)

        for name, work in (("encrypt", encrypt), ("decrypt", decrypt)):
            took = microseconds(work, repeat)
            speed = f" ({size / took[0] / 1000:.2f} GB/s)" if size > 1024 else ""
            row(f"{name} {size // 1024} KiB{speed}", took, "25" if size == 1024 else ">= 2 GB/s")


def unwrapping(name: str, keyring: Keyring, target: str, *, repeat: int, forget: bool) -> None:
    items = wrapped(keyring, 8)
    reading = Reading(subject=SUBJECT)

    def cold(part: list[WrappedDEK]) -> Callable[[], object]:
        def work() -> object:
            if forget:
                keyring.forget()
            return keyring.unwrap_all(part, reading)

        return work

    row(f"{name}: unwrap 1", microseconds(cold(items[:1]), repeat), target)
    row(f"{name}: unwrap 8", microseconds(cold(items), repeat), "")


def restricted_chunks(name: str, keyring: Keyring, target: str) -> None:
    """8 chunks of 8 documents whose keys nobody holds yet: keys and texts."""
    items = wrapped(keyring, 8)
    text = os.urandom(1024)
    places = [
        EncryptionContext(
            tenant="acme", document_id=f"d{n}", chunk_id="c", kind=Kind.TEXT, revision=1
        )
        for n in range(8)
    ]
    stored = [
        CIPHER.encrypt(
            text,
            dek=n.to_bytes(32, "big"),
            dek_id=item.context.dek_id,
            context=place,
            suite=Suite.ENCRYPTED,
        )
        for n, (item, place) in enumerate(zip(items, places, strict=True))
    ]

    def work() -> None:
        keyring.forget()
        deks = keyring.unwrap_all(items, Reading(subject=SUBJECT))
        for dek, item, place, blob in zip(deks, items, places, stored, strict=True):
            assert isinstance(dek, bytes), dek
            CIPHER.decrypt(blob, dek=dek, dek_id=item.context.dek_id, context=place)

    row(f"{name}: 8 restricted chunks of 8 cold documents", microseconds(work, 500), target)


def rewrapping(keyring: Keyring) -> None:
    items = wrapped(keyring, 20_000)
    kek_id, version = keyring.stage("acme", Classification.RESTRICTED)
    keyring.activate(kek_id, version)
    moves = [(item, dataclasses.replace(item.context, kek_version=version)) for item in items]
    begin = time.perf_counter()
    keyring.rewrap_all(moves)
    rate = len(moves) / (time.perf_counter() - begin)
    print(f"| local: rewraps per second, keys only | {rate:,.0f} | | >= 30,000 |", flush=True)


class _Everybody:
    """An identity and a decision that cost nothing: the broker's own cost is what is measured."""

    def verify(self, _credentials: Credentials) -> Subject:
        return SUBJECT

    def decide_labels(self, _subject: object, _context: object) -> Permit:
        grant = Grant(labels=frozenset({1}), revealed=frozenset())
        return Permit(
            head=TenantHead(), not_after=2**40, grants=(grant,), policy_digest="", reason=""
        )

    def labels(self, _tenant: str, *, after: int = 0) -> dict[int, AccessLabel]:
        return {} if after else {1: LABEL}


def serve_broker(directory: Path, path: Path) -> None:
    """The broker in a process of its own: this script with `--broker`."""
    from ragward.adapters.broker_server import BrokerServer
    from ragward.adapters.clock_system import SystemClock
    from ragward.brokering import BrokerPorts, KeyBroker
    from ragward.evidence import Recorder

    keyring, everybody = FileKeyring.open(path, "a passphrase for figures"), _Everybody()
    audit = SQLiteAuditLog.open(directory / "log.db", keyring.mac_key("audit-chain"))
    unlimited = dict.fromkeys(Classification, 10**9)
    broker = KeyBroker(
        BrokerPorts(
            identity=everybody,
            pdp=everybody,  # type: ignore[arg-type]
            labels=everybody,  # type: ignore[arg-type]
            keyring=keyring,
            recorder=Recorder(audit=audit, clock=SystemClock()),
            clock=SystemClock(),
            deks_per_minute=unlimited,
        )
    )
    BrokerServer(directory, broker, keyring)
    sys.stdin.read()


@contextlib.contextmanager
def broker_of(home: Path, path: Path) -> Iterator[BrokerKeyring]:
    sockets = home / "sockets"
    sockets.mkdir()
    process = subprocess.Popen(
        [sys.executable, __file__, "--broker", str(sockets), str(path)], stdin=subprocess.PIPE
    )
    try:
        while not (sockets / "service.sock").exists():
            time.sleep(0.05)
        yield BrokerKeyring.connect(sockets / "service.sock")
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def softhsm(home: Path) -> Iterator[Keyring | None]:
    module = Path("/usr/lib/softhsm/libsofthsm2.so")
    if not module.exists() or not shutil.which("softhsm2-util"):
        yield None
        return
    (home / "tokens").mkdir()
    config = home / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {home / 'tokens'}\n")
    os.environ["SOFTHSM2_CONF"] = str(config)
    pin = home / "pin"
    pin.write_text("1234-5678")
    pin.chmod(0o400)
    given = ["--label", "bench", "--pin", "1234-5678", "--so-pin", "1234-5678"]
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", *given], check=True, capture_output=True
    )
    yield provided(f"pkcs11:bench?module={module}&pin=file:{pin}", home / "token.json")


@contextlib.contextmanager
def moto(home: Path) -> Iterator[Keyring | None]:
    try:
        import boto3
        import moto as _moto  # noqa: F401 - only whether it is there
    except ImportError:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        url = f"http://127.0.0.1:{port}"
        client = boto3.client("kms", region_name="eu-central-1", endpoint_url=url)
        for _ in range(100):
            with contextlib.suppress(Exception):
                key = client.create_key()["KeyMetadata"]["KeyId"]
                break
            time.sleep(0.2)
        uri = f"awskms:{key}?region=eu-central-1&endpoint={url}&mode=remote"
        yield provided(uri, home / "kms.json")
    finally:
        process.terminate()
        process.wait()


def provided(uri: str, path: Path) -> Keyring:
    create_keyring(uri, path, str)
    return open_keyring(uri, path, str)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", nargs=2, type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.broker:
        serve_broker(*chosen.broker)
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("| what | p50, µs | p99, µs | asked for |\n|---|---|---|---|")
        blobs()
        path = home / "keyring.json"
        local = FileKeyring.create(path, "a passphrase for figures")
        unwrapping("local", local, "5", repeat=5000, forget=False)
        restricted_chunks("local", local, "1,000")
        with broker_of(home, path) as brokered:
            unwrapping("broker", brokered, "", repeat=2000, forget=True)
            restricted_chunks("broker", brokered, "1,000")
        with softhsm(home) as token:
            if token is None:
                print("| SoftHSM2: missing | | | 60 |")
            else:
                unwrapping("SoftHSM2", token, "60", repeat=2000, forget=True)
                restricted_chunks("SoftHSM2", token, "1,000")
        with moto(home) as kms:
            if kms is None:
                print("| moto KMS: missing | | | 10,000 |")
            else:
                unwrapping("moto KMS, remote", kms, "10,000", repeat=100, forget=True)
        rewrapping(local)


if __name__ == "__main__":
    main()
