"""What a review finds, and what it leaves alone."""

from __future__ import annotations

import time

import pytest

from ragward.adapters.duties_toml import load_duties
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_change import NamedByLabels
from ragward.domain.policy_csv import split_csv
from ragward.domain.policy_review import (
    FINDING_CODES,
    SeparatedDuties,
    Severity,
    administrators,
    require_acceptable,
    review,
    review_lines,
)
from ragward.opening import policy_duties

ADMINISTRATION = """
p, role:acme/admin, policy:*, acme/*, PUBLIC..RESTRICTED, *, allow
g, user:acme/root, role:acme/admin
g, user:acme/second, role:acme/admin
"""
STAFF = "p, group:acme/staff, corpus:retrieve, acme/*, PUBLIC..INTERNAL, *, allow\n"
JOINED = "g, user:acme/ann, group:acme/staff\n"
NOTHING = NamedByLabels()
ALL = NamedByLabels(granted=frozenset({"group:acme/all"}))
DUTIES = (
    SeparatedDuties(
        name="policy and documents",
        one=frozenset({"policy:write"}),
        other=frozenset({"document:ingest"}),
    ),
)


def snapshot(text):
    parsed = [line.parsed() for line in split_csv(text.splitlines())]
    return PolicySnapshot(
        "acme",
        1,
        tuple(item for item in parsed if isinstance(item, PolicyRow)),
        tuple(item for item in parsed if isinstance(item, Membership)),
    )


def found(text, named=NOTHING):
    return [(finding.code, finding.where) for finding in review(snapshot(text), DUTIES, named)]


def codes(text, named=NOTHING):
    return [code for code, _ in found(text, named)]


def test_a_deny_row_on_an_application_is_pointed_out_and_an_allow_row_is_not():
    rights = "app:acme/portal, corpus:retrieve, acme/*, PUBLIC, *"
    assert codes(ADMINISTRATION + f"p, {rights}, deny\n") == ["row.application"]
    assert codes(ADMINISTRATION + f"p, {rights}, allow\n") == []


def test_a_good_policy_has_no_findings():
    assert found(ADMINISTRATION + STAFF + JOINED) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("p, user:acme/x, corpus:retrieve, acme/*, PUBLIC, *", "policy.invalid"),
        ("p, user:acme/x, corpus:retrieve, acme/*, PUBLIC, *, allow, more", "policy.invalid"),
        ("g, user:acme/x", "policy.invalid"),
        ("g, user:acme/x, user:acme/y", "policy.invalid"),
        ("p, x, corpus:retrieve, acme/*, PUBLIC, *, allow", "principal.invalid"),
        ("q, x", "policy.invalid"),
    ],
)
def test_every_malformed_line_is_an_error_at_its_number_and_the_rest_is_reviewed(line, code):
    text = f"{line}\n{ADMINISTRATION}{STAFF}{line}\n"
    findings = review_lines(split_csv(text.splitlines()), DUTIES, NamedByLabels())
    errors = [f for f in findings if f.severity is Severity.ERROR]
    last = len(text.splitlines())
    assert [(f.code, f.where) for f in errors] == [(code, "line 1"), (code, f"line {last}")]
    assert "row.unreachable" in [f.code for f in findings]  # staff has no members


@pytest.mark.parametrize(
    "text",
    [
        "",
        "g, user:acme/a, group:acme/b\n",
        ADMINISTRATION + "g, group:acme/a, group:acme/b\ng, group:acme/b, group:acme/a\n",
        ADMINISTRATION + "p, user:other/x, corpus:retrieve, other/*, PUBLIC, *, allow\n",
    ],
)
def test_a_policy_that_is_not_valid_as_a_whole_is_an_error(text):
    [finding] = review_lines(split_csv(text.splitlines()), DUTIES, NamedByLabels(), tenant="acme")
    assert (finding.code, finding.severity) == ("policy.invalid", Severity.ERROR)


def test_a_rule_nobody_can_reach_is_found():
    typo = "p, group:acme/stuff, corpus:retrieve, acme/*, PUBLIC, *, allow"
    assert found(ADMINISTRATION + typo) == [("row.unreachable", typo)]
    only_groups = "g, group:acme/x, group:acme/stuff\n"
    assert codes(ADMINISTRATION + typo + "\n" + only_groups) == ["row.unreachable"]
    for reached in ("g, agent:acme/bot, group:acme/x\n", "g, user:acme/a, group:acme/x\n"):
        assert codes(ADMINISTRATION + typo + "\n" + only_groups + reached) == []
    person = "p, user:acme/lone, corpus:retrieve, acme/*, PUBLIC, *, allow\n"
    assert codes(ADMINISTRATION + person) == []


def test_a_group_that_leads_nowhere_is_found_unless_a_label_names_it():
    joined = "g, user:acme/ann, group:acme/stfaf\n"
    assert found(ADMINISTRATION + joined) == [("group.unused", "group:acme/stfaf")]
    named = NamedByLabels(granted=frozenset({"group:acme/stfaf"}))
    assert codes(ADMINISTRATION + joined, named) == []
    [note] = review(snapshot(ADMINISTRATION + joined), DUTIES, None)
    assert note.severity is Severity.NOTE
    assert codes(ADMINISTRATION + "g, user:acme/ann, compartment:acme/case\n") == []


@pytest.mark.parametrize(
    ("above", "below"),
    [
        # a deny takes the whole of it
        (
            "group:acme/all, corpus:retrieve, acme/*, PUBLIC..RESTRICTED, *, deny",
            "group:acme/staff, corpus:retrieve, acme/hr, INTERNAL, *, allow",
        ),
        (
            "group:acme/staff, corpus:*, acme/hr, PUBLIC..INTERNAL, *, deny",
            "group:acme/staff, corpus:retrieve, acme/hr, PUBLIC..INTERNAL, case, allow",
        ),
        (
            "group:acme/all, reveal:*, acme/*, PUBLIC..INTERNAL, *, deny",
            "user:acme/ann, reveal:PERSON, acme/hr, PUBLIC, *, allow",
        ),
        # a broader one of the same effect
        (
            "group:acme/all, corpus:retrieve, acme/*, PUBLIC..INTERNAL, *, allow",
            "user:acme/ann, corpus:retrieve, acme/hr, PUBLIC, *, allow",
        ),
        (
            "group:acme/staff, corpus:*, acme/*, PUBLIC..RESTRICTED, *, deny",
            "group:acme/staff, corpus:retrieve, acme/*, RESTRICTED, case, deny",
        ),
    ],
)
def test_a_covered_rule_is_shadowed(above, below):
    memberships = JOINED + "g, group:acme/staff, group:acme/all\n"
    text = f"{ADMINISTRATION}{memberships}p, {above}\np, {below}\n"
    assert found(text, ALL) == [("row.shadowed", f"p, {below}")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "group:acme/staff, corpus:retrieve, acme/hr, PUBLIC, *, allow",
            "group:acme/all, corpus:retrieve, acme/eng, PUBLIC..RESTRICTED, *, deny",
        ),
        (
            "group:acme/staff, corpus:retrieve, acme/*, PUBLIC..INTERNAL, *, allow",
            "group:acme/all, corpus:retrieve, acme/hr, PUBLIC..INTERNAL, *, deny",
        ),
        (
            "group:acme/staff, corpus:retrieve, acme/hr, PUBLIC..CONFIDENTIAL, *, allow",
            "group:acme/all, corpus:retrieve, acme/*, PUBLIC..INTERNAL, *, deny",
        ),
        (
            "group:acme/staff, corpus:retrieve, acme/hr, PUBLIC, *, allow",
            "group:acme/all, corpus:retrieve, acme/hr, PUBLIC, case, deny",
        ),
        (
            "group:acme/all, corpus:retrieve, acme/hr, PUBLIC, *, allow",
            "group:acme/staff, corpus:retrieve, acme/hr, PUBLIC, *, deny",
        ),
        (
            "group:acme/staff, corpus:*, acme/hr, PUBLIC, *, allow",
            "group:acme/all, corpus:retrieve, acme/hr, PUBLIC, *, deny",
        ),
    ],
)
def test_a_rule_that_still_does_something_is_not_shadowed(one, other):
    memberships = JOINED + "g, group:acme/staff, group:acme/all\n"
    assert codes(f"{ADMINISTRATION}{memberships}p, {one}\np, {other}\n", ALL) == []


def test_rows_that_say_the_same_are_duplicates_however_they_are_spelt():
    spelt = STAFF.replace("PUBLIC..INTERNAL", "PUBLIC")
    again = STAFF.replace("PUBLIC..INTERNAL", "PUBLIC..PUBLIC")
    assert codes(ADMINISTRATION + JOINED + STAFF + STAFF) == ["row.duplicate"]
    assert codes(ADMINISTRATION + JOINED + spelt + again) == ["row.duplicate"]
    assert codes(ADMINISTRATION + JOINED + JOINED + STAFF) == ["row.duplicate"]


def test_duties_held_together_are_named_with_who_holds_them():
    ingest = "p, role:acme/steward, document:*, acme/hr, PUBLIC..INTERNAL, *, allow\n"
    steward = "g, user:acme/root, role:acme/steward\n"
    [finding] = review(snapshot(ADMINISTRATION + ingest + steward), DUTIES, NamedByLabels())
    assert (finding.code, finding.where) == ("duties.joined", "policy and documents")
    assert "user:acme/root" in finding.detail
    assert "user:acme/second" not in finding.detail
    denied = "p, user:acme/root, document:ingest, acme/*, PUBLIC..RESTRICTED, *, deny\n"
    assert "duties.joined" not in codes(ADMINISTRATION + ingest + steward + denied)
    partly = "p, user:acme/root, document:ingest, acme/hr, PUBLIC, *, deny\n"
    assert "duties.joined" in codes(ADMINISTRATION + ingest + steward + partly)
    other = "g, user:acme/ann, role:acme/steward\n"
    assert codes(ADMINISTRATION + ingest + other) == []


def test_somebody_must_be_left_who_may_write_policy():
    one = ADMINISTRATION.replace("g, user:acme/second, role:acme/admin\n", "")
    assert codes(one) == ["administrator.single"]
    require_acceptable(snapshot(one))
    row = "p, user:acme/root, policy:write, acme/*, PUBLIC..RESTRICTED, *, allow\n"
    assert administrators(snapshot(row)) == ["user:acme/root"]
    for useless in (
        STAFF,
        row.replace("RESTRICTED", "CONFIDENTIAL"),
        row.replace("acme/*", "acme/hr"),
        row.replace(", *, allow", ", case, allow"),
        row.replace("user:", "app:"),
        row.replace("user:acme/root", "role:acme/admin"),
        row.replace("policy:write", "policy:read"),
        row + row.replace("allow", "deny"),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            require_acceptable(snapshot(useless))
        assert refused.value.code == "policy.invalid"
        assert codes(useless) == ["policy.invalid"]
        offline = {f.code for f in review(snapshot(useless), DUTIES, None)}
        assert "administrator.none" in offline


def test_many_rows_are_reviewed_in_time():
    """10,000 rows of one subject: pairs of them would be a hundred million."""
    rows = "".join(
        f"p, group:acme/staff, corpus:retrieve, acme/c{i % 5000}, {level}, *, allow\n"
        for i, level in enumerate(["PUBLIC", "PUBLIC..INTERNAL"] * 5000)
    )
    begin = time.process_time()
    findings = codes(ADMINISTRATION + JOINED + rows)
    assert time.process_time() - begin < 20
    assert set(findings) <= {"row.shadowed", "row.duplicate"}


def test_every_code_is_listed():
    assert sorted(FINDING_CODES) == list(FINDING_CODES)


# The duties file. ---------------------------------------------------------------------------------------------------


def test_the_shipped_duties_are_those_of_the_issue():
    joined = {(frozenset(d.one), frozenset(d.other)) for d in policy_duties()}
    assert any("policy:write" in one and "document:ingest" in other for one, other in joined)
    assert any("policy:write" in one and "audit:read" in other for one, other in joined)


@pytest.mark.parametrize(
    "text",
    [
        '[x]\none = ["policy:write"]\n',
        '[x]\none = ["policy:write"]\nother = []\n',
        '[x]\none = ["policy:wriet"]\nother = ["audit:read"]\n',
        '[x]\none = ["policy:write"]\nother = ["audit:read"]\nmore = 1\n',
        "x = 1\n",
        "[x\n",
    ],
)
def test_a_wrong_duties_file_stops_the_start(tmp_path, text):
    file = tmp_path / "duties.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_duties(file)
    assert refused.value.code == "config.invalid"
    with pytest.raises(ConfigurationError):
        load_duties(tmp_path / "none.toml")
