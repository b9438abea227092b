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
from ragward.domain.envelope import EncryptionContext, Kind, Suite
from tests.vectors import second_implementation

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


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("length", LENGTHS)
def test_both_implementations_make_the_same_blob(length, suite):
    given = arguments(length, suite, Kind.TEXT)
    ours = encrypt_with_salt(**given)
    other = second_implementation.blob(
        dek=given["dek"],
        dek_id=uuid.UUID(given["dek_id"]).bytes,
        salt=given["salt"],
        plaintext=given["plaintext"],
        encrypted=suite is Suite.ENCRYPTED,
        kind=int(Kind.TEXT),
        tenant="aurora",
        document="d-1",
        chunk="c-1",
        revision=7,
    )
    assert ours == other


@pytest.mark.parametrize("vector", FROZEN, ids=lambda v: f"{v['suite']}-{v['length']}")
def test_frozen_blobs_still_open_and_are_still_made(vector):
    given = arguments(vector["length"], Suite[vector["suite"]], Kind.TEXT)
    blob = encrypt_with_salt(**given)
    assert hashlib.sha256(blob).hexdigest() == vector["sha256"]
    opened = AESGCMCipher().decrypt(
        blob, dek=given["dek"], dek_id=given["dek_id"], context=given["context"]
    )
    assert opened == given["plaintext"]
