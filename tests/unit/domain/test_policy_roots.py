"""Digests of rows: what is remembered of a row is remembered of that row only."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy import Membership, in_order
from ragward.domain.policy_roots import rows_digest

ALIKE = [1, True, 1.0, "1", b"1", None, 0, False, "", "null"]


def test_values_that_python_takes_for_equal_are_not_the_same_row():
    digests = [rows_digest([("p", value, "x")]) for value in ALIKE]
    assert len(set(digests)) == len(ALIKE)
    again = [rows_digest([("p", value, "x")]) for value in reversed(ALIKE)]
    assert again == digests[::-1]


def test_neither_order_nor_nesting_of_fields_is_lost():
    rows = [("a", "b"), ("a,b",), ('a","b',), ("b", "a"), ("a", "b", None)]
    assert len({rows_digest([row]) for row in rows}) == len(rows)
    for some in itertools.permutations(rows, 3):
        assert rows_digest(some) == rows_digest(sorted(some, key=repr))
    assert rows_digest([rows[0], rows[0]]) != rows_digest([rows[0]])


def test_a_membership_that_was_refused_is_refused_again():
    for _ in range(3):
        with pytest.raises(InvalidRequestError):
            Membership("user:acme/ann", "user:acme/ben").validate()
        with pytest.raises(InvalidRequestError):
            Membership("user:acme/ann", "group:other/ben").validate()


names = st.sampled_from(
    ["user:a/a", "user:a/b", "group:a/a", "group:a-b/a", "role:a/é", "user:a/A"]
)


@given(st.lists(st.builds(Membership, names, names), max_size=8))
def test_the_quick_order_is_the_order(memberships):
    assert list(in_order(memberships)) == sorted(memberships)
