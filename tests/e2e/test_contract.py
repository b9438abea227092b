"""What others say about the API: schemathesis over the OpenAPI document, and OpenAI's own client."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from ragward.api.app import openapi_document
from ragward.domain.directory import GroupProfile, UserProfile
from ragward.domain.policy import Membership
from ragward.domain.policy_change import PolicyEdit
from tests import company
from tests.conftest import PROVE

ROOT = Path(__file__).parents[2]
OPENAPI = ROOT / "schemas" / "openapi.json"

#: 400 is SCIM's answer to the same (a member that is not there); 412 to an entity tag that is none of ours; 501 to sorting.
#: 422 with a code is our documented answer to what no schema can say (a policy row of the wrong tenant, a query without a
#: letter), and 400 is AuthZEN's (a page token that is none); 413 comes before anything else of a body is looked at. The ids make tests reach what exists.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 409, 412, 422, 429, 501]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429, 501]
[parameters]
"path.corpus" = ["hr", "eng", "absent"]
"path.document_id" = {documents}
"path.principal" = ["user:acme/ann", "user:acme/none", "app:acme/portal", "agent:acme/bot", "ann"]
"path.job_id" = {jobs}
"query.seconds" = [0]
"path.version" = [1, 2, 99]
"path.proposal_id" = {proposals}
"path.user_id" = {users}
"path.group_id" = {groups}
"""


def test_the_committed_document_is_the_one_the_code_makes():
    assert json.loads(OPENAPI.read_text()) == openapi_document(), "run `make docs`"


def test_schemathesis_finds_nothing(served, tmp_path):
    records = served.ragward.catalog.documents("acme", limit=100)
    steward = company.subject("steward").principal
    job = served.ragward.catalog.create_job("acme", steward, 1)
    users, groups = [], []
    for number in range(12):  # as many as are deleted on the way
        person = UserProfile(user_name=f"walk-in-{number}")
        users.append(served.ragward.catalog.create_user("acme", person, "test").user_id)
        people = GroupProfile(display_name="walk-ins", members=frozenset(users))
        groups.append(served.ragward.catalog.create_group("acme", people, "test").group_id)
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(
        CONFIGURATION.format(
            documents=json.dumps([r.document_id for r in records][:12]),
            jobs=json.dumps([job.job_id]),
            proposals=json.dumps([_proposal(served)]),
            users=json.dumps(users),
            groups=json.dumps(groups),
        )
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "--config-file",
            str(configuration),
            "run",
            str(OPENAPI),
            "--url",
            served.url,
            "-H",
            f"Authorization: Bearer {served.token('steward')}",
            "--checks",
            "all",
            *(() if PROVE else ("--phases", "examples,fuzzing")),
            "--max-examples",
            "200" if PROVE else "3",
            "--seed",
            "7",
            "--continue-on-failure",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert int(tested.group(1)) == sum(len(ops) for ops in openapi_document()["paths"].values())
    assert "401 Unauthorized" not in done.stdout, "the token was not accepted: nothing was tested"


def _proposal(served):
    """The id of a proposal: the steward asks for a clearance."""
    edit = PolicyEdit(
        add_memberships=frozenset({Membership("user:acme/cai", "compartment:acme/case")})
    )
    outcome = served.ragward.policy_administration.write(
        company.subject("steward"), edit, reason="something to look at"
    )
    return outcome.proposal.proposal_id


# OpenAI's client. ---------------------------------------------------------------------------------------------------


@pytest.fixture
def client(served):
    with openai.OpenAI(
        api_key=served.token("ben"), base_url=f"{served.url}/v1", max_retries=0
    ) as made:
        yield made


def test_the_stock_client_searches_a_corpus(client):
    page = client.vector_stores.search("eng", query="vpn incident audit", max_num_results=5)
    results = list(page)  # the client asks for further pages until there are none
    assert 1 <= len(results) <= 5
    first = results[0]
    assert first.filename.startswith("eng/")
    assert first.content[0].type == "text"
    assert first.content[0].text
    assert first.attributes["classification"] in ("PUBLIC", "INTERNAL", "CONFIDENTIAL")
    assert [r.score for r in results] == sorted((r.score for r in results), reverse=True)


def test_its_filters_narrow_by_attributes(client):
    def numbers(filters):
        page = client.vector_stores.search(
            "eng", query="report", filters=filters, max_num_results=50
        )
        return {int(result.attributes["number"]) for result in page}

    everything = numbers({"type": "gte", "key": "number", "value": 0})
    low = numbers({"type": "lt", "key": "number", "value": 15})
    both = numbers(
        {
            "type": "and",
            "filters": [
                {"type": "gte", "key": "number", "value": 5},
                {"type": "lt", "key": "number", "value": 15},
            ],
        }
    )
    # Passages that do not answer may be left out of any of them: what matters is what the filter lets through.
    assert any(n >= 15 for n in everything)
    assert low
    assert all(n < 15 for n in low)
    assert both
    assert all(5 <= n < 15 for n in both)
    assert numbers({"type": "eq", "key": "number", "value": -1}) == set()


def test_several_queries_are_one_search(client):
    assert list(client.vector_stores.search("eng", query=["vpn", "incident"]))


def test_its_errors_are_raised_as_its_own(served, client):
    with pytest.raises(openai.NotFoundError) as absent:
        client.vector_stores.search("no-such-corpus", query="x")
    assert absent.value.code == "access.not_found"
    with pytest.raises(openai.UnprocessableEntityError) as empty:
        client.vector_stores.search("eng", query="?")
    assert empty.value.code == "query.empty"
    stranger = openai.OpenAI(api_key="wrong", base_url=f"{served.url}/v1", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.vector_stores.search("eng", query="x")


def test_two_people_get_two_answers(served):
    found = {}
    for name in ("ben", "cai"):
        with openai.OpenAI(api_key=served.token(name), base_url=f"{served.url}/v1") as made:
            page = made.vector_stores.search("eng", query="contract budget", max_num_results=50)
            found[name] = {result.file_id for result in page}
    assert found["ben"] != found["cai"]
