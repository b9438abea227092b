"""Rules of retention: the first one counts, and a file that is not understood is refused."""

from __future__ import annotations

import pytest

from ragward.adapters.retention_toml import load_retention
from ragward.domain.errors import ConfigurationError
from ragward.domain.labels import Classification
from ragward.domain.retention import rule_of

GOOD = """
[[rule]]
name = "kept"
corpus = "legal"
source = "contracts/*"
[[rule]]
name = "half a year"
corpus = "*"
classifications = ["RESTRICTED"]
days = 180
"""


def load(tmp_path, text):
    path = tmp_path / "retention.toml"
    path.write_text(text)
    return load_retention(path)


def test_the_first_rule_about_a_document_counts(tmp_path):
    rules = load(tmp_path, GOOD)
    restricted = Classification.RESTRICTED
    kept = rule_of(rules, "acme", "legal", "contracts/1.txt", restricted)
    assert kept is not None
    assert not kept.is_due(0, 10**12)
    due = rule_of(rules, "acme", "hr", "contracts/1.txt", restricted)
    assert due is not None
    assert not due.is_due(0, 180 * 86_400 - 1)
    assert due.is_due(0, 180 * 86_400)
    assert rule_of(rules, "acme", "hr", "x", Classification.PUBLIC) is None


def test_as_shipped_nothing_is_due(tmp_path):
    assert load_retention(tmp_path / "absent.toml") == ()


@pytest.mark.parametrize(
    "text",
    [
        "days = 3",
        "[[rule]]\ndays = 3",
        '[[rule]]\nname = "a"\ndays = 0',
        '[[rule]]\nname = "a"\ndays = true',
        '[[rule]]\nname = "a"\nday = 3',
        '[[rule]]\nname = "a"\ncorpus = ""',
        '[[rule]]\nname = "a"\nclassifications = []',
        '[[rule]]\nname = "a"\nclassifications = ["SECRET"]',
        '[[rule]]\nname = "a"\n[[rule]]\nname = "a"',
        "[[rule",
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError):
        load(tmp_path, text)
