"""What exact and administrable authorization needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The epoch of the policy apart from that of everything."""
    op.add_column(
        "tenants",
        sa.Column("policy_epoch", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.execute("UPDATE tenants SET policy_epoch = epoch")
