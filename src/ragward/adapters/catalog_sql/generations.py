"""Generations of vectors: the first one's lie with the points, those of later ones in a table of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    select,
    update,
)

from ragward.adapters.catalog_sql import outbox
from ragward.adapters.catalog_sql.connection import (
    IN_LIMIT,
    NO_TENANT,
    Database,
    batches,
    insert_or_ignore,
    is_storable,
)
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.schema import (
    chunks,
    documents,
    meta,
    points,
    vectors,
    versions,
)
from ragward.adapters.catalog_sql.tenants import lock_tenant, mark_moved
from ragward.domain.corpus import DocumentState, StagedVersion
from ragward.domain.errors import ConfigurationError, ConflictError
from ragward.domain.generations import FIRST, Generation, Generations, GenerationState
from ragward.ports.generations import Lacking

KEY: Final = "generations"
_LIVING: Final = (DocumentState.ACTIVE.value, DocumentState.QUARANTINED.value)


class SQLGenerations:
    """`ports.GenerationStore`."""

    _database: Database

    def generations(self) -> Generations | None:
        """One statement."""
        with self._database.read(NO_TENANT) as connection:
            return _read(connection)

    def start_generation(self, before: Generations, model: str, dimension: int) -> Generation:
        """Raises `config.generation`."""
        with self._database.write(NO_TENANT) as connection:
            connection.execute(
                insert_or_ignore(connection, meta).values(key=KEY, value=before.to_text())
            )
            found = _locked(connection).started(model, dimension)
            _write(connection, found)
        started = found.other()
        assert started is not None
        return started

    def count_lacking(self, generation: int) -> tuple[int, int]:
        """Two counts in one snapshot."""
        with self._database.read_across_tenants() as connection:
            total = connection.execute(_of_current(func.count())).scalar_one()
            return _count_lacking(connection, generation), int(total)

    def documents_lacking(
        self, generation: int, *, after: str = "", limit: int
    ) -> Sequence[Lacking]:
        """By id: no document is looked at twice in a run."""
        lacking = (
            select(points.c.point_id)
            .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
            .where(
                chunks.c.document_id == versions.c.document_id,
                chunks.c.version == versions.c.version,
                _lacks(generation),
            )
        )
        wanted = (
            select(documents.c.tenant, documents.c.document_id)
            .join(versions, IS_CURRENT)
            .where(
                documents.c.document_id > after,
                versions.c.state.in_(_LIVING),
                lacking.exists(),
            )
            .order_by(documents.c.document_id)
            .limit(limit)
        )
        with self._database.read_across_tenants() as connection:
            rows = connection.execute(wanted)
            return [Lacking(tenant=row.tenant, document_id=row.document_id) for row in rows]

    def add_vectors(
        self,
        tenant: str,
        document_id: str,
        version: int,
        dek_id: str,
        generation: int,
        blobs: Mapping[str, bytes],
    ) -> bool:
        """One transaction."""
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            found = _read(connection, share=True)
            part = None if found is None else found.numbered(generation)
            if part is None or not part.is_live:
                return False
            state = connection.execute(
                select(versions.c.state)
                .join(documents, IS_CURRENT)
                .where(
                    documents.c.tenant == tenant,
                    documents.c.document_id == document_id,
                    versions.c.version == version,
                    versions.c.dek_id == dek_id,
                    versions.c.wrapped_dek.is_not(None),
                    versions.c.state.in_(_LIVING),
                )
            ).scalar()
            if state is None:
                return False
            there = _points_of(connection, document_id, version, blobs)
            _store(connection, tenant, generation, {name: blobs[name] for name in there})
            if state == DocumentState.ACTIVE.value:
                outbox.queue(connection, document_id, version, outbox.UPSERT)
            else:
                mark_moved(connection, document_id)
            return True

    def switch_generation(self, number: int, also: Mapping[str, str]) -> Generations:
        """Raises `config.generation`."""
        with self._database.write_across_tenants() as connection:
            found = _locked(connection).switched(number)
            if lacking := _count_lacking(connection, number):
                raise ConfigurationError(
                    f"{lacking} vectors are still to be made", code="config.generation"
                )
            _write(connection, found)
            for key, value in also.items():
                _set(connection, key, value)
        return found

    def begin_drop(self, number: int) -> Generations:
        """Raises `config.generation`."""
        with self._database.write(NO_TENANT) as connection:
            found = _locked(connection).dropping(number)
            _write(connection, found)
        return found

    def remove_vectors(self, number: int, *, limit: int) -> int:
        """One transaction."""
        with self._database.write_across_tenants() as connection:
            _require_dropping(_locked(connection), number)
            if number == FIRST:
                some = select(points.c.point_id).where(points.c.vector_blob != b"").limit(limit)
                ids = connection.execute(some).scalars().all()
                for batch in batches(ids, IN_LIMIT):
                    connection.execute(
                        update(points).where(points.c.point_id.in_(batch)).values(vector_blob=b"")
                    )
            else:
                some = select(vectors.c.point_id).where(vectors.c.generation == number)
                ids = connection.execute(some.limit(limit)).scalars().all()
                for batch in batches(ids, IN_LIMIT):
                    connection.execute(
                        delete(vectors).where(
                            vectors.c.generation == number, vectors.c.point_id.in_(batch)
                        )
                    )
            return len(ids)

    def finish_drop(self, number: int) -> Generations:
        """Raises `config.generation`."""
        with self._database.write_across_tenants() as connection:
            found = _locked(connection)
            _require_dropping(found, number)
            if number == FIRST:
                left = select(points.c.point_id).where(points.c.vector_blob != b"")
            else:
                left = select(vectors.c.point_id).where(vectors.c.generation == number)
            if connection.execute(left.limit(1)).first() is not None:
                raise ConfigurationError("it still has vectors", code="config.generation")
            found = found.without(number)
            _write(connection, found)
        return found


def require_live(connection: Connection, staged: StagedVersion) -> None:
    """Raises `ConflictError` with `config.generation` for a version that lacks vectors of a live generation: whoever made it did
    not know of that one yet."""
    found = _read(connection, share=True)
    if found is None:
        return
    wanted = {each.number for each in found.live}
    for chunk in staged.chunks:
        for point in chunk.points:
            if not wanted <= point.generations():
                raise ConflictError(
                    "a generation of vectors was begun meanwhile; try again",
                    code="config.generation",
                )


def further_vectors(staged: StagedVersion, part: Sequence[Any]) -> list[dict[str, object]]:
    """Rows of the vectors of these chunks that do not lie with their points."""
    return [
        {
            "point_id": point.point_id,
            "generation": generation,
            "tenant": staged.tenant,
            "vector_blob": blob,
        }
        for chunk in part
        for point in chunk.points
        for generation, blob in point.further.items()
    ]


def _of_current(*columns: Any) -> Select[Any]:
    """Points of current versions that are not deleted."""
    return (
        select(*columns)
        .select_from(points)
        .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .join(
            versions,
            and_(
                versions.c.document_id == chunks.c.document_id,
                versions.c.version == chunks.c.version,
            ),
        )
        .join(documents, IS_CURRENT)
        .where(versions.c.state.in_(_LIVING))
    )


def _lacks(generation: int) -> ColumnElement[bool]:
    if generation == FIRST:
        return points.c.vector_blob == b""
    has = select(vectors.c.point_id).where(
        vectors.c.point_id == points.c.point_id, vectors.c.generation == generation
    )
    return ~has.exists()


def _count_lacking(connection: Connection, generation: int) -> int:
    wanted = _of_current(func.count()).where(_lacks(generation))
    return int(connection.execute(wanted).scalar_one())


def _points_of(
    connection: Connection, document_id: str, version: int, names: Collection[str]
) -> list[str]:
    found: list[str] = []
    for batch in batches(sorted(name for name in names if is_storable(name)), IN_LIMIT):
        found += connection.execute(
            select(points.c.point_id)
            .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
            .where(
                chunks.c.document_id == document_id,
                chunks.c.version == version,
                points.c.point_id.in_(batch),
            )
        ).scalars()
    return found


def _store(
    connection: Connection, tenant: str, generation: int, blobs: Mapping[str, bytes]
) -> None:
    if generation == FIRST or not blobs:
        return  # the first one's are made with their points, or not at all
    rows = [
        {"point_id": name, "generation": generation, "tenant": tenant, "vector_blob": blob}
        for name, blob in blobs.items()
    ]
    connection.execute(insert_or_ignore(connection, vectors), rows)


def _require_dropping(found: Generations, number: int) -> None:
    part = found.numbered(number)
    if part is None or part.state is not GenerationState.DROPPING:
        raise ConfigurationError("it is not being dropped", code="config.generation")


def _read(connection: Connection, *, share: bool = False) -> Generations | None:
    """With `share` nobody changes it until this transaction ends (SQLite has one writer anyway)."""
    wanted = select(meta.c.value).where(meta.c.key == KEY)
    if share:
        wanted = wanted.with_for_update(read=True)
    text = connection.execute(wanted).scalar()
    return None if text is None else Generations.from_text(text)


def _locked(connection: Connection) -> Generations:
    """Raises `config.generation` where there is no second one, and never was."""
    wanted = select(meta.c.value).where(meta.c.key == KEY).with_for_update()
    text = connection.execute(wanted).scalar()
    if text is None:
        raise ConfigurationError("no other generation was begun", code="config.generation")
    return Generations.from_text(text)


def _write(connection: Connection, found: Generations) -> None:
    _set(connection, KEY, found.to_text())


def _set(connection: Connection, key: str, value: str) -> None:
    connection.execute(insert_or_ignore(connection, meta).values(key=key, value=value))
    connection.execute(update(meta).where(meta.c.key == key).values(value=value))
