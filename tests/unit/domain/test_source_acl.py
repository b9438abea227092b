"""Access lists of sources: who is named gets in, nobody else does, whatever the list looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain.source_acl import (
    MAX_NAMES,
    NamedAccess,
    NameKind,
    PosixStep,
    SourceName,
    named,
    posix_named,
    resolved,
)

ALL = "group:acme/all"
PEOPLE = {
    "ann@acme.example": {"user:acme/ann"},
    "Ann": {"user:acme/ann"},
    "Ben": {"user:acme/ben"},
    "Sam": {"user:acme/sam1", "user:acme/sam2"},
    "Sales": {"group:acme/scim-1"},
    "Nameless": {"no-principal"},
    "Half": {"user:acme/half", "no-principal"},
    "Other": {"user:globex/eve"},
}


def lookup(name):
    return PEOPLE.get(name.text, ())


def access(acl, everybody=None):
    return resolved(named(acl), "acme", lookup, everybody)


@pytest.mark.parametrize(
    ("acl", "granted", "denied"),
    [
        (["user:acme/ann", "Ben"], {"user:acme/ann", "user:acme/ben"}, set()),
        (["ann@acme.example", " Sales "], {"user:acme/ann", "group:acme/scim-1"}, set()),
        (["user:Ben", "group:Sales"], {"user:acme/ben", "group:acme/scim-1"}, set()),
        ({"granted": ["Ann", "Ben"], "denied": ["Ben"]}, {"user:acme/ann"}, {"user:acme/ben"}),
        ({"denied": ["Ann"]}, set(), {"user:acme/ann"}),
        (
            {"external_user_emails": ["ann@acme.example"], "external_user_group_ids": ["Sales"]},
            {"user:acme/ann", "group:acme/scim-1"},
            set(),
        ),
        (
            {"authorized_identities": ["Ann", "Sales"]},
            {"user:acme/ann", "group:acme/scim-1"},
            set(),
        ),
        # A name of several people is none of theirs to be granted, and all of theirs to be denied.
        (["Sam"], set(), set()),
        (
            {"granted": ["Ann"], "denied": ["Sam"]},
            {"user:acme/ann"},
            {"user:acme/sam1", "user:acme/sam2"},
        ),
        # One of two who have the name has no principal: which was meant is not known.
        (["Half"], set(), set()),
        (["Nameless", "Other", "user:globex/eve", "Unknown"], set(), set()),
        # Who is denied cannot be found, and might be in a group that is granted.
        ({"granted": ["Ann", "Sales"], "denied": ["Unknown"]}, set(), set()),
    ],
)
def test_shapes(acl, granted, denied):
    found = access(acl)
    assert (found.granted, found.denied) == (granted, denied)


@pytest.mark.parametrize(
    "acl",
    [
        None,
        [],
        {},
        "user:acme/ann",
        5,
        True,
        ["Ann", 5],
        ["Ann", None],
        ["Ann", ""],
        ["Ann", "x" * 300],
        ["Ann"] * (MAX_NAMES + 1),
        {"granted": "Ann"},
        {"granted": ["Ann"], "denied": None},
        {"granted": ["Ann"], "denied": "Ben"},
        {"granted": ["Ann"], "owner": "Ben"},
        {"Granted": ["Ann"]},
        {"external_user_emails": ["Ann"], "is_public": "false"},
        {"external_user_emails": ["Ann"], "is_public": 1},
        {"external_user_emails": None, "is_public": True},
        {"external_user_emails": ["Ann"], "authorized_identities": ["Ann"]},
        {"authorized_identities": {"Ann": 1}},
        {"is_public": False},
    ],
    ids=lambda v: ascii(v)[:50],
)
def test_what_is_not_understood_is_nobodys(acl):
    assert access(acl, ALL).granted == frozenset()


@pytest.mark.parametrize(
    "acl",
    [{"is_public": True}, ["public"], ["Everyone"], {"authorized_identities": ["everybody"]}],
    ids=ascii,
)
def test_open_to_everybody_is_nobody_unless_a_group_stands_for_everybody(acl):
    without = access(acl)
    assert (without.granted, len(without.notes)) == (frozenset(), 1)
    assert access(acl, ALL).granted == {ALL}


def test_open_to_everybody_still_keeps_out_who_is_denied():
    found = access({"granted": ["public", "Ann"], "denied": ["Ann", ALL]}, ALL)
    assert found.granted == frozenset()
    assert found.denied == {"user:acme/ann", ALL}
    assert access({"granted": ["Ann"], "denied": ["public"]}, ALL).granted == frozenset()


def test_who_was_left_out_is_counted_and_named():
    found = access({"granted": ["Ann", "zoe@x.example", "Sam"], "denied": ["Yan"]})
    assert found.notes == (
        "2 of 3 names could not be resolved: Sam, zoe@x.example",
        "1 of 1 denials could not be resolved: Yan",
        "so nobody is granted",
    )
    many = access([f"n{n:03}" for n in range(100)])
    assert many.notes[0].startswith("100 of 100 names could not be resolved: n000, ")
    assert many.notes[0].endswith("n019 and 80 more")
    assert access(["a\nb"]).notes == ("1 of 1 names could not be resolved: 'a\\nb'",)


# Owners and modes. --------------------------------------------------------------------------------------------------

MAP = {
    "uid:1": "user:acme/ann",
    "uid:2": "user:acme/ben",
    "gid:1": "group:acme/x",
    "gid:2": "group:acme/y",
}


def posix(*steps, principals=MAP, everybody=None):
    way = [
        PosixStep(uid=f"uid:{u}", gid=f"gid:{g}", mode=mode, is_directory=n < len(steps) - 1)
        for n, (u, g, mode) in enumerate(steps)
    ]
    return resolved(posix_named(way, principals), "acme", lookup, everybody)


OPEN = (0, 0, 0o755)
OWNERS = MAP | {"uid:0": "user:acme/root", "gid:0": "group:acme/root"}


@pytest.mark.parametrize(
    ("steps", "granted", "denied"),
    [
        ([OPEN, (1, 1, 0o640)], {"user:acme/ann", "group:acme/x"}, set()),
        ([OPEN, (1, 1, 0o600)], {"user:acme/ann"}, set()),
        ([OPEN, (1, 1, 0o000)], set(), {"user:acme/ann"}),
        ([OPEN, (1, 1, 0o644)], {"user:acme/ann", "group:acme/x", ALL}, set()),
        # Only the first class that fits counts.
        ([OPEN, (1, 1, 0o040)], {"group:acme/x"}, {"user:acme/ann"}),
        ([OPEN, (1, 1, 0o604)], {"user:acme/ann", ALL}, {"group:acme/x"}),
        # A readable file in a directory that is not everybody's to enter.
        ([(2, 2, 0o700), (1, 1, 0o644)], set(), set()),
        ([(1, 1, 0o700), (1, 1, 0o644)], {"user:acme/ann"}, set()),
        ([(2, 1, 0o750), (1, 1, 0o644)], {"group:acme/x"}, set()),
        ([(2, 2, 0o705), (1, 1, 0o644)], {"user:acme/ann", "group:acme/x", ALL}, {"group:acme/y"}),
        (
            [OPEN, (2, 2, 0o055), (1, 1, 0o644)],
            {"user:acme/ann", "group:acme/x", ALL},
            {"user:acme/ben"},
        ),
        # To list a directory is not to enter it.
        ([(0, 0, 0o744), (1, 1, 0o644)], set(), {"group:acme/root"} - {"group:acme/root"}),
    ],
)
def test_owners_and_modes(steps, granted, denied):
    found = posix(*steps, principals=OWNERS, everybody=ALL)
    assert (found.granted, found.denied) == (granted, denied)
    assert posix(*steps, principals=OWNERS).granted == granted - {ALL}


def test_owners_that_nobody_mapped():
    assert posix(OPEN, (1, 1, 0o640), principals={}).granted == frozenset()
    assert posix(OPEN, (1, 1, 0o644), principals={}, everybody=ALL).granted == {ALL}
    # Who is kept out is not known: nobody gets in.
    assert posix(OPEN, (1, 1, 0o604), principals={}, everybody=ALL).granted == frozenset()


def test_a_list_beside_the_mode_makes_the_mode_mean_something_else():
    way = [PosixStep(uid="uid:1", gid="gid:1", mode=0o644, has_acl=True)]
    assert resolved(posix_named(way, MAP), "acme", lookup, ALL).granted == frozenset()
    assert posix_named([], MAP).granted == frozenset()
    assert posix_named([PosixStep(uid="a", gid="b", mode=0o777, is_directory=True)], MAP).problems


# Whatever it looks like. --------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(
        [*PEOPLE, "Unknown", "public", ALL, "user:acme/ann", "group:Sales", "user:x", "role:acme/r"]
    ),
    st.text(max_size=12),
)
LISTS = st.one_of(st.lists(NAMES, max_size=6), NAMES, st.none(), st.booleans(), st.integers())
KEYS = st.sampled_from(
    [
        *("granted", "denied", "external_user_emails", "external_user_group_ids"),
        *("is_public", "authorized_identities", "users", ""),
    ]
)
SHAPES = st.one_of(
    LISTS,
    st.dictionaries(KEYS, LISTS, max_size=4),
    st.recursive(LISTS, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)
DIRECTORY = st.dictionaries(
    st.sampled_from(list(PEOPLE)),
    st.frozensets(
        st.sampled_from(["user:acme/a", "user:acme/b", "group:acme/g", "user:globex/e", "-"]),
        max_size=3,
    ),
)


def strings(value):
    """Every string anywhere in a shape."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)


@given(acl=SHAPES, directory=DIRECTORY, everybody=st.sampled_from([None, ALL]))
def test_nobody_gains_who_is_not_named(acl, directory, everybody):
    found = resolved(named(acl), "acme", lambda name: directory.get(name.text, ()), everybody)
    texts = set(strings(acl))
    allowed = {
        text for text in texts if text.startswith(("user:acme/", "group:acme/", "role:acme/"))
    }
    for text in texts:
        for spelling in {text, text.removeprefix("user:"), text.removeprefix("group:")}:
            meant = directory.get(spelling, frozenset())
            allowed |= meant if len(meant) == 1 else set()
    is_open = isinstance(acl, dict) and acl.get("is_public") is True
    if is_open or {text.casefold() for text in texts} & {"public", "everyone", "everybody"}:
        allowed |= {everybody}
    assert found.granted <= allowed
    assert all(principal.split(":")[1].startswith("acme/") for principal in found.granted)
    assert not found.granted & found.denied


@given(
    acl=st.fixed_dictionaries({"granted": st.lists(NAMES), "denied": st.lists(NAMES)}),
    directory=DIRECTORY,
)
def test_denying_more_never_grants_more(acl, directory):
    def look(name):
        return directory.get(name.text, ())

    with_denials = resolved(named(acl), "acme", look, ALL)
    without = resolved(named({"granted": acl["granted"]}), "acme", look, ALL)
    assert with_denials.granted <= without.granted
    denied = resolved(named({"granted": acl["denied"]}), "acme", look).granted
    if with_denials.granted:
        assert not with_denials.granted & denied


MODES = st.integers(0, 0o777)
STEPS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), MODES), min_size=1, max_size=4)


def may_read(uid, gids, steps):
    """What the kernel does: at each step the first class that fits, and nothing else."""
    for number, (owner, group, mode) in enumerate(steps):
        shift = 6 if uid == owner else 3 if group in gids else 0
        if not mode >> shift & (4 if number == len(steps) - 1 else 1):
            return False
    return True


@given(steps=STEPS, uid=st.integers(1, 4), gids=st.frozensets(st.integers(1, 4), max_size=3))
def test_modes_grant_nobody_whom_the_kernel_would_not_let_read(steps, uid, gids):
    principals = {f"uid:{n}": f"user:acme/u{n}" for n in range(1, 5)}
    principals |= {f"gid:{n}": f"group:acme/g{n}" for n in range(1, 5)}
    found = posix(*steps, principals=principals, everybody=ALL)
    mine = {f"user:acme/u{uid}", ALL, *(f"group:acme/g{n}" for n in gids)}
    if mine & found.granted and not mine & found.denied:
        assert may_read(uid, gids, steps)


def test_names_are_told_apart_by_kind():
    assert named(["user:acme/ann"]) == NamedAccess(
        granted=frozenset({SourceName(NameKind.PRINCIPAL, "user:acme/ann")})
    )
    assert named(["user:ann"]).granted == {SourceName(NameKind.USER, "ann")}
    assert named(["domain:acme.example"]).granted == {
        SourceName(NameKind.ANY, "domain:acme.example")
    }
    assert SourceName(NameKind.ANY, "a@b").is_address
