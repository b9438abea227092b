"""A shape beside everything it is held against: the PDP, the oracle, and what a person wrote down."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache, cached_property

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.domain.access import Application, Context, Deny, Subject, TenantHead
from ragward.domain.labels import AccessLabel, Classification, tenant_of
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from tests.conformance.oracle import MODEL_FILE, Oracle
from tests.conformance.shape_files import Shape

TYPES = frozenset({"PERSON", "US_SSN"})
_FOREVER = 2**52


class MemoryStore:
    """What a PDP reads, for any number of tenants; ids of labels are unique across them, as in the catalog."""

    def __init__(self):
        self.epochs, self.rows, self.members = {}, {}, {}
        self.by_id: dict[int, AccessLabel] = {}

    def epoch(self, tenant):
        return self.epochs.get(tenant, 0)

    def head(self, tenant):
        return TenantHead(
            epoch=self.epoch(tenant),
            policy_epoch=self.epoch(tenant),
            last_label_id=max(self.labels(tenant), default=0),
        )

    def policy(self, tenant):
        return PolicySnapshot(
            tenant,
            self.epoch(tenant),
            tuple(sorted(self.rows.get(tenant, ()))),
            tuple(sorted(self.members.get(tenant, ()))),
        )

    def labels(self, tenant, *, after=0):
        return {i: x for i, x in self.by_id.items() if i > after and x.tenant == tenant}

    def put(self, tenant, rows, members):
        """Another policy, and the epoch moves."""
        self.rows[tenant], self.members[tenant] = set(rows), set(members)
        self.epochs[tenant] = self.epoch(tenant) + 1

    def add_label(self, label):
        """Interns a label; returns its id."""
        for label_id, known in self.by_id.items():
            if known == label:
                return label_id
        self.by_id[len(self.by_id) + 1] = label
        return len(self.by_id)


def pdp_over(store):
    """A fresh PDP with the shipped model."""
    return CasbinPolicyDecisionPoint(store, model_text=MODEL_FILE.read_text(), entity_types=TYPES)


def revealed_by(decision) -> dict[int, frozenset[str]]:
    """Label id -> the types shown under it, of a Permit or a Deny. The one place that knows how a Permit holds them."""
    if isinstance(decision, Deny):
        return {}
    return {label_id: decision.revealed_under(label_id) for label_id in decision.label_ids()}


def label_of(fields) -> AccessLabel:
    """The label of a shape's fields. Raises what ragward raises for values that cannot be one."""
    sets = {
        name: frozenset(fields.get(name) or ()) for name in ("compartments", "granted", "denied")
    }
    return AccessLabel(
        tenant=fields["tenant"],
        corpus=fields["corpus"],
        classification=Classification.parse(fields["level"]),
        valid_from=fields.get("valid_from"),
        valid_until=fields.get("valid_until"),
        **sets,
    )


def subject_of(name, fields) -> Subject:
    """The asker: a plain principal, or one with agents and an application that narrows."""
    person = fields.get("alone") or fields.get("person") or name
    tenant = tenant_of(person)
    through = fields.get("alone") or fields.get("application") or f"app:{tenant}/portal"
    application = Application(
        principal=through,
        tenant=tenant_of(through),
        client_id="portal",
        corpora=frozenset(fields.get("corpora", ["*"])),
        ceiling=Classification.parse(fields.get("ceiling", "RESTRICTED")),
    )
    return Subject(
        tenant=tenant,
        principal=person,
        application=application,
        agents=tuple(fields.get("agents", ())),
        not_after=_FOREVER,
    )


@cache
def world_of(shape: Shape) -> World:
    """The world of a decision shape, built once in a run: oracle and PDP stay warm between tests."""
    return World(shape)


@dataclass(frozen=True)
class World:
    """One decision shape, built."""

    shape: Shape

    @cached_property
    def labels(self) -> dict[str, AccessLabel]:
        return {name: label_of(fields) for name, fields in self.shape.labels.items()}

    @cached_property
    def store(self) -> MemoryStore:
        store = MemoryStore()
        rows = [PolicyRow.from_fields(fields) for fields in self.shape.rows()]
        members = [Membership.from_fields(fields) for fields in self.shape.memberships()]
        for tenant in {tenant_of(row.subject) for row in rows}:
            store.put(
                tenant,
                (row for row in rows if tenant_of(row.subject) == tenant),
                (each for each in members if tenant_of(each.member) == tenant),
            )
        for label in self.labels.values():
            store.add_label(label)
        return store

    @cached_property
    def ids(self) -> dict[str, int]:
        return {name: self.store.add_label(label) for name, label in self.labels.items()}

    @cached_property
    def oracle(self) -> Oracle:
        """All tenants in one enforcer: what keeps them apart is the model alone."""
        return Oracle(self.shape.rows(), self.shape.memberships())

    @cached_property
    def pdp(self) -> CasbinPolicyDecisionPoint:
        return pdp_over(self.store)

    @property
    def context(self) -> Context:
        return Context(now=self.shape.now)

    def subject(self, name) -> Subject:
        return subject_of(name, self.shape.subjects.get(name, {}))

    def decided(self, name) -> dict[str, frozenset[str]]:
        """Label name -> types shown, as the PDP has it."""
        shown = revealed_by(self.pdp.decide_labels(self.subject(name), self.context))
        found = {label: shown[i] for label, i in self.ids.items() if i in shown}
        assert set(shown) <= set(self.ids.values()), "a label nobody made"
        return found

    def enforced(self, name) -> dict[str, frozenset[str]]:
        """The same, as Casbin's `enforce` has it."""
        if name not in self._enforced:
            subject, now = self.subject(name), self.shape.now
            self._enforced[name] = {
                label_name: frozenset(
                    kind for kind in TYPES if self.oracle.reveals(subject, kind, label, now)
                )
                for label_name, label in self.labels.items()
                if self.oracle.permits(subject, "corpus:retrieve", label, now)
            }
        return self._enforced[name]

    @cached_property
    def _enforced(self) -> dict[str, dict[str, frozenset[str]]]:
        return {}

    def in_tenant(self, tenant) -> World:
        """The same shape with another tenant's name in place of `acme`, so that many can share an installation."""

        def renamed(value):
            if isinstance(value, str):
                return value.replace("acme/", f"{tenant}/")
            if isinstance(value, dict):
                return {renamed(k): renamed(v) for k, v in value.items()}
            if isinstance(value, list | tuple):
                return type(value)(renamed(item) for item in value)
            return value

        shape = dataclasses.replace(
            self.shape,
            policy=renamed(self.shape.policy),
            labels={k: renamed(v) | {"tenant": tenant} for k, v in self.shape.labels.items()},
            subjects=renamed(self.shape.subjects),
            permitted={renamed(k): v for k, v in self.shape.permitted.items()},
            revealed={renamed(k): v for k, v in self.shape.revealed.items()},
        )
        return World(shape)
