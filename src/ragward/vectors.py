"""Opening stored vectors: for whoever fills an index with them, and whoever scans them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragward.domain.audit import EventType
from ragward.domain.corpus import StoredVector
from ragward.domain.envelope import WrappingContext
from ragward.domain.errors import IntegrityError
from ragward.evidence import Recorder
from ragward.ports import Cipher, Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOpener:
    """Unwraps the key of each document version once per call, then decrypts its vectors."""

    keyring: Keyring
    cipher: Cipher

    def opened(self, stored: Sequence[StoredVector]) -> list[bytes | IntegrityError]:
        """Per vector its packed form (`domain.content`), verified, or why not. Raises `unavailable.keys`."""
        keys: dict[tuple[bytes, WrappingContext], bytes | IntegrityError] = {}
        found: list[bytes | IntegrityError] = []
        for item in stored:
            wrap = item.key.wrapped_dek, item.wrapping_context()
            if wrap not in keys:
                keys[wrap] = self._unwrapped(*wrap)
            found.append(self._decrypted(item, keys[wrap]))
        return found

    def _unwrapped(self, wrapped: bytes, context: WrappingContext) -> bytes | IntegrityError:
        try:
            return self.keyring.unwrap(wrapped, context)
        except IntegrityError as damaged:
            return damaged

    def _decrypted(self, item: StoredVector, dek: bytes | IntegrityError) -> bytes | IntegrityError:
        if isinstance(dek, IntegrityError):
            return dek
        try:
            return self.cipher.decrypt(
                item.vector_blob, dek=dek, dek_id=item.key.dek_id, context=item.vector_context()
            )
        except IntegrityError as damaged:
            return damaged


def report_damaged(recorder: Recorder, item: StoredVector, damaged: IntegrityError) -> None:
    """A vector that does not verify is left out of every search, and recorded."""
    details = {"code": damaged.code, "point": item.point_id, "document": item.document_id}
    recorder.record(EventType.INTEGRITY_FAILURE, None, "dropped", details, tenant=item.tenant)
