"""The second line between tenants: what PostgreSQL gives and takes whatever a statement says.

Catalogs here are open as an ordinary role; `behind` is the superuser, whom nothing holds.
"""

from __future__ import annotations

import ast
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import BinaryExpression, BindParameter
from sqlalchemy.sql.selectable import SelectBase

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql import catalog as catalog_module
from ragward.adapters.catalog_sql.key_ledger import SQLKeyLedger
from ragward.adapters.catalog_sql.schema import metadata
from ragward.adapters.policy_keys_ed25519 import PolicyRootKeeper, create_policy_key
from ragward.domain.corpus import DocumentState, NewScreening, Pending, PendingVersion
from ragward.domain.directory import DirectoryGroup, DirectoryUser, GroupProfile, UserProfile
from ragward.domain.elevation import Elevation
from ragward.domain.errors import RagwardError
from ragward.domain.generations import Generations
from ragward.domain.holds import Hold, HoldKind
from ragward.domain.identities import Agent, Custody, NewKey
from ragward.domain.jobs import ItemOutcome, ItemResult, JobState, SourceRequest
from ragward.domain.labels import Classification
from ragward.domain.lineage import Tool
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.presence import GoneMark
from ragward.domain.restrictions import Restriction, RestrictionKind
from ragward.domain.review import ReviewDecision, ReviewItem, ReviewKind, ReviewState
from ragward.domain.shredding import ShredKind, ShredReceipt
from ragward.domain.task_grants import TaskGrant, TaskGrantRecord
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import (
    application,
    label,
    next_version,
    points,
    pseudonym,
    relabelled,
    rewrapped,
    version,
)
from tests.contract.catalog_policy_contract import proposal
from tests.contract.conftest import MIGRATIONS, as_superuser

TENANTS = ("acme", "globex")
TABLES = sorted(table.name for table in metadata.sorted_tables if "tenant" in table.columns)


@dataclass
class Half:
    """What one tenant has; everything but the ids is equal to the other's."""

    tenant: str
    staged: object
    label_id: int = 0
    job_id: str = ""
    user: DirectoryUser | None = None
    group: DirectoryGroup | None = None
    ids: set[str] = field(default_factory=set)


def review(tenant, staged):
    """Somebody's request about the tenant's document."""
    return ReviewItem(
        item_id=f"r-{tenant}",
        tenant=tenant,
        document_id=staged.document_id,
        version=staged.version,
        kind=ReviewKind.DOWNGRADE,
        requested_by=f"user:{tenant}/ann",
        created_at=NOW,
    )


def hold(tenant, hold_id):
    """On documents that it names, of a person."""
    return Hold(
        hold_id=hold_id,
        tenant=tenant,
        kind=HoldKind.SUBJECT,
        target=f"tag-of-{tenant}",
        tags=frozenset({f"value-of-{tenant}"}),
        reason="because of the case",
        placed_by=f"user:{tenant}/ann",
        placed_at=NOW,
    )


def restriction(tenant):
    """On the tenant's ann."""
    return Restriction(
        restriction_id=f"restriction-of-{tenant}",
        tenant=tenant,
        target=f"user:{tenant}/ann",
        kind=RestrictionKind.THROTTLE,
        begins_at=NOW,
        until=NOW + 60,
        reason="because of the count",
    )


def elevation(tenant, of=None):
    """What ann asks for; with `of` under the id of another tenant's."""
    return Elevation(
        elevation_id=f"elevation-of-{of or tenant}",
        tenant=tenant,
        member=f"user:{tenant}/ann",
        role=f"role:{tenant}/finance",
        minutes=5,
        reason="an incident",
        requested_at=NOW,
    )


def decision(other):
    """On the other's."""
    return ReviewDecision(
        item_id=f"r-{other.tenant}",
        state=ReviewState.REJECTED,
        decided_by="x",
        reason="x",
        level=Classification.PUBLIC,
    )


def task_grant(tenant):
    """What ann lends."""
    grant = TaskGrant(
        grant_id=f"grant-of-{tenant}",
        tenant=tenant,
        minted_by=f"user:{tenant}/ann",
        agent=f"agent:{tenant}/bot",
        application=f"app:{tenant}/portal",
        purpose="",
        corpora=frozenset({"handbook"}),
        ceiling=Classification.PUBLIC,
        actions=frozenset({"corpus:retrieve"}),
        budget_tokens=100,
        not_before=NOW,
        not_after=NOW + 60,
    )
    return TaskGrantRecord(
        grant=grant, reason="a test", minted_at=NOW, secret_sha256=grant.digest("x")
    )


FOLDER = SourceRequest(location="/in", is_manifest=False, corpus="handbook")


def gone(other):
    """A mark on the other's document."""
    return GoneMark(
        document_id=other.staged.document_id,
        version=1,
        expected_state=DocumentState.ACTIVE,
        state=DocumentState.GONE,
        since=NOW,
    )


def rows_of(tenant):
    return [
        PolicyRow(f"group:{tenant}/staff", "corpus:retrieve", f"{tenant}/*", "PUBLIC", "*", "allow")
    ]


def filled(catalog, tenant) -> Half:
    """The tenant, with a row in every table."""
    members = [Membership(f"user:{tenant}/ann", f"group:{tenant}/staff")]
    catalog.replace_policy(tenant, rows_of(tenant), members, "root")
    one = application(tenant=tenant)
    catalog.save_application(one, key_prefix=f"key-{tenant}", key_sha256=b"k" * 32)
    user = catalog.create_user(tenant, UserProfile(user_name="ann", external_id="ann"), "idp")
    people = GroupProfile(display_name="staff", members=frozenset({user.user_id}))
    group = catalog.create_group(tenant, people, "idp")
    staged = version("a.md", chunks=2, label=label(tenant), attributes={"number": 1})
    catalog.commit_version(staged)
    job = catalog.create_job(tenant, f"user:{tenant}/ann", 1, request=FOLDER)
    bad = ItemResult(source="a.md", outcome=ItemOutcome.FAILED, detail=f"of {tenant}")
    catalog.record_item(tenant, job.job_id, bad)
    seen = ItemResult(source="a.md", outcome=ItemOutcome.UNCHANGED, document_id=staged.document_id)
    catalog.record_item(tenant, job.job_id, seen)
    catalog.add_proposal(
        dataclasses.replace(
            proposal(f"p-{tenant}"),
            tenant=tenant,
            author=f"user:{tenant}/ann",
            rows=tuple(rows_of(tenant)),
            memberships=(),
            base_version=catalog.policy(tenant).version,
        )
    )
    catalog.add_review(review(tenant, staged))
    catalog.add_task_grant(task_grant(tenant))
    bot = Agent(
        principal=f"agent:{tenant}/bot", tenant=tenant, client_id="portal", expires_at=NOW + 9
    )
    catalog.save_agent(bot, Custody(owner=f"user:{tenant}/ann", purpose="tests"), None)
    catalog.note_uses(tenant, {bot.principal: NOW})
    catalog.add_hold(hold(tenant, f"hold-of-{tenant}"), [f"document-of-{tenant}"])
    catalog.add_restriction(restriction(tenant))
    catalog.add_elevation(elevation(tenant))
    catalog.change_account(tenant, f"user:{tenant}/ann", lambda _: f"account-of-{tenant}")
    catalog.take(tenant, "RESTRICTED", 1, 1, 1, 1)
    catalog.hit(tenant, "subject", 1, 60)
    _fill_ledger(catalog, tenant)
    late_vectors(catalog, tenant, staged)
    catalog.add_pseudonyms(tenant, [pseudonym(tenant, b"tag", "[[PERSON:0.x]]")])
    [label_id] = catalog.labels(tenant)
    half = Half(tenant, staged, label_id, job.job_id, user, group)
    half.ids = {
        f"grant-of-{tenant}",
        f"elevation-of-{tenant}",
        f"restriction-of-{tenant}",
        staged.document_id,
        *points(staged),
        *(chunk.chunk_id for chunk in staged.chunks),
        job.job_id,
        f"r-{tenant}",
        user.user_id,
        group.group_id,
        tenant,
    }
    return half


def late_vectors(catalog, tenant, staged):
    """Of another model, while there is a generation of it."""
    first = Generations.first("aa", 2)
    catalog.set_meta("generations", first.started("bb", 2).to_text())
    try:
        blobs = dict.fromkeys(points(staged), b"late")
        return catalog.add_vectors(tenant, staged.document_id, 1, staged.dek_id, 2, blobs)
    finally:
        catalog.set_meta("generations", first.to_text())


def _fill_ledger(catalog, tenant):
    """What the catalog keeps about keys."""
    ledger = SQLKeyLedger(catalog._database, now=lambda: 1)
    ledger.retire(tenant, f"kek-of-{tenant}", 2)
    ledger.save_receipt(
        ShredReceipt(
            receipt_id=f"receipt-{tenant}",
            tenant=tenant,
            kind=ShredKind.DOCUMENT,
            target="d",
            reason="because",
            requested_by=f"user:{tenant}/ann",
            at=1,
            documents=(),
            everything=True,
        )
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def twins(request, tmp_path):
    """(URL, catalog, the two halves)."""
    yield from _twins(request, tmp_path, request.param)


@pytest.fixture
def twins_on_postgres(request, tmp_path):
    yield from _twins(request, tmp_path, "postgres")


@pytest.fixture(scope="module")
def twins_to_look_at(request, tmp_path_factory):
    """The same, for what leaves no trace."""
    yield from _twins(request, tmp_path_factory.mktemp("twins"), "postgres")


def _twins(request, tmp_path, kind):
    key = tmp_path / "keys" / "policy-signing.key"
    create_policy_key(key)
    keeper = PolicyRootKeeper.open(key, seen=tmp_path / "seen", model_text="")
    url = f"sqlite:///{tmp_path}/catalog.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres_databases")()
    else:
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
    catalog = SQLCatalog.open(url, now=lambda: NOW, keeper=keeper)
    yield url, catalog, {tenant: filled(catalog, tenant) for tenant in TENANTS}
    catalog.close()


@pytest.fixture
def role(twins_to_look_at):
    """A function that runs SQL as the ordinary role, in a transaction with these settings."""
    engine = create_engine(twins_to_look_at[0])

    def run(statement, settings=(), **values):
        with engine.connect() as connection, connection.begin() as transaction:
            for name, value in dict(settings).items():
                connection.execute(
                    text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value}
                )
            result = connection.execute(text(statement), values)
            found = result.all() if result.returns_rows else result.rowcount
            transaction.rollback()
            return found

    yield run
    engine.dispose()


ACME = {"ragward.tenant": "acme"}


@pytest.mark.postgres
class TestPolicies:
    def test_every_table_with_a_tenant_is_forced_to_ask(self, twins_to_look_at, behind):
        url, *_ = twins_to_look_at
        found = behind(
            url,
            "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, p.polcmd, p.polpermissive,"
            " pg_get_expr(p.polqual, c.oid), p.polwithcheck IS NULL"
            " FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1",
        )
        others = {"meta", "alembic_version"}
        assert sorted(row[0] for row in found) == sorted({*TABLES, *others})  # one policy each
        protected = {row[0]: tuple(row[1:]) for row in found if row[0] not in others}
        assert len(set(protected.values())) == 1, protected
        enabled, forced, command, permissive, expression, same_check = protected["documents"]
        assert (enabled, forced, command, permissive, same_check) == (True, True, "*", True, True)
        assert "ragward.tenant" in expression
        assert "ragward.maintenance" in expression

    @pytest.mark.parametrize("table", TABLES)
    def test_no_row_of_the_other_is_seen_or_touched(self, twins_to_look_at, role, behind, table):
        url, *_ = twins_to_look_at
        there = {row[0] for row in behind(url, f"SELECT DISTINCT tenant FROM {table}")}
        assert there == set(TENANTS), "the table is not filled: nothing is tested"
        assert {row[0] for row in role(f"SELECT tenant FROM {table}", ACME)} == {"acme"}
        mine = behind(url, f"SELECT count(*) FROM {table} WHERE tenant = 'acme'")[0][0]
        assert role(f"UPDATE {table} SET tenant = tenant", ACME) == mine
        for nobody in (
            {},
            {"ragward.tenant": ""},
            {"ragward.tenant": "acme ", "ragward.maintenance": "off"},
            {"ragward.tenant": "ACME", "ragward.maintenance": "true"},
            {"ragward.tenant": "%", "ragward.maintenance": ""},
        ):
            assert role(f"SELECT tenant FROM {table}", nobody) == []
            assert role(f"UPDATE {table} SET tenant = tenant", nobody) == 0
            assert role(f"DELETE FROM {table}", nobody) == 0

    @pytest.mark.parametrize("table", TABLES)
    def test_no_row_becomes_the_others(self, role, table):
        with pytest.raises(ProgrammingError, match="row-level security"):
            role(f"UPDATE {table} SET tenant = 'globex'", ACME)
        with pytest.raises(ProgrammingError, match="row-level security"):
            role(f"UPDATE {table} SET tenant = ''", ACME)

    def test_no_row_is_put_in_for_the_other(self, role):
        for tenant in ("globex", "", "initech"):
            with pytest.raises(ProgrammingError, match="row-level security"):
                role("INSERT INTO casbin_rule (tenant, ptype) VALUES (:of, 'p')", ACME, of=tenant)
        assert role("INSERT INTO casbin_rule (tenant, ptype) VALUES ('acme', 'p')", ACME) == 1

    def test_maintenance_sees_everything(self, role):
        both = role("SELECT DISTINCT tenant FROM documents", {"ragward.maintenance": "on"})
        assert {row[0] for row in both} == set(TENANTS)

    def test_nothing_is_carried_over_by_a_pooled_connection(self, twins_to_look_at):
        _, catalog, _ = twins_to_look_at
        database = catalog._database
        catalog.next_work(limit=10)
        catalog.documents("acme")
        for _ in range(30):
            with database._engine.connect() as connection:
                shown = text(
                    "SELECT current_setting('ragward.tenant', true),"
                    " current_setting('ragward.maintenance', true), count(*) FROM documents"
                )
                settings = connection.execute(shown).one()
                assert settings[2] == 0
                assert not settings[0]
                assert not settings[1]


class TestSeparation:
    def test_it_is_said_where_there_is_none(self, tmp_path):
        url = f"sqlite:///{tmp_path}/catalog.db"
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
        catalog = SQLCatalog.open(url)
        fine, told = catalog.separation()
        assert (fine, "SQLite" in told) == (True, True)
        catalog.close()

    @pytest.mark.postgres
    def test_an_ordinary_role_is_held(self, twins_to_look_at):
        assert twins_to_look_at[1].separation()[0]

    @pytest.mark.postgres
    @pytest.mark.parametrize("way", ["SUPERUSER", "BYPASSRLS"])
    def test_a_role_that_bypasses_it_is_reported(self, twins_on_postgres, behind, way):
        url, *_ = twins_on_postgres
        if way == "SUPERUSER":
            other = as_superuser(url)
        else:
            behind(url, "CREATE ROLE free LOGIN BYPASSRLS")
            behind(url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO free")
            other = url.replace("ragward_service", "free")
        catalog = SQLCatalog.open(other)
        fine, told = catalog.separation()
        assert not fine
        assert "BYPASSRLS" in told
        catalog.close()

    @pytest.mark.postgres
    @pytest.mark.parametrize(
        "change",
        [
            "CREATE TABLE extra (tenant text)",
            "ALTER TABLE documents DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY",
        ],
    )
    def test_a_table_that_does_not_ask_is_reported(self, twins_on_postgres, behind, change):
        url, catalog, _ = twins_on_postgres
        behind(url, change)
        fine, told = catalog.separation()
        assert not fine
        assert ("extra" if "extra" in change else "documents") in told


#: What reads or writes rows of more than one tenant, and why it must.
ACROSS = {
    "find_application_by_key",  # the key comes before the tenant is known
    "next_work",  # the index is one
    "finish_work",
    "recover",  # a dead process served everybody
    "requeue_all",
    "pending_versions",  # what a key that was away, or a dead process, left to do
    "count_pending",
    "migrate",
    "tenant_of_scope",  # an index is asked for scopes, and its points by name, of whichever tenant
    "vectors_named",
    "count_lacking",  # a model is the installation's: another one takes its place for everybody at once
    "documents_lacking",
    "switch_generation",
    "remove_vectors",
    "finish_drop",
}


#: Of `SQLKeyLedger`: what a server has to go on with, whoever began it.
OF_THE_LEDGER = {"all_retired", "unfinished_receipts"}
#: Of `SQLAuthority`: whose roots an operator looks at.
OF_THE_ROOTS = {"tenants"}


def test_only_maintenance_looks_across_tenants():
    """A method that is added here is a decision: it goes past the second line."""
    found = set()
    for path in Path(catalog_module.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(inner, ast.Attribute) and inner.attr.endswith("_across_tenants")
                for inner in ast.walk(node)
            ):
                found.add(node.name)
    assert found == ACROSS | OF_THE_LEDGER | OF_THE_ROOTS


# The catalog's own statements, without their tenant. -----------------------------------------------------------------


def forget_tenants(catalog):
    """Makes every `tenant = :value` true in what the catalog executes from here on; returns those that were."""
    catalog._keeper = None  # whose signatures would notice some of it: another line
    forgotten = []

    def replace(element, **_):
        if (
            isinstance(element, BinaryExpression)
            and element.operator is operators.eq
            and getattr(element.left, "name", "") == "tenant"
            and isinstance(element.right, BindParameter)
        ):
            forgotten.append(element)
            return element.left.is_not(None)
        return None

    def rewrite(connection, element, multi, single, options):
        if isinstance(element, SelectBase | UpdateBase):
            element = visitors.replacement_traverse(element, {}, replace)
        return element, multi, single

    event.listen(catalog._database._engine, "before_execute", rewrite, retval=True)
    return forgotten


def reads(half):
    """Every method that reads by tenant, asked by one tenant for what it has, and for what the other has."""

    def asked(catalog, other):
        document, point_ids = other.staged.document_id, points(other.staged)
        source = other.staged.source
        tenant = half.tenant
        return {
            "applications": lambda: catalog.applications(tenant),
            "find_agent": lambda: catalog.find_agent(tenant, f"agent:{other.tenant}/bot"),
            "identities": lambda: catalog.identities(tenant),
            "task_grant": lambda: catalog.task_grant(tenant, f"grant-of-{other.tenant}"),
            "task_grants": lambda: catalog.task_grants(tenant, limit=9),
            "chunk_lineage": lambda: catalog.chunk_lineage(tenant, other.staged.chunks[0].chunk_id),
            "chunks_sharing": lambda: catalog.chunks_sharing(tenant, {1, -(2**63)}),
            "account": lambda: catalog.account(tenant, f"user:{other.tenant}/ann"),
            "elevation": lambda: catalog.elevation(tenant, f"elevation-of-{other.tenant}"),
            "elevations": lambda: catalog.elevations(tenant, limit=9),
            "restriction": lambda: catalog.restriction(tenant, f"restriction-of-{other.tenant}"),
            "restrictions": lambda: catalog.restrictions(tenant, now=NOW),
            "restrictions_ahead": lambda: catalog.restrictions_ahead(tenant, NOW),
            "disabled": lambda: catalog.disabled(tenant),
            "document_chunks": lambda: catalog.document_chunks(tenant, document),
            "document_lineage": lambda: catalog.document_lineage(tenant, document),
            "documents": lambda: catalog.documents(tenant),
            "documents_of_job": lambda: catalog.documents_of_job(tenant, other.job_id, limit=9),
            "documents_older": lambda: catalog.documents_older(
                tenant, Tool.SCREENER, "0123456789ab", limit=9
            ),
            "documents_answering": lambda: catalog.documents_answering(tenant, range(100)),
            "documents_moved": lambda: catalog.documents_moved(tenant, since=0),
            "tallies": lambda: catalog.tallies(tenant),
            "count_gone": lambda: catalog.count_gone(tenant),
            "personal_data": lambda: catalog.personal_data(tenant),
            "documents_per_label": lambda: catalog.documents_per_label(tenant),
            "documents_under": lambda: catalog.documents_under(
                tenant, range(100), states=[DocumentState.ACTIVE], limit=100
            ),
            "epoch": lambda: catalog.epoch(tenant),
            "find_application": lambda: catalog.find_application(tenant, "portal"),
            "find_pseudonym": lambda: catalog.find_pseudonym(tenant, "[[PERSON:0.x]]"),
            "pseudonym_kinds": lambda: catalog.pseudonym_kinds(tenant),
            "pseudonym_tokens": lambda: catalog.pseudonym_tokens(tenant, [b"tag"]),
            "versions_in_use": lambda: catalog.versions_in_use(tenant),
            "was_used": lambda: catalog.was_used(tenant, Tool.SCREENER, "0123456789ab"),
            "vector_blobs": lambda: catalog.vector_blobs(tenant, document),
            "vector_mark": lambda: catalog.vector_mark(tenant),
            "vectors_of": lambda: catalog.vectors_of(tenant, [document], range(100)),
            "find_document": lambda: catalog.find_document(tenant, "handbook", source),
            "get_document": lambda: catalog.get_document(tenant, document),
            "get_group": lambda: catalog.get_group(tenant, other.group.group_id),
            "get_job": lambda: catalog.get_job(tenant, other.job_id),
            "jobs": lambda: [job.job_id for job in catalog.jobs(tenant, limit=100)],
            "items_of_job": lambda: catalog.items_of_job(tenant, other.job_id, limit=100),
            "cancel_asked": lambda: catalog.cancel_asked(tenant, other.job_id),
            "documents_of_origin": lambda: catalog.documents_of_origin(
                tenant, FOLDER.origin, limit=100
            ),
            "get_user": lambda: catalog.get_user(tenant, other.user.user_id),
            "content_since": lambda: catalog.content_since(tenant, [document]),
            "count_evident": lambda: catalog.count_evident(tenant, "handbook", "", "x", since=0),
            "count_held": lambda: catalog.count_held(hold(tenant, f"hold-of-{other.tenant}")),
            "has_holds": lambda: catalog.has_holds(tenant),
            "held": lambda: catalog.held(tenant, [f"document-of-{other.tenant}"]),
            "hold": lambda: catalog.hold(tenant, f"hold-of-{other.tenant}"),
            "holds": lambda: catalog.holds(tenant, limit=100),
            "standing_tags": lambda: catalog.standing_tags(tenant),
            "head": lambda: catalog.head(tenant),
            "is_disabled": lambda: catalog.is_disabled(tenant, f"user:{tenant}/ann"),
            "labels": lambda: catalog.labels(tenant),
            "list_groups": lambda: catalog.list_groups(tenant, [], offset=0, limit=100),
            "list_users": lambda: catalog.list_users(tenant, [], offset=0, limit=100),
            "owed_points": lambda: catalog.owed_points(tenant, limit=100),
            "pending_points": lambda: catalog.pending_points(tenant, limit=100),
            "points_with_attributes": lambda: catalog.points_with_attributes(
                tenant,
                {"type": "eq", "key": "number", "value": 1},
                admits=lambda _: True,
                limit=100,
            ),
            "policy": lambda: catalog.policy(tenant),
            "policy_version": lambda: catalog.policy_version(tenant, 1),
            "policy_versions": lambda: catalog.policy_versions(tenant),
            "proposal": lambda: catalog.proposal(tenant, f"p-{other.tenant}"),
            "proposals": lambda: catalog.proposals(tenant),
            "review": lambda: catalog.review(tenant, f"r-{other.tenant}"),
            "reviewed_levels": lambda: catalog.reviewed_levels(tenant),
            "reviews": lambda: catalog.reviews(tenant, limit=100),
            "scopes": lambda: catalog.scopes(tenant),
            "stored_chunks": lambda: catalog.stored_chunks(tenant, point_ids),
        }

    return asked


def writes(half):
    """Every method that writes by tenant, at what the other has."""

    def _expected(other):
        """As a caller would put it who knew the other's document."""
        return {"version": 1, "expected_label_id": other.label_id}

    def asked(catalog, other):
        tenant, document = half.tenant, other.staged.document_id
        done = PendingVersion(
            tenant=tenant,
            document_id=document,
            version=1,
            pending=Pending.REWRAP,
            label=other.staged.label,
            bound_label=other.staged.label,
            key=rewrapped(other.staged),
        )
        item = ItemResult(source="x", outcome=ItemOutcome.INGESTED)
        user = dataclasses.replace(other.user, tenant=tenant)
        group = dataclasses.replace(other.group, tenant=tenant)
        return {
            "add_vectors": lambda: late_vectors(catalog, tenant, other.staged),
            "add_proposal": lambda: catalog.add_proposal(
                dataclasses.replace(
                    proposal(f"p-{other.tenant}"),
                    tenant=tenant,
                    base_version=catalog.policy(tenant).version,
                )
            ),
            "add_review": lambda: catalog.add_review(
                dataclasses.replace(
                    review(tenant, other.staged), item_id="r-new", kind=ReviewKind.DOUBT
                )
            ),
            "change_elevation": lambda: catalog.change_elevation(
                elevation(tenant, of=other.tenant),
                dataclasses.replace(
                    elevation(tenant, of=other.tenant), not_before=NOW, not_after=NOW + 60
                ),
            ),
            "release_restriction": lambda: catalog.release_restriction(
                tenant, f"restriction-of-{other.tenant}", by="x", reason="x", now=NOW
            ),
            "also_hold": lambda: catalog.also_hold(tenant, f"hold-of-{other.tenant}", [document]),
            "lift_hold": lambda: catalog.lift_hold(
                tenant, f"hold-of-{other.tenant}", by="x", reason="x", target="x"
            ),
            "request_lift": lambda: catalog.request_lift(
                tenant, f"hold-of-{other.tenant}", by="x", reason="x"
            ),
            "decide_review": lambda: catalog.decide_review(tenant, decision(other)),
            "approve_proposal": lambda: catalog.approve_proposal(
                tenant, f"p-{other.tenant}", decided_by="x", reason="x"
            ),
            "commit_version": lambda: catalog.commit_version(
                next_version(other.staged, label=half.staged.label)
            ),
            "create_group": lambda: catalog.create_group(
                tenant,
                GroupProfile(display_name="x", members=frozenset({other.user.user_id})),
                "x",
            ),
            "delete_group": lambda: catalog.delete_group(group, "x"),
            "delete_user": lambda: catalog.delete_user(user, "x"),
            "finish_rewrap": lambda: catalog.finish_rewrap(done, done.key, Pending.NOTHING),
            "record_item": lambda: catalog.record_item(tenant, other.job_id, item),
            "reject_proposal": lambda: catalog.reject_proposal(
                tenant, f"p-{other.tenant}", decided_by="x", reason="x"
            ),
            "relabel": lambda: relabelled(
                catalog, other.staged, half.staged.label, tenant=tenant, **_expected(other)
            ),
            "replace_group": lambda: catalog.replace_group(
                group, GroupProfile(display_name="x"), "x"
            ),
            "replace_user": lambda: catalog.replace_user(
                user, dataclasses.replace(user.profile, display_name="x"), "x"
            ),
            "rescreen": lambda: catalog.rescreen(
                tenant,
                NewScreening(
                    document_id=document,
                    version=1,
                    expected_state=DocumentState.ACTIVE,
                    state=DocumentState.QUARANTINED,
                    chunks={},
                ),
            ),
            "ask_cancel": lambda: catalog.ask_cancel(tenant, other.job_id),
            "mark_gone": lambda: catalog.mark_gone(tenant, [gone(other)]),
            "set_job_state": lambda: catalog.set_job_state(tenant, other.job_id, JobState.CANCELED),
            "set_state": lambda: catalog.set_state(tenant, document, DocumentState.DELETED),
            "revoke_task_grant": lambda: catalog.revoke_task_grant(
                tenant, f"grant-of-{other.tenant}", by="x"
            ),
            "rotate_key": lambda: catalog.rotate_key(
                tenant,
                f"agent:{other.tenant}/bot",
                NewKey(key_id="new", sha256=b"n" * 32, expires_at=NOW + 9),
                earlier_ends_at=NOW,
            ),
            "spend_task_tokens": lambda: catalog.spend_task_tokens(
                tenant, f"grant-of-{other.tenant}", 1
            ),
        }

    return asked


#: Writes that name nothing of another tenant's.
OWN = {
    "add_elevation",
    "add_hold",
    "add_pseudonyms",
    "add_task_grant",
    "add_restriction",
    "change_account",
    "change_policy",
    "create_job",
    "create_user",
    "erase_pseudonyms",
    "note_uses",
    "hit",
    "replace_policy",
    "save_agent",
    "save_application",
    "take",
}
INSTALLATION = {
    "begin_drop",
    "check_ready",
    "close",
    "generations",
    "meta",
    "migrate",
    "open",
    "separation",
    "set_meta",
    "start_generation",
}


def test_every_method_of_the_catalog_is_tried(twins):
    _, catalog, halves = twins
    tried = reads(halves["acme"])(catalog, halves["globex"]).keys()
    tried |= writes(halves["acme"])(catalog, halves["globex"]).keys()
    public = {name for name in dir(catalog) if not name.startswith("_")}
    assert public == tried | OWN | INSTALLATION | ACROSS


def outcome(call):
    """What was answered, as text, or the error."""
    try:
        return repr(call())
    except (RagwardError, AssertionError, ValueError) as error:
        return f"raised {type(error).__name__}"


def theirs_in(found, other):
    return sorted(each for each in other.ids if each in found)


def snapshot(url, behind, tenant):
    return {
        table: sorted(
            map(repr, behind(url, f"SELECT * FROM {table} WHERE tenant = :of", of=tenant))
        )
        for table in TABLES
    }


def test_reads_are_kept_apart(twins):
    _, catalog, halves = twins
    for mine, other in (("acme", "globex"), ("globex", "acme")):
        for name, call in reads(halves[mine])(catalog, halves[other]).items():
            assert not theirs_in(outcome(call), halves[other]), name


def test_writes_do_not_reach_the_other(twins, behind):
    url, catalog, halves = twins
    before = snapshot(url, behind, "globex")
    assert all(before.values())
    for name, call in writes(halves["acme"])(catalog, halves["globex"]).items():
        assert outcome(call).startswith(("raised", "False", "[]")), name
        assert snapshot(url, behind, "globex") == before, name


def test_reads_that_forget_their_tenant(twins):
    """The same statements without their conditions: SQLite gives the other's rows away, PostgreSQL does not."""
    url, catalog, halves = twins
    expected = {
        name: outcome(call)
        for name, call in reads(halves["acme"])(catalog, halves["globex"]).items()
    }
    forgotten = forget_tenants(catalog)
    leaked, changed = [], []
    for name, call in reads(halves["acme"])(catalog, halves["globex"]).items():
        found = outcome(call)
        if theirs_in(found, halves["globex"]):
            leaked.append(name)
        if found != expected[name]:
            changed.append(name)
    assert forgotten, "no condition was taken out: nothing was tested"
    if url.startswith("sqlite"):
        assert len(changed) >= 20, changed
        assert {"get_document", "get_job", "get_user", "documents", "labels"} <= set(leaked)
    else:
        assert (leaked, changed) == ([], [])


def test_writes_that_forget_their_tenant(twins, behind):
    url, catalog, halves = twins
    before = snapshot(url, behind, "globex")
    forget_tenants(catalog)
    reached = []
    calls = writes(halves["acme"])(catalog, halves["globex"])
    calls |= {
        "replace_policy": lambda: catalog.replace_policy("acme", rows_of("acme"), [], "x"),
        "save_application": lambda: catalog.save_application(
            application(expires_at=NOW + 5), key_prefix=None, key_sha256=None, replace_keys=True
        ),
    }
    for name, call in calls.items():
        outcome(call)
        after = snapshot(url, behind, "globex")
        if after != before:
            reached.append(name)
            before = after
    if url.startswith("sqlite"):
        assert {"record_item", "reject_proposal", "set_job_state"} <= set(reached)
    else:
        assert reached == []
