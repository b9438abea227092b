"""Shared fixtures: no network, bounded generation."""

from __future__ import annotations

import gc
import os
import socket
import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, Phase, settings

from ragward.adapters import keyring_file
from ragward.adapters.catalog_sql import migration
from ragward.adapters.catalog_sql.connection import create_sqlite_file, parse_url, sqlite_file

pytest_plugins = ["tests.contract.key_providers"]

ROOT = Path(__file__).resolve().parents[1]
PROVE = os.environ.get("RAGWARD_PROVE") == "1"

settings.register_profile(
    "test",
    deadline=None,
    max_examples=100 if PROVE else 25,
    derandomize=not PROVE,  # a change is judged by the same examples as the one before; `make prove` looks for new ones
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(  # for tests/conformance/mutants.py: whether it fails, not the smallest way to
    "mutant",
    settings.get_profile("test"),
    phases=[Phase.explicit, Phase.generate],
    database=None,
    derandomize=True,
)
settings.load_profile("test")


#: What keyrings are made with; `test_keyring_file` holds it.
SHIPPED_KDF = dict(keyring_file._KDF)


#: The tree of all commands is made once, not for each command that a test runs: 0.3 s of a core, hundreds of times.
typer.testing._get_command = lru_cache(typer.main.get_command)


def pytest_collection_finish():
    """What was imported and collected stays: the collector of garbage need not go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _stretched_cheaply():
    """New keyrings get the cheapest passphrase stretching that is opened: commands of other processes open them, too."""
    keyring_file._KDF.update(memory_kib=19 * 1024, iterations=1, lanes=1)
    yield
    keyring_file._KDF.update(SHIPPED_KDF)


@pytest.fixture(autouse=True, scope="session")
def _stretched_once():
    """The passphrase of one keyring is stretched once, not at each opening: 0.15 s of a core, thousands of times."""
    stretched = keyring_file._stretched
    once = lru_cache(lambda passphrase, kdf: stretched(passphrase, dict(kdf)))

    def remembered(passphrase, kdf):
        try:
            return once(passphrase, tuple(kdf.items()))
        except TypeError:  # what a test made of the file cannot be hashed
            return stretched(passphrase, kdf)

    keyring_file._stretched = remembered
    yield
    keyring_file._stretched = stretched


@pytest.fixture(autouse=True, scope="session")
def _migrated_once(tmp_path_factory):
    """A new SQLite catalog is a copy of one that was migrated: a quarter of a second of a core, hundreds of times.
    Upgrades, and catalogs on PostgreSQL, are migrated as ever."""
    migrate, made = migration.migrate, tmp_path_factory.mktemp("migrated") / "catalog.db"
    whole = ROOT / "migrations"

    def copied(database_url, migrations_dir):
        path = sqlite_file(parse_url(database_url))
        if path is None or path.exists() or migrations_dir.resolve() != whole:
            return migrate(database_url, migrations_dir)
        if not made.exists():
            migrate(f"sqlite:///{made}", migrations_dir)
        create_sqlite_file(path)
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
        return None

    migration.migrate = copied
    yield
    migration.migrate = migrate


@pytest.fixture(autouse=True, scope="session")
def _only_this_machine():
    """Nothing in the tests may reach another machine: a connection elsewhere fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if not (host.startswith("127.") or host in ("::1", "localhost")):
                raise AssertionError(f"a test tried to reach {host}")
        return connect(self, address)

    socket.socket.connect = guarded
    yield
    socket.socket.connect = connect
