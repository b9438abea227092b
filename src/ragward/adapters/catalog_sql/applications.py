"""Registered applications and the digests of their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from ragward.adapters.catalog_sql.connection import Database, insert_or_ignore, is_storable
from ragward.adapters.catalog_sql.prepared import Prepared
from ragward.adapters.catalog_sql.schema import agents, application_keys, applications
from ragward.adapters.catalog_sql.tenants import move_epoch
from ragward.domain.access import Application
from ragward.domain.errors import IntegrityError, InvalidRequestError
from ragward.domain.identities import Agent, ApplicationKey, Custody, NewKey
from ragward.domain.labels import Classification, require_name, require_principal, tenant_of


def find_application(
    database: Database, tenant: str, client_id: str, now: int
) -> Application | None:
    """The application, unless it is unknown or has expired."""
    if not (is_storable(tenant) and is_storable(client_id)):
        return None
    application = _BY_CLIENT.one(database, tenant, client_id=client_id)
    if application is None:
        return None
    ends = application.expires_at
    return application if ends is None or ends > now else None


def find_application_by_key(connection: Connection, prefix: str, now: int) -> ApplicationKey | None:
    """The key, unless it is unknown, or it, its agent or its application has expired."""
    if not is_storable(prefix):
        return None
    row = connection.execute(
        select(
            applications,
            application_keys.c.sha256,
            application_keys.c.agent,
            application_keys.c.expires_at.label("key_ends"),
            agents.c.expires_at.label("agent_ends"),
        )
        .join(
            application_keys,
            (application_keys.c.tenant == applications.c.tenant)
            & (application_keys.c.client_id == applications.c.client_id),
        )
        .outerjoin(
            agents,
            (agents.c.tenant == application_keys.c.tenant)
            & (agents.c.principal == application_keys.c.agent),
        )
        .where(application_keys.c.prefix == prefix, _live(now))
    ).one_or_none()
    if row is None or (row.agent is not None and row.agent_ends is None):
        return None
    ends = min((end for end in (row.key_ends, row.agent_ends) if end is not None), default=None)
    if ends is not None and ends <= now:
        return None
    return ApplicationKey(
        sha256=row.sha256,
        application=application_of(row._mapping),
        agent=row.agent,
        not_after=ends,
    )


def read_applications(connection: Connection, tenant: str) -> list[Application]:
    """All applications of a tenant, expired ones too."""
    rows = connection.execute(
        select(applications)
        .where(applications.c.tenant == tenant)
        .order_by(applications.c.client_id)
    )
    return [application_of(row._mapping) for row in rows]


def save_application(
    connection: Connection,
    application: Application,
    key: NewKey | None,
    custody: Custody | None,
    earlier_keys_end_at: int | None,
    now: int,
) -> None:
    """Creates or replaces, and adds a key; a prefix that is taken is a conflict. The tenant is locked; moves the epoch,
    because permits depend on applications."""
    identity = {"tenant": application.tenant, "client_id": application.client_id}
    values = {
        "principal": application.principal,
        "corpora": json.dumps(sorted(application.corpora)),
        "ceiling": int(application.ceiling),
        "public_client": application.public_client,
        "expires_at": application.expires_at,
    }
    if custody is not None:
        values |= {"owner": custody.owner, "purpose": custody.purpose}
    connection.execute(
        insert_or_ignore(connection, applications).values(created_at=now, **identity, **values)
    )
    connection.execute(
        update(applications)
        .where(
            applications.c.tenant == application.tenant,
            applications.c.client_id == application.client_id,
        )
        .values(**values)
    )
    if key is not None:
        if earlier_keys_end_at is not None:
            end_keys(connection, _own_keys(application), earlier_keys_end_at)
        connection.execute(
            insert(application_keys).values(
                prefix=key.key_id,
                sha256=key.sha256,
                created_at=now,
                expires_at=key.expires_at,
                **identity,
            )
        )
    move_epoch(connection, application.tenant)


def remove_keys(connection: Connection, application: Application) -> None:
    """Its keys are worth nothing from here on."""
    connection.execute(delete(application_keys).where(_own_keys(application)))


def _own_keys(application: Application) -> ColumnElement[bool]:
    """Not those of agents that act through it."""
    return and_(
        application_keys.c.tenant == application.tenant,
        application_keys.c.client_id == application.client_id,
        application_keys.c.agent.is_(None),
    )


def require_acceptable(
    application: Application, key_prefix: str | None, key_sha256: bytes | None
) -> None:
    """Raises `principal.invalid`, `label.invalid` or `request.invalid`."""
    require_name(application.tenant, "tenant")
    require_principal(application.principal)
    if (
        not application.principal.startswith("app:")
        or tenant_of(application.principal) != application.tenant
    ):
        raise InvalidRequestError(
            f"{application.principal!r} is not an application of {application.tenant!r}",
            code="principal.invalid",
        )
    if (key_prefix is None) != (key_sha256 is None):
        raise InvalidRequestError("a key has a prefix and a digest")
    if key_sha256 is not None and (len(key_sha256) != 32 or not key_prefix):
        raise InvalidRequestError("a key has a prefix and a SHA-256 digest")


def _live(now: int) -> ColumnElement[bool]:
    return or_(applications.c.expires_at.is_(None), applications.c.expires_at > now)


def application_of(row: Mapping[Any, Any]) -> Application:
    """The application of a row. Raises `integrity.envelope`."""
    ends = row["expires_at"]
    try:
        return Application(
            principal=row["principal"],
            tenant=row["tenant"],
            client_id=row["client_id"],
            corpora=frozenset(json.loads(row["corpora"])),
            ceiling=Classification(row["ceiling"]),
            public_client=bool(row["public_client"]),
            expires_at=None if ends is None else int(ends),
        )
    except (ValueError, TypeError, OverflowError):
        raise IntegrityError("application row was edited") from None


_BY_CLIENT: Final = Prepared(
    select(applications).where(
        applications.c.tenant == bindparam("of"),
        applications.c.client_id == bindparam("client_id"),
    ),
    application_of,
)


def end_keys(connection: Connection, which: ColumnElement[bool], at: int) -> None:
    """Keys that would be good for longer end then."""
    connection.execute(
        update(application_keys)
        .where(
            which, or_(application_keys.c.expires_at.is_(None), application_keys.c.expires_at > at)
        )
        .values(expires_at=at)
    )


def agent_of(row: Mapping[str, Any]) -> Agent:
    """As a row has it."""
    return Agent(
        principal=row["principal"],
        tenant=row["tenant"],
        client_id=row["client_id"],
        expires_at=row["expires_at"],
    )
