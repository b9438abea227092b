"""What the steward's work needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Ordered by bytes on both databases, whatever the server's locale.
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds what 0003 lacks."""
    _reviews()


def _reviews() -> None:
    """What waits for a person. Documents that are quarantined already wait too."""
    op.create_table(
        "reviews",
        sa.Column("item_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("proposed", sa.Integer(), nullable=True),
        sa.Column("confidence", sa.Integer(), nullable=True),
        sa.Column("requested_by", TEXT, nullable=True),
        sa.Column("request_reason", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", TEXT, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided", sa.Integer(), nullable=True),
        sa.Column("decision_reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("item_id"),
    )
    op.create_index(
        "reviews_tenant", "reviews", ["tenant", "state", "created_at", "item_id"], unique=False
    )
    op.create_index("reviews_document", "reviews", ["document_id", "state"], unique=False)
    _across_tenants()
    op.execute(
        "INSERT INTO reviews (item_id, tenant, document_id, version, kind, state, request_reason,"
        " created_at, decision_reason) SELECT 'quarantine-' || v.document_id || '-' || v.version,"
        " v.tenant, v.document_id, v.version, 'quarantine', 'open', '', v.created_at, ''"
        " FROM versions v JOIN documents d ON d.document_id = v.document_id"
        " AND d.current_version = v.version WHERE v.state = 'quarantined'"
    )
    _row_level_security("reviews")


def _across_tenants() -> None:
    """Rows of every tenant are read here."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT set_config('ragward.maintenance', 'on', true)")


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
    """What people decided would be forgotten."""
    raise RuntimeError("there is no way down: restore a backup")
