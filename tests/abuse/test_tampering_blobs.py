"""A stored blob opens for its own place and key, unmodified, or not at all."""

from __future__ import annotations

import dataclasses
import os
import uuid

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ragward.adapters import cipher_aesgcm
from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.domain.envelope import EncryptionContext, Kind, Suite
from ragward.domain.errors import IntegrityError

CIPHER = AESGCMCipher()
DEK, DEK_ID = os.urandom(32), str(uuid.uuid4())
CONTEXT = EncryptionContext(
    tenant="aurora", document_id="d", chunk_id="c", kind=Kind.TEXT, revision=1
)


def made(plaintext, suite=Suite.ENCRYPTED):
    return CIPHER.encrypt(plaintext, dek=DEK, dek_id=DEK_ID, context=CONTEXT, suite=suite)


def opened(blob, **changes):
    given_parts = {"dek": DEK, "dek_id": DEK_ID, "context": CONTEXT} | changes
    return CIPHER.decrypt(blob, **given_parts)


def refused(blob, **changes):
    with pytest.raises(IntegrityError) as caught:
        opened(blob, **changes)
    assert caught.value.code == "integrity.envelope"


@given(plaintext=st.binary(max_size=40_000), suite=st.sampled_from(Suite))
def test_what_was_encrypted_opens(plaintext, suite):
    assert opened(made(plaintext, suite)) == plaintext


@pytest.mark.parametrize("suite", list(Suite))
def test_every_flipped_bit_is_noticed(suite):
    blob = made(b"the merger closes on Friday", suite)
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        refused(bytes(changed))


@pytest.mark.parametrize("suite", list(Suite))
def test_every_cut_and_every_extension_is_noticed(suite):
    blob = made(b"the merger closes on Friday", suite)
    for length in range(len(blob)):
        refused(blob[:length])
    refused(blob + b"\0")
    refused(blob + blob)


def test_cutting_and_swapping_whole_chunks_is_noticed():
    step = 16 * 1024 + 16
    blob = made(bytes(16 * 1024) + bytes([1]) * (16 * 1024) + b"rest")
    head = len(blob) - 2 * step - (4 + 16)
    first, second, rest = (
        blob[head : head + step],
        blob[head + step : head + 2 * step],
        blob[head + 2 * step :],
    )
    assert opened(blob[:head] + first + second + rest).endswith(b"rest")
    for body in (
        first,
        first + second,
        second + first + rest,
        first + rest,
        first + first + rest,
        rest,
        first + second + rest + rest,
        b"",
    ):
        refused(blob[:head] + body)


def test_a_blob_opens_in_its_own_place_only():
    blob = made(b"x")
    for change in (
        {"tenant": "borealis"},
        {"document_id": "e"},
        {"chunk_id": "cc"},
        {"kind": Kind.VECTOR},
        {"revision": 2},
    ):
        refused(blob, context=dataclasses.replace(CONTEXT, **change))
    refused(blob, dek=os.urandom(32))
    refused(blob, dek_id=str(uuid.uuid4()))


@given(
    one=st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
    other=st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
)
def test_fields_cannot_run_into_each_other(one, other):
    """("ab", "c") and ("a", "bc") are two places."""
    contexts = [
        EncryptionContext(tenant=t, document_id=d, chunk_id=c, kind=Kind.TEXT, revision=1)
        for t, d, c in (one, other)
    ]
    assert (one == other) == (contexts[0].to_bytes(b"h") == contexts[1].to_bytes(b"h"))


def test_a_body_that_opens_under_two_keys_is_refused_for_the_second():
    """AES-GCM alone does not commit to its key; the commitment does."""
    blob = made(b"x" * 32)
    other = os.urandom(32)
    prefix = len(blob) - 32 - 16
    key, nonce, _ = cipher_aesgcm._derived(other, blob[24:48], CONTEXT.to_bytes(blob[:24]))
    forged = blob[:prefix] + AESGCM(key).encrypt(nonce, b"y" * 32, None)
    refused(forged, dek=other)


def test_two_blobs_of_one_text_share_no_bytes_of_ciphertext():
    one, other = made(b"the same"), made(b"the same")
    assert one[24:48] != other[24:48]
    assert one[80:] != other[80:]


def test_public_text_is_legible_but_not_alterable():
    """Suite 2 authenticates without hiding: what handling.toml asks for where nothing is secret."""
    blob = made(b"opening hours", Suite.AUTHENTICATED)
    assert b"opening hours" in blob
    refused(blob.replace(b"opening hours", b"opening ours!"))
    as_encrypted = bytearray(blob)
    as_encrypted[4] = Suite.ENCRYPTED
    refused(bytes(as_encrypted))
