"""A policy's rows by subject and its memberships by member: what one principal's decisions need, found without a scan."""

from __future__ import annotations

from collections.abc import Collection

from ragward.adapters.pdp_casbin.model import Sub, matches_action
from ragward.domain.policy import PolicyRow, PolicySnapshot, Reach
from ragward.domain.policy_change import ASKING_KINDS


class RuleIndex:
    """One policy version, indexed. Safe to share between threads. `digest` names the version where memberships for a time are
    added to it."""

    def __init__(self, snapshot: PolicySnapshot, *, digest: str | None = None) -> None:
        self.snapshot = snapshot
        self.digest = digest or snapshot.digest()
        self._reach = Reach(snapshot.memberships)
        self._rows: dict[str, list[PolicyRow]] = {}
        self._names: set[str] = set()
        self._subs: dict[str, Sub] = {}
        self._matches: dict[tuple[str, str], bool] = {}
        for membership in snapshot.memberships:
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
            if not self.knows(principal):  # nothing is remembered of strangers
                return Sub(principal, frozenset({principal}))
            known = self._subs[principal] = Sub(principal, self._reach.of(principal))
        return known

    def asking(self) -> list[str]:
        """The people, applications and agents it names, sorted."""
        return sorted(name for name in self._names if name.startswith(ASKING_KINDS))

    def path(self, principal: str, goals: Collection[str]) -> tuple[str, ...]:
        """The way from a principal to one of the goals: `Reach.path`."""
        return self._reach.path(principal, goals)

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
