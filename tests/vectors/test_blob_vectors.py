"""Blobs made by the adapter equal those of an independent implementation, and frozen vectors still open.

The frozen ones are what is on disks out there: if this test breaks, old data no longer opens.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

import pytest

from ragward.adapters.cipher_aesgcm import AESGCMCipher, encrypt_with_salt
from ragward.adapters.kek_aesgcm import LocalKEK
from ragward.domain.envelope import EncryptionContext, Kind, Suite, WrappingContext
from tests.vectors import second_implementation

FROZEN_WRAPS = json.loads((Path(__file__).parent / "wrapped_deks.json").read_text())
FROZEN = json.loads((Path(__file__).parent / "blobs.json").read_text())
LENGTHS = (0, 1, 15, 16, 17, 255, 16383, 16384, 16385, 32768, 40000)


def bytes_of(length):
    return hashlib.shake_256(b"vector").digest(length)


def arguments(length, suite, kind):
    dek = hashlib.sha256(b"dek").digest()
    dek_id = str(uuid.UUID(bytes=hashlib.md5(b"id").digest()))
    context = EncryptionContext(
        tenant="aurora", document_id="d-1", chunk_id="c-1", kind=kind, revision=7
    )
    salt = hashlib.sha256(f"{length}{suite}".encode()).digest()[:24]
    return {
        "plaintext": bytes_of(length),
        "dek": dek,
        "dek_id": dek_id,
        "context": context,
        "suite": suite,
        "salt": salt,
    }


def test_gcm_by_hand_is_gcm():
    """NIST SP 800-38D validation data (GCM, 256-bit key, 96-bit IV, test case 16 of McGrew and Viega)."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    plaintext = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    out = second_implementation.gcm(key, nonce, plaintext, aad)
    assert out[-16:].hex() == "76fc6ece0f4e1768cddf8853bb2d551b"


NAMES = (
    {"tenant": "aurora", "document": "d-1", "chunk": "c-1"},
    {"tenant": "göteborg", "document": "", "chunk": "\0é漢"},
)


@pytest.mark.parametrize("names", NAMES, ids=["plain", "odd"])
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("length", LENGTHS)
def test_both_implementations_make_the_same_blob(length, suite, kind, names):
    if (kind, names) != (Kind.TEXT, NAMES[0]) and length not in (0, 17):
        return  # the lengths once
    given = arguments(length, suite, kind)
    given["context"] = EncryptionContext(
        tenant=names["tenant"],
        document_id=names["document"],
        chunk_id=names["chunk"],
        kind=kind,
        revision=7,
    )
    other = second_implementation.blob(
        dek=given["dek"],
        dek_id=uuid.UUID(given["dek_id"]).bytes,
        salt=given["salt"],
        plaintext=given["plaintext"],
        encrypted=suite is Suite.ENCRYPTED,
        kind=int(kind),
        revision=7,
        **names,
    )
    assert encrypt_with_salt(**given) == other
    opened = AESGCMCipher().decrypt(
        other, dek=given["dek"], dek_id=given["dek_id"], context=given["context"]
    )
    assert opened == given["plaintext"]


def wrapping(n):
    """The n-th wrapped DEK: (context, KEK, nonce, DEK)."""
    seed = hashlib.shake_256(f"wrapped {n}".encode()).digest(76)
    context = WrappingContext(
        tenant=("aurora", "göteborg", "")[n % 3],
        kek_id=f"kek-{n}",
        kek_version=(1, 2, 2**32 - 1)[n % 3],
        dek_id=f"dek-{n}",
        document_id="d" * (n * 100),
        document_version=(1, 2**63, 0)[n % 3],
        label_digest=hashlib.sha256(b"label %d" % n).digest(),
    )
    return context, seed[:32], seed[32:44], seed[44:]


@pytest.mark.parametrize("vector", FROZEN_WRAPS, ids=lambda v: str(v["n"]))
def test_both_implementations_wrap_the_same_and_frozen_wraps_still_open(vector):
    context, kek, nonce, dek = wrapping(vector["n"])
    ours = LocalKEK(kek).wrap_with_nonce(dek, context.to_bytes(), nonce)
    other = second_implementation.wrapped_dek(
        kek=kek,
        nonce=nonce,
        dek=dek,
        tenant=context.tenant,
        kek_id=context.kek_id,
        kek_version=context.kek_version,
        dek_id=context.dek_id,
        document=context.document_id,
        version=context.document_version,
        label=context.label_digest,
    )
    assert ours == other
    assert ours.hex() == vector["wrapped"]
    assert LocalKEK(kek).unwrap(bytes.fromhex(vector["wrapped"]), context.to_bytes()) == dek


@pytest.mark.parametrize("vector", FROZEN, ids=lambda v: f"{v['kind']}-{v['suite']}-{v['length']}")
def test_frozen_blobs_still_open_and_are_still_made(vector):
    given = arguments(vector["length"], Suite[vector["suite"]], Kind[vector["kind"]])
    blob = encrypt_with_salt(**given)
    assert hashlib.sha256(blob).hexdigest() == vector["sha256"]
    opened = AESGCMCipher().decrypt(
        blob, dek=given["dek"], dek_id=given["dek_id"], context=given["context"]
    )
    assert opened == given["plaintext"]


def test_the_example_of_the_documentation_is_right():
    page = (Path(__file__).parents[2] / "docs/envelope.md").read_text()
    dek, dek_id = bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff")
    blob = second_implementation.blob(
        dek=dek,
        dek_id=dek_id,
        salt=bytes(range(24)),
        plaintext=b"hello",
        encrypted=True,
        kind=1,
        tenant="acme",
        document="doc",
        chunk="chunk",
        revision=1,
    )
    wrapped = second_implementation.wrapped_dek(
        kek=bytes(32),
        nonce=bytes(12),
        dek=dek,
        tenant="acme",
        kek_id="kek",
        kek_version=1,
        dek_id=str(uuid.UUID(bytes=dek_id)),
        document="doc",
        version=1,
        label=bytes(32),
    )
    vector_key = second_implementation.hkdf_expand_sha512(dek, b"ragward.purpose.v1\0vector", 32)
    for example in (blob, wrapped, vector_key):
        assert f"  {example.hex()}\n" in page
