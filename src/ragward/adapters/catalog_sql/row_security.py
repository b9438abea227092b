"""The second line between tenants: PostgreSQL's row level security, told by each transaction whose rows it is about.

Migration 0002 puts the policies on every table with a tenant: a row is there for whoever has its tenant in `ragward.tenant`,
or has `ragward.maintenance` on. It stands for statements that forget their tenant. It does not stand against whoever can
run SQL of their own: they can say what they like in either setting.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

# set_config(..., true) is SET LOCAL with parameters: it ends with the transaction, so a pooled connection carries nothing over.
# In the driver's own words: as a statement of SQLAlchemy's it would take twice as long.
_TENANT: Final = "SELECT set_config('ragward.tenant', %s, true)"
_ACROSS: Final = "SELECT set_config('ragward.maintenance', 'on', true)"
_BYPASSES: Final = text(
    "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
)
_UNPROTECTED: Final = text(
    "SELECT c.relname FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
    " AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY 1"
)


def bind(connection: Connection, tenant: str, *, across: bool) -> None:
    """Holds the rest of the transaction to one tenant's rows, or to everybody's."""
    if connection.dialect.name != "postgresql":
        return
    if across:
        connection.exec_driver_sql(_ACROSS)
    else:
        connection.exec_driver_sql(_TENANT, (tenant,))


def separation(connection: Connection) -> tuple[bool, str]:
    """(whether nothing takes it away, in words) how the database keeps tenants apart by itself."""
    if connection.dialect.name != "postgresql":
        return True, "SQLite: by the catalog's statements alone"
    if connection.execute(_BYPASSES).scalar_one():
        return False, "the role bypasses row level security: use one without SUPERUSER, BYPASSRLS"
    if unprotected := list(connection.execute(_UNPROTECTED).scalars()):
        return False, f"row level security is not forced on {', '.join(unprotected)}"
    return True, "PostgreSQL: row level security, forced"
