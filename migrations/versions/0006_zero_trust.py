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


def _jobs() -> None:
    """Which source lists a document and since when it does not, what a job reads, and that somebody wants it to end."""
    op.add_column("documents", sa.Column("origin", TEXT, nullable=True))
    op.add_column("documents", sa.Column("gone_since", sa.BigInteger(), nullable=True))
    op.create_index("documents_origin", "documents", ["tenant", "origin"], unique=False)
    op.add_column("jobs", sa.Column("origin", TEXT, nullable=True))
    op.add_column("jobs", sa.Column("request", TEXT, nullable=True))
    op.add_column(
        "jobs",
        sa.Column("cancel_asked", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.create_index("jobs_tenant", "jobs", ["tenant", "created_at"], unique=False)
    op.add_column("job_items", sa.Column("confidence", sa.Integer(), nullable=True))


def _holds() -> None:
    """Legal holds, and the documents that they name."""
    op.create_table(
        "holds",
        sa.Column("hold_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("lift_requested_by", TEXT, nullable=True),
        sa.Column("lift_reason", TEXT, nullable=False),
        sa.Column("lifted_by", TEXT, nullable=True),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hold_id"),
    )
    op.create_index("holds_tenant", "holds", ["tenant", "lifted_at"], unique=False)
    op.create_table(
        "held_documents",
        sa.Column("hold_id", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.hold_id"]),
        sa.PrimaryKeyConstraint("hold_id", "document_id"),
    )
    op.create_index(
        "held_documents_document", "held_documents", ["tenant", "document_id"], unique=False
    )
    _row_level_security("holds")
    _row_level_security("held_documents")


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
