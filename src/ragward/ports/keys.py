"""Keys and what is encrypted with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ragward.domain.envelope import (
    EncryptionContext,
    KeyPurpose,
    PurposeKey,
    Suite,
    WrappingContext,
)
from ragward.domain.errors import RagwardError
from ragward.domain.keys import KEKStatus, Reading, WrappedDEK
from ragward.domain.labels import Classification


class Cipher(Protocol):
    """Encrypts and decrypts blobs under a DEK."""

    def encrypt(
        self, plaintext: bytes, *, dek: bytes, dek_id: str, context: EncryptionContext, suite: Suite
    ) -> bytes:
        """A blob of the format of `domain.envelope`."""

    def decrypt(
        self, blob: bytes, *, dek: bytes | PurposeKey, dek_id: str, context: EncryptionContext
    ) -> bytes:
        """The plaintext, verified. Raises `integrity.envelope`."""

    def new_dek(self) -> bytes:
        """32 random bytes."""


class ReceiptSecrets(Protocol):
    """What makes receipts of answers say nothing to those who do not hold them. All raise `unavailable.keys`."""

    def salt(self, tenant: str, receipt_id: str) -> bytes:
        """32 bytes, the same each time."""

    def encrypt(self, tenant: str, receipt_id: str, officer: Mapping[str, object]) -> bytes:
        """The officer's part, bound to its receipt; its size says little of it."""

    def decrypt(self, tenant: str, receipt_id: str, data: bytes) -> dict[str, Any]:
        """The inverse. Raises `integrity.envelope`."""


class Keyring(Protocol):
    """KEKs, one per (tenant, classification, purpose) in versions; they never leave it. All raise `unavailable.keys`, also
    for what the process or flow that holds it may not do with keys."""

    def active_kek(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """(kek_id, version) to wrap with; created on first use."""

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """The wrapped DEK, under the active version. Raises `key.state` for any other."""

    def unwrap_all(
        self, wraps: Sequence[WrappedDEK], reading: Reading | None
    ) -> Sequence[bytes | RagwardError]:
        """Per item the DEK, or why not: `integrity.*`, `unavailable.keys`, or `access.not_found` from a broker that decided
        otherwise. No reading means the installation's own work; a broker refuses it."""

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """Per item the key of its vectors, for whoever keeps the index: it opens no text."""

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        reading: Reading | None = None,
    ) -> Sequence[bytes | RagwardError]:
        """Per item the same DEK wrapped for another label or KEK version. Raises `request.invalid` for another document or DEK.

        A broker gives another label only for a reading by somebody who may relabel under the one it has."""

    def stage(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """A new version, pending: nothing is wrapped with it yet."""

    def activate(self, kek_id: str, version: int) -> None:
        """Makes a pending version the active one; the one before only unwraps from now on. Raises `key.state`."""

    def destroy(self, kek_id: str, version: int) -> None:
        """Erases a version for good. What is wrapped under it is lost. The caller sees to it that nothing needed is."""

    def mac_key(self, purpose: str) -> bytes:
        """A 32-byte key for `audit-chain`, `query-tag`, `epoch-token`, `export`, `page-token`, `fingerprint`, `pseudonym`, `pseudonym-tag`, `receipt`, `subject-tag`, `behaviour` or `words`, separate from every KEK."""

    def status(self) -> Sequence[KEKStatus]:
        """All versions, without key material."""

    def forget(self) -> None:
        """Drops what is remembered of unwrapped DEKs."""

    def close(self) -> None:
        """Forgets, and releases sessions and connections."""
