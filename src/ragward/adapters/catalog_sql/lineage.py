"""Where chunks came from: origins with the versions, and the toolchains that many chunks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, distinct, func, insert, or_, select

from ragward.adapters.catalog_sql import documents as reading
from ragward.adapters.catalog_sql.connection import Database, is_storable
from ragward.adapters.catalog_sql.schema import chunks, documents, toolchains, versions
from ragward.domain.corpus import DocumentRecord, DocumentState, StagedVersion
from ragward.domain.errors import NotFoundError
from ragward.domain.lineage import (
    ChunkLineage,
    DocumentLineage,
    Origin,
    Tool,
    Toolchain,
    VersionInUse,
)


class SQLLineage:
    """`ports.LineageStore`."""

    _database: Database

    def chunk_lineage(self, tenant: str, chunk_id: str) -> ChunkLineage:
        """Raises `access.not_found`, `integrity.envelope`."""
        if not is_storable(chunk_id):
            raise NotFoundError
        wanted = _of_chunks(tenant, chunks.c.ordinal, chunks.c.verdict, chunks.c.chunk_id)
        with self._database.read(tenant) as connection:
            row = connection.execute(wanted.where(chunks.c.chunk_id == chunk_id)).one_or_none()
        if row is None:
            raise NotFoundError
        return ChunkLineage(
            chunk_id=chunk_id,
            ordinal=row.ordinal,
            verdict=row.verdict,
            toolchain=_toolchain(row),
            **_origin(row),
        )

    def document_lineage(self, tenant: str, document_id: str) -> DocumentLineage:
        """Raises `access.not_found`, `integrity.envelope`."""
        if not is_storable(document_id):
            raise NotFoundError
        wanted = _of_chunks(tenant, func.count().label("made")).where(
            documents.c.document_id == document_id
        )
        grouped = wanted.group_by(*_ORIGIN, *_TOOLCHAIN).order_by(toolchains.c.toolchain_id)
        with self._database.read(tenant) as connection:
            rows = connection.execute(grouped).all()
        if not rows:
            raise NotFoundError
        return DocumentLineage(
            toolchains=tuple((_toolchain(row), row.made) for row in rows), **_origin(rows[0])
        )

    def documents_of_job(
        self, tenant: str, job_id: str, *, after: str = "", limit: int
    ) -> Sequence[str]:
        """By id."""
        if not (is_storable(job_id) and is_storable(after)):
            return []
        wanted = (
            select(documents.c.document_id)
            .join(versions, reading.IS_CURRENT)
            .where(
                documents.c.tenant == tenant,
                documents.c.document_id > after,
                versions.c.job_id == job_id,
                versions.c.state != DocumentState.DELETED.value,
            )
            .order_by(documents.c.document_id)
            .limit(limit)
        )
        with self._database.read(tenant) as connection:
            return list(connection.execute(wanted).scalars())

    def versions_in_use(self, tenant: str) -> Sequence[VersionInUse]:
        """One statement per tool, in one snapshot."""
        found: list[VersionInUse] = []
        with self._database.read(tenant) as connection:
            for tool in Tool:
                first = _first_used(connection, tenant, tool)
                name = func.coalesce(toolchains.c[tool.value], "")
                counted = (
                    _of_chunks(
                        tenant,
                        name.label("name"),
                        func.count(distinct(chunks.c.document_id)).label("documents"),
                        func.count().label("chunks"),
                        whole=False,
                    )
                    .group_by(name)
                    .order_by(name)
                )
                found += [
                    VersionInUse(
                        tool=tool,
                        version=row.name,
                        first_used=first.get(row.name, 0),
                        documents=row.documents,
                        chunks=row.chunks,
                    )
                    for row in connection.execute(counted)
                ]
        return sorted(found, key=lambda each: (each.tool, each.first_used, each.version))

    def was_used(self, tenant: str, tool: Tool, version: str) -> bool:
        """By the tenant's toolchains."""
        with self._database.read(tenant) as connection:
            return version in _first_used(connection, tenant, tool)

    def documents_older(
        self,
        tenant: str,
        tool: Tool,
        version: str,
        *,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> Sequence[DocumentRecord]:
        """In one snapshot."""
        with self._database.read(tenant) as connection:
            first = _first_used(connection, tenant, tool)
            if version not in first:
                return reading.list_documents(connection, tenant, None, limit, after)
            column = toolchains.c[tool.value]
            older = (
                select(column)
                .where(toolchains.c.tenant == tenant)
                .group_by(column)
                .having(func.min(toolchains.c.toolchain_id) < first[version])
            )
            made = select(toolchains.c.toolchain_id).where(
                toolchains.c.tenant == tenant, or_(column.in_(older), column == "")
            )
            behind = (
                select(chunks.c.chunk_id)
                .where(
                    chunks.c.document_id == versions.c.document_id,
                    chunks.c.version == versions.c.version,
                    or_(chunks.c.toolchain_id.is_(None), chunks.c.toolchain_id.in_(made)),
                )
                .exists()
            )
            return reading.list_documents(connection, tenant, None, limit, after, only=behind)


def origin_columns(connection: Connection, staged: StagedVersion) -> dict[str, object]:
    """What a version's row says of its origin: its own, or that of the version before. The tenant is locked."""
    if staged.origin is not None:
        digest = staged.origin.bytes_sha256
        return {
            "source_uri": staged.origin.uri,
            "bytes_digest": bytes.fromhex(digest) if digest else None,
            "job_id": staged.job_id,
        }
    before = connection.execute(
        select(versions.c.source_uri, versions.c.bytes_digest, versions.c.job_id).where(
            *_before(staged)
        )
    ).one_or_none()
    return {"job_id": staged.job_id} if before is None else dict(before._mapping)


def toolchain_ids(
    connection: Connection, staged: StagedVersion, rule_sets: Iterable[str]
) -> dict[str, int]:
    """By rule set the id of what made a chunk that it judged. The tenant is locked."""
    origin = staged.origin or _origin_before(connection, staged)
    return {
        rule_set: intern_toolchain(
            connection,
            staged.tenant,
            origin.toolchain(finder=staged.finder, screener=rule_set, model=staged.model_digest),
        )
        for rule_set in set(rule_sets)
    }


def judged_by(
    connection: Connection, tenant: str, chunk_ids: Sequence[str], rule_set: str
) -> dict[str, int]:
    """By chunk id the id of its toolchain with another rule set. The tenant is locked."""
    rows = connection.execute(
        select(chunks.c.chunk_id, toolchains)
        .outerjoin(toolchains, toolchains.c.toolchain_id == chunks.c.toolchain_id)
        .where(chunks.c.tenant == tenant, chunks.c.chunk_id.in_(chunk_ids))
    )
    found: dict[str, int] = {}
    known: dict[Toolchain, int] = {}
    for row in rows:
        values = {} if row.toolchain_id is None else _values(row)
        made = Toolchain(**(values | {Tool.SCREENER.value: rule_set}))
        if made not in known:
            known[made] = intern_toolchain(connection, tenant, made)
        found[row.chunk_id] = known[made]
    return found


def intern_toolchain(connection: Connection, tenant: str, made: Toolchain) -> int:
    """The id of this toolchain, new or known. The tenant is locked."""
    digest = made.digest()
    found = connection.execute(
        select(toolchains.c.toolchain_id).where(
            toolchains.c.tenant == tenant, toolchains.c.digest == digest
        )
    ).scalar()
    if found is None:
        values = {"tenant": tenant, "digest": digest} | asdict(made)
        added = connection.execute(insert(toolchains).values(values))
        (found,) = added.inserted_primary_key or (0,)
    return int(found)


def _origin_before(connection: Connection, staged: StagedVersion) -> Origin:
    """As far as a toolchain needs it."""
    row = connection.execute(
        select(toolchains)
        .join(chunks, chunks.c.toolchain_id == toolchains.c.toolchain_id)
        .where(chunks.c.document_id == staged.document_id, chunks.c.version == staged.version - 1)
        .order_by(chunks.c.ordinal)
        .limit(1)
    ).one_or_none()
    if row is None:
        return Origin()
    return Origin(
        loader=row.loader, chunker=row.chunker, rules=row.rules, classifier=row.classifier
    )


def _before(staged: StagedVersion) -> tuple[Any, Any]:
    return versions.c.document_id == staged.document_id, versions.c.version == staged.version - 1


def _first_used(connection: Connection, tenant: str, tool: Tool) -> dict[str, int]:
    """version -> the id of the first toolchain of the tenant that has it."""
    column = toolchains.c[tool.value]
    rows = connection.execute(
        select(column, func.min(toolchains.c.toolchain_id))
        .where(toolchains.c.tenant == tenant)
        .group_by(column)
    )
    return {row[0]: row[1] for row in rows}


_ORIGIN: Final = (
    versions.c.document_id,
    versions.c.version,
    versions.c.source_uri,
    versions.c.bytes_digest,
    versions.c.job_id,
)
_TOOLCHAIN: Final = tuple(toolchains.c)


def _of_chunks(tenant: str, *columns: Any, whole: bool = True) -> Any:
    """Chunks of current versions that are not deleted."""
    named = (*_ORIGIN, *_TOOLCHAIN, *columns) if whole else columns
    return (
        select(*named)
        .select_from(chunks)
        .join(
            versions,
            and_(
                versions.c.document_id == chunks.c.document_id,
                versions.c.version == chunks.c.version,
            ),
        )
        .join(documents, reading.IS_CURRENT)
        .outerjoin(toolchains, toolchains.c.toolchain_id == chunks.c.toolchain_id)
        .where(
            chunks.c.tenant == tenant,
            documents.c.tenant == tenant,
            versions.c.state != DocumentState.DELETED.value,
        )
    )


def _origin(row: Row[Any]) -> dict[str, Any]:
    return {
        "document_id": row.document_id,
        "version": row.version,
        "uri": row.source_uri,
        "bytes_sha256": bytes(row.bytes_digest or b"").hex(),
        "job_id": row.job_id,
    }


def _toolchain(row: Row[Any]) -> Toolchain | None:
    return None if row.toolchain_id is None else Toolchain.of(_values(row), row.digest)


def _values(row: Row[Any]) -> dict[str, str]:
    return {tool.value: getattr(row, tool.value) for tool in Tool}
