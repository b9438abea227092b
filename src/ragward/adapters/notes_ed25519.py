"""Ed25519 signatures of the audit log's checkpoints (RFC 8032), by a key of their own derived from the keyring's."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ragward.adapters.signatures_ed25519 import Ed25519Signer, Ed25519Verifier
from ragward.domain.checkpoints import Checkpoint, LogKey, signed_note


class CheckpointSigner:
    """Signs the checkpoints of one log, as `name`."""

    def __init__(self, secret: bytes, name: str) -> None:
        info = b"ragward.audit.checkpoint.v1\0" + name.encode()
        seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
        self._private = Ed25519Signer(seed)
        self.key = LogKey(name=name, public=self._private.public_key)

    def sign(self, size: int, root: bytes) -> str:
        """A signed note of the log at this size."""
        text = Checkpoint(origin=self.key.name, size=size, root=root).text()
        return signed_note(text, self.key, self._private.sign(text.encode()))


def verify_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether it is this key's."""
    return Ed25519Verifier().verifies(public, signature, message)
