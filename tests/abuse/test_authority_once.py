"""A changed policy is verified once, and what was verified is believed only while its root is the one in force."""

from __future__ import annotations

import sqlite3

import pytest

from ragward.domain.errors import IntegrityError
from ragward.domain.policy import Membership
from tests.installation import initialised, opened

ANN = Membership("user:acme/ann", "group:acme/night-shift")


class Counting:
    """The rows that were signed; notes what each reading gave."""

    def __init__(self, real):
        self.real, self.whole, self.again = real, 0, 0

    def verified(self, tenant, known=None):
        found = self.real.verified(tenant, known)
        if found is known:
            self.again += 1
        else:
            self.whole += 1
        return found


@pytest.fixture
def ragward(tmp_path):
    with opened(initialised(tmp_path)) as made:
        yield made


@pytest.fixture
def authority(ragward):
    """What decisions are read from, which has read everything once."""
    found = ragward.pdp._inner._store
    found._verified = Counting(found._verified)
    found.require_signed("acme")
    return found


def test_after_a_change_everything_is_read_and_verified_once(ragward, authority):
    before = authority._verified.whole
    ragward.catalog.change_policy("acme", author="user:acme/root", add_memberships=[ANN])
    assert not authority.is_disabled("acme", "user:acme/ann")  # to know who asks
    assert ANN in authority.policy("acme").memberships  # to decide
    assert (authority._verified.whole - before, authority._verified.again) == (1, 1)


def test_another_root_is_read_whole(ragward, authority):
    assert ANN not in authority.policy("acme").memberships
    before = authority._verified.whole
    ragward.catalog.change_policy("acme", author="user:acme/root", add_memberships=[ANN])
    assert ANN in authority.policy("acme").memberships
    ragward.catalog.change_policy("acme", author="user:acme/root", remove_memberships=[ANN])
    assert ANN not in authority.policy("acme").memberships
    assert authority._verified.whole - before == 2


@pytest.mark.parametrize("column", ["policy_epoch", "epoch"])
def test_what_was_verified_is_not_believed_under_an_epoch_that_was_edited(
    ragward, authority, column
):
    change = "+ 1" if column == "policy_epoch" else "- 1000"
    with sqlite3.connect(ragward.settings.data_dir / "catalog.db") as connection:
        connection.execute(f"UPDATE tenants SET {column} = {column} {change}")
    with pytest.raises(IntegrityError):
        authority.policy("acme")


def test_an_edited_row_is_not_decided_from_and_is_noticed_when_everything_is_read(
    ragward, authority
):
    with sqlite3.connect(ragward.settings.data_dir / "catalog.db") as connection:
        connection.execute(
            "INSERT INTO casbin_rule (tenant, ptype, v0, v1) VALUES ('acme', 'g', ?, ?)",
            (ANN.member, ANN.group),
        )
    assert ANN not in authority.policy("acme").memberships
    with pytest.raises(IntegrityError):
        authority.require_signed("acme")
    with pytest.raises(IntegrityError):
        authority.policy("acme")
