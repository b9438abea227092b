"""What newer screening rules say of chunks that are stored."""

from __future__ import annotations

import json

from sqlalchemy import Connection, bindparam, update

from ragward.adapters.catalog_sql import lineage, versions
from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches
from ragward.adapters.catalog_sql.documents import get_document
from ragward.adapters.catalog_sql.schema import chunks
from ragward.adapters.catalog_sql.schema import versions as versions_table
from ragward.adapters.catalog_sql.tenants import read_epoch
from ragward.domain.corpus import NewScreening
from ragward.domain.errors import ConflictError


def rescreen(connection: Connection, tenant: str, found: NewScreening, now: int) -> int:
    """Verdicts, evidence and state together; returns the epoch. The tenant is locked.

    Raises `access.not_found`, `catalog.exists`."""
    record = get_document(connection, tenant, found.document_id)
    if (record.version, record.state) != (found.version, found.expected_state):
        raise ConflictError("the document was changed meanwhile")
    if found.chunks:
        made = _toolchains(connection, tenant, found)
        connection.execute(
            update(chunks)
            .where(
                chunks.c.chunk_id == bindparam("of"),
                chunks.c.tenant == tenant,
                chunks.c.document_id == found.document_id,
                chunks.c.version == found.version,
            )
            .values(
                verdict=bindparam("now"),
                screening_rules=bindparam("hit"),
                rule_set=bindparam("by"),
                toolchain_id=bindparam("made"),
            ),
            [
                {
                    "of": chunk_id,
                    "now": screening.verdict.value,
                    "hit": " ".join(screening.rules),
                    "by": screening.rule_set,
                    "made": made[chunk_id],
                }
                for chunk_id, screening in found.chunks.items()
            ],
        )
    if found.note:
        connection.execute(
            update(versions_table)
            .where(
                versions_table.c.document_id == found.document_id,
                versions_table.c.version == found.version,
            )
            .values(evidence=json.dumps([*record.evidence, found.note]))
        )
    if found.state is record.state:
        return read_epoch(connection, tenant)
    return versions.set_state(connection, tenant, found.document_id, found.state, now)[1]


def _toolchains(connection: Connection, tenant: str, found: NewScreening) -> dict[str, int | None]:
    """By chunk id, as the rules now judged it; a chunk that is not the document's is not looked up."""
    made: dict[str, int | None] = dict.fromkeys(found.chunks)
    by_rules: dict[str, list[str]] = {}
    for chunk_id, screening in found.chunks.items():
        by_rules.setdefault(screening.rule_set, []).append(chunk_id)
    for rule_set, names in by_rules.items():
        for batch in batches(names, IN_LIMIT):
            made |= lineage.judged_by(connection, tenant, batch, rule_set)
    return made
