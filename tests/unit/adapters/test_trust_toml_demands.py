"""What is demanded of sources, as policies/trust.toml says it: what is not understood is refused."""

from __future__ import annotations

import base64

import pytest

from ragward.adapters.trust_toml import load_demands, load_trust
from ragward.domain.errors import ConfigurationError
from ragward.domain.marking import Trust
from ragward.domain.sources import folder_of

KEY = base64.b64encode(b"k" * 32).decode()
GOOD = f"""
[[curated]]
tenant = "acme"
corpus = "hr"
[[signed]]
tenant = "acme"
corpus = "hr"
source = "a/*"
keys = ["{KEY}"]
[flood]
most = 5
"""


def written(tmp_path, text):
    path = tmp_path / "trust.toml"
    path.write_text(text)
    return path


def test_one_file_says_all_of_it(tmp_path):
    path = written(tmp_path, GOOD)
    demands = load_demands(path)
    assert demands.keys_for("acme", "hr", "a/1.txt") == {b"k" * 32}
    for other in (("acme", "hr", "b/1.txt"), ("acme", "eng", "a/1.txt"), ("x", "hr", "a/1.txt")):
        assert demands.keys_for(*other) is None
    assert demands.flood is not None
    assert (demands.flood.most, demands.flood.hours, demands.flood.share) == (5, 24, 0.8)
    assert load_trust(path).of("acme", "hr", "x", flagged=False) is Trust.CURATED
    assert load_demands(tmp_path / "absent.toml").flood is None


@pytest.mark.parametrize(
    "text",
    [
        "[[trusted]]",
        "[[signed]]",
        '[[signed]]\ntenant = "a"\ncorpus = "b"\nkeys = []',
        '[[signed]]\ntenant = "a"\ncorpus = "b"\nkeys = ["short"]',
        '[[signed]]\ntenant = "a"\ncorpus = "b"\nkeys = ["AAAA"]',
        f'[[signed]]\ntenant = "a"\ncorpus = ""\nkeys = ["{KEY}"]',
        f'[[signed]]\ntenant = "a"\nkeys = ["{KEY}"]',
        "[flood]",
        "[flood]\nmost = 0",
        "[flood]\nmost = true",
        "[flood]\nmost = 5\nshare = 2.0",
        "[flood]\nmost = 5\nhours = 0",
        "[flood]\nmost = 5\nother = 1",
        "[[flood]]\nmost = 5",
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError):
        load_demands(path)


def test_the_folder_of_a_source():
    assert folder_of("a/b/c.txt") == "a/"
    assert folder_of("c.txt") == ""
    assert folder_of("all.zip!/c.txt") == ""
