"""The directory's contract on SQLite and PostgreSQL: rows and memberships in one transaction, tenants apart."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.domain.directory import (
    Condition,
    GroupProfile,
    MemberKind,
    Operator,
    UserProfile,
)
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.policy import Membership, PolicyRow

NOW = 1_700_000_000
ROWS = [PolicyRow("group:acme/staff", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow")]
BY_HAND = Membership("user:acme/ann", "group:acme/staff")


@pytest.fixture
def catalog(database_url):
    made = SQLCatalog.open(database_url, now=lambda: NOW)
    made.replace_policy("acme", ROWS, [BY_HAND], "test")
    other = [PolicyRow("group:globex/x", "corpus:retrieve", "globex/*", "PUBLIC", "*", "allow")]
    made.replace_policy("globex", other, [], "test")
    yield made
    made.close()


def person(catalog, name, tenant="acme", **given):
    profile = UserProfile(user_name=name, **{"external_id": name, **given})
    return catalog.create_user(tenant, profile, "app:acme/idp")


def group(catalog, name, *members, tenant="acme"):
    profile = GroupProfile(display_name=name, members=frozenset(members))
    return catalog.create_group(tenant, profile, "app:acme/idp")


def changed(catalog, user, **changes):
    profile = dataclasses.replace(user.profile, **changes)
    return catalog.replace_user(catalog.get_user(user.tenant, user.user_id), profile, "idp")


def filled(catalog, made, *members, **changes):
    profile = dataclasses.replace(made.profile, members=frozenset(members), **changes)
    return catalog.replace_group(catalog.get_group(made.tenant, made.group_id), profile, "idp")


def managed(catalog, tenant="acme"):
    """The memberships that are not written by hand."""
    return {(m.member, m.group) for m in catalog.policy(tenant).memberships if m != BY_HAND}


def ids(found):
    return {getattr(each, "user_id", None) or each.group_id for each in found[1]}


class TestPeople:
    def test_what_is_written_is_read(self, catalog):
        made = person(catalog, "Ann", external_id="a-1", display_name="Ann A.")
        assert catalog.get_user("acme", made.user_id) == made
        assert made.principal == "user:acme/a-1"
        assert (made.version, made.created_at, made.updated_at) == (1, NOW, NOW)
        second = changed(catalog, made, display_name=None)
        assert second.version == 2
        assert second.profile.display_name is None
        assert person(catalog, "nobody", external_id=None).principal is None

    def test_names_and_external_ids_are_taken_once_in_a_tenant(self, catalog):
        person(catalog, "Straße", external_id="one")
        for name, external_id in (("STRASSE", "two"), ("ﬀ", "one"), ("other", "one")):
            with pytest.raises(ConflictError) as caught:
                person(catalog, name, external_id=external_id)
            assert caught.value.code == "catalog.exists"
        person(catalog, "other", external_id="ONE")  # ids are exact
        person(catalog, "Straße", external_id="one", tenant="globex")
        for name in ("unnamed", "unnamed too"):  # any number may have none
            person(catalog, name, external_id=None)

    def test_who_is_disabled(self, catalog):
        made = person(catalog, "ann")
        assert not catalog.is_disabled("acme", "user:acme/ann")
        for active, disabled in ((False, True), (True, False), (None, True), (True, False)):
            changed(catalog, made, active=active)
            assert catalog.is_disabled("acme", "user:acme/ann") is disabled
            assert catalog.disabled("acme") == ({"user:acme/ann"} if disabled else set())
        assert catalog.disabled("globex") == frozenset()
        changed(catalog, made, active=False)
        for tenant, principal in (
            ("acme", "user:acme/ANN"),
            ("acme", "user:acme/stranger"),
            ("acme", "group:acme/ann"),
            ("acme", "agent:acme/ann"),
            ("acme", "user:globex/ann"),
            ("globex", "user:globex/ann"),
            ("acme", "user:acme/"),
            ("acme", "user:acme/\x00"),
            ("acme", "user:acme/\ud800"),
            ("acme", "user:acme/%"),
        ):
            assert not catalog.is_disabled(tenant, principal), principal

    def test_a_deleted_person_stays_disabled_and_leaves_no_name(self, catalog):
        made = person(catalog, "ann", display_name="Ann")
        catalog.delete_user(made, "idp")
        assert catalog.is_disabled("acme", "user:acme/ann")
        assert catalog.disabled("acme") == {"user:acme/ann"}
        assert catalog.list_users("acme", [], offset=0, limit=10) == (0, [])
        with pytest.raises(NotFoundError):
            catalog.get_user("acme", made.user_id)
        with pytest.raises(NotFoundError):
            catalog.delete_user(made, "idp")
        person(catalog, "ann", external_id="other")  # the name is free
        assert catalog.is_disabled("acme", "user:acme/ann")
        again = person(catalog, "ann 2", external_id="ann")
        assert again.user_id != made.user_id
        assert not catalog.is_disabled("acme", "user:acme/ann")

    def test_an_external_id_is_given_once(self, catalog):
        made = person(catalog, "ann", external_id=None)
        named = changed(catalog, made, external_id="ann")
        for external_id in ("ben", None):
            with pytest.raises(ConflictError) as caught:
                changed(catalog, named, external_id=external_id)
            assert caught.value.code == "directory.immutable"

    @pytest.mark.parametrize("external_id", ["", "a b", "a/b", "\u212b", "x" * 201])
    def test_what_is_no_principal_is_refused(self, catalog, external_id):
        with pytest.raises(InvalidRequestError):
            person(catalog, "odd", external_id=external_id)
        assert catalog.list_users("acme", [], offset=0, limit=10)[0] == 0

    def test_a_version_that_is_not_the_stored_one_changes_nothing(self, catalog):
        first = person(catalog, "ann")
        changed(catalog, first, display_name="x")
        for act in (
            lambda: catalog.replace_user(first, first.profile, "idp"),
            lambda: catalog.delete_user(first, "idp"),
        ):
            with pytest.raises(ConflictError) as caught:
                act()
            assert caught.value.code == "directory.version"
        assert catalog.get_user("acme", first.user_id).profile.display_name == "x"


class TestGroups:
    def test_members_are_memberships_of_the_policy(self, catalog):
        ann, ben = person(catalog, "ann"), person(catalog, "ben")
        inner = group(catalog, "inner", ann.user_id)
        outer = group(catalog, "outer", inner.group_id, ben.user_id)
        assert outer.kinds == {inner.group_id: MemberKind.GROUP, ben.user_id: MemberKind.USER}
        i, o = f"group:acme/scim-{inner.group_id}", f"group:acme/scim-{outer.group_id}"
        assert managed(catalog) == {("user:acme/ann", i), (i, o), ("user:acme/ben", o)}
        assert [g.group_id for g in catalog.get_user("acme", ann.user_id).groups] == [
            inner.group_id
        ]
        filled(catalog, outer, ann.user_id)
        assert managed(catalog) == {("user:acme/ann", i), ("user:acme/ann", o)}
        catalog.delete_group(catalog.get_group("acme", inner.group_id), "idp")
        assert managed(catalog) == {("user:acme/ann", o)}
        assert BY_HAND in catalog.policy("acme").memberships

    def test_only_the_active_with_a_principal_are_in_the_policy(self, catalog):
        ann = person(catalog, "ann", external_id=None)
        inside = group(catalog, "g", ann.user_id)
        assert managed(catalog) == set()
        expected = {("user:acme/ann", inside.principal)}
        changed(catalog, ann, external_id="ann")
        assert managed(catalog) == expected
        ann = catalog.get_user("acme", ann.user_id)
        for active in (False, True, None, True):
            changed(catalog, ann, active=active)
            assert managed(catalog) == (expected if active else set())
            assert catalog.get_group("acme", inside.group_id).kinds == {
                ann.user_id: MemberKind.USER
            }
        catalog.delete_user(catalog.get_user("acme", ann.user_id), "idp")
        assert managed(catalog) == set()
        assert catalog.get_group("acme", inside.group_id).kinds == {}
        person(catalog, "ann")
        assert managed(catalog) == set()

    def test_every_revocation_moves_the_epoch(self, catalog):
        ann = person(catalog, "ann")
        inside = group(catalog, "g", ann.user_id)
        acts = (
            lambda: changed(catalog, ann, active=False),
            lambda: changed(catalog, ann, active=True),
            lambda: filled(catalog, inside),
            lambda: filled(catalog, inside, ann.user_id),
            lambda: catalog.delete_group(catalog.get_group("acme", inside.group_id), "idp"),
            lambda: catalog.delete_user(catalog.get_user("acme", ann.user_id), "idp"),
        )
        for act in acts:
            before, elsewhere = catalog.epoch("acme"), catalog.epoch("globex")
            act()
            assert catalog.epoch("acme") > before
            assert catalog.epoch("globex") == elsewhere

    def test_a_refused_change_leaves_everything(self, catalog):
        ann = person(catalog, "ann")
        inner = group(catalog, "inner", ann.user_id)
        outer = group(catalog, "outer", inner.group_id)
        foreign = person(catalog, "ann", tenant="globex")
        before = (managed(catalog), catalog.epoch("acme"))
        for bad in (
            outer.group_id,
            inner.group_id,
            foreign.user_id,
            "nobody",
            "group:acme/staff",
            "",
            "\ud800",
            "a\x00b",
        ):
            with pytest.raises(InvalidRequestError):
                filled(catalog, inner, ann.user_id, bad, display_name="half")
            with pytest.raises(InvalidRequestError):
                group(catalog, "half", "nobody", ann.user_id)
        catalog.delete_user(foreign, "idp")
        assert (managed(catalog), catalog.epoch("acme")) == before
        assert catalog.get_group("acme", inner.group_id) == inner
        assert catalog.list_groups("acme", [], offset=0, limit=10)[0] == 2

    def test_nesting_ends_where_the_policy_s_does_counting_what_was_written_by_hand(self, catalog):
        chain = [group(catalog, "0")]
        for depth in range(1, 9):
            chain.append(group(catalog, str(depth), chain[-1].group_id))
        step = Membership(chain[-1].principal, "group:acme/staff")
        catalog.change_policy("acme", add_memberships=[step], author="steward")  # nine
        before = managed(catalog)
        with pytest.raises(InvalidRequestError) as caught:
            filled(catalog, chain[0], group(catalog, "below").group_id)
        assert caught.value.code == "policy.invalid"
        assert managed(catalog) == before
        back = Membership("group:acme/staff", "group:acme/top")
        with pytest.raises(InvalidRequestError):
            catalog.change_policy("acme", add_memberships=[back], author="steward")

    def test_many_members(self, catalog):
        people = [person(catalog, f"p{i}").user_id for i in range(620)]
        inside = group(catalog, "many", *people)
        assert len(managed(catalog)) == 620
        inside = filled(catalog, inside, *people[600:])
        assert len(managed(catalog)) == 20
        assert set(inside.kinds) == set(people[600:])

    def test_policy_writes_keep_what_is_the_directory_s(self, catalog):
        ann = person(catalog, "ann")
        inside = group(catalog, "g", ann.user_id)
        mine = managed(catalog)
        stale = [
            Membership("user:acme/mallory", inside.principal),
            Membership("user:acme/mallory", "group:acme/scim-deleted-long-ago"),
        ]
        catalog.replace_policy("acme", ROWS, [BY_HAND, *stale], "steward")
        assert managed(catalog) == mine
        catalog.change_policy("acme", add_memberships=stale, author="steward")
        catalog.change_policy(
            "acme",
            remove_memberships=[Membership("user:acme/ann", inside.principal)],
            author="steward",
        )
        assert managed(catalog) == mine
        up = Membership(inside.principal, "compartment:acme/case")
        catalog.change_policy("acme", add_memberships=[up], author="steward")
        assert managed(catalog) == mine | {(up.member, up.group)}
        loop = [BY_HAND, Membership(inside.principal, "group:acme/a")]
        catalog.replace_policy("acme", ROWS, loop, "steward")
        assert managed(catalog) == mine | {(inside.principal, "group:acme/a")}


class TestLists:
    def test_conditions(self, catalog):
        ann = person(catalog, "Ann.Smith", display_name="100% Ann_S")
        ben = person(catalog, "ben.smith", active=False)
        foreign = person(catalog, "Ann.Smith", tenant="globex")

        def found(*conditions):
            return ids(catalog.list_users("acme", conditions, offset=0, limit=10))

        def name(operator, value, attribute="userName"):
            return Condition(attribute, operator, value)

        eq, sw, co = Operator.EQUALS, Operator.STARTS_WITH, Operator.CONTAINS
        a, b = ann.user_id, ben.user_id
        assert found() == {a, b}
        assert found(name(eq, "ANN.smith")) == {a}
        assert found(name(sw, "BEN")) == {b}
        assert found(name(co, ".smi")) == {a, b}
        assert found(name(co, "%")) == found(name(co, "_")) == set()
        assert found(name(co, "% ann_", "displayName")) == {a}
        assert found(name(eq, True, "active")) == {a}
        assert found(name(eq, False, "active"), name(sw, "b")) == {b}
        assert found(name(eq, False, "active"), name(sw, "a")) == set()
        assert found(name(eq, a, "id")) == {a}
        assert found(name(eq, foreign.user_id, "id")) == set()
        assert found(name(eq, "ben.smith", "externalId")) == {b}
        assert found(name(eq, "BEN.smith", "externalId")) == set()
        for odd in ("\x00", "\ud800", "' or 1=1 --"):
            for attribute in ("id", "externalId", "userName"):
                assert found(name(eq, odd, attribute)) == set()

    def test_groups_by_member(self, catalog):
        ann = person(catalog, "ann")
        first, second = group(catalog, "First", ann.user_id), group(catalog, "second")

        def found(attribute, operator, value):
            terms = [Condition(attribute, operator, value)]
            return ids(catalog.list_groups("acme", terms, offset=0, limit=10))

        assert found("members", Operator.EQUALS, ann.user_id) == {first.group_id}
        assert found("members", Operator.EQUALS, "nobody") == set()
        assert found("displayName", Operator.STARTS_WITH, "f") == {first.group_id}
        assert found("displayName", Operator.EQUALS, "SECOND") == {second.group_id}
        assert found("id", Operator.EQUALS, second.group_id) == {second.group_id}
        assert found("externalId", Operator.EQUALS, "x") == set()

    def test_pages_cover_everything_once(self, catalog):
        people = {person(catalog, f"p{i}").user_id for i in range(7)}
        seen = []
        for offset in range(0, 9, 3):
            total, page = catalog.list_users("acme", [], offset=offset, limit=3)
            assert total == 7
            seen += [each.user_id for each in page]
        assert len(seen) == 7
        assert set(seen) == people
        assert catalog.list_users("acme", [], offset=0, limit=0) == (7, [])


class TestTenants:
    def test_another_tenant_s_ids_are_absent(self, catalog):
        user = person(catalog, "ann", tenant="globex")
        inside = group(catalog, "g", user.user_id, tenant="globex")
        for act in (
            lambda: catalog.get_user("acme", user.user_id),
            lambda: catalog.get_group("acme", inside.group_id),
            lambda: catalog.replace_user(
                dataclasses.replace(user, tenant="acme"), user.profile, "idp"
            ),
            lambda: catalog.delete_user(dataclasses.replace(user, tenant="acme"), "idp"),
            lambda: catalog.delete_group(dataclasses.replace(inside, tenant="acme"), "idp"),
        ):
            with pytest.raises(NotFoundError):
                act()
        assert managed(catalog, "globex") == {("user:globex/ann", inside.principal)}
