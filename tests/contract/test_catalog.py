"""The catalog's contract on the fake, SQLite and PostgreSQL, and what only a database can show."""

from __future__ import annotations

import functools

import pytest
from sqlalchemy import create_engine, inspect, text

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql.schema import metadata
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import ConfigurationError, ConflictError, IntegrityError, RagwardError
from ragward.domain.policy import PolicySnapshot
from tests.contract.catalog_contract import (
    NOW,
    ApplicationContract,
    HeadContract,
    JobContract,
    LabelContract,
    MetaContract,
    OutboxContract,
    PolicyContract,
    PresenceContract,
)
from tests.contract.catalog_document_contract import (
    DocumentContract,
    FilterContract,
    HistoryContract,
    Killed,
    KillsWhoeverReadsIt,
    RelabelContract,
    VersionContract,
)
from tests.contract.catalog_examples import chunk, label, next_version, points, row, version
from tests.contract.catalog_policy_contract import PolicyHistoryContract, proposal
from tests.contract.catalog_vectors_contract import VectorContract
from tests.contract.conftest import MIGRATIONS
from tests.fakes.catalog_sql import FakeCatalog


def opened(url):
    """The catalog at a URL, at the tests' time."""
    return SQLCatalog.open(url, now=lambda: NOW)


@pytest.fixture(params=["fake", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def catalog(request, tmp_path):
    """Each implementation, new."""
    if request.param == "fake":
        yield FakeCatalog(now=lambda: NOW)
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
    else:
        url = request.getfixturevalue("postgres_databases")()
    made = opened(url)
    yield made
    made.close()


class TestPolicy(PolicyContract):
    pass


class TestPolicyHistory(PolicyHistoryContract):
    pass


class TestHead(HeadContract):
    pass


class TestVectors(VectorContract):
    pass


class TestApplications(ApplicationContract):
    pass


class TestLabels(LabelContract):
    pass


class TestDocuments(DocumentContract):
    pass


class TestVersions(VersionContract):
    pass


class TestRelabelling(RelabelContract):
    pass


class TestFilters(FilterContract):
    pass


class TestOutbox(OutboxContract):
    pass


class TestHistory(HistoryContract):
    pass


class TestPresence(PresenceContract):
    pass


class TestJobs(JobContract):
    pass


class TestMeta(MetaContract):
    pass


@pytest.fixture
def database(database_url, behind):
    """(catalog, a function that runs SQL behind its back)."""
    made = opened(database_url)
    yield made, functools.partial(behind, database_url)
    made.close()


class TestDatabase:
    def test_a_sweep_removes_what_a_killed_commit_left(self, database):
        catalog, run = database
        first = version()
        catalog.commit_version(first)
        many = tuple(chunk(ordinal) for ordinal in range(450))
        for half in (
            next_version(first, chunks=(*many[:250], KillsWhoeverReadsIt())),
            version("new.md", chunks=(*many[250:], KillsWhoeverReadsIt())),
        ):
            with pytest.raises(Killed):
                catalog.commit_version(half)
        assert run("SELECT count(*) FROM chunks") == [(1 + 200 + 200,)]
        assert catalog.recover() == 2
        assert catalog.recover() == 0
        for table in ("documents", "versions", "chunks", "points"):
            assert run(f"SELECT count(*) FROM {table}") == [(1,)], table

    def test_a_commit_whose_staging_was_swept_fails_and_leaves_nothing(self, database):
        catalog, run = database

        many = tuple(chunk(ordinal) for ordinal in range(200))

        class Slices(tuple):
            """Chunks in whose midst another process sweeps."""

            def __getitem__(self, part):
                if isinstance(part, slice) and part.start == 200:
                    catalog.recover()
                return super().__getitem__(part)

        with pytest.raises(ConflictError):
            catalog.commit_version(version(chunks=Slices((*many, chunk(200)))))
        for table in ("documents", "versions", "chunks", "points", "outbox"):
            assert run(f"SELECT count(*) FROM {table}") == [(0,)], table

    def test_a_commit_that_another_process_overtook_adds_nothing_to_the_other_s_version(
        self, database
    ):
        catalog, run = database
        faster = version(chunks=201)

        class Slices(tuple):
            """Chunks in whose midst another process commits the same version whole."""

            def __getitem__(self, part):
                if isinstance(part, slice) and part.start == 200:
                    catalog.commit_version(faster)
                return super().__getitem__(part)

        many = tuple(chunk(ordinal) for ordinal in range(201))
        slower = version(document_id=faster.document_id, chunks=Slices(many))
        with pytest.raises(ConflictError):
            catalog.commit_version(slower)
        found = catalog.document_chunks("acme", faster.document_id)
        assert [each.point_id for each in found] == points(faster)
        assert run("SELECT count(*) FROM chunks") == [(201,)]

    def test_a_point_of_an_inactive_version_is_taken_out_whatever_was_queued(self, database):
        catalog, run = database
        catalog.commit_version(version())
        run("UPDATE versions SET state = 'quarantined'")
        [item] = catalog.next_work(limit=10)
        assert item.scope_id is None
        assert catalog.pending_points("acme", limit=10) == {}

    def test_superseded_and_deleted_versions_keep_neither_content_nor_key(self, database):
        catalog, run = database
        first = version()
        catalog.commit_version(first)
        catalog.commit_version(next_version(first))
        catalog.set_state("acme", first.document_id, DocumentState.DELETED)
        assert run("SELECT version, wrapped_dek FROM versions ORDER BY 1") == [(1, None), (2, None)]
        for table in ("chunks", "points"):
            assert run(f"SELECT count(*) FROM {table}") == [(0,)], table

    @pytest.mark.parametrize(
        "edit",
        [
            "UPDATE labels SET fields = replace(fields, 'staff', 'everybody')",
            "UPDATE labels SET fields = '{}'",
            "UPDATE labels SET fields = 'no json'",
            "UPDATE labels SET tenant = 'other'",
        ],
    )
    def test_an_edited_label_row_is_noticed(self, database, edit):
        catalog, run = database
        staged = version()
        catalog.commit_version(staged)
        run(edit)
        calls = (
            lambda: catalog.stored_chunks("acme", points(staged)),
            lambda: catalog.get_document("acme", staged.document_id),
            lambda: catalog.find_document("acme", "handbook", "a.md"),
            lambda: catalog.labels("acme") or catalog.labels("other"),
        )
        for call in calls:
            with pytest.raises(IntegrityError):
                call()

    def test_a_document_pointed_at_another_tenants_label_is_noticed(self, database):
        catalog, run = database
        staged = version()
        catalog.commit_version(staged)
        catalog.commit_version(version(label=label("other")))
        run("UPDATE versions SET label_id = (SELECT label_id FROM labels WHERE tenant = 'other')")
        with pytest.raises(IntegrityError):
            catalog.stored_chunks("acme", points(staged))

    @pytest.mark.parametrize(
        "edit",
        [
            "UPDATE casbin_rule SET v5 = NULL",
            "UPDATE casbin_rule SET ptype = 'p2'",
            "UPDATE casbin_rule SET v0 = ''",
        ],
    )
    def test_a_policy_row_nobody_could_have_written_is_refused_at_load(self, database, edit):
        catalog, run = database
        catalog.replace_policy("acme", [row()], [], "root")
        run(edit)
        with pytest.raises(RagwardError) as refused:
            catalog.policy("acme")
        assert refused.value.code in ("policy.invalid", "principal.invalid")
        catalog.replace_policy("acme", [row()], [], "root")
        assert catalog.policy("acme").rows == (row(),)

    def test_every_policy_write_is_remembered(self, database):
        catalog, run = database
        catalog.replace_policy("acme", [row()], [], "user:acme/root")
        catalog.change_policy("acme", add_rows=[row(corpus="acme/*")], author="user:acme/ann")
        history = run(
            'SELECT epoch, author, at, digest, "rows" FROM policy_versions ORDER BY epoch'
        )
        assert [entry[:3] for entry in history] == [
            (1, "user:acme/root", NOW),
            (2, "user:acme/ann", NOW),
        ]
        assert history[1][3] == catalog.policy("acme").digest()
        assert history[0][4] == "p, " + ", ".join(row().fields())

    @pytest.mark.parametrize(
        "edit",
        [
            """UPDATE {table} SET "rows" = replace("rows", 'INTERNAL', 'RESTRICTED')""",
            """UPDATE {table} SET "rows" = 'p, nonsense'""",
            "UPDATE {table} SET memberships = 'g, user:acme/eve, group:acme/staff'",
            "UPDATE {table} SET digest = 'x'",
        ],
    )
    def test_an_edited_version_or_proposal_is_noticed(self, database, edit):
        catalog, run = database
        catalog.replace_policy("acme", [row()], [], "root")
        catalog.add_proposal(proposal())
        for table in ("policy_versions", "policy_proposals"):
            run(edit.format(table=table))
        calls = (
            lambda: catalog.policy_version("acme", 1),
            lambda: catalog.proposal("acme", "p-1"),
            lambda: catalog.approve_proposal("acme", "p-1", decided_by="root", reason="x"),
        )
        for call in calls:
            with pytest.raises(IntegrityError) as noticed:
                call()
            assert noticed.value.code == "integrity.policy"
        assert catalog.policy("acme").rows == (row(),)

    def test_a_catalog_of_the_first_revision_is_brought_up_to_date_with_its_history(
        self, empty_database
    ):
        from alembic import command
        from alembic.config import Config

        from ragward.adapters.catalog_sql.connection import Database, parse_url

        database = Database(parse_url(empty_database))
        with database.write_across_tenants() as connection:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            connection.execute(
                text(
                    'INSERT INTO policy_versions (tenant, epoch, author, at, digest, "rows", memberships)'
                    " VALUES ('acme', 3, 'root', 5, :digest, :rows, '')"
                ),
                {
                    "digest": PolicySnapshot("acme", 0, (row(),), ()).digest(),
                    "rows": "p, " + ", ".join(row().fields()),
                },
            )
        database.close()
        with pytest.raises(ConfigurationError):
            SQLCatalog.open(empty_database)
        SQLCatalog.migrate(empty_database, migrations_dir=MIGRATIONS)
        catalog = opened(empty_database)
        found, policy = catalog.policy_version("acme", 3)
        assert (found.author, found.reason, found.approved_by) == ("root", "", None)
        assert policy.rows == (row(),)
        catalog.close()

    def test_ids_of_labels_and_outbox_entries_are_never_used_again(self, database):
        catalog, _ = database
        catalog.commit_version(version("a.md"))
        [item] = catalog.next_work(limit=10)
        catalog.finish_work([item])
        catalog.commit_version(version("b.md"))
        [later] = catalog.next_work(limit=10)
        assert later.sequence > item.sequence


class TestSchema:
    def test_the_migrations_make_the_tables_the_code_expects(self, empty_database):
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        SQLCatalog.migrate(empty_database, migrations_dir=MIGRATIONS)
        SQLCatalog.migrate(empty_database, migrations_dir=MIGRATIONS)
        engine = create_engine(empty_database)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
            for table in metadata.sorted_tables:
                if table.name != "meta":
                    assert "tenant" in table.columns, table.name
            assert set(inspect(connection).get_table_names()) == {
                *metadata.tables,
                "alembic_version",
            }
        engine.dispose()

    def test_a_database_without_tables_is_refused(self, empty_database):
        with pytest.raises(ConfigurationError) as refused:
            SQLCatalog.open(empty_database)
        assert refused.value.code == "config.not_initialised"

    def test_a_newer_schema_is_refused_by_open_ready_and_migrate(self, database_url):
        catalog = opened(database_url)
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        engine.dispose()
        for call in (
            catalog.check_ready,
            lambda: SQLCatalog.open(database_url),
            lambda: SQLCatalog.migrate(database_url, migrations_dir=MIGRATIONS),
        ):
            with pytest.raises(ConfigurationError) as refused:
                call()
            assert refused.value.code == "config.newer_version"
        catalog.close()
