"""Rows of people and groups: read, found by conditions, and as values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    bindparam,
    exists,
    false,
    func,
    select,
)

from ragward.adapters.catalog_sql.connection import IN_LIMIT, Database, batches, is_storable
from ragward.adapters.catalog_sql.prepared import Prepared
from ragward.adapters.catalog_sql.schema import (
    directory_groups,
    directory_members,
    directory_users,
)
from ragward.domain.directory import (
    Condition,
    DirectoryGroup,
    DirectoryUser,
    GroupProfile,
    GroupReference,
    MemberKind,
    Operator,
    UserProfile,
    name_key,
)
from ragward.domain.errors import ConflictError, NotFoundError

_DISABLED: Final = Prepared(
    select(directory_users.c.disabled).where(
        directory_users.c.tenant == bindparam("of"),
        directory_users.c.external_id == bindparam("who"),
    ),
    lambda row: bool(row["disabled"]),
)


def is_disabled(database: Database, tenant: str, external_id: str) -> bool:
    """By the unique index on (tenant, external id)."""
    if not (is_storable(tenant) and is_storable(external_id)):
        return False
    return bool(_DISABLED.one(database, tenant, who=external_id))


def disabled_external_ids(connection: Connection, tenant: str) -> list[str]:
    """External ids of people who were deactivated or deleted."""
    users = directory_users.c
    found = connection.execute(
        select(users.external_id).where(
            users.tenant == tenant, users.disabled.is_(True), users.external_id.is_not(None)
        )
    )
    return list(found.scalars())


def read_user(connection: Connection, tenant: str, user_id: str) -> DirectoryUser:
    """Raises `access.not_found`."""
    users = directory_users.c
    row = None
    if is_storable(user_id):
        row = connection.execute(
            select(directory_users).where(
                users.tenant == tenant, users.user_id == user_id, users.deleted.is_(False)
            )
        ).one_or_none()
    if row is None:
        raise NotFoundError
    return _users(connection, tenant, [row])[0]


def read_group(connection: Connection, tenant: str, group_id: str) -> DirectoryGroup:
    """Raises `access.not_found`."""
    groups = directory_groups.c
    row = None
    if is_storable(group_id):
        row = connection.execute(
            select(directory_groups).where(groups.tenant == tenant, groups.group_id == group_id)
        ).one_or_none()
    if row is None:
        raise NotFoundError
    return _groups(connection, [row])[0]


def require_user(connection: Connection, before: DirectoryUser) -> None:
    """Raises `access.not_found`, `directory.version`. The tenant is locked."""
    if read_user(connection, before.tenant, before.user_id).version != before.version:
        raise ConflictError(code="directory.version")


def require_group(connection: Connection, before: DirectoryGroup) -> None:
    """Raises `access.not_found`, `directory.version`. The tenant is locked."""
    if read_group(connection, before.tenant, before.group_id).version != before.version:
        raise ConflictError(code="directory.version")


def find_users(
    connection: Connection,
    tenant: str,
    conditions: Collection[Condition],
    offset: int,
    limit: int,
) -> tuple[int, list[DirectoryUser]]:
    """(how many match, one page), by id."""
    terms = [directory_users.c.deleted.is_(False), *map(_user_term, conditions)]
    total, rows = _page(connection, directory_users, tenant, terms, offset, limit)
    return total, _users(connection, tenant, rows)


def find_groups(
    connection: Connection,
    tenant: str,
    conditions: Collection[Condition],
    offset: int,
    limit: int,
) -> tuple[int, list[DirectoryGroup]]:
    """(how many match, one page), by id."""
    terms = list(map(_group_term, conditions))
    total, rows = _page(connection, directory_groups, tenant, terms, offset, limit)
    return total, _groups(connection, rows)


def user_values(profile: UserProfile) -> dict[str, Any]:
    """The columns a profile sets."""
    name = profile.display_name
    return {
        "external_id": profile.external_id,
        "user_name": profile.user_name,
        "user_name_key": name_key(profile.user_name),
        "display_name": name,
        "display_name_key": None if name is None else name_key(name),
        "active": profile.active,
        "disabled": profile.active is not True,
    }


def group_values(profile: GroupProfile) -> dict[str, Any]:
    """The columns a profile sets."""
    return {
        "external_id": profile.external_id,
        "display_name": profile.display_name,
        "display_name_key": name_key(profile.display_name),
    }


def _page(
    connection: Connection,
    table: Table,
    tenant: str,
    terms: Collection[ColumnElement[bool]],
    offset: int,
    limit: int,
) -> tuple[int, Sequence[Row[Any]]]:
    where = (table.c.tenant == tenant, *terms)
    total = connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
    key = next(iter(table.primary_key))
    page = select(table).where(*where).order_by(key).offset(offset).limit(limit)
    return int(total), connection.execute(page).all() if limit else []


def _user_term(condition: Condition) -> ColumnElement[bool]:
    users = directory_users.c
    match condition.attribute:
        case "active":
            # What was taken away is not active either.
            return users.disabled.is_(condition.value is not True)
        case "userName":
            return _named(users.user_name_key, condition)
        case "displayName":
            return _named(users.display_name_key, condition)
        case "externalId":
            return _equals(users.external_id, condition)
        case _:
            return _equals(users.user_id, condition)


def _group_term(condition: Condition) -> ColumnElement[bool]:
    groups = directory_groups.c
    match condition.attribute:
        case "displayName":
            return _named(groups.display_name_key, condition)
        case "externalId":
            return _equals(groups.external_id, condition)
        case "members":
            members = directory_members.c
            return exists().where(
                members.group_id == groups.group_id, _equals(members.member_id, condition)
            )
        case _:
            return _equals(groups.group_id, condition)


def _equals(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    value = str(condition.value)
    return column == value if is_storable(value) else false()


def _named(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    """Both sides are case folded, so that it does not matter that SQLite's LIKE ignores case."""
    key = name_key(str(condition.value))
    if not is_storable(key):
        return false()
    match condition.operator:
        case Operator.EQUALS:
            return column == key
        case Operator.STARTS_WITH:
            return column.startswith(key, autoescape=True)
        case Operator.CONTAINS:
            return column.contains(key, autoescape=True)


def _users(connection: Connection, tenant: str, rows: Sequence[Row[Any]]) -> list[DirectoryUser]:
    belongs: dict[str, list[GroupReference]] = {row.user_id: [] for row in rows}
    members, groups = directory_members.c, directory_groups.c
    for batch in batches(list(belongs), IN_LIMIT):
        found = connection.execute(
            select(members.member_id, groups.group_id, groups.display_name)
            .join(directory_groups, groups.group_id == members.group_id)
            .where(members.tenant == tenant, members.member_id.in_(batch))
            .order_by(groups.group_id)
        )
        for row in found:
            belongs[row.member_id].append(
                GroupReference(group_id=row.group_id, display_name=row.display_name)
            )
    return [
        DirectoryUser(
            user_id=row.user_id,
            tenant=row.tenant,
            profile=UserProfile(
                user_name=row.user_name,
                external_id=row.external_id,
                display_name=row.display_name,
                active=row.active,
            ),
            groups=tuple(belongs[row.user_id]),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def _groups(connection: Connection, rows: Sequence[Row[Any]]) -> list[DirectoryGroup]:
    kinds: dict[str, dict[str, MemberKind]] = {row.group_id: {} for row in rows}
    members = directory_members.c
    for batch in batches(list(kinds), IN_LIMIT):
        found = connection.execute(
            select(members.group_id, members.member_id, members.kind)
            .where(members.group_id.in_(batch))
            .order_by(members.group_id, members.member_id)
        )
        for row in found:
            kinds[row.group_id][row.member_id] = MemberKind(row.kind)
    return [
        DirectoryGroup(
            group_id=row.group_id,
            tenant=row.tenant,
            profile=GroupProfile(
                display_name=row.display_name,
                external_id=row.external_id,
                members=frozenset(kinds[row.group_id]),
            ),
            kinds=kinds[row.group_id],
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]
