"""The plaintext inside blobs, and the byte formats around it."""

from __future__ import annotations

import hashlib
import json
import struct
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.content import ChunkContent, pack_vector, unpack_vector
from ragward.domain.envelope import (
    COMMITMENT_BYTES,
    HEADER_BYTES,
    SALT_BYTES,
    BlobHeader,
    EncryptionContext,
    Kind,
    Suite,
    WrappingContext,
)
from ragward.domain.errors import IntegrityError
from ragward.domain.findings import Span

DEK = "00112233-4455-6677-8899-aabbccddeeff"
REST = bytes(SALT_BYTES + COMMITMENT_BYTES)
HEADER = BlobHeader(suite=Suite.ENCRYPTED, kind=Kind.TEXT, dek_id=DEK)
CONTENT = ChunkContent.of("Ann is 44.", [Span(0, 3, "PERSON", 0.9), Span(7, 9, "AGE", 0.7)], "d/1")


@st.composite
def contents(draw):
    text = draw(st.text(max_size=40))
    spans = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        spans.append(Span(start, end, draw(st.text(max_size=8)), draw(st.floats(0, 1))))
    return ChunkContent.of(text, spans, draw(st.text(max_size=10)))


def changed(**fields):
    body = json.loads(CONTENT.to_bytes()[1:])
    body.update(fields)
    return b"\x01" + json.dumps({k: v for k, v in body.items() if v is not None}).encode()


@settings(max_examples=100)
@given(contents())
def test_content_round_trips(content):
    data = content.to_bytes()
    assert ChunkContent.from_bytes(data) == content
    assert ChunkContent.from_bytes(data).to_bytes() == data


def test_the_bytes_of_content_are_fixed():
    digest = hashlib.sha256(b"Ann is 44.").hexdigest()
    assert CONTENT.to_bytes() == (
        b'\x01{"d":"d/1","h":"' + digest.encode() + b'","s":[[0,3,"PERSON",0.9],[7,9,"AGE",0.7]],'
        b'"t":"Ann is 44."}'
    )


def test_content_does_not_show_itself():
    assert "Ann" not in repr(CONTENT)
    assert "PERSON" not in repr(CONTENT)


@pytest.mark.parametrize("version", [b"", b"\x00", b"\x02", b"{", b"\xff"])
def test_an_unknown_version_of_content_is_refused(version):
    with pytest.raises(IntegrityError) as caught:
        ChunkContent.from_bytes(version + CONTENT.to_bytes()[1:])
    assert caught.value.code == "integrity.envelope"


def test_unchanged_fields_are_accepted():
    assert ChunkContent.from_bytes(changed()) == CONTENT


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "Bob is 44."},
        {"h": "0" * 64},
        {"h": hashlib.sha256(b"Ann is 44").hexdigest()},
        {"h": None},
        {"t": None},
        {"s": None},
        {"d": None},
        {"t": 5},
        {"t": "\ud800"},
        {"s": [[7, 11, "AGE", 0.7]]},
        {"s": [[0, 3, "PERSON", 0.9], [10, 11, "AGE", 0.7]]},
        {"s": [[3, 3, "AGE", 0.7]]},
        {"s": [[3, 2, "AGE", 0.7]]},
        {"s": [[-1, 2, "AGE", 0.7]]},
        {"s": [[0, 3, "AGE"]]},
        {"s": [["a", 3, "AGE", 0.7]]},
        {"s": 5},
    ],
)
def test_content_that_does_not_hold_together_is_refused(fields):
    with pytest.raises(IntegrityError) as caught:
        ChunkContent.from_bytes(changed(**fields))
    assert caught.value.code == "integrity.envelope"


@pytest.mark.parametrize("rest", [b"", b"{", b"[]", b"5", b'"t"', b"null", b"\xff\xfe", b"{}"])
def test_content_that_is_no_object_is_refused(rest):
    with pytest.raises(IntegrityError):
        ChunkContent.from_bytes(b"\x01" + rest)


def test_a_span_to_the_very_end_is_accepted():
    content = ChunkContent.from_bytes(changed(s=[[0, 10, "PERSON", 1.0]]))
    assert content.spans == (Span(0, 10, "PERSON", 1.0),)


@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50),
    st.dictionaries(st.integers(0, 2**32 - 1), st.floats(0, width=32), max_size=20),
)
def test_vectors_round_trip(vector, words):
    data = pack_vector(vector, words)
    assert len(data) == 5 + 4 * len(vector) + 8 * len(words)
    assert unpack_vector(data) == (vector, words)


def test_the_bytes_of_a_vector_are_fixed():
    floats = b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    words = b"\x05\x00\x00\x00\xff\xff\xff\xff" + b"\x00\x00\x80\x3e\x00\x00\x00\x3f"
    made = pack_vector([1.0, -2.0], {2**32 - 1: 0.5, 5: 0.25})
    assert made == b"\x02\x02\x00\x00\x00" + words + floats


def test_a_vector_without_words_is_read():
    assert unpack_vector(b"\x01\x00\x00\x80\x3f\x00\x00\x00\xc0") == ([1.0, -2.0], {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x02" + bytes(4),
        b"\x03" + bytes(8),
        b"\x00" + bytes(4),
        b"\x01" + bytes(3),
        b"\x01" + bytes(5),
        b"\x02\x01\x00\x00\x00" + bytes(8),
        b"\x02\x01\x00\x00\x00" + bytes(11),
        b"\x02\xff\xff\xff\xff" + bytes(12),
    ],
)
def test_a_malformed_vector_is_refused(data):
    with pytest.raises(IntegrityError) as caught:
        unpack_vector(data)
    assert caught.value.code == "integrity.envelope"


@given(st.sampled_from(Suite), st.sampled_from(Kind), st.uuids().map(str))
def test_headers_round_trip(suite, kind, dek_id):
    header = BlobHeader(suite=suite, kind=kind, dek_id=dek_id)
    data = header.to_bytes()
    assert len(data) == HEADER_BYTES
    assert BlobHeader.from_bytes(data + REST) == header


def test_the_bytes_of_a_header_are_fixed():
    header = BlobHeader(suite=Suite.AUTHENTICATED, kind=Kind.VECTOR, dek_id=DEK)
    assert header.to_bytes() == b"RGW1\x02\x03\x00\x00" + uuid.UUID(DEK).bytes
    assert [(kind.name, int(kind)) for kind in Kind] == [
        ("TEXT", 1),
        ("PAYLOAD", 2),
        ("VECTOR", 3),
        ("AUDIT", 4),
        ("PSEUDONYM", 5),
    ]


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"r"), (3, b"2"), (4, b"\x00"), (4, b"\x03"), (5, b"\x00"), (5, b"\x06"), (6, b"\x01"), (7, b"\x01")],
)  # fmt: skip
def test_an_unknown_header_is_refused(at, value):
    data = HEADER.to_bytes() + REST
    assert BlobHeader.from_bytes(data) == HEADER
    with pytest.raises(IntegrityError) as caught:
        BlobHeader.from_bytes(data[:at] + value + data[at + 1 :])
    assert caught.value.code == "integrity.envelope"


@pytest.mark.parametrize("size", [0, 4, HEADER_BYTES, HEADER_BYTES + len(REST) - 1])
def test_a_blob_that_is_too_short_is_refused(size):
    with pytest.raises(IntegrityError):
        BlobHeader.from_bytes((HEADER.to_bytes() + REST)[:size])


def encryption(**fields):
    given_ = {
        "tenant": "acme",
        "document_id": "d",
        "chunk_id": "c",
        "kind": Kind.TEXT,
        "revision": 1,
    }
    return EncryptionContext(**{**given_, **fields}).to_bytes(HEADER.to_bytes())


def wrapping(**fields):
    given_ = {
        "tenant": "acme",
        "kek_id": "k",
        "kek_version": 1,
        "dek_id": DEK,
        "document_id": "d",
        "document_version": 1,
        "label_digest": bytes(32),
    }
    return WrappingContext(**{**given_, **fields}).to_bytes()


def test_the_bytes_of_an_encryption_context_are_fixed():
    assert encryption() == (
        b"ragward.blob.v1\0\x00\x18" + HEADER.to_bytes() + b"\x00\x04acme\x00\x01d\x00\x01c"
        b"\x00\x09\x01" + struct.pack(">Q", 1)
    )


def test_the_bytes_of_a_wrapping_context_are_fixed():
    assert wrapping() == (
        b"ragward.dek.v1\0\x00\x04acme\x00\x01k\x00\x24" + DEK.encode() + b"\x00\x01d\x00\x20"
        + bytes(32) + struct.pack(">IQ", 1, 1)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("context", "fields"),
    [
        (encryption, {"tenant": "acmf"}),
        (encryption, {"document_id": "e"}),
        (encryption, {"chunk_id": "e"}),
        (encryption, {"document_id": "dc", "chunk_id": ""}),
        (encryption, {"kind": Kind.VECTOR}),
        (encryption, {"revision": 2}),
        (wrapping, {"tenant": "acmf"}),
        (wrapping, {"kek_id": "l"}),
        (wrapping, {"tenant": "acmek", "kek_id": ""}),
        (wrapping, {"kek_version": 2}),
        (wrapping, {"dek_id": "other"}),
        (wrapping, {"document_id": "e"}),
        (wrapping, {"document_version": 2}),
        (wrapping, {"label_digest": bytes(31) + b"\x01"}),
    ],
)
def test_every_field_is_bound(context, fields):
    assert context(**fields) != context()


def test_the_header_is_bound():
    other = BlobHeader(suite=Suite.AUTHENTICATED, kind=Kind.TEXT, dek_id=DEK)
    context = EncryptionContext(
        tenant="acme", document_id="d", chunk_id="c", kind=Kind.TEXT, revision=1
    )
    assert context.to_bytes(other.to_bytes()) != context.to_bytes(HEADER.to_bytes())


NAMES = st.tuples(*[st.text(max_size=6)] * 3)


@given(NAMES, NAMES)
def test_contexts_of_different_names_are_different(one, other):
    fields = ("tenant", "document_id", "chunk_id")
    first = encryption(**dict(zip(fields, one, strict=True)))
    second = encryption(**dict(zip(fields, other, strict=True)))
    assert (first == second) == (one == other)
