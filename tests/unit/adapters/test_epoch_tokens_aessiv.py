"""Epoch tokens say nothing to those who hold them, and only their own tenant's are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.adapters.epoch_tokens_aessiv import AESSIVEpochTokens
from ragward.domain.errors import InvalidRequestError

tokens = AESSIVEpochTokens(lambda: b"k" * 32)


@given(epoch=st.integers(0, 2**63))
def test_a_token_is_read_back(epoch):
    assert tokens.read("acme", tokens.issue("acme", epoch)) == epoch


def test_two_tokens_of_one_epoch_differ_and_are_of_one_length():
    many = {tokens.issue("acme", epoch) for epoch in (1, 1, 1, 2**40)}
    assert len(many) == 4
    assert {len(token) for token in many} == {43}


def test_another_tenants_or_another_keys_token_is_refused():
    token = tokens.issue("acme", 7)
    for reader, tenant in ((tokens, "other"), (AESSIVEpochTokens(lambda: b"x" * 32), "acme")):
        with pytest.raises(InvalidRequestError):
            reader.read(tenant, token)


@given(junk=st.one_of(st.text(max_size=60), st.binary(max_size=40).map(lambda b: b.hex())))
def test_anything_else_is_refused(junk):
    with pytest.raises(InvalidRequestError):
        tokens.read("acme", junk)


def test_every_changed_character_is_noticed():
    token = tokens.issue("acme", 7)
    for at in range(42):  # of the last character, two bits do not count
        other = "A" if token[at] != "A" else "B"
        with pytest.raises(InvalidRequestError):
            tokens.read("acme", token[:at] + other + token[at + 1 :])
