"""Signing authority rows as they are written, and reading them as they were signed.

A write is refused where the rows it begins with are not those of the root: otherwise the next honest write would sign what
somebody put there. It reads and signs again only the sections that it touches; the other digests come from the root before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, Self

from sqlalchemy import Connection, select

from ragward.adapters.catalog_sql import authority_rows as rows
from ragward.adapters.catalog_sql.applications import agent_of, application_of
from ragward.adapters.catalog_sql.connection import Database, insert_or_ignore, parse_url
from ragward.adapters.catalog_sql.policy import snapshot_of
from ragward.adapters.catalog_sql.policy_history import latest_version
from ragward.adapters.catalog_sql.schema import (
    agents,
    applications,
    directory_members,
    policy_roots,
    tenants,
)
from ragward.adapters.catalog_sql.tenants import lock_tenant, read_epoch
from ragward.domain.errors import IntegrityError
from ragward.domain.policy_roots import (
    Authority,
    PolicyRoot,
    RootState,
    SignedKey,
    differing,
    root_error,
    rows_digest,
)

People = Callable[[Connection], Iterable[str]]
"""Ids of people and groups whose directory rows a write touches, known once it has the tenant's lock."""


class RootKeeper(Protocol):
    """Whoever verifies roots, and signs them if they have the key."""

    @property
    def model(self) -> str:
        """SHA-256 of the model in force."""

    def opened(self, note: str, tenant: str) -> PolicyRoot:
        """Raises `integrity.policy_root`."""

    def sign(self, root: PolicyRoot) -> str:
        """Raises `unavailable.policy_key`."""

    def require_key(self) -> None:
        """Raises `unavailable.policy_key`."""

    def newest(self, tenant: str) -> PolicyRoot | None:
        """The newest that was seen outside the database."""

    def keep(self, tenant: str, note: str) -> None:
        """Outside the database, unless a newer one is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The root in force, verified, and the digests of people it covers."""

    root: PolicyRoot | None
    buckets: bytes


@contextmanager
def changing(
    database: Database,
    keeper: RootKeeper | None,
    tenant: str,
    *sections: str,
    overwritten: Collection[str] = (),
    people: People | None = None,
    all_people: bool = False,
) -> Iterator[Connection]:
    """A write transaction that has locked the tenant, signed at its end. `sections` are those that it changes, `overwritten`
    those of which nothing is kept. Raises `integrity.policy_root`, `unavailable.policy_key`."""
    note = ""
    with database.write(tenant) as connection:
        lock_tenant(connection, tenant)
        if keeper is None:
            yield connection
            return
        keeper.require_key()
        held = _required(connection, keeper, tenant)
        touched = sorted({rows.bucket_of(each) for each in people(connection)} if people else ())
        if held.root is None:
            _require_nothing(connection, tenant)
        else:
            _require_signed(connection, held, tenant, set(sections) - set(overwritten), touched)
            if all_people and rows.all_buckets(connection, tenant) != held.buckets:
                raise root_error("people of the directory are not what was signed")
        yield connection
        note = _sign(connection, keeper, tenant, held, sections, touched)
    keeper.keep(tenant, note)


class SQLAuthority:
    """What decisions are made from, as it was signed. Every method raises `unavailable.catalog`."""

    def __init__(self, database: Database, keeper: RootKeeper) -> None:
        self._database, self._keeper = database, keeper

    @classmethod
    def open(cls, database_url: str, keeper: RootKeeper) -> Self:
        """On a catalog that `SQLCatalog.open` has checked."""
        return cls(Database(parse_url(database_url)), keeper)

    def close(self) -> None:
        """Releases connections."""
        self._database.close()

    def verified(self, tenant: str, known: Authority | None = None) -> Authority:
        """Everything that is read before deciding, in one snapshot. `known`, which was verified before, is it as long as its root
        is the one in force: it is what was signed, whatever the rows are now. Raises `integrity.policy_root`."""
        with self._database.read(tenant) as connection:
            note, root = _root_of(connection, self._keeper, tenant)
            if known is not None and root is not None and known.root == root:
                self._require_epochs(connection, tenant, root)
                return known
            found = {name: rows.read_section(connection, tenant, name) for name in rows.DECIDING}
            epoch = read_epoch(connection, tenant)
            version = latest_version(connection, tenant)
            if root is None:
                if any(found.values()):
                    raise root_error("the tenant has no root: run `ragward policy sign`")
            else:
                self._require(connection, tenant, root, found)
        if root is not None and note is not None:
            self._keeper.keep(tenant, note)
        named = [
            application_of(dict(zip(_APPLICATION, row, strict=True)))
            for row in found[rows.APPLICATIONS]
        ]
        return Authority(
            root=root,
            policy=lambda: snapshot_of(
                tenant, epoch, version, found[rows.POLICY], found[rows.ELEVATIONS]
            ),
            applications={each.client_id: each for each in named},
            keys={prefix: SignedKey(*key) for prefix, *key in found[rows.KEYS]},
            agents={
                agent.principal: agent
                for agent in (
                    agent_of(dict(zip(_AGENT, row, strict=True))) for row in found[rows.AGENTS]
                )
            },
            disabled=frozenset(name for (name,) in found[rows.DISABLED]),
        )

    def _require(
        self,
        connection: Connection,
        tenant: str,
        root: PolicyRoot,
        found: dict[str, list[tuple[object, ...]]],
    ) -> None:
        if root.model != self._keeper.model:
            raise root_error("model.conf is not the one that was signed")
        self._require_epochs(connection, tenant, root)
        wrong = differing(root, {name: rows_digest(those) for name, those in found.items()})  # type: ignore[arg-type]  # whatever the database holds
        if wrong:
            raise root_error(f"not what was signed: {', '.join(wrong)}")

    def _require_epochs(self, connection: Connection, tenant: str, root: PolicyRoot) -> None:
        epoch = rows.read_policy_epoch(connection, tenant)
        if epoch != root.epoch:
            raise root_error(f"the policy's epoch is {epoch}, the root's {root.epoch}")
        if read_epoch(connection, tenant) < root.epoch:
            raise root_error("the tenant's epoch is lower than its policy's")

    def tenants(self) -> Sequence[str]:
        """Everybody who has rows here."""
        with self._database.read_across_tenants() as connection:
            return list(
                connection.execute(select(tenants.c.tenant).order_by(tenants.c.tenant)).scalars()
            )

    def state(self, tenant: str) -> RootState:
        """All sections, also those that are read only when something is written."""
        with self._database.read(tenant) as connection:
            try:
                _, root = _root_of(connection, self._keeper, tenant)
            except IntegrityError as error:
                return RootState(tenant=tenant, root=None, problem=error.detail, is_wrong=True)
            found = _everything(connection, tenant)[0]
            epoch = rows.read_policy_epoch(connection, tenant)
        if root is None:
            return RootState(tenant=tenant, root=None, problem="there is no root")
        wrong = differing(root, found)
        problem = f"not what was signed: {', '.join(wrong)}" if wrong else ""
        if epoch != root.epoch:
            problem = f"the policy's epoch is {epoch}, the root's {root.epoch}"
        if root.model != self._keeper.model:
            problem = "model.conf is not the one that was signed"
        return RootState(tenant=tenant, root=root, problem=problem, is_wrong=bool(problem))

    def sign(self, tenant: str) -> PolicyRoot:
        """Signs what is there, whatever it is: the operator has looked. Raises `unavailable.policy_key`."""
        self._keeper.require_key()
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            newest = self._keeper.newest(tenant)
            stored = connection.execute(_NOTE.where(policy_roots.c.tenant == tenant)).one_or_none()
            serial = 0 if newest is None else newest.serial
            if stored is not None:
                with suppress(IntegrityError):  # what cannot be read has no number to go on from
                    serial = max(serial, self._keeper.opened(stored.note, tenant).serial)
            found, buckets = _everything(connection, tenant)
            root = PolicyRoot(
                tenant=tenant,
                serial=serial + 1,
                epoch=rows.read_policy_epoch(connection, tenant),
                model=self._keeper.model,
                sections=found,
            )
            note = self._keeper.sign(root)
            _write(connection, tenant, note, buckets)
        self._keeper.keep(tenant, note)
        return root


def require_versions(connection: Connection, keeper: RootKeeper | None, tenant: str) -> None:
    """Before an earlier policy is put back. Raises `integrity.policy_root`."""
    if keeper is None:
        return
    _, root = _root_of(connection, keeper, tenant)
    if root is not None:
        head, _ = rows.chain_of_versions(connection, tenant)
        if head != root.sections.get(rows.VERSIONS):
            raise root_error("the versions of the policy are not what was signed")


_NOTE = select(policy_roots.c.note, policy_roots.c.buckets)
_APPLICATION = tuple(column.name for column in applications.c)
_AGENT = tuple(column.name for column in agents.c)


def _root_of(
    connection: Connection, keeper: RootKeeper, tenant: str
) -> tuple[str | None, PolicyRoot | None]:
    """The root in force; older ones, and none where there was one, do not count."""
    note = connection.execute(
        select(policy_roots.c.note).where(policy_roots.c.tenant == tenant)
    ).scalar()
    root = None if note is None else keeper.opened(note, tenant)
    newest = keeper.newest(tenant)
    if newest is not None and (root is None or root.serial < newest.serial):
        raise root_error("a newer root than the database's was seen: it was put back")
    if newest is not None and root is not None and root.serial == newest.serial and root != newest:
        raise root_error("two roots have one number")
    return note, root


def _required(connection: Connection, keeper: RootKeeper, tenant: str) -> _Held:
    _, root = _root_of(connection, keeper, tenant)
    row = connection.execute(_NOTE.where(policy_roots.c.tenant == tenant)).one_or_none()
    buckets = b"" if row is None else row.buckets
    if root is not None and rows.buckets_digest(buckets) != root.sections.get(rows.PEOPLE):
        raise root_error("digests of the directory are not what was signed")
    return _Held(root=root, buckets=buckets)


def _require_nothing(connection: Connection, tenant: str) -> None:
    """A first root is signed over nothing that was there before."""
    there = [name for name in rows.whole_sections() if rows.read_section(connection, tenant, name)]
    somebody = connection.execute(
        select(directory_members.c.member_id).where(directory_members.c.tenant == tenant).limit(1)
    ).scalar()
    if there or somebody or rows.chain_of_versions(connection, tenant)[1]:
        raise root_error("the tenant has no root: run `ragward policy sign`")


def _require_signed(
    connection: Connection,
    held: _Held,
    tenant: str,
    sections: Collection[str],
    touched: Iterable[int],
) -> None:
    assert held.root is not None
    root = held.root
    if rows.read_policy_epoch(connection, tenant) != root.epoch:
        raise root_error("the policy's epoch is not the root's")
    found = {
        name: rows.section_digest(connection, tenant, name)
        for name in sections
        if name not in (rows.VERSIONS, rows.PEOPLE)
    }
    if wrong := differing(root, found):
        raise root_error(f"not what was signed: {', '.join(wrong)}")
    if rows.chain_of_versions(connection, tenant, after=root.epoch)[1]:
        raise root_error("there is a version of the policy that was not signed")
    for bucket in touched:
        if rows.bucket_digest(connection, tenant, bucket) != rows.digest_in(held.buckets, bucket):
            raise root_error("people of the directory are not what was signed")


def _sign(
    connection: Connection,
    keeper: RootKeeper,
    tenant: str,
    held: _Held,
    sections: Collection[str],
    touched: Iterable[int],
) -> str:
    """The next root, in its row."""
    before = held.root
    if before is None:
        found, buckets = _everything(connection, tenant)
    else:
        found, buckets = dict(before.sections), held.buckets
        for name in sections:
            if name == rows.VERSIONS:
                head = before.sections[rows.VERSIONS]
                found[name], _ = rows.chain_of_versions(
                    connection, tenant, after=before.epoch, head=head
                )
            else:
                found[name] = rows.section_digest(connection, tenant, name)
        for bucket in touched:
            digest = rows.bucket_digest(connection, tenant, bucket)
            buckets = rows.with_bucket(buckets, bucket, digest)
        found[rows.PEOPLE] = rows.buckets_digest(buckets)
    root = PolicyRoot(
        tenant=tenant,
        serial=1 if before is None else before.serial + 1,
        epoch=rows.read_policy_epoch(connection, tenant),
        model=keeper.model if before is None else before.model,
        sections=found,
    )
    note = keeper.sign(root)
    _write(connection, tenant, note, buckets)
    return note


def _everything(connection: Connection, tenant: str) -> tuple[dict[str, bytes], bytes]:
    """(digests of all sections, digests of all buckets)."""
    found = {name: rows.section_digest(connection, tenant, name) for name in rows.whole_sections()}
    buckets = rows.all_buckets(connection, tenant)
    found[rows.VERSIONS], _ = rows.chain_of_versions(connection, tenant)
    found[rows.PEOPLE] = rows.buckets_digest(buckets)
    return found, buckets


def _write(connection: Connection, tenant: str, note: str, buckets: bytes) -> None:
    values = {"note": note, "buckets": buckets}
    connection.execute(insert_or_ignore(connection, policy_roots).values(tenant=tenant, **values))
    connection.execute(
        policy_roots.update().where(policy_roots.c.tenant == tenant).values(**values)
    )
