"""Edits and differences, and when a change waits for a second person. Ways around it first."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_change import (
    AccessChange,
    NamedByLabels,
    PolicyDiff,
    PolicyEdit,
    asking_principals,
    needs_second_person,
    only_takes_away,
)
from tests.conformance import strategies as make
from tests.conftest import PROVE


def row(subject="group:acme/staff", levels="PUBLIC..INTERNAL", effect="allow", **fields):
    values = {"action": "corpus:retrieve", "corpus": "acme/*", "compartment": "*"} | fields
    return PolicyRow(
        subject, values["action"], values["corpus"], levels, values["compartment"], effect
    )


def member(name, group):
    kind, _, rest = name.rpartition(":")
    group_kind, _, group_rest = group.rpartition(":")
    return Membership(
        f"{kind or 'user'}:acme/{rest}",
        f"{group_kind or 'group'}:acme/{group_rest}",
    )


HIGH = row("group:acme/hr", "PUBLIC..RESTRICTED")
ROWS = (row(), HIGH, row("group:acme/interns", "CONFIDENTIAL..RESTRICTED", "deny"))
MEMBERSHIPS = (
    member("ann", "hr"),
    member("cai", "interns"),
    member("group:hr", "staff"),
    member("group:lab", "compartment:case"),
)
BEFORE = PolicySnapshot("acme", 3, ROWS, MEMBERSHIPS, 3)
NOTHING = NamedByLabels()
judged = Counter()


def touching(named=NOTHING, before=BEFORE, **edit):
    after = PolicyEdit(**{name: frozenset(items) for name, items in edit.items()}).applied_to(
        before
    )
    return needs_second_person(before, after, named)


# What has to wait. --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "added",
    [
        row("user:acme/eve", "RESTRICTED"),
        row("user:acme/eve", "PUBLIC..RESTRICTED"),
        row("user:acme/eve", "CONFIDENTIAL..RESTRICTED", compartment="case"),
        row("user:acme/eve", "RESTRICTED", action="reveal:*"),
        row("user:acme/eve", "PUBLIC..RESTRICTED", action="policy:write"),
        row("group:acme/nobody-yet", "RESTRICTED"),
    ],
)
def test_a_row_that_allows_restricted_waits(added):
    assert touching(add_rows=[added]) == (f"+ p, {', '.join(added.fields())}",)


@pytest.mark.parametrize(
    "added",
    [
        member("eve", "hr"),
        member("eve", "compartment:case"),
        member("eve", "lab"),
        member("group:staff", "lab"),
        member("group:staff", "compartment:other"),
        member("group:nobody-yet", "hr"),
    ],
)
def test_a_membership_that_leads_to_restricted_or_a_compartment_waits(added):
    assert touching(add_memberships=[added]) == (f"+ g, {added.member}, {added.group}",)


def test_a_clearance_smuggled_in_with_its_way_waits():
    """Neither half says so by itself: together they lead into the compartment."""
    way = [member("eve", "friends"), member("group:friends", "mates"), member("group:mates", "lab")]
    assert len(touching(add_memberships=way)) == 3


def test_a_detour_that_is_removed_at_the_same_time_still_counts():
    before = PolicySnapshot("acme", 3, ROWS, (*MEMBERSHIPS, member("group:x", "hr")))
    lines = touching(
        before=before,
        add_memberships=[member("eve", "x")],
        remove_memberships=[member("group:x", "hr")],
    )
    assert "+ g, user:acme/eve, group:acme/x" in lines


def test_a_removal_does_not_carry_an_addition_past():
    lines = touching(
        remove_memberships=[member("ann", "hr")], add_memberships=[member("eve", "hr")]
    )
    assert "+ g, user:acme/eve, group:acme/hr" in lines


def test_a_deny_row_of_restricted_goes_only_with_two():
    assert touching(remove_rows=[ROWS[2]])
    assert touching(remove_memberships=[member("cai", "interns")])


def test_a_row_made_wider_waits_and_one_made_narrower_too():
    """A change is a removal and an addition; who wants it at once removes first."""
    for levels in ("CONFIDENTIAL..RESTRICTED", "PUBLIC..CONFIDENTIAL"):
        assert touching(remove_rows=[HIGH], add_rows=[row("group:acme/hr", levels)])


def test_a_membership_that_a_restricted_label_names_waits():
    """The rows let all staff read RESTRICTED; only the label's grant keeps them out."""
    before = PolicySnapshot("acme", 1, (row(levels="PUBLIC..RESTRICTED"),), MEMBERSHIPS)
    secret = AccessLabel(
        tenant="acme",
        corpus="hr",
        classification=Classification.RESTRICTED,
        granted=frozenset({"group:acme/deal"}),
        denied=frozenset({"group:acme/rivals"}),
    )
    named = NamedByLabels.by([secret])
    joining = {"before": before, "add_memberships": [member("eve", "deal")]}
    assert touching(named, **joining)
    assert not touching(**joining)
    rival = PolicySnapshot("acme", 1, before.rows, (*MEMBERSHIPS, member("eve", "rivals")))
    leaving = {"before": rival, "remove_memberships": [member("eve", "rivals")]}
    assert touching(named, **leaving)
    assert not touching(**leaving)


# What need not. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        {"add_rows": [row("user:acme/eve", "PUBLIC..CONFIDENTIAL")]},
        {"add_rows": [row("user:acme/eve", action="reveal:*")]},
        {"add_memberships": [member("eve", "staff")]},
        {"remove_rows": [row()]},
        {"remove_rows": [HIGH]},
        {"remove_memberships": [member("ann", "hr")]},
        {"remove_memberships": [member("group:lab", "compartment:case")]},
        {"add_rows": [row("user:acme/ann", "PUBLIC..RESTRICTED", "deny")]},
        {"add_memberships": [member("ann", "interns")]},
        {
            "remove_rows": [HIGH],
            "remove_memberships": [member("ann", "hr"), member("group:hr", "staff")],
            "add_rows": [row("user:acme/ann", "RESTRICTED", "deny")],
        },
        {},
    ],
)
def test_taking_away_and_what_is_below_restricted_does_not_wait(edit):
    assert touching(**edit) == ()


def test_joining_those_who_are_denied_waits_if_labels_grant_them_something():
    named = NamedByLabels(granted=frozenset({"group:acme/interns"}))
    assert touching(named, add_memberships=[member("ann", "interns")])


@settings(max_examples=300 if PROVE else 150)
@given(
    rows=st.lists(make.rows, min_size=1, max_size=8, unique=True),
    memberships=make.memberships(),
    labels=st.lists(make.labels, min_size=1, max_size=8),
    data=st.data(),
)
def test_what_only_takes_away_gives_nobody_anything(rows, memberships, labels, data):
    """Held against pycasbin's own enforce: under no label, to nobody."""
    from tests.conformance.oracle import Oracle

    before = PolicySnapshot("acme", 1, tuple(rows), tuple(memberships))

    def pick(items):
        some = st.frozensets(st.sampled_from(items)) if items else st.just(frozenset())
        return data.draw(some)

    joining = st.builds(Membership, st.sampled_from(make.USERS), st.sampled_from(make.GROUPS))
    meant_well = data.draw(st.booleans())  # or anything at all
    added = data.draw(st.frozensets(make.rows, max_size=1))
    edit = PolicyEdit(
        remove_rows=pick([r for r in rows if not meant_well or r.effect == "allow"]),
        remove_memberships=pick(memberships),
        add_rows=frozenset(
            dataclasses.replace(r, effect="deny") if meant_well else r for r in added
        ),
        add_memberships=data.draw(st.frozensets(joining, max_size=0 if meant_well else 1)),
    )
    after = edit.applied_to(before)
    if not only_takes_away(before, after, NamedByLabels.by(labels)):
        return
    old, new = (
        Oracle([r.fields() for r in p.rows], [(m.member, m.group) for m in p.memberships])
        for p in (before, after)
    )
    if not after.rows:
        return  # refused anyway
    judged["policies"] += bool(PolicyDiff.between(before, after))
    for name in make.USERS + make.AGENTS:
        for label in labels:
            for action in ("corpus:retrieve", "reveal:PERSON"):
                had, has = (p.may(name, action, label, 250) for p in (old, new))
                assert had or not has
                judged["lost"] += had and not has


@settings(max_examples=300 if PROVE else 150)
@given(
    rows=st.lists(make.rows, min_size=1, max_size=8, unique=True),
    memberships=make.memberships(),
    labels=st.lists(make.labels, min_size=1, max_size=6),
    added=st.frozensets(make.rows, max_size=2),
    joining=st.frozensets(
        st.builds(
            Membership, st.sampled_from(make.USERS), st.sampled_from(make.GROUPS + make.CLEARANCES)
        ),
        max_size=2,
    ),
    data=st.data(),
)
def test_nobody_gains_anything_restricted_by_what_does_not_wait(
    rows, memberships, labels, added, joining, data
):
    """Whatever is added and removed at once; held against pycasbin's own enforce."""
    restricted = [
        dataclasses.replace(label, classification=Classification.RESTRICTED) for label in labels
    ]
    before = PolicySnapshot("acme", 1, (make.BROAD, *rows), tuple(memberships))
    edit = PolicyEdit(
        add_rows=added,
        remove_rows=data.draw(st.frozensets(st.sampled_from(before.rows), max_size=2)),
        add_memberships=joining,
        remove_memberships=data.draw(st.frozensets(st.sampled_from(memberships), max_size=2)),
    )
    after = edit.applied_to(before)
    if not after.rows:
        return  # refused anyway
    named = NamedByLabels.by(restricted)
    had, has = (_readable(policy, restricted) for policy in (before, after))
    for old, new, gained in ((before, after, has - had), (after, before, had - has)):
        waits = bool(needs_second_person(old, new, named))
        judged["gained"] += bool(gained)
        judged["at once"] += not waits
        assert waits or not gained


def _readable(policy, labels):
    """(person, label) pairs, by pycasbin's own enforce."""
    from tests.conformance.oracle import Oracle

    oracle = Oracle(
        [row.fields() for row in policy.rows], [(m.member, m.group) for m in policy.memberships]
    )
    return {
        (name, label)
        for name in make.USERS
        for label in labels
        if oracle.may(name, "corpus:retrieve", label, 250)
    }


def test_some_of_them_took_something_away():
    assert judged["policies"] > 15, judged
    assert judged["lost"] > 0, judged
    assert judged["gained"] > 10, judged
    assert judged["at once"] > 10, judged


# Values. ------------------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(make.rows, min_size=1, max_size=8, unique=True),
    other=st.lists(make.rows, min_size=1, max_size=8, unique=True),
    memberships=make.memberships(),
    others=make.memberships(),
)
def test_a_difference_applied_is_the_other_policy(rows, other, memberships, others):
    before = PolicySnapshot("acme", 1, tuple(sorted(rows)), tuple(sorted(memberships)))
    after = PolicySnapshot("acme", 1, tuple(sorted(other)), tuple(sorted(others)))
    diff = PolicyDiff.between(before, after)
    edit = PolicyEdit(
        add_rows=frozenset(diff.added_rows),
        remove_rows=frozenset(diff.removed_rows),
        add_memberships=frozenset(diff.added_memberships),
        remove_memberships=frozenset(diff.removed_memberships),
    )
    assert edit.applied_to(before).digest() == after.digest()
    assert PolicyEdit.replacing(other, others).applied_to(before).digest() == after.digest()
    assert bool(diff) == (before.digest() != after.digest())
    assert len(diff.lines()) == sum(
        map(
            len,
            (diff.added_rows, diff.removed_rows, diff.added_memberships, diff.removed_memberships),
        )
    )


def test_those_who_ask_are_people_applications_and_agents_of_either_policy():
    after = PolicySnapshot(
        "acme", 1, (row("agent:acme/bot"),), (member("app:portal", "staff"), member("eve", "hr"))
    )
    assert asking_principals(BEFORE, after) == [
        "agent:acme/bot",
        "app:acme/portal",
        "user:acme/ann",
        "user:acme/cai",
        "user:acme/eve",
    ]


def test_documents_are_counted_by_level_and_labels_without_any_left_out():
    levels = {1: Classification.PUBLIC, 2: Classification.RESTRICTED, 3: Classification.PUBLIC}
    change = AccessChange.of(
        "user:acme/ann", frozenset({1}), frozenset({2, 3}), {1: 5, 2: 2}, levels
    )
    assert change.gained == {Classification.RESTRICTED: 2}
    assert change.lost == {Classification.PUBLIC: 5}
    assert not AccessChange.of("user:acme/ann", frozenset({3}), frozenset(), {1: 5}, levels)
