"""Generated hostile policies: the PDP is what `enforce` is; and whatever is written in between, it stays that."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql.labels import intern_label
from ragward.adapters.catalog_sql.tenants import lock_tenant
from ragward.domain.access import Action, Context
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification
from ragward.domain.policy import Membership, PolicyRow
from tests.conformance import strategies as make
from tests.conformance.oracle import Oracle
from tests.conformance.shape_world import TYPES, MemoryStore, pdp_over, revealed_by, subject_of
from tests.conftest import PROVE
from tests.contract.conftest import MIGRATIONS

TENANT = make.TENANT
SUBJECTS = [
    *({} for _ in range(5)),
    {"agents": [f"agent:{TENANT}/bot"]},
    {"corpora": ["hr"]},
    {"ceiling": "INTERNAL"},
    {"application": f"app:{TENANT}/chat"},
]
seen = {"some": 0, "none": 0}
asked_again = {"all": 0, "some": 0, "none": 0}


def oracle_over(rows, memberships):
    return Oracle([row.fields() for row in rows], [(m.member, m.group) for m in memberships])


def enforced(oracle, subject, labels, now):
    """Label id -> types shown, by `enforce` alone."""
    return {
        label_id: frozenset(t for t in TYPES if oracle.reveals(subject, t, label, now))
        for label_id, label in labels.items()
        if oracle.permits(subject, "corpus:retrieve", label, now)
    }


@settings(max_examples=400 if PROVE else 80)
@given(
    rows=st.lists(make.hostile_rows, min_size=1, max_size=8),
    memberships=make.chains(),
    labels=st.lists(make.hostile_labels(), min_size=1, max_size=8, unique=True),
    principals=st.lists(make.look_alikes, min_size=1, max_size=3, unique=True),
    now=make.instants,
)
def test_look_alikes_deep_chains_windows_and_patterns(rows, memberships, labels, principals, now):
    store = MemoryStore()
    store.put(TENANT, [make.FLOOR, *rows], memberships)
    for label in labels:
        store.add_label(label)
    pdp, oracle = pdp_over(store), oracle_over([make.FLOOR, *rows], memberships)
    for principal in principals:
        subject = subject_of(principal, {})
        expected = enforced(oracle, subject, store.by_id, now)
        assert revealed_by(pdp.decide_labels(subject, Context(now=now))) == expected
        seen["some" if expected else "none"] += 1


def test_the_oracle_was_neither_all_nor_none():
    assert min(seen.values()) > 25, seen


#: What every run begins with; each differs from the first in one thing that a write, or the clock, can turn round.
FIRST_LABELS = [
    make.AccessLabel(
        **{
            "tenant": TENANT,
            "corpus": "hr",
            "classification": Classification.INTERNAL,
            "granted": frozenset({make.GROUPS[-1]}),
        }
        | change
    )
    for change in (
        {},
        {"corpus": "fin", "classification": Classification.RESTRICTED},
        {"granted": frozenset({make.GROUPS[0], make.GROUPS[1]})},
        {"granted": frozenset(make.USERS), "denied": frozenset({make.GROUPS[0]})},
        {"granted": frozenset(make.USERS), "denied": frozenset({f"app:{TENANT}/chat"})},
        {"compartments": frozenset({"deal"})},
        {"valid_from": 180},  # no two bounds are equal: one must not stand in for the other
        {"valid_until": 220},
        {"valid_from": 240, "valid_until": 290},
    )
]


class SQLStore:
    """The catalog, with labels put in without documents."""

    def __init__(self, directory):
        url = f"sqlite:///{directory}/catalog.db"
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
        self.catalog = SQLCatalog.open(url)

    def __getattr__(self, name):
        return getattr(self.catalog, name)

    @property
    def by_id(self):
        return self.catalog.labels(TENANT)

    def put(self, tenant, rows, members):
        self.catalog.replace_policy(tenant, rows, members, "user:acme/root")

    def add_label(self, label):
        with self.catalog._database.write(label.tenant) as connection:
            lock_tenant(connection, label.tenant)
            return intern_label(connection, label)


#: Edges between these may make a cycle: those must be refused and change nothing.
MEMBERS = (*make.USERS, *make.AGENTS, f"app:{TENANT}/chat", *make.GROUPS)
edges = st.builds(
    Membership, st.sampled_from(MEMBERS), st.sampled_from([*make.GROUPS, *make.CLEARANCES])
)


class Revocations(RuleBasedStateMachine):
    """Writes and questions in any order; every answer is that of a fresh oracle over a fresh snapshot."""

    def open_store(self):
        return MemoryStore()

    @initialize()
    def begin(self):
        self.store, self.now, self.oracle = self.open_store(), 150, None
        self.rows = {make.BROAD}
        self.members = {Membership(user, make.GROUPS[-1]) for user in make.USERS[:2]}
        self.store.put(TENANT, self.rows, self.members)
        for label in FIRST_LABELS:
            self.store.add_label(label)
        self.pdp = pdp_over(self.store)
        self.asked = [subject_of(make.USERS[0], {})]

    def write(self, rows, members):
        """Through the check, as the policy routes do; a refusal changes nothing."""
        before = self.store.epoch(TENANT)
        try:
            snapshot = type(self.store.policy(TENANT))(
                TENANT, 0, tuple(sorted(rows)), tuple(sorted(members))
            )
            self.pdp.check(snapshot)
        except InvalidRequestError:
            assert self.store.epoch(TENANT) == before
            return
        self.store.put(TENANT, rows, members)
        self.rows, self.members, self.oracle = set(rows), set(members), None

    @rule(row=make.rows)
    def add_row(self, row):
        self.write(self.rows | {row}, self.members)

    @rule(data=st.data())
    def remove_row(self, data):
        gone = data.draw(st.sampled_from(sorted(self.rows)))
        self.write(self.rows - {gone}, self.members)

    @rule(edge=edges)
    def add_membership(self, edge):
        self.write(self.rows, self.members | {edge})

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def remove_membership(self, data):
        gone = data.draw(st.sampled_from(sorted(self.members)))
        self.write(self.rows, self.members - {gone})

    @rule(labels=st.lists(make.labels, min_size=1, max_size=3))
    def add_labels(self, labels):
        for label in labels:
            self.store.add_label(label)

    @rule(seconds=st.sampled_from([1, 49, 50, 51, 100, -60]))
    def advance_the_clock(self, seconds):
        self.now += seconds

    @rule(principal=st.sampled_from(make.USERS), how=st.sampled_from(SUBJECTS))
    def ask(self, principal, how):
        self.asked = [*self.asked[-3:], subject_of(principal, how)]

    @rule(
        principal=st.sampled_from(make.USERS),
        action=st.sampled_from([Action.CORPUS_RETRIEVE, Action.DOCUMENT_INGEST]),
        label=make.labels,
    )
    def ask_about_one(self, principal, action, label):
        subject = subject_of(principal, {})
        administrative = action is not Action.CORPUS_RETRIEVE
        expected = self.truth().permits(
            subject, action.value, label, self.now, administrative=administrative
        )
        assert self.pdp.decide(subject, action, label, Context(now=self.now)) == expected

    @invariant()
    def whoever_asked_before_asks_again(self):
        """After every write: this is where a permit that was kept too long shows."""
        for subject in getattr(self, "asked", ()):
            decided = revealed_by(self.pdp.decide_labels(subject, Context(now=self.now)))
            expected = enforced(self.truth(), subject, self.store.by_id, self.now)
            assert decided == expected, (subject.principal, self.now)
            total = len(self.store.by_id)
            part = "all" if len(expected) == total else "some" if expected else "none"
            asked_again[part] += 1

    def truth(self):
        if self.oracle is None:
            self.oracle = oracle_over(self.rows, self.members)
        return self.oracle


TestRevocations = Revocations.TestCase
TestRevocations.settings = settings(
    max_examples=200 if PROVE else 15, stateful_step_count=25, deadline=None
)


def test_the_questions_were_not_all_answered_alike():
    assert asked_again["some"] > 100, asked_again
    assert asked_again["none"] > 20, asked_again


@pytest.mark.parametrize("seed", range(6 if PROVE else 1))
def test_the_same_on_a_database(seed, tmp_path):
    """The rules above in a fixed mixture over SQLite: epochs and label ids are then the catalog's own."""
    import random

    chance = random.Random(seed)

    class OnSQLite(Revocations):
        def open_store(self):
            return SQLStore(tmp_path)

    machine = OnSQLite()
    machine.begin()
    examples = Examples(chance)
    try:
        for step in range(60):
            machine.ask(chance.choice(make.USERS), chance.choice(SUBJECTS))
            examples.write(machine, step)
            machine.whoever_asked_before_asks_again()
    finally:
        machine.store.close()


def test_every_boundary_forwards_and_backwards():
    """A warm permit at each second that matters, then at the same ones in reverse and in leaps."""
    machine = Revocations()
    machine.begin()
    forwards = [150, 179, 180, 219, 220, 239, 240, 289, 290, 500]
    for now in (*forwards, *reversed(forwards), 180, 150, 290, 220, 179, 500, 150):
        machine.now = now
        machine.whoever_asked_before_asks_again()


class Examples:
    """Writes drawn without Hypothesis: one database a test is enough."""

    def __init__(self, chance):
        self.chance = chance

    def write(self, machine, step):
        pick = self.chance.choice
        way = step % 6
        if way == 0:
            machine.add_labels([self.label() for _ in range(2)])
        elif way == 1:
            machine.write(machine.rows | {self.row()}, machine.members)
        elif way == 2 and len(machine.rows) > 1:
            machine.write(machine.rows - {pick(sorted(machine.rows))}, machine.members)
        elif way in (3, 5):
            edge = Membership(pick(MEMBERS), pick([*make.GROUPS, *make.CLEARANCES]))
            machine.write(machine.rows, machine.members ^ {edge})
        else:
            machine.advance_the_clock(pick([1, 50, 99, -60]))

    def row(self):
        pick = self.chance.choice
        return PolicyRow(
            pick(make.USERS + make.AGENTS + make.GROUPS),
            pick(["corpus:retrieve", "corpus:*", "reveal:PERSON"]),
            pick([f"{TENANT}/*", f"{TENANT}/hr"]),
            pick(["PUBLIC..RESTRICTED", "INTERNAL", "PUBLIC..CONFIDENTIAL"]),
            pick(["*", "*", "deal"]),
            pick(["allow", "allow", "deny"]),
        )

    def label(self):
        pick = self.chance.choice
        return make.AccessLabel(
            tenant=TENANT,
            corpus=pick(make.CORPORA),
            classification=pick(list(Classification)),
            compartments=frozenset(pick([(), (), ("deal",)])),
            granted=frozenset(self.chance.sample(make.USERS + make.GROUPS, 3)),
            denied=frozenset(pick([(), (), (pick(make.GROUPS),)])),
            valid_from=pick([None, None, 100, 200]),
            valid_until=pick([None, None, 300, 400]),
        )
