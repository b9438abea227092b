"""Opaque tokens: good for one bearer under one key, and refused when a bit was touched."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain.errors import InvalidRequestError
from ragward.domain.tokens import PageToken

KEY, BEARER = bytes(range(32)), "acme|user:acme/ann"
TOKEN = PageToken(query="ab" * 32, after="report-7", limit=25)


def refused(text, key=KEY, bearer=BEARER):
    with pytest.raises(InvalidRequestError) as caught:
        PageToken.verified(text, key, bearer)
    assert caught.value.code == "request.invalid"
    return True


@given(query=st.text(max_size=64), after=st.text(max_size=200), limit=st.integers(0, 2**53))
def test_a_token_is_read_back(query, after, limit):
    token = PageToken(query=query, after=after, limit=limit)
    assert PageToken.verified(token.signed(KEY, BEARER), KEY, BEARER) == token


def test_it_is_of_one_bearer_and_one_key():
    text = TOKEN.signed(KEY, BEARER)
    assert refused(text, bearer="acme|user:acme/ben")
    assert refused(text, bearer=BEARER + "|agent:acme/bot")
    assert refused(text, key=bytes(32))


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_every_bit_counts(place, bit):
    data = bytearray(base64.urlsafe_b64decode(TOKEN.signed(KEY, BEARER)))
    data[place % len(data)] ^= 1 << bit
    assert refused(base64.urlsafe_b64encode(bytes(data)).decode())


@given(
    text=st.one_of(
        st.text(max_size=200),
        st.binary(max_size=90).map(lambda data: base64.urlsafe_b64encode(data).decode()),
    )
)
def test_what_we_did_not_give_is_refused(text):
    assert refused(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + "=",
        lambda t: t[:-1],
        lambda t: t + "\n",
        lambda t: "+" + t,
        lambda t: t * 50,
        lambda t: t.replace("A", "A "),
    ],
    ids=range(6),
)
def test_there_is_one_spelling(change):
    text = PageToken(query="", after="AAAAAAA", limit=1).signed(KEY, BEARER)
    changed = change(text)
    assert changed == text or refused(changed)
