"""Attribute filters: what matches, and what is refused."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.adapters.catalog_sql.filters import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES, parse_filter
from ragward.domain.errors import InvalidRequestError

COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
NUMBERS = st.integers(-5, 5) | st.floats(-5, 5)
KINDS = (NUMBERS, st.sampled_from(["", "a", "b", "ä"]), st.booleans())
VALUES = st.one_of(*KINDS)


def condition(kind="eq", key="k", value: object = 1) -> dict[str, object]:
    return {"type": kind, "key": key, "value": value}


def matches(filters, **attributes) -> bool:
    return parse_filter(filters).matches(attributes)


def nested(depth: int) -> dict[str, object]:
    """A filter whose condition lies at `depth`."""
    filters = condition()
    for _ in range(depth - 1):
        filters = {"type": "and", "filters": [filters]}
    return filters


@pytest.mark.parametrize("kind", COMPARISONS)
@given(data=st.data())
def test_a_comparison_is_python_s_own_between_values_of_one_kind(kind, data):
    ordered = kind not in ("eq", "ne")
    kinds = data.draw(st.sampled_from(KINDS[:2] if ordered else KINDS))
    value, asked = data.draw(kinds), data.draw(kinds)
    assert matches(condition(kind, value=asked), k=value) == COMPARISONS[kind](value, asked)


@given(asked=st.one_of(*(st.lists(kind, min_size=1, max_size=4) for kind in KINDS)), value=VALUES)
def test_in_and_nin_divide_the_values_of_their_kind(asked, value):
    same = (isinstance(value, bool), isinstance(value, str)) == (
        isinstance(asked[0], bool),
        isinstance(asked[0], str),
    )
    assert matches(condition("in", value=asked), k=value) == (same and value in asked)
    assert matches(condition("nin", value=asked), k=value) == (same and value not in asked)


@pytest.mark.parametrize("kind", [*COMPARISONS, "in", "nin"])
def test_a_document_without_the_key_never_matches(kind):
    value = [1] if kind in ("in", "nin") else 1
    assert not matches(condition(kind, value=value), other=1)
    assert not matches(condition(kind, value=value))


@pytest.mark.parametrize("kind", [*COMPARISONS, "in", "nin"])
@pytest.mark.parametrize(
    ("asked", "value"), [(1, True), (1, "1"), ("1", 1), (0, False), ("a", True)]
)
def test_a_value_of_another_kind_never_matches(kind, asked, value):
    wanted = [asked] if kind in ("in", "nin") else asked
    assert not matches(condition(kind, value=wanted), k=value)


def test_a_boolean_is_found_by_a_boolean():
    assert matches(condition(value=True), k=True)
    assert not matches(condition(value=True), k=1)


def test_compounds_combine_their_parts():
    one, two = condition(key="a"), condition(key="b", value=2)
    assert matches({"type": "and", "filters": [one, two]}, a=1, b=2)
    assert not matches({"type": "and", "filters": [one, two]}, a=1, b=3)
    assert matches({"type": "or", "filters": [one, two]}, b=2)
    assert not matches({"type": "or", "filters": [one, two]}, b=3)
    either = {"type": "or", "filters": [one, {"type": "and", "filters": [two]}]}
    assert parse_filter(either).keys() == {"a", "b"}


def test_the_limits_are_reached_but_not_passed():
    assert matches(nested(MAX_DEPTH), k=1)
    full = {"type": "or", "filters": [condition()] * (MAX_CONDITIONS // 2)}
    assert matches({"type": "and", "filters": [full, full]}, k=1)
    assert matches(condition("in", value=list(range(MAX_VALUES))), k=MAX_VALUES - 1)
    assert matches(condition(key="x" * 64), **{"x" * 64: 1})


HALF = {"type": "or", "filters": [condition()] * (MAX_CONDITIONS // 2)}


@pytest.mark.parametrize(
    "filters",
    [
        {},
        [],
        None,
        "eq",
        {"type": "eq", "key": "k"},
        condition() | {"extra": 1},
        condition("like"),
        condition(["eq"]),
        condition(key=1),
        condition(key=""),
        condition(key="x" * 65),
        condition(key="a b"),
        condition(key="a\n"),
        condition(key="rw_label"),
        condition(value=None),
        condition(value=[1]),
        condition(value={}),
        condition(value=float("nan")),
        condition(value=float("inf")),
        condition("gt", value=True),
        condition("in", value=1),
        condition("in", value="abc"),
        condition("in", value=[]),
        condition("in", value=[1, "1"]),
        condition("in", value=[1, True]),
        condition("nin", value=[[1]]),
        condition("in", value=list(range(MAX_VALUES + 1))),
        {"type": "and", "filters": []},
        {"type": "and", "filters": condition()},
        {"type": "and", "filters": [1]},
        {"type": "and", "filters": [condition()], "key": "k"},
        {"type": "or", "filters": [condition()] * (MAX_CONDITIONS + 1)},
        {"type": "and", "filters": [HALF, HALF, condition()]},
        nested(MAX_DEPTH + 1),
    ],
)
def test_a_malformed_filter_is_refused(filters):
    with pytest.raises(InvalidRequestError) as refused:
        parse_filter(filters)
    assert refused.value.code == "request.invalid"
