"""The event schema of the audit log.

An event holds no query text, no content and no personal data: queries appear as a keyed tag, documents by id.
Events are the leaves of a Merkle tree (`domain.merkle`). The stored bytes are the hashed bytes: nothing is re-serialised when a
log is verified.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EventType(StrEnum):
    """What is recorded, sorted. Append only."""

    ACCESS_EVALUATED = "access.evaluated"
    ACCESS_EXPLAINED = "access.explained"
    ADMIN_ACT = "admin.act"
    AGENT_ACTED = "agent.acted"
    CLASSIFIER_TRAINED = "classifier.trained"
    CONTENT_SHREDDED = "content.shredded"
    DIRECTORY_GROUP_CHANGED = "directory.group_changed"
    DIRECTORY_GROUP_CREATED = "directory.group_created"
    DIRECTORY_GROUP_DELETED = "directory.group_deleted"
    DIRECTORY_USER_CHANGED = "directory.user_changed"
    DIRECTORY_USER_CREATED = "directory.user_created"
    DIRECTORY_USER_DELETED = "directory.user_deleted"
    DIRECTORY_USER_DISABLED = "directory.user_disabled"
    DIRECTORY_USER_ENABLED = "directory.user_enabled"
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_GONE = "document.gone"
    DOCUMENT_INGESTED = "document.ingested"
    DOCUMENT_RELABELLED = "document.relabelled"
    DOCUMENT_RESCANNED = "document.rescanned"
    DOCUMENT_RESCREENED = "document.rescreened"
    DOCUMENT_RETURNED = "document.returned"
    ELEVATION_CHANGED = "elevation.changed"
    GENERATION_CHANGED = "generation.changed"
    HOLD_CHANGED = "hold.changed"
    HONEY_TOUCHED = "honey.touched"
    IDENTITY_REFUSED = "identity.refused"
    INGEST_REFUSED = "ingest.refused"
    INTEGRITY_FAILURE = "integrity.failure"
    KEY_CREATED = "key.created"
    KEY_DESTROYED = "key.destroyed"
    KEY_ROTATED = "key.rotated"
    KEY_USED = "key.used"
    LINEAGE_EXPORTED = "lineage.exported"
    LINEAGE_READ = "lineage.read"
    LOG_GAP = "log.gap"
    MODEL_ACCEPTED = "model.accepted"
    MODEL_REFUSED = "model.refused"
    OUTPUT_INSPECTED = "output.inspected"
    POLICY_APPROVED = "policy.approved"
    POLICY_CHANGED = "policy.changed"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_REJECTED = "policy.rejected"
    POLICY_ROLLED_BACK = "policy.rolled_back"
    PSEUDONYM_ERASED = "pseudonym.erased"
    PSEUDONYM_REVEALED = "pseudonym.revealed"
    REQUEST_REFUSED = "request.refused"
    RETRIEVAL_ANSWERED = "retrieval.answered"
    RETRIEVAL_DENIED = "retrieval.denied"
    REVIEW_DECIDED = "review.decided"
    REVIEW_REQUESTED = "review.requested"
    SUBJECT_SEARCHED = "subject.searched"
    TASK_GRANT_MINTED = "task_grant.minted"
    TASK_GRANT_REVOKED = "task_grant.revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing that happened. `actor` and `details` hold ids, counts, codes and digests only."""

    event_id: str
    at: int
    """Unix milliseconds"""
    type: EventType
    tenant: str
    actor: Mapping[str, object] = field(default_factory=dict)
    decision: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """What is stored of it."""
        return {
            "v": 1,
            "id": self.event_id,
            "ts": self.at,
            "type": self.type.value,
            "tenant": self.tenant,
            "actor": dict(self.actor),
            "decision": self.decision,
            "details": dict(self.details),
        }

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        text = json.dumps(self.body(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Where an event stands in the log: its index from 0 and its leaf hash (32 bytes)."""

    index: int
    leaf_hash: bytes
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is known of an event when it is on record; `leaf_hash` is what a proof of it begins with."""

    event_id: str
    at: int
    """Unix milliseconds"""
    leaf_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerification:
    """The outcome of checking a log. `complete` is True only against an anchor the verifier kept, up to `anchored` entries."""

    consistent: bool
    complete: bool
    entries: int
    head: str
    problem: str = ""
    first_bad_index: int | None = None
    anchored: int = 0

    @classmethod
    def broken(
        cls, entries: int, problem: str, *, head: str = "", first_bad_index: int | None = None
    ) -> AuditVerification:
        """Of a log that does not hold together."""
        return cls(
            consistent=False,
            complete=False,
            entries=entries,
            head=head,
            problem=problem,
            first_bad_index=first_bad_index,
        )


def query_tag(key: bytes, tenant: str, query: str) -> str:
    """A keyed tag that lets equal queries of one tenant be recognised by a holder of the key, and by nobody else."""
    normalised = " ".join(query.lower().split())
    message = b"ragward.query.v2\0" + tenant.encode() + b"\0" + normalised.encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:32]
