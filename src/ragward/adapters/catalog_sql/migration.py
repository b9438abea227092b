"""Which revision a database is at, and bringing it up to date with Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from ragward.adapters.catalog_sql.connection import (
    Database,
    create_sqlite_file,
    parse_url,
    sqlite_file,
)
from ragward.adapters.catalog_sql.schema import OLDER_REVISIONS, REVISION
from ragward.domain.errors import ConfigurationError

_TABLE: Final = "alembic_version"
_MIGRATION_LOCK: Final = 0x7261_6777_6172_6401  # arbitrary; two processes must not migrate at once


def check_revision(connection: Connection) -> None:
    """Raises `config.not_initialised` or `config.newer_version` unless the schema is the one this code knows."""
    revision = _revision(connection)
    if revision == REVISION:
        return
    if revision is None:
        raise ConfigurationError(
            "the catalog has no tables yet: run `ragward init`", code="config.not_initialised"
        )
    if revision in OLDER_REVISIONS:
        raise ConfigurationError(
            f"the catalog is at revision {revision}, this version needs {REVISION}: "
            "run `ragward upgrade`",
            code="config.not_initialised",
        )
    raise ConfigurationError(
        f"the catalog is at a revision this version does not know ({revision!r})",
        code="config.newer_version",
    )


def migrate(database_url: str, migrations_dir: Path) -> None:
    """Creates or upgrades the tables, in one transaction. Raises `config.*`, `unavailable.catalog`."""
    from alembic import command  # slow to import, and only this command needs it
    from alembic.config import Config
    from alembic.util import CommandError

    if not (migrations_dir / "env.py").is_file():
        raise ConfigurationError("the migrations directory has no env.py")
    url = parse_url(database_url)
    path = sqlite_file(url)
    if path is not None:
        create_sqlite_file(path)
    database = Database(url)
    try:
        with database.write_across_tenants() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
                )
            if _revision(connection) is not None:
                _refuse_unknown(connection)
            config = Config()
            config.set_main_option("script_location", str(migrations_dir).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigurationError("the catalog cannot be migrated") from error
    finally:
        database.close()


def _refuse_unknown(connection: Connection) -> None:
    """An older revision is what migrating is for; a newer one stays refused."""
    if _revision(connection) not in OLDER_REVISIONS:
        check_revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars().all()  # noqa: S608 -- a constant
    return ",".join(sorted(found)) or None
