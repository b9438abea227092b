"""The fence of rotation: under a KEK version from which everything was moved away, nothing is stored again."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, select

from ragward.adapters.catalog_sql.schema import retired_keks
from ragward.domain.errors import ConflictError

_RETIRED: Final = (
    select(retired_keks.c.version)
    .where(retired_keks.c.kek_id == bindparam("kek"), retired_keks.c.version == bindparam("at"))
    .limit(1)
)


def require_in_use(connection: Connection, keks: Collection[tuple[str, int]]) -> None:
    """Raises `key.state` for a retired version. The tenant is locked, so none is retired before this transaction ends."""
    for kek_id, version in keks:
        if connection.execute(_RETIRED, {"kek": kek_id, "at": version}).first() is not None:
            raise ConflictError("the key was rotated meanwhile; try again", code="key.state")


def earlier_keks(known: str | None, before: str, after: str) -> str | None:
    """A version's list of KEKs its DEK was under, once it is moved from one to another; None where it was never kept."""
    if known is None or before == after:
        return known
    return json.dumps(sorted({*json.loads(known or "[]"), before}))
