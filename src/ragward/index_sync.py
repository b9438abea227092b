"""The outbox at work: the catalog is the truth, the index a copy that this brings up to date or builds anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.audit import EventType
from ragward.domain.content import unpack_vector
from ragward.domain.corpus import IndexPoint, OutboxItem
from ragward.domain.envelope import PurposeKey
from ragward.domain.errors import IntegrityError, RagwardError, UnavailableError
from ragward.domain.keys import WrappedDEK
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
            points, gone, away = self._prepared(work)
            carried = [item for item in work if item.sequence not in away]
            self.index.upsert(points)
            self.index.delete(gone)
            self.catalog.finish_work(carried)
            done += len(carried)
            if away:
                raise UnavailableError(code="unavailable.keys")  # what needs that key is still owed
        if done:
            self.index.maintain()
        return done

    def vacuum(self) -> None:
        """Works the outbox off, and has the index forget what was taken out."""
        self.run()
        self.index.vacuum()

    def rebuild(self) -> int:
        """Empties the index and fills it from the catalog."""
        self.catalog.requeue_all()
        self.index.clear()
        return self.run()

    def _prepared(self, work: Sequence[OutboxItem]) -> tuple[list[IndexPoint], list[str], set[int]]:
        """Points to put in, to take out, and entries whose key is away. A point whose vector does not verify is taken out
        and reported."""
        points: list[IndexPoint] = []
        gone: list[str] = []
        away: set[int] = set()
        keys = self._keys(work)
        for item in work:
            if item.scope_id is None:
                gone.append(item.point_id)
                continue
            try:
                vector = unpack_vector(self._opened(item, keys))
            except UnavailableError:
                away.add(item.sequence)
                continue
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
        return points, gone, away

    def _keys(self, work: Sequence[OutboxItem]) -> dict[WrappedDEK, PurposeKey | RagwardError]:
        """The keys of the vectors to put in: each unwrapped once, none that opens a text."""
        wraps = list(dict.fromkeys(_wrap(item) for item in work if item.scope_id is not None))
        return dict(zip(wraps, self.keyring.vector_keys(wraps), strict=True)) if wraps else {}

    def _opened(self, item: OutboxItem, keys: dict[WrappedDEK, PurposeKey | RagwardError]) -> bytes:
        key = keys[_wrap(item)]
        if isinstance(key, RagwardError):
            raise key
        return self.cipher.decrypt(
            item.vector_blob, dek=key, dek_id=item.key.dek_id, context=item.vector_context()
        )


def _wrap(item: OutboxItem) -> WrappedDEK:
    return WrappedDEK(wrapped=item.key.wrapped_dek, context=item.wrapping_context())
