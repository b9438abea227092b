"""Tables of provisioning: people, groups and who is in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Ordered by bytes on both databases, whatever the server's locale.
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Creates what is new."""
    _directory()


def _directory() -> None:
    op.create_table(
        "directory_users",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("external_id", TEXT, nullable=True),
        sa.Column("user_name", TEXT, nullable=True),
        sa.Column("user_name_key", TEXT, nullable=True),
        sa.Column("display_name", TEXT, nullable=True),
        sa.Column("display_name_key", TEXT, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
        sa.UniqueConstraint("tenant", "external_id"),
        sa.UniqueConstraint("tenant", "user_name_key"),
    )
    op.create_table(
        "directory_groups",
        sa.Column("group_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("external_id", TEXT, nullable=True),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("display_name_key", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_id"),
    )
    op.create_index(
        "directory_groups_tenant", "directory_groups", ["tenant", "display_name_key"], unique=False
    )
    op.create_table(
        "directory_members",
        sa.Column("group_id", TEXT, nullable=False),
        sa.Column("member_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["directory_groups.group_id"]),
        sa.PrimaryKeyConstraint("group_id", "member_id"),
    )
    op.create_index(
        "directory_members_member", "directory_members", ["tenant", "member_id"], unique=False
    )


def downgrade() -> None:
    """Revocations would be forgotten."""
    raise RuntimeError("this revision cannot be undone: restore a backup")
