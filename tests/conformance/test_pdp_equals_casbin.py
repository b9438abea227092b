"""The PDP permits exactly what pycasbin's own `enforce` permits, label by label, for people, applications and agents."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.domain.access import Application, Context, Deny, Subject
from ragward.domain.labels import Classification
from ragward.domain.policy import PolicySnapshot
from tests.conformance import strategies as make
from tests.conformance.oracle import MODEL_FILE, Oracle

TYPES = frozenset({"PERSON", "US_SSN"})
APPLICATION = Application(
    principal="app:acme/portal",
    tenant="acme",
    client_id="portal",
    corpora=frozenset({"*"}),
    ceiling=Classification.RESTRICTED,
)


class Store:
    """A policy and labels in memory."""

    def __init__(self, rows, memberships, labels):
        self.rows, self.memberships, self.now_epoch = tuple(rows), tuple(memberships), 1
        self.by_id = dict(enumerate(labels, start=1))

    def epoch(self, tenant):
        return self.now_epoch

    def policy(self, tenant):
        return PolicySnapshot(tenant, self.now_epoch, self.rows, self.memberships)

    def labels(self, tenant, *, after=0):
        return {i: label for i, label in self.by_id.items() if i > after}


def pdp_over(store):
    return CasbinPolicyDecisionPoint(
        store, model_text=Path(MODEL_FILE).read_text(), entity_types=TYPES
    )


def subject(principal, *, agents=(), application=APPLICATION):
    return Subject(
        tenant="acme", principal=principal, application=application, agents=agents, not_after=10_000
    )


def permitted(decision):
    return set() if isinstance(decision, Deny) else set(decision.revealed)


worlds = st.tuples(
    st.lists(make.rows, min_size=1, max_size=12, unique=True).map(
        lambda rows: [make.BROAD, *(r for r in rows if r != make.BROAD)]
    ),
    make.memberships(),
    st.lists(make.labels, min_size=1, max_size=12),
)
seen = {"all": 0, "some": 0, "none": 0}


@settings(max_examples=150, deadline=None)
@given(
    world=worlds,
    principal=st.sampled_from(make.USERS),
    now=st.sampled_from([50, 150, 250, 350, 450]),
)
def test_permitted_labels_are_exactly_what_enforce_permits(world, principal, now):
    rows, memberships, labels = world
    store = Store(rows, memberships, labels)
    oracle = Oracle([r.fields() for r in rows], [(m.member, m.group) for m in memberships])
    expected = {
        i
        for i, label in store.by_id.items()
        if oracle.may(principal, "corpus:retrieve", label, now)
    }
    decision = pdp_over(store).decide_labels(subject(principal), Context(now=now))
    assert expected == permitted(decision)
    seen["all" if len(expected) == len(labels) else "some" if expected else "none"] += 1
    for label_id in expected:
        label = store.by_id[label_id]
        shown = {t for t in TYPES if _reveals(oracle, principal, t, label)}
        assert shown == decision.revealed[label_id]


def _reveals(oracle, principal, entity_type, label):
    """Reveal rows are decided on corpus, level and compartment; the label's own grants were checked for reading it."""
    open_label = type(
        "Open",
        (),
        {
            "tenant": label.tenant,
            "corpus": label.corpus,
            "classification": label.classification,
            "compartments": label.compartments,
            "granted": [principal],
            "denied": [],
            "valid_from": None,
            "valid_until": None,
        },
    )
    return oracle.may(principal, f"reveal:{entity_type}", open_label, 0)


def test_the_oracle_was_neither_all_nor_none():
    assert seen["some"] > 20, seen
    assert seen["none"] > 0, seen


@settings(max_examples=80, deadline=None)
@given(world=worlds, principal=st.sampled_from(make.USERS))
def test_an_agent_sees_the_intersection(world, principal):
    rows, memberships, labels = world
    store = Store(rows, memberships, labels)
    oracle = Oracle([r.fields() for r in rows], [(m.member, m.group) for m in memberships])
    agent = make.AGENTS[0]
    expected = {
        i
        for i, label in store.by_id.items()
        if oracle.may(principal, "corpus:retrieve", label, 250)
        and oracle.may(agent, "corpus:retrieve", label, 250, delegate=True)
    }
    decision = pdp_over(store).decide_labels(subject(principal, agents=(agent,)), Context(now=250))
    assert expected == permitted(decision)


@settings(max_examples=60, deadline=None)
@given(
    world=worlds,
    ceiling=st.sampled_from(list(Classification)),
    corpora=st.sampled_from([frozenset({"*"}), frozenset({"hr"}), frozenset()]),
)
def test_an_application_narrows_and_alone_sees_public_only(world, ceiling, corpora):
    rows, memberships, labels = world
    store = Store(rows, memberships, labels)
    pdp = pdp_over(store)
    narrow = Application(
        principal=make.USERS[0].replace("user:", "app:"),
        tenant="acme",
        client_id="x",
        corpora=corpora,
        ceiling=ceiling,
    )
    wide = permitted(pdp.decide_labels(subject(make.USERS[0]), Context(now=250)))
    through = permitted(
        pdp.decide_labels(subject(make.USERS[0], application=narrow), Context(now=250))
    )
    assert {
        i
        for i in wide
        if store.by_id[i].classification <= ceiling
        and (corpora == {"*"} or store.by_id[i].corpus in corpora)
    } == through
    alone = permitted(
        pdp.decide_labels(subject(narrow.principal, application=narrow), Context(now=250))
    )
    assert all(store.by_id[i].classification is Classification.PUBLIC for i in alone)


@settings(max_examples=60, deadline=None)
@given(world=worlds, principal=st.sampled_from(make.USERS), more=st.lists(make.labels, max_size=6))
def test_a_warm_permit_equals_a_cold_one(world, principal, more):
    rows, memberships, labels = world
    store = Store(rows, memberships, labels)
    warm = pdp_over(store)
    for now in (50, 150, 250, 150, 350, 450):  # across every boundary, and once backwards
        assert permitted(
            pdp_over(store).decide_labels(subject(principal), Context(now=now))
        ) == permitted(warm.decide_labels(subject(principal), Context(now=now)))
    store.by_id.update(enumerate(more, start=len(store.by_id) + 1))
    store.rows = store.rows[1:] or store.rows  # a revocation, often of the broad row
    store.now_epoch += 1
    cold = permitted(pdp_over(store).decide_labels(subject(principal), Context(now=250)))
    assert cold == permitted(warm.decide_labels(subject(principal), Context(now=250)))


def test_a_policy_that_was_edited_into_nonsense_decides_nothing():
    from ragward.domain.errors import UnavailableError
    from ragward.domain.policy import Membership, PolicyRow

    row = PolicyRow(
        "user:acme/ann", "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
    )
    cycle = [Membership("group:acme/a", "group:acme/b"), Membership("group:acme/b", "group:acme/a")]
    for rows, memberships in (((), ()), ((row,), cycle)):
        with pytest.raises(UnavailableError, match=r"unavailable\.policy"):
            pdp_over(Store(rows, memberships, [])).decide_labels(
                subject("user:acme/ann"), Context(now=1)
            )


def test_strangers_do_not_grow_the_role_map():
    from ragward.domain.policy import PolicyRow

    row = PolicyRow(
        "user:acme/ann", "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
    )
    pdp = pdp_over(Store([row], [], []))
    pdp.decide_labels(subject("user:acme/ann"), Context(now=1))
    policy = pdp._tenants["acme"]
    before = len(policy._enforcer.get_role_manager().all_roles)
    for i in range(50):
        pdp.decide_labels(subject(f"user:acme/stranger{i}"), Context(now=1))
    assert before == len(policy._enforcer.get_role_manager().all_roles)
