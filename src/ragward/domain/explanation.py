"""Why somebody may or may not read something, and the changes that would alter it: for stewards only.

A verdict is always the decision point's. The terms say what it rests on, one obstacle for each thing that stands in the
way; a change is one edit that a person could make, and is only proposed after the decision point permitted under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from ragward.domain.access import Application
from ragward.domain.corpus import DocumentState
from ragward.domain.directory import group_namespace
from ragward.domain.funnel import ChunkTold, Fate, StageTold
from ragward.domain.labels import AccessLabel, Classification, tenant_of
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot, Reach
from ragward.domain.policy_change import PolicyEdit
from ragward.domain.policy_csv import line_of
from ragward.domain.task_grants import TaskGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAbout:
    """Whose access is looked at: a principal by itself, or through an application and agents.

    A person as if it asked directly, an agent as far as it may act for somebody, an application alone, held to PUBLIC.
    """

    principal: str
    application: Application | None = None
    agents: tuple[str, ...] = ()
    task: TaskGrant | None = None

    @property
    def tenant(self) -> str:
        """The principal's."""
        return tenant_of(self.principal)

    @property
    def is_application_alone(self) -> bool:
        """No person behind it."""
        own = self.application is not None and self.application.principal == self.principal
        return own or self.principal.startswith("app:")

    def names(self) -> tuple[str, ...]:
        """Everybody whose rows, memberships, grants and denials count."""
        through = () if self.application is None else (self.application.principal,)
        return tuple(dict.fromkeys((*through, self.principal, *self.agents)))


# Terms. -------------------------------------------------------------------------------------------------------------


class Hurdle(StrEnum):
    """What can stand in the way."""

    APPLICATION_ALONE = "application_alone"
    APPLICATION_CORPUS = "application_corpus"
    APPLICATION_CEILING = "application_ceiling"
    NO_ALLOW_ROW = "no_allow_row"
    DENY_ROW = "deny_row"
    NOT_CLEARED = "not_cleared"
    NOT_GRANTED = "not_granted"
    DENIED_ON_LABEL = "denied_on_label"
    NOT_YET_VALID = "not_yet_valid"
    NO_LONGER_VALID = "no_longer_valid"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    """The directory or the registration refuses whoever asks; no policy can lift that."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing in the way of `who`; `what` it is about, as the hurdle needs: a compartment, a denied principal."""

    hurdle: Hurdle
    who: str
    what: str = ""
    row: PolicyRow | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a decision: about whom, whether it held, and what decided it."""

    who: str
    term: str
    holds: bool
    because: str
    obstacles: tuple[Obstacle, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one principal may or may not read under one label: the terms in the order they are checked."""

    principal: str
    permitted: bool
    terms: tuple[Term, ...]

    def obstacles(self) -> tuple[Obstacle, ...]:
        """Everything in the way."""
        return tuple(obstacle for term in self.terms for obstacle in term.obstacles)


# Changes. -----------------------------------------------------------------------------------------------------------


class ChangeKind(StrEnum):
    """What a person could do, the gentlest first."""

    JOIN = "add_membership"
    GRANT = "grant_on_label"
    ADD_ROW = "add_row"
    RELEASE = "release"
    ADMIT_CORPUS = "admit_corpus"
    RAISE_CEILING = "raise_ceiling"
    LIFT_VALIDITY = "lift_validity"
    LEAVE = "remove_membership"
    LIFT_DENIAL = "remove_denial_on_label"
    REMOVE_ROW = "remove_row"


@dataclass(frozen=True, slots=True)
class Change:
    """One edit. `subject` is who or what it is about; policy edits carry their row or membership."""

    kind: ChangeKind
    subject: str = ""
    row: PolicyRow | None = None
    membership: Membership | None = None

    @property
    def line(self) -> str | None:
        """The policy line to add or remove, None for other edits."""
        item = self.row or self.membership
        return None if item is None else line_of(item)

    @property
    def text(self) -> str:
        """For people."""
        match self.kind:
            case ChangeKind.JOIN | ChangeKind.LEAVE:
                return self._membership_text()
            case ChangeKind.GRANT:
                return f"grant {self.subject} on the label"
            case ChangeKind.LIFT_DENIAL:
                return f"take {self.subject} off the label's denied"
            case ChangeKind.ADD_ROW:
                return f"add the row {self.line}"
            case ChangeKind.REMOVE_ROW:
                return f"remove the row {self.line}"
            case ChangeKind.RELEASE:
                return "release the document from quarantine"
            case ChangeKind.ADMIT_CORPUS:
                return f"let corpus {self.subject} pass through the application"
            case ChangeKind.RAISE_CEILING:
                return f"raise the application's ceiling to {self.subject}"
            case ChangeKind.LIFT_VALIDITY:
                return f"lift the label's {self.subject}"

    def _membership_text(self) -> str:
        assert self.membership is not None
        member, group = self.membership.member, self.membership.group
        joins = self.kind is ChangeKind.JOIN
        if group.startswith("compartment:"):
            name = group.partition("/")[2]
            verb = "clear" if joins else "take the clearance of"
            return f"{verb} {member} for compartment {name}"
        in_directory = group.startswith(group_namespace(tenant_of(group)))
        where = " (in the directory)" if in_directory else ""
        verb, joint = ("add", "to") if joins else ("take", "out of")
        return f"{verb} {member} {joint} {group}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposition:
    """Who, what and under which policy edit: as it is, or as it would be after changes."""

    about: AskedAbout
    label: AccessLabel
    released: bool
    edit: PolicyEdit = field(default_factory=PolicyEdit)

    def after(self, change: Change) -> Supposition:
        """With one change made."""
        edit, label = self._edited(change), self.label
        match change.kind:
            case ChangeKind.GRANT:
                label = replace(label, granted=label.granted | {change.subject})
            case ChangeKind.LIFT_DENIAL:
                label = replace(label, denied=label.denied - {change.subject})
            case ChangeKind.LIFT_VALIDITY if change.subject == "valid_from":
                label = replace(label, valid_from=None)
            case ChangeKind.LIFT_VALIDITY:
                label = replace(label, valid_until=None)
            case _:
                pass
        about = replace(self.about, application=self._application_after(change))
        released = self.released or change.kind is ChangeKind.RELEASE
        return Supposition(about=about, label=label, released=released, edit=edit)

    def _edited(self, change: Change) -> PolicyEdit:
        edit = self.edit
        if change.kind is ChangeKind.ADD_ROW and change.row is not None:
            return replace(edit, add_rows=edit.add_rows | {change.row})
        if change.kind is ChangeKind.REMOVE_ROW and change.row is not None:
            return replace(edit, remove_rows=edit.remove_rows | {change.row})
        if change.membership is None:
            return edit
        one = {change.membership}
        if change.kind is ChangeKind.JOIN:
            return replace(edit, add_memberships=edit.add_memberships | one)
        return replace(edit, remove_memberships=edit.remove_memberships | one)

    def _application_after(self, change: Change) -> Application | None:
        application = self.about.application
        if application is None:
            return None
        if change.kind is ChangeKind.ADMIT_CORPUS:
            return replace(application, corpora=application.corpora | {change.subject})
        if change.kind is ChangeKind.RAISE_CEILING:
            return replace(application, ceiling=Classification[change.subject])
        return application


class PolicyParts:
    """A policy cut down to what concerns some names: for them it decides as the whole does, at a fraction of the cost."""

    def __init__(self, policy: PolicySnapshot) -> None:
        self.policy = policy
        self.reach = Reach(policy.memberships)
        self._rows: dict[str, list[PolicyRow]] = {}
        self._memberships: dict[str, list[Membership]] = {}
        for row in policy.rows:
            self._rows.setdefault(row.subject, []).append(row)
        for membership in policy.memberships:
            self._memberships.setdefault(membership.member, []).append(membership)

    def names(self) -> set[str]:
        """Every principal with a row, a membership or a member."""
        groups = {membership.group for membership in self.policy.memberships}
        return self._rows.keys() | self._memberships.keys() | groups

    def memberships_of(self, member: str) -> list[Membership]:
        """Its direct ones."""
        return self._memberships.get(member, [])

    def about(self, names: Iterable[str]) -> PolicySnapshot:
        """The rows and memberships of these names and of all they reach, and one row about somebody else: a policy without
        rows is none, also after an edit."""
        reached = {each for name in names for each in self.reach.of(name)}
        rows = [row for name in reached for row in self._rows.get(name, ())]
        memberships = [each for name in reached for each in self._memberships.get(name, ())]
        policy = self.policy
        others = (row for row in policy.rows if row.subject not in reached)
        return PolicySnapshot(
            policy.tenant,
            policy.epoch,
            (*rows, *islice(others, 1)),
            tuple(memberships),
            policy.version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Changes that together permit it. `gains`: further documents the principal would then read, of those that the
    steward may explain."""

    changes: tuple[Change, ...]
    gains: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternatives:
    """The smallest sets of changes, the one that gives away least first; `more` of the same size are not shown.

    `complete` is False when the search was cut short: a smaller set may exist.
    """

    found: tuple[Alternative, ...] = ()
    more: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class DocumentId:
    """A document's current version."""

    id: str


@dataclass(frozen=True, slots=True)
class ChunkId:
    """One chunk."""

    id: str


Target = DocumentId | ChunkId


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """About whom a steward asks, unverified: a principal, the application's principal, agents."""

    principal: str
    application: str | None = None
    agents: tuple[str, ...] = ()


# What stewards are told. --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewTold:
    """In which view the chunks would be shown: `shown` and `hidden` are personal-data types, each hidden one with the reason."""

    full: int
    redacted: int
    shown: frozenset[str]
    hidden: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentNamed:
    """Which document, without its content or title."""

    document_id: str
    corpus: str
    source: str
    classification: Classification
    state: DocumentState
    chunk_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentExplanation:
    """Whether somebody may read a document, on what it rests, and the smallest changes that would permit it."""

    document: DocumentNamed
    about: AskedAbout
    permitted: bool
    terms: tuple[Term, ...]
    view: ViewTold | None
    alternatives: Alternatives


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who may read under a label: the chain of memberships to the subject of an allow row, the row, and the chain
    to who is granted; an agent, which acts for others, needs no grant."""

    principal: str
    row: PolicyRow | None
    allowed: tuple[str, ...]
    granted: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who may read a document at an instant: one page by principal, how many in all, and where to go on."""

    document: DocumentNamed
    at: int
    total: int
    readers: tuple[Reader, ...]
    next_after: str | None
    because: str
    """Why it is nobody, whatever the policy says; empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Documents that are alike to a decision, and the personal-data types shown in them."""

    corpus: str
    classification: Classification
    compartments: frozenset[str]
    revealed: frozenset[str]
    labels: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An administrative action, and where: a corpus with classifications, or None for the tenant as a whole."""

    action: str
    corpus: str | None
    classifications: tuple[Classification, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectAccess:
    """What somebody may read and do at an instant, as far as the steward may explain it; documents by page."""

    about: AskedAbout
    at: int
    because: str
    areas: tuple[Area, ...]
    documents: tuple[DocumentNamed, ...]
    next_after: str | None
    acts: tuple[Act, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedTold:
    """One passage of what the answer would have been, without its text."""

    rank: int
    document: DocumentNamed
    share: float
    removed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExplanation:
    """What a question of somebody's would have come to, over the documents that the steward may explain.

    With a document named: how far it came, chunk by chunk, the furthest first; where its label stopped it, why.
    """

    about: AskedAbout
    stages: tuple[StageTold, ...]
    returned: tuple[ReturnedTold, ...]
    named: DocumentNamed | None = None
    fate: Fate | None = None
    chunks: tuple[ChunkTold, ...] = ()
    denied: DocumentExplanation | None = None
