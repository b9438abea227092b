"""`ports.DirectoryStore`, as a part of the catalog: people, groups, and the policy memberships that follow from them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, delete, insert, select, update

from ragward.adapters.catalog_sql import directory_rows as rows
from ragward.adapters.catalog_sql.authority import People, RootKeeper, changing
from ragward.adapters.catalog_sql.authority_rows import DISABLED, POLICY, PROPOSALS, VERSIONS
from ragward.adapters.catalog_sql.connection import Database
from ragward.adapters.catalog_sql.directory_members import effective, follow, write_members
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
    UserProfile,
    user_principal,
)


class SQLDirectory:
    """The catalog inherits this. Each method is one transaction."""

    _database: Database
    _now: Callable[[], int]
    _keeper: RootKeeper | None

    def is_disabled(self, tenant: str, principal: str) -> bool:
        prefix = user_principal(tenant, "")
        if not principal.startswith(prefix):
            return False
        return rows.is_disabled(self._database, tenant, principal.removeprefix(prefix))

    def disabled(self, tenant: str) -> frozenset[str]:
        with self._database.read(tenant) as connection:
            names = rows.disabled_external_ids(connection, tenant)
        return frozenset(user_principal(tenant, name) for name in names)

    # People

    def create_user(self, tenant: str, profile: UserProfile, author: str) -> DirectoryUser:  # noqa: ARG002 - a new person is in no group, so no policy version names its author
        profile.validate(tenant)
        now, user_id = self._now(), str(uuid.uuid4())
        users = directory_users.c
        touched = _with_external_id(tenant, user_id, profile.external_id)
        with self._changing(tenant, touched) as connection:
            if profile.external_id is not None:
                connection.execute(
                    delete(directory_users).where(
                        users.tenant == tenant,
                        users.external_id == profile.external_id,
                        users.deleted.is_(True),
                    )
                )
            connection.execute(
                insert(directory_users).values(
                    user_id=user_id,
                    tenant=tenant,
                    deleted=False,
                    version=1,
                    created_at=now,
                    updated_at=now,
                    **rows.user_values(profile),
                )
            )
            return rows.read_user(connection, tenant, user_id)

    def get_user(self, tenant: str, user_id: str) -> DirectoryUser:
        with self._database.read(tenant) as connection:
            return rows.read_user(connection, tenant, user_id)

    def replace_user(
        self, before: DirectoryUser, profile: UserProfile, author: str
    ) -> DirectoryUser:
        before.require_change(profile)
        profile.validate(before.tenant)
        with self._changing(before.tenant, lambda _: (before.user_id,)) as connection:
            rows.require_user(connection, before)
            values = rows.user_values(profile)
            self._change_user(connection, before, {**values, "updated_at": self._now()}, author)
            return rows.read_user(connection, before.tenant, before.user_id)

    def delete_user(self, before: DirectoryUser, author: str) -> None:
        users, members = directory_users.c, directory_members.c
        with self._changing(before.tenant, lambda _: (before.user_id,)) as connection:
            rows.require_user(connection, before)
            nameless = dict.fromkeys(
                ("user_name", "user_name_key", "display_name", "display_name_key")
            )
            gone = {"active": False, "disabled": True, "deleted": True, **nameless}
            self._change_user(connection, before, gone, author)
            connection.execute(
                delete(directory_members).where(
                    members.tenant == before.tenant, members.member_id == before.user_id
                )
            )
            if before.profile.external_id is None:  # nobody to keep out
                connection.execute(delete(directory_users).where(users.user_id == before.user_id))

    def _change_user(
        self, connection: Connection, before: DirectoryUser, values: dict[str, object], author: str
    ) -> None:
        """Writes the columns, and the memberships that follow."""
        theirs = directory_members.c.member_id == before.user_id
        had = effective(connection, before.tenant, theirs)
        connection.execute(
            update(directory_users)
            .where(directory_users.c.user_id == before.user_id)
            .values(**values, version=directory_users.c.version + 1)
        )
        has = effective(connection, before.tenant, theirs)
        follow(connection, before.tenant, before=had, after=has, author=author, now=self._now())

    def list_users(
        self, tenant: str, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryUser]]:
        with self._database.read(tenant) as connection:
            return rows.find_users(connection, tenant, conditions, offset, limit)

    def _changing(self, tenant: str, people: People) -> AbstractContextManager[Connection]:
        sections = (POLICY, PROPOSALS, VERSIONS, DISABLED)
        return changing(self._database, self._keeper, tenant, *sections, people=people)

    # Groups

    def create_group(self, tenant: str, profile: GroupProfile, author: str) -> DirectoryGroup:
        profile.validate()
        now, group_id = self._now(), str(uuid.uuid4())
        with self._changing(tenant, lambda _: profile.members) as connection:
            connection.execute(
                insert(directory_groups).values(
                    group_id=group_id,
                    tenant=tenant,
                    version=1,
                    created_at=now,
                    updated_at=now,
                    **rows.group_values(profile),
                )
            )
            if profile.members:
                self._change_members(connection, tenant, group_id, profile.members, author)
            return rows.read_group(connection, tenant, group_id)

    def get_group(self, tenant: str, group_id: str) -> DirectoryGroup:
        with self._database.read(tenant) as connection:
            return rows.read_group(connection, tenant, group_id)

    def replace_group(
        self, before: DirectoryGroup, profile: GroupProfile, author: str
    ) -> DirectoryGroup:
        profile.validate()
        tenant, group_id = before.tenant, before.group_id
        with self._changing(tenant, _moved(group_id, profile.members)) as connection:
            rows.require_group(connection, before)
            connection.execute(
                update(directory_groups)
                .where(directory_groups.c.group_id == group_id)
                .values(
                    **rows.group_values(profile),
                    version=directory_groups.c.version + 1,
                    updated_at=self._now(),
                )
            )
            if profile.members != before.profile.members:
                self._change_members(connection, tenant, group_id, profile.members, author)
            return rows.read_group(connection, tenant, group_id)

    def delete_group(self, before: DirectoryGroup, author: str) -> None:
        members, group_id = directory_members.c, before.group_id
        involved = (members.group_id == group_id) | (members.member_id == group_id)
        with self._changing(before.tenant, _moved(group_id, frozenset())) as connection:
            rows.require_group(connection, before)
            had = effective(connection, before.tenant, involved)
            connection.execute(
                delete(directory_members).where(members.tenant == before.tenant, involved)
            )
            connection.execute(
                delete(directory_groups).where(directory_groups.c.group_id == group_id)
            )
            follow(
                connection, before.tenant, before=had, after=set(), author=author, now=self._now()
            )

    def _change_members(
        self,
        connection: Connection,
        tenant: str,
        group_id: str,
        members: frozenset[str],
        author: str,
    ) -> None:
        inside = directory_members.c.group_id == group_id
        had = effective(connection, tenant, inside)
        write_members(connection, tenant, group_id, members)
        has = effective(connection, tenant, inside)
        follow(connection, tenant, before=had, after=has, author=author, now=self._now())

    def list_groups(
        self, tenant: str, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryGroup]]:
        with self._database.read(tenant) as connection:
            return rows.find_groups(connection, tenant, conditions, offset, limit)


def _with_external_id(tenant: str, user_id: str, external_id: str | None) -> People:
    """A new person, and whoever had their external id before."""
    users = directory_users.c
    had = select(users.user_id).where(users.tenant == tenant, users.external_id == external_id)

    def found(connection: Connection) -> Iterable[str]:
        earlier = () if external_id is None else connection.execute(had).scalars()
        return (user_id, *earlier)

    return found


def _moved(group_id: str, wanted: frozenset[str]) -> People:
    """Who comes into a group or leaves it, and, as a member of others, the group."""
    members = directory_members.c

    def found(connection: Connection) -> Iterable[str]:
        present = connection.execute(
            select(members.member_id).where(members.group_id == group_id)
        ).scalars()
        return {group_id} | (wanted ^ set(present))

    return found
