"""The policy decision point: Casbin's own `enforce` over the tenant's rows, label by label, cached by epoch.

`policies/model.conf` is the meaning; this file only hands Casbin the label's attributes and the five functions the
model names. Decisions are remembered per (subject, application, agents) for one epoch and until the next validity
boundary; labels that appear later extend a remembered permit instead of discarding it.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import casbin  # the dist is pycasbin
from casbin.model import Model
from casbin.util import key_match  # what the model's keyMatch is

from ragward.domain.access import (
    CONTENT_ACTIONS,
    REVEAL_PREFIX,
    Action,
    Context,
    Decision,
    Deny,
    Explanation,
    Permit,
    Subject,
)
from ragward.domain.errors import ConfigurationError, InvalidRequestError, UnavailableError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow, PolicySnapshot, parse_levels
from ragward.ports import LabelStore, PolicyStore

_MAX_TENANTS: Final = 256
_MAX_PERMITS_PER_TENANT: Final = 4096
_FAR_FUTURE: Final = 2**53

logging.getLogger("casbin").setLevel(logging.CRITICAL)  # it logs denials with the request's content


class PolicyAndLabels(PolicyStore, LabelStore, Protocol):
    """What decisions are made from."""


@dataclass(frozen=True, slots=True)
class _Sub:
    """What the model sees as r.sub. Slotted objects only: Casbin re-walks containers for every rule."""

    id: str
    reached: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Ctx:
    """What the model sees as r.ctx."""

    now: int
    delegate: bool
    administrative: bool


def in_corpus(label: AccessLabel, pattern: str) -> bool:
    """`tenant/corpus` or `tenant/*`."""
    tenant, _, corpus = pattern.partition("/")
    return label.tenant == tenant and corpus in ("*", label.corpus)


def in_levels(label: AccessLabel, levels: str) -> bool:
    """`PUBLIC..INTERNAL` or one level."""
    low, high = parse_levels(levels)
    return low <= label.classification <= high


def in_compartment(label: AccessLabel, compartment: str) -> bool:
    """`*`, or a compartment the label carries."""
    return compartment == "*" or compartment in label.compartments


def cleared(sub: _Sub, label: AccessLabel, ctx: _Ctx) -> bool:
    """Every compartment of the label is one the subject is cleared for."""
    return ctx.administrative or all(
        f"compartment:{label.tenant}/{compartment}" in sub.reached
        for compartment in label.compartments
    )


def acl(sub: _Sub, label: AccessLabel, ctx: _Ctx) -> bool:
    """Granted and not denied; a delegate needs no grant of its own."""
    if ctx.administrative:
        return True
    if label.denied & sub.reached:
        return False
    return ctx.delegate or bool(label.granted & sub.reached)


def current(label: AccessLabel, ctx: _Ctx) -> bool:
    """Within the label's validity window."""
    return ctx.administrative or label.is_valid_at(ctx.now)


_FUNCTIONS: Final = (in_corpus, in_levels, in_compartment, cleared, acl, current)


class _TenantPolicy:
    """One tenant's enforcer at one epoch, and the permits remembered under it."""

    def __init__(self, snapshot: PolicySnapshot, model_text: str) -> None:
        self.snapshot = snapshot
        self.digest = snapshot.digest()
        self.permits: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()
        self.lock = threading.RLock()
        self._known = {row.subject for row in snapshot.rows} | {
            name for m in snapshot.memberships for name in (m.member, m.group)
        }
        self._subs: dict[str, _Sub] = {}
        self._enforcer = _enforcer(snapshot, model_text)

    def enforce(self, principal: str, action: str, label: AccessLabel, ctx: _Ctx) -> bool:
        """Casbin's verdict; anything it raises is a no."""
        if principal not in self._known:
            return False  # and Casbin's role map must not grow by names that strangers bring
        with self.lock:
            try:
                return bool(self._enforcer.enforce(self.sub(principal), action, label, ctx))
            except Exception:  # noqa: BLE001 - whatever a model raises while deciding is a Deny (DESIGN 4.2)
                return False

    def sub(self, principal: str) -> _Sub:
        """The subject with its closure."""
        known = self._subs.get(principal)
        if known is None:
            known = _Sub(principal, self.snapshot.closure(principal))
            self._subs[principal] = known
        return known

    def has_reveal_rows(self, principal: str) -> bool:
        """Whether any row could reveal personal data to this principal."""
        reached = self.sub(principal).reached if principal in self._known else frozenset()
        return any(
            row.subject in reached and row.action.startswith(REVEAL_PREFIX)
            for row in self.snapshot.rows
        )


@dataclass(slots=True)
class _Remembered:
    """A permit's labels so far, and for which instants it holds."""

    decided_at: int
    not_after: int
    last_label_id: int = 0
    revealed: dict[int, frozenset[str]] = field(default_factory=dict)
    reveal_by_signature: dict[tuple[object, ...], frozenset[str]] = field(default_factory=dict)


class CasbinPolicyDecisionPoint:
    """`ports.PolicyDecisionPoint` on pycasbin. Thread-safe.

    `entity_types` are the personal-data types that can be revealed.
    """

    def __init__(
        self, store: PolicyAndLabels, *, model_text: str, entity_types: frozenset[str]
    ) -> None:
        self._store = store
        self._model_text = model_text
        self._entity_types = entity_types
        self._tenants: OrderedDict[str, _TenantPolicy] = OrderedDict()
        self._labels: dict[str, dict[int, AccessLabel]] = {}  # in order of id
        self._tried: dict[str, _TenantPolicy] = {}  # by digest, those not in force
        self._lock = threading.RLock()
        _model(model_text)

    def decide_labels(self, subject: Subject, context: Context) -> Decision:
        """The labels `subject` may read, through its application and every agent, with what is revealed under each."""
        policy = self._policy(subject.tenant)
        labels = self._known_labels(subject.tenant)
        with policy.lock:
            remembered = self._remembered(policy, subject, context, labels)
            self._extend(remembered, policy, subject, context, labels)
            epoch = policy.snapshot.epoch
            if not remembered.revealed:
                return Deny(epoch=epoch, reason="no label is permitted")
            return Permit(
                epoch=epoch,
                not_after=min(remembered.not_after, subject.not_after),
                revealed=remembered.revealed,
                policy_digest=policy.digest,
                reason=f"{len(remembered.revealed)} of {len(labels)} labels",
            )

    def decide(
        self, subject: Subject, action: Action, label: AccessLabel, context: Context
    ) -> bool:
        """Whether `subject`, through its application and agents, may do `action` on things under `label`."""
        return self._permitted(self._policy(subject.tenant), subject, action, label, context)

    def explain(
        self, tenant: str, principal: str, label: AccessLabel, context: Context
    ) -> Explanation:
        """The model's terms one by one, in the order a person checks them, beside Casbin's own verdict."""
        policy = self._policy(tenant)
        sub = policy.sub(principal)
        ctx = _Ctx(context.now, delegate=principal.startswith("agent:"), administrative=False)
        rows = [row for row in policy.snapshot.rows if self._row_applies(row, sub, label)]
        allows = [row for row in rows if row.effect == "allow"]
        denies = [row for row in rows if row.effect == "deny"]
        missing = sorted(
            c for c in label.compartments if f"compartment:{tenant}/{c}" not in sub.reached
        )
        through = sorted(label.granted & sub.reached)
        refused = sorted(label.denied & sub.reached)
        terms = (
            ("an allow row", bool(allows), _rows_text(allows) or "no allow row matches"),
            ("no deny row", not denies, _rows_text(denies) or "no deny row matches"),
            (
                "cleared",
                cleared(sub, label, ctx),
                f"lacks {', '.join(missing)}" if missing else "holds every compartment",
            ),
            (
                "granted",
                ctx.delegate or bool(through),
                f"through {', '.join(through)}" if through else "not among the granted",
            ),
            (
                "not denied",
                not refused,
                f"denied through {', '.join(refused)}" if refused else "not among the denied",
            ),
            (
                "current",
                current(label, ctx),
                "within validity" if current(label, ctx) else "outside validity",
            ),
        )
        permitted = policy.enforce(principal, Action.CORPUS_RETRIEVE, label, ctx)
        return Explanation(principal=principal, permitted=permitted, terms=terms)

    def permitted_under(
        self, snapshot: PolicySnapshot, principal: str, context: Context
    ) -> frozenset[int]:
        """The labels that `principal` may read by itself if `snapshot` were in force."""
        digest = snapshot.digest()
        tried = self._tried.get(digest)
        if tried is None:
            snapshot.validate()
            tried = _TenantPolicy(snapshot, self._model_text)
            self._tried = dict([*self._tried.items(), (digest, tried)][-2:])  # before and after
        ctx = _Ctx(context.now, delegate=principal.startswith("agent:"), administrative=False)
        return frozenset(
            label_id
            for label_id, label in self._known_labels(snapshot.tenant).items()
            if not (principal.startswith("app:") and label.classification > Classification.PUBLIC)
            and tried.enforce(principal, Action.CORPUS_RETRIEVE, label, ctx)
        )

    def check(self, snapshot: PolicySnapshot) -> None:
        """Raises `policy.invalid` unless this model can decide these rows."""
        snapshot.validate()
        policy = _TenantPolicy(snapshot, self._model_text)
        probe = AccessLabel(
            tenant=snapshot.tenant, corpus="probe", classification=Classification.PUBLIC
        )
        ctx = _Ctx(0, delegate=False, administrative=False)
        try:
            policy._enforcer.enforce(
                policy.sub(snapshot.rows[0].subject), "corpus:retrieve", probe, ctx
            )
        except Exception as error:
            raise InvalidRequestError(
                f"the model cannot decide this policy: {type(error).__name__}",
                code="policy.invalid",
            ) from error

    def _policy(self, tenant: str) -> _TenantPolicy:
        epoch = self._store.epoch(tenant)
        with self._lock:
            known = self._tenants.get(tenant)
            if known is not None and known.snapshot.epoch == epoch:
                self._tenants.move_to_end(tenant)
                return known
        snapshot = self._read(tenant)
        if known is not None and known.snapshot.digest() == snapshot.digest():
            # Only documents moved the epoch: the rows, and with them the enforcer and the permits, still hold.
            policy = known
            policy.snapshot = snapshot
        else:
            policy = _loaded(snapshot, self._model_text)
        with self._lock:
            self._tenants[tenant] = policy
            while len(self._tenants) > _MAX_TENANTS:
                self._tenants.popitem(last=False)
        return policy

    def _read(self, tenant: str) -> PolicySnapshot:
        try:
            return self._store.policy(tenant)
        except InvalidRequestError as error:  # what is stored is wrong, not what was asked
            raise UnavailableError(code="unavailable.policy") from error

    def _known_labels(self, tenant: str) -> dict[int, AccessLabel]:
        """All labels of the tenant. Rows are immutable, so only the new ones are read."""
        known = self._labels.get(tenant, {})
        new = self._store.labels(tenant, after=next(reversed(known), 0))
        if new:
            with self._lock:  # a new dict: other threads may be walking the old one
                merged = {**self._labels.get(tenant, {}), **new}
                known = dict(sorted(merged.items()))
                self._labels[tenant] = known
        return known

    def _remembered(
        self,
        policy: _TenantPolicy,
        subject: Subject,
        context: Context,
        labels: dict[int, AccessLabel],
    ) -> _Remembered:
        # The key holds every attribute of the subject that the model or this adapter reads.
        key = (subject.principal, subject.agents, subject.application)
        found = policy.permits.get(key)
        if found is not None and found.decided_at <= context.now < found.not_after:
            policy.permits.move_to_end(key)
            return found
        fresh = _Remembered(
            decided_at=context.now, not_after=_next_boundary(labels.values(), context.now)
        )
        policy.permits[key] = fresh
        while len(policy.permits) > _MAX_PERMITS_PER_TENANT:
            policy.permits.popitem(last=False)
        return fresh

    def _extend(
        self,
        remembered: _Remembered,
        policy: _TenantPolicy,
        subject: Subject,
        context: Context,
        labels: dict[int, AccessLabel],
    ) -> None:
        if next(reversed(labels), 0) <= remembered.last_label_id:
            return
        new = {i: label for i, label in labels.items() if i > remembered.last_label_id}
        for label_id, label in new.items():
            if self._permitted(policy, subject, Action.CORPUS_RETRIEVE, label, context):
                remembered.revealed[label_id] = self._revealed(
                    policy, subject, label, context, remembered
                )
            remembered.last_label_id = label_id
        boundary = _next_boundary(new.values(), context.now)
        remembered.not_after = min(remembered.not_after, boundary)

    def _permitted(
        self,
        policy: _TenantPolicy,
        subject: Subject,
        action: str,
        label: AccessLabel,
        context: Context,
    ) -> bool:
        """user ∩ application ∩ every agent."""
        if label.tenant != subject.tenant or not subject.application.admits(label):
            return False
        if subject.is_application_alone and label.classification > Classification.PUBLIC:
            return False
        administrative = action not in CONTENT_ACTIONS
        own = _Ctx(context.now, delegate=False, administrative=administrative)
        acting = _Ctx(context.now, delegate=True, administrative=administrative)
        return policy.enforce(subject.principal, action, label, own) and all(
            policy.enforce(agent, action, label, acting) for agent in subject.agents
        )

    def _revealed(
        self,
        policy: _TenantPolicy,
        subject: Subject,
        label: AccessLabel,
        context: Context,
        remembered: _Remembered,
    ) -> frozenset[str]:
        """The personal-data types shown under a label that is already permitted: decided per signature, without its ACL."""
        if not all(policy.has_reveal_rows(p) for p in (subject.principal, *subject.agents)):
            return frozenset()
        signature = (label.corpus, label.classification, label.compartments)
        known = remembered.reveal_by_signature.get(signature)
        if known is None:
            known = frozenset(
                entity_type
                for entity_type in self._entity_types
                if self._permitted(policy, subject, f"{REVEAL_PREFIX}{entity_type}", label, context)
            )
            remembered.reveal_by_signature[signature] = known
        return known

    @staticmethod
    def _row_applies(row: PolicyRow, sub: _Sub, label: AccessLabel) -> bool:
        return (
            row.subject in sub.reached
            and bool(key_match(Action.CORPUS_RETRIEVE.value, row.action))
            and in_corpus(label, row.corpus)
            and in_levels(label, row.levels)
            and in_compartment(label, row.compartment)
        )


def _model(text: str) -> Model:
    model = Model()
    try:
        model.load_model_from_text(text)
    except Exception as error:
        raise ConfigurationError(
            f"the Casbin model cannot be read: {type(error).__name__}"
        ) from error
    return model


def _enforcer(snapshot: PolicySnapshot, model_text: str) -> Any:
    """A Casbin enforcer over the snapshot's rows. Raises `policy.invalid`."""
    try:
        enforcer = casbin.Enforcer(_model(model_text))
        for function in _FUNCTIONS:
            enforcer.add_function(function.__name__, function)
        enforcer.add_policies([list(row.fields()) for row in snapshot.rows])
        if snapshot.memberships:
            enforcer.add_grouping_policies([[m.member, m.group] for m in snapshot.memberships])
        enforcer.build_role_links()
    except ConfigurationError:
        raise
    except Exception as error:
        raise InvalidRequestError(
            f"Casbin refuses this policy: {type(error).__name__}", code="policy.invalid"
        ) from error
    if len(enforcer.get_policy()) != len(set(snapshot.rows)):
        raise InvalidRequestError("Casbin dropped a row", code="policy.invalid")
    return enforcer


def _loaded(snapshot: PolicySnapshot, model_text: str) -> _TenantPolicy:
    """The policy, validated again at load: what was edited in the database since it was written is refused here."""
    try:
        snapshot.validate()
        return _TenantPolicy(snapshot, model_text)
    except InvalidRequestError as error:
        raise UnavailableError(code="unavailable.policy") from error


def _next_boundary(labels: Any, now: int) -> int:
    bounds = (bound for label in labels for bound in (label.valid_from, label.valid_until))
    return min(
        (bound for bound in bounds if bound is not None and bound > now), default=_FAR_FUTURE
    )


def _rows_text(rows: list[PolicyRow]) -> str:
    return "; ".join(", ".join(row.fields()) for row in rows)
