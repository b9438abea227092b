"""A dry run says exactly what is observed after the change: for everybody, document by document."""

from __future__ import annotations

import dataclasses
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.access import Application, Context, Deny, Subject
from ragward.domain.labels import Classification
from ragward.domain.policy import Membership
from ragward.domain.policy_change import PolicyEdit
from tests import company, policies
from tests.conformance import strategies as make
from tests.conformance.oracle import Oracle
from tests.conftest import PROVE
from tests.contract.catalog_examples import version

NOW = 250
AGENT = make.AGENTS[0]
APP = "app:acme/kiosk"
seen = Counter()


def observed(office, labels):
    """principal -> document -> classification, asked of the PDP under the policy in force."""
    readers = {name: may_read(office, name) for name in make.USERS}
    kiosk = Application(
        principal=APP,
        tenant="acme",
        client_id="kiosk",
        corpora=frozenset({"*"}),
        ceiling=Classification.RESTRICTED,
    )
    readers[APP] = may_read(office, APP, kiosk)
    policy = office.catalog.policy("acme")
    oracle = Oracle(
        [row.fields() for row in policy.rows], [(m.member, m.group) for m in policy.memberships]
    )
    readers[AGENT] = {
        i
        for i, label in labels.items()
        if oracle.may(AGENT, "corpus:retrieve", label, NOW, delegate=True)
    }
    return {
        name: {
            record.document_id: record.label.classification
            for record in office.catalog.documents("acme")
            if record.label_id in ids
        }
        for name, ids in readers.items()
    }


def may_read(office, principal, application=company.APPLICATION):
    subject = Subject(tenant="acme", principal=principal, application=application, not_after=2**40)
    decision = office.pdp.decide_labels(subject, Context(now=NOW))
    return set() if isinstance(decision, Deny) else set(decision.label_ids())


@st.composite
def edits(draw, rows, memberships):
    """Some of what is there away, some new."""

    def some(items):
        return draw(st.frozensets(st.sampled_from(items), max_size=3)) if items else frozenset()

    joining = st.builds(
        Membership,
        st.sampled_from((*make.USERS, AGENT, APP)),
        st.sampled_from(make.GROUPS + make.CLEARANCES),
    )
    return PolicyEdit(
        add_rows=draw(st.frozensets(make.rows, max_size=2)),
        remove_rows=some(rows),
        add_memberships=draw(st.frozensets(joining, max_size=2)),
        remove_memberships=some(memberships),
    )


@settings(max_examples=300 if PROVE else 25)
@given(
    rows=st.lists(make.rows, min_size=1, max_size=8, unique=True),
    memberships=make.memberships(),
    labels=st.lists(make.labels, min_size=1, max_size=6),
    data=st.data(),
)
def test_a_dry_run_is_what_is_observed_after_applying(rows, memberships, labels, data):
    rows = [make.BROAD, *(row for row in rows if row != make.BROAD)]
    office = policies.office(rows, memberships, four_eyes=False, now=NOW)
    for number, label in enumerate(labels):
        office.catalog.commit_version(version(f"{number}.md", label=label))
        office.catalog.commit_version(version(f"{number}-again.md", label=label))
    first = office.catalog.policy("acme")
    try_and_apply(office, data.draw(edits(rows, memberships)))
    try_and_apply(office, PolicyEdit.replacing(first.rows, first.memberships))  # and back


def try_and_apply(office, edit):
    """Tries, applies, looks."""
    steward = company.subject("steward")
    before = observed(office, office.catalog.labels("acme"))
    untouched = office.catalog.policy("acme")
    run = office.administration.dry_run(steward, edit)
    assert office.catalog.policy("acme") == untouched
    office.administration.write(steward, edit, reason="as it was tried")
    after = observed(office, office.catalog.labels("acme"))
    expected = {}
    for name in before:
        gained = Counter(after[name][d] for d in after[name].keys() - before[name].keys())
        lost = Counter(before[name][d] for d in before[name].keys() - after[name].keys())
        if gained or lost:
            expected[name] = (dict(gained), dict(lost))
        seen["gained"] += bool(gained)
        seen["lost"] += bool(lost)
        seen["same"] += not gained and not lost
    assert {c.principal: (c.gained, c.lost) for c in run.changes} == expected
    assert sum(run.gained.values()) == sum(sum(g.values()) for g, _ in expected.values())
    assert sum(run.lost.values()) == sum(sum(lost.values()) for _, lost in expected.values())


def test_the_tries_gained_lost_and_kept():
    assert min(seen["gained"], seen["lost"], seen["same"]) > 10, seen


def test_quarantined_deleted_and_expired_documents_do_not_count():
    from ragward.domain.corpus import DocumentState
    from tests.contract.catalog_examples import label, row

    office = policies.office([row("group:acme/boss")], four_eyes=True, now=NOW)
    shown, hidden = label(), label(corpus="hr")
    gone = dataclasses.replace(shown, valid_until=NOW)
    for name, given_label, state in (
        ("a", shown, DocumentState.ACTIVE),
        ("b", shown, DocumentState.QUARANTINED),
        ("c", gone, DocumentState.ACTIVE),
        ("d", hidden, DocumentState.ACTIVE),
    ):
        office.catalog.commit_version(version(name, label=given_label, state=state))
    deleted = version("e", label=shown)
    office.catalog.commit_version(deleted)
    office.catalog.set_state("acme", deleted.document_id, DocumentState.DELETED)
    edit = PolicyEdit(
        add_rows=frozenset({row()}),
        add_memberships=frozenset({Membership("user:acme/ann", "group:acme/staff")}),
    )
    run = office.administration.dry_run(company.subject("steward"), edit)
    [change] = run.changes
    assert (change.principal, change.gained, change.lost) == (
        "user:acme/ann",
        {Classification.INTERNAL: 1},
        {},
    )
    assert run.principals == 3  # ann and the two administrators
