"""Policy rows and memberships in Casbin's table shape; every write adds to the history.

Writes run in a transaction that has locked the tenant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from ragward.adapters.catalog_sql import policy_history
from ragward.adapters.catalog_sql.authority_rows import ELEVATIONS, read_section
from ragward.adapters.catalog_sql.schema import casbin_rule
from ragward.adapters.catalog_sql.tenants import move_policy_epoch, read_epoch
from ragward.domain.errors import ConflictError, InvalidRequestError
from ragward.domain.policy import (
    MANY_ROWS,
    Membership,
    PolicyRow,
    PolicySnapshot,
    TimedMembership,
    in_order,
)
from ragward.domain.policy_change import PolicyDiff, PolicyEdit

_VALUES = tuple(casbin_rule.c[f"v{position}"] for position in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Who writes a policy, when (Unix seconds) and why."""

    author: str
    at: int
    reason: str
    approved_by: str | None = None


def read_policy(connection: Connection, tenant: str) -> PolicySnapshot:
    """Rows, memberships and epoch. Raises `policy.invalid` for a row no version of this code wrote."""
    stored = connection.execute(
        select(casbin_rule.c.ptype, *_VALUES).where(casbin_rule.c.tenant == tenant)
    ).all()
    version = policy_history.latest_version(connection, tenant)
    epoch = read_epoch(connection, tenant)
    return snapshot_of(tenant, epoch, version, stored, read_section(connection, tenant, ELEVATIONS))


def snapshot_of(
    tenant: str,
    epoch: int,
    version: int,
    stored: Iterable[Sequence[Any]],
    timed: Iterable[Sequence[Any]],
) -> PolicySnapshot:
    """Of (ptype, v0, ..., v5) and of `authority_rows.ELEVATION_COLUMNS` as they are stored. Raises `policy.invalid`."""
    rows: list[PolicyRow] = []
    memberships: list[Membership] = []
    for row in stored:
        fields = list(row[1:])
        while (
            fields and fields[-1] is None
        ):  # a gap stays, and is refused: closing it would move values
            fields.pop()
        if row[0] == "p":
            rows.append(PolicyRow.from_fields(fields))
        elif row[0] == "g":
            memberships.append(_membership(*fields))
        else:
            raise InvalidRequestError("a stored row is neither p nor g", code="policy.invalid")
    return PolicySnapshot(
        tenant,
        epoch,
        tuple(sorted(rows)),
        in_order(memberships),
        version,
        tuple(sorted(TimedMembership(*row) for row in timed)),
    )


@lru_cache(maxsize=MANY_ROWS, typed=True)
def _membership(*fields: str) -> Membership:
    return Membership.from_fields(fields)


def require_version(connection: Connection, tenant: str, expected: int | None) -> None:
    """Raises `policy.conflict` unless this is the version in force; None is any."""
    found = policy_history.latest_version(connection, tenant)
    if expected not in (None, found):
        raise ConflictError(
            f"the policy in force is version {found}, not {expected}", code="policy.conflict"
        )


def valid_policy(
    tenant: str, rows: Iterable[PolicyRow], memberships: Iterable[Membership]
) -> PolicySnapshot:
    """These rows, sorted and once each. Raises `policy.invalid`, `principal.invalid`."""
    wanted = PolicySnapshot(tenant, 0, tuple(sorted(set(rows))), in_order(set(memberships)))
    wanted.validate()
    return wanted


def replace_policy(connection: Connection, wanted: PolicySnapshot, written: Written) -> int:
    """Puts a policy in the place of whatever is there, even of rows that cannot be read; returns the new epoch."""
    connection.execute(delete(casbin_rule).where(casbin_rule.c.tenant == wanted.tenant))
    _insert(connection, wanted.tenant, wanted.rows, wanted.memberships)
    return _record(connection, wanted, written)


def change_policy(connection: Connection, tenant: str, change: PolicyEdit, written: Written) -> int:
    """Adds and removes single rows; what is to be added and there already, or to be removed and absent, is fine."""
    before = read_policy(connection, tenant)
    wanted = change.applied_to(before)
    wanted.validate()
    diff = PolicyDiff.between(before, wanted)
    for row in diff.removed_rows:
        connection.execute(delete(casbin_rule).where(_is_row(tenant, "p", row.fields())))
    for gone in diff.removed_memberships:
        connection.execute(
            delete(casbin_rule).where(_is_row(tenant, "g", (gone.member, gone.group)))
        )
    _insert(connection, tenant, diff.added_rows, diff.added_memberships)
    return _record(connection, wanted, written)


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


def _record(connection: Connection, policy: PolicySnapshot, written: Written) -> int:
    """Writes the version down, ends the proposals that were based on another one, and moves the epoch."""
    policy_history.add_version(
        connection,
        policy,
        number=read_epoch(connection, policy.tenant) + 1,
        author=written.author,
        at=written.at,
        reason=written.reason,
        approved_by=written.approved_by,
    )
    policy_history.supersede_proposals(connection, policy.tenant, written.at)
    return move_policy_epoch(connection, policy.tenant)
