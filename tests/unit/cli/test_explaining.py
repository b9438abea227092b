"""What the explaining commands take."""

from __future__ import annotations

import pytest

from ragward.cli.explaining import Page
from ragward.domain.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("1800000000", 1_800_000_000),
        ("2027-01-15", 1_799_971_200),
        ("2027-01-15T08:00Z", 1_800_000_000),
        ("2027-01-15T09:00+01:00", 1_800_000_000),
    ],
)
def test_instants(text, seconds):
    assert Page(at=text, after="", limit=1).instant() == seconds


@pytest.mark.parametrize("text", ["soon", "", "2027-13-01", "-1", "१२"])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(InvalidRequestError):
        Page(at=text, after="", limit=1).instant()
