"""The outbox at work: the catalog is the truth, the index a copy that this brings up to date or builds anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.audit import EventType
from ragward.domain.content import unpack_vector
from ragward.domain.corpus import IndexPoint, OutboxItem
from ragward.domain.errors import IntegrityError
from ragward.evidence import Recorder
from ragward.ports import Catalog, ChunkIndex, Cipher, Keyring

_BATCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSync:
    """Carries out what the catalog owes the index. Running it again, or after a kill, changes nothing."""

    catalog: Catalog
    index: ChunkIndex
    keyring: Keyring
    cipher: Cipher
    recorder: Recorder

    def run(self) -> int:
        """Works the outbox off; returns how many points were put in or taken out."""
        done = 0
        while work := self.catalog.next_work(limit=_BATCH):
            points, gone = self._prepared(work)
            self.index.upsert(points)
            self.index.delete(gone)
            self.catalog.finish_work(work)
            done += len(work)
        if done:
            self.index.maintain()
        return done

    def rebuild(self) -> int:
        """Empties the index and fills it from the catalog."""
        self.catalog.requeue_all()
        self.index.clear()
        return self.run()

    def _prepared(self, work: Sequence[OutboxItem]) -> tuple[list[IndexPoint], list[str]]:
        """Points to put in and to take out. A point whose vector does not verify is taken out and reported."""
        points: list[IndexPoint] = []
        gone: list[str] = []
        deks: dict[str, bytes] = {}
        for item in work:
            if item.scope_id is None:
                gone.append(item.point_id)
                continue
            try:
                vector = unpack_vector(self._opened(item, deks))
            except IntegrityError as damaged:
                gone.append(item.point_id)
                details = {
                    "code": damaged.code,
                    "point": item.point_id,
                    "document": item.document_id,
                }
                self.recorder.record(
                    EventType.INTEGRITY_FAILURE, None, "dropped", details, tenant=item.tenant
                )
                continue
            points.append(IndexPoint(point_id=item.point_id, scope_id=item.scope_id, vector=vector))
        return points, gone

    def _opened(self, item: OutboxItem, deks: dict[str, bytes]) -> bytes:
        key = item.key
        if key.dek_id not in deks:
            deks[key.dek_id] = self.keyring.unwrap(key.wrapped_dek, item.wrapping_context())
        return self.cipher.decrypt(
            item.vector_blob,
            dek=deks[key.dek_id],
            dek_id=key.dek_id,
            context=item.vector_context(),
        )
