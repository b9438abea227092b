"""What zero-trust controls need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Ordered by bytes on both databases, whatever the server's locale.
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
# SQLite only numbers INTEGER keys by itself.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds what 0005 lacks."""
    _task_grants()
    _identities()
    _elevations()
    _policy_roots()
    _behaviour()
    _overview()


def _task_grants() -> None:
    """What people lend to agents for a task."""
    op.create_table(
        "task_grants",
        sa.Column("grant_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("minted_by", TEXT, nullable=False),
        sa.Column("agent", TEXT, nullable=False),
        sa.Column("application", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("corpora", TEXT, nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.Column("actions", TEXT, nullable=False),
        sa.Column("budget_tokens", sa.BigInteger(), nullable=False),
        sa.Column("spent_tokens", sa.BigInteger(), nullable=False),
        sa.Column("stepped_up", sa.Boolean(), nullable=False),
        sa.Column("minted_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("grant_id"),
    )
    op.create_index("task_grants_tenant", "task_grants", ["tenant", "minted_at"], unique=False)
    _row_level_security("task_grants")


def _identities() -> None:
    """Who answers for applications, agents and keys, until when they are good, and when they were used."""
    op.add_column("applications", sa.Column("owner", TEXT, nullable=True))
    op.add_column("applications", sa.Column("purpose", TEXT, nullable=True))
    op.add_column("applications", sa.Column("created_at", sa.BigInteger(), nullable=True))
    op.add_column("application_keys", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.add_column("application_keys", sa.Column("agent", TEXT, nullable=True))
    op.create_table(
        "agents",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "client_id"], ["applications.tenant", "applications.client_id"]
        ),
        sa.PrimaryKeyConstraint("tenant", "principal"),
    )
    op.create_table(
        "identity_uses",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    _row_level_security("agents")
    _row_level_security("identity_uses")


def _elevations() -> None:
    """Access for a time."""
    op.create_table(
        "elevations",
        sa.Column("elevation_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("member", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("decided_by", TEXT, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision_reason", TEXT, nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("revoked_by", TEXT, nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("reviewed_by", TEXT, nullable=True),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=True),
        sa.Column("review_note", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("elevation_id"),
    )
    op.create_index("elevations_tenant", "elevations", ["tenant", "requested_at"], unique=False)
    _row_level_security("elevations")


def _policy_roots() -> None:
    """What authority rows have to be to count, signed."""
    op.create_table(
        "policy_roots",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("buckets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    _row_level_security("policy_roots")


def _behaviour() -> None:
    """Restrictions, accounts of what is done, daily budgets and rate windows."""
    op.create_table(
        "restrictions",
        sa.Column("restriction_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("through", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=True),
        sa.Column("begins_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("released_by", TEXT, nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("release_reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("restriction_id"),
    )
    op.create_index("restrictions_tenant", "restrictions", ["tenant", "until"], unique=False)
    op.create_table(
        "behaviours",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "principal"),
    )
    op.create_table(
        "exposures",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_table(
        "rate_windows",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("seconds", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "seconds"),
    )
    for table in ("restrictions", "behaviours", "exposures", "rate_windows"):
        _row_level_security(table)


def _overview() -> None:
    """What the console counts is read from indexes alone."""
    typed = sa.text("entity_types <> ''")
    op.create_index(
        "chunks_types",
        "chunks",
        ["tenant", "entity_types"],
        unique=False,
        sqlite_where=typed,
        postgresql_where=typed,
    )
    op.drop_index("versions_tenant_state", "versions")
    columns = ["tenant", "state", "label_id", "pending"]
    op.create_index("versions_tenant_state", "versions", columns, unique=False)
    kept = sa.text("wrapped_dek IS NOT NULL")
    op.create_index(
        "versions_held",
        "versions",
        ["tenant", "kek_id", "kek_version"],
        unique=False,
        sqlite_where=kept,
        postgresql_where=kept,
    )


def _row_level_security(table: str) -> None:
    """As 0002 has it for the tables before (`adapters/catalog_sql/row_security.py`)."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.execute(
        f'CREATE POLICY tenant_rows ON "{table}" USING ('
        "tenant = (SELECT nullif(current_setting('ragward.tenant', true), ''))"
        " OR (SELECT current_setting('ragward.maintenance', true)) = 'on')"
    )


def downgrade() -> None:
    """Grants would lose their limits, and evidence its proof."""
    raise RuntimeError("there is no way down: restore a backup")
