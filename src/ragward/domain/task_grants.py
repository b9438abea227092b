"""What somebody lends for one task: less than they have, to whom, and until when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.labels import AccessLabel, Classification

PREFIX: Final = "rgt_"
MAX_CORPORA: Final = 50
MAX_BUDGET_TOKENS: Final = 10_000_000
MAX_MINUTES: Final = 1440
#: Acts on the content of a corpus. Power over policy, keys, people or the log is never lent.
LENDABLE: Final = frozenset(
    {"corpus:retrieve", "document:delete", "document:ingest", "document:relabel"}
)
#: Together with a type of personal data: what of it may be shown.
LENDABLE_VERBS: Final = ("reveal:", "generalise:", "pseudonymise:")
_FAR_FUTURE: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrant:
    """A grant for one task. It permits nothing by itself: it is one more term of the intersection.

    `minted_by` is the person who minted it and the only one it may be used for; `agent` the only principal that may
    bring it, through `application`. `actions` are names of `domain.access.Action`, or `reveal:TYPE` and the like.
    `not_before` and `not_after` are Unix seconds, the end excluded: it expires in the decision. `budget_tokens` is what
    all answers under it may carry together. `stepped_up` says that the person who minted it proved who they are as
    RESTRICTED demands at that moment.
    """

    grant_id: str
    tenant: str
    minted_by: str
    agent: str
    application: str
    purpose: str
    corpora: frozenset[str]
    ceiling: Classification
    actions: frozenset[str]
    budget_tokens: int
    not_before: int
    not_after: int
    stepped_up: bool = False

    def __hash__(self) -> int:
        """Of its name alone: equal grants have one, and every request looks grants up."""
        return hash(self.grant_id)

    def admits(self, label: AccessLabel, action: str, now: int) -> bool:
        """Whether `action` on content under `label` is within the task at `now`."""
        return (
            label.tenant == self.tenant
            and label.corpus in self.corpora
            and label.classification <= self.ceiling
            and self.lends(action, now)
        )

    def lends(self, action: str, now: int) -> bool:
        """Whether it is for this action, now; `reveal:TYPE@PURPOSE` is lent by `reveal:TYPE`."""
        return self.not_before <= now < self.not_after and (
            action in self.actions or action.partition("@")[0] in self.actions
        )

    def next_boundary(self, now: int) -> int:
        """The first instant after `now` at which it begins or ceases to hold."""
        return min(
            (bound for bound in (self.not_before, self.not_after) if bound > now),
            default=_FAR_FUTURE,
        )

    def digest(self, secret: str) -> bytes:
        """SHA-256 over the secret and every term: whoever edits a stored term makes the secret worthless."""
        terms = {
            "grant_id": self.grant_id,
            "tenant": self.tenant,
            "minted_by": self.minted_by,
            "agent": self.agent,
            "application": self.application,
            "purpose": self.purpose,
            "corpora": sorted(self.corpora),
            "ceiling": int(self.ceiling),
            "actions": sorted(self.actions),
            "budget_tokens": self.budget_tokens,
            "not_before": self.not_before,
            "not_after": self.not_after,
            "stepped_up": self.stepped_up,
        }
        body = json.dumps([secret, terms], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"ragward.task-grant.v1\0" + body.encode(errors="replace")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrantRequest:
    """What somebody wants to lend. Without an `application` it is the one that the agent is registered with, or the asker's."""

    agent: str
    corpora: frozenset[str]
    ceiling: Classification
    actions: frozenset[str]
    budget_tokens: int
    minutes: int
    reason: str
    purpose: str = ""
    application: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrantRecord:
    """A grant as it is kept. `secret_sha256` is `TaskGrant.digest` of its secret."""

    grant: TaskGrant
    reason: str
    minted_at: int
    secret_sha256: bytes = field(repr=False)
    spent_tokens: int = 0
    revoked_at: int | None = None
    revoked_by: str | None = None

    @property
    def remaining_tokens(self) -> int:
        """What answers under it may still carry."""
        return max(0, self.grant.budget_tokens - self.spent_tokens)

    def state(self, now: int) -> str:
        """For people."""
        if self.revoked_at is not None:
            return "revoked"
        if now >= self.grant.not_after:
            return "expired"
        return "active" if self.remaining_tokens else "spent"


def grant_id_in(untrusted_secret: str) -> str:
    """The grant that a secret says it is of; empty for what is no secret."""
    prefix, _, rest = untrusted_secret.partition("_")
    name, _, random = rest.partition("_")
    return name[:64] if f"{prefix}_" == PREFIX and random else ""
