"""Less exact values, and what rows, types and purposes leave of an entitlement."""

from __future__ import annotations

import pytest

from ragward.adapters.finder_presidio import ENTITY_TYPES
from ragward.adapters.redaction_toml import load_redaction
from ragward.domain.disclosure import GENERALISATIONS, Treatment
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.opening import resource

SHIPPED = resource("policies") / "redaction.toml"
RULES = load_redaction(SHIPPED, ENTITY_TYPES)


@pytest.mark.parametrize(
    ("how", "value", "shown"),
    [
        ("year", "3 March 1980", "1980"),
        ("year", "3/3/80", None),
        ("last_four", "4111 1111 1111 1111", "…1111"),
        ("last_four", "1234567", None),
        ("decade", "44", "40s"),
        ("decade", "forty", None),
        ("initials", "Ann-Lee Weber", "A.W."),
        ("initials", "123", None),
        ("town", "12 Baker Street, London", "London"),
        ("town", "Hauptstr. 5\n10115 Berlin", "Berlin"),
        ("town", "12 Baker Street", None),
        ("domain", "jo@Acme.example", "acme.example"),
        ("domain", "https://a.example/b?c", "a.example"),
        ("area", "192.0.2.17", "192.0.*.*"),
        ("area", "SW1A 1AA", "SW…"),
        ("area", "::1", None),
    ],
)
def test_values_are_made_less_exact_or_not_shown(how, value, shown):
    assert GENERALISATIONS[how](value) == shown


def test_the_most_of_what_is_permitted_that_type_and_purpose_allow():
    everything = frozenset(Treatment)
    treatment = RULES.treatment
    assert treatment("PERSON", everything, "") is Treatment.SHOWN
    assert treatment("PERSON", everything, "support") is Treatment.SHOWN
    assert treatment("PERSON", everything, "statistics") is Treatment.GENERALISED
    assert treatment("PERSON", everything, "research") is Treatment.PSEUDONYMISED
    assert treatment("SALARY", everything, "research") is Treatment.REMOVED
    assert treatment("SALARY", frozenset({Treatment.GENERALISED}), "") is Treatment.REMOVED
    assert treatment("PERSON", frozenset(), "") is Treatment.REMOVED
    assert treatment("NEW_TYPE", everything, "") is Treatment.REMOVED
    with pytest.raises(InvalidRequestError):
        treatment("PERSON", everything, "marketing")


def test_types_of_few_values_have_no_pseudonyms():
    few = {"AGE", "DATE_OF_BIRTH", "DATE_TIME", "US_SSN", "ZIP_CODE", "NRP", "SALARY", "US_ITIN"}
    assert not any(RULES.types[name].offers(Treatment.PSEUDONYMISED) for name in few)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AGE = ", "AGES = "),
        ('generalise = "decade"', 'generalise = "century"'),
        ('pseudonyms = "derived"', 'pseudonyms = "guessed"'),
        ("detect = true", "detect = 1"),
        ("detect = true", 'detect = "yes"'),
        ("detect = true", "detects = true"),
        ('detector = "standard"', 'detector = "lax"'),
        ('support = "shown"', 'support = "everything"'),
        ("[purposes]", "[purpose]"),
        ('detector = "standard"', 'detector = "standard"\nextra = 1'),
        ("[types]", "[types"),
    ],
)
def test_a_misspelt_file_is_refused(tmp_path, old, new):
    text = SHIPPED.read_text("utf-8")
    assert old in text
    (tmp_path / "redaction.toml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigurationError):
        load_redaction(tmp_path / "redaction.toml", ENTITY_TYPES)
