"""Changing a policy: the edit that is wanted, the difference it makes, and whether it needs a second person.

The rules err on the side of asking: what cannot be seen to take rights away is taken to give some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import (
    Membership,
    PolicyRow,
    PolicySnapshot,
    Reach,
    in_order,
    parse_levels,
)
from ragward.domain.policy_csv import line_of

PROPOSAL_LIFETIME_SECONDS: Final = 14 * 86_400
ASKING_KINDS: Final = ("user:", "app:", "agent:")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEdit:
    """Rows to add and to remove; with `whole`, what is added takes the place of everything."""

    add_rows: frozenset[PolicyRow] = frozenset()
    remove_rows: frozenset[PolicyRow] = frozenset()
    add_memberships: frozenset[Membership] = frozenset()
    remove_memberships: frozenset[Membership] = frozenset()
    whole: bool = False

    @classmethod
    def replacing(cls, rows: Iterable[PolicyRow], memberships: Iterable[Membership]) -> PolicyEdit:
        """Another policy in place of the present one."""
        return cls(add_rows=frozenset(rows), add_memberships=frozenset(memberships), whole=True)

    def applied_to(self, before: PolicySnapshot) -> PolicySnapshot:
        """The policy afterwards, not validated; what is added and there, or removed and absent, is fine."""
        rows: frozenset[PolicyRow] = frozenset()
        memberships: frozenset[Membership] = frozenset()
        if not self.whole:
            rows = frozenset(before.rows) - self.remove_rows
            memberships = frozenset(before.memberships) - self.remove_memberships
        return PolicySnapshot(
            before.tenant,
            before.epoch,
            tuple(sorted(rows | self.add_rows)),
            in_order(memberships | self.add_memberships),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDiff:
    """What one policy has that another has not, each part sorted."""

    added_rows: tuple[PolicyRow, ...]
    removed_rows: tuple[PolicyRow, ...]
    added_memberships: tuple[Membership, ...]
    removed_memberships: tuple[Membership, ...]

    @classmethod
    def between(cls, before: PolicySnapshot, after: PolicySnapshot) -> PolicyDiff:
        """What turns `before` into `after`."""
        old_rows, new_rows = set(before.rows), set(after.rows)
        old, new = set(before.memberships), set(after.memberships)
        return cls(
            added_rows=tuple(sorted(new_rows - old_rows)),
            removed_rows=tuple(sorted(old_rows - new_rows)),
            added_memberships=tuple(sorted(new - old)),
            removed_memberships=tuple(sorted(old - new)),
        )

    def __bool__(self) -> bool:
        return any(
            (self.added_rows, self.removed_rows, self.added_memberships, self.removed_memberships)
        )

    def lines(self) -> list[str]:
        """`+` and `-` lines, as in a patch."""
        gone = [*map(line_of, self.removed_rows), *map(line_of, self.removed_memberships)]
        added = [*map(line_of, self.added_rows), *map(line_of, self.added_memberships)]
        return [*(f"- {line}" for line in gone), *(f"+ {line}" for line in added)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedByLabels:
    """The principals that access labels name: with them a membership can give or take without any row."""

    granted: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    on_restricted: frozenset[str] = frozenset()
    """Granted or denied on a RESTRICTED label."""

    @classmethod
    def by(cls, labels: Iterable[AccessLabel]) -> NamedByLabels:
        """Over all labels of a tenant."""
        granted: set[str] = set()
        denied: set[str] = set()
        restricted: set[str] = set()
        for label in labels:
            granted |= label.granted
            denied |= label.denied
            if label.classification is Classification.RESTRICTED:
                restricted |= label.granted | label.denied
        return cls(
            granted=frozenset(granted),
            denied=frozenset(denied),
            on_restricted=frozenset(restricted),
        )


def needs_second_person(
    before: PolicySnapshot, after: PolicySnapshot, named: NamedByLabels
) -> tuple[str, ...]:
    """The lines of the change that touch RESTRICTED, as `+` and `-` lines; none if it only takes rights away.

    A row touches RESTRICTED when its levels reach it. A membership does when it leads to the subject of such a row,
    into a compartment, or to somebody whom a RESTRICTED label grants or denies.
    """
    diff = PolicyDiff.between(before, after)
    if only_takes_away(before, after, named):
        return ()
    restricted = {row.subject for row in (*before.rows, *after.rows) if reaches_restricted(row)}
    restricted |= named.on_restricted
    reach = _reach_of_both(before, after)

    def leads_there(membership: Membership) -> bool:
        reached = reach.of(membership.group)
        return bool(restricted & reached) or any(r.startswith("compartment:") for r in reached)

    touching = [f"- {line_of(row)}" for row in diff.removed_rows if reaches_restricted(row)]
    touching += [f"- {line_of(m)}" for m in diff.removed_memberships if leads_there(m)]
    touching += [f"+ {line_of(row)}" for row in diff.added_rows if reaches_restricted(row)]
    touching += [f"+ {line_of(m)}" for m in diff.added_memberships if leads_there(m)]
    return tuple(touching)


def only_takes_away(before: PolicySnapshot, after: PolicySnapshot, named: NamedByLabels) -> bool:
    """Whether nobody can gain anything: then it need not wait for anybody.

    Allow rows go, deny rows come; memberships go through which nothing is denied, and come through which nothing is allowed.
    """
    diff = PolicyDiff.between(before, after)
    if any(row.effect == "deny" for row in diff.removed_rows):
        return False
    if any(row.effect == "allow" for row in diff.added_rows):
        return False
    rows = (*before.rows, *after.rows)
    denying = {row.subject for row in rows if row.effect == "deny"} | named.denied
    allowing = {row.subject for row in rows if row.effect == "allow"} | named.granted
    reach = _reach_of_both(before, after)
    for membership in diff.removed_memberships:
        if denying & reach.of(membership.group):
            return False
    for membership in diff.added_memberships:
        reached = reach.of(membership.group)
        if allowing & reached or any(name.startswith("compartment:") for name in reached):
            return False
    return True


def reaches_restricted(row: PolicyRow) -> bool:
    """Whether the row says anything about RESTRICTED."""
    return parse_levels(row.levels)[1] is Classification.RESTRICTED


def asking_principals(*snapshots: PolicySnapshot) -> list[str]:
    """The people, applications and agents these policies know, sorted."""
    names = {row.subject for snapshot in snapshots for row in snapshot.rows}
    names |= {m.member for snapshot in snapshots for m in snapshot.memberships}
    return sorted(name for name in names if name.startswith(ASKING_KINDS))


def _reach_of_both(before: PolicySnapshot, after: PolicySnapshot) -> Reach:
    """Over either's memberships: a change cannot hide behind another part of itself."""
    return Reach({*before.memberships, *after.memberships})


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """A policy as it was put in force, by whom and why. Times are Unix seconds."""

    number: int
    """The epoch at which it was written."""
    author: str
    at: int
    reason: str
    approved_by: str | None
    digest: str


class ProposalState(StrEnum):
    """What became of a proposal. All but the first are final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyProposal:
    """A whole policy that waits for a second person. Times are Unix seconds."""

    proposal_id: str
    tenant: str
    author: str
    at: int
    expires_at: int
    reason: str
    base_version: int
    rows: tuple[PolicyRow, ...]
    memberships: tuple[Membership, ...]
    state: ProposalState = ProposalState.PENDING
    decided_by: str | None = None
    decided_at: int | None = None
    decision_reason: str = ""

    def snapshot(self) -> PolicySnapshot:
        """The policy it would put in force."""
        return PolicySnapshot(self.tenant, 0, self.rows, self.memberships)

    def state_at(self, now: int) -> ProposalState:
        """Its state, time considered."""
        if self.state is ProposalState.PENDING and now >= self.expires_at:
            return ProposalState.EXPIRED
        return self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutcome:
    """What became of a write: in force as `version`, waiting as `proposal`, or neither because nothing differs.

    `version` is the one in force now; `digest` is that of the policy that was wanted.
    """

    version: int
    digest: str
    diff: PolicyDiff
    applied: bool
    proposal: PolicyProposal | None = None
    touching_restricted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChange:
    """How many active documents one principal gains and loses, by classification."""

    principal: str
    gained: Mapping[Classification, int]
    lost: Mapping[Classification, int]

    @classmethod
    def of(
        cls,
        principal: str,
        before: frozenset[int],
        after: frozenset[int],
        documents: Mapping[int, int],
        levels: Mapping[int, Classification],
    ) -> AccessChange:
        """From the labels permitted before and after; `documents` counts each label's."""
        return cls(
            principal=principal,
            gained=_per_level(after - before, documents, levels),
            lost=_per_level(before - after, documents, levels),
        )

    def __bool__(self) -> bool:
        return bool(self.gained or self.lost)


def _per_level(
    label_ids: Iterable[int], documents: Mapping[int, int], levels: Mapping[int, Classification]
) -> dict[Classification, int]:
    counts: dict[Classification, int] = {}
    for label_id in label_ids:
        if count := documents.get(label_id, 0):
            level = levels[label_id]
            counts[level] = counts.get(level, 0) + count
    return counts
