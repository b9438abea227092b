"""What is remembered of the catalog's file is what reading it now would give, whoever wrote to it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ragward.adapters.catalog_sql import SQLCatalog, unchanged
from ragward.adapters.catalog_sql.connection import Database
from ragward.domain.access import Application
from ragward.domain.errors import IntegrityError, UnavailableError
from tests.contract.catalog_examples import application, points, version

MIGRATIONS = Path(__file__).parents[3] / "migrations"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "catalog.db"
    SQLCatalog.migrate(f"sqlite:///{path}", migrations_dir=MIGRATIONS)
    return path


@pytest.fixture
def read(monkeypatch):
    """The statements that went to the driver."""
    told: list[str] = []
    before = Database.run_sqlite

    def noting(self, statement, values):
        told.append(statement)
        return before(self, statement, values)

    monkeypatch.setattr(Database, "run_sqlite", noting)
    return told


@pytest.fixture
def clock():
    """The catalog's time, in a list."""
    return [0]


@pytest.fixture
def catalog(path, read, clock):
    made = SQLCatalog.open(f"sqlite:///{path}", now=lambda: clock[0])
    yield made
    made.close()


@pytest.fixture
def stored(catalog):
    """Point ids of a document that answers."""
    made = version(chunks=3)
    catalog.commit_version(made)
    return points(made)


def edit(path, statement, *values):
    """What somebody with the file does, beside ragward."""
    with sqlite3.connect(path) as other:
        assert other.execute(statement, values).rowcount
    other.close()


def test_nothing_is_read_twice_while_nobody_commits(catalog, stored, read):
    first = catalog.stored_chunks("acme", stored[:2])
    assert len(first.chunks) == 2
    assert len(read) == 1
    assert catalog.stored_chunks("acme", stored[:2]) == first
    assert len(read) == 1
    more = catalog.stored_chunks("acme", stored)
    assert len(more.chunks) == 3
    assert len(read) == 2
    assert more.chunks[stored[0]] is first.chunks[stored[0]]
    for _ in range(3):
        head, epoch, mark = catalog.head("acme"), catalog.epoch("acme"), catalog.vector_mark("acme")
        assert catalog.find_application("acme", "portal") is None  # nothing is a result too
    assert head.epoch == epoch == first.epoch
    assert mark >= 0
    assert len(read) == 6


def test_an_edit_of_the_file_is_seen_at_once(catalog, stored, path, read):
    assert catalog.stored_chunks("acme", stored).chunks[stored[0]].title != "edited"
    edit(path, "UPDATE versions SET title = 'edited'")
    assert {c.title for c in catalog.stored_chunks("acme", stored).chunks.values()} == {"edited"}
    edit(path, "UPDATE versions SET state = 'no state'")
    with pytest.raises(IntegrityError):
        catalog.stored_chunks("acme", stored)
    with pytest.raises(IntegrityError):  # and an error is not remembered as anything else
        catalog.stored_chunks("acme", stored)
    edit(path, "UPDATE versions SET state = 'active'")
    edit(path, "DELETE FROM points WHERE point_id = ?", stored[0])
    assert set(catalog.stored_chunks("acme", stored).chunks) == set(stored[1:])


def test_a_commit_of_another_process_is_seen_at_once(catalog, path):
    catalog.save_application(application(), key_prefix=None, key_sha256=None)
    assert isinstance(catalog.find_application("acme", "portal"), Application)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM applications'); c.commit()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert catalog.find_application("acme", "portal") is None


def test_each_is_remembered_as_itself(catalog):
    for name in ("portal", "desk"):
        catalog.save_application(application(name), key_prefix=None, key_sha256=None)
    for _ in range(2):
        for name in ("portal", "desk"):
            assert catalog.find_application("acme", name).client_id == name
            assert catalog.find_application("globex", name) is None


def test_time_passes_for_what_is_remembered(catalog, read, clock):
    catalog.save_application(application(expires_at=100), key_prefix=None, key_sha256=None)
    clock[0] = 99
    assert catalog.find_application("acme", "portal") is not None
    clock[0] = 100
    assert catalog.find_application("acme", "portal") is None
    assert len(read) == 1


@pytest.mark.parametrize("edited", ["soon", float("inf"), b"\x00"])
def test_an_end_that_is_no_time_is_an_edited_row(catalog, path, edited):
    catalog.save_application(application(expires_at=100), key_prefix=None, key_sha256=None)
    edit(path, "UPDATE applications SET expires_at = ?", edited)
    with pytest.raises(IntegrityError):
        catalog.find_application("acme", "portal")


@pytest.mark.parametrize("known", [0, 1])
def test_a_commit_between_two_reads_leaves_one_state(catalog, stored, path, monkeypatch, known):
    """Somebody commits after it was seen what is remembered, and before the rest is read: old and new rows are not mixed, and
    what may be of either state is not kept."""
    catalog.stored_chunks("acme", stored[:known])
    before = Database.run_sqlite
    edits = iter([5, 6])

    def disturbed(self, statement, values):
        for number in edits:
            edit(path, "UPDATE tenants SET epoch = ?", number)
            edit(path, "UPDATE versions SET title = ?", f"title {number}")
            break
        return before(self, statement, values)

    monkeypatch.setattr(Database, "run_sqlite", disturbed)
    snapshot = catalog.stored_chunks("acme", stored)
    now = 6 if known else 5
    assert snapshot.epoch == now
    assert {c.title for c in snapshot.chunks.values()} == {f"title {now}"}
    list(edits)
    edit(path, "UPDATE versions SET title = 'last'")
    assert {c.title for c in catalog.stored_chunks("acme", stored).chunks.values()} == {"last"}


def test_readers_beside_a_writer_never_see_two_states(catalog, stored, path):
    """The title of every row says of which epoch it is."""
    stop = threading.Event()
    wrong: list[object] = []
    seen: set[int] = set()

    def reads(part):
        while not stop.is_set():
            snapshot = catalog.stored_chunks("acme", part)
            seen.add(snapshot.epoch)
            titles = {chunk.title for chunk in snapshot.chunks.values()}
            if titles != {str(snapshot.epoch)} or catalog.epoch("acme") < snapshot.epoch:
                wrong.append((snapshot.epoch, titles))

    writer = sqlite3.connect(path, isolation_level=None)

    def write(number):
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE tenants SET epoch = ?", (number,))
        writer.execute("UPDATE versions SET title = ?", (str(number),))
        writer.execute("COMMIT")

    write(1000)
    readers = [threading.Thread(target=reads, args=(stored[:n],)) for n in (1, 2, 3, 3)]
    for each in readers:
        each.start()
    for number in range(1001, 1200):
        write(number)
    stop.set()
    for each in readers:
        each.join()
    writer.close()
    assert not wrong
    assert len(seen) > 1


def test_what_is_remembered_is_bounded(catalog, stored, monkeypatch):
    monkeypatch.setattr(unchanged, "_MAX_SEEN", 2)
    for _ in range(3):
        for each in stored:
            assert set(catalog.stored_chunks("acme", [each]).chunks) == {each}
    assert len(catalog.stored_chunks("acme", stored).chunks) == 3


def test_where_it_cannot_be_asked_nothing_that_is_remembered_answers(path):
    database = sqlite3.connect(path, check_same_thread=False)
    told = [database, sqlite3.connect(path, check_same_thread=False)]
    watch = unchanged.Unchanged(lambda: told.pop(0))
    seen = watch.seen()
    assert watch.keep(seen, {"a": 1})
    assert watch.seen()["a"] == 1
    database.close()
    with pytest.raises(UnavailableError):
        watch.seen()
    assert not watch.seen()  # asked anew, of the other connection, it knows nothing
    assert not watch.keep(seen, {"a": 1})
    watch.close()
