"""The catalog's tables. Every row but `meta` carries its tenant; times are Unix seconds.

`migrations/versions` makes the same tables; a test holds the two equal.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

REVISION: Final = "0006"
"""The Alembic revision this code reads and writes."""
OLDER_REVISIONS: Final[tuple[str, ...]] = ("0001", "0002", "0003", "0004", "0005")
"""Revisions this code can upgrade from."""

# Ordered by bytes on both databases, whatever the server's locale.
_TEXT: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
# SQLite only numbers INTEGER keys by itself.
_ID: Final = BigInteger().with_variant(Integer, "sqlite")

metadata: Final = MetaData()

meta: Final = Table(
    "meta",
    metadata,
    Column("key", _TEXT, primary_key=True),
    Column("value", _TEXT, nullable=False),
)

tenants: Final = Table(
    "tenants",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("policy_epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("vector_mark", BigInteger, nullable=False, server_default=text("0")),
)

casbin_rule: Final = Table(
    "casbin_rule",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("ptype", _TEXT, nullable=False),
    *(Column(f"v{position}", _TEXT) for position in range(6)),
    Index("casbin_rule_tenant", "tenant"),
)

policy_versions: Final = Table(
    "policy_versions",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("author", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("digest", _TEXT, nullable=False),
    Column("rows", _TEXT, nullable=False),
    Column("memberships", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False, server_default=""),
    Column("approved_by", _TEXT),
)

policy_proposals: Final = Table(
    "policy_proposals",
    metadata,
    Column("proposal_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("author", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("base_version", BigInteger, nullable=False),
    Column("digest", _TEXT, nullable=False),
    Column("rows", _TEXT, nullable=False),
    Column("memberships", _TEXT, nullable=False),
    Column("decided_by", _TEXT),
    Column("decided_at", BigInteger),
    Column("decision_reason", _TEXT, nullable=False),
    Index("policy_proposals_tenant", "tenant", "at"),
)

applications: Final = Table(
    "applications",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("client_id", _TEXT, primary_key=True),
    Column("principal", _TEXT, nullable=False),
    Column("corpora", _TEXT, nullable=False),
    Column("ceiling", Integer, nullable=False),
    Column("public_client", Boolean, nullable=False),
    Column("expires_at", BigInteger),
    Column("owner", _TEXT),
    Column("purpose", _TEXT),
    Column("created_at", BigInteger),
)

application_keys: Final = Table(
    "application_keys",
    metadata,
    Column("prefix", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("client_id", _TEXT, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("agent", _TEXT),
    ForeignKeyConstraint(
        ["tenant", "client_id"], ["applications.tenant", "applications.client_id"]
    ),
)

agents: Final = Table(
    "agents",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("principal", _TEXT, primary_key=True),
    Column("client_id", _TEXT, nullable=False),
    Column("owner", _TEXT, nullable=False),
    Column("purpose", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "client_id"], ["applications.tenant", "applications.client_id"]
    ),
)

# `name` is a principal, or `key:` and a key's prefix; `used_at` is to the hour.
identity_uses: Final = Table(
    "identity_uses",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("name", _TEXT, primary_key=True),
    Column("used_at", BigInteger, nullable=False),
)

# `secret_sha256` covers the secret and every term.
task_grants: Final = Table(
    "task_grants",
    metadata,
    Column("grant_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("minted_by", _TEXT, nullable=False),
    Column("agent", _TEXT, nullable=False),
    Column("application", _TEXT, nullable=False),
    Column("purpose", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("corpora", _TEXT, nullable=False),
    Column("ceiling", Integer, nullable=False),
    Column("actions", _TEXT, nullable=False),
    Column("budget_tokens", BigInteger, nullable=False),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("stepped_up", Boolean, nullable=False),
    Column("minted_at", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revoked_by", _TEXT),
    Index("task_grants_tenant", "tenant", "minted_at"),
)

# A deleted person's row stays, without a name, while it has an external id: their principal is disabled.
directory_users: Final = Table(
    "directory_users",
    metadata,
    Column("user_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("external_id", _TEXT),
    Column("user_name", _TEXT),
    Column("user_name_key", _TEXT),
    Column("display_name", _TEXT),
    Column("display_name_key", _TEXT),
    Column("active", Boolean),
    Column("deleted", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "external_id"),
    UniqueConstraint("tenant", "user_name_key"),
)

directory_groups: Final = Table(
    "directory_groups",
    metadata,
    Column("group_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("external_id", _TEXT),
    Column("display_name", _TEXT, nullable=False),
    Column("display_name_key", _TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("directory_groups_tenant", "tenant", "display_name_key"),
)

directory_members: Final = Table(
    "directory_members",
    metadata,
    Column("group_id", _TEXT, ForeignKey("directory_groups.group_id"), primary_key=True),
    Column("member_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Index("directory_members_member", "tenant", "member_id"),
)

labels: Final = Table(
    "labels",
    metadata,
    Column("label_id", _ID, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("fields", _TEXT, nullable=False),
    Index("labels_tenant", "tenant", "label_id"),
    sqlite_autoincrement=True,
)

scopes: Final = Table(
    "scopes",
    metadata,
    Column("scope_id", _ID, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("label_id", BigInteger, ForeignKey("labels.label_id"), nullable=False),
    Column("view", Integer, nullable=False),
    Column("entity_types", _TEXT, nullable=False),
    UniqueConstraint("label_id", "view", "entity_types"),
    Index("scopes_tenant", "tenant", "scope_id"),
    sqlite_autoincrement=True,
)

documents: Final = Table(
    "documents",
    metadata,
    Column("document_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("corpus", _TEXT, nullable=False),
    Column("source", _TEXT, nullable=False),
    Column("current_version", BigInteger, nullable=False),
    Column("vector_mark", BigInteger, nullable=False, server_default=text("0")),
    Column("origin", _TEXT),
    Column("gone_since", BigInteger),
    UniqueConstraint("tenant", "corpus", "source"),
    Index("documents_vector_mark", "tenant", "vector_mark"),
    Index("documents_origin", "tenant", "origin"),
)

versions: Final = Table(
    "versions",
    metadata,
    Column("document_id", _TEXT, ForeignKey("documents.document_id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("staging", _TEXT),
    Column("source_digest", LargeBinary, nullable=False),
    Column("label_id", BigInteger, ForeignKey("labels.label_id"), nullable=False),
    Column("dek_id", _TEXT, nullable=False),
    Column("kek_id", _TEXT, nullable=False),
    Column("kek_version", BigInteger, nullable=False),
    Column("wrapped_dek", LargeBinary),
    Column("title", _TEXT, nullable=False),
    Column("media_type", _TEXT, nullable=False),
    Column("attributes", _TEXT, nullable=False),
    Column("evidence", _TEXT, nullable=False),
    Column("model_digest", _TEXT, nullable=False),
    Column("job_id", _TEXT),
    Column("chunk_count", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("pending", _TEXT, nullable=False, server_default=""),
    Column("bound_label_id", BigInteger),
    Column("claimed", _TEXT),
    Column("earlier_keks", _TEXT),
    Column("source_uri", _TEXT, nullable=False, server_default=""),
    Column("bytes_digest", LargeBinary),
    Index("versions_pending", "pending"),
    Index("versions_tenant_state", "tenant", "state", "label_id", "pending"),
    Index("versions_state", "state"),
    Index("versions_kek", "tenant", "kek_id", "document_id", "version"),
    Index("versions_job", "tenant", "job_id"),
)
# What lies under each KEK version is counted from it.
Index(
    "versions_held",
    versions.c.tenant,
    versions.c.kek_id,
    versions.c.kek_version,
    sqlite_where=versions.c.wrapped_dek.is_not(None),
    postgresql_where=versions.c.wrapped_dek.is_not(None),
)

# Of what made chunks: written once, never changed, checked against the digest when it is read. Ids rise with first use.
toolchains: Final = Table(
    "toolchains",
    metadata,
    Column("toolchain_id", _ID, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("loader", _TEXT, nullable=False),
    Column("chunker", _TEXT, nullable=False),
    Column("finder", _TEXT, nullable=False),
    Column("screener", _TEXT, nullable=False),
    Column("rules", _TEXT, nullable=False),
    Column("classifier", _TEXT, nullable=False),
    Column("model", _TEXT, nullable=False),
    UniqueConstraint("tenant", "digest"),
    sqlite_autoincrement=True,
)

HAS_TYPES: Final = text("entity_types <> ''")
chunks: Final = Table(
    "chunks",
    metadata,
    Column("chunk_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("document_id", _TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("entity_types", _TEXT, nullable=False),
    Column("verdict", _TEXT, nullable=False),
    Column("screening_rules", _TEXT, nullable=False, server_default=""),
    Column("rule_set", _TEXT, nullable=False, server_default=""),
    Column("toolchain_id", BigInteger),
    ForeignKeyConstraint(["document_id", "version"], ["versions.document_id", "versions.version"]),
    Index("chunks_version", "document_id", "version", "ordinal"),
)
# Partial: an index of all of a tenant's chunks is one that SQLite takes to read those of a few points.
Index(
    "chunks_types",
    chunks.c.tenant,
    chunks.c.entity_types,
    sqlite_where=HAS_TYPES,
    postgresql_where=HAS_TYPES,
)

fingerprints: Final = Table(
    "fingerprints",
    metadata,
    Column("chunk_id", _TEXT, ForeignKey("chunks.chunk_id"), primary_key=True),
    Column("fingerprint", BigInteger, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Index("fingerprints_tenant", "tenant", "fingerprint"),
)

points: Final = Table(
    "points",
    metadata,
    Column("point_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("chunk_id", _TEXT, ForeignKey("chunks.chunk_id"), nullable=False),
    Column("view", Integer, nullable=False),
    Column("vector_blob", LargeBinary, nullable=False),
    Index("points_chunk", "chunk_id"),
)

# Of generations after the first, whose vectors lie with their points. They go with their point, whoever removes it.
vectors: Final = Table(
    "vectors",
    metadata,
    Column("point_id", _TEXT, ForeignKey("points.point_id", ondelete="CASCADE"), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("vector_blob", LargeBinary, nullable=False),
    Index("vectors_generation", "generation"),
)

pseudonyms: Final = Table(
    "pseudonyms",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("tag", LargeBinary, primary_key=True),
    Column("token", _TEXT, nullable=False),
    Column("purpose", _TEXT, nullable=False),
    Column("entity_type", _TEXT, nullable=False),
    Column("dek_id", _TEXT, nullable=False),
    Column("kek_id", _TEXT, nullable=False),
    Column("kek_version", BigInteger, nullable=False),
    Column("wrapped_dek", LargeBinary, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "token"),
)

# No foreign keys: an entry to delete a point outlives the point.
outbox: Final = Table(
    "outbox",
    metadata,
    Column("sequence", _ID, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("point_id", _TEXT, nullable=False),
    Column("document_id", _TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("action", _TEXT, nullable=False),
    Index("outbox_point", "point_id", "sequence"),
    Index("outbox_tenant", "tenant", "sequence"),
    sqlite_autoincrement=True,
)

jobs: Final = Table(
    "jobs",
    metadata,
    Column("job_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("requested_by", _TEXT, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("origin", _TEXT),
    Column("request", _TEXT),
    Column("cancel_asked", Boolean, nullable=False, server_default=text("false")),
    Index("jobs_tenant", "tenant", "created_at"),
)

# `confidence` is in thousandths.
job_items: Final = Table(
    "job_items",
    metadata,
    Column("item_id", _ID, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("job_id", _TEXT, ForeignKey("jobs.job_id"), nullable=False),
    Column("source", _TEXT, nullable=False),
    Column("outcome", _TEXT, nullable=False),
    Column("document_id", _TEXT),
    Column("classification", _TEXT),
    Column("chunks", BigInteger, nullable=False),
    Column("entity_counts", _TEXT, nullable=False),
    Column("code", _TEXT),
    Column("detail", _TEXT, nullable=False),
    Column("confidence", Integer),
    Index("job_items_job", "job_id", "outcome"),
)

# Nothing is stored any more that is wrapped under these.
retired_keks: Final = Table(
    "retired_keks",
    metadata,
    Column("kek_id", _TEXT, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("retired_at", BigInteger, nullable=False),
)

shreddings: Final = Table(
    "shreddings",
    metadata,
    Column("receipt_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", _TEXT, nullable=False),
    Index("shreddings_tenant", "tenant", "at"),
)

# No foreign key: a question outlives the version it was about. `confidence` is in thousandths.
reviews: Final = Table(
    "reviews",
    metadata,
    Column("item_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("document_id", _TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("proposed", Integer),
    Column("confidence", Integer),
    Column("requested_by", _TEXT),
    Column("request_reason", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("decided_by", _TEXT),
    Column("decided_at", BigInteger),
    Column("decided", Integer),
    Column("decision_reason", _TEXT, nullable=False),
    Index("reviews_tenant", "tenant", "state", "created_at", "item_id"),
    Index("reviews_document", "document_id", "state"),
)

# `target` and `tags` name no person: keyed tags.
holds: Final = Table(
    "holds",
    metadata,
    Column("hold_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("target", _TEXT, nullable=False),
    Column("tags", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("placed_by", _TEXT, nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("lift_requested_by", _TEXT),
    Column("lift_reason", _TEXT, nullable=False),
    Column("lifted_by", _TEXT),
    Column("lifted_at", BigInteger),
    Index("holds_tenant", "tenant", "lifted_at"),
)

# No foreign key to documents: a hold may come before the version it keeps.
held_documents: Final = Table(
    "held_documents",
    metadata,
    Column("hold_id", _TEXT, ForeignKey("holds.hold_id"), primary_key=True),
    Column("document_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Index("held_documents_document", "tenant", "document_id"),
)

# Memberships for a time, and what was asked for: what is given is in `not_before` and `not_after`.
elevations: Final = Table(
    "elevations",
    metadata,
    Column("elevation_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("member", _TEXT, nullable=False),
    Column("role", _TEXT, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("emergency", Boolean, nullable=False),
    Column("decided_by", _TEXT),
    Column("decided_at", BigInteger),
    Column("decision_reason", _TEXT, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("revoked_by", _TEXT),
    Column("revoked_at", BigInteger),
    Column("reviewed_by", _TEXT),
    Column("reviewed_at", BigInteger),
    Column("review_note", _TEXT, nullable=False),
    Index("elevations_tenant", "tenant", "requested_at"),
)
# The note is signed; the digests of people are covered by it.
policy_roots: Final = Table(
    "policy_roots",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("note", _TEXT, nullable=False),
    Column("buckets", LargeBinary, nullable=False),
)
# `target` is a principal, or of a quarantine a document's id.
restrictions: Final = Table(
    "restrictions",
    metadata,
    Column("restriction_id", _TEXT, primary_key=True),
    Column("tenant", _TEXT, nullable=False),
    Column("target", _TEXT, nullable=False),
    Column("through", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("ceiling", Integer),
    Column("begins_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("evidence", _TEXT, nullable=False),
    Column("placed_by", _TEXT, nullable=False),
    Column("released_by", _TEXT),
    Column("released_at", BigInteger),
    Column("release_reason", _TEXT, nullable=False),
    Index("restrictions_tenant", "tenant", "until"),
)

behaviours: Final = Table(
    "behaviours",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("principal", _TEXT, primary_key=True),
    Column("state", _TEXT, nullable=False),
)

exposures: Final = Table(
    "exposures",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("name", _TEXT, primary_key=True),
    Column("day", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
)

rate_windows: Final = Table(
    "rate_windows",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("name", _TEXT, primary_key=True),
    Column("seconds", BigInteger, primary_key=True, autoincrement=False),
    Column("window", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
)
