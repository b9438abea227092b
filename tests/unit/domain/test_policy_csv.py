"""Casbin's CSV: what is written is read back, by us and by pycasbin's own file adapter."""

from __future__ import annotations

from pathlib import Path

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.policy_csv import line_of, read_csv, split_csv, write_csv
from tests.conformance import strategies as make

ROOT = Path(__file__).parents[3]
MODEL = str(ROOT / "policies" / "model.conf")
ROW = PolicyRow("user:acme/ann", "corpus:retrieve", "acme/hr", "PUBLIC..INTERNAL", "*", "allow")


def by_casbin(text, directory):
    """(rows, memberships) as pycasbin's FileAdapter sees the file."""
    file = directory / "policy.csv"
    file.write_text(text, encoding="utf-8")
    enforcer = casbin.Enforcer(MODEL, str(file))
    return (
        {tuple(row) for row in enforcer.get_policy()},
        {tuple(row) for row in enforcer.get_grouping_policy()},
    )


@settings(max_examples=100)
@given(rows=st.lists(make.rows, min_size=1, unique=True), memberships=make.memberships())
def test_what_is_written_is_read_back(rows, memberships, tmp_path_factory):
    text = write_csv(rows, memberships)
    assert read_csv(text.splitlines()) == (tuple(rows), tuple(memberships))
    expected = {row.fields() for row in rows}, {(m.member, m.group) for m in memberships}
    assert by_casbin(text, tmp_path_factory.mktemp("casbin")) == expected


@pytest.mark.parametrize(
    "name",
    ["a(b)", "a[1](2)", "#1", "ann#1", "o;brien", "größe", "名前", "a=b", "a|b", "<x>", "p", "$x"],
)
def test_odd_names_survive_casbin(name, tmp_path):
    row = PolicyRow(f"user:acme/{name}", *ROW.fields()[1:])
    row.validate()
    membership = Membership(row.subject, "group:acme/staff")
    text = write_csv([row], [membership])
    assert read_csv(text.splitlines()) == ((row,), (membership,))
    assert by_casbin(text, tmp_path) == (
        {row.fields()},
        {(membership.member, membership.group)},
    )


@pytest.mark.parametrize("name", ["a(b", "a)b", "a]", "[", ")(", "a[1"])
def test_what_casbin_would_split_elsewhere_is_not_written(name):
    row = PolicyRow(f"user:acme/{name}", *ROW.fields()[1:])
    row.validate()  # the name itself is fine
    with pytest.raises(InvalidRequestError, match="brackets"):
        write_csv([row], [])
    with pytest.raises(InvalidRequestError, match="brackets"):
        write_csv([ROW], [Membership(row.subject, "group:acme/staff")])


def test_comments_blank_lines_and_spaces_do_not_count():
    text = f"# about\n\n   \n  {line_of(ROW)}  \n#p, x\ng,user:acme/ann,group:acme/hr\n"
    assert read_csv(text.splitlines()) == (
        (ROW,),
        (Membership("user:acme/ann", "group:acme/hr"),),
    )
    assert [line.number for line in split_csv(text.splitlines())] == [4, 6]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("p, user:acme/x, corpus:retrieve, acme/*, PUBLIC, *", "6 fields"),
        ("g, user:acme/x", "2 fields"),
        ("g, user:acme/x, group:acme/y, acme", "2 fields"),
        ("p2, a, b", "neither p nor g"),
        ("user:acme/x, group:acme/y", "neither p nor g"),
        ("p, user:acme/x, corpus:retrieve, acme/*, SECRET, *, allow", "SECRET"),
        ('p, "user:acme/x, y", corpus:retrieve, acme/*, PUBLIC, *, allow', "kind:tenant"),
    ],
)
def test_a_wrong_line_is_named(line, says):
    with pytest.raises(InvalidRequestError) as refused:
        read_csv([line_of(ROW), line])
    assert refused.value.code == "policy.invalid"
    assert refused.value.detail.startswith("line 2: ")
    assert says in refused.value.detail


def test_a_line_that_is_too_long_for_csv_is_refused():
    with pytest.raises(InvalidRequestError, match="line 1"):
        read_csv(["p, " + "x" * 200_000])
