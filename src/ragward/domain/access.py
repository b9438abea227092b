"""Who asks, what they want to do, and what was decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ragward.domain.disclosure import VERBS, Treatment
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.proof import NOTHING_PROVEN, Connection, Proof
from ragward.domain.task_grants import TaskGrant


class Action(StrEnum):
    """What a subject may be permitted to do; `resource:verb`, sorted. `reveal:<TYPE>` rows add one per personal-data type."""

    ACCESS_APPROVE = "access:approve"
    ACCESS_EMERGENCY = "access:emergency"
    ACCESS_EVALUATE = "access:evaluate"
    ACCESS_EXPLAIN = "access:explain"
    ACCESS_REQUEST = "access:request"
    APPLICATION_WRITE = "application:write"
    AUDIT_READ = "audit:read"
    CORPUS_RETRIEVE = "corpus:retrieve"
    DIRECTORY_READ = "directory:read"
    DIRECTORY_WRITE = "directory:write"
    DOCUMENT_DELETE = "document:delete"
    DOCUMENT_HOLD = "document:hold"
    DOCUMENT_INGEST = "document:ingest"
    DOCUMENT_RELABEL = "document:relabel"
    JOB_READ = "job:read"
    KEY_ROTATE = "key:rotate"
    METRICS_READ = "metrics:read"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    PSEUDONYM_ERASE = "pseudonym:erase"
    RESTRICTION_READ = "restriction:read"
    RESTRICTION_WRITE = "restriction:write"


#: Actions on content: the label's own grants, denials and compartments count, also for administrators.
CONTENT_ACTIONS = frozenset({Action.CORPUS_RETRIEVE})
#: Whoever may do one of these under a label is a steward of it: knows also of what waits for one.
STEWARDING_ACTIONS = (Action.DOCUMENT_RELABEL, Action.DOCUMENT_DELETE)
#: Whoever may do one of these under a label may learn that something active under it exists.
KNOWING_ACTIONS = (Action.CORPUS_RETRIEVE, *STEWARDING_ACTIONS)
REVEAL_PREFIX = "reveal:"


def entitling_action(treatment: Treatment, entity_type: str, purpose: str = "") -> str:
    """The action that a row must permit: `reveal:TYPE`, or `reveal:TYPE@PURPOSE` for a request with a purpose."""
    return f"{VERBS[treatment]}:{entity_type}" + (f"@{purpose}" if purpose else "")


ALL_CORPORA = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A registered AI application: it narrows what anybody can see through it.

    `corpora` holds names or `*`. A `public_client` cannot keep a secret: a person's token may come without the
    application's own credential beside it.
    """

    principal: str
    tenant: str
    client_id: str
    corpora: frozenset[str]
    ceiling: Classification
    public_client: bool = False
    expires_at: int | None = None

    def admits(self, label: AccessLabel) -> bool:
        """Whether content under `label` may pass through this application at all."""
        return (
            label.tenant == self.tenant
            and (ALL_CORPORA in self.corpora or label.corpus in self.corpora)
            and label.classification <= self.ceiling
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request carries, unverified. `authorization` identifies the application, `user_authorization` the person.
    Without a `connection` it came from this very process."""

    untrusted_authorization: str | None = field(default=None, repr=False)
    untrusted_user_authorization: str | None = field(default=None, repr=False)
    untrusted_task_grant: str | None = field(default=None, repr=False)
    """The secret of a task grant, which comes beside the others."""
    connection: Connection | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A verified asker: a person (or, alone, an application), the application and the agents that act for them.

    `agents` is the `act` chain of RFC 8693, the one that sent the request first. `not_after` (Unix seconds) is the
    earliest expiry of the credentials used. Effective permission is the intersection over all of them.
    """

    tenant: str
    principal: str
    application: Application
    agents: tuple[str, ...] = ()
    not_after: int
    acr: str | None = None
    auth_time: int | None = None
    """When they authenticated; never later than when that was verified."""
    proof: Proof = NOTHING_PROVEN
    purpose: str | None = None
    task: TaskGrant | None = None
    """The task grant the request came under; it narrows like everything else here."""
    credentials: Credentials | None = field(default=None, repr=False, compare=False)
    """What was verified, for a key broker that verifies it again."""

    @property
    def is_application_alone(self) -> bool:
        """No person behind the request: PUBLIC only."""
        return self.principal == self.application.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The circumstances of one decision. `now` is Unix seconds. `purpose` decides, with the label, which personal data
    is shown; it is no circumstance of reading at all."""

    now: int
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantHead:
    """How far a tenant's records have come, read together: what anything remembered about it is compared with.

    `policy_epoch` is the epoch at which rows, memberships or applications last changed; `has_pending` says whether the
    index still owes some of the tenant's points.
    """

    epoch: int = 0
    policy_epoch: int = 0
    last_label_id: int = 0
    last_scope_id: int = 0
    has_pending: bool = False


class IdSet(Protocol):
    """An immutable set of ids, however it is held: a frozenset, a compressed bitmap."""

    def __contains__(self, value: int, /) -> bool: ...
    def __iter__(self) -> Iterator[int]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Labels that may be read, and the personal-data types shown under them, shown less exact, and shown as pseudonyms."""

    labels: IdSet
    revealed: frozenset[str]
    generalised: frozenset[str] = frozenset()
    pseudonymised: frozenset[str] = frozenset()

    def treatments(self, entity_type: str) -> frozenset[Treatment]:
        """What the rows permit of a type."""
        sets = (self.pseudonymised, self.generalised, self.revealed)
        return frozenset(
            each
            for each, types in zip(list(Treatment)[1:], sets, strict=True)
            if entity_type in types
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Labels that the subject may read but for proof that is missing: their classifications by corpus; and the corpora in which
    something is left."""

    levels: Mapping[str, frozenset[Classification]]
    open_corpora: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Yes, for the labels of its grants; no label is in two of them.

    Valid for the epoch of the `head` it was decided at and until `not_after` (Unix seconds), the earliest boundary of
    any label, row or token it used.
    """

    head: TenantHead
    not_after: int
    grants: tuple[Grant, ...]
    policy_digest: str
    reason: str
    withheld: Withheld | None = None
    quarantined: frozenset[str] = frozenset()
    """Documents that nobody is answered from for now, by id."""

    def __bool__(self) -> bool:
        return True

    @property
    def epoch(self) -> int:
        """The epoch it is valid for."""
        return self.head.epoch

    def admits(self, label_id: int) -> bool:
        """Whether content under this label may be read."""
        return self.grant_of(label_id) is not None

    def revealed_under(self, label_id: int) -> frozenset[str]:
        """The personal-data types shown under a label; none under one that is not admitted."""
        grant = self.grant_of(label_id)
        return frozenset() if grant is None else grant.revealed

    def grant_of(self, label_id: int) -> Grant | None:
        """The grant that admits a label."""
        for grant in self.grants:
            if label_id in grant.labels:
                return grant
        return None

    def label_ids(self) -> frozenset[int]:
        """All admitted labels."""
        return frozenset(label_id for grant in self.grants for label_id in grant.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """No. `reason` is for stewards and the log; the asker never sees it."""

    epoch: int
    reason: str
    withheld: Withheld | None = None

    def __bool__(self) -> bool:
        return False


Decision = Permit | Deny
