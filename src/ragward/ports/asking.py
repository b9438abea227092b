"""Who asks, what they may do, how often, and the record of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ragward.domain.access import (
    Context,
    Credentials,
    Decision,
    IdSet,
    Subject,
)
from ragward.domain.assurance import StepUp
from ragward.domain.audit import AuditEntry, AuditEvent, AuditVerification
from ragward.domain.checkpoints import InclusionProof, LogKey
from ragward.domain.explanation import AskedAbout, Explanation, Reader
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import PolicySnapshot


class Clock(Protocol):
    """Time, so that tests can set it."""

    def now(self) -> int:
        """Unix seconds."""

    def now_milliseconds(self) -> int:
        """Unix milliseconds."""

    def monotonic(self) -> float:
        """Seconds for measuring durations."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class IdentityVerifier(Protocol):
    """Turns unverified credentials into a subject."""

    def verify(self, credentials: Credentials) -> Subject:
        """The subject. Raises `auth.*`, `unavailable.identity`, `unavailable.catalog`."""


class PolicyDecisionPoint(Protocol):
    """Decides under the tenant's policy. A failure inside it is a Deny or an error, never a Permit."""

    def decide_labels(self, subject: Subject, context: Context) -> Decision:
        """The labels `subject` may read now, with what is revealed under each; without those it has not proven enough for,
        which are told apart as `withheld`. Raises `unavailable.catalog`."""

    def decide(self, subject: Subject, action: str, label: AccessLabel, context: Context) -> bool:
        """Whether `subject` may do `action` (an `Action`, or `reveal:<TYPE>`) on things under `label`, and has proven enough."""

    def step_up(
        self, subject: Subject, action: str, label: AccessLabel, context: Context
    ) -> StepUp | None:
        """What proof is missing where `decide` would say yes with it; None where it would not, or does already."""

    def decide_for(
        self, tenant: str, principal: str, action: str, label: AccessLabel, context: Context
    ) -> bool:
        """Whether `principal` by itself, through no application or agent, may do `action` under `label`: what it has proven
        is not known here."""

    def decide_about(self, about: AskedAbout, context: Context) -> Decision:
        """What `decide_labels` would answer them with every proof that is demanded; for stewards."""

    def labels_for(self, subject: Subject, action: str, context: Context) -> IdSet:
        """The ids of the labels under which `subject` may do an administrative action: `decide`, for all of them."""

    def described(self, tenant: str, label_ids: Iterable[int]) -> Mapping[int, AccessLabel]:
        """The labels of these ids, which came out of a decision."""

    def explain(
        self,
        about: AskedAbout,
        label: AccessLabel,
        context: Context,
        policy: PolicySnapshot | None = None,
    ) -> Explanation:
        """Whether they may read under `label`, interned or not, and why, term by term; for stewards.

        Under the policy in force, or under `policy` if it were. Raises `policy.invalid`, `unavailable.catalog`."""

    def readers(
        self, tenant: str, label: AccessLabel, context: Context, *, after: str = ""
    ) -> Iterator[Reader]:
        """Everybody the policy names who may read under `label` by themselves, ordered by name, from after one on.

        People as if they asked directly, applications alone, agents as far as they may act for somebody."""

    def permitted_under(
        self, snapshot: PolicySnapshot, about: AskedAbout, context: Context
    ) -> frozenset[int]:
        """The ids of the tenant's labels that somebody may read if `snapshot` were in force. Raises `policy.invalid`,
        `unavailable.catalog`."""

    def check(self, snapshot: PolicySnapshot) -> None:
        """Raises `policy.invalid` unless the snapshot is valid and this model can decide it."""


class EpochTokens(Protocol):
    """Epochs as callers hold them."""

    def issue(self, tenant: str, epoch: int) -> str:
        """An opaque token; two of one epoch differ. Raises `unavailable.keys`."""

    def read(self, tenant: str, token: str) -> int:
        """The epoch of a token of this tenant. Raises `request.invalid`, `unavailable.keys`."""


class AuditLog(Protocol):
    """Append-only, a Merkle tree, one writer."""

    @property
    def key(self) -> LogKey:
        """Whose signature the checkpoints carry."""

    def append(self, event: AuditEvent, *, durable: bool) -> bytes:
        """Records, and returns the event's leaf hash; with `durable` it is in the tree and on disk when this returns.

        Raises `unavailable.audit`."""

    def entries(self, *, start: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Entries from an index on."""

    def find(self, event_id: str) -> AuditEntry | None:
        """The entry of an event, as the log says; `verify` tells whether it is so. Raises `unavailable.audit`."""

    def checkpoint(self) -> str:
        """A signed note of the log as it is. Raises `unavailable.audit`, `integrity.audit`."""

    def prove_inclusion(self, event_id: str) -> InclusionProof:
        """That an event is in the log. Raises `access.not_found`, `unavailable.audit`, `integrity.audit`."""

    def prove_consistency(self, first: int, second: int) -> Sequence[bytes]:
        """That the log of `second` entries begins with that of `first`. Raises `request.invalid`, `unavailable.audit`."""

    def verify(self, *, anchors: Sequence[str] = ()) -> AuditVerification:
        """Hashes everything again, and compares with signed notes kept elsewhere. Raises `request.invalid` for other notes."""

    def follow(self) -> None:
        """Fetches from now on what other processes record."""

    def require_fetching(self) -> None:
        """Raises `unavailable.audit` while what other processes record does not get into the log."""

    def close(self) -> None:
        """Flushes and releases the file."""


class Limiter(Protocol):
    """Rates and concurrency per subject."""

    def acquire(self, subject: Subject) -> None:
        """Counts one request in. Raises `limit.rate` or `limit.concurrency`."""

    def release(self, subject: Subject) -> None:
        """Counts it out."""
