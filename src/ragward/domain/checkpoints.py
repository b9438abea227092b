"""Signed statements about the audit log, as text that other tools read, too.

a checkpoint   origin, size, root                   C2SP tlog-checkpoint
a note         a text and signatures over it        C2SP signed-note, Ed25519 (type 0x01)
a proof        index, path, a note                  C2SP tlog-proof
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.errors import InvalidRequestError
from ragward.domain.merkle import HASH_BYTES, includes

_ED25519: Final = b"\x01"
_MARK: Final = "\u2014 "
_PROOF: Final = "c2sp.org/tlog-proof@v1"
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_NAME: Final = re.compile(r"[^\s+]{1,200}")
MAX_NOTE: Final = 16 * 1024

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it is this key's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The log as it was at some size: the root over everything in it."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The inverse; extension lines are left out. Raises `request.invalid`."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] != "" or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise InvalidRequestError("not a checkpoint")
        root = _decoded(lines[2])
        if len(root) != HASH_BYTES:
            raise InvalidRequestError("not a checkpoint")
        return cls(origin=lines[0], size=int(lines[1]), root=root)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """Whose signature a log's checkpoints carry: a name, and an Ed25519 public key of 32 bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of `SHA-256(name | LF | 0x01 | key)`."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        """`name+hex id+base64`, as C2SP writes a verifier key."""
        return (
            f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"
        )

    @classmethod
    def parse(cls, text: str) -> LogKey:
        """The inverse. Raises `request.invalid`."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = _decoded(encoded)
        made = cls(name=name, public=key[1:])
        if (
            not _NAME.fullmatch(name)
            or key[:1] != _ED25519
            or len(made.public) != HASH_BYTES
            or made.key_id.hex() != key_id
        ):
            raise InvalidRequestError("not the public key of a log")
        return made

    def signature_line(self, signature: bytes) -> str:
        """The line under a note."""
        return f"{_MARK}{self.name} {base64.b64encode(self.key_id + signature).decode()}\n"


def signed_note(text: str, key: LogKey, signature: bytes) -> str:
    """A text, an empty line, one signature."""
    return f"{text}\n{key.signature_line(signature)}"


def opened_checkpoint(note: str, key: LogKey, verify: Verify) -> Checkpoint:
    """The checkpoint in a note that this key signed, for a log of the key's own name. Raises `request.invalid`,
    `integrity.audit` never: who signed it is a question about the note, not about the log."""
    text, signatures = _parts(note)
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != key.name:
        raise InvalidRequestError("the checkpoint is another log's")
    if not _is_signed(text, signatures, key, verify):
        raise InvalidRequestError("the checkpoint is not signed by this key")
    return checkpoint


def opened_text(note: str, key: LogKey, verify: Verify) -> str:
    """The text of a note that this key signed. Raises `request.invalid`."""
    text, signatures = _parts(note)
    if not _is_signed(text, signatures, key, verify):
        raise InvalidRequestError("the note is not signed by this key")
    return text


def _is_signed(
    text: str, signatures: Sequence[tuple[str, bytes, bytes]], key: LogKey, verify: Verify
) -> bool:
    return any(
        (name, key_id) == (key.name, key.key_id) and verify(key.public, text.encode(), signature)
        for name, key_id, signature in signatures
    )


def _parts(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """(text, [(name, key id, signature)])."""
    if len(note) > MAX_NOTE or not note.endswith("\n"):
        raise InvalidRequestError("not a signed note")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines:
        raise InvalidRequestError("not a signed note")
    found = []
    for line in lines[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_MARK).partition(" ")
        data = _decoded(encoded)
        if not line.startswith(_MARK) or not _NAME.fullmatch(name) or len(data) < 5:
            raise InvalidRequestError("not a signed note")
        found.append((name, data[:4], data[4:]))
    return text + "\n", found


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """That a leaf is in the log: its index, the path to the root, and the signed checkpoint with that root."""

    index: int
    path: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """As it is kept beside a receipt."""
        lines = [_PROOF, f"index {self.index}"]
        lines += [base64.b64encode(node).decode() for node in self.path]
        return "\n".join(lines) + f"\n\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> InclusionProof:
        """The inverse. Raises `request.invalid`."""
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        named = lines[1].removeprefix("index ") if len(lines) > 1 else ""
        if (
            not separator
            or lines[0] != _PROOF
            or not lines[1].startswith("index ")
            or not _SIZE.fullmatch(named)
            or len(lines) > 70
        ):
            raise InvalidRequestError("not a proof of inclusion")
        path = tuple(_decoded(line) for line in lines[2:])
        if any(len(node) != HASH_BYTES for node in path):
            raise InvalidRequestError("not a proof of inclusion")
        return cls(index=int(named), path=path, note=note)

    def proves(self, leaf: bytes, key: LogKey, verify: Verify) -> bool:
        """Whether the log of this key held the leaf with this hash. Raises `request.invalid` for a note of another."""
        checkpoint = opened_checkpoint(self.note, key, verify)
        return includes(leaf, self.index, checkpoint.size, self.path, checkpoint.root)


def notes_in(text: str) -> Sequence[str]:
    """The notes of a file that they were appended to, each ended by its signatures and an empty line."""
    found: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        if not line and lines and lines[-1].startswith(_MARK):
            found.append("\n".join(lines) + "\n")
            lines = []
        elif line or lines:
            lines.append(line)
    if lines:  # a last one without the empty line, or what is none
        found.append("\n".join(lines) + "\n")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidRequestError("not base64") from None
