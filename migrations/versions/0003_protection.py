"""What protection of content needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds what 0002 lacks."""
    _vector_marks()


def _vector_marks() -> None:
    """Which documents moved since somebody last looked: what holds sealed vectors in memory follows the catalog by it."""
    for table in ("tenants", "documents"):
        op.add_column(
            table,
            sa.Column("vector_mark", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        )
    op.create_index("documents_vector_mark", "documents", ["tenant", "vector_mark"], unique=False)


def downgrade() -> None:
    """Nothing that was written needs what this adds, but there is no way to say so to an older version."""
    raise RuntimeError("there is no way down: restore a backup")
