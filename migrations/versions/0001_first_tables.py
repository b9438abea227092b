"""The catalog's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ordered by bytes on both databases, whatever the server's locale.
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
# SQLite only numbers INTEGER keys by itself.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates everything."""
    op.create_table(
        "applications",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("corpora", TEXT, nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.Column("public_client", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "client_id"),
    )
    op.create_table(
        "casbin_rule",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("ptype", TEXT, nullable=False),
        sa.Column("v0", TEXT, nullable=True),
        sa.Column("v1", TEXT, nullable=True),
        sa.Column("v2", TEXT, nullable=True),
        sa.Column("v3", TEXT, nullable=True),
        sa.Column("v4", TEXT, nullable=True),
        sa.Column("v5", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("casbin_rule_tenant", "casbin_rule", ["tenant"], unique=False)
    op.create_table(
        "documents",
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("corpus", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("current_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("document_id"),
        sa.UniqueConstraint("tenant", "corpus", "source"),
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("requested_by", TEXT, nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_table(
        "labels",
        sa.Column("label_id", ID, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("fields", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("label_id"),
        sa.UniqueConstraint("digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("labels_tenant", "labels", ["tenant", "label_id"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "outbox",
        sa.Column("sequence", ID, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("point_id", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_point", "outbox", ["point_id", "sequence"], unique=False)
    op.create_index("outbox_tenant", "outbox", ["tenant", "sequence"], unique=False)
    op.create_table(
        "policy_versions",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("author", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("rows", TEXT, nullable=False),
        sa.Column("memberships", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "epoch"),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "application_keys",
        sa.Column("prefix", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "client_id"],
            ["applications.tenant", "applications.client_id"],
        ),
        sa.PrimaryKeyConstraint("prefix"),
    )
    op.create_table(
        "job_items",
        sa.Column("item_id", ID, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=True),
        sa.Column("classification", TEXT, nullable=True),
        sa.Column("chunks", sa.BigInteger(), nullable=False),
        sa.Column("entity_counts", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.job_id"],
        ),
        sa.PrimaryKeyConstraint("item_id"),
    )
    op.create_index("job_items_job", "job_items", ["job_id", "outcome"], unique=False)
    op.create_table(
        "scopes",
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("label_id", sa.BigInteger(), nullable=False),
        sa.Column("view", sa.Integer(), nullable=False),
        sa.Column("entity_types", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["labels.label_id"],
        ),
        sa.PrimaryKeyConstraint("scope_id"),
        sa.UniqueConstraint("label_id", "view", "entity_types"),
        sqlite_autoincrement=True,
    )
    op.create_index("scopes_tenant", "scopes", ["tenant", "scope_id"], unique=False)
    op.create_table(
        "versions",
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("staging", TEXT, nullable=True),
        sa.Column("source_digest", sa.LargeBinary(), nullable=False),
        sa.Column("label_id", sa.BigInteger(), nullable=False),
        sa.Column("dek_id", TEXT, nullable=False),
        sa.Column("kek_id", TEXT, nullable=False),
        sa.Column("kek_version", sa.BigInteger(), nullable=False),
        sa.Column("wrapped_dek", sa.LargeBinary(), nullable=True),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("model_digest", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=True),
        sa.Column("chunk_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.document_id"],
        ),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["labels.label_id"],
        ),
        sa.PrimaryKeyConstraint("document_id", "version"),
    )
    op.create_index("versions_state", "versions", ["state"], unique=False)
    op.create_index("versions_tenant_state", "versions", ["tenant", "state"], unique=False)
    op.create_table(
        "chunks",
        sa.Column("chunk_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("entity_types", TEXT, nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id", "version"],
            ["versions.document_id", "versions.version"],
        ),
        sa.PrimaryKeyConstraint("chunk_id"),
    )
    op.create_index("chunks_version", "chunks", ["document_id", "version", "ordinal"], unique=False)
    op.create_table(
        "points",
        sa.Column("point_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("chunk_id", TEXT, nullable=False),
        sa.Column("view", sa.Integer(), nullable=False),
        sa.Column("vector_blob", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chunk_id"],
            ["chunks.chunk_id"],
        ),
        sa.PrimaryKeyConstraint("point_id"),
    )
    op.create_index("points_chunk", "points", ["chunk_id"], unique=False)


def downgrade() -> None:
    """There is nothing before."""
    raise RuntimeError("the first revision cannot be undone: restore a backup")
