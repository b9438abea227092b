"""What exact and administrable authorization needs."""

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
    """Adds what 0001 lacks."""
    _epochs()
    _relabelling()
    _policy_administration()
    _directory()
    _claims()
    _row_level_security()  # last: on every table there is by now


def _epochs() -> None:
    """The epoch of the policy apart from that of everything."""
    op.add_column(
        "tenants",
        sa.Column("policy_epoch", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.execute("UPDATE tenants SET policy_epoch = epoch")


def _relabelling() -> None:
    """What is still to be done to a version whose label was changed."""
    op.add_column("versions", sa.Column("pending", TEXT, nullable=False, server_default=""))
    op.add_column("versions", sa.Column("bound_label_id", sa.BigInteger(), nullable=True))
    op.create_index("versions_pending", "versions", ["pending"], unique=False)


def _policy_administration() -> None:
    """Why policy was changed, who approved it, what waits for approval."""
    op.add_column("policy_versions", sa.Column("reason", TEXT, nullable=False, server_default=""))
    op.add_column("policy_versions", sa.Column("approved_by", TEXT, nullable=True))
    op.create_table(
        "policy_proposals",
        sa.Column("proposal_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("author", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("base_version", sa.BigInteger(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("rows", TEXT, nullable=False),
        sa.Column("memberships", TEXT, nullable=False),
        sa.Column("decided_by", TEXT, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision_reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("proposal_id"),
    )
    op.create_index("policy_proposals_tenant", "policy_proposals", ["tenant", "at"], unique=False)


def _directory() -> None:
    """People, groups and who is in them."""
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


def _claims() -> None:
    """What the source claimed of a version, apart from what was decided."""
    op.add_column("versions", sa.Column("claimed", TEXT, nullable=True))


def _row_level_security() -> None:
    """PostgreSQL gives and takes rows of one tenant only (`adapters/catalog_sql/row_security.py`), the tables' owner included."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        if "tenant" not in {column["name"] for column in inspector.get_columns(table)}:
            continue
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(
            f'CREATE POLICY tenant_rows ON "{table}" USING ('
            "tenant = (SELECT nullif(current_setting('ragward.tenant', true), ''))"
            " OR (SELECT current_setting('ragward.maintenance', true)) = 'on')"
        )


def downgrade() -> None:
    """Reasons, approvals and revocations would be forgotten."""
    raise RuntimeError("there is no way down: restore a backup")
