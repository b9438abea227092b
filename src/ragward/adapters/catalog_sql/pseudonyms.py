"""The vault's rows: random tokens, and what they stand for, encrypted. The first row of a tag stays."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, select

from ragward.adapters.catalog_sql.connection import (
    IN_LIMIT,
    batches,
    insert_or_ignore,
    is_storable,
)
from ragward.adapters.catalog_sql.retired import require_in_use
from ragward.adapters.catalog_sql.schema import pseudonyms
from ragward.domain.corpus import KeyReference
from ragward.domain.pseudonyms import VaultedPseudonym


def tokens_of(connection: Connection, tenant: str, tags: Collection[bytes]) -> dict[bytes, str]:
    """tag -> token, of those that are there."""
    found: dict[bytes, str] = {}
    for batch in batches(sorted(tags), IN_LIMIT):
        rows = connection.execute(
            select(pseudonyms.c.tag, pseudonyms.c.token).where(
                pseudonyms.c.tenant == tenant, pseudonyms.c.tag.in_(batch)
            )
        )
        found |= {bytes(row.tag): row.token for row in rows}
    return found


def add(connection: Connection, tenant: str, new: Sequence[VaultedPseudonym]) -> dict[bytes, str]:
    """Adds what is not there yet; tag -> token of all, as they are then. Raises `key.state`."""
    require_in_use(connection, {(each.key.kek_id, each.key.kek_version) for each in new})
    for batch in batches(new, IN_LIMIT):
        connection.execute(
            insert_or_ignore(connection, pseudonyms),
            [
                {
                    "tenant": tenant,
                    "tag": each.tag,
                    "token": each.token,
                    "purpose": each.purpose,
                    "entity_type": each.entity_type,
                    "dek_id": each.key.dek_id,
                    "kek_id": each.key.kek_id,
                    "kek_version": each.key.kek_version,
                    "wrapped_dek": each.key.wrapped_dek,
                    "blob": each.blob,
                    "created_at": each.created_at,
                }
                for each in batch
            ],
        )
    return tokens_of(connection, tenant, [each.tag for each in new])


def find(connection: Connection, tenant: str, token: str) -> VaultedPseudonym | None:
    """By token."""
    if not is_storable(token):
        return None
    row = connection.execute(
        select(pseudonyms).where(pseudonyms.c.tenant == tenant, pseudonyms.c.token == token)
    ).one_or_none()
    if row is None:
        return None
    return VaultedPseudonym(
        tenant=row.tenant,
        purpose=row.purpose,
        entity_type=row.entity_type,
        tag=bytes(row.tag),
        token=row.token,
        key=KeyReference(
            dek_id=row.dek_id,
            kek_id=row.kek_id,
            kek_version=row.kek_version,
            wrapped_dek=bytes(row.wrapped_dek),
        ),
        blob=bytes(row.blob),
        created_at=row.created_at,
    )


def kinds(connection: Connection, tenant: str) -> set[tuple[str, str]]:
    """The (purpose, type) of which there are any."""
    rows = connection.execute(
        select(pseudonyms.c.purpose, pseudonyms.c.entity_type)
        .where(pseudonyms.c.tenant == tenant)
        .distinct()
    )
    return {(row.purpose, row.entity_type) for row in rows}


def erase(connection: Connection, tenant: str, tokens: Collection[str]) -> int:
    """Removes rows; returns how many."""
    wanted = sorted(token for token in tokens if is_storable(token))
    return sum(
        connection.execute(
            delete(pseudonyms).where(pseudonyms.c.tenant == tenant, pseudonyms.c.token.in_(batch))
        ).rowcount
        for batch in batches(wanted, IN_LIMIT)
    )
