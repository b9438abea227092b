"""Names of access lists in a real directory: what is found, what is ambiguous, and what nobody may choose to be called."""

from __future__ import annotations

import pytest

from ragward.adapters.directory_names import DirectoryNames
from ragward.domain.directory import GroupProfile, UserProfile
from ragward.domain.source_acl import NameKind, SourceName, named, resolved
from tests.installation import initialised, opened


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    with opened(initialised(tmp_path_factory.mktemp("directory"))) as ragward:
        store = ragward.catalog

        def user(name, **given):
            return store.create_user("acme", UserProfile(user_name=name, **given), "app:acme/idp")

        user("ann@acme.example", external_id="ann", display_name="Ann Ash")
        user("ben@acme.example", external_id="ben", display_name="Ben Birch")
        user("sam1@acme.example", external_id="sam1", display_name="Sam Sorrel")
        user("sam2@acme.example", external_id="sam2", display_name="Sam Sorrel")
        user("new@acme.example", display_name="No Principal")
        # Somebody who is shown as somebody else's address.
        user("eve@acme.example", external_id="eve", display_name="boss@acme.example")
        store.create_user(
            "globex", UserProfile(user_name="far@x.example", external_id="far"), "app:globex/idp"
        )
        sales = store.create_group(
            "acme", GroupProfile(display_name="Sales", external_id="idp-7"), "app:acme/idp"
        )
        store.create_group("acme", GroupProfile(display_name="Twins"), "app:acme/idp")
        store.create_group("acme", GroupProfile(display_name="twins"), "app:acme/idp")
        store.create_group("acme", GroupProfile(display_name="Ben Birch"), "app:acme/idp")
        yield store, sales.principal


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@acme.example", {"user:acme/ann"}),
        ("ANN@ACME.example", {"user:acme/ann"}),
        ("Ann Ash", {"user:acme/ann"}),
        ("user:ann", {"user:acme/ann"}),
        ("user:ann ash", {"user:acme/ann"}),
        ("ann", {"user:acme/ann"}),
        ("Sales", {"sales"}),
        ("group:idp-7", {"sales"}),
        ("idp-7", {"sales"}),
        ("user:Sales", set()),
        ("group:ann@acme.example", set()),
        ("Sam Sorrel", set()),
        ("Twins", set()),
        ("Ben Birch", set()),
        ("user:Ben Birch", {"user:acme/ben"}),
        ("new@acme.example", set()),
        ("boss@acme.example", set()),
        ("eve@acme.example", {"user:acme/eve"}),
        ("far@x.example", set()),
        ("%", set()),
        ("a" * 256, set()),
        ("nobody", set()),
    ],
)
def test_who_a_name_is(directory, text, found):
    store, sales = directory
    access = resolved(named([text]), "acme", DirectoryNames(store, "acme"))
    assert access.granted == {sales if each == "sales" else each for each in found}
    assert bool(access.notes) is not bool(found)


def test_who_may_be_meant_is_denied(directory):
    store, _ = directory
    acl = {"granted": ["ann@acme.example"], "denied": ["Sam Sorrel"]}
    access = resolved(named(acl), "acme", DirectoryNames(store, "acme"))
    assert access.denied == {"user:acme/sam1", "user:acme/sam2"}
    assert access.granted == {"user:acme/ann"}


def test_each_name_is_asked_for_once(directory):
    store, _ = directory
    asked = []

    class Counting:
        def list_users(self, tenant, conditions, **given):
            asked.append(conditions)
            return store.list_users(tenant, conditions, **given)

        list_groups = store.list_groups

    names = DirectoryNames(Counting(), "acme")
    for _ in range(3):
        assert names(SourceName(NameKind.USER, "ann@acme.example")) == {"user:acme/ann"}
    assert len(asked) == 2
    for text in (" ", "x" * 300, "a\0b"):
        assert names(SourceName(NameKind.ANY, text)) == frozenset()
    assert len(asked) == 2
