"""From who is in which directory group to memberships of the policy, in the transaction that changes either.

Memberships in `group:<tenant>/scim-...` are the directory's alone: whatever else writes policy, they are exactly what the
tables here say, so that an old policy file brought in again cannot give back what the directory took away.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches, is_storable
from ragward.adapters.catalog_sql.policy import Written, change_policy
from ragward.adapters.catalog_sql.schema import (
    directory_groups,
    directory_members,
    directory_users,
)
from ragward.adapters.catalog_sql.tenants import move_epoch
from ragward.domain.directory import (
    MemberKind,
    group_namespace,
    group_principal,
    user_principal,
)
from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy import Membership, PolicySnapshot, in_order
from ragward.domain.policy_change import PolicyEdit


def effective(connection: Connection, tenant: str, *only: ColumnElement[bool]) -> set[Membership]:
    """The memberships that follow from the directory now: active people with a principal, and groups."""
    users = directory_users
    rows = connection.execute(
        select(directory_members, users.c.external_id, users.c.disabled)
        .outerjoin(
            users,
            and_(users.c.user_id == directory_members.c.member_id, users.c.tenant == tenant),
        )
        .where(directory_members.c.tenant == tenant, *only)
    )
    found = set()
    for row in rows:
        group = group_principal(tenant, row.group_id)
        if row.kind == MemberKind.GROUP:
            found.add(Membership(group_principal(tenant, row.member_id), group))
        elif row.external_id is not None and row.disabled is False:
            found.add(Membership(user_principal(tenant, row.external_id), group))
    return found


def follow(
    connection: Connection,
    tenant: str,
    *,
    before: set[Membership],
    after: set[Membership],
    author: str,
    now: int,
) -> None:
    """Brings the policy from `before` to `after` and moves the epoch. Raises `policy.invalid` for a cycle or a depth over 9."""
    if before == after:
        move_epoch(connection, tenant)
        return
    change = PolicyEdit(
        add_rows=frozenset(),
        remove_rows=frozenset(),
        add_memberships=frozenset(after - before),
        remove_memberships=frozenset(before - after),
    )
    written = Written(author=author, at=now, reason="the directory")
    change_policy(connection, tenant, change, written)


def governed(connection: Connection, wanted: PolicySnapshot) -> PolicySnapshot:
    """`wanted` with the directory's own memberships in place of any it has for directory groups."""
    namespace = group_namespace(wanted.tenant)
    others = {m for m in wanted.memberships if not m.group.startswith(namespace)}
    memberships = others | effective(connection, wanted.tenant)
    if memberships == set(wanted.memberships):
        return wanted
    merged = PolicySnapshot(wanted.tenant, wanted.epoch, wanted.rows, in_order(memberships))
    merged.validate()
    return merged


def without_directory(tenant: str, memberships: Collection[Membership]) -> frozenset[Membership]:
    """Those that policy administration may add or remove."""
    namespace = group_namespace(tenant)
    return frozenset(m for m in memberships if not m.group.startswith(namespace))


def write_members(
    connection: Connection, tenant: str, group_id: str, members: frozenset[str]
) -> None:
    """Makes the group's members exactly these. Raises `request.invalid` for one the tenant does not have."""
    present = set(
        connection.execute(
            select(directory_members.c.member_id).where(directory_members.c.group_id == group_id)
        ).scalars()
    )
    added = members - present
    kinds = _kinds(connection, tenant, added)
    if added - kinds.keys():
        raise InvalidRequestError("a member is neither a user nor a group here")
    for batch in batches(sorted(present - members), IN_LIMIT):
        connection.execute(
            delete(directory_members).where(
                directory_members.c.group_id == group_id, directory_members.c.member_id.in_(batch)
            )
        )
    if added:
        connection.execute(
            insert(directory_members),
            [
                {"group_id": group_id, "member_id": each, "tenant": tenant, "kind": kinds[each]}
                for each in sorted(added)
            ],
        )


def _kinds(connection: Connection, tenant: str, members: Collection[str]) -> dict[str, MemberKind]:
    users, groups = directory_users.c, directory_groups.c
    found: dict[str, MemberKind] = {}
    for batch in batches(sorted(each for each in members if is_storable(each)), IN_LIMIT):
        for statement, kind in (
            (
                select(users.user_id).where(
                    users.tenant == tenant, users.user_id.in_(batch), users.deleted.is_(False)
                ),
                MemberKind.USER,
            ),
            (
                select(groups.group_id).where(groups.tenant == tenant, groups.group_id.in_(batch)),
                MemberKind.GROUP,
            ),
        ):
            found |= dict.fromkeys(connection.execute(statement).scalars(), kind)
    return found
