"""`ports.IdentityStore`, as a part of the catalog. Each method is one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from ragward.adapters.catalog_sql.applications import agent_of, end_keys
from ragward.adapters.catalog_sql.authority import RootKeeper, changing
from ragward.adapters.catalog_sql.authority_rows import AGENTS, KEYS
from ragward.adapters.catalog_sql.connection import Database, insert_or_ignore, is_storable
from ragward.adapters.catalog_sql.prepared import Prepared
from ragward.adapters.catalog_sql.schema import (
    agents,
    application_keys,
    applications,
    identity_uses,
)
from ragward.adapters.catalog_sql.tenants import move_epoch
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.identities import (
    Agent,
    Custody,
    Identity,
    IdentityKind,
    KeyRecord,
    NewKey,
)
from ragward.domain.labels import Classification

_KEY_USE: Final = "key:"
_FAR_FUTURE: Final = 2**53
_AGENT: Final = Prepared(
    select(agents.c.principal, agents.c.tenant, agents.c.client_id, agents.c.expires_at).where(
        agents.c.tenant == bindparam("of"), agents.c.principal == bindparam("who")
    ),
    agent_of,
)


class SQLIdentities:
    """The catalog inherits this."""

    _database: Database
    _keeper: RootKeeper | None
    _now: Callable[[], int]

    def find_agent(self, tenant: str, principal: str) -> Agent | None:
        if not (is_storable(tenant) and is_storable(principal)):
            return None
        return _AGENT.one(self._database, tenant, who=principal)

    def save_agent(
        self,
        agent: Agent,
        custody: Custody,
        key: NewKey | None,
        *,
        earlier_keys_end_at: int | None = None,
    ) -> None:
        identity = {"tenant": agent.tenant, "principal": agent.principal}
        values = {
            "client_id": agent.client_id,
            "owner": custody.owner,
            "purpose": custody.purpose,
            "expires_at": agent.expires_at,
        }
        with changing(self._database, self._keeper, agent.tenant, AGENTS, KEYS) as connection:
            _require_application(connection, agent)
            now = self._now()
            connection.execute(
                insert_or_ignore(connection, agents).values(created_at=now, **identity, **values)
            )
            connection.execute(
                update(agents)
                .where(agents.c.tenant == agent.tenant, agents.c.principal == agent.principal)
                .values(**values)
            )
            if key is not None and earlier_keys_end_at is not None:
                own = application_keys.c.agent == agent.principal
                mine = and_(application_keys.c.tenant == agent.tenant, own)
                end_keys(connection, mine, earlier_keys_end_at)
            if key is not None:
                _add_key(connection, agent.tenant, agent.client_id, agent.principal, key, now)
            move_epoch(connection, agent.tenant)

    def rotate_key(
        self, tenant: str, principal: str, key: NewKey, *, earlier_ends_at: int | None
    ) -> bool:
        with changing(self._database, self._keeper, tenant, KEYS) as connection:
            client_id, agent = _holder(connection, tenant, principal)
            mine = and_(
                application_keys.c.tenant == tenant,
                application_keys.c.client_id == client_id,
                _of_agent(agent),
            )
            now = self._now()
            newest = connection.execute(
                select(application_keys.c.prefix)
                .where(mine, _good(now))
                .order_by(  # of one second: the one that no rotation has ended yet
                    application_keys.c.created_at.desc(),
                    func.coalesce(application_keys.c.expires_at, _FAR_FUTURE).desc(),
                    application_keys.c.prefix,
                )
                .limit(1)
            ).scalar()
            kept = "" if newest is None or earlier_ends_at is None else newest
            connection.execute(
                delete(application_keys).where(mine, application_keys.c.prefix != kept)
            )
            if earlier_ends_at is not None:
                end_keys(connection, mine, earlier_ends_at)
            _add_key(connection, tenant, client_id, agent, key, now)
            move_epoch(connection, tenant)
            return bool(kept)

    def identities(self, tenant: str) -> Sequence[Identity]:
        with self._database.read(tenant) as connection:
            used = {
                row.name: row.used_at
                for row in connection.execute(
                    select(identity_uses).where(identity_uses.c.tenant == tenant)
                )
            }
            keys = list(
                connection.execute(
                    select(application_keys)
                    .where(application_keys.c.tenant == tenant)
                    .order_by(application_keys.c.created_at, application_keys.c.prefix)
                )
            )
            registered = list(
                connection.execute(select(applications).where(applications.c.tenant == tenant))
            )
            acting = list(connection.execute(select(agents).where(agents.c.tenant == tenant)))
        found = [_application_identity(row, keys, used) for row in registered]
        found += [_agent_identity(row, keys, used) for row in acting]
        known = {identity.principal for identity in found}
        found += [
            Identity(
                kind=IdentityKind.AGENT, principal=name, last_used_at=used[name], registered=False
            )
            for name in used
            if name.startswith("agent:") and name not in known
        ]
        return sorted(found, key=lambda identity: identity.principal)

    def note_uses(self, tenant: str, uses: Mapping[str, int]) -> None:
        with self._database.write(tenant) as connection:
            for name, used_at in sorted(uses.items()):
                values = {"tenant": tenant, "name": name, "used_at": used_at}
                connection.execute(insert_or_ignore(connection, identity_uses).values(**values))
                connection.execute(
                    update(identity_uses)
                    .where(
                        identity_uses.c.tenant == tenant,
                        identity_uses.c.name == name,
                        identity_uses.c.used_at < used_at,
                    )
                    .values(used_at=used_at)
                )


def _good(now: int) -> ColumnElement[bool]:
    return or_(application_keys.c.expires_at.is_(None), application_keys.c.expires_at > now)


def _of_agent(agent: str | None) -> ColumnElement[bool]:
    if agent is None:
        return application_keys.c.agent.is_(None)
    return application_keys.c.agent == agent


def _holder(connection: Connection, tenant: str, principal: str) -> tuple[str, str | None]:
    """(client id, agent) of whoever the keys are of. Raises `access.not_found`."""
    if not is_storable(principal):
        raise NotFoundError
    table, agent = (agents, principal) if principal.startswith("agent:") else (applications, None)
    wanted = select(table.c.client_id).where(
        table.c.tenant == tenant, table.c.principal == principal
    )
    row = connection.execute(wanted).first()
    if row is None:
        raise NotFoundError
    return row.client_id, agent


def _require_application(connection: Connection, agent: Agent) -> None:
    wanted = select(applications.c.client_id).where(
        applications.c.tenant == agent.tenant, applications.c.client_id == agent.client_id
    )
    if connection.execute(wanted).first() is None:
        raise InvalidRequestError("an agent acts through an application that is registered")


def _add_key(
    connection: Connection, tenant: str, client_id: str, agent: str | None, key: NewKey, now: int
) -> None:
    connection.execute(
        insert(application_keys).values(
            prefix=key.key_id,
            tenant=tenant,
            client_id=client_id,
            sha256=key.sha256,
            created_at=now,
            expires_at=key.expires_at,
            agent=agent,
        )
    )


def _keys(rows: Sequence[Row[Any]], used: Mapping[str, int]) -> tuple[KeyRecord, ...]:
    return tuple(
        KeyRecord(
            key_id=row.prefix,
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=used.get(f"{_KEY_USE}{row.prefix}"),
        )
        for row in rows
    )


def _application_identity(
    row: Row[Any], keys: Sequence[Row[Any]], used: Mapping[str, int]
) -> Identity:
    mine = [key for key in keys if key.client_id == row.client_id and key.agent is None]
    return Identity(
        kind=IdentityKind.APPLICATION,
        principal=row.principal,
        client_id=row.client_id,
        owner=row.owner or "",
        purpose=row.purpose or "",
        corpora=frozenset(json.loads(row.corpora)),
        ceiling=Classification(row.ceiling),
        public_client=row.public_client,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=used.get(row.principal),
        keys=_keys(mine, used),
    )


def _agent_identity(row: Row[Any], keys: Sequence[Row[Any]], used: Mapping[str, int]) -> Identity:
    return Identity(
        kind=IdentityKind.AGENT,
        principal=row.principal,
        client_id=row.client_id,
        owner=row.owner,
        purpose=row.purpose,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=used.get(row.principal),
        keys=_keys([key for key in keys if key.agent == row.principal], used),
    )
