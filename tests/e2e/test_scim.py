"""Provisioning over SCIM and what it does to access: attacks and revocations first, then the protocol."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.access import Application
from ragward.domain.corpus import SourceDocument
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.installation import Policy, add_tenant
from tests import company
from tests.conftest import PROVE
from tests.e2e.scim import ENTERPRISE, GROUP, SEARCH, USER, group, patch, provisioner, user

OFF = patch(("replace", "active", False))
ON = patch(("replace", "active", True))


class Provider:
    """An identity provider of one tenant."""

    def __init__(self, served, tenant="acme", **given):
        headers = provisioner(served.ragward, tenant, **given)
        self.http = httpx.Client(base_url=f"{served.url}/scim/v2", headers=headers, timeout=20)

    def made(self, path, body):
        response = self.http.post(path, json=body)
        assert response.status_code == 201, response.text
        return response.json()

    def user(self, name, /, **given):
        return self.made("/Users", user(name, **given))["id"]

    def group(self, name, /, *members, **given):
        return self.made("/Groups", group(name, *members, **given))["id"]

    def patch(self, path, *operations):
        response = self.http.patch(path, json=patch(*operations))
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="module")
def idp(served):
    made = Provider(served)
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def other(served):
    """Another tenant's."""
    rows = [PolicyRow("group:globex/x", "corpus:retrieve", "globex/*", "PUBLIC", "*", "allow")]
    policy = Policy(rows=tuple(rows), memberships=())
    add_tenant(served.ragward, tenant="globex", administrator="user:globex/root", policy=policy)
    made = Provider(served, "globex")
    yield made
    made.http.close()


@pytest.fixture
def documents(served):
    """A function that files a document only members of a group may read; returns its id."""

    def filed(group_id, source):
        who = f"group:acme/scim-{group_id}"
        row = PolicyRow(who, "corpus:retrieve", "acme/eng", "PUBLIC..CONFIDENTIAL", "*", "allow")
        served.ragward.catalog.change_policy("acme", add_rows=[row], author="test")
        label = AccessLabel(
            tenant="acme",
            corpus="eng",
            classification=Classification.CONFIDENTIAL,
            granted=frozenset({who}),
        )
        text = f"The {source} telescope is aligned on Mondays.".encode()
        document = SourceDocument(
            source=source, filename="a.txt", data=text, label=label, attributes={}
        )
        return served.ragward.ingestion.ingest(company.subject("steward"), document).document_id

    return filed


def asked(served, name, *, agent=None, through=None):
    """The answer of a question as that person."""
    headers = {"Authorization": f"Bearer {served.token(name, agent=agent)}"}
    if through:
        headers = {
            "Authorization": f"Bearer {through}",
            "X-Ragward-User-Authorization": f"Bearer {served.through_portal(name)}",
        }
    body = {"query": "telescope aligned", "limit": 50}
    return httpx.post(f"{served.url}/v1/retrieve", json=body, headers=headers, timeout=20)


def seen(served, name, **given):
    """The ids of the documents in an answer."""
    response = asked(served, name, **given)
    assert response.status_code == 200, response.text
    return {passage["document_id"] for passage in response.json()["passages"]}


def refused(response, status, scim_type=None):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/scim+json"
    body = response.json()
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert body["status"] == str(status)
    assert body.get("scimType") == scim_type, body
    return body


def memberships(served, tenant="acme"):
    return set(served.ragward.catalog.policy(tenant).memberships)


# Revocation. --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["patch", "put", "delete", "entra"])
def test_a_deactivated_person_is_refused_on_the_next_request_however_warm_the_caches(
    served, idp, documents, how
):
    name = f"off-{how}"
    who = idp.user(f"{name}@example.com", externalId=name)
    document = documents(idp.group(f"group of {name}", who), f"{name}.txt")
    for _ in range(3):
        assert document in seen(served, name)
    if how == "delete":
        assert idp.http.delete(f"/Users/{who}").status_code == 204
    elif how == "put":
        body = user(f"{name}@example.com", externalId=name, active=False)
        assert idp.http.put(f"/Users/{who}", json=body).status_code == 200
    else:
        value = ("Replace", "active", "False") if how == "entra" else ("replace", "active", False)
        idp.patch(f"/Users/{who}", value)
    for response in (
        asked(served, name),
        asked(served, name, agent="bot"),
        asked(served, name, through=served.key),
    ):
        assert response.status_code == 401
        assert response.json()["code"] == "auth.subject_disabled"
    assert not [m for m in memberships(served) if m.member == f"user:acme/{name}"]


def test_a_deactivated_person_is_refused_also_where_the_policy_names_them(served, idp):
    """ann's memberships were written by hand: SCIM does not touch them, and yet she is out."""
    before = memberships(served)
    assert asked(served, "ann").json()["passages"] is not None
    who = idp.user("ann", externalId="ann")
    assert asked(served, "ann").status_code == 200
    idp.http.patch(f"/Users/{who}", json=OFF)
    assert asked(served, "ann").json()["code"] == "auth.subject_disabled"
    assert memberships(served) == before
    idp.http.patch(f"/Users/{who}", json=ON)
    assert asked(served, "ann").status_code == 200
    idp.http.delete(f"/Users/{who}")
    assert asked(served, "ann").status_code == 401
    idp.user(
        "ann", externalId="ann"
    )  # again in the directory: the hand-written rows are the policy's
    assert asked(served, "ann").status_code == 200


def test_an_account_without_active_is_not_active(served, idp):
    who = idp.user("unset", externalId="unset")
    assert asked(served, "unset").status_code == 200
    body = idp.patch(f"/Users/{who}", ("remove", "active", None))
    assert "active" not in body
    assert asked(served, "unset").status_code == 401


def test_replacing_without_active_lets_nobody_back_in(served, idp):
    who = idp.user("put-back", externalId="put-back", active=False)
    response = idp.http.put(f"/Users/{who}", json=user("put-back"))
    assert response.json()["active"] is False
    assert response.json()["externalId"] == "put-back"
    assert asked(served, "put-back").status_code == 401


def test_reactivating_restores_what_the_directory_still_lists(served, idp, documents):
    who = idp.user("back", externalId="back")
    kept, left = idp.group("kept", who), idp.group("left", who)
    in_kept, in_left = documents(kept, "kept.txt"), documents(left, "left.txt")
    assert {in_kept, in_left} <= seen(served, "back")
    idp.http.patch(f"/Users/{who}", json=OFF)
    idp.patch(f"/Groups/{left}", ("remove", f'members[value eq "{who}"]', None))
    idp.http.patch(f"/Users/{who}", json=ON)
    assert in_kept in seen(served, "back")
    assert in_left not in seen(served, "back")


@pytest.mark.parametrize("how", ["filter", "value", "put", "delete"])
def test_who_is_removed_from_a_group_loses_the_document_in_the_next_answer(
    served, idp, documents, how
):
    name = f"member-{how}"
    who = idp.user(name, externalId=name)
    inside = idp.group(f"g-{how}", who)
    document = documents(inside, f"{name}.txt")
    assert document in seen(served, name)
    match how:
        case "filter":
            idp.patch(f"/Groups/{inside}", ("remove", f'members[value eq "{who}"]', None))
        case "value":
            idp.patch(f"/Groups/{inside}", ("Remove", "members", [{"value": who}]))
        case "put":
            assert idp.http.put(f"/Groups/{inside}", json=group("g")).status_code == 200
        case "delete":
            assert idp.http.delete(f"/Groups/{inside}").status_code == 204
    assert document not in seen(served, name)


def test_a_nested_group_s_member_loses_the_document_with_the_nesting(served, idp, documents):
    who = idp.user("nested", externalId="nested")
    inner = idp.group("inner", who)
    outer = idp.group("outer", inner)
    document = documents(outer, "outer.txt")
    assert document in seen(served, "nested")
    idp.http.delete(f"/Groups/{inner}")
    assert document not in seen(served, "nested")


def test_an_old_policy_brought_in_again_gives_back_nothing_the_directory_took(
    served, idp, documents
):
    who = idp.user("stale", externalId="stale")
    inside, gone = idp.group("stale group", who), idp.group("gone group", who)
    document = documents(inside, "stale.txt")
    old = served.ragward.catalog.policy("acme")
    assert document in seen(served, "stale")
    idp.patch(f"/Groups/{inside}", ("remove", "members", None))
    idp.http.delete(f"/Groups/{gone}")
    served.ragward.catalog.replace_policy("acme", old.rows, old.memberships, "test")
    assert document not in seen(served, "stale")
    assert not [m for m in memberships(served) if "stale" in m.member or gone in m.group]
    by_hand = Membership("user:acme/stale", f"group:acme/scim-{inside}")
    served.ragward.catalog.change_policy("acme", add_memberships=[by_hand], author="test")
    assert by_hand not in memberships(served)
    # and a policy file that knows nothing of the directory takes nothing away
    idp.patch(f"/Groups/{inside}", ("add", "members", [{"value": who}]))
    others = [m for m in old.memberships if "scim-" not in m.group]
    served.ragward.catalog.replace_policy("acme", old.rows, others, "test")
    assert document in seen(served, "stale")


# Identity. ----------------------------------------------------------------------------------------------------------


def test_renaming_changes_no_access(served, idp, documents):
    who = idp.user("before-name", externalId="renamed", displayName="Before")
    inside = idp.group("before group", who)
    document = documents(inside, "renamed.txt")
    idp.user("vip-name", externalId="vip")
    assert document in seen(served, "renamed")
    before = memberships(served)
    idp.patch(f"/Users/{who}", ("replace", "userName", "after-name"))
    idp.patch(f"/Users/{who}", ("replace", None, {"displayName": "vip"}))
    idp.patch(f"/Groups/{inside}", ("replace", "displayName", "hr"))
    assert memberships(served) == before
    assert document in seen(served, "renamed")
    # whoever gets the name that became free gets nothing with it
    late = idp.user("before-name", externalId="late")
    heir = idp.group("before group", late)
    assert document not in seen(served, "late")
    assert heir != inside


def test_a_group_cannot_be_made_into_one_of_the_policy(served, idp):
    """Neither name nor external id reaches `group:acme/hr`, a compartment or a role."""
    who = idp.user("climber", externalId="climber")
    for name in ("hr", "group:acme/hr", "compartment:acme/case", "role:acme/administrator"):
        idp.group(name, who, externalId=name)
    theirs = {m.group for m in memberships(served) if m.member == "user:acme/climber"}
    assert len(theirs) == 4
    assert all(each.startswith("group:acme/scim-") for each in theirs)
    for member in ("group:acme/hr", "hr", "compartment:acme/case", "user:acme/ann", "ann"):
        response = idp.http.post("/Groups", json=group("x", member))
        refused(response, 400, "invalidValue")


def test_an_external_id_is_given_once_and_stays(served, idp):
    who = idp.user("fixed")
    inside = idp.group("fixed group", who)
    assert not [m for m in memberships(served) if m.group.endswith(inside)]
    idp.patch(f"/Users/{who}", ("add", "externalId", "fixed"))
    assert Membership("user:acme/fixed", f"group:acme/scim-{inside}") in memberships(served)
    for operations in (
        [("replace", "externalId", "root")],
        [("add", None, {"externalId": "root"})],
        [("remove", "externalId", None)],
        [("remove", "externalId", None), ("add", "externalId", "root")],
    ):
        response = idp.http.patch(f"/Users/{who}", json=patch(*operations))
        refused(response, 400, "mutability")
    put = idp.http.put(f"/Users/{who}", json=user("fixed", externalId="root"))
    refused(put, 400, "mutability")
    assert idp.http.get(f"/Users/{who}").json()["externalId"] == "fixed"
    taken = idp.http.post("/Users", json=user("another", externalId="fixed"))
    refused(taken, 409, "uniqueness")
    same = idp.http.post("/Users", json=user("FIXED"))
    refused(same, 409, "uniqueness")


@pytest.mark.parametrize(
    "external_id",
    [
        "a/b",
        "a b",
        "a,b",
        'a"b',
        "\u212bngstrom",
        "\uff41nn",
        "a\u200bb",
        "a\nb",
        "a\x00b",
        "\ud800",
        "x" * 201,
        "",
        "../root",
        "a\\b",
    ],
)
def test_an_external_id_that_is_no_principal_is_refused(idp, external_id):
    body = json.dumps(user("odd", externalId=external_id))
    response = idp.http.post("/Users", content=body.encode())
    refused(response, 400, "invalidValue")


def test_a_deleted_person_created_again_has_no_earlier_memberships(served, idp, documents):
    first = idp.user("phoenix", externalId="phoenix")
    inside = idp.group("ashes", first)
    document = documents(inside, "ashes.txt")
    assert document in seen(served, "phoenix")
    idp.http.delete(f"/Users/{first}")
    assert asked(served, "phoenix").status_code == 401
    second = idp.user("phoenix", externalId="phoenix")
    assert second != first
    assert seen(served, "phoenix") & {document} == set()
    assert "members" not in idp.http.get(f"/Groups/{inside}").json()
    refused(idp.http.get(f"/Users/{first}"), 404)


def test_two_tenants_with_the_same_names_do_not_see_each_other(served, idp, other):
    mine = idp.user("twin", externalId="twin")
    mine_group = idp.group("twins", mine)
    theirs = other.user("twin", externalId="twin")
    their_group = other.group("twins", theirs)
    for way in (f"/Users/{theirs}", f"/Groups/{their_group}"):
        refused(idp.http.get(way), 404)
        refused(idp.http.delete(way), 404)
        refused(
            idp.http.patch(way, json=OFF if "Users" in way else patch(("remove", "members", None))),
            404,
        )
    refused(idp.http.put(f"/Users/{theirs}", json=user("twin")), 404)
    refused(idp.http.put(f"/Groups/{their_group}", json=group("twins")), 404)
    refused(idp.http.post("/Groups", json=group("across", theirs)), 400, "invalidValue")
    add = patch(("add", "members", [{"value": their_group}]))
    refused(idp.http.patch(f"/Groups/{mine_group}", json=add), 400, "invalidValue")
    for filter_ in (f'id eq "{theirs}"', 'userName eq "twin"', 'externalId eq "twin"'):
        found = idp.http.get("/Users", params={"filter": filter_}).json()["Resources"]
        assert theirs not in [each["id"] for each in found]
    found = idp.http.get("/Groups", params={"filter": f'members eq "{theirs}"'}).json()
    assert found["totalResults"] == 0
    other.http.patch(f"/Users/{theirs}", json=OFF)
    assert served.ragward.catalog.is_disabled("globex", "user:globex/twin")
    assert not served.ragward.catalog.is_disabled("acme", "user:acme/twin")
    assert not served.ragward.catalog.is_disabled("acme", "user:globex/twin")
    assert asked(served, "twin").status_code == 200


# Who may provision. -------------------------------------------------------------------------------------------------


def test_only_who_holds_the_rows_may_provision_and_refusals_are_recorded(served, idp):
    def client(headers):
        return httpx.Client(base_url=f"{served.url}/scim/v2", headers=headers, timeout=20)

    with client({}) as nobody, client(served.headers("ann")) as person:
        refused(nobody.get("/Users"), 401)
        assert nobody.get("/Users").headers["www-authenticate"].startswith("Bearer")
        refused(person.get("/Users"), 403)
        refused(person.post("/Users", json=user("x")), 403)
    with client({"Authorization": f"Bearer {served.key}"}) as portal:
        refused(portal.get("/Users"), 403)
        refused(portal.get("/Users/nothing"), 403)  # before it is looked up
    last = [json.loads(entry.data) for entry in served.ragward.audit.entries(limit=100_000)][-1]
    assert last["type"] == "request.refused"
    assert last["actor"]["principal"] == "app:acme/portal"
    assert last["details"] == {"action": "directory:read", "code": "access.denied"}


def test_reading_is_not_writing(served, other):
    reader = Provider(served, "globex", actions=("directory:read",))
    rows = [
        PolicyRow("app:globex/idp", "directory:write", "globex/*", "PUBLIC", "*", effect)
        for effect in ("allow", "deny")
    ]
    served.ragward.catalog.change_policy("globex", remove_rows=rows[:1], author="test")
    try:
        assert reader.http.get("/Users").status_code == 200
        refused(reader.http.post("/Users", json=user("x")), 403)
        # a denial wins over a permission
        served.ragward.catalog.change_policy("globex", add_rows=rows, author="test")
        refused(reader.http.post("/Users", json=user("x")), 403)
    finally:
        served.ragward.catalog.change_policy(
            "globex", add_rows=rows[:1], remove_rows=rows[1:], author="test"
        )
        reader.http.close()
    assert other.http.get("/Users").status_code == 200


def test_a_provisioning_application_still_reads_public_content_only(served, idp):
    """Not even with rows that would let it read everything, and a ceiling that would let everything pass."""
    wide = Application(
        principal="app:acme/wide",
        tenant="acme",
        client_id="wide",
        corpora=frozenset({"*"}),
        ceiling=Classification.RESTRICTED,
    )
    key = company.register(served.ragward, wide)
    rows = [
        PolicyRow("app:acme/wide", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
        for action in ("directory:write", "directory:read", "corpus:retrieve", "policy:read")
    ]
    everybody = Membership("app:acme/wide", "group:acme/staff")
    served.ragward.catalog.change_policy(
        "acme", add_rows=rows, add_memberships=[everybody], author="test"
    )
    headers = {"Authorization": f"Bearer {key}"}
    made = httpx.post(f"{served.url}/scim/v2/Users", json=user("by-wide"), headers=headers)
    assert made.status_code == 201
    body = {"query": "salary contract budget", "limit": 50, "max_passages_per_document": 50}
    answer = httpx.post(f"{served.url}/v1/retrieve", json=body, headers=headers).json()
    assert {p["classification"] for p in answer["passages"]} == {"PUBLIC"}
    policy = httpx.get(f"{served.url}/v1/policy", headers=headers)
    assert policy.status_code == 403  # acts on the tenant stay out of an application's reach
    served.ragward.catalog.change_policy(
        "acme", remove_rows=rows, remove_memberships=[everybody], author="test"
    )


def test_acts_are_recorded_before_they_take_effect_and_without_names(served, idp):
    start = len(served.ragward.audit.entries(limit=100_000))
    who = idp.user("secret-name@example.com", externalId="logged", displayName="Secret Name")
    inside = idp.group("Secret Project", who)
    idp.http.patch(f"/Users/{who}", json=OFF)
    idp.http.patch(f"/Users/{who}", json=ON)
    idp.patch(f"/Users/{who}", ("replace", "displayName", "Secret Name Two"))
    idp.patch(f"/Groups/{inside}", ("remove", "members", None))
    idp.http.delete(f"/Groups/{inside}")
    idp.http.delete(f"/Users/{who}")
    entries = served.ragward.audit.entries(start=start, limit=1000)
    assert [json.loads(entry.data)["type"] for entry in entries] == [
        "directory.user_created",
        "directory.group_created",
        "directory.user_disabled",
        "directory.user_enabled",
        "directory.user_changed",
        "directory.group_changed",
        "directory.group_deleted",
        "directory.user_deleted",
    ]
    assert not [entry for entry in entries if b"ecret" in entry.data]
    assert json.loads(entries[1].data)["details"]["added"] == [who]


# Groups. ------------------------------------------------------------------------------------------------------------


def test_cycles_and_deep_nestings_are_refused_and_nothing_is_half_done(served, idp):
    chain = [idp.group("depth 0")]
    for depth in range(1, 10):
        chain.append(idp.group(f"depth {depth}", chain[-1]))
    before = memberships(served)
    too_deep = idp.http.post("/Groups", json=group("depth 10", chain[-1]))
    refused(too_deep, 400, "invalidValue")
    first, last = chain[0], chain[-1]
    add = [("replace", "displayName", "half done"), ("add", "members", [{"value": last}])]
    refused(idp.http.patch(f"/Groups/{first}", json=patch(*add)), 400, "invalidValue")
    refused(idp.http.put(f"/Groups/{first}", json=group("half done", last)), 400, "invalidValue")
    own = patch(("add", "members", [{"value": first}]))
    refused(idp.http.patch(f"/Groups/{first}", json=own), 400, "invalidValue")
    assert memberships(served) == before
    found = idp.http.get(f"/Groups/{first}").json()
    assert found["displayName"] == "depth 0"
    assert "members" not in found
    names = idp.http.get("/Groups", params={"filter": 'displayName sw "depth 1"'}).json()
    assert [each["displayName"] for each in names["Resources"]] == ["depth 1"]
    for each in reversed(chain):
        assert idp.http.delete(f"/Groups/{each}").status_code == 204


def test_members_added_at_the_same_time_are_all_in(served, idp):
    people = [idp.user(f"crowd-{i}", externalId=f"crowd-{i}") for i in range(12)]
    inside = idp.group("crowd")
    outcomes = []

    def join(part):
        with httpx.Client(base_url=idp.http.base_url, headers=idp.http.headers, timeout=20) as http:
            for who in part:
                body = patch(("add", "members", [{"value": who}]))
                status = 412
                while status == 412:  # it was overtaken too often
                    status = http.patch(f"/Groups/{inside}", json=body).status_code
                outcomes.append(status)

    threads = [threading.Thread(target=join, args=(people[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [200] * 12
    assert {m["value"] for m in idp.http.get(f"/Groups/{inside}").json()["members"]} == set(people)
    joined = {m.member for m in memberships(served) if m.group.endswith(inside)}
    assert joined == {f"user:acme/crowd-{i}" for i in range(12)}


# The protocol. ------------------------------------------------------------------------------------------------------


def test_versions_guard_against_lost_changes(idp):
    made = idp.http.post("/Users", json=user("tagged"))
    tag, way = made.headers["etag"], made.headers["location"].partition("/scim/v2")[2]
    assert tag == made.json()["meta"]["version"] == 'W/"1"'
    assert made.json()["meta"]["location"] == made.headers["location"]
    changed = idp.http.patch(way, json=OFF, headers={"If-Match": tag})
    assert changed.headers["etag"] == 'W/"2"'
    for stale in (tag, '"1"', 'W/"1", W/"7"', "nonsense", "", '"*"', 'W/"' + "9" * 40 + '"'):
        headers = {"If-Match": stale}
        refused(idp.http.patch(way, json=ON, headers=headers), 412)
        refused(idp.http.put(way, json=user("tagged"), headers=headers), 412)
        refused(idp.http.delete(way, headers=headers), 412)
    assert idp.http.get(way).json()["active"] is False
    same = idp.http.patch(way, json=OFF, headers={"If-Match": "*"})
    assert same.headers["etag"] == 'W/"2"'  # nothing changed
    assert idp.http.delete(way, headers={"If-Match": 'W/"1", W/"2"'}).status_code == 204


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ('userName eq "find-ONE"', {"one"}),
        ('userName sw "FIND-"', {"one", "two", "three"}),
        ('userName co "ind-t"', {"two", "three"}),
        ('userName sw "find-%"', set()),
        ('userName co "_nd-"', set()),
        ('userName sw "find-" and active eq true', {"one", "three"}),
        ('userName sw "find-" and active eq false', {"two"}),
        ('externalId eq "find-one"', {"one"}),
        ('externalId eq "FIND-ONE"', set()),
        ('urn:ietf:params:scim:schemas:core:2.0:User:userName eq "find-one"', {"one"}),
        ('displayName eq "straße" and userName sw "find"', {"three"}),
        ('displayName eq "STRASSE" and userName sw "find"', {"three"}),
        ('id eq "nothing"', set()),
        ('userName eq "x\' or 1=1 --"', set()),
        ('userName eq "\\u0000"', set()),
    ],
)
def test_filters_find_what_they_say(idp, filter_, expected):
    people = {
        "one": user("find-one", externalId="find-one"),
        "two": user("find-two", active=False),
        "three": user("find-three", displayName="Straße"),
    }
    for body in people.values():
        assert idp.http.post("/Users", json=body).status_code in (201, 409)
    response = idp.http.get("/Users", params={"filter": filter_})
    assert response.status_code == 200, response.text
    body = response.json()
    found = {each["userName"].removeprefix("find-") for each in body["Resources"]}
    assert found == expected
    assert body["totalResults"] == len(expected)


@pytest.mark.parametrize(
    "filter_",
    [
        "userName",
        "userName eq",
        'userName xx "a"',
        'userName eq "a" or userName eq "b"',
        'not (userName eq "a")',
        "userName pr",
        'userName ne "a"',
        'emails.value eq "a"',
        'password eq "a"',
        'active sw "t"',
        "active eq 1",
        "userName eq null",
        "userName eq 5",
        'externalId co "a"',
        'id sw "a"',
        'groups.value eq "a"',
        'meta.created gt "2020-01-01T00:00:00Z"',
        "not (" * 500 + 'userName eq "a"' + ")" * 500,
        'userName eq "a" and ' * 30 + 'userName eq "a"',
        "'; drop table directory_users; --",
        "\x00",
    ],
)
def test_filters_that_are_not_supported_are_refused(idp, filter_):
    response = idp.http.get("/Users", params={"filter": filter_})
    body = refused(response, 400, response.json().get("scimType"))
    assert body["scimType"] in ("invalidFilter", "tooMany", "invalidValue"), body


def test_lists_are_paged(idp):
    names = sorted(f"page-{i}" for i in range(7))
    for name in names:
        idp.user(name)
    found, start = [], 1
    while start <= 7:
        query = {"filter": 'userName sw "page-"', "startIndex": start, "count": 3}
        page = idp.http.get("/Users", params=query).json()
        assert page["totalResults"] == 7
        assert page["startIndex"] == start
        assert page["itemsPerPage"] == len(page["Resources"])
        found += [each["userName"] for each in page["Resources"]]
        start += page["itemsPerPage"]
    assert sorted(found) == names
    for count, start, expected in (
        (0, 1, 0),
        (-1, 1, 0),
        (3, -5, 3),
        (3, 10**18, 0),
        (10**18, 1, 7),
    ):
        query = {"filter": 'userName sw "page-"', "startIndex": start, "count": count}
        page = idp.http.get("/Users", params=query).json()
        assert len(page["Resources"]) == expected, (count, start)
        assert page["totalResults"] == 7


def test_search_is_the_list_in_a_body(idp):
    idp.user("sought", externalId="sought")
    idp.group("sought group", externalId="sought")
    body = {"schemas": [SEARCH], "filter": 'externalId eq "sought"', "attributes": ["userName"]}
    users = idp.http.post("/Users/.search", json=body).json()
    assert [sorted(each) for each in users["Resources"]] == [["id", "schemas", "userName"]]
    both = idp.http.post("/.search", json={"schemas": [SEARCH], "filter": 'externalId eq "sought"'})
    kinds = [each["meta"]["resourceType"] for each in both.json()["Resources"]]
    assert kinds == ["User", "Group"]
    second = {"schemas": [SEARCH], "filter": 'externalId eq "sought"', "startIndex": 2}
    last = idp.http.post("/.search", json=second).json()
    assert [each["meta"]["resourceType"] for each in last["Resources"]] == ["Group"]
    assert last["totalResults"] == 2
    named = {"schemas": [SEARCH], "filter": 'userName eq "sought"'}
    assert idp.http.post("/.search", json=named).json()["totalResults"] == 1
    refused(idp.http.post("/Groups/.search", json=named), 400, "invalidFilter")
    sort = idp.http.get("/Users", params={"sortBy": "userName"})
    refused(sort, 501)


def test_what_is_not_kept_is_accepted_and_dropped(idp):
    """Providers send the whole standard schema; a mistyped attribute is refused all the same."""
    body = user(
        "full",
        schemas=[USER, ENTERPRISE],
        name={"givenName": "F", "familyName": "Ull"},
        emails=[{"value": "f@intranet", "type": "work", "primary": True}],
        password="never stored",
        roles=[{"value": "administrator"}],
        **{ENTERPRISE: {"department": "x", "manager": {"value": "y"}}},
    )
    made = idp.made("/Users", body)
    assert set(made) == {"schemas", "id", "userName", "active", "meta"}
    way = f"/Users/{made['id']}"
    idp.patch(
        way,
        ("replace", 'emails[type eq "work"].value', "g@intranet"),
        ("replace", "name.givenName", "G"),
        ("add", f"{ENTERPRISE}:department", "y"),
        ("replace", None, {"active": False, "name.familyName": "U", "displayName": "Full"}),
    )
    found = idp.http.get(way).json()
    assert found["active"] is False
    assert found["displayName"] == "Full"
    for wrong in ({"actve": False}, {"urn:x:y": {"a": 1}}, {"active.x": False}):
        refused(idp.http.post("/Users", json=user("typo", **wrong)), 400, "invalidSyntax")
        refused(idp.http.patch(way, json=patch(("replace", None, wrong))), 400, "invalidPath")


HOSTILE_BODIES = [
    b"",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b'{"schemas": NaN}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"{}",
    b'{"schemas": null}',
    b'{"schemas": "x"}',
    b'{"schemas": [1]}',
    b'{"schemas": []}',
    b'{"schemas": ["urn:x"]}',
    b'{"schemas": [{"a": 1}]}',
]


@pytest.mark.parametrize("body", HOSTILE_BODIES, ids=range(len(HOSTILE_BODIES)))
@pytest.mark.parametrize("kind", ["Users", "Groups"])
def test_bodies_that_are_no_message_are_refused(idp, kind, body):
    for method, way in (("POST", ""), ("PUT", "/x"), ("PATCH", "/x")):
        response = idp.http.request(method, f"/{kind}{way}", content=body)
        refused(response, 400, response.json().get("scimType"))
        assert response.json()["scimType"] in ("invalidSyntax", "invalidValue")


@pytest.mark.parametrize(
    "changes",
    [
        {"userName": None},
        {"userName": ""},
        {"userName": " "},
        {"userName": 5},
        {"userName": ["a"]},
        {"userName": {"a": 1}},
        {"userName": "a" * 300},
        {"userName": "a\nb"},
        {"userName": "a\x00b"},
        {"userName": "\ud800"},
        {"displayName": "\ud800"},
        {"displayName": {}},
        {"active": "maybe"},
        {"active": []},
        {"active": 7},
        {"externalId": 5},
        {"externalId": ["a"]},
        {"schemas": [USER, "urn:x"]},
        {"schemas": [GROUP]},
        {"schemas": [ENTERPRISE]},
    ],
    ids=str,
)
def test_users_of_wrong_types_are_refused(idp, changes):
    body = json.dumps(user("wrong") | changes).encode()
    response = idp.http.post("/Users", content=body)
    refused(response, 400, response.json().get("scimType"))


@pytest.mark.parametrize(
    "members",
    [
        "x",
        5,
        {"value": "x"},
        ["x"],
        [None],
        [{}],
        [{"value": None}],
        [{"value": 5}],
        [{"value": ["x"]}],
        [{"value": ""}],
        [{"value": "\ud800"}],
        [{"value": "a\x00"}],
        [{"$ref": "https://elsewhere/Users/x"}],
        [{"value": str(i)} for i in range(6000)],
    ],
    ids=range(14),
)
def test_members_of_wrong_types_are_refused(idp, members):
    body = json.dumps(group("wrong", members=members)).encode()
    refused(idp.http.post("/Groups", content=body), 400, "invalidValue")


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        ({"op": "replace", "path": "nothing", "value": 1}, "invalidPath"),
        ({"op": "replace", "path": "__class__", "value": 1}, "invalidPath"),
        ({"op": "replace", "path": "model_config", "value": 1}, "invalidPath"),
        ({"op": "replace", "path": "user_name", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "", "value": 1}, None),
        ({"op": "replace", "path": "userName.x", "value": 1}, None),
        ({"op": "replace", "path": "userName[", "value": 1}, None),
        ({"op": "replace", "path": 'userName[a eq "b"]', "value": "x"}, None),
        ({"op": "replace", "path": "emails[", "value": 1}, None),
        ({"op": "replace", "path": "((((", "value": 1}, "invalidPath"),
        ({"op": "replace", "path": 5, "value": 1}, None),
        ({"op": "replace", "path": ["active"], "value": True}, None),
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "meta.version", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "replace", "path": "userName"}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": {"a": 1}}, "invalidValue"),
        ({"op": "replace", "path": "active", "value": "maybe"}, "invalidValue"),
        ({"op": "replace", "path": "schemas", "value": []}, None),
        ({"op": "move", "path": "userName", "value": "x"}, "invalidValue"),
        ({"op": None, "path": "userName", "value": "x"}, None),
        ({"path": "userName", "value": "x"}, None),
        ({"op": "replace", "value": "x"}, None),
        ({"op": "replace", "value": ["x"]}, None),
        ({"op": "replace", "value": {"__proto__": 1}}, "invalidPath"),
        ({"op": "add", "path": "urn:x:y:z", "value": 1}, "invalidPath"),
    ],
    ids=str,
)
def test_hostile_patches_are_refused_and_change_nothing(idp, operation, scim_type):
    who = idp.http.get("/Users", params={"filter": 'userName eq "patched"'}).json()["Resources"]
    who = who[0]["id"] if who else idp.user("patched", externalId="patched")
    before = idp.http.get(f"/Users/{who}").json()
    first = {"op": "replace", "path": "displayName", "value": "half done"}
    body = patch() | {"Operations": [first, operation]}
    response = idp.http.patch(f"/Users/{who}", json=body)
    refused(response, 400, scim_type or response.json().get("scimType"))
    assert idp.http.get(f"/Users/{who}").json() == before


def test_patches_are_bounded(idp):
    who = idp.user("bounded")
    many = patch(*[("replace", "displayName", str(i)) for i in range(101)])
    refused(idp.http.patch(f"/Users/{who}", json=many), 413)
    refused(idp.http.patch(f"/Users/{who}", json=patch()), 400, "invalidValue")


@pytest.mark.parametrize(
    "name", ["x", "%2e%2e", "a%00b", "%ed%a0%80", "1;drop", "é", "x" * 3000, "*"]
)
def test_ids_that_are_none_are_absent(idp, name):
    for kind in ("Users", "Groups"):
        refused(idp.http.get(f"/{kind}/{name}"), 404)
        refused(idp.http.delete(f"/{kind}/{name}"), 404)


def test_paths_and_methods_that_are_none_are_scim_errors(idp):
    refused(idp.http.get("/Nothing"), 404)
    refused(idp.http.post("/Bulk", json={}), 404)
    refused(idp.http.delete("/Users"), 405)
    refused(idp.http.get("/Users", params={"startIndex": "x"}), 400, "invalidValue")
    refused(
        idp.http.get("/Users", params={"attributes": "a", "excludedAttributes": "b"}),
        400,
        "invalidValue",
    )
    refused(idp.http.get("/Users", params={"attributes": "((("}), 400, "invalidPath")
    refused(idp.http.get("/Schemas", params={"filter": 'id eq "x"'}), 403)
    refused(idp.http.get("/Schemas/urn:nothing"), 404)
    refused(idp.http.get("/ResourceTypes/Nothing"), 404)
    for host in ("evil.example/x", "a b", "<script>", "é"):
        response = idp.http.get("/ResourceTypes", headers={"Host": host.encode()})
        assert response.status_code in (200, 400)
        assert "evil.example/x/scim" not in response.text
        assert "<script>" not in response.text


def test_discovery_is_open_and_honest(served):
    with httpx.Client(base_url=f"{served.url}/scim/v2", timeout=20) as anybody:
        config = anybody.get("/ServiceProviderConfig").json()
        kinds = anybody.get("/ResourceTypes").json()
        schemas = anybody.get("/Schemas").json()["Resources"]
    supported = {
        name: part["supported"]
        for name, part in config.items()
        if isinstance(part, dict) and "supported" in part
    }
    assert supported == {
        "patch": True,
        "bulk": False,
        "filter": True,
        "changePassword": False,
        "sort": False,
        "etag": True,
    }
    assert [each["name"] for each in kinds["Resources"]] == ["User", "Group"]
    attributes = {each["id"]: {a["name"]: a for a in each["attributes"]} for each in schemas}
    assert set(attributes[USER]) == {"externalId", "userName", "displayName", "active", "groups"}
    assert attributes[USER]["externalId"]["mutability"] == "immutable"


_WORDS = st.sampled_from(
    ["active", "userName", "members", "members[value eq", '"a"]', "externalId", ".", "[", "]", "$ref",
     "schemas", "urn:ietf:params:scim:schemas:core:2.0:User:", ENTERPRISE, ":", "emails", "\x00", "'"]
)  # fmt: skip
_PATHS = st.lists(_WORDS, max_size=4).map("".join) | st.none() | st.integers()
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=6,
)
_OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "replace", "remove", "Add", "x", None])},
    optional={"path": _PATHS, "value": _JSON},
)


@settings(max_examples=600 if PROVE else 40)
@given(operations=st.lists(_OPERATIONS, max_size=3), kind=st.sampled_from(["Users", "Groups"]))
def test_no_patch_is_answered_with_a_server_error(idp, operations, kind):
    name = f"fuzzed-{time.monotonic_ns()}"
    which = idp.user(name) if kind == "Users" else idp.group(name)
    body = json.dumps(patch() | {"Operations": operations}).encode()
    response = idp.http.patch(f"/{kind}/{which}", content=body)
    assert response.status_code in (200, 400, 409), response.text
    if response.status_code != 200:
        refused(response, response.status_code, response.json().get("scimType"))


@settings(max_examples=600 if PROVE else 40)
@given(body=_JSON, kind=st.sampled_from(["Users", "Groups", ".search"]), core=st.booleans())
def test_no_body_is_answered_with_a_server_error(idp, body, kind, core):
    if core and isinstance(body, dict):
        body = {"schemas": [USER if kind == "Users" else GROUP], "userName": "x", **body}
    response = idp.http.post(f"/{kind}", content=json.dumps(body).encode())
    assert response.status_code in (200, 201, 400, 409, 501), response.text


@settings(max_examples=600 if PROVE else 40)
@given(
    st.lists(_WORDS | st.sampled_from([" eq ", " and ", " sw ", "(", ")", "true"]), max_size=7).map(
        "".join
    )
)
def test_no_filter_is_answered_with_a_server_error(idp, filter_):
    response = idp.http.get("/Users", params={"filter": filter_})
    assert response.status_code in (200, 400), response.text
