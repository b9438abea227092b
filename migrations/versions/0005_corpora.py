"""What large corpora need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Ordered by bytes on both databases, whatever the server's locale.
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds what 0004 lacks."""
    _jobs()


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


def downgrade() -> None:
    """What a source was found without would be forgotten."""
    raise RuntimeError("there is no way down: restore a backup")
