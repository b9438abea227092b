"""Labels and index scopes: written once, never changed, checked against their digest whenever they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, bindparam, select

from ragward.adapters.catalog_sql.connection import insert_or_ignore
from ragward.adapters.catalog_sql.schema import labels, scopes
from ragward.domain.corpus import IndexScope, View
from ragward.domain.errors import IntegrityError, InvalidRequestError
from ragward.domain.labels import AccessLabel, Classification

# Built once: building a statement takes several times as long as SQLite takes to answer it.
_LABELS: Final = (
    select(labels)
    .where(labels.c.tenant == bindparam("of"), labels.c.label_id > bindparam("after"))
    .order_by(labels.c.label_id)
)
_SCOPES: Final = (
    select(scopes, labels.c.fields)
    .join(labels, labels.c.label_id == scopes.c.label_id)
    .where(scopes.c.tenant == bindparam("of"), scopes.c.scope_id > bindparam("after"))
    .order_by(scopes.c.scope_id)
)


def intern_label(connection: Connection, label: AccessLabel) -> int:
    """The id of this label, new or known. The tenant is locked."""
    digest = label.digest()
    wanted = select(labels.c.label_id).where(labels.c.digest == digest)
    found = connection.execute(wanted).scalar()
    if found is None:
        connection.execute(
            insert_or_ignore(connection, labels).values(
                tenant=label.tenant, digest=digest, fields=label_to_json(label)
            )
        )
        found = connection.execute(wanted).scalar_one()
    return int(found)


def intern_scopes(
    connection: Connection, tenant: str, label_id: int, keys: Iterable[tuple[int, str]]
) -> None:
    """Makes sure that every (view, entity types text) has its scope under the label. The tenant is locked."""
    known = {
        (row.view, row.entity_types)
        for row in connection.execute(
            select(scopes.c.view, scopes.c.entity_types).where(scopes.c.label_id == label_id)
        )
    }
    new = [
        {"tenant": tenant, "label_id": label_id, "view": view, "entity_types": types}
        for view, types in sorted(set(keys) - known)
    ]
    if new:
        connection.execute(insert_or_ignore(connection, scopes), new)


def read_labels(connection: Connection, tenant: str, after: int) -> dict[int, AccessLabel]:
    """The tenant's labels with an id above `after`."""
    rows = connection.execute(_LABELS, {"of": tenant, "after": after})
    return {row.label_id: label_of(row.tenant, row.digest, row.fields) for row in rows}


def read_scopes(connection: Connection, tenant: str, after: int) -> list[IndexScope]:
    """The tenant's scopes with an id above `after`."""
    rows = connection.execute(_SCOPES, {"of": tenant, "after": after})
    return [
        IndexScope(
            scope_id=row.scope_id,
            label_id=row.label_id,
            corpus=str(json.loads(row.fields)["corpus"]),
            view=View(row.view),
            entity_types=types_from_text(row.entity_types),
        )
        for row in rows
    ]


@lru_cache(maxsize=1 << 16)  # by all that is stored: an edited row is another key, and is checked
def label_of(tenant: str, digest: bytes, fields: str) -> AccessLabel:
    """The label of a row. Raises `integrity.envelope` when the row does not match its digest."""
    label = label_from_json(tenant, fields)
    if label.digest() != digest:
        raise IntegrityError("label row was edited")
    return label


@lru_cache(maxsize=1 << 12)
def label_from_json(tenant: str, fields: str) -> AccessLabel:
    """The inverse of `label_to_json`. Raises `integrity.envelope`."""
    try:
        values = json.loads(fields)
        return AccessLabel(
            tenant=tenant,
            corpus=values["corpus"],
            classification=Classification(values["classification"]),
            compartments=frozenset(values["compartments"]),
            granted=frozenset(values["granted"]),
            denied=frozenset(values["denied"]),
            valid_from=values["valid_from"],
            valid_until=values["valid_until"],
        )
    except (ValueError, TypeError, KeyError, InvalidRequestError):
        raise IntegrityError("label row was edited") from None


def types_to_text(entity_types: frozenset[str]) -> str:
    """Sorted, separated by commas. Raises `request.invalid` for a type that has a comma in it."""
    if any("," in name or not name for name in entity_types):
        raise InvalidRequestError("a personal-data type is empty or has a comma in it")
    return ",".join(sorted(entity_types))


@lru_cache(maxsize=4096)
def types_from_text(text: str) -> frozenset[str]:
    """The inverse of `types_to_text`."""
    return frozenset(text.split(",")) if text else frozenset()


def label_to_json(label: AccessLabel) -> str:
    """A label's fields without its tenant, as a row holds them."""
    return json.dumps(
        {
            "corpus": label.corpus,
            "classification": int(label.classification),
            "compartments": sorted(label.compartments),
            "granted": sorted(label.granted),
            "denied": sorted(label.denied),
            "valid_from": label.valid_from,
            "valid_until": label.valid_until,
        },
        sort_keys=True,
    )
