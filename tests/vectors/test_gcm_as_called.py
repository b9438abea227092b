"""AES-GCM as we call it: 256-bit keys, 96-bit nonces, 128-bit tags, through the wrapped DEK.

No Python package brings the Wycheproof vectors, so these are cases of our own in the same families; point
`RAGWARD_TEST_WYCHEPROOF` at a copy of Wycheproof's `aes_gcm_test.json` and its cases run too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ragward.adapters.kek_aesgcm import LocalKEK
from ragward.domain.errors import IntegrityError
from tests.vectors import second_implementation

KEY, DEK = bytes(range(32)), bytes(range(32, 64))
AAD = b"associated"
SPECIAL_NONCES = (
    bytes(12),
    b"\xff" * 12,
    b"\0" * 8 + b"\xff" * 4,
    b"\xff" * 8 + b"\0" * 4,
    bytes(11) + b"\1",
)


def refused(wrapped, *, key=KEY, aad=AAD):
    with pytest.raises(IntegrityError) as caught:
        LocalKEK(key).unwrap(wrapped, aad)
    assert caught.value.code == "integrity.wrapped_key"


@pytest.mark.parametrize("nonce", SPECIAL_NONCES, ids=bytes.hex)
@pytest.mark.parametrize("aad", [b"", b"a", bytes(16), bytes(65_536)], ids=len)
def test_special_nonces_and_lengths_equal_gcm_by_hand(nonce, aad):
    wrapped = LocalKEK(KEY).wrap_with_nonce(DEK, aad, nonce)
    assert wrapped == nonce + second_implementation.gcm(KEY, nonce, DEK, aad)
    assert LocalKEK(KEY).unwrap(wrapped, aad) == DEK


@pytest.mark.parametrize("length", [0, 1, 8, 11, 13, 16])
def test_only_nonces_of_96_bits(length):
    with pytest.raises(ValueError, match="12"):
        LocalKEK(KEY).wrap_with_nonce(DEK, AAD, bytes(length))


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_only_keys_of_256_bits(length):
    with pytest.raises(IntegrityError):
        LocalKEK(bytes(length))
    with pytest.raises(ValueError, match="32"):
        LocalKEK(KEY).wrap(bytes(length), AAD)


def test_a_shortened_tag_is_no_tag():
    """GCM admits tags of 32 to 128 bits; we take 128 only, wherever the cut is."""
    wrapped = LocalKEK(KEY).wrap(DEK, AAD)
    for tag_bytes in range(16):
        refused(wrapped[: 44 + tag_bytes])
        refused(wrapped[: 44 + tag_bytes] + bytes(16 - tag_bytes))
    refused(wrapped + b"\0")


def test_every_modified_tag_is_refused():
    wrapped = LocalKEK(KEY).wrap(DEK, AAD)
    head, tag = wrapped[:44], wrapped[44:]
    number = int.from_bytes(tag, "big")
    modified = [number ^ 1 << bit for bit in range(128)]
    modified += [
        number ^ (1 << 128) - 1,
        number ^ 1 << 127 | number ^ 1,
        int.from_bytes(tag[::-1], "big"),
    ]
    for value in {*modified, 0, (1 << 128) - 1} - {number}:
        refused(head + value.to_bytes(16, "big"))


def test_wrong_associated_data_is_refused():
    wrapped = LocalKEK(KEY).wrap(DEK, AAD)
    for aad in (b"", AAD[:-1], AAD + b"\0", b"\0" + AAD, AAD.upper(), bytes(1 << 20)):
        refused(wrapped, aad=aad)
    refused(wrapped, key=KEY[::-1])
    refused(wrapped[12:44] + wrapped[:12] + wrapped[44:])


def test_wycheproof_cases_for_what_we_call():
    named = os.environ.get("RAGWARD_TEST_WYCHEPROOF")
    if not named:
        return  # off by default: the vectors are not ours to carry
    ran = 0
    for group in json.loads(Path(named).read_text())["testGroups"]:
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        for case in group["tests"]:
            key, iv, aad, msg, ct, tag = (
                bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
            )
            ran += 1
            if case["result"] == "valid":
                assert AESGCM(key).encrypt(iv, msg, aad) == ct + tag
                assert AESGCM(key).decrypt(iv, ct + tag, aad) == msg
                assert second_implementation.gcm(key, iv, msg, aad) == ct + tag
                continue
            with pytest.raises(InvalidTag):
                AESGCM(key).decrypt(iv, ct + tag, aad)
            if len(ct) == 32:
                refused(iv + ct + tag, key=key, aad=aad)
    assert ran > 50
