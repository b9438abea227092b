"""F22: endpoints by id that skipped the check (docs/failures-of-others.md). The OpenAPI document says which there are."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from ragward.api.app import create_app, openapi_document
from ragward.domain.access import Credentials
from ragward.domain.directory import GroupProfile, UserProfile
from ragward.domain.elevation import Elevation
from ragward.domain.holds import HoldKind, HoldRequest
from ragward.domain.identities import DAY, Agent, Custody
from ragward.domain.labels import Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.policy_change import PolicyEdit
from ragward.domain.restrictions import RestrictionKind, RestrictionRequest
from ragward.domain.shredding import ShredKind, ShredRequest
from ragward.domain.task_grants import TaskGrantRequest
from ragward.opening import development_token
from tests import company
from tests.abuse.others import STEWARD, document, installation, label, put
from tests.conformance.test_provisioning import idp
from tests.e2e import scim
from tests.e2e.conftest import ROOT_ROWS

#: What the protocol says of itself, for everybody.
DISCOVERY = {"scim_get_schema", "scim_get_resource_type"}
WHY = "because it is asked for"
BODIES = {
    "relabel_document": {"granted": ["group:acme/staff"], "reason": WHY},
    "release_document": {"reason": WHY},
    "search_vector_store": {"query": "voltage"},
    "approve_policy_proposal": {"reason": WHY},
    "reject_policy_proposal": {"reason": WHY},
    "retry_job": {"gone": "ask"},
    "decide_review": {"decision": "accept", "reason": WHY},
    "request_downgrade": {"classification": "PUBLIC", "reason": WHY},
    "finish_shredding": {"reason": WHY, "roll": False},
    "lift_hold": {"reason": WHY},
    "approve_access": {"reason": WHY},
    "deny_access": {"reason": WHY},
    "revoke_access": {"reason": WHY},
    "review_emergency": {"reason": WHY},
    "release_restriction": {"reason": WHY},
    "rotate_identity": {},
    "scim_replace_user": scim.user("x"),
    "scim_patch_user": scim.patch(("replace", "displayName", "x")),
    "scim_replace_group": scim.group("x"),
    "scim_patch_group": scim.patch(("replace", "displayName", "x")),
}
QUERIES = {"watch_job": {"seconds": 0}}
#: Acts on the tenant as a whole: refused before the id is looked at.
ON_THE_TENANT = (
    "/v1/policy/",
    "/v1/holds/",
    "/v1/audit/",
    "/v1/identities/",
    "/v1/restrictions/",
    "/scim/v2/",
)
#: What the steward here may do beside.
STEWARDING = PolicyRow(
    "user:acme/steward", "restriction:write", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
)
OWN = re.compile(r'"request_id":"[^"]*"')


def made_about_people(ragward):
    """Ids by parameter: cai asks for a role, somebody idle is suspended, ann lends a task to an agent."""
    now = ragward.clock.now()
    asked_for = Elevation(
        elevation_id=str(uuid.uuid4()),
        tenant="acme",
        member="user:acme/cai",
        role="role:acme/finance",
        minutes=5,
        reason=WHY,
        requested_at=now,
    )
    ragward.catalog.add_elevation(asked_for)
    idle = RestrictionRequest(
        target="user:acme/idle", kind=RestrictionKind.SUSPEND, minutes=60, reason=WHY
    )
    bot = Agent(principal="agent:acme/bot", tenant="acme", client_id="portal", expires_at=now + DAY)
    custody = Custody(owner="user:acme/ann", purpose="tests")
    company.register(ragward, company.APPLICATION)
    ragward.identities.register_agent(STEWARD, bot, custody, with_key=True)
    lent = TaskGrantRequest(
        agent=bot.principal,
        corpora=frozenset({"hr"}),
        ceiling=Classification.INTERNAL,
        actions=frozenset({"corpus:retrieve"}),
        budget_tokens=100,
        minutes=10,
        reason=WHY,
    )
    return {
        "id": asked_for.elevation_id,
        "restriction_id": ragward.restricting.place(STEWARD, idle).restriction_id,
        "grant_id": ragward.task_grants.mint(company.subject("ann"), lent)[0].grant.grant_id,
        "kind": "agent",
        "name": "bot",
    }


def operations():
    """(operation id, method, path, whether it takes a body) of everything with a parameter in its path."""
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            if "{" in path and operation["operationId"] not in DISCOVERY:
                yield operation["operationId"], method, path, "requestBody" in operation


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(client, headers of a person, ids that exist, installation): nothing that exists is `stranger`'s or `ben`'s."""
    rows = (*company.ROWS, *ROOT_ROWS, *scim.rows(), STEWARDING)
    place = tmp_path_factory.mktemp("f22")
    with installation(place, rows=rows, identity=None, clock=None) as ragward:
        hidden = put(ragward, document("hidden", corpus="aaa", granted=["user:acme/dot"]))
        proposed = ragward.policy_administration.write(
            STEWARD,
            PolicyEdit(add_memberships=frozenset({Membership("user:acme/x", "group:acme/hr")})),
            reason=WHY,
        )
        ids = {
            "document_id": hidden,
            "corpus": "aaa",
            "principal": "user%3Aacme%2Fdot",
            "event_id": json.loads(ragward.audit.entries(limit=1)[0].data)["id"],
            "job_id": ragward.catalog.create_job("acme", "user:acme/steward", 0).job_id,
            "proposal_id": proposed.proposal.proposal_id,
            "receipt_id": ragward.shredding.shred(
                STEWARD,
                ShredRequest(
                    kind=ShredKind.DOCUMENT,
                    target=put(ragward, document("gone", corpus="aaa", granted=["user:acme/dot"])),
                    reason=WHY,
                ),
            ).receipt_id,
            "answer_id": ragward.retrieve(
                Credentials(
                    untrusted_authorization=development_token(
                        ragward.settings, "steward", tenant="acme"
                    )
                ),
                "voltage",
            ).receipt.receipt_id,
            "hold_id": ragward.holding.place(
                STEWARD, HoldRequest(kind=HoldKind.SOURCE, target="aaa:none/", reason=WHY)
            ).hold.hold_id,
            "chunk_id": ragward.catalog.document_chunks("acme", hidden)[0].chunk_id,
            "version": str(ragward.catalog.policy("acme").version),
            "review_id": ragward.reviewing.request_downgrade(
                STEWARD, hidden, Classification.PUBLIC, WHY
            ).item.item_id,
            "user_id": ragward.provisioning.create_user(idp(), UserProfile(user_name="u")).user_id,
            "group_id": ragward.provisioning.create_group(
                idp(), GroupProfile(display_name="g")
            ).group_id,
        } | made_about_people(ragward)

        def headers(name):
            token = development_token(ragward.settings, name, tenant="acme")
            return {"Authorization": f"Bearer {token}"}

        with TestClient(create_app(ragward)) as client:
            yield client, headers, ids, ragward


def absent_for(name):
    made = {
        "corpus": "no-such-corpus",
        "version": "999999",
        "principal": "user%3Aglobex%2Fdot",
        "kind": "agent",
    }
    return made.get(name, str(uuid.uuid4()))


def asked(world, name, operation, value_of):
    """The response to an operation with each parameter's value given by `value_of`."""
    client, headers, _, _ = world
    operation_id, method, path, takes_body = operation
    url = re.sub(r"\{(\w+)\}", lambda found: value_of(found[1]), path)
    body = {"json": BODIES[operation_id]} if takes_body else {}
    body["params"] = QUERIES.get(operation_id, {})
    return client.request(method, url, headers=headers(name), **body)


@pytest.mark.parametrize("name", ["stranger", "ben"])
@pytest.mark.parametrize("operation", list(operations()), ids=lambda operation: operation[0])
def test_f22_by_id_there_is_nothing_for_who_has_no_right(world, operation, name):
    """Endpoints that took an id answered whoever knew one; here each of them, new ones too, gives who has no right the same
    refusal for what exists and for what does not."""
    ids = world[2]
    here = asked(world, name, operation, ids.__getitem__)
    there = asked(world, name, operation, absent_for)
    on_the_tenant = operation[2].startswith(ON_THE_TENANT) or operation[2].endswith("/bundle")
    expected = 403 if on_the_tenant else 404
    assert (here.status_code, there.status_code) == (expected, expected), here.text
    assert OWN.sub("", here.text) == OWN.sub("", there.text)
    own = {"x-request-id", "content-length"}
    assert {k: v for k, v in here.headers.items() if k not in own} == {
        k: v for k, v in there.headers.items() if k not in own
    }


def test_f22_who_has_the_right_finds_it_and_nothing_else(world):
    """The other way round: reading by id works for who may, and an id that is not there is a 404 for them too."""
    looked = 0
    for operation in operations():
        if operation[1] != "get":
            continue
        looked += 1
        assert asked(world, "steward", operation, world[2].__getitem__).status_code == 200
        assert asked(world, "steward", operation, absent_for).status_code == 404
    assert looked >= 6


def test_f22_ids_in_bodies_are_ids_too(world):
    """Ids that came in a body, a list of file ids, were fetched with the service's own rights; here they are the caller's
    to ask about or absent."""
    client, headers, ids, _ = world

    def told(name, path, body):
        response = client.post(path, json=body, headers=headers(name))
        return response.status_code, OWN.sub("", response.text)

    for name, status in (("ben", 404), ("steward", 200)):
        explained = [
            told(name, "/v1/explain", {"principal": "user:acme/dot", "document_id": each})
            for each in (ids["document_id"], str(uuid.uuid4()))
        ]
        assert explained[0][0] == status
        assert (explained[0] == explained[1]) == (status == 404)
    questions = [
        {
            "subject": {"type": "user", "id": "ben"},
            "action": {"name": "corpus:retrieve"},
            "resource": {"type": "document", "id": each},
        }
        for each in (ids["document_id"], str(uuid.uuid4()))
    ]
    verdicts = [told("ben", "/access/v1/evaluation", question) for question in questions]
    assert verdicts[0] == verdicts[1]
    assert verdicts[0][0] == 200
    assert '"decision":false' in verdicts[0][1]


def test_f21_a_change_of_one_field_keeps_the_others(world):
    """An update over the API wrote defaults over the access list; here what a change does not name stays as it is."""
    client, headers, _, ragward = world
    whole = label(
        granted=["group:acme/eng"],
        denied=["user:acme/cai"],
        compartments=["case"],
        valid_until=2**40,
    )
    document_id = put(ragward, document("kept", of=whole))

    def patched(**change):
        url = f"/v1/documents/{document_id}/label"
        response = client.patch(url, json=change | {"reason": WHY}, headers=headers("steward"))
        assert response.status_code == 200, response.text
        return ragward.catalog.get_document("acme", document_id).label

    assert patched() == whole
    assert patched(classification="CONFIDENTIAL") == replace(
        whole, classification=Classification.CONFIDENTIAL
    )
    assert patched(classification="INTERNAL", granted=["group:acme/hr"]) == replace(
        whole, granted=frozenset({"group:acme/hr"})
    )
    assert patched(granted=[], denied=[], compartments=[], valid_until=None) == label(granted=[])
