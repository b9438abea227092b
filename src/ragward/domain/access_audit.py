"""Rights against their use: what could be reached in a window of time, what was, and what can be taken away.

A right counts as used when something that was read could be read because of it: every row, membership, grant and clearance on
*any* way to it is kept. So what remains takes nothing from anybody that they used, together as well as one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from ragward.domain.access import ALL_CORPORA, Application
from ragward.domain.directory import group_namespace
from ragward.domain.disclosure import VERBS
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot, Reach, parse_levels
from ragward.domain.policy_change import PolicyEdit
from ragward.domain.policy_csv import line_of

#: (who, label id): somebody was answered from something under this label, by themselves or as an agent of somebody.
Reads = Set[tuple[str, int]]
_READING: Final = frozenset({"corpus:retrieve", "corpus:*"})
_SHOWING: Final = tuple(f"{verb}:" for verb in VERBS.values())


class Why(StrEnum):
    """Why a right that nobody used is left alone."""

    TOO_NEW = "too_new"
    """It came within the window."""
    ADMINISTRATIVE = "administrative"
    """It leads to more than reading, which the log of answers does not show the use of."""
    DENIES = "denies"
    """Something is denied through it: without it somebody could gain."""
    DIRECTORY = "directory"
    """The identity provider keeps it: to be taken away there."""
    NEEDED = "needed"
    """The decision point says that without it something that was used could no longer be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An unused right that is not proposed, and why."""

    line: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """What can be taken away, and what was left alone."""

    edit: PolicyEdit
    left: tuple[Left, ...]

    def lines(self) -> list[str]:
        """What can be taken away, as lines of a policy file."""
        rows = map(line_of, sorted(self.edit.remove_rows))
        return [*rows, *map(line_of, sorted(self.edit.remove_memberships))]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalUse:
    """One person, application or agent: what they could reach now, and what they did in the window."""

    principal: str
    reachable_labels: int
    reachable_documents: int
    used_labels: int
    used_documents: int
    answers: int
    last_used: int = 0
    """Unix seconds; 0 for never in the window"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUse:
    """One group or role: who is in it, and through whom it was used."""

    principal: str
    members: int
    members_using: int
    rows: int
    rows_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationUse:
    """One application (and its keys): how far it may let things through, and how far it did. `narrowed` is what suffices."""

    application: Application
    answers: int
    corpora: frozenset[str]
    highest: Classification | None
    narrowed: Application | None = None


@dataclass(slots=True)
class Exercise:
    """The rights on the ways to what was read."""

    rows: set[PolicyRow] = field(default_factory=set)
    memberships: set[Membership] = field(default_factory=set)


def exercised(
    policy: PolicySnapshot, labels: Mapping[int, AccessLabel], reads: Reads
) -> dict[str, Exercise]:
    """By who read: every right on any way to any of it."""
    reach, out = Reach(policy.memberships), defaultdict[str, list[Membership]](list)
    for membership in policy.memberships:
        out[membership.member].append(membership)
    rows = defaultdict[str, list[PolicyRow]](list)
    for row in policy.rows:
        if row.effect == "allow" and concerns_reading(row):
            rows[row.subject].append(row)
    read_by = defaultdict[str, list[AccessLabel]](list)
    for who, label_id in reads:
        if label_id in labels:
            read_by[who].append(labels[label_id])
    found: dict[str, Exercise] = {}
    for who, read in read_by.items():
        reached, used, goals = reach.of(who), Exercise(), set[str]()
        for label in read:
            goals |= label.granted & reached
            goals |= {f"compartment:{label.tenant}/{name}" for name in label.compartments}
            for name in reached:
                used.rows |= {row for row in rows[name] if _covers(row, label)}
        goals |= {row.subject for row in used.rows}
        used.memberships = {m for name in reached for m in out[name] if goals & reach.of(m.group)}
        found[who] = used
    return found


def unused(
    policy: PolicySnapshot,
    labels: Mapping[int, AccessLabel],
    used: Iterable[Exercise],
    before: PolicySnapshot | None,
) -> Unused:
    """What nobody used, as one edit. `before` is the policy at the window's beginning: what is not in it is too new to tell."""
    used_rows, used_memberships = set[PolicyRow](), set[Membership]()
    for each in used:
        used_rows |= each.rows
        used_memberships |= each.memberships
    old_rows = frozenset(before.rows) if before else frozenset[PolicyRow]()
    old_memberships = frozenset(before.memberships) if before else frozenset[Membership]()
    rows, memberships, left = set[PolicyRow](), set[Membership](), list[Left]()
    for row in policy.rows:
        if row.effect == "deny" or row in used_rows or not concerns_reading(row):
            continue
        if row in old_rows:
            rows.add(row)
        else:
            left.append(Left(line=line_of(row), why=Why.TOO_NEW))
    keep = _Keeping(policy, labels.values())
    for membership in policy.memberships:
        if membership in used_memberships:
            continue
        why = Why.TOO_NEW if membership not in old_memberships else keep.why(membership)
        if why is None:
            memberships.add(membership)
        else:
            left.append(Left(line=line_of(membership), why=why))
    edit = PolicyEdit(remove_rows=frozenset(rows), remove_memberships=frozenset(memberships))
    return Unused(edit=edit, left=tuple(left))


class _Keeping:
    """Why an unused membership is not taken away."""

    def __init__(self, policy: PolicySnapshot, labels: Iterable[AccessLabel]) -> None:
        self._reach = Reach(policy.memberships)
        self._directory = group_namespace(policy.tenant)
        self._administrative = {
            row.subject
            for row in policy.rows
            if row.effect == "allow" and not concerns_reading(row)
        }
        self._denying = {row.subject for row in policy.rows if row.effect == "deny"}
        for label in labels:
            self._denying |= label.denied

    def why(self, membership: Membership) -> Why | None:
        """None where it can go."""
        reached = self._reach.of(membership.group)
        if reached & self._denying:
            return Why.DENIES
        if reached & self._administrative:
            return Why.ADMINISTRATIVE
        return Why.DIRECTORY if membership.group.startswith(self._directory) else None


def role_uses(policy: PolicySnapshot, used: Mapping[str, Exercise]) -> list[RoleUse]:
    """Every group and role that the policy names, by name."""
    reach = Reach(policy.memberships)
    members = defaultdict[str, set[str]](set)
    for name in {m.member for m in policy.memberships}:
        if not _is_role(name):
            for reached in reach.of(name):
                members[reached].add(name)
    rows = defaultdict[str, list[PolicyRow]](list)
    for row in policy.rows:
        if row.effect == "allow" and concerns_reading(row):
            rows[row.subject].append(row)
    through = {who: {m.group for m in each.memberships} for who, each in used.items()}
    names = {name for name in (*members, *rows) if _is_role(name)}
    used_rows = {row for each in used.values() for row in each.rows}
    return [
        RoleUse(
            principal=name,
            members=len(members[name]),
            members_using=sum(name in through.get(who, ()) for who in members[name]),
            rows=len(rows[name]),
            rows_used=len(used_rows.intersection(rows[name])),
        )
        for name in sorted(names)
    ]


def application_use(
    application: Application, answers: int, labels: Iterable[AccessLabel], *, untouched: bool
) -> ApplicationUse:
    """How far an application let things through, and what would suffice; one that let nothing through is left to a person, and
    so is one that is `untouched`: new, or acted through."""
    seen = list(labels)
    corpora = frozenset(label.corpus for label in seen)
    highest = max((label.classification for label in seen), default=None)
    narrowed = None
    if highest is not None and not untouched:
        enough = replace(application, corpora=corpora, ceiling=highest)
        narrowed = None if enough == application else enough
    return ApplicationUse(
        application=application,
        answers=answers,
        corpora=corpora,
        highest=highest,
        narrowed=narrowed,
    )


def narrower(application: Application, narrowed: Application) -> bool:
    """Whether the second lets nothing through that the first does not."""
    wider = ALL_CORPORA in application.corpora or narrowed.corpora <= application.corpora
    return wider and narrowed.ceiling <= application.ceiling


def concerns_reading(row: PolicyRow) -> bool:
    """Whether the row is about reading, or about what is shown of what is read."""
    return row.action in _READING or row.action.startswith(_SHOWING)


def _covers(row: PolicyRow, label: AccessLabel) -> bool:
    tenant, _, corpus = row.corpus.partition("/")
    low, high = parse_levels(row.levels)
    return (
        tenant == label.tenant
        and corpus in ("*", label.corpus)
        and low <= label.classification <= high
        and row.compartment in ("*", *label.compartments)
    )


def _is_role(name: str) -> bool:
    return name.startswith(("group:", "role:"))
