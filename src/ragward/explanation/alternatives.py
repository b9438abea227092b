"""The smallest sets of changes that would permit what is denied: searched, and each decided on by the decision point.

Whatever permits it must do something about every obstacle. So the search takes the obstacle for which fewest changes could
do anything, tries each of them, decides again, and goes on with what is then in the way: first with one change in all,
then with two, and so on. What it returns is minimal among the changes that `ChangeKind` names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ragward.domain.access import Action, Context
from ragward.domain.errors import InvalidRequestError
from ragward.domain.explanation import (
    Alternative,
    Alternatives,
    AskedAbout,
    Change,
    ChangeKind,
    Hurdle,
    Obstacle,
    PolicyParts,
    Supposition,
)
from ragward.domain.labels import tenant_of
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot, Reach
from ragward.ports import PolicyDecisionPoint

MAX_CHANGES: Final = 4
MAX_DECISIONS: Final = 4_000
MAX_GROUPS: Final = 64
"""Groups tried for one obstacle; those that bring fewest obstacles of their own come first."""
SHOWN: Final = 5
_RANKED: Final = 200
_JOINABLE: Final = ("group:", "role:", "compartment:")
_ORDER: Final = {kind: position for position, kind in enumerate(ChangeKind)}
_GROUPS_HELP: Final = frozenset({Hurdle.NO_ALLOW_ROW, Hurdle.NOT_GRANTED, Hurdle.NOT_CLEARED})

#: (labels gained by the principal) -> further documents, as the steward may count them.
Count = Callable[[frozenset[int]], int]


@dataclass(slots=True)
class _Group:
    """A group that could be joined, and what stands in its own way."""

    name: str
    obstacles: frozenset[tuple[Hurdle, str]]


class AlternativeSearch:
    """One search, for one supposition under one policy."""

    def __init__(
        self, pdp: PolicyDecisionPoint, policy: PolicySnapshot, context: Context, start: Supposition
    ) -> None:
        self._pdp, self._policy, self._context, self._start = pdp, policy, context, start
        self._parts = PolicyParts(policy)
        self._groups: list[_Group] | None = None
        self._seen: set[frozenset[Change]] = set()
        self._decisions = 0
        self._complete = True

    def run(self, count: Count) -> Alternatives:
        """The smallest alternatives, the one that gives away least first."""
        for size in range(1, MAX_CHANGES + 1):
            self._seen.clear()
            found: list[tuple[Change, ...]] = []
            self._descend(self._start, (), size, found)
            if found:
                return self._ranked(found, count)
        return Alternatives(complete=self._complete)

    # Searching. -----------------------------------------------------------------------------------------------------

    def _descend(
        self, at: Supposition, made: tuple[Change, ...], left: int, found: list[tuple[Change, ...]]
    ) -> None:
        if frozenset(made) in self._seen:
            return
        self._seen.add(frozenset(made))
        if self._decisions >= MAX_DECISIONS:
            self._complete = False
            return
        obstacles = self._obstacles(at)
        if obstacles is None:
            found.append(made)
            return
        if not left or not obstacles:
            return
        options = [self._changes_for(obstacle, at) for obstacle in obstacles]
        chosen = min(options, key=len)
        if left == 1:  # the last change must do something about all of them
            rest = [set(option) for option in options]
            chosen = [change for change in chosen if all(change in option for option in rest)]
        for change in chosen:
            if change not in made:
                self._descend(at.after(change), (*made, change), left - 1, found)

    def _obstacles(self, at: Supposition) -> tuple[Obstacle, ...] | None:
        """What is in the way, None if it is permitted."""
        self._decisions += 1
        try:
            told = self._pdp.explain(at.about, at.label, self._context, self._part(at))
        except InvalidRequestError:  # a policy that would be refused: too deep a nesting
            return ()
        waiting = () if at.released else (Obstacle(Hurdle.QUARANTINED, "document"),)
        return None if told.permitted and at.released else (*told.obstacles(), *waiting)

    def _part(self, at: Supposition) -> PolicySnapshot:
        joined = [membership.group for membership in at.edit.add_memberships]
        part = self._parts.about((*at.about.names(), *joined))
        return at.edit.applied_to(part) if at.edit != self._start.edit else part

    # What could help. -----------------------------------------------------------------------------------------------

    def _changes_for(self, obstacle: Obstacle, at: Supposition) -> list[Change]:
        """Every change that does something about an obstacle, though perhaps not enough alone."""
        who, label = obstacle.who, at.label
        match obstacle.hurdle:
            case Hurdle.NO_ALLOW_ROW:
                return [
                    *self._joining(obstacle, at),
                    Change(ChangeKind.ADD_ROW, who, _row(who, at)),
                ]
            case Hurdle.NOT_GRANTED:
                return [*self._joining(obstacle, at), Change(ChangeKind.GRANT, who)]
            case Hurdle.NOT_CLEARED:
                clearance = f"compartment:{label.tenant}/{obstacle.what}"
                return [_join(who, clearance), *self._joining(obstacle, at)]
            case Hurdle.DENY_ROW:
                return [
                    Change(ChangeKind.REMOVE_ROW, row=obstacle.row),
                    *self._leaving(obstacle, at),
                ]
            case Hurdle.DENIED_ON_LABEL:
                lift = Change(ChangeKind.LIFT_DENIAL, obstacle.what)
                return [lift, *self._leaving(obstacle, at)]
            case Hurdle.NOT_YET_VALID:
                return [Change(ChangeKind.LIFT_VALIDITY, "valid_from")]
            case Hurdle.NO_LONGER_VALID:
                return [Change(ChangeKind.LIFT_VALIDITY, "valid_until")]
            case Hurdle.APPLICATION_CORPUS:
                return [Change(ChangeKind.ADMIT_CORPUS, obstacle.what)]
            case Hurdle.APPLICATION_CEILING:
                return [Change(ChangeKind.RAISE_CEILING, obstacle.what)]
            case Hurdle.QUARANTINED:
                return [Change(ChangeKind.RELEASE)]
            case Hurdle.APPLICATION_ALONE | Hurdle.REFUSED:
                return []

    def _joining(self, obstacle: Obstacle, at: Supposition) -> list[Change]:
        """Groups that have what is missing, and are not joined yet."""
        if self._groups is None:
            self._groups = self._known_groups()
        missing = obstacle.hurdle, obstacle.what
        reached = Reach(self._part(at).memberships).of(obstacle.who)
        fitting = [
            group.name
            for group in self._groups
            if missing not in group.obstacles and group.name not in reached
        ]
        clearance = f"compartment:{at.label.tenant}/{obstacle.what}"
        fitting = [name for name in fitting if name != clearance]
        if len(fitting) > MAX_GROUPS:
            self._complete = False
        return [_join(obstacle.who, name) for name in fitting[:MAX_GROUPS]]

    def _known_groups(self) -> list[_Group]:
        """Groups of the policy or the label that have something, those with the least in their own way first."""
        label = self._start.label
        names = {*self._parts.names(), *label.granted}
        found = []
        for name in names:
            if name.startswith(_JOINABLE):
                about = AskedAbout(principal=name)
                told = self._pdp.explain(about, label, self._context, self._policy)
                own = frozenset((each.hurdle, each.what) for each in told.obstacles())
                found.append(_Group(name, own))
        useful = {(o.hurdle, o.what) for o in self._open() if o.hurdle in _GROUPS_HELP}

        def key(group: _Group) -> tuple[int, int, str]:
            return (len(group.obstacles), len(self._parts.reach.of(group.name)), group.name)

        return sorted((group for group in found if useful - group.obstacles), key=key)

    def _open(self) -> set[Obstacle]:
        """Everything that could ever be missing for this label."""
        label = self._start.label
        kinds = {Obstacle(Hurdle.NO_ALLOW_ROW, ""), Obstacle(Hurdle.NOT_GRANTED, "")}
        return kinds | {Obstacle(Hurdle.NOT_CLEARED, "", name) for name in label.compartments}

    def _leaving(self, obstacle: Obstacle, at: Supposition) -> list[Change]:
        """Direct memberships through which somebody has what is denied."""
        return [
            Change(ChangeKind.LEAVE, obstacle.who, membership=membership)
            for membership in self._parts.memberships_of(obstacle.who)
            if membership not in at.edit.remove_memberships
            and obstacle.what in self._parts.reach.of(membership.group)
        ]

    # Choosing. ------------------------------------------------------------------------------------------------------

    def _ranked(self, found: Collection[tuple[Change, ...]], count: Count) -> Alternatives:
        if len(found) > _RANKED:
            self._complete = False
        part = self._part(self._start)
        before = self._pdp.permitted_under(part, self._start.about, self._context)
        weighed = []
        for changes in list(found)[:_RANKED]:
            at = self._after(changes)
            after = self._pdp.permitted_under(self._part(at), at.about, self._context)
            ordered = tuple(sorted(changes, key=lambda each: (_ORDER[each.kind], each.text)))
            weighed.append(Alternative(changes=ordered, gains=count(after - before)))
        weighed.sort(key=_key)
        shown = list(islice((each for each in weighed if self._holds(each.changes)), SHOWN))
        return Alternatives(
            found=tuple(shown), more=len(found) - len(shown), complete=self._complete
        )

    def _after(self, changes: Collection[Change]) -> Supposition:
        at = self._start
        for change in changes:
            at = at.after(change)
        return at

    def _holds(self, changes: tuple[Change, ...]) -> bool:
        """Whether the whole policy, edited, permits it too: it must be valid, and the parts cannot have misled."""
        at = self._after(changes)
        whole = at.edit.applied_to(self._policy) if at.edit != self._start.edit else self._policy
        try:
            told = self._pdp.explain(at.about, at.label, self._context, whole)
        except InvalidRequestError:
            return False
        return told.permitted and at.released


def _key(alternative: Alternative) -> tuple[int, list[int], str]:
    kinds = [_ORDER[change.kind] for change in alternative.changes]
    return (
        alternative.gains,
        sorted(kinds, reverse=True),
        "; ".join(change.text for change in alternative.changes),
    )


def _join(who: str, group: str) -> Change:
    return Change(ChangeKind.JOIN, who, membership=Membership(who, group))


def _row(who: str, at: Supposition) -> PolicyRow:
    """The narrowest row that lets somebody read under a label."""
    label = at.label
    return PolicyRow(
        subject=who,
        action=Action.CORPUS_RETRIEVE.value,
        corpus=f"{tenant_of(who)}/{label.corpus}",
        levels=label.classification.name,
        compartment=min(label.compartments, default="*"),
        effect="allow",
    )
