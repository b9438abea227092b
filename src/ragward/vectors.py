"""Opening stored vectors: for whoever fills an index with them, and whoever scans them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragward.domain.audit import EventType
from ragward.domain.corpus import StoredVector
from ragward.domain.envelope import PurposeKey
from ragward.domain.errors import IntegrityError, RagwardError
from ragward.domain.keys import WrappedDEK
from ragward.evidence import Recorder
from ragward.ports import Cipher, Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOpener:
    """Has the key of each document version's vectors derived once per call, then decrypts them. It opens no text."""

    keyring: Keyring
    cipher: Cipher

    def opened(self, stored: Sequence[StoredVector]) -> list[bytes | RagwardError]:
        """Per vector its packed form (`domain.content`), verified, or why not: `integrity.*`, `unavailable.keys`."""
        places = [(s.key, s.document_id, s.version, s.label_digest) for s in stored]
        firsts = dict(zip(places, stored, strict=True))
        wraps = [
            WrappedDEK(wrapped=item.key.wrapped_dek, context=item.wrapping_context())
            for item in firsts.values()
        ]
        given = self.keyring.vector_keys(wraps) if wraps else ()
        keys = dict(zip(firsts, given, strict=True))
        return [
            self._decrypted(item, keys[place]) for place, item in zip(places, stored, strict=True)
        ]

    def _decrypted(
        self, item: StoredVector, key: PurposeKey | RagwardError
    ) -> bytes | RagwardError:
        if isinstance(key, RagwardError):
            return key
        try:
            return self.cipher.decrypt(
                item.vector_blob, dek=key, dek_id=item.key.dek_id, context=item.vector_context()
            )
        except IntegrityError as damaged:
            return damaged


def report_damaged(recorder: Recorder, item: StoredVector, damaged: IntegrityError) -> None:
    """A vector that does not verify is left out of every search, and recorded."""
    details = {"code": damaged.code, "point": item.point_id, "document": item.document_id}
    recorder.record(EventType.INTEGRITY_FAILURE, None, "dropped", details, tenant=item.tenant)
