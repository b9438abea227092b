"""The outbox at work: the catalog is the truth, the index a copy that this brings up to date or builds anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.content import unpack_vector
from ragward.domain.corpus import IndexPoint, OutboxItem
from ragward.domain.errors import IntegrityError, RagwardError, UnavailableError
from ragward.domain.labels import Classification
from ragward.evidence import Recorder
from ragward.ports import Catalog, ChunkIndex
from ragward.vectors import VectorOpener, report_damaged

_BATCH: Final = 256
_SEALED: Final = "sealed-vectors"
_FORM: Final = "with words"  # of points: an index that was filled with others is worked over


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSync:
    """Carries out what the catalog owes the index. Running it again, or after a kill, changes nothing."""

    catalog: Catalog
    index: ChunkIndex
    opener: VectorOpener
    sealed: frozenset[Classification]
    """Classifications whose vectors never enter the index."""
    recorder: Recorder

    def run(self) -> int:
        """Works the outbox off; returns how many points were put in or taken out."""
        done = 0
        while work := self.catalog.next_work(limit=_BATCH):
            barred = {item.point_id for item in work if self._is_barred(item)}
            points, gone, away = self._prepared([i for i in work if i.point_id not in barred])
            carried = [item for item in work if item.sequence not in away]
            self.index.upsert(points)
            self.index.delete(gone)
            self.index.expel(sorted(barred))
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

    def adopt(self) -> None:
        """Works the whole index over if it was filled under another choice of what is sealed, or with points of another form. For the one process that has
        an installation open, before it begins to work."""
        chosen = ",".join([*sorted(level.name for level in self.sealed), _FORM])
        self.index.maintain()  # a killed process may have left something to do
        if self.catalog.meta(_SEALED) == chosen:
            return
        self.catalog.requeue_all()
        try:
            self.run()
        except UnavailableError:
            return  # what is owed stays in the outbox, and the next start comes here again
        self.catalog.set_meta(_SEALED, chosen)

    def _is_barred(self, item: OutboxItem) -> bool:
        """Whether its document stands under a label whose vectors may not lie in the index, those of earlier versions
        included; or the point is to be put in under one that does not verify."""
        if item.classification is None:
            return item.scope_id is not None
        return item.classification in self.sealed

    def _prepared(self, work: Sequence[OutboxItem]) -> tuple[list[IndexPoint], list[str], set[int]]:
        """Points to put in, to take out, and entries whose key is away. A point whose vector does not verify is taken out
        and reported."""
        points: list[IndexPoint] = []
        gone = [item.point_id for item in work if item.scope_id is None]
        spoilt: list[str] = []
        away: set[int] = set()
        owed = [item for item in work if item.scope_id is not None]
        wanted = [(item, each) for item in owed for each in item.vectors()]
        stored = [each for _, each in wanted]
        for (item, each), opened in zip(wanted, self.opener.opened(stored), strict=True):
            assert item.scope_id is not None
            try:
                if isinstance(opened, RagwardError):
                    raise opened
                vector, words = unpack_vector(opened)
            except UnavailableError:
                away.add(item.sequence)
                continue
            except IntegrityError as damaged:
                spoilt.append(item.point_id)
                report_damaged(self.recorder, item, damaged)
                continue
            points.append(
                IndexPoint(
                    point_id=item.point_id,
                    scope_id=item.scope_id,
                    vector=vector,
                    words=words,
                    generation=each.generation,
                )
            )
        # One generation's damage does not take the point from another's part.
        good = {point.point_id for point in points}
        return points, [*gone, *(name for name in spoilt if name not in good)], away
