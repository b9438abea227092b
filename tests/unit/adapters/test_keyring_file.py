"""The keyring file: who may open it, what damage does, and two processes at once."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys

import pytest

from ragward.adapters.keyring_file import FileKeyring, read_passphrase
from ragward.domain.envelope import WrappingContext
from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError
from ragward.domain.labels import Classification
from tests.conftest import SHIPPED_KDF

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keyring.json"


@pytest.fixture
def keyring(path):
    return FileKeyring.create(path, PASSPHRASE)


def context(keyring, *, tenant="acme", level=Classification.RESTRICTED, **changes):
    kek_id, version = keyring.active_kek(tenant, level)
    fields = {
        "tenant": tenant,
        "kek_id": kek_id,
        "kek_version": version,
        "dek_id": "d",
        "document_id": "doc",
        "document_version": 1,
        "label_digest": bytes(32),
    }
    return WrappingContext(**(fields | changes))


def test_passphrases_are_stretched_as_rfc_9106_says_for_less_memory():
    assert SHIPPED_KDF == {"memory_kib": 64 * 1024, "iterations": 3, "lanes": 4}


def test_it_is_readable_by_its_owner_only(path, keyring):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(ConfigurationError) as caught:
        FileKeyring.open(path, PASSPHRASE)
    assert "owner only" in caught.value.detail


def test_a_wrong_passphrase_is_told_from_damage(path, keyring):
    with pytest.raises(ConfigurationError) as caught:
        FileKeyring.open(path, PASSPHRASE + " ")
    assert caught.value.code == "config.passphrase"
    outer = json.loads(path.read_text())
    body = bytearray(base64.b64decode(outer["body"]))
    body[20] ^= 1
    outer["body"] = base64.b64encode(body).decode()
    path.write_text(json.dumps(outer))
    with pytest.raises(IntegrityError) as damaged:
        FileKeyring.open(path, PASSPHRASE)
    assert damaged.value.code == "integrity.keyring"


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.pop("body"),
        lambda o: o.update(kdf={}),
        lambda o: o["kdf"].update(memory_kib=8),
        lambda o: o["kdf"].update(memory_kib=2**40),
        lambda o: o["kdf"].update(iterations="3"),
        lambda o: o.update(body="not base64!"),
        lambda o: o.update(format=0),
    ],
)
def test_a_malformed_file_is_refused_without_work(path, keyring, change):
    outer = json.loads(path.read_text())
    change(outer)
    path.write_text(json.dumps(outer))
    with pytest.raises(IntegrityError) as caught:
        FileKeyring.open(path, PASSPHRASE)
    assert caught.value.code == "integrity.keyring"


def test_a_weakened_derivation_does_not_open(path, keyring):
    """The parameters are associated data: nobody can lower them for the next save."""
    outer = json.loads(path.read_text())
    outer["kdf"]["iterations"] += 1
    path.write_text(json.dumps(outer))
    with pytest.raises(ConfigurationError) as caught:
        FileKeyring.open(path, PASSPHRASE)
    assert caught.value.code == "config.passphrase"


def test_a_newer_format_is_refused(path, keyring):
    outer = json.loads(path.read_text()) | {"format": 2}
    path.write_text(json.dumps(outer))
    with pytest.raises(ConfigurationError) as caught:
        FileKeyring.open(path, PASSPHRASE)
    assert caught.value.code == "config.newer_version"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_file_of_something_else_is_refused(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(IntegrityError):
        FileKeyring.open(path, PASSPHRASE)


def test_no_second_keyring_replaces_the_first(path, keyring):
    before = path.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        FileKeyring.create(path, "another passphrase")
    assert caught.value.code == "config.already_initialised"
    assert path.read_bytes() == before


def test_a_short_passphrase_is_refused(path):
    with pytest.raises(ConfigurationError):
        FileKeyring.create(path, "short")
    assert not path.exists()


def test_tenants_and_classifications_have_keys_of_their_own(keyring):
    keks = {
        keyring.active_kek(tenant, level)
        for tenant in ("acme", "globex")
        for level in Classification
    }
    assert len(keks) == 8


def test_a_wrapped_key_opens_in_its_own_context_only(keyring):
    dek = os.urandom(32)
    right = context(keyring)
    wrapped = keyring.wrap(dek, right)
    assert keyring.unwrap(wrapped, right) == dek
    for change in (
        {"label_digest": b"\1" * 32},
        {"document_id": "other"},
        {"document_version": 2},
        {"dek_id": "e"},
    ):
        with pytest.raises(IntegrityError) as caught:
            keyring.unwrap(wrapped, context(keyring, **change))
        assert caught.value.code == "integrity.wrapped_key"
    for bit in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityError):
            keyring.unwrap(bytes(changed), right)
    for cut in (wrapped[:-1], wrapped + b"\0", b""):
        with pytest.raises(IntegrityError):
            keyring.unwrap(cut, right)


def test_another_tenants_kek_does_not_open_it(keyring):
    wrapped = keyring.wrap(bytes(32), context(keyring))
    foreign = context(keyring, tenant="globex")
    with pytest.raises(IntegrityError):
        keyring.unwrap(wrapped, foreign)


def test_after_a_rotation_new_keys_are_used_and_old_ones_still_open(path, keyring):
    before = context(keyring)
    wrapped = keyring.wrap(b"k" * 32, before)
    kek_id, version = keyring.stage("acme", Classification.RESTRICTED)
    assert (kek_id, version) == (before.kek_id, before.kek_version + 1)
    assert keyring.active_kek("acme", Classification.RESTRICTED) == (kek_id, version - 1)
    keyring.activate(kek_id, version)
    assert keyring.active_kek("acme", Classification.RESTRICTED) == (kek_id, version)
    again = FileKeyring.open(path, PASSPHRASE)
    assert again.unwrap(wrapped, before) == b"k" * 32
    assert [(s.version, s.state) for s in again.status()] == [(1, "decrypt_only"), (2, "active")]


def test_an_unknown_kek_is_unavailable_not_broken(keyring):
    with pytest.raises(UnavailableError) as caught:
        keyring.unwrap(bytes(60), context(keyring, kek_id="gone"))
    assert caught.value.code == "unavailable.keys"


def test_mac_keys_differ_by_purpose_and_survive_reopening(path, keyring):
    purposes = ("audit-chain", "query-tag", "epoch-token", "page-token")
    keys = {purpose: keyring.mac_key(purpose) for purpose in purposes}
    assert len(set(keys.values())) == 4
    again = FileKeyring.open(path, PASSPHRASE)
    assert {purpose: again.mac_key(purpose) for purpose in purposes} == keys
    with pytest.raises(ValueError, match="purpose"):
        keyring.mac_key("anything")


def test_no_key_is_on_disk_in_clear(path, keyring):
    keyring.active_kek("acme", Classification.RESTRICTED)
    body = keyring._body
    content = path.read_bytes()
    for secret in (body["root"], *(item["key"] for item in body["keks"])):
        assert secret.encode() not in content
        assert base64.b64decode(secret) not in content


_MAKE = """
import sys
from pathlib import Path
from ragward.adapters.keyring_file import FileKeyring
from ragward.domain.labels import Classification
keyring = FileKeyring.open(Path(sys.argv[1]), sys.argv[2])
sys.stdin.readline()
for level in Classification:
    print(*keyring.active_kek("acme", level))
    print(*keyring.active_kek(sys.argv[3], level))
"""


def test_processes_that_make_keys_at_once_agree(path, keyring):
    """All ask for the same four keys and for four of their own; none is lost and none made twice."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _MAKE, str(path), PASSPHRASE, f"tenant{i}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    outputs = [worker.communicate("go\n", timeout=60)[0].split("\n")[:-1] for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    shared = {tuple(lines[::2]) for lines in outputs}
    assert len(shared) == 1
    status = FileKeyring.open(path, PASSPHRASE).status()
    assert len(status) == 4 + 4 * 4
    assert len({s.kek_id for s in status}) == len(status)


def test_passphrase_sources(tmp_path, monkeypatch):
    secret = tmp_path / "passphrase"
    secret.write_text("from a file\n")
    secret.chmod(0o400)
    assert read_passphrase(f"file:{secret}") == "from a file"
    secret.chmod(0o444)
    with pytest.raises(ConfigurationError):
        read_passphrase(f"file:{secret}")
    secret.chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_passphrase("credential:passphrase") == "from a file"
    assert read_passphrase("credential:../passphrase") == "from a file"  # never outside
    monkeypatch.setenv("RW_TEST_PASS", "from the environment")
    assert read_passphrase("env:RW_TEST_PASS", demo=True) == "from the environment"
    for refused in ("env:RW_TEST_PASS", "literal:abc", "fd:x", "file:/nowhere/at/all", ""):
        with pytest.raises(ConfigurationError):
            read_passphrase(refused)
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe\n")
    os.close(writer)
    assert read_passphrase(f"fd:{reader}") == "from a pipe"
