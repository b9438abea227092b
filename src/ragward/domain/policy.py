"""Policy rows and memberships as data, and what makes a policy valid.

An invalid policy is refused when it is written and when it is loaded, never half-applied: pycasbin itself accepts a row
of the wrong length and then raises on every decision, answers True to `enforce("", "", "")` over no rows, and stops
following `g` after ten hops, so that a deny inherited over more is silently not applied.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Final

from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import (
    HONEY,
    Classification,
    require_name,
    require_principal,
    tenant_of,
)

MAX_DEPTH: Final = 9
#: How many rows of policies are remembered as checked, of all tenants together.
MANY_ROWS: Final = 1 << 17
_ACTION: Final = re.compile(r"[a-z]+:([a-z]+|[A-Z][A-Z0-9_]*(@\*|@[a-z][a-z0-9_-]{0,31})?|\*)")
_EFFECTS: Final = frozenset({"allow", "deny"})


@dataclass(frozen=True, slots=True, order=True)
class PolicyRow:
    """One Casbin `p` row: who may (not) do what, in which corpus, between which levels, in which compartment."""

    subject: str
    action: str
    corpus: str
    levels: str
    compartment: str
    effect: str

    @classmethod
    def from_fields(cls, fields: Iterable[str]) -> PolicyRow:
        """A validated row of exactly six fields. Raises `policy.invalid`."""
        row = cls(*_texts("p", 6, fields))
        row.validate()
        return row

    def fields(self) -> tuple[str, str, str, str, str, str]:
        """The six values in Casbin's order (v0..v5)."""
        return (
            self.subject,
            self.action,
            self.corpus,
            self.levels,
            self.compartment,
            self.effect,
        )

    def validate(self) -> None:
        """Raises `policy.invalid` or `principal.invalid`."""
        require_principal(self.subject)
        if not _ACTION.fullmatch(self.action):
            raise _invalid(f"action {self.action!r} is not resource:verb")
        tenant, _, corpus = self.corpus.partition("/")
        require_name(tenant, "tenant")
        if corpus != "*":
            require_name(corpus, "corpus")
        if tenant != tenant_of(self.subject):
            raise _invalid(
                f"row for {self.subject!r} is about another tenant's corpus {self.corpus!r}"
            )
        parse_levels(self.levels)
        if self.compartment != "*":
            require_name(self.compartment, "compartment")
        if self.effect not in _EFFECTS:
            raise _invalid(f"effect {self.effect!r} is neither allow nor deny")


@dataclass(frozen=True, slots=True, order=True)
class Membership:
    """One Casbin `g` row: `member` has everything `group` has; into a `compartment:` it is a clearance."""

    member: str
    group: str

    @classmethod
    def from_fields(cls, fields: Iterable[str]) -> Membership:
        """A validated membership of exactly two fields. Raises `policy.invalid`."""
        membership = cls(*_texts("g", 2, fields))
        membership.validate()
        return membership

    def validate(self) -> None:
        """Raises `policy.invalid` or `principal.invalid`."""
        _require_membership(self.member, self.group)


@lru_cache(maxsize=MANY_ROWS)
def _require_membership(member: str, group: str) -> None:
    """Remembered, because every change of a policy looks at all its memberships again."""
    require_principal(member)
    require_principal(group)
    if tenant_of(member) != tenant_of(group):
        raise _invalid(f"{member!r} and {group!r} are of different tenants")
    if group.startswith(("user:", "app:", "agent:")):
        raise _invalid(f"{group!r} cannot have members")
    if group.startswith("compartment:") and group.endswith(f"/{HONEY}"):
        raise _invalid("nobody is cleared for honey documents")
    if member.startswith("compartment:"):
        raise _invalid(f"a compartment cannot be a member: {member!r}")


def in_order(memberships: Iterable[Membership]) -> tuple[Membership, ...]:
    """Sorted; by a key, because comparing the dataclasses takes ten times as long."""
    return tuple(sorted(memberships, key=_BY_NAMES))


_BY_NAMES: Final = attrgetter("member", "group")


@dataclass(frozen=True, slots=True, order=True)
class TimedMembership:
    """A membership that begins and ends by the clock (Unix seconds, the end excluded). Of an `emergency` one the role must
    be harmless whenever it is looked at: see `is_harmless`."""

    member: str
    group: str
    not_before: int
    not_after: int
    emergency: bool = False

    def validate(self) -> None:
        """Raises `policy.invalid` or `principal.invalid`: a person becomes what a role is, and nothing else."""
        Membership(self.member, self.group).validate()
        if not self.member.startswith("user:") or not self.group.startswith("role:"):
            raise _invalid("for a time a person is a member of a role")


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """A tenant's whole policy at one epoch; `version` is the epoch at which these rows were written, 0 if never. `timed`
    memberships are no part of a version: which hold depends on when one asks."""

    tenant: str
    epoch: int
    rows: tuple[PolicyRow, ...]
    memberships: tuple[Membership, ...]
    version: int = 0
    timed: tuple[TimedMembership, ...] = ()

    def at(self, now: int) -> PolicySnapshot:
        """The policy as it is at `now`, of rows and memberships alone: what Casbin is asked with.

        A timed membership with which it would not be valid, or whose role is not what it may be, gives nothing."""
        current = [
            Membership(each.member, each.group)
            for each in self.timed
            if each.not_before <= now < each.not_after and self._gives(each)
        ]
        if not current:
            return replace(self, timed=()) if self.timed else self
        memberships = in_order({*self.memberships, *current})
        return replace(self, memberships=memberships, timed=())

    def span(self, now: int) -> tuple[int, int]:
        """From when until when `at` is what it is at `now`."""
        bounds = {bound for each in self.timed for bound in (each.not_before, each.not_after)}
        return (
            max((bound for bound in bounds if bound <= now), default=-(2**53)),
            min((bound for bound in bounds if bound > now), default=2**53),
        )

    def _gives(self, timed: TimedMembership) -> bool:
        try:
            timed.validate()
            _require_shallow((*self.memberships, Membership(timed.member, timed.group)))
        except InvalidRequestError:
            return False
        if tenant_of(timed.member) != self.tenant:
            return False
        return not timed.emergency or is_harmless(timed.group, self.rows, self.memberships)

    def digest(self) -> str:
        """SHA-256 (hex) over the sorted rows and memberships: the policy version named in decisions and the log."""
        lines = sorted("p," + ",".join(row.fields()) for row in self.rows)
        lines += sorted(f"g,{m.member},{m.group}" for m in self.memberships)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def validate(self) -> None:
        """Raises `policy.invalid` unless every row is valid, of this tenant, there is at least one, and `g` is shallow and acyclic."""
        if not self.rows:
            raise _invalid("a policy without rows permits nothing and is refused")
        for row in self.rows:
            row.validate()
            if tenant_of(row.subject) != self.tenant:
                raise _invalid(f"{row.subject!r} is not of tenant {self.tenant!r}")
        for membership in self.memberships:
            membership.validate()
            if tenant_of(membership.member) != self.tenant:
                raise _invalid(f"{membership.member!r} is not of tenant {self.tenant!r}")
        _require_shallow(self.memberships)


#: What an emergency does not give: rights over policy, keys, the log, and over who gets access.
NEVER_IN_AN_EMERGENCY: Final = (
    "access",
    "application",
    "audit",
    "directory",
    "key",
    "policy",
    "pseudonym",
)


def is_harmless(role: str, rows: Iterable[PolicyRow], memberships: Iterable[Membership]) -> bool:
    """Whether a role, through everything it belongs to, has no allow row for `NEVER_IN_AN_EMERGENCY`."""
    reached = Reach(memberships).of(role)
    kinds = {
        row.action.partition(":")[0]
        for row in rows
        if row.effect == "allow" and row.subject in reached
    }
    return kinds.isdisjoint(NEVER_IN_AN_EMERGENCY)


class Reach:
    """Who reaches what through memberships; for many questions about the same ones."""

    def __init__(self, memberships: Iterable[Membership]) -> None:
        self._parents = _parents(memberships)
        self._known: dict[str, frozenset[str]] = {}

    def of(self, principal: str) -> frozenset[str]:
        """`principal` and everything it reaches; a cycle, which no valid policy has, ends too."""
        known = self._known.get(principal)
        if known is None:
            reached = {principal}
            frontier = [principal]
            while frontier:
                for group in self._parents.get(frontier.pop(), ()):
                    if group not in reached:
                        reached.add(group)
                        frontier.append(group)
            known = self._known[principal] = frozenset(reached)
        return known

    def path(self, principal: str, goals: Collection[str]) -> tuple[str, ...]:
        """The shortest chain of memberships to one of the goals, both ends included; the first by name of several, empty if none."""
        ways: dict[str, tuple[str, ...]] = {principal: (principal,)}
        level = [principal]
        while level:
            if arrived := sorted(name for name in level if name in goals):
                return ways[arrived[0]]
            following: list[str] = []
            for name in sorted(level):
                for group in sorted(self._parents.get(name, ())):
                    if group not in ways:
                        ways[group] = (*ways[name], group)
                        following.append(group)
            level = following
        return ()


def parse_levels(text: str) -> tuple[Classification, Classification]:
    """`PUBLIC..INTERNAL` or `RESTRICTED` as (lowest, highest). Raises `policy.invalid`."""
    low, dots, high = text.partition("..")
    try:
        bounds = Classification.parse(low), Classification.parse(high if dots else low)
    except InvalidRequestError as error:
        raise _invalid(f"levels {text!r}: {error.detail}") from error
    if bounds[0] > bounds[1]:
        raise _invalid(f"levels {text!r} are upside down")
    return bounds


def _texts(kind: str, count: int, fields: Iterable[str]) -> tuple[str, ...]:
    """The fields, if they are so many texts: a database column may hold bytes or nothing whatever its type says."""
    values = tuple(fields)
    if not all(type(value) is str for value in values):
        raise _invalid(f"a {kind} row has a field that is not text")
    if len(values) != count:
        raise _invalid(
            f"a {kind} row has {count} fields, this one has {len(values)}: {', '.join(values)}"
        )
    return values


def _parents(memberships: Iterable[Membership]) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {}
    for membership in memberships:
        parents.setdefault(membership.member, []).append(membership.group)
    return parents


def _require_shallow(memberships: tuple[Membership, ...]) -> None:
    """Refuses cycles and chains of more than MAX_DEPTH hops (longest path over the membership graph, iteratively)."""
    parents = _parents(memberships)
    depth: dict[str, int] = {}
    for start in parents:
        stack: list[tuple[str, bool]] = [(start, False)]
        open_nodes: set[str] = set()
        while stack:
            node, done = stack.pop()
            if done:
                open_nodes.discard(node)
                depth[node] = max((depth[group] + 1 for group in parents.get(node, ())), default=0)
                if depth[node] > MAX_DEPTH:
                    raise _invalid(
                        f"{node!r} is more than {MAX_DEPTH} memberships away from its farthest group"
                    )
                continue
            if node in depth:
                continue
            if node in open_nodes:
                raise _invalid(f"memberships form a cycle through {node!r}")
            open_nodes.add(node)
            stack.append((node, True))
            for group in parents.get(node, ()):
                if group in open_nodes:
                    raise _invalid(f"memberships form a cycle through {group!r}")
                if group not in depth:
                    stack.append((group, False))


def _invalid(detail: str) -> InvalidRequestError:
    return InvalidRequestError(detail, code="policy.invalid")
