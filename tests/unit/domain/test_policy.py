"""What makes a policy valid. pycasbin accepts most of what is refused here, and then answers wrongly."""

from __future__ import annotations

import itertools

import pytest

from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy import (
    MAX_DEPTH,
    Membership,
    PolicyRow,
    PolicySnapshot,
    Reach,
    parse_levels,
)

ROW = ("user:acme/ann", "corpus:retrieve", "acme/hr", "PUBLIC..INTERNAL", "*", "allow")


GOOD = (PolicyRow(*ROW),)


def snapshot(rows=GOOD, memberships=()):
    return PolicySnapshot("acme", 1, tuple(rows), tuple(memberships))


def test_a_good_row_round_trips():
    assert PolicyRow.from_fields(ROW).fields() == ROW


@pytest.mark.parametrize(
    "fields",
    [
        ROW[:5],
        (*ROW, "extra"),
        ("", *ROW[1:]),
        ("ann", *ROW[1:]),
        (ROW[0], "", *ROW[2:]),
        (ROW[0], "corpus:retrieve || true", *ROW[2:]),
        (ROW[0], "*", *ROW[2:]),
        (*ROW[:2], "hr", *ROW[3:]),
        (*ROW[:2], "acme/", *ROW[3:]),
        (*ROW[:2], "other/hr", *ROW[3:]),
        (*ROW[:2], "*/hr", *ROW[3:]),
        (*ROW[:3], "SECRET", *ROW[4:]),
        (*ROW[:3], "INTERNAL..PUBLIC", *ROW[4:]),
        (*ROW[:3], "", *ROW[4:]),
        (*ROW[:4], "", "allow"),
        (*ROW[:4], "a b", "allow"),
        (*ROW[:5], ""),
        (*ROW[:5], "Allow"),
        (*ROW[:5], "permit"),
    ],
)
def test_a_malformed_row_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        PolicyRow.from_fields(fields)


@pytest.mark.parametrize(
    "fields",
    [
        ("user:acme/ann",),
        ("user:acme/ann", "group:acme/a", "acme"),
        ("", "group:acme/a"),
        ("user:acme/ann", ""),
        ("user:acme/ann", "group:other/a"),
        ("group:acme/a", "user:acme/ann"),
        ("compartment:acme/c", "group:acme/a"),
        ("user:acme/ann", "app:acme/portal"),
    ],
)
def test_a_malformed_membership_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        Membership.from_fields(fields)


def test_a_policy_without_rows_is_refused():
    with pytest.raises(InvalidRequestError, match="without rows"):
        snapshot(rows=()).validate()


def test_rows_of_another_tenant_are_refused():
    other = PolicyRow("user:other/ann", "corpus:retrieve", "other/hr", "PUBLIC", "*", "allow")
    with pytest.raises(InvalidRequestError):
        snapshot(rows=(other,)).validate()


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_a_cycle_is_refused(length):
    cycle = [
        Membership(f"group:acme/g{i}", f"group:acme/g{(i + 1) % length}") for i in range(length)
    ]
    with pytest.raises(InvalidRequestError, match="cycle"):
        snapshot(memberships=cycle).validate()


def chain(length):
    names = ["user:acme/ann", *[f"group:acme/g{i}" for i in range(length)]]
    return [Membership(a, b) for a, b in itertools.pairwise(names)]


def test_depth_is_bounded_where_casbin_still_follows():
    snapshot(memberships=chain(MAX_DEPTH)).validate()
    with pytest.raises(InvalidRequestError, match="memberships away"):
        snapshot(memberships=chain(MAX_DEPTH + 1)).validate()


def test_a_diamond_is_not_a_cycle():
    diamond = [
        Membership("user:acme/ann", "group:acme/a"),
        Membership("user:acme/ann", "group:acme/b"),
        Membership("group:acme/a", "group:acme/c"),
        Membership("group:acme/b", "group:acme/c"),
    ]
    snapshot(memberships=diamond).validate()
    assert {"user:acme/ann", "group:acme/a", "group:acme/b", "group:acme/c"} == Reach(diamond).of(
        "user:acme/ann"
    )


def test_the_digest_names_the_content_not_the_order():
    rows = [PolicyRow(*ROW), PolicyRow(*ROW[:5], "deny")]
    assert snapshot(rows).digest() == snapshot(rows[::-1]).digest()
    assert snapshot(rows).digest() != snapshot(rows[:1]).digest()


def test_one_level_is_a_range_of_itself():
    low, high = parse_levels("RESTRICTED")
    assert low == high
