"""A policy's rows by subject and its memberships by member: what one principal's decisions need, found without a scan."""

from __future__ import annotations

from collections.abc import Collection

from ragward.adapters.pdp_casbin.model import Sub, matches_action
from ragward.domain.policy import PolicyRow, PolicySnapshot
from ragward.domain.policy_change import ASKING_KINDS

_REMEMBERED_SUBJECTS = 20_000


class RuleIndex:
    """One policy version, indexed. Safe to share between threads."""

    def __init__(self, snapshot: PolicySnapshot) -> None:
        self.snapshot = snapshot
        self.digest = snapshot.digest()
        self._parents: dict[str, list[str]] = {}
        self._rows: dict[str, list[PolicyRow]] = {}
        self._names: set[str] = set()
        self._subs: dict[str, Sub] = {}
        self._matches: dict[tuple[str, str], bool] = {}
        for membership in snapshot.memberships:
            self._parents.setdefault(membership.member, []).append(membership.group)
            self._names.update((membership.member, membership.group))
        for row in snapshot.rows:
            self._rows.setdefault(row.subject, []).append(row)
            self._names.add(row.subject)

    def knows(self, principal: str) -> bool:
        """Whether any row or membership names it: to strangers the answer is no, and nothing is remembered of them."""
        return principal in self._names

    def sub(self, principal: str) -> Sub:
        """The principal with everything it reaches through memberships."""
        known = self._subs.get(principal)
        if known is None:
            known = Sub(principal, self._closure(principal))
            if self.knows(principal) and len(self._subs) < _REMEMBERED_SUBJECTS:
                self._subs[principal] = known
        return known

    def asking(self) -> list[str]:
        """The people, applications and agents it names, sorted."""
        return sorted(name for name in self._names if name.startswith(ASKING_KINDS))

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

    def rows(self, sub: Sub, action: str) -> list[PolicyRow]:
        """Rows for the subject, or something it belongs to, whose action pattern matches."""
        return [
            row
            for name in self._rows.keys() & sub.reached
            for row in self._rows[name]
            if self._matches_action(action, row.action)
        ]

    def has_action(self, sub: Sub, prefix: str) -> bool:
        """Whether any row of the subject's is for an action that begins so."""
        return any(
            row.action.startswith(prefix)
            for name in self._rows.keys() & sub.reached
            for row in self._rows[name]
        )

    def _matches_action(self, action: str, pattern: str) -> bool:
        key = action, pattern  # both from closed sets: the actions, and the policy's own patterns
        known = self._matches.get(key)
        if known is None:
            known = self._matches[key] = matches_action(action, pattern)
        return known

    def _closure(self, principal: str) -> frozenset[str]:
        reached = {principal}
        frontier = [principal]
        while frontier:
            for group in self._parents.get(frontier.pop(), ()):
                if group not in reached:
                    reached.add(group)
                    frontier.append(group)
        return frozenset(reached)
