"""Who is named where: what texts do to a name, and what is somebody else's."""

from __future__ import annotations

import pytest

from ragward.domain.mentions import Mentions, form_of, subject_tag, value_tags

ANNA = Mentions(["Anna Meier", "anna.meier@example.com", "+49 30 123-4567"])


@pytest.mark.parametrize(
    "text",
    [
        "Anna Meier",
        "ANNA MEIER's",
        "(anna\n\t meier)",
        "Meier, Anna",
        "Anna\u00a0Meier",
        "An\u00adna Mei\u200ber",
        "\uff21\uff4e\uff4e\uff41 Meier",
        "mailto:Anna.Meier@Example.COM.",
        "tel:+49301234567",
        "49/30/123 45 67",
        "files/anna_meier.pdf",
    ],
)
def test_named(text):
    assert ANNA.found_in(f"Before, {text} and after")


@pytest.mark.parametrize(
    "text", ["Annabel Meier", "Anna Meierson", "Anna met Meier", "149301234567", "Joanna Meier", ""]
)
def test_not_named(text):
    assert not ANNA.found_in(text)


def test_long_texts_without_the_name_are_searched_in_linear_time():
    assert not ANNA.found_in("anna " * 200_000)
    assert not ANNA.found_in("4 9 " * 200_000)


def test_removed_from():
    assert ANNA.removed_from("By MEIER, Anna.") == "by <REMOVED>."
    assert ANNA.removed_from("By Ben.") == "By Ben."


def test_a_value_is_the_same_however_it_is_written():
    assert form_of("  Anna\nMEIER ") == form_of("anna meier") == "anna meier"
    assert form_of("078-05-1120") == form_of("078 05 1120") == "078051120"
    assert form_of("anna meier") in ANNA.forms
    assert form_of("meier anna") in ANNA.forms


def test_tags_depend_on_key_and_tenant_and_on_nothing_else():
    forms = ANNA.forms
    tag = subject_tag(b"k" * 32, "acme", forms)
    assert tag == subject_tag(b"k" * 32, "acme", sorted(forms))
    others = {
        subject_tag(b"j" * 32, "acme", forms),
        subject_tag(b"k" * 32, "globex", forms),
        subject_tag(b"k" * 32, "acme", forms - {"anna meier"}),
        *value_tags(b"k" * 32, "acme", forms),
    }
    assert tag not in others
    assert len(others) == 3 + len(forms)
