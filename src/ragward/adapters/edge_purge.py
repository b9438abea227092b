"""Taking removed vectors out of a shard's files: the engine marks them deleted and keeps their bytes, in its log as well."""

from __future__ import annotations

from typing import Any, Final

_SLICE: Final = 256  # the engine holds the interpreter's lock while it writes


def copy_live(old: Any, new: Any) -> None:
    """Writes every point of a shard into an empty one, which has never seen the others."""
    from qdrant_edge import Point, ScrollRequest, UpdateOperation

    offset = None
    while True:
        request = ScrollRequest(offset=offset, limit=_SLICE, with_payload=True, with_vector=True)
        records, offset = old.scroll(request)
        points = [Point(str(r.id), r.vector, r.payload or {}) for r in records]
        if points:
            new.update(UpdateOperation.upsert_points(points))
        if offset is None:
            new.flush()
            return
