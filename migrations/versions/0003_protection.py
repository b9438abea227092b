"""What protection of content needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Ordered by bytes on both databases, whatever the server's locale.
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds what 0002 lacks."""
    _screening()
    _fingerprints()
    _vector_marks()
    _pseudonyms()
    _key_ledger()


def _screening() -> None:
    """Which rules hit a chunk, and the version of the rule set. What a person released before that was kept stays released."""
    op.add_column("chunks", sa.Column("screening_rules", TEXT, nullable=False, server_default=""))
    op.add_column("chunks", sa.Column("rule_set", TEXT, nullable=False, server_default=""))
    op.execute(
        "UPDATE chunks SET screening_rules = 'released' WHERE verdict = 'flag' AND EXISTS ("
        "SELECT 1 FROM versions WHERE versions.document_id = chunks.document_id"
        " AND versions.version = chunks.version AND versions.evidence LIKE '%steward: released: %')"
    )


def _fingerprints() -> None:
    """Keyed fingerprints of chunks: what an answer repeats is found by them."""
    op.create_table(
        "fingerprints",
        sa.Column("chunk_id", TEXT, nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.chunk_id"]),
        sa.PrimaryKeyConstraint("chunk_id", "fingerprint"),
    )
    op.create_index("fingerprints_tenant", "fingerprints", ["tenant", "fingerprint"], unique=False)
    _row_level_security("fingerprints")


def _vector_marks() -> None:
    """Which documents moved since somebody last looked: what holds sealed vectors in memory follows the catalog by it."""
    for table in ("tenants", "documents"):
        op.add_column(
            table,
            sa.Column("vector_mark", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        )
    op.create_index("documents_vector_mark", "documents", ["tenant", "vector_mark"], unique=False)


def _pseudonyms() -> None:
    """Random pseudonyms, which can be erased: a keyed tag of the value, the token, the value under a key of its own."""
    op.create_table(
        "pseudonyms",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("token", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("entity_type", TEXT, nullable=False),
        sa.Column("dek_id", TEXT, nullable=False),
        sa.Column("kek_id", TEXT, nullable=False),
        sa.Column("kek_version", sa.BigInteger(), nullable=False),
        sa.Column("wrapped_dek", sa.LargeBinary(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "tag"),
        sa.UniqueConstraint("tenant", "token"),
    )
    _row_level_security("pseudonyms")


def _key_ledger() -> None:
    """Which KEKs a DEK was under before (of older rows nobody knows), which may not be used any more, what was shredded."""
    op.add_column("versions", sa.Column("earlier_keks", TEXT, nullable=True))
    op.create_index(
        "versions_kek", "versions", ["tenant", "kek_id", "document_id", "version"], unique=False
    )
    op.create_table(
        "retired_keks",
        sa.Column("kek_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kek_id", "version"),
    )
    op.create_table(
        "shreddings",
        sa.Column("receipt_id", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("receipt_id"),
    )
    op.create_index("shreddings_tenant", "shreddings", ["tenant", "at"], unique=False)
    for table in ("retired_keks", "shreddings"):
        _row_level_security(table)


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
    """Findings, fingerprints, what was shredded, and under which keys nothing may be stored, would be forgotten."""
    raise RuntimeError("there is no way down: restore a backup")
