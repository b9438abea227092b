"""The PDP permits exactly what pycasbin's own `enforce` permits, label by label, for people, applications and agents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.adapters.pdp_casbin.model import Ctx, Sub
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import Application, Context, Deny, Subject, TenantHead
from ragward.domain.errors import ConfigurationError, NotFoundError, UnavailableError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.task_grants import TaskGrant, TaskGrantRecord
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

    def __init__(self, rows, memberships, labels, tasks=()):
        self.tasks = {task.grant_id: task for task in tasks}
        self.rows, self.memberships, self.now_epoch = tuple(rows), tuple(memberships), 1
        self.by_id = dict(enumerate(labels, start=1))

    def head(self, tenant):
        return TenantHead(
            epoch=self.now_epoch,
            policy_epoch=self.now_epoch,
            last_label_id=max(self.by_id, default=0),
        )

    def policy(self, tenant):
        return PolicySnapshot(tenant, self.now_epoch, self.rows, self.memberships)

    def task_grant(self, tenant, grant_id):
        if grant_id not in self.tasks:
            raise NotFoundError
        return TaskGrantRecord(
            grant=self.tasks[grant_id], reason="", minted_at=0, secret_sha256=b""
        )

    def labels(self, tenant, *, after=0):
        return {i: label for i, label in self.by_id.items() if i > after}


def pdp_over(store, model_text=None):
    return CasbinPolicyDecisionPoint(
        store, model_text=model_text or Path(MODEL_FILE).read_text(), entity_types=TYPES
    )


def subject(principal, *, agents=(), application=APPLICATION):
    return Subject(
        tenant="acme", principal=principal, application=application, agents=agents, not_after=10_000
    )


def permitted(decision):
    return set() if isinstance(decision, Deny) else set(decision.label_ids())


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
        assert shown == decision.revealed_under(label_id)


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


tasks = st.builds(
    TaskGrant,
    grant_id=st.just("g"),
    tenant=st.just("acme"),
    minted_by=st.just("user:acme/ann"),
    agent=st.just(make.AGENTS[0]),
    application=st.just("app:acme/portal"),
    purpose=st.just(""),
    corpora=st.frozensets(st.sampled_from(["hr", "eng", "fin", "none"]), max_size=4),
    ceiling=st.sampled_from([Classification.PUBLIC, *list(Classification)[1:] * 2]),
    actions=st.frozensets(
        st.sampled_from(["document:relabel", "reveal:PERSON", "reveal:US_SSN"]), max_size=3
    ).flatmap(lambda some: st.sampled_from([some, *[some | {"corpus:retrieve"}] * 4])),
    budget_tokens=st.just(1),
    not_before=st.sampled_from([0, 0, 150]),
    not_after=st.sampled_from([250, 251, 10_000, 10_000]),
)
#: So that there is something to lend: the rest of the world may still deny it.
BROAD_ROWS = [
    PolicyRow(who, action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    for who in (*make.USERS, *make.AGENTS)
    for action in ("corpus:retrieve", "reveal:*", "document:relabel")
]
lent = {"some": 0, "narrower": 0, "shown": 0}


def _lends(task, action, label, now):
    """The oracle's own words for it."""
    in_time = now >= task.not_before and now < task.not_after
    level = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED"].index
    below = level(label.classification.name) <= level(task.ceiling.name)
    return in_time and below and label.corpus in list(task.corpora) and action in task.actions


@settings(max_examples=150, deadline=None)
@given(
    world=worlds,
    task=tasks,
    principal=st.sampled_from(make.USERS),
    agents=st.sampled_from([(), (make.AGENTS[0],)]),
    now=st.sampled_from([50, 150, 250, 350]),
    model_text=st.sampled_from(["fast", "exact"]),
)
def test_a_task_grant_is_one_more_term_of_the_intersection(
    world, task, principal, agents, now, model_text
):
    rows, memberships, labels = [*BROAD_ROWS, *world[0]], world[1], world[2]
    rows = list(dict.fromkeys(rows))
    store = Store(rows, memberships, labels, [task])
    oracle = Oracle([r.fields() for r in rows], [(m.member, m.group) for m in memberships])
    free = subject(principal, agents=agents)
    who = replace(free, task=task)
    without = {
        i for i, label in store.by_id.items() if oracle.permits(free, "corpus:retrieve", label, now)
    }
    expected = {i for i in without if _lends(task, "corpus:retrieve", store.by_id[i], now)}
    pdp = pdp_over(store, EXACT if model_text == "exact" else None)
    pdp.decide_labels(free, Context(now=now))  # what is warm must not answer for the task
    decision = pdp.decide_labels(who, Context(now=now))
    assert permitted(decision) == expected
    assert permitted(pdp.decide_labels(free, Context(now=now))) == without
    lent["some"] += bool(expected)
    lent["narrower"] += bool(expected) and expected < without
    for label_id in expected:
        label = store.by_id[label_id]
        shown = {
            t
            for t in TYPES
            if oracle.reveals(free, t, label, now) and _lends(task, f"reveal:{t}", label, now)
        }
        assert decision.revealed_under(label_id) == shown
        lent["shown"] += bool(shown)
    for label_id, label in store.by_id.items():
        assert pdp.decide(who, "corpus:retrieve", label, Context(now=now)) == (label_id in expected)
    mine = {
        i
        for i, label in store.by_id.items()
        if pdp.decide(free, "document:relabel", label, Context(now=now))
        and _lends(task, "document:relabel", label, now)
    }
    assert set(pdp.labels_for(who, "document:relabel", Context(now=now))) == mine


def test_tasks_were_neither_all_nor_nothing():
    assert lent["some"] > 10, lent
    assert lent["narrower"] > 3, lent
    assert lent["shown"] > 0, lent


@settings(max_examples=60, deadline=None)
@given(world=worlds, task=tasks, principal=st.sampled_from(make.USERS))
def test_a_warm_permit_under_a_task_equals_a_cold_one(world, task, principal):
    rows, memberships, labels = list(dict.fromkeys([*BROAD_ROWS, *world[0]])), *world[1:]
    store = Store(rows, memberships, labels, [task])
    warm, who = pdp_over(store), replace(subject(principal), task=task)
    for now in (50, 149, 150, 249, 250, 251, 150, 9_999, 10_000):  # across every boundary, and back
        cold = pdp_over(store).decide_labels(who, Context(now=now))
        found = warm.decide_labels(who, Context(now=now))
        assert permitted(cold) == permitted(found)
        if found:
            assert now < found.not_after <= task.not_after
    store.tasks.clear()
    store.now_epoch += 1  # as a revocation moves it
    assert permitted(warm.decide_labels(who, Context(now=200))) == set()


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
    cycle = [Membership("group:acme/a", "group:acme/b"), Membership("group:acme/b", "group:acme/a")]
    for rows, memberships in (((), ()), ((ROW,), cycle)):
        with pytest.raises(UnavailableError, match=r"unavailable\.policy"):
            pdp_over(Store(rows, memberships, [])).decide_labels(
                subject("user:acme/ann"), Context(now=1)
            )


EXACT = Path(MODEL_FILE).read_text().replace("m = keyMatch", "m = 1 == 1 && keyMatch")


def label_of(corpus="hr", granted=frozenset()):
    return AccessLabel(
        tenant="acme",
        corpus=corpus,
        classification=Classification.INTERNAL,
        granted=frozenset(granted),
    )


ROW = PolicyRow("user:acme/ann", "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")


@settings(max_examples=60, deadline=None)
@given(
    world=worlds,
    principal=st.sampled_from(make.USERS),
    agent=st.sampled_from([(), (make.AGENTS[0],)]),
    now=st.sampled_from([50, 250, 450]),
)
def test_a_model_of_other_terms_is_decided_label_by_label_to_the_same(world, principal, agent, now):
    rows, memberships, labels = world
    store = Store(rows, memberships, labels)
    fast, exact = pdp_over(store), pdp_over(store, EXACT)
    assert fast._matcher is not None
    assert exact._matcher is None
    who = subject(principal, agents=agent)
    quick, slow = (pdp.decide_labels(who, Context(now=now)) for pdp in (fast, exact))
    assert permitted(quick) == permitted(slow)
    for label_id in permitted(quick):
        assert quick.revealed_under(label_id) == slow.revealed_under(label_id)
    for label in labels:
        for action in ("corpus:retrieve", "document:relabel", "reveal:PERSON"):
            assert fast.decide(who, action, label, Context(now=now)) == exact.decide(
                who, action, label, Context(now=now)
            )


def test_a_model_that_decides_label_by_label_has_a_limit():
    labels = [label_of(corpus="hr", granted={f"user:acme/u{i}"}) for i in range(1_001)]
    rows = [ROW] + [
        PolicyRow(f"role:acme/r{i}", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow")
        for i in range(249)
    ]
    with pytest.raises(UnavailableError, match=r"unavailable\.policy"):
        pdp_over(Store(rows, [], labels), EXACT).decide_labels(
            subject("user:acme/ann"), Context(now=1)
        )
    pdp_over(Store(rows[:249], [], labels[:1_000]), EXACT).decide_labels(
        subject("user:acme/ann"), Context(now=1)
    )


@pytest.mark.parametrize(
    "broken",
    [
        ("cleared(", "eval("),
        ("keyMatch(", "regexMatch("),
        ("cleared(r.sub", "cleared.x(r.sub"),
        ("r = sub, act, obj, ctx", "r = sub, act, obj"),
        ("corpus, levels, compartment, eft", "corpus, levels, eft"),
        ("m = keyMatch", "m = = keyMatch"),
    ],
)
def test_a_model_this_installation_cannot_decide_by_is_refused_at_load(broken):
    text = Path(MODEL_FILE).read_text()
    assert broken[0] in text
    with pytest.raises(ConfigurationError):
        pdp_over(Store([ROW], [], []), text.replace(*broken))


@pytest.mark.parametrize("effect", ["some(where (p.eft == allow))", "priority(p.eft) || deny"])
@pytest.mark.parametrize("rows", ["deny and allow", "allow", "deny"])
def test_another_effect_is_decided_as_casbin_decides_it(effect, rows):
    shipped = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
    text = Path(MODEL_FILE).read_text()
    assert shipped in text
    denied = PolicyRow(*ROW.fields()[:5], "deny")
    present = {"deny and allow": [denied, ROW], "allow": [ROW], "deny": [denied]}[rows]
    store = Store(present, [], [label_of(granted={"user:acme/ann"})])
    pdp = pdp_over(store, text.replace(shipped, effect))
    permit = pdp.decide_labels(subject("user:acme/ann"), Context(now=1))
    first_is_allow = rows == "allow" or (effect.startswith("some") and rows == "deny and allow")
    assert permitted(permit) == ({1} if first_is_allow else set())


@pytest.mark.parametrize(
    "term", ["in_levels(r.obj, p.levels)", "g(r.sub.id, p.sub)", "keyMatch(r.act, p.act)"]
)
def test_a_model_that_leaves_a_term_of_rows_out_means_what_casbin_makes_of_it(term):
    text = Path(MODEL_FILE).read_text()
    without = text.replace(f" && {term}", "").replace(f"m = {term} && ", "m = ")
    assert without != text
    other = PolicyRow("user:acme/ben", "reveal:PERSON", "acme/*", "RESTRICTED", "*", "allow")
    for row in (ROW, other, PolicyRow(*ROW.fields()[:3], "PUBLIC", "*", "allow")):
        store = Store(
            [row, PolicyRow("user:acme/zoe", *ROW.fields()[1:])],
            [],
            [label_of(granted={"user:acme/ann"})],
        )
        pdp = pdp_over(store, without)
        assert pdp._matcher is None
        plain = pdp._policy(RuleIndex(store.policy("acme")))._enforcer
        sub = Sub("user:acme/ann", frozenset({"user:acme/ann"}))
        known = row.subject == "user:acme/ann"
        expected = known and plain.enforce(
            sub, "corpus:retrieve", store.by_id[1], Ctx(1, delegate=False, administrative=False)
        )
        permit = pdp.decide_labels(subject("user:acme/ann"), Context(now=1))
        assert permitted(permit) == ({1} if expected else set())


@pytest.mark.parametrize("text", [Path(MODEL_FILE).read_text(), EXACT], ids=["fast", "exact"])
def test_strangers_leave_nothing_behind(text):
    pdp = pdp_over(Store([ROW], [], [label_of(granted={"user:acme/ann"})]), text)
    assert pdp.decide_labels(subject("user:acme/ann"), Context(now=1))
    state = pdp._tenants["acme"]
    before = len(state.permits), len(state.rules._subs)
    for i in range(50):
        who = subject(f"user:acme/stranger{i}")
        assert not pdp.decide_labels(who, Context(now=1))
        assert not pdp.decide(who, "corpus:retrieve", state.index.labels[1], Context(now=1))
    assert before == (len(state.permits), len(state.rules._subs))
    if text == EXACT:
        assert len(state.policy._enforcer.get_role_manager().all_roles) <= 1
