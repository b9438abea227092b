"""Restrictions in the decision: what Casbin decides, less what was taken away for a time.

Placing and releasing a restriction moves the tenant's epoch, so that every worker decides again; the restrictions read are kept as
long as the epoch stays, and a request pays nothing for them. A permit is good until the next of them begins or ends.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from pyroaring import FrozenBitMap

from ragward.domain.access import (
    Action,
    Context,
    Decision,
    Deny,
    Grant,
    IdSet,
    Permit,
    Subject,
)
from ragward.domain.assurance import StepUp
from ragward.domain.disclosure import VERBS
from ragward.domain.explanation import AskedAbout, Explanation, Reader
from ragward.domain.labels import AccessLabel, Classification, administrative
from ragward.domain.policy import PolicySnapshot
from ragward.domain.restrictions import Restriction, Standing, names_of, withheld_documents
from ragward.ports import DirectoryStore, PolicyDecisionPoint, PolicyStore, RestrictionStore

_MAX_TENANTS: Final = 256
_NOTHING_TAKEN: Final = Standing.of((), frozenset(), 0)
#: What the last administrator keeps whatever happens: without it nobody could give anybody anything.
_KEPT: Final = frozenset({Action.POLICY_READ.value, Action.POLICY_WRITE.value})
_REVEALING: Final = tuple(f"{verb}:" for verb in VERBS.values())


class RestrictionsAndPolicy(RestrictionStore, PolicyStore, DirectoryStore, Protocol):
    """What it reads."""


class RestrictedPolicyDecisionPoint:
    """`ports.PolicyDecisionPoint`. Thread-safe."""

    def __init__(self, inner: PolicyDecisionPoint, store: RestrictionsAndPolicy) -> None:
        self._inner, self._store = inner, store
        self._known: OrderedDict[str, tuple[int, Sequence[Restriction]]] = OrderedDict()
        self._lock = threading.Lock()

    def decide_labels(self, subject: Subject, context: Context) -> Decision:
        """As the policy, less what is taken away. Raises `auth.step_up`, `unavailable.catalog`."""
        decision = self._inner.decide_labels(subject, context)
        if isinstance(decision, Deny):
            return decision
        ahead = self._ahead(subject.tenant, decision.epoch, context.now)
        if not ahead:
            return decision
        standing = Standing.of(ahead, names_of(subject), context.now)
        standing.require_authenticated(subject, context.now)
        return self._narrowed(decision, standing, ahead, subject.tenant, context.now)

    def decide(self, subject: Subject, action: str, label: AccessLabel, context: Context) -> bool:
        """As the policy, less what is taken away. Raises `auth.step_up`, `unavailable.catalog`."""
        if not self._inner.decide(subject, action, label, context):
            return False
        standing = self._standing(subject.tenant, names_of(subject), context.now)
        if standing.suspended:
            return action in _KEPT and self._is_last(subject, context)
        standing.require_authenticated(subject, context.now)
        return _below(standing, action, label)

    def step_up(
        self, subject: Subject, action: str, label: AccessLabel, context: Context
    ) -> StepUp | None:
        """Of the policy; whoever is suspended is told nothing."""
        if self._standing(subject.tenant, names_of(subject), context.now).suspended:
            return None
        return self._inner.step_up(subject, action, label, context)

    def decide_for(
        self, tenant: str, principal: str, action: str, label: AccessLabel, context: Context
    ) -> bool:
        """As the policy, less what is taken away; who would have to authenticate afresh may not."""
        if not self._inner.decide_for(tenant, principal, action, label, context):
            return False
        standing = self._standing(tenant, {principal}, context.now)
        refused = standing.suspended or standing.authenticated_after is not None
        return not refused and _below(standing, action, label)

    def decide_about(self, about: AskedAbout, context: Context) -> Decision:
        """What `decide_labels` would answer them, once they authenticated."""
        decision = self._inner.decide_about(about, context)
        if isinstance(decision, Deny):
            return decision
        ahead = self._ahead(about.tenant, decision.epoch, context.now)
        standing = Standing.of(ahead, _named(about), context.now)
        return self._narrowed(decision, standing, ahead, about.tenant, context.now)

    def labels_for(self, subject: Subject, action: str, context: Context) -> IdSet:
        """As the policy; nothing for who is suspended."""
        labels = self._inner.labels_for(subject, action, context)
        standing = self._standing(subject.tenant, names_of(subject), context.now)
        standing.require_authenticated(subject, context.now)
        return FrozenBitMap() if standing.suspended else labels

    def described(self, tenant: str, label_ids: Iterable[int]) -> Mapping[int, AccessLabel]:
        """The labels of these ids."""
        return self._inner.described(tenant, label_ids)

    def explain(
        self,
        about: AskedAbout,
        label: AccessLabel,
        context: Context,
        policy: PolicySnapshot | None = None,
    ) -> Explanation:
        """Of the policy; restrictions are listed by themselves."""
        return self._inner.explain(about, label, context, policy)

    def readers(
        self, tenant: str, label: AccessLabel, context: Context, *, after: str = ""
    ) -> Iterator[Reader]:
        """Of the policy."""
        return self._inner.readers(tenant, label, context, after=after)

    def permitted_under(
        self, snapshot: PolicySnapshot, about: AskedAbout, context: Context
    ) -> frozenset[int]:
        """Of the policy."""
        return self._inner.permitted_under(snapshot, about, context)

    def check(self, snapshot: PolicySnapshot) -> None:
        """Raises `policy.invalid` unless the policy can be decided."""
        self._inner.check(snapshot)

    def administrators(self, tenant: str, context: Context) -> frozenset[str]:
        """The people who may write the policy by themselves and are not deactivated, whatever is taken from them now."""
        policy = self._store.policy(tenant)
        named = {row.subject for row in policy.rows} | {each.member for each in policy.memberships}
        people = {name for name in named if name.startswith("user:")}
        whole = administrative(tenant)
        write = Action.POLICY_WRITE.value
        return frozenset(
            name
            for name in people - self._store.disabled(tenant)
            if self._inner.decide_for(tenant, name, write, whole, context)
        )

    def standing(self, subject: Subject, now: int) -> Standing:
        """What is taken from a subject now. Raises `unavailable.catalog`."""
        return self._standing(subject.tenant, names_of(subject), now)

    def recent_standing(self, subject: Subject, now: int) -> Standing:
        """The same as of the last decision here, which costs nothing."""
        with self._lock:
            found = self._known.get(subject.tenant)
        if found is None or not found[1]:
            return _NOTHING_TAKEN
        return Standing.of(found[1], names_of(subject), now)

    # How. -----------------------------------------------------------------------------------------------------------

    def _ahead(self, tenant: str, epoch: int, now: int) -> Sequence[Restriction]:
        """The restrictions neither released nor over, as of an epoch."""
        with self._lock:
            found = self._known.get(tenant)
        if found is None or found[0] != epoch:
            found = self._store.restrictions_ahead(tenant, now)
            with self._lock:
                self._known[tenant] = found
                self._known.move_to_end(tenant)
                while len(self._known) > _MAX_TENANTS:
                    self._known.popitem(last=False)
        return found[1]

    def _standing(self, tenant: str, names: Iterable[str], now: int) -> Standing:
        ahead = self._ahead(tenant, self._store.epoch(tenant), now)
        return Standing.of(ahead, frozenset(names), now)

    def _narrowed(
        self,
        permit: Permit,
        standing: Standing,
        ahead: Sequence[Restriction],
        tenant: str,
        now: int,
    ) -> Decision:
        if standing.suspended:
            return Deny(epoch=permit.epoch, reason="suspended")
        grants, reason = permit.grants, permit.reason
        if standing.ceiling is not None:
            grants = self._up_to(standing.ceiling, grants, tenant)
            reason = f"{reason}; restricted to {standing.ceiling.name}"
            if not grants:
                return Deny(epoch=permit.epoch, reason=reason)
        quarantined = [each.until for each in ahead if each.begins_at <= now < each.until]
        return dataclasses.replace(
            permit,
            grants=grants,
            reason=reason,
            not_after=min(permit.not_after, standing.changes_at, *quarantined),
            quarantined=withheld_documents(ahead, now),
        )

    def _up_to(
        self, ceiling: Classification, grants: Sequence[Grant], tenant: str
    ) -> tuple[Grant, ...]:
        found = []
        for grant in grants:
            labels = self._inner.described(tenant, grant.labels)
            below = [at for at, label in labels.items() if label.classification <= ceiling]
            if below:
                found.append(dataclasses.replace(grant, labels=FrozenBitMap(below)))
        return tuple(found)

    def _is_last(self, subject: Subject, context: Context) -> bool:
        """Whether nobody else is left who may write the policy. An agent is never the last one."""
        if subject.agents or subject.is_application_alone:
            return False
        others = self.administrators(subject.tenant, context) - {subject.principal}
        return all(self._standing(subject.tenant, {name}, context.now).suspended for name in others)


def _below(standing: Standing, action: str, label: AccessLabel) -> bool:
    """A ceiling is about reading content and what is revealed in it; other acts stay."""
    reading = action == Action.CORPUS_RETRIEVE.value or action.startswith(_REVEALING)
    return standing.ceiling is None or not reading or label.classification <= standing.ceiling


def _named(about: AskedAbout) -> frozenset[str]:
    return frozenset({about.principal, *about.agents})
