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
from ragward.domain.envelope import EncryptionContext, KeyPurpose, Kind, Suite, purpose_key
from ragward.domain.errors import IntegrityError
from tests.vectors import second_implementation

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


@pytest.fixture
def decryptions(monkeypatch):
    """Everything AES-GCM has decrypted: what is refused must not be in it."""
    seen = []

    class Recording:
        def __init__(self, key):
            self._real = AESGCM(key)
            self.encrypt = self._real.encrypt

        def decrypt(self, nonce, data, associated_data):
            plaintext = self._real.decrypt(nonce, data, associated_data)
            seen.append(plaintext)
            return plaintext

    monkeypatch.setattr(cipher_aesgcm, "AESGCM", Recording)
    return seen


def test_a_body_that_opens_under_two_keys_is_refused_for_the_second(decryptions):
    """AES-GCM alone does not commit to its key: one ciphertext and tag, two keys, two texts. The commitment tells."""
    other, header = os.urandom(32), made(b"")[:24]
    salt = os.urandom(24)
    places = [cipher_aesgcm._derived(dek, salt, CONTEXT.to_bytes(header)) for dek in (DEK, other)]
    body = b"".join(
        second_implementation.two_key_ciphertext(*[(key, nonce) for key, nonce, _ in places])
    )
    texts = [AESGCM(key).decrypt(nonce, body, None) for key, nonce, _ in places]
    assert texts[0] != texts[1]
    blob = header + salt + places[0][2] + body
    assert opened(blob) == texts[0]
    decryptions.clear()
    refused(blob, dek=other)
    refused(header + salt + places[1][2] + body)  # committed to the other key
    assert decryptions == []


def test_nothing_is_decrypted_of_what_is_refused(decryptions):
    """Every bit, every length, every place: refused by the commitment or by the one tag, before there is plaintext."""
    blob = made(b"the merger closes on Friday")
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        refused(bytes(changed))
    for length in range(len(blob)):
        refused(blob[:length])
    for change in swaps():
        refused(blob, **change)
    assert decryptions == []
    assert opened(blob) == b"the merger closes on Friday" == decryptions[0]


def swaps():
    """Another tenant, document, chunk, kind, revision, DEK, DEK id, and all that belongs to another chunk at once."""
    changes = (
        {"tenant": "borealis"},
        {"document_id": "e"},
        {"chunk_id": "cc"},
        {"kind": Kind.VECTOR},
        {"revision": 0},
        {"document_id": "e", "chunk_id": "cc", "revision": 2},
    )
    return [
        *({"context": dataclasses.replace(CONTEXT, **change)} for change in changes),
        {"dek": os.urandom(32)},
        {"dek_id": str(uuid.uuid4())},
    ]


def test_what_a_later_chunk_refuses_leaves_nothing_of_the_earlier_ones():
    blob = bytearray(made(bytes(40_000)))
    blob[-1] ^= 1
    refused(bytes(blob))


@pytest.mark.parametrize("position", [4, 5, 6, 7])
def test_every_unknown_suite_kind_or_flag_is_refused(position, decryptions):
    blob = made(b"x")
    for value in range(256):
        if value != blob[position]:
            refused(blob[:position] + bytes([value]) + blob[position + 1 :])
    assert decryptions == []


def test_the_key_of_vectors_opens_vectors_and_nothing_else():
    at = dataclasses.replace(CONTEXT, kind=Kind.VECTOR)
    vector = CIPHER.encrypt(b"v", dek=DEK, dek_id=DEK_ID, context=at, suite=Suite.ENCRYPTED)
    key = purpose_key(DEK, KeyPurpose.VECTOR)
    assert opened(vector, dek=key, context=at) == b"v" == opened(vector, context=at)
    for kind in set(Kind) - {Kind.VECTOR}:
        place = dataclasses.replace(CONTEXT, kind=kind)
        blob = CIPHER.encrypt(b"x", dek=DEK, dek_id=DEK_ID, context=place, suite=Suite.ENCRYPTED)
        refused(blob, dek=key, context=place)
        refused(blob, dek=key.key, context=place)  # nor by calling it a DEK
    assert key.key.hex() not in repr(key)


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
