"""Classifications and access labels."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import (
    AccessLabel,
    Classification,
    join,
    narrowed_by,
    require_principal,
)
from tests.conformance import strategies as make


def test_nothing_known_joins_to_restricted():
    assert join([]) == Classification.RESTRICTED


@given(st.lists(st.sampled_from(Classification), min_size=1))
def test_join_is_the_least_upper_bound(levels):
    assert all(level <= join(levels) for level in levels)
    assert join(levels) in levels


@pytest.mark.parametrize("text", ["", "public", "SECRET", "0", "PUBLIC "])
def test_an_unknown_classification_is_refused(text):
    with pytest.raises(InvalidRequestError) as caught:
        Classification.parse(text)
    assert caught.value.code == "label.unknown_classification"


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "user:alice",
        "user:/alice",
        "user:acme/",
        "User:acme/alice",
        "user:ACME/alice",
        "user:acme/a b",
        "user:acme/a,b",
        "user:acme/a'b",
        'user:acme/a"b',
        "user:acme/a/b",
        "user:acme/a\nb",
        "user:acme/\u200balice",
        "user:acme/\uff41lice",
        "user:acme/e\u0301va",
        "group:acme/x\u202e",
        "mailto:acme/alice",
        "user:acme/" + "a" * 201,
        "user:acme/a\\b",
    ],
)
def test_a_principal_that_is_not_kind_tenant_id_is_refused(text):
    with pytest.raises(InvalidRequestError) as caught:
        require_principal(text)
    assert caught.value.code == "principal.invalid"


@pytest.mark.parametrize(
    "text", ["user:acme/okta|00u1", "group:acme/hr.partners", "agent:acme/a@b", "user:acme/éva"]
)
def test_ordinary_principals_are_accepted(text):
    assert text == require_principal(text)


@given(make.labels, make.labels)
def test_digests_are_equal_exactly_for_equal_labels(one, other):
    assert (one == other) == (one.digest() == other.digest())


def test_fields_cannot_be_moved_into_each_other():
    """Length prefixes: no two labels share a canonical form by shifting text between fields."""
    names = ["a", "ab", "b", "ba"]
    digests = {
        AccessLabel(
            tenant=tenant,
            corpus=corpus,
            classification=Classification.PUBLIC,
            compartments=frozenset(compartments),
            granted=frozenset(f"user:{tenant}/{name}" for name in granted),
        ).digest()
        for tenant, corpus in itertools.product(names, names)
        for compartments in ([], ["a"], ["ab"], ["a", "b"])
        for granted in ([], ["a"], ["ab"], ["a", "b"])
    }
    assert len(digests) == 4 * 4 * 4 * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "Acme"},
        {"corpus": ""},
        {"corpus": "../hr"},
        {"compartments": frozenset({"a b"})},
        {"granted": frozenset({"alice"})},
        {"granted": frozenset({"user:other/alice"})},
        {"valid_from": 10, "valid_until": 10},
        {"valid_from": 1.5},
        {"valid_until": True},
        {"classification": 2},
    ],
)
def test_a_malformed_label_is_refused(changes):
    fields = {"tenant": "acme", "corpus": "hr", "classification": Classification.PUBLIC, **changes}
    with pytest.raises(InvalidRequestError):
        AccessLabel(**fields)


@given(make.labels, st.integers(0, 500))
def test_validity_is_half_open(label, now):
    expected = (label.valid_from or 0) <= now < (label.valid_until or 10**9)
    assert expected == label.is_valid_at(now)


# A person's label and the source's next claim. ----------------------------------------------------------------------

NAMES = st.frozensets(st.sampled_from([f"group:acme/{n}" for n in "abcd"]), max_size=3)
BOUNDS = st.none() | st.integers(0, 6)


@st.composite
def small_labels(draw):
    begin, end = draw(BOUNDS), draw(BOUNDS)
    if begin is not None and end is not None and begin >= end:
        begin, end = None, end
    return AccessLabel(
        tenant="acme",
        corpus="hr",
        classification=draw(st.sampled_from(Classification)),
        compartments=draw(st.frozensets(st.sampled_from("xyz"), max_size=2)),
        granted=draw(NAMES),
        denied=draw(NAMES),
        valid_from=begin,
        valid_until=end,
    )


def who_may(label):
    """(principal, clearances, instant) for which the label's own terms hold."""
    return {
        (principal, cleared, now)
        for principal in label.granted - label.denied
        for cleared in ("", "x", "xy", "xyz", "yz", "z")
        for now in range(-1, 8)
        if label.compartments <= set(cleared) and label.is_valid_at(now)
    }


@given(decided=small_labels(), before=small_labels(), claimed=small_labels())
def test_the_sources_next_claim_only_narrows_a_persons_label(decided, before, claimed):
    found = narrowed_by(decided, before, claimed)
    assert who_may(found) <= who_may(decided)
    assert found.classification is decided.classification
    assert narrowed_by(decided, before, before) == decided
    gone = before.granted - claimed.granted
    assert not {who for who, _, _ in who_may(found)} & (gone | (claimed.denied - before.denied))
    assert claimed.compartments - before.compartments <= found.compartments
    if claimed.valid_until is not None and claimed.valid_until != before.valid_until:
        assert all(now < claimed.valid_until for _, _, now in who_may(found))
    if claimed.valid_from is not None and claimed.valid_from != before.valid_from:
        assert all(now >= claimed.valid_from for _, _, now in who_may(found))
