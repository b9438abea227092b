"""Notes, checkpoints and proofs as other tools write and read them."""

from __future__ import annotations

import pytest

from ragward.adapters.notes_ed25519 import CheckpointSigner, verify_signature
from ragward.domain.checkpoints import (
    Checkpoint,
    InclusionProof,
    LogKey,
    _parts,
    notes_in,
    opened_checkpoint,
)
from ragward.domain.errors import InvalidRequestError
from ragward.domain.merkle import leaf_hash, node_hash

#: The example of C2SP signed-note and of Go's golang.org/x/mod/sumdb/note.
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = CheckpointSigner(bytes(range(32)), "ragward/audit")
LEFT, RIGHT = leaf_hash(b"left"), leaf_hash(b"right")


def test_another_tools_note_verifies_and_its_key_is_read():
    key = LogKey.parse(KEY)
    assert key.text() == KEY
    text, [(name, key_id, signature)] = _parts(NOTE)
    assert (name, key_id) == ("PeterNeumann", key.key_id)
    assert verify_signature(key.public, text.encode(), signature)
    assert not verify_signature(key.public, text.encode() + b" ", signature)
    assert not verify_signature(key.public, text.encode(), b"short")


def test_a_checkpoint_comes_back_for_its_key_only():
    note = SIGNER.sign(2, node_hash(LEFT, RIGHT))
    key = SIGNER.key
    assert LogKey.parse(key.text()) == key
    opened = opened_checkpoint(note, key, verify_signature)
    assert opened == Checkpoint(origin="ragward/audit", size=2, root=node_hash(LEFT, RIGHT))
    assert note.startswith("ragward/audit\n2\n")
    others = CheckpointSigner(bytes(32), "ragward/audit")
    renamed = CheckpointSigner(bytes(range(32)), "ragward/other")
    for bad, its in ((note, others.key), (note, renamed.key), (others.sign(2, LEFT), key)):
        with pytest.raises(InvalidRequestError):
            opened_checkpoint(bad, its, verify_signature)


def test_every_changed_byte_of_a_note_is_noticed():
    note = SIGNER.sign(2, LEFT)
    for at in range(len(note)):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(InvalidRequestError):
            opened_checkpoint(changed, SIGNER.key, verify_signature)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a\n\n", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\nAA==\n", "a\n1\n!\n"],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(InvalidRequestError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "text", ["", "name", "name+c74f20a3", KEY.replace("c7", "c8"), "a b+c74f20a3+AAAA"]
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(InvalidRequestError):
        LogKey.parse(text)


def test_a_proof_of_inclusion_comes_back_and_proves_its_leaf_only():
    proof = InclusionProof(index=1, path=(LEFT,), note=SIGNER.sign(2, node_hash(LEFT, RIGHT)))
    read = InclusionProof.parse(proof.text())
    assert read == proof
    assert read.proves(RIGHT, SIGNER.key, verify_signature)
    assert not read.proves(LEFT, SIGNER.key, verify_signature)
    for bad in ("", "x", proof.text().replace("index 1", "index x"), proof.text()[1:]):
        with pytest.raises(InvalidRequestError):
            InclusionProof.parse(bad)
    with pytest.raises(InvalidRequestError):
        read.proves(RIGHT, CheckpointSigner(bytes(32), "ragward/audit").key, verify_signature)


def test_notes_are_read_back_from_the_file_they_were_appended_to():
    notes = [SIGNER.sign(size, LEFT) for size in (1, 2, 3)]
    assert list(notes_in("".join(f"{note}\n" for note in notes))) == notes
    assert list(notes_in("\n".join(notes))) == notes
    assert list(notes_in("")) == []
    assert list(notes_in("nonsense")) == ["nonsense\n"]  # refused where it is opened
