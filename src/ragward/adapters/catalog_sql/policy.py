"""Policy rows and memberships in Casbin's table shape, and the history of who changed them.

Writes run in a transaction that has locked the tenant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from ragward.adapters.catalog_sql.schema import casbin_rule, policy_versions
from ragward.adapters.catalog_sql.tenants import move_policy_epoch, read_epoch
from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot

_VALUES = tuple(casbin_rule.c[f"v{position}"] for position in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """Single rows to add and to remove."""

    add_rows: frozenset[PolicyRow]
    remove_rows: frozenset[PolicyRow]
    add_memberships: frozenset[Membership]
    remove_memberships: frozenset[Membership]


def read_policy(connection: Connection, tenant: str) -> PolicySnapshot:
    """Rows, memberships and epoch. Raises `policy.invalid` for a row no version of this code wrote."""
    rows: list[PolicyRow] = []
    memberships: list[Membership] = []
    for row in connection.execute(
        select(casbin_rule.c.ptype, *_VALUES).where(casbin_rule.c.tenant == tenant)
    ):
        fields = list(row[1:])
        while (
            fields and fields[-1] is None
        ):  # a gap stays, and is refused: closing it would move values
            fields.pop()
        if row.ptype == "p":
            rows.append(PolicyRow.from_fields(fields))
        elif row.ptype == "g":
            memberships.append(Membership.from_fields(fields))
        else:
            raise InvalidRequestError("a stored row is neither p nor g", code="policy.invalid")
    return PolicySnapshot(
        tenant, read_epoch(connection, tenant), tuple(sorted(rows)), tuple(sorted(memberships))
    )


def valid_policy(
    tenant: str, rows: Iterable[PolicyRow], memberships: Iterable[Membership]
) -> PolicySnapshot:
    """These rows, sorted and once each. Raises `policy.invalid`, `principal.invalid`."""
    wanted = PolicySnapshot(tenant, 0, tuple(sorted(set(rows))), tuple(sorted(set(memberships))))
    wanted.validate()
    return wanted


def replace_policy(connection: Connection, wanted: PolicySnapshot, author: str, now: int) -> int:
    """Puts a policy in the place of whatever is there, even of rows that cannot be read; returns the new epoch."""
    connection.execute(delete(casbin_rule).where(casbin_rule.c.tenant == wanted.tenant))
    _insert(connection, wanted.tenant, wanted.rows, wanted.memberships)
    return _record(connection, wanted, author, now)


def change_policy(
    connection: Connection, tenant: str, change: PolicyChange, author: str, now: int
) -> int:
    """Adds and removes single rows; what is to be added and there already, or to be removed and absent, is fine."""
    before = read_policy(connection, tenant)
    old_rows, old_memberships = set(before.rows), set(before.memberships)
    rows = (old_rows - change.remove_rows) | change.add_rows
    memberships = (old_memberships - change.remove_memberships) | change.add_memberships
    wanted = valid_policy(tenant, rows, memberships)
    for row in old_rows - rows:
        connection.execute(delete(casbin_rule).where(_is_row(tenant, "p", row.fields())))
    for gone in old_memberships - memberships:
        connection.execute(
            delete(casbin_rule).where(_is_row(tenant, "g", (gone.member, gone.group)))
        )
    _insert(connection, tenant, rows - old_rows, memberships - old_memberships)
    return _record(connection, wanted, author, now)


def _is_row(tenant: str, ptype: str, fields: tuple[str, ...]) -> ColumnElement[bool]:
    return and_(
        casbin_rule.c.tenant == tenant,
        casbin_rule.c.ptype == ptype,
        *(column == value for column, value in zip(_VALUES, fields, strict=False)),
    )


def _insert(
    connection: Connection,
    tenant: str,
    rows: Iterable[PolicyRow],
    memberships: Iterable[Membership],
) -> None:
    lines: list[tuple[str, tuple[str | None, ...]]] = [("p", row.fields()) for row in sorted(rows)]
    lines += [
        ("g", (each.member, each.group, None, None, None, None)) for each in sorted(memberships)
    ]
    if lines:
        connection.execute(
            insert(casbin_rule),
            [
                {
                    "tenant": tenant,
                    "ptype": ptype,
                    **{f"v{position}": value for position, value in enumerate(values)},
                }
                for ptype, values in lines
            ],
        )


def _record(connection: Connection, policy: PolicySnapshot, author: str, now: int) -> int:
    """Writes the version down and moves the epoch."""
    connection.execute(
        insert(policy_versions).values(
            tenant=policy.tenant,
            epoch=read_epoch(connection, policy.tenant) + 1,
            author=author,
            at=now,
            digest=policy.digest(),
            rows="\n".join(", ".join(("p", *row.fields())) for row in policy.rows),
            memberships="\n".join(f"g, {m.member}, {m.group}" for m in policy.memberships),
        )
    )
    return move_policy_epoch(connection, policy.tenant)
