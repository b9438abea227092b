"""Authority rows as sections of a policy root, each read whole, but people, who are read in buckets.

    policy         rows and memberships
    applications   what each may see, until when
    keys           digests of applications' and agents' keys
    agents         through which application each acts, until when
    elevations     memberships for a time that were given and not taken back
    disabled       people the directory has taken away
    proposals      policy that waits for a second person
    versions       every policy there was, as a chain: a write adds to it without reading it
    people         who is who in the directory, and in which group: 256 buckets by their id, which are random

Nothing else of the database is authority. Labels are not here: whoever ingests writes them, and what lies under one opens
only under it (`domain.envelope.WrappingContext`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, select

from ragward.adapters.catalog_sql.schema import (
    agents,
    application_keys,
    applications,
    casbin_rule,
    directory_members,
    directory_users,
    elevations,
    policy_proposals,
    policy_versions,
    tenants,
)
from ragward.domain.policy_change import ProposalState
from ragward.domain.policy_roots import EMPTY_CHAIN, chained, rows_digest

POLICY: Final = "policy"
APPLICATIONS: Final = "applications"
KEYS: Final = "keys"
AGENTS: Final = "agents"
ELEVATIONS: Final = "elevations"
DISABLED: Final = "disabled"
PROPOSALS: Final = "proposals"
VERSIONS: Final = "versions"
PEOPLE: Final = "people"
DECIDING: Final = (POLICY, APPLICATIONS, KEYS, AGENTS, ELEVATIONS, DISABLED)
"""What is read before anything is decided."""
BUCKETS: Final = 256
_BYTES: Final = 32

KEY_COLUMNS: Final = ("prefix", "sha256", "client_id", "agent", "expires_at")
ELEVATION_COLUMNS: Final = ("member", "role", "not_before", "not_after", "emergency")

_users, _members, _proposals = directory_users.c, directory_members.c, policy_proposals.c
_Whole = tuple[Table, tuple[Column[Any], ...], tuple[ColumnElement[bool], ...]]
_WHOLE: Final[Mapping[str, _Whole]] = {
    POLICY: (
        casbin_rule,
        (casbin_rule.c.ptype, *(casbin_rule.c[f"v{position}"] for position in range(6))),
        (),
    ),
    APPLICATIONS: (applications, tuple(applications.c), ()),
    KEYS: (
        application_keys,
        tuple(application_keys.c[name] for name in KEY_COLUMNS),
        (),
    ),
    AGENTS: (agents, tuple(agents.c), ()),
    ELEVATIONS: (
        elevations,
        tuple(elevations.c[name] for name in ELEVATION_COLUMNS),
        (elevations.c.not_after != 0, elevations.c.revoked_at.is_(None)),
    ),
    DISABLED: (
        directory_users,
        (_users.external_id,),
        (_users.disabled.is_(True), _users.external_id.is_not(None)),
    ),
    PROPOSALS: (
        policy_proposals,
        tuple(column for column in _proposals if column.name not in ("rows", "memberships")),
        (_proposals.state == ProposalState.PENDING.value,),
    ),
}
_VERSION: Final = (
    policy_versions.c.epoch,
    policy_versions.c.digest,
    policy_versions.c.author,
    policy_versions.c.at,
    policy_versions.c.approved_by,
)
_USER: Final = (_users.user_id, _users.external_id, _users.disabled, _users.deleted)
_MEMBER: Final = (_members.member_id, _members.group_id, _members.kind)


def read_section(connection: Connection, tenant: str, name: str) -> list[tuple[Any, ...]]:
    """The rows of a section that is read whole."""
    table, columns, where = _WHOLE[name]
    rows = connection.execute(select(*columns).where(table.c.tenant == tenant, *where))
    return [tuple(row) for row in rows.all()]  # at once: one by one takes several times as long


def section_digest(connection: Connection, tenant: str, name: str) -> bytes:
    """Of a section that is read whole."""
    return rows_digest(read_section(connection, tenant, name))


def whole_sections() -> Iterable[str]:
    """Names of the sections that are read whole."""
    return _WHOLE


def read_policy_epoch(connection: Connection, tenant: str) -> int:
    """0 for a tenant nobody wrote to."""
    wanted = select(tenants.c.policy_epoch).where(tenants.c.tenant == tenant)
    return int(connection.execute(wanted).scalar() or 0)


def chain_of_versions(
    connection: Connection, tenant: str, *, after: int = -1, head: bytes = EMPTY_CHAIN
) -> tuple[bytes, int]:
    """(the chain's head with the versions numbered above `after`, how many they are)."""
    rows = connection.execute(
        select(*_VERSION)
        .where(policy_versions.c.tenant == tenant, policy_versions.c.epoch > after)
        .order_by(policy_versions.c.epoch)
    ).all()
    for row in rows:
        head = chained(head, tuple(row))
    return head, len(rows)


def bucket_of(person: object) -> int:
    """Where a user's or a member's id belongs; ids are random UUIDs, and whatever else is there belongs somewhere, too."""
    if not isinstance(person, str):
        return BUCKETS - 1  # SQLite sorts what is no text behind all text
    low, high = 0, BUCKETS
    while high - low > 1:  # by the order the database has, so that one range is one bucket
        middle = (low + high) // 2
        low, high = (middle, high) if person >= f"{middle:02x}" else (low, middle)
    return low


def bucket_digest(connection: Connection, tenant: str, bucket: int) -> bytes:
    """Of the people and memberships in one bucket."""
    rows: list[tuple[Any, ...]] = []
    for table, key, columns in (
        (directory_users, _users.user_id, _USER),
        (directory_members, _members.member_id, _MEMBER),
    ):
        where = [table.c.tenant == tenant]
        if bucket > 0:
            where.append(key >= f"{bucket:02x}")
        if bucket < BUCKETS - 1:
            where.append(key < f"{bucket + 1:02x}")
        found = connection.execute(select(*columns).where(*where))
        rows += [(table.name, *row) for row in found]
    return rows_digest(rows)


def all_buckets(connection: Connection, tenant: str) -> bytes:
    """The digests of all buckets, one after the other; of two reads, not of 512."""
    rows: list[list[tuple[Any, ...]]] = [[] for _ in range(BUCKETS)]
    for table, columns in ((directory_users, _USER), (directory_members, _MEMBER)):
        for row in connection.execute(select(*columns).where(table.c.tenant == tenant)):
            rows[bucket_of(row[0])].append((table.name, *row))
    return b"".join(map(rows_digest, rows))


def with_bucket(buckets: bytes, bucket: int, digest: bytes) -> bytes:
    """The digests of all buckets with another one for this."""
    return buckets[: bucket * _BYTES] + digest + buckets[(bucket + 1) * _BYTES :]


def digest_in(buckets: bytes, bucket: int) -> bytes:
    """The digest of one bucket among all."""
    return buckets[bucket * _BYTES : (bucket + 1) * _BYTES]


def buckets_digest(buckets: bytes) -> bytes:
    """What a root says of all buckets."""
    return hashlib.sha256(buckets).digest()
