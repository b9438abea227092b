"""Opening the catalog, its errors, and several processes' worth of threads at one SQLite file."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from ragward.adapters.catalog_sql import SQLCatalog, stored_chunks
from ragward.adapters.catalog_sql.connection import Database, parse_url
from ragward.domain.errors import ConfigurationError, InvalidRequestError, UnavailableError
from ragward.domain.jobs import ItemOutcome, ItemResult
from tests.contract.catalog_examples import application, points, row, version

MIGRATIONS = Path(__file__).parents[3] / "migrations"


def told(error) -> str:
    """Everything an error and its causes say."""
    found = []
    while error is not None:
        found.append(f"{error} {error!r}")
        error = error.__cause__ or error.__context__
    return "\n".join(found)


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/catalog.db"
    SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
    return url


@pytest.fixture
def catalog(url):
    made = SQLCatalog.open(url)
    yield made
    made.close()


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "catalog.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?uri=true",
        "mysql://ann:hunter2@db/x",
        "postgresql+asyncpg://ann:hunter2@db/x",
        "postgresql://ann:hunter2@db:port/x",
    ],
)
def test_a_url_that_is_not_supported_is_refused_without_being_repeated(wrong):
    with pytest.raises(ConfigurationError) as refused:
        SQLCatalog.open(wrong)
    assert refused.value.code == "config.invalid"
    assert "hunter2" not in told(refused.value)


def test_opening_does_not_create_a_file(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        SQLCatalog.open(f"sqlite:///{tmp_path}/catalog.db")
    assert refused.value.code == "config.not_initialised"
    assert list(tmp_path.iterdir()) == []


def test_the_database_file_and_its_wal_are_the_owner_s_only(tmp_path, catalog):
    catalog.set_meta("a", "b")
    for path in tmp_path.glob("catalog.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_migrations_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ConfigurationError):
        SQLCatalog.migrate(f"sqlite:///{tmp_path}/catalog.db", migrations_dir=tmp_path)


def test_a_directory_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError) as refused:
        SQLCatalog.migrate(f"sqlite:///{tmp_path}/no/catalog.db", migrations_dir=MIGRATIONS)
    assert refused.value.code == "unavailable.catalog"


def test_a_server_that_does_not_answer_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError) as refused:
        SQLCatalog.open(f"postgresql+psycopg://ann:hunter2@/x?host={tmp_path}")
    assert refused.value.code == "unavailable.catalog"
    assert "hunter2" not in told(refused.value)


def test_a_damaged_file_is_unavailable_and_no_error_shows_parameters(tmp_path, url):
    (tmp_path / "catalog.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UnavailableError) as refused:
        SQLCatalog.open(url)
    assert refused.value.code == "unavailable.catalog"


def test_an_error_of_the_database_shows_no_parameters(url, catalog):
    database = Database(parse_url(url))
    with database.write_across_tenants() as connection:
        connection.execute(text("DROP TABLE meta"))
    database.close()
    with pytest.raises(UnavailableError) as refused:
        catalog.set_meta("key", "a secret value")
    assert "a secret value" not in told(refused.value)


def test_reads_past_sqlalchemy_go_on_after_errors_and_hold_nothing(url, catalog):
    database = Database(parse_url(url))
    for _ in range(3):
        assert database.run_sqlite("SELECT ?, ?", [1, "a"]) == [(1, "a")]
        with pytest.raises(UnavailableError):
            database.run_sqlite("SELECT a secret FROM nothing", [])
        for wrong in (2**70, "\ud800"):
            with pytest.raises(InvalidRequestError):
                database.run_sqlite("SELECT ?", [wrong])
    with ThreadPoolExecutor(30) as threads:
        found = threads.map(lambda n: database.run_sqlite("SELECT ?", [n]), range(300))
        assert list(found) == [[(n,)] for n in range(300)]
    assert 0 < len(database._idle) <= 20
    catalog.set_meta("key", "one")
    assert database.run_sqlite("SELECT value FROM meta WHERE key = 'key'", []) == [("one",)]
    catalog.set_meta("key", "two")
    assert database.run_sqlite("SELECT value FROM meta WHERE key = 'key'", []) == [("two",)]
    database.scrub(())  # which waits for readers
    database.close()
    assert not database._idle


def test_the_authoritative_read_finds_points_by_their_ids(url):
    """And not among all chunks of the tenant, whose number it must not depend on."""
    database = Database(parse_url(url))
    for count in (1, 30, 100, 500):
        statement, places = stored_chunks._for_sqlite(count)
        for told in (statement, statement.replace("CROSS JOIN", "JOIN")):
            plan = database.run_sqlite(f"EXPLAIN QUERY PLAN {told}", ["x"] * len(places))
            by_id = "INDEX sqlite_autoindex_points_1 (point_id=?)" in plan[0][3]
            assert by_id or (told != statement and count >= 100), plan
            if told == statement:
                searched = {step[3].partition(" (")[2] for step in plan[1:4]}
                assert searched == {"chunk_id=?)", "document_id=? AND version=?)", "document_id=?)"}
    assert not by_id  # without it: what this is to notice
    database.close()


def test_a_number_no_database_holds_is_the_caller_s_mistake(catalog):
    with pytest.raises(InvalidRequestError):
        catalog.save_application(application(expires_at=2**70), key_prefix=None, key_sha256=None)
    assert catalog.applications("acme") == []


def test_a_raise_inside_a_write_undoes_it(url):
    database = Database(parse_url(url))

    def fails_halfway():
        with database.write_across_tenants() as connection:
            connection.execute(text("INSERT INTO meta (key, value) VALUES ('a', 'b')"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_halfway()
    with database.read_across_tenants() as connection:
        assert connection.execute(text("SELECT count(*) FROM meta")).scalar() == 0
    database.close()


def test_a_read_sees_one_snapshot_while_others_write(url, catalog):
    database = Database(parse_url(url))
    with database.read_across_tenants() as connection:
        count = text("SELECT count(*) FROM casbin_rule")
        assert connection.execute(count).scalar() == 0
        catalog.replace_policy("acme", [row()], [], "root")
        assert connection.execute(count).scalar() == 0
    with database.read_across_tenants() as connection:
        assert connection.execute(count).scalar() == 1
    database.close()


def test_writers_wait_for_each_other_and_readers_for_nobody(catalog):
    """Four writing threads, each write on its own connection: no `database is locked`, and every epoch is given once."""
    stop = threading.Event()
    snapshots = []

    def read():
        while not stop.is_set():
            found = catalog.policy("acme")
            snapshots.append((found.epoch, len(found.rows)))

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(4) as pool:
        epochs = list(
            pool.map(
                lambda i: catalog.change_policy(
                    "acme", add_rows=[row(f"group:acme/g{i}")], author="root"
                ),
                range(20),
            )
        )
    stop.set()
    reader.join()
    assert sorted(epochs) == list(range(1, 21))
    assert all(epoch == rows for epoch, rows in snapshots)


def test_a_write_that_reads_first_waits_its_turn_too(catalog):
    """A deferred transaction would fail here: what it read is outdated when it comes to write."""
    job = catalog.create_job("acme", "user:acme/ann", 60)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda i: catalog.record_item(
                    "acme", job.job_id, ItemResult(source=str(i), outcome=ItemOutcome.INGESTED)
                ),
                range(60),
            )
        )
    assert catalog.get_job("acme", job.job_id).done == 60


def test_two_catalogs_at_one_file_see_each_other_s_writes_at_once(url, catalog):
    other = SQLCatalog.open(url)
    staged = version()
    catalog.commit_version(staged)
    assert set(other.stored_chunks("acme", points(staged)).chunks) == set(points(staged))
    other.close()
