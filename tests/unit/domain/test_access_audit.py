"""What is taken away was not needed for anything that was read: whatever the policy, by the oracle."""

from __future__ import annotations

import random

import pytest

from ragward.domain.access import Application
from ragward.domain.access_audit import (
    PrincipalUse,
    Why,
    application_use,
    exercised,
    narrower,
    role_uses,
    unused,
)
from ragward.domain.access_posture import contained, factors_of, posture
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from tests.conformance.oracle import Oracle

NOW = 1_800_000_000
PEOPLE = [f"user:acme/p{n}" for n in range(5)]
GROUPS = [f"group:acme/g{n}" for n in range(5)]
LEVELS = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED"]


def world(seed):
    """A random policy and random labels."""
    chance = random.Random(seed)
    rows = {
        PolicyRow(
            chance.choice(GROUPS + PEOPLE),
            chance.choice(
                ["corpus:retrieve"] * 4 + ["corpus:*", "reveal:PERSON", "document:ingest"]
            ),
            chance.choice(["acme/*", "acme/c0", "acme/c1", "acme/c2"]),
            chance.choice(["PUBLIC..RESTRICTED", "PUBLIC..INTERNAL", "CONFIDENTIAL"]),
            chance.choice(["*", "*", "case"]),
            chance.choice(["allow"] * 5 + ["deny"]),
        )
        for _ in range(chance.randint(3, 12))
    }
    memberships = {
        Membership(chance.choice(PEOPLE), chance.choice([*GROUPS, "compartment:acme/case"]))
        for _ in range(chance.randint(2, 12))
    }
    for low in range(len(GROUPS) - 1):
        if chance.random() < 0.4:
            memberships.add(Membership(GROUPS[low], chance.choice(GROUPS[low + 1 :])))
    labels = {
        number: AccessLabel(
            tenant="acme",
            corpus=f"c{chance.randint(0, 2)}",
            classification=Classification[chance.choice(LEVELS)],
            compartments=frozenset(["case"] if chance.random() < 0.2 else []),
            granted=frozenset(chance.sample(GROUPS + PEOPLE, chance.randint(1, 4))),
            denied=frozenset(chance.sample(GROUPS, 1) if chance.random() < 0.2 else []),
        )
        for number in range(1, 9)
    }
    policy = PolicySnapshot("acme", 1, tuple(sorted(rows)), tuple(sorted(memberships)), 1)
    return chance, policy, labels


def oracle(policy):
    pairs = [(m.member, m.group) for m in policy.memberships]
    return Oracle([row.fields() for row in policy.rows], pairs)


def readable(policy, labels):
    by = oracle(policy)
    return {
        (who, number)
        for who in PEOPLE
        for number, label in labels.items()
        if by.may(who, "corpus:retrieve", label, NOW)
    }


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_nothing_that_was_read_is_lost_and_nobody_gains(first):
    took = 0
    for seed in range(first, first + 40):
        chance, policy, labels = world(seed)
        could = readable(policy, labels)
        reads = {each for each in could if chance.random() < 0.4}
        found = unused(policy, labels, exercised(policy, labels, reads).values(), policy)
        after = found.edit.applied_to(policy)
        can = readable(after, labels) if after.rows else set()
        assert reads <= can, seed
        assert can <= could, seed
        took += len(could - can)
    assert took > 20


def test_a_right_is_kept_for_every_way_to_what_was_read_and_taken_otherwise():
    rows = [
        PolicyRow(f"group:acme/{g}", "corpus:retrieve", "acme/c0", "PUBLIC..INTERNAL", "*", "allow")
        for g in ("one", "two", "none")
    ]
    memberships = [
        Membership("user:acme/ann", f"group:acme/{g}") for g in ("one", "two", "none", "empty")
    ]
    label = AccessLabel(
        tenant="acme",
        corpus="c0",
        classification=Classification.INTERNAL,
        granted=frozenset(["group:acme/one", "group:acme/two"]),
    )
    policy = PolicySnapshot("acme", 1, tuple(rows[:2]), tuple(sorted(memberships)), 1)
    used = exercised(policy, {1: label}, {("user:acme/ann", 1)})
    found = unused(policy, {1: label}, used.values(), policy)
    assert found.edit.remove_rows == frozenset()
    assert {m.group for m in found.edit.remove_memberships} == {
        "group:acme/none",
        "group:acme/empty",
    }
    assert [(u.principal, u.members_using) for u in role_uses(policy, used)] == [
        ("group:acme/empty", 0),
        ("group:acme/none", 0),
        ("group:acme/one", 1),
        ("group:acme/two", 1),
    ]


def test_what_is_left_alone_says_why():
    read = ("corpus:retrieve", "acme/c0", "PUBLIC..INTERNAL", "*")
    rows = (
        PolicyRow("group:acme/new", *read, "allow"),
        PolicyRow("group:acme/admin", "policy:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
        PolicyRow("group:acme/barred", *read, "deny"),
        PolicyRow("group:acme/old", *read, "allow"),
    )
    names = ("admin", "barred", "old", "scim-1", "denied-by-label")
    memberships = tuple(Membership("user:acme/ann", f"group:acme/{name}") for name in names)
    label = AccessLabel(
        tenant="acme",
        corpus="c9",
        classification=Classification.PUBLIC,
        denied=frozenset(["group:acme/denied-by-label"]),
    )
    policy = PolicySnapshot("acme", 2, rows, memberships, 2)
    before = PolicySnapshot("acme", 1, rows[1:], memberships, 1)
    found = unused(policy, {1: label}, [], before)
    assert {
        each.line.split(", ")[-1 if each.line.startswith("g") else 1]: each.why
        for each in found.left
    } == {
        "group:acme/new": Why.TOO_NEW,
        "group:acme/admin": Why.ADMINISTRATIVE,
        "group:acme/barred": Why.DENIES,
        "group:acme/denied-by-label": Why.DENIES,
        "group:acme/scim-1": Why.DIRECTORY,
    }
    assert found.edit.remove_rows == frozenset([rows[3]])
    assert found.edit.remove_memberships == frozenset([memberships[2]])
    assert not unused(policy, {1: label}, [], None).lines()


def test_an_application_is_narrowed_to_what_passed():
    portal = Application(
        principal="app:acme/x",
        tenant="acme",
        client_id="x",
        corpora=frozenset(["*"]),
        ceiling=Classification.RESTRICTED,
    )
    label = AccessLabel(tenant="acme", corpus="hr", classification=Classification.INTERNAL)
    use = application_use(portal, 3, [label], untouched=False)
    assert (use.narrowed.corpora, use.narrowed.ceiling) == ({"hr"}, Classification.INTERNAL)
    assert narrower(portal, use.narrowed)
    assert not narrower(use.narrowed, portal)
    assert application_use(portal, 3, [label], untouched=True).narrowed is None
    assert application_use(portal, 0, [], untouched=False).narrowed is None
    assert application_use(use.narrowed, 3, [label], untouched=False).narrowed is None


def use_of(reachable, used):
    return PrincipalUse(
        principal="user:acme/ann",
        reachable_labels=reachable,
        reachable_documents=0,
        used_labels=used,
        used_documents=0,
        answers=0,
    )


def test_posture_counts_what_is_recorded_and_says_nothing_of_the_rest():
    full = posture([use_of(4, 1), use_of(4, 3)], {"many": 3, "one": 1}, [False, True], [])
    assert (full.over_privilege, full.mfa_coverage, full.keys_in_time) == (0.5, 0.75, 0.5)
    some = posture([], {"unknown": 3, "many": 1}, [], [])
    assert (some.mfa_coverage, some.mfa_unrecorded) == (1.0, 3)
    none = posture([], {"unknown": 3}, [], [])
    assert (none.over_privilege, none.mfa_coverage, none.keys_in_time) == (None, None, None)
    assert none.seconds_to_contain is None
    assert [
        factors_of(a) for a in ({}, {"amr": ["pwd"]}, {"amr": ["pwd", "otp"]}, {"acr": "urn:x:phr"})
    ] == [
        "unknown",
        "one",
        "many",
        "many",
    ]


def event(kind, at, principal="", **details):
    actor = {"principal": principal} if principal else {}
    return {"id": "e", "type": kind, "ts": at * 1000, "actor": actor, "details": details}


def test_an_alarm_is_contained_by_the_first_restriction_of_whom_or_what_it_was_about():
    touched = event("honey.touched", 100, "user:acme/ann", document="d1")
    others = [
        event("policy.changed", 50, rows=[0, 9], memberships=[0, 0]),
        event("directory.user_disabled", 110, user="u-ben"),
        event("policy.changed", 120, rows=[1, 0], memberships=[2, 0]),
        event("document.deleted", 130, document="d2"),
    ]
    people = {"u-ann": "user:acme/ann", "u-ben": "user:acme/ben"}
    assert contained([touched], others, people)[0].contained_at is None
    for end in (
        event("directory.user_disabled", 200, user="u-ann"),
        event("policy.changed", 200, rows=[0, 0], memberships=[0, 1]),
        event("document.relabelled", 200, document="d1"),
    ):
        alarms = contained([touched], [*others, end], people)
        assert alarms[0].contained_at == 200
        assert posture([], {}, [], alarms).seconds_to_contain == 100
