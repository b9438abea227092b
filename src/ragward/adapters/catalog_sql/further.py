"""Reading vectors of one generation or another."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches
from ragward.adapters.catalog_sql.schema import points, vectors
from ragward.domain.generations import FIRST


def blobs_of(connection: Connection, point_ids: Collection[str]) -> dict[str, dict[int, bytes]]:
    """point id -> generation -> vector, of later generations."""
    found: dict[str, dict[int, bytes]] = {}
    for batch in batches(sorted(set(point_ids)), IN_LIMIT):
        for row in connection.execute(select(vectors).where(vectors.c.point_id.in_(batch))):
            found.setdefault(row.point_id, {})[row.generation] = row.vector_blob
    return found


def with_vectors(wanted: Select[Any], generation: int) -> Select[Any]:
    """A statement over points, with their vectors of one generation as `vector_blob`; points without are left out."""
    if generation == FIRST:
        return wanted.add_columns(points.c.vector_blob).where(points.c.vector_blob != b"")
    return wanted.add_columns(vectors.c.vector_blob).join(
        vectors,
        and_(vectors.c.point_id == points.c.point_id, vectors.c.generation == generation),
    )
