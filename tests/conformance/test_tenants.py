"""Two equal tenants, no crossing: every operation, every store, every cache, and attacks on the line between.

Beside it stands `tests/contract/test_row_level_security.py`: the same line drawn by PostgreSQL.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.adapters.limiter_memory import MemoryLimiter
from ragward.domain.access import Context, Credentials, Permit
from ragward.domain.corpus import DocumentState
from ragward.domain.directory import UserProfile
from ragward.domain.errors import (
    IntegrityError,
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    RagwardError,
)
from ragward.domain.explanation import Asked, DocumentId
from ragward.domain.jobs import JobState
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership, PolicyRow
from tests import company
from tests.conformance.twin_operations import ASKED
from tests.conformance.twins import (
    OPERATIONS,
    REASON,
    TENANTS,
    Ghost,
    alike,
    label_of,
    of_tenant,
    open_twins,
    shown,
)
from tests.conftest import PROVE
from tests.e2e import scim
from tests.e2e.authzen_world import READ, question
from tests.installation import opened

QUERY = "salary contract budget voltage"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_twins(tmp_path_factory.mktemp("twins")) as made:
        yield made


@pytest.fixture(params=TENANTS)
def half(world, request):
    return world.halves[request.param]


def crossed(half, text, sent=""):
    """What of the other tenant's stands in `text` and was not `sent` by the asker."""
    return sorted(mark for mark in half.other.marks if mark in text and mark not in sent)


def refused(response, status, code):
    assert response.status_code == status, response.text
    assert response.json()["code"] == code


def ask(half, name="ben", query=QUERY, **given):
    """The passages that somebody gets."""
    request = RetrievalRequest(query=query, limit=50, **given)
    credentials = Credentials(untrusted_authorization=half.token(name))
    return half.world.ragward.retrieve(credentials, request)


def sources(answer):
    return sorted(passage.source for passage in answer.passages)


# Every operation. -----------------------------------------------------------------------------------------------------


#: They say, or set off, what is still to be done to the keys of every tenant; what they tell and log is looked at.
OF_ALL_TENANTS = {"metrics", "readyz", "rotate_key"}


def test_every_operation_is_asked():
    assert ASKED.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("operation", ASKED)
def test_equal_tenants_get_equal_answers_and_nothing_of_each_other(world, operation):
    asked, answers = ASKED[operation], {}
    requests = {half: asked.request(half) for half in world.halves.values()}
    for half, request in requests.items():
        before = half.other.stored()
        world.lines.taken()
        world.index.forget()
        response = half.send(operation, **request)
        assert response.status_code == asked.good, response.text
        if operation in ("create_job", "retry_job"):
            half.ended(response.json()["job_id"])
        if operation == "rotate_key":
            half.rotated()
        assert crossed(half, shown(response)) == []
        taken = world.lines.taken()
        if operation in OF_ALL_TENANTS:
            taken = [line for line in taken if not line.startswith("sqlalchemy")]
        lines = "\n".join(taken)
        route = f"'route': '{OPERATIONS[operation][1]}'"
        assert route in lines.replace(":path}", "}"), "no line of ours was looked at"
        assert crossed(half, lines) == []
        assert half.other.stored() == before
        assert set().union(*world.index.asked) <= half.scopes()
        assert {*world.index.given, *world.index.scored} <= half.points()
        if response.content and "json" in response.headers["content-type"]:
            answers[half] = alike(half, [response.json(), dict(response.headers)])
        else:
            answers[half] = alike(half, response.text)
    if asked.twins:
        first, second = answers.values()
        assert first == second


@pytest.mark.parametrize("operation", [name for name in ASKED if ASKED[name].foreign])
def test_the_others_ids_are_as_good_as_none(world, half, operation):
    asked = ASKED[operation]
    told = []
    for of in (half.other, Ghost(half)):
        request = asked.request(of)
        before = half.other.stored()
        world.lines.taken()
        headers = request.get("headers", {}) | {"X-Request-ID": "same"}
        response = half.send(operation, **(request | {"headers": headers}))
        assert response.status_code == asked.foreign, response.text
        assert half.other.stored() == before
        sent = json.dumps(request)
        assert crossed(half, shown(response), sent) == []
        assert crossed(half, "\n".join(world.lines.taken()), sent) == []
        told.append((shown(response), request.get("path", {})))
    assert told[0][0] == told[1][0], "absent and another tenant's can be told apart"


def test_every_operation_that_takes_an_id_is_tried_with_the_others():
    """Numbers of versions are each tenant's own; corpora and schemas are named, not numbered."""
    named = {"corpus", "version", "urn", "name", "kind"}
    for operation, (_, path) in OPERATIONS.items():
        parameters = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert not parameters - named or ASKED[operation].foreign, operation


def test_no_half_is_empty(world):
    """What is looked for is there."""
    for half in world.halves.values():
        assert {"portal", "idp"} == half.keys.keys()
        empty = [name for name, kept in half.stored().items() if not kept]
        placed_later = {"holds", "held_documents", "agents", "task_grants"}
        # The vault's: tests/abuse/test_pseudonym_vault.py; another model's: tests/abuse/test_generations.py.
        assert set(empty) - placed_later == {"outbox", "pseudonyms", "vectors"}
        assert half.scopes()
        assert len(ask(half, "ann").passages) > 3


# What people get. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann", "ben", "cai", "dot", "steward", "root", "nobody"])
def test_people_of_equal_names_get_their_own_tenants_passages(world, name):
    answers = {}
    for half in world.halves.values():
        world.index.forget()
        answer = ask(half, name)
        assert {p.document_id for p in answer.passages} <= half.documents()
        assert crossed(half, repr(answer)) == []
        assert set().union(*world.index.asked) <= half.scopes()
        assert set(world.index.given) <= half.points()
        answers[half] = (sources(answer), answer.near_duplicates_removed, answer.query_flags)
    assert bool(answer.passages) is (name in company.PEOPLE)
    first, second = answers.values()
    assert first == second, "the other's equal texts were counted as duplicates, or shown"


def test_through_the_application_as_well(world, half):
    headers = half.headers("portal") | {
        "X-Ragward-User-Authorization": f"Bearer {half.token('ben', client_id='portal')}"
    }
    body = {"query": QUERY, "limit": 50}
    found = world.client.post("/v1/retrieve", json=body, headers=headers)
    assert found.status_code == 200
    assert {p["document_id"] for p in found.json()["passages"]} <= half.documents()
    assert crossed(half, shown(found)) == []


def test_filters_by_equal_attributes_stay_inside(world):
    wanted = {"type": "gte", "key": "number", "value": 0}
    found = {half: ask(half, "ann", filters=wanted) for half in world.halves.values()}
    for half, answer in found.items():
        assert answer.passages
        assert {p.document_id for p in answer.passages} <= half.documents()
    assert len({tuple(sources(answer)) for answer in found.values()}) == 1


def test_points_the_index_has_not_caught_up_with_stay_inside(world, half, monkeypatch):
    """What is owed to the index is scored by id: by the ids of one's own tenant only."""
    monkeypatch.setattr(type(world.ragward.index_sync), "run", lambda self: 0)
    catalog = world.ragward.catalog
    for each in world.halves.values():
        each.ingested("The voltage that the index does not know of.")
    world.index.forget()
    ask(half)
    owed = set(catalog.pending_points(half.tenant, limit=1000))
    assert owed == set(world.index.scored) != set()
    assert owed <= half.points()
    assert set().union(*world.index.asked) <= half.scopes()
    monkeypatch.undo()
    world.ragward.index_sync.run()


# Secrets and names of one tenant at the other's door. -----------------------------------------------------------------


class TestIdentity:
    def test_the_others_token_beside_ones_own_application(self, world, half):
        body = {"query": QUERY}
        for key, token in (
            (half.headers("portal"), half.other.token("ben", client_id="portal")),
            (half.other.headers("portal"), half.token("ben", client_id="portal")),
        ):
            headers = key | {"X-Ragward-User-Authorization": f"Bearer {token}"}
            refused(
                world.client.post("/v1/retrieve", json=body, headers=headers), 401, "auth.invalid"
            )

    @pytest.mark.parametrize(
        "name", ["user:{}/ben", "{}/ben", "ben/../../{}/ben", "../{}/ben", "user:{}/steward"]
    )
    def test_a_token_that_names_somebody_of_the_other(self, world, half, name):
        headers = half.headers(name.format(half.other.tenant))
        found = world.client.post("/v1/retrieve", json={"query": QUERY}, headers=headers)
        assert found.status_code == 401 or found.json()["passages"] == []
        assert world.client.get("/v1/policy", headers=headers).status_code in (401, 403)

    def test_an_agent_of_the_other(self, world, half):
        for agent in (f"agent:{half.other.tenant}/bot", f"{half.other.tenant}/bot"):
            headers = half.headers("ben", agent=agent)
            found = world.client.post("/v1/retrieve", json={"query": QUERY}, headers=headers)
            assert found.status_code == 401 or found.json()["passages"] == []

    def test_a_key_opens_its_own_tenant(self, world, half):
        made = half.send("scim_list_users", by="idp", params={"count": 1000}).json()
        ids = {each["id"] for each in made.get("Resources", [])}
        assert not ids & half.other.known.keys()

    def test_a_person_deactivated_in_one_tenant_works_in_the_other(self, world, half):
        catalog = world.ragward.catalog
        profile = UserProfile(user_name=f"eve {half.tenant}", external_id=f"eve-{half.tenant}")
        for tenant in TENANTS:
            catalog.create_user(tenant, profile, "test")
        found = catalog.list_users(half.tenant, [], offset=0, limit=1000)[1]
        [mine] = [each for each in found if each.profile.external_id == profile.external_id]
        catalog.replace_user(mine, dataclasses.replace(profile, active=False), "test")
        body = {"query": QUERY}
        for each, status in ((half, 401), (half.other, 200)):
            headers = each.headers(profile.external_id)
            found = world.client.post("/v1/retrieve", json=body, headers=headers)
            assert found.status_code == status

    def test_the_others_epoch_token_is_none(self, world, half):
        theirs = world.ragward.epoch_token(half.other.tenant)
        for token in (theirs, "x" * len(theirs)):
            body = {"query": QUERY, "min_epoch": token}
            refused(half.send("retrieve", json=body), 422, "request.invalid")
        body = {"query": QUERY, "min_epoch": world.ragward.epoch_token(half.tenant)}
        assert half.send("retrieve", json=body).status_code == 200

    def test_the_others_page_token_is_none(self, world, half):
        body = {
            "subject": {"type": "user", "id": "ben"},
            "action": {"name": READ},
            "resource": {"type": "document"},
        }
        first = half.other.send("search_resources", json=body | {"page": {"limit": 1}}).json()
        token = first["page"]["next_token"]
        assert token
        page = {"page": {"token": token}}
        assert half.other.send("search_resources", json=body | page).status_code == 200
        refused(half.send("search_resources", json=body | page), 400, "request.invalid")

    def test_the_others_page_of_documents_is_none(self, half):
        first = half.other.send("list_documents", params={"limit": 1}).json()
        page = {"limit": 1, "page_token": first["next_page_token"]}
        assert half.other.send("list_documents", params=page).status_code == 200
        refused(half.send("list_documents", params=page), 422, "request.invalid")

    def test_the_others_receipt_proves_nothing_here(self, half):
        theirs = half.other.receipt()
        assert half.other.send("verify_audit", json=theirs).json()["consistent"]
        found = half.send("verify_audit", json=theirs).json()
        assert (found["consistent"], found["complete"]) == (False, False)


class TestNamesOfTheOther:
    @pytest.mark.parametrize("field", ["granted", "denied"])
    def test_in_labels(self, half, field):
        request = ASKED["ingest_document"].request(half)
        body = request["json"] | {field: [f"group:{half.other.tenant}/staff"]}
        refused(half.send("ingest_document", json=body), 422, "label.invalid")
        request = ASKED["relabel_document"].request(half)
        body = request["json"] | {field: [f"user:{half.other.tenant}/ben"]}
        refused(
            half.send("relabel_document", path=request["path"], json=body), 422, "label.invalid"
        )

    @pytest.mark.parametrize(
        "row",
        [
            ["group:mine/staff", READ, "theirs/hr", "PUBLIC", "*", "allow"],
            ["group:mine/staff", READ, "theirs/*", "PUBLIC", "*", "allow"],
            ["user:theirs/ben", READ, "mine/hr", "PUBLIC", "*", "allow"],
            ["user:theirs/ben", READ, "theirs/hr", "PUBLIC", "*", "deny"],
            ["app:theirs/portal", "policy:*", "mine/*", "PUBLIC", "*", "allow"],
            ["group:mine/staff", READ, "*", "PUBLIC", "*", "allow"],
            ["group:mine/staff", READ, "*/hr", "PUBLIC", "*", "allow"],
        ],
    )
    def test_in_policy_rows(self, half, row):
        row = [
            part.replace("mine", half.tenant).replace("theirs", half.other.tenant) for part in row
        ]
        before = half.stored()
        change = {"add_rows": [row]}
        refused(
            half.send("change_policy", json=change | {"reason": REASON}), 422, self._code(row, half)
        )
        rows, memberships = half.rows()
        whole = {"rows": [*rows, row], "memberships": memberships}
        refused(
            half.send("replace_policy", json=whole | {"reason": REASON}), 422, self._code(row, half)
        )
        refused(half.send("try_policy", json={"change": change}), 422, self._code(row, half))
        found = half.send("check_policy", json={"rows": [row]})
        assert [f for f in found.json()["findings"] if f["severity"] == "error"], found.text
        assert {k: v for k, v in half.stored().items() if k != "log"} == {
            k: v for k, v in before.items() if k != "log"
        }

    @staticmethod
    def _code(row, half):
        return "label.invalid" if row[2].startswith("*") else "policy.invalid"

    @pytest.mark.parametrize(
        "pair",
        [
            ["user:theirs/ben", "group:mine/hr"],
            ["user:mine/ben", "group:theirs/hr"],
            ["user:theirs/ben", "group:theirs/hr"],
            ["group:theirs/hr", "group:mine/staff"],
            ["user:mine/ben", "compartment:theirs/case"],
        ],
    )
    def test_in_memberships(self, half, pair):
        pair = [
            part.replace("mine", half.tenant).replace("theirs", half.other.tenant) for part in pair
        ]
        body = {"add_memberships": [pair], "reason": REASON}
        refused(half.send("change_policy", json=body), 422, "policy.invalid")

    def test_in_restrictions(self, half):
        theirs = half.other.tenant
        body = {"kind": "suspend", "minutes": 5, "reason": REASON}
        agent = {"target": f"user:{half.tenant}/idle", "through": f"agent:{theirs}/bot"}
        for target in ({"target": f"user:{theirs}/ben"}, agent):
            refused(half.send("place_restriction", json=body | target), 422, "request.invalid")

    @pytest.mark.parametrize("operation", ["request_access", "declare_emergency"])
    def test_in_roles_for_a_time(self, half, operation):
        """The file of roles is the installation's; each role is one tenant's."""
        half.calm()
        theirs = half.other.access_body()
        refused(half.send(operation, by="ben", json=theirs), 422, "elevation.not_requestable")

    def test_in_applications(self, half):
        body = ASKED["register_application"].request(half.other)["json"]
        refused(half.send("register_application", json=body), 422, "request.invalid")

    def test_in_explanations(self, half):
        body = {"principal": f"user:{half.other.tenant}/ben", "document_id": half.document()}
        refused(half.send("explain", json=body), 404, "access.not_found")

    @pytest.mark.parametrize("name", ["{}/ben", "user:{}/ben", "../{}/ben"])
    def test_in_questions_to_the_decision_point(self, half, name):
        whole = question("user:x", READ, f"document:{half.document()}")
        whole["subject"]["id"] = name.format(half.other.tenant)
        assert half.send("evaluate_access", json=whole).json()["decision"] is False
        whole["subject"]["id"] = "ben"
        whole["resource"] = {"type": "corpus", "id": f"{half.other.tenant}/eng"}
        assert half.send("evaluate_access", json=whole).json()["decision"] is False
        whole["resource"] = {
            "type": "label",
            "id": "x",
            "properties": {
                "tenant": half.other.tenant,
                "corpus": "eng",
                "classification": "PUBLIC",
                "granted": [f"group:{half.other.tenant}/staff"],
            },
        }
        assert half.send("evaluate_access", json=whole).status_code == 400

    def test_in_a_manifest(self, world, half):
        inbox = world.ragward.settings.ingest_roots[f"{half.tenant}/inbox"]
        line = {"uri": "listed.txt", "corpus": "eng", "classification": "INTERNAL"}
        lines = [
            line | {"tenant": half.other.tenant},
            line | {"granted": [f"group:{half.other.tenant}/staff"]},
            line | {"uri": f"../{half.other.tenant}-inbox/listed.txt"},
        ]
        (inbox / "bad.jsonl").write_text("\n".join(map(json.dumps, lines)))
        made = half.send("create_job", json={"root": "inbox", "manifest": "bad.jsonl"}).json()
        half.ended(made["job_id"])
        found = half.send("get_job", path={"job_id": made["job_id"]}).json()
        codes = {error["source"]: error["code"] for error in found["errors"]}
        assert codes == {
            "line 1": "manifest.invalid",
            "line 2": "label.invalid",
            "line 3": "manifest.invalid",
        }

    def test_in_the_root_of_a_job(self, half):
        theirs = half.other.tenant
        for root, manifest in (
            (f"{theirs}/inbox", "m.jsonl"),
            (f"../{theirs}/inbox", "m.jsonl"),
            ("inbox", f"../{theirs}-inbox/m.jsonl"),
        ):
            body = {"root": root, "manifest": manifest}
            refused(half.send("create_job", json=body), 404, "access.not_found")

    def test_in_a_tool_of_assistants(self, half):
        """What is not found is the tool's error, not the protocol's."""
        told = {}
        for of in (half, half.other):
            request = ASKED["mcp"].request(of)
            result = half.send("mcp", **request).json()["result"]
            told[of] = result.get("isError", False), "voltage" in json.dumps(result)
        assert told == {half: (False, True), half.other: (True, False)}

    def test_in_a_group(self, half):
        made = half.group()
        for member in (half.other.user(), half.other.group()):
            body = scim.group("mixed", member)
            assert half.send("scim_create_group", by="idp", json=body).status_code == 400
            change = scim.patch(("add", "members", [{"value": member}]))
            response = half.send("scim_patch_group", by="idp", path={"group_id": made}, json=change)
            assert response.status_code == 400


def test_one_key_of_idempotency_begins_two_jobs(world):
    body, headers = {"root": "inbox", "manifest": "m.jsonl"}, {"Idempotency-Key": "the same"}
    made = [
        half.ended(half.send("create_job", json=body, headers=headers).json()["job_id"])
        for half in (*world.halves.values(), *world.halves.values())
    ]
    assert made[:2] == made[2:]
    assert made[0] != made[1]


def test_the_flows_check_the_tenant_themselves(half):
    """In Python, where a caller could put together what no request can say."""
    ragward, theirs = half.world.ragward, half.other
    document = theirs.document()
    label = ragward.catalog.get_document(theirs.tenant, document).label
    steward = half.subject()
    asked = Asked(principal=f"user:{half.tenant}/ben")
    stewardship, relabelling = ragward.stewardship, ragward.relabelling
    policy = ragward.policy_administration
    calls = [
        lambda: stewardship.document(steward, document),
        lambda: stewardship.delete(steward, document),
        lambda: relabelling.release(steward, document, REASON),
        lambda: relabelling.relabel(steward, document, label, REASON),
        lambda: ragward.explainer.document(steward, asked, DocumentId(document)),
        lambda: ragward.explainer.readers(steward, DocumentId(document)),
        lambda: ragward.explainer.access(steward, f"user:{theirs.tenant}/ben"),
        lambda: ragward.auditing.entry(steward, theirs.event()),
        lambda: ragward.auditing.proof(steward, theirs.event()),
        lambda: policy.proposal(steward, theirs.proposal()),
        lambda: policy.approve(half.subject("second"), theirs.proposal(), reason=REASON),
        lambda: policy.reject(steward, theirs.proposal(), reason=REASON),
        lambda: ragward.provisioning.user(steward, theirs.user()),
        lambda: ragward.provisioning.delete_user(steward, theirs.user()),
        lambda: ragward.provisioning.delete_group(steward, theirs.group()),
        lambda: ragward.elevating.decide(
            steward, theirs.access_request(), approve=True, reason=REASON
        ),
        lambda: ragward.elevating.revoke(steward, theirs.access_request(), REASON),
        lambda: ragward.elevating.review(steward, theirs.emergency(), REASON),
        lambda: ragward.restricting.release(steward, theirs.restriction(), REASON),
        lambda: ragward.retrieval.require_corpus(half.subject("ben"), f"{theirs.tenant}/eng"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()
    mine = half.document()
    with pytest.raises(InvalidRequestError):
        relabelling.relabel(steward, mine, label, REASON)
    application = dataclasses.replace(theirs.subject().application, client_id="x")
    with pytest.raises(InvalidRequestError):
        company.register(ragward, application, steward)
    source = dataclasses.replace(company.documents(1)[0], label=label)
    with pytest.raises(RagwardError):
        ragward.ingestion.ingest(steward, source)
    for action in ("corpus:retrieve", "document:delete", "policy:write"):
        context = Context(now=ragward.clock.now())
        assert not ragward.pdp.decide(steward, action, label, context)
        assert not ragward.pdp.decide_for(half.tenant, steward.principal, action, label, context)
        stranger = f"user:{theirs.tenant}/steward"
        own = ragward.catalog.get_document(half.tenant, mine).label
        assert not ragward.pdp.decide_for(half.tenant, stranger, action, own, context)


# What processes remember. ---------------------------------------------------------------------------------------------


class TestCaches:
    def test_a_write_in_one_tenant_costs_the_other_nothing_it_remembers(self, world, half):
        """Neither the permit nor the scopes are made again, and the head is the same."""
        ragward = world.ragward
        context, theirs = Context(now=ragward.clock.now()), half.other.subject("ben")
        before = ragward.pdp.decide_labels(theirs, context)
        assert isinstance(before, Permit)
        half.send("change_policy", **ASKED["change_policy"].request(half))
        half.document()
        after = ragward.pdp.decide_labels(theirs, context)
        assert (
            after.grants is before.grants
        )  # around them it is made anew while a document is withheld
        assert after == before

    def test_what_one_remembers_is_not_given_to_the_other(self, world, half):
        """Equal names, equal questions, by turns, one of the two losing the right in between."""
        name = f"guest-{half.tenant}"
        catalog = world.ragward.catalog
        memberships = {
            tenant: Membership(f"user:{tenant}/{name}", f"group:{tenant}/eng") for tenant in TENANTS
        }
        for tenant, membership in memberships.items():
            catalog.change_policy(tenant, add_memberships=[membership], author="test")
        assert sources(ask(half, name)) != [] != sources(ask(half.other, name))
        gone = [memberships[half.tenant]]
        catalog.change_policy(half.tenant, remove_memberships=gone, author="test")
        for _ in range(2):
            assert sources(ask(half, name)) == []
            assert sources(ask(half.other, name)) != []

    def test_equal_labels_are_two_labels(self, world):
        catalog = world.ragward.catalog
        found = {tenant: catalog.labels(tenant) for tenant in TENANTS}
        assert not found["acme"].keys() & found["globex"].keys()
        digests = [{label.digest() for label in labels.values()} for labels in found.values()]
        assert not digests[0] & digests[1]
        as_acme = {label_of("acme", each).digest() for each in found["acme"].values()}
        assert as_acme == digests[0]

    def test_equal_texts_are_nothing_alike_where_they_are_stored(self, world):
        for table, column in (("chunks", "blob"), ("points", "vector_blob")):
            stored = world.sql(f"SELECT {column}, tenant FROM {table}")
            assert len({blob for blob, _ in stored}) == len(stored) > 20
        keys = world.sql("SELECT kek_id, tenant FROM versions")
        mine = {key for key, tenant in keys if tenant == "acme"}
        assert mine
        assert not mine & {key for key, tenant in keys if tenant == "globex"}

    def test_equal_questions_have_unequal_tags(self, world):
        tags = set()
        for half in world.halves.values():
            ask(half, query="one and the same question")
            entries = half.send("get_audit_entries", params=_tail(world)).json()
            tags.add(entries[-1]["event"]["details"]["query_tag"])
        assert len(tags) == 2


def _tail(world):
    """Parameters that reach the end of the log."""
    return {"start": max(0, world.ragward.audit.verify().entries - 500), "limit": 1000}


class TestLimits:
    def test_one_tenants_rate_is_not_the_others(self):
        """Fifty times a person's rate is the tenant's; then it is full, and the other has all of its own."""
        limiter = MemoryLimiter(requests_per_minute=2, concurrent=1000)
        acme, globex = (
            dataclasses.replace(
                company.subject("ann"), tenant=tenant, principal=f"user:{tenant}/ann"
            )
            for tenant in TENANTS
        )

        def asked(subject):
            try:
                limiter.acquire(subject)
            except LimitExceededError:
                return 0
            return 1

        people = [
            dataclasses.replace(acme, principal=f"user:acme/{number}") for number in range(60)
        ]
        assert sum(asked(person) for person in people for _ in range(2)) == 100
        assert asked(acme) == 0
        assert [asked(globex) for _ in range(3)] == [1, 1, 0]

    def test_one_tenants_open_requests_are_not_the_others(self):
        limiter = MemoryLimiter(requests_per_minute=1000, concurrent=1)
        acme = company.subject("ann")
        globex = dataclasses.replace(acme, tenant="globex")  # even under the same principal
        limiter.acquire(acme)
        limiter.acquire(globex)
        for subject in (acme, globex):
            with pytest.raises(LimitExceededError):
                limiter.acquire(subject)
        limiter.release(acme)
        limiter.acquire(acme)
        with pytest.raises(LimitExceededError):
            limiter.acquire(globex)

    def test_over_the_api(self, tmp_path):
        with open_twins(tmp_path, documents=2, per_minute=3) as world:
            statuses = {
                half: [half.send("retrieve", json={"query": QUERY}).status_code for _ in range(5)]
                for half in world.halves.values()
            }
            assert set(map(tuple, statuses.values())) == {(200, 200, 200, 429, 429)}

    def test_jobs_wait_behind_ones_own(self, world, monkeypatch):
        """One tenant's queue is full, and the other's job is next but one."""
        acme, globex = world.halves.values()
        order, go_on = [], threading.Event()

        def run_job(_self, subject, _items, *, job, source, is_canceled):
            order.append(subject.tenant)
            go_on.wait(10)
            world.ragward.catalog.set_job_state(subject.tenant, job.job_id, JobState.SUCCESS)

        monkeypatch.setattr(type(world.ragward.ingestion), "run_job", run_job)
        body = {"root": "inbox", "manifest": "m.jsonl"}
        made = []
        for _ in range(40):
            response = acme.send("create_job", json=body)
            if response.status_code == 429:
                break
            made.append((acme, response.json()["job_id"]))
        refused(response, 429, "limit.concurrency")
        theirs = globex.send("create_job", json=body)
        assert theirs.status_code == 202
        made.append((globex, theirs.json()["job_id"]))
        go_on.set()
        for half, job_id in made:
            half.ended(job_id)
        assert order.index("globex") <= 2, "it waited behind all of the other's"
        assert len(order) == len(made) > 10


def test_metrics_name_no_tenant(world, half):
    for each in world.halves.values():
        each.send("retrieve", json={"query": QUERY})
    text = half.send("metrics").text
    assert "ragward_requests_total" in text
    for each in world.halves.values():
        assert [mark for mark in each.marks if mark in text] == []


def test_readiness_and_errors_name_no_tenant(world):
    for path in ("/readyz", "/livez", "/version", "/nowhere", "/.well-known/authzen-configuration"):
        found = world.client.get(path)
        for each in world.halves.values():
            assert [mark for mark in each.marks if mark in shown(found)] == []


def test_an_unforeseen_error_names_nobody(world, half, monkeypatch):
    """The line about it is of files and line numbers: the message may hold anything."""
    document = half.other.document()

    def broken(*_):
        raise RuntimeError(f"{half.tenant} {half.other.tenant} {document}")

    monkeypatch.setattr(world.ragward.catalog, "policy", broken, raising=False)
    world.lines.taken()
    response = half.send("get_policy")
    monkeypatch.undo()
    assert response.status_code == 500
    assert crossed(half, shown(response)) == []
    ours = [line for line in world.lines.taken() if line.startswith(("error", "info"))]
    assert any("request failed" in line for line in ours), ours
    assert crossed(half, "\n".join(ours)) == []


def test_another_process_keeps_them_apart_too(world):
    """An owner and a worker: index, log and limits are shared, and each tenant's are its own."""
    world.ragward.share()
    settings = world.ragward.settings
    with opened(settings, identity=None, limiter=None, clock=None) as worker:
        assert type(worker.index).__name__ == "OwnerChunkIndex"
        assert type(worker.limiter).__name__ == "OwnerLimiter"
        for half in world.halves.values():
            world.index.forget()
            for name in ("ann", "ben"):
                request = RetrievalRequest(
                    query=QUERY, limit=5
                )  # texts that rank alike are further down
                credentials = Credentials(untrusted_authorization=half.token(name))
                answer = worker.retrieve(credentials, request)
                assert answer.passages
                assert crossed(half, repr(answer)) == []
                assert sources(answer) == sources(world.ragward.retrieve(credentials, request))
            assert world.index.asked
            assert set().union(*world.index.asked) <= half.scopes()
            assert set(world.index.given) <= half.points()
            entries = worker.auditing.entries(half.subject(), **_tail(world))
            assert entries
            assert {json.loads(entry.data)["tenant"] for entry in entries} == {half.tenant}


# The database edited. -------------------------------------------------------------------------------------------------


MOVES = {
    "point": ["points"],
    "point and chunk": ["points", "chunks"],
    "version": ["versions"],
    "document and version": ["documents", "versions"],
    "all but the label": ["documents", "versions", "chunks", "points"],
    "all": ["documents", "versions", "chunks", "points", "labels", "scopes"],
}


class TestRowsThatWereMoved:
    """Somebody who can write the database's rows moves one to the other tenant."""

    @pytest.mark.parametrize("move", [*MOVES, "all, the label with another digest"])
    def test_nothing_is_answered_from_it(self, tmp_path, move):
        with open_twins(tmp_path, documents=0) as world:
            acme, globex = world.halves.values()
            document = globex.ingested("The secret voltage of the sensor.", corpus="hr")
            self._moved(world, MOVES.get(move, MOVES["all"]), document)
            if move not in MOVES:
                self._relabelled(world, document)
            for half in (acme, globex):
                for name in ("ann", "dot"):
                    assert self._secrets(half, name) == []
            if move not in MOVES:  # nothing else could tell: the wrapped key does
                failures = [e for e in acme.stored()["log"] if b'"integrity.failure"' in e]
                assert failures

    def test_it_would_be_answered_from_where_it_was(self, tmp_path):
        with open_twins(tmp_path, documents=0) as world:
            acme, globex = world.halves.values()
            globex.ingested("The secret voltage of the sensor.", corpus="hr")
            for name in ("ann", "dot"):
                assert self._secrets(globex, name)
                assert not self._secrets(acme, name)

    @staticmethod
    def _moved(world, tables, document):
        label = "SELECT label_id FROM versions WHERE document_id = :of"
        where = {
            "points": "chunk_id IN (SELECT chunk_id FROM chunks WHERE document_id = :of)",
            "labels": f"label_id IN ({label})",
            "scopes": f"label_id IN ({label})",
        }
        with sqlite3.connect(world.ragward.settings.data_dir / "catalog.db") as connection:
            for table in tables:
                condition = where.get(table, "document_id = :of")
                changed = connection.execute(
                    f"UPDATE {table} SET tenant = 'acme' WHERE {condition}", {"of": document}
                )
                assert changed.rowcount > 0

    @staticmethod
    def _relabelled(world, document):
        """The label's row written anew, with the digest that is right for it."""
        catalog = world.ragward.catalog
        label = AccessLabel(
            tenant="acme",
            corpus="hr",
            classification=Classification.CONFIDENTIAL,
            granted=frozenset({"group:acme/staff"}),
        )
        with sqlite3.connect(world.ragward.settings.data_dir / "catalog.db") as connection:
            changed = connection.execute(
                "UPDATE labels SET fields = replace(fields, 'globex', 'acme'), digest = ?"
                " WHERE label_id = (SELECT label_id FROM versions WHERE document_id = ?)",
                (label.digest(), document),
            )
            assert changed.rowcount == 1
        assert label in catalog.labels("acme").values(), "the label does not pass for acme's"

    @staticmethod
    def _secrets(half, name):
        """What is answered of the document; a tenant whose labels do not hold together gets no answer at all."""
        try:
            answer = ask(half, name, query="secret voltage sensor")
        except IntegrityError:
            return []
        return [p.text for p in answer.passages if "secret" in p.text]


# Whatever one does. ---------------------------------------------------------------------------------------------------


def observed(half):
    """All that the tenant's people can see of it, and all that its caches hang on."""
    catalog, tenant = half.world.ragward.catalog, half.tenant
    answers = []
    for name, query in (("ann", "salary contract"), ("ben", "voltage sensor"), ("cai", QUERY)):
        answer = ask(half, name, query)
        answers.append((answer.passages, answer.near_duplicates_removed, answer.query_flags))
    return {
        "answers": answers,
        "head": catalog.head(tenant),
        "epoch": catalog.epoch(tenant),
        "policy": (catalog.policy(tenant).digest(), catalog.policy_versions(tenant)),
        "proposals": catalog.proposals(tenant),
        "labels": catalog.labels(tenant),
        "scopes": catalog.scopes(tenant),
        "documents": catalog.documents(tenant),
        "pending": catalog.pending_points(tenant, limit=1000),
        "applications": catalog.applications(tenant),
        "people": catalog.list_users(tenant, [], offset=0, limit=1000),
        "groups": catalog.list_groups(tenant, [], offset=0, limit=1000),
        "rows": half.world.rows_of(tenant),
    }


def _policy_row(half, number):
    row = (f"user:acme/h-{number}", READ, "acme/*", "PUBLIC..INTERNAL", "*", "allow")
    return [PolicyRow(*of_tenant(half.tenant, row))]


def _any_document(half, number):
    """One of the tenant's documents, or a new one."""
    catalog = half.world.ragward.catalog
    found = catalog.documents(half.tenant, limit=1000)
    held = catalog.held(half.tenant, [each.document_id for each in found])
    active = [
        each
        for each in found
        if each.state is DocumentState.ACTIVE and each.document_id not in held
    ]
    return active[number % len(active)].document_id if active else half.document()


def _relabel(half, number):
    document = _any_document(half, number)
    before = half.world.ragward.catalog.get_document(half.tenant, document).label
    level = max(Classification(number % 4), before.classification)  # lower takes two people
    label = dataclasses.replace(before, classification=level, denied=frozenset())
    half.world.ragward.relabelling.relabel(half.subject(), document, label, REASON)


WRITES = {
    "ingest": lambda half, n: half.ingest(company.documents(6, seed=n)[n % 6]),
    "quarantine": lambda half, n: half.quarantined(),
    "delete": lambda half, n: half.world.ragward.stewardship.delete(
        half.subject(), _any_document(half, n)
    ),
    "relabel": _relabel,
    "allow": lambda half, n: half.world.ragward.catalog.change_policy(
        half.tenant, add_rows=_policy_row(half, n), author="test"
    ),
    "propose": lambda half, n: half.proposal(),
    "member": lambda half, n: half.world.ragward.catalog.change_policy(
        half.tenant,
        add_memberships=[Membership(f"user:{half.tenant}/ben", f"group:{half.tenant}/g-{n}")],
        author="test",
    ),
    "application": lambda half, n: half.send(
        "register_application", **ASKED["register_application"].request(half)
    ),
    "person": lambda half, n: half.user(),
    "group": lambda half, n: half.group(),
    "rotate": lambda half, n: half.world.ragward.rotation.rotate(
        half.subject(), Classification(n % 4)
    ),
    "job": lambda half, n: half.open_job(),
    "elevate": lambda half, n: half.world.ragward.elevating.decide(
        half.subject(), half.access_request(), approve=bool(n % 2), reason=REASON
    ),
    "restrict": lambda half, n: half.restriction(),
    "lend": lambda half, n: half.task_grant(),
    "ask": lambda half, n: ask(half, "ann", f"voltage {n}"),
}


@settings(max_examples=300 if PROVE else 12)
@given(
    busy=st.sampled_from(TENANTS),
    writes=st.lists(
        st.tuples(st.sampled_from(sorted(WRITES)), st.integers(0, 30)), min_size=1, max_size=7
    ),
)
def test_whatever_one_writes_changes_nothing_for_the_other(world, busy, writes):
    half = world.halves[busy]
    before = observed(half.other)
    for name, number in writes:
        WRITES[name](half, number)
    assert observed(half.other) == before


@pytest.mark.parametrize("name", sorted(set(WRITES) - {"ask", "rotate"}))
def test_each_of_those_writes_does_something(world, name):
    """To the tenant that writes: or nothing was tested."""
    half = world.halves["acme"]
    before = observed(half)
    WRITES[name](half, 77)
    assert observed(half) != before
