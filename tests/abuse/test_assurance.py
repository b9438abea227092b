"""Proof of who asks, from where and on what: what happens where it is missing, old, forged or run out."""

from __future__ import annotations

import base64
import dataclasses
import shutil

import anyio
import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.testclient import TestClient

from ragward.adapters.assurance_toml import load_act_demands
from ragward.adapters.handling_toml import load_handling
from ragward.adapters.networks import Networks
from ragward.api.app import create_app
from ragward.api.connection import connection_of
from ragward.api.problems import problem
from ragward.cli import serving
from ragward.domain.access import Context, Credentials
from ragward.domain.assurance import Assuring, Demands, Hours, Lack, proves_restricted
from ragward.domain.errors import (
    ConfigurationError,
    DeniedError,
    NotFoundError,
    StepUpRequiredError,
    UnauthenticatedError,
)
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.proof import Assurance, Device, Proof
from ragward.domain.task_grants import TaskGrant, TaskGrantRecord
from ragward.opening import development_token, resource
from tests import company
from tests.abuse.others import CONFIDENTIAL, INTERNAL, RESTRICTED, document, put
from tests.abuse.test_tokens import NOW, signed, verified, verifier  # noqa: F401 - a fixture
from tests.installation import initialised, opened

START = company.SetClock().now()
QUESTION = "voltage laboratory"


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    """RESTRICTED for ann in hr beside INTERNAL for the staff there; in eng nothing but RESTRICTED for hr, and a document of
    which nobody may know."""
    settings = initialised(tmp_path_factory.mktemp("assurance"))
    with opened(settings) as made:
        put(
            made,
            document("open", corpus="hr", level=INTERNAL),
            document("hers", corpus="hr", granted=["user:acme/ann"], level=RESTRICTED),
            document("bens", corpus="eng", granted=["user:acme/ben"], level=CONFIDENTIAL),
            document("nobodys", corpus="hr", granted=[], level=RESTRICTED),
        )
        yield made


def ann(**changes):
    """As she is, but for `changes`."""
    return dataclasses.replace(company.subject("ann"), **changes)


def proof(**changes):
    return dataclasses.replace(
        company.PROVEN,
        **({"offers": (("mfa", Assurance.MFA), ("phr", Assurance.PHISHING_RESISTANT))} | changes),
    )


WEAK = {"proof": proof(assurance=Assurance.SINGLE_FACTOR)}
WEAKER = [
    (WEAK, {"assurance"}),
    ({"proof": proof(assurance=Assurance.NONE)}, {"assurance"}),
    ({"proof": proof(device=Device.MANAGED)}, {"device"}),
    ({"proof": proof(device=Device.UNKNOWN)}, {"device"}),
    ({"auth_time": None}, {"age"}),
    ({"auth_time": START - 3600}, {"age"}),
    ({"auth_time": 0, "proof": Proof()}, {"age", "assurance", "device"}),
]


def answered(ragward, subject, *corpora):
    """What the query flow answers a subject."""
    credentials = Credentials(untrusted_authorization="x")
    flow = ragward.retrieval
    ports = dataclasses.replace(flow._ports, identity=Believes(subject))
    return type(flow)(ports).retrieve(
        credentials, RetrievalRequest(query=QUESTION, corpora=corpora, limit=50)
    )


class Believes:
    def __init__(self, subject):
        self.subject = subject

    def verify(self, credentials):
        return self.subject


def levels(answer):
    return {passage.classification for passage in answer.passages}


@pytest.mark.parametrize(("changes", "lacks"), WEAKER, ids=str)
def test_weak_proof_takes_restricted_out_and_says_what_would_do(ragward, changes, lacks):
    assert RESTRICTED in levels(answered(ragward, ann()))
    answer = answered(ragward, ann(**changes))
    assert INTERNAL in levels(answer)
    assert RESTRICTED not in levels(answer)
    assert answer.step_up.lacks == lacks
    assert answer.step_up.max_age == 3600
    assert answered(ragward, ann()).step_up is None


def test_the_hint_names_acr_values_of_the_askers_own_issuer(ragward):
    assert answered(ragward, ann(**WEAK)).step_up.acr_values == ("mfa", "phr")
    assert (
        answered(ragward, ann(proof=proof(assurance=Assurance.NONE, offers=()))).step_up.acr_values
        == ()
    )


def test_the_last_second_of_a_recent_authentication(ragward):
    assert RESTRICTED in levels(answered(ragward, ann(auth_time=START - 3599)))


def test_where_nothing_is_left_there_is_a_challenge(ragward):
    """In a corpus of which the asker may read RESTRICTED only."""
    label = AccessLabel(
        tenant="acme",
        corpus="vault",
        classification=RESTRICTED,
        granted=frozenset({"user:acme/ann"}),
    )
    source = dataclasses.replace(document("sealed"), label=label)
    put(ragward, source)
    rows = [*company.ROWS, dataclasses.replace(company.ROWS[1], corpus="acme/vault")]
    ragward.catalog.replace_policy("acme", rows, company.MEMBERSHIPS, "test")
    try:
        assert RESTRICTED in levels(answered(ragward, ann(), "vault"))
        with pytest.raises(StepUpRequiredError) as caught:
            answered(ragward, ann(**WEAK), "vault")
        assert caught.value.lacks == ("assurance",)
        assert (caught.value.acr_values, caught.value.max_age) == (("mfa", "phr"), 3600)
        # with anything else in the same request left, the answer comes from that
        assert answered(ragward, ann(**WEAK), "vault", "hr").step_up.lacks == {"assurance"}
    finally:
        ragward.catalog.replace_policy("acme", company.ROWS, company.MEMBERSHIPS, "test")


@pytest.mark.parametrize("corpus", ["hr", "eng", "fin", "nowhere"])
@pytest.mark.parametrize("name", ["ben", "cai", "nobody"])
def test_the_hint_is_no_oracle(ragward, name, corpus):
    """Who would not be permitted with any proof learns nothing: weak, strong, there and absent look the same."""
    strong = company.subject(name)
    weak = dataclasses.replace(strong, proof=Proof(), auth_time=None)
    assert RESTRICTED not in levels(answered(ragward, strong, corpus))
    for subject in (strong, weak):
        answer = answered(ragward, subject, corpus)
        assert answer.step_up is None
    assert [p.document_id for p in answered(ragward, strong, corpus).passages] == [
        p.document_id for p in answered(ragward, weak, corpus).passages
    ]


def test_by_id_the_challenge_comes_only_to_who_would_be_permitted(ragward):
    hers = _found(ragward, "hers")
    flow = ragward.stewardship
    assert flow.document(ann(), hers.document_id)
    with pytest.raises(StepUpRequiredError):
        flow.document(ann(**WEAK), hers.document_id)
    for name in ("ben", "cai"):
        weak = dataclasses.replace(company.subject(name), proof=Proof())
        for document_id in (hers.document_id, "00000000-0000-0000-0000-000000000000"):
            with pytest.raises(NotFoundError):
                flow.document(weak, document_id)
    nobodys = _found(ragward, "nobodys")
    with pytest.raises(NotFoundError):
        flow.document(ann(**WEAK), nobodys.document_id)


def _found(ragward, name):
    return next(d for d in ragward.catalog.documents("acme") if name in d.source)


def test_a_warm_permit_does_not_outlive_what_was_proven(ragward):
    clock = ragward.clock
    subject = ann(auth_time=START - 3500)
    permit = ragward.pdp.decide_labels(subject, Context(now=START))
    assert permit.not_after <= subject.auth_time + 3600
    restricted = _found(ragward, "hers").label_id
    assert permit.admits(restricted)
    assert RESTRICTED in levels(answered(ragward, subject))  # warm
    clock.seconds = START + 100
    try:
        assert not ragward.pdp.decide_labels(subject, Context(now=clock.now())).admits(restricted)
        assert RESTRICTED not in levels(answered(ragward, subject))
        assert RESTRICTED in levels(answered(ragward, ann()))  # somebody who did it again
    finally:
        clock.seconds = START


def test_the_same_person_strong_and_weak_by_turns(ragward):
    for _ in range(3):
        assert RESTRICTED in levels(answered(ragward, ann()))
        assert RESTRICTED not in levels(answered(ragward, ann(**WEAK)))


# Machines. ----------------------------------------------------------------------------------------------------------


def task(**changes):
    given = {
        "grant_id": "g",
        "tenant": "acme",
        "minted_by": "user:acme/ann",
        "agent": "agent:acme/bot",
        "application": "app:acme/portal",
        "purpose": "",
        "corpora": frozenset({"hr"}),
        "ceiling": RESTRICTED,
        "actions": frozenset({"corpus:retrieve"}),
        "budget_tokens": 1000,
        "not_before": START,
        "not_after": START + 600,
        "stepped_up": True,
    }
    return TaskGrant(**(given | changes))


def record(grant):
    return TaskGrantRecord(
        grant=grant, reason="a test", minted_at=START, secret_sha256=bytes(32), spent_tokens=0
    )


DEMANDS = Demands(assurance=Assurance.MFA, max_auth_age_seconds=3600, device=Device.COMPLIANT)
BOT = {"agents": ("agent:acme/bot",)}


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"proof": proof()}, {Lack.TASK, Lack.SENDER_BOUND}),
        ({"proof": proof(sender_bound=True)}, {Lack.TASK}),
        ({"proof": proof(), "task": task()}, {Lack.SENDER_BOUND}),
        ({"proof": proof(sender_bound=True), "task": task(stepped_up=False)}, {Lack.TASK}),
        ({"proof": proof(sender_bound=True), "task": task(not_after=START)}, {Lack.TASK}),
        ({"proof": proof(sender_bound=True), "task": task(not_before=START + 1)}, {Lack.TASK}),
        ({"proof": Proof(sender_bound=True), "task": task(), "auth_time": None}, set()),
    ],
    ids=str,
)
def test_a_machine_is_stepped_up_by_a_person_and_bound_to_its_sender(changes, lacks):
    assert DEMANDS.lacks(ann(**BOT, **changes), START) == lacks
    alone = dataclasses.replace(ann(**changes), principal="app:acme/portal")
    assert DEMANDS.lacks(alone, START) == lacks


def test_an_agent_with_its_users_strong_token_gets_nothing_restricted(ragward):
    rows = [*company.ROWS, dataclasses.replace(company.ROWS[6], levels="PUBLIC..RESTRICTED")]
    ragward.catalog.replace_policy("acme", rows, company.MEMBERSHIPS, "test")
    try:
        bot = ann(**BOT)
        answer = answered(ragward, bot)
        assert levels(answer) == {INTERNAL}
        assert answer.step_up.lacks == {"sender-bound", "task"}
        ragward.catalog.add_task_grant(record(task()))
        proven = ann(**BOT, proof=proof(sender_bound=True), task=task())
        permit = ragward.pdp.decide_labels(proven, Context(now=START))
        assert permit.admits(_found(ragward, "hers").label_id)
        assert permit.not_after <= START + 600
    finally:
        ragward.catalog.replace_policy("acme", company.ROWS, company.MEMBERSHIPS, "test")


def test_minting_for_restricted_takes_the_person_themself():
    assert proves_restricted(ann(), START, DEMANDS)
    assert not proves_restricted(ann(**WEAK), START, DEMANDS)
    assert not proves_restricted(ann(auth_time=START - 3600), START, DEMANDS)
    assert not proves_restricted(
        ann(**BOT, proof=proof(sender_bound=True), task=task()), START, DEMANDS
    )
    alone = dataclasses.replace(ann(), principal="app:acme/portal")
    assert not proves_restricted(alone, START, DEMANDS)


# Acts. --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"proof": proof(assurance=Assurance.MFA)}, {"auth_time": START - 900}, {"auth_time": None}],
    ids=str,
)
def test_acts_of_weight_want_phishing_resistant_recent_proof(ragward, changes):
    weak = dataclasses.replace(company.subject("steward"), **changes)
    before = ragward.catalog.epoch("acme")
    with pytest.raises(StepUpRequiredError) as caught:
        ragward.rotation.rotate(weak, Classification.INTERNAL)
    assert caught.value.max_age == 900
    with pytest.raises(StepUpRequiredError):  # the log, an hour
        ragward.auditing.verify(dataclasses.replace(weak, auth_time=START - 3600))
    assert ragward.catalog.epoch("acme") == before


def test_who_may_not_do_an_act_is_not_told_to_prove_more(ragward):
    for subject in (
        company.subject("ben"),
        dataclasses.replace(company.subject("ben"), proof=Proof()),
    ):
        with pytest.raises(DeniedError):
            ragward.rotation.rotate(subject, Classification.INTERNAL)


def test_the_refusal_is_on_record(ragward):
    with pytest.raises(StepUpRequiredError):
        ragward.rotation.rotate(
            dataclasses.replace(company.subject("steward"), proof=Proof()), Classification.INTERNAL
        )
    events = [entry.data for entry in ragward.audit.entries(limit=10_000)]
    assert any(b"auth.step_up" in data and b"key:rotate" in data for data in events)


# What a token says. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"auth_time": NOW + 3600}, None),
        ({"auth_time": 2**60}, None),
        ({"auth_time": str(NOW)}, None),
        ({"auth_time": NOW - 0.5}, None),
        ({"auth_time": True}, None),
        ({"auth_time": -1}, None),
        ({}, None),
        ({"auth_time": NOW - 5}, NOW - 5),
        ({"auth_time": NOW + 10}, NOW + 10),
    ],
    ids=str,
)
def test_times_of_authentication(verifier, claims, expected):  # noqa: F811 - the fixture
    assert verified(verifier, signed(**claims)).auth_time == expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"acr": "mfa"}, Assurance.MFA),
        ({"acr": "phr"}, Assurance.PHISHING_RESISTANT),
        ({"amr": ["pwd", "mfa"]}, Assurance.MFA),
        ({"amr": ["pwd", "otp"]}, Assurance.NONE),
        ({"amr": "mfa"}, Assurance.NONE),
        ({"amr": [["mfa"], {"mfa": 1}]}, Assurance.NONE),
        ({"acr": ["phr"]}, Assurance.NONE),
        ({"acr": "PHR"}, Assurance.NONE),
        ({"acr": "phr "}, Assurance.NONE),
        ({"acr": "high", "amr": ["mfa"]}, Assurance.MFA),
        ({"ACR": "phr", "claims": {"acr": "phr"}}, Assurance.NONE),
    ],
    ids=str,
)
def test_only_listed_values_prove_something(verifier, claims, expected):  # noqa: F811
    assert verified(verifier, signed(**claims)).proof.assurance is expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"device": "compliant"}, Device.COMPLIANT),
        ({"device": "managed"}, Device.MANAGED),
        ({"device": "Compliant"}, Device.UNKNOWN),
        ({"device": ["compliant"]}, Device.UNKNOWN),
        ({"device": True}, Device.UNKNOWN),
        ({"device_posture": "compliant"}, Device.UNKNOWN),
        ({}, Device.UNKNOWN),
    ],
    ids=str,
)
def test_devices_by_the_signed_claim_alone(verifier, claims, expected):  # noqa: F811
    assert verified(verifier, signed(**claims)).proof.device is expected


def test_claims_written_into_a_signed_token_break_it(verifier):  # noqa: F811
    head, _, signature = signed().split(".")
    _, body, _ = signed(device="compliant", acr="phr", auth_time=NOW).split(".")
    with pytest.raises(UnauthenticatedError):
        verified(verifier, f"{head}.{body}.{signature}")


# Over HTTP. ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Behind a proxy at 10.0.0.0/24; the development issuer's tokens; the zones `office` and `proxy`."""
    directory = tmp_path_factory.mktemp("zones")
    policies = directory / "policies"
    shutil.copytree(resource("policies"), policies)
    handling = (policies / "handling.toml").read_text()
    (policies / "handling.toml").write_text(
        handling.replace('device = "compliant" }', 'device = "compliant", zones = ["office"] }')
    )
    settings = initialised(directory).model_copy(
        update={
            "policies_dir": policies,
            "trusted_proxies": ("10.0.0.0/24",),
            "zones": {"office": ("192.0.2.0/24", "2001:db8::/32"), "proxy": ("10.0.0.0/24",)},
            "public_url": "https://rag.example",
        }
    )
    with opened(settings, identity=None, clock=None) as made:
        put(
            made,
            document("open", corpus="hr", level=INTERNAL),
            document("hers", corpus="hr", granted=["user:acme/ann"], level=RESTRICTED),
        )
        app = create_app(made)
        with TestClient(app) as client:
            yield client, made


def told(api, headers=None, *, peer="10.0.0.7", **claims):
    client, made = api
    token = development_token(made.settings, "ann", tenant="acme", **claims)
    transport = httpx.ASGITransport(app=client.app, client=(peer, 4711))
    given = [("authorization", f"Bearer {token}"), *(headers or [])]

    async def post():
        async with httpx.AsyncClient(transport=transport, base_url="http://rag") as found:
            return await found.post("/v1/retrieve", json={"query": QUESTION}, headers=given)

    answer = anyio.run(post)
    assert answer.status_code == 200, answer.text
    return answer.json()


def lacking(body):
    return set(body["step_up"]["lacks"]) if body["step_up"] else set()


def forwarded(*values):
    return [("x-forwarded-for", value) for value in values]


def test_the_network_by_socket_or_listed_proxy(api):
    assert lacking(told(api, peer="192.0.2.9")) == set()
    assert lacking(told(api, peer="2001:db8::9")) == set()
    assert lacking(told(api, peer="::ffff:192.0.2.9")) == set()
    assert lacking(told(api, forwarded("192.0.2.9"))) == set()
    assert lacking(told(api, forwarded("198.51.100.1, 192.0.2.9, 10.0.0.9"))) == set()


@pytest.mark.parametrize(
    ("peer", "values"),
    [
        ("198.51.100.1", ["192.0.2.9"]),
        ("127.0.0.1", ["192.0.2.9"]),
        ("198.51.100.1", ["192.0.2.9, 10.0.0.7"]),
        ("10.0.0.7", ["192.0.2.9, 198.51.100.1"]),
        ("10.0.0.7", ["192.0.2.9", "198.51.100.1"]),
        ("10.0.0.7", ["192.0.2.9, x"]),
        ("10.0.0.7", ["192.0.2.9 198.51.100.1"]),
        ("10.0.0.7", ["192.0.2.9, unknown"]),
        ("10.0.0.7", [""]),
        ("10.0.0.7", []),
        ("not an address", ["192.0.2.9"]),
    ],
    ids=str,
)
def test_a_forwarded_address_that_no_listed_proxy_vouches_for(api, peer, values):
    assert lacking(told(api, forwarded(*values), peer=peer)) == {"zone"}


def test_place_is_not_proven_by_authenticating_again(api):
    """So there is no challenge that nobody could meet: the answer is without it, and says why."""
    assert {p["classification"] for p in told(api, peer="198.51.100.1")["passages"]} == {"INTERNAL"}


@pytest.mark.parametrize(
    "name",
    ["device", "x-device", "x-device-compliant", "x-ragward-device", "acr", "x-acr", "auth-time"],
)
def test_posture_in_headers_is_nothing(api, name):
    body = told(api, [(name, "compliant"), *forwarded("192.0.2.9")], device=None, acr=None)
    assert lacking(body) == {"assurance", "device"}


def test_a_certificate_in_a_header_of_nobody_in_particular(api):
    """RFC 9440's header counts from a listed proxy alone."""
    _, made = api
    value = f":{base64.b64encode(b'certificate').decode()}:"

    def seen(peer, *values):
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/retrieve",
            "query_string": b"",
            "client": (peer, 1),
            "headers": [(b"client-cert", each.encode()) for each in values],
        }
        return connection_of(Request(scope), made.settings, (False, False))

    assert len(seen("10.0.0.7", value).certificate_sha256) == 43
    for peer, values in (
        ("198.51.100.1", [value]),
        ("127.0.0.1", [value]),
        ("10.0.0.7", [value, value]),
        ("10.0.0.7", [value.strip(":")]),
        ("10.0.0.7", [":not base64:"]),
        ("10.0.0.7", ["::"]),
        ("10.0.0.7", [":"]),
        ("10.0.0.7", [""]),
        ("10.0.0.7", []),
    ):
        assert seen(peer, *values).certificate_sha256 == ""
    assert seen("10.0.0.7").url == "https://rag.example/v1/retrieve"


def test_uvicorn_itself_believes_no_forwarded_header(monkeypatch, api):
    """Left alone it takes X-Forwarded-For from any process of this machine as the socket's peer."""
    made = {}
    monkeypatch.setattr(uvicorn, "Config", lambda *_a, **given: made.update(given))
    monkeypatch.setattr(
        uvicorn, "Server", lambda _config: type("S", (), {"run": lambda *_a, **_k: None})()
    )
    monkeypatch.setattr(serving, "hold_to_allowed_hosts", lambda _settings: None)
    serving._run_uvicorn(api[1], None)
    assert made["proxy_headers"] is False


def test_the_challenge_over_http_is_rfc_9470s_and_authzens(api):
    client, made = api
    hers = _found(made, "hers").document_id
    weak = development_token(made.settings, "ann", tenant="acme", acr="mfa", auth_age_seconds=4000)
    headers = {"authorization": f"Bearer {weak}", **dict(forwarded("192.0.2.9"))}
    question = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "corpus:retrieve"},
        "resource": {"type": "document", "id": hers},
    }
    body = client.post("/access/v1/evaluation", json=question, headers=headers).json()
    assert body["decision"] is False
    (step_up,) = body["context"]["obligations"]
    assert step_up["id"] == "step-up"
    assert step_up["acr_values"] == ["mfa", "phr", "phrh"]
    assert step_up["max_age"] == 3600
    assert "age" in step_up["lacks"]
    nobody = headers | {
        "authorization": f"Bearer {development_token(made.settings, 'ben', tenant='acme', acr=None)}"
    }
    question["subject"]["id"] = "ben"
    assert client.post("/access/v1/evaluation", json=question, headers=nobody).json() == {
        "decision": False
    }


def test_the_header_of_a_challenge(ragward):
    with pytest.raises(StepUpRequiredError) as caught:
        ragward.stewardship.document(ann(**WEAK), _found(ragward, "hers").document_id)
    scope = {"type": "http", "path": "/v1/documents/x"}
    answer = problem(scope, caught.value.code, caught.value.detail, step_up=caught.value)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="ragward", error="insufficient_user_authentication", acr_values="mfa phr", max_age="3600"'
    )


# What is demanded. --------------------------------------------------------------------------------------------------


def test_hours_are_of_utc_and_end():
    hours = Hours.parse("08:00-18:00")
    midnight = START // 86_400 * 86_400
    assert [hours.hold(midnight + 60 * m) for m in (479, 480, 1079, 1080)] == [
        False,
        True,
        True,
        False,
    ]
    assert hours.until(midnight + 8 * 3600) == midnight + 18 * 3600
    # 2027-01-18 was a Monday
    assert Hours.parse("00:00-24:00", ["mon"]).hold(1_800_273_600)
    assert not Hours.parse("00:00-24:00", ["tue", "sun"]).hold(1_800_273_600)
    demands = Demands(hours=hours)
    assert demands.lacks(ann(), midnight) == {Lack.HOURS}
    assert demands.until(ann(), midnight + 9 * 3600) == midnight + 18 * 3600


@pytest.mark.parametrize(
    "window",
    ["8-18", "18:00-08:00", "08:00-08:00", "08:60-18:00", "08:00-24:30", "25:00-26:00", ""],
)
def test_hours_that_are_none(window):
    with pytest.raises(ValueError, match="hours"):
        Hours.parse(window)


@pytest.mark.parametrize(
    "line",
    [
        'assurance = "strong"',
        "assurance = 2",
        "max_auth_age_seconds = 0",
        "max_auth_age_seconds = true",
        'device = "mine"',
        'zones = "office"',
        "sender_bound = 1",
        'hours = "9-5"',
        'days = ["mon"]',
        "mfa = true",
    ],
)
def test_demands_that_cannot_be_are_refused_at_start(tmp_path, line):
    text = (resource("policies") / "handling.toml").read_text()
    path = tmp_path / "handling.toml"
    path.write_text(text.split("demands = {")[0] + f"demands = {{ {line} }}\n")
    with pytest.raises(ConfigurationError):
        load_handling(path)


def test_without_a_line_restricted_demands_what_it_always_did(tmp_path):
    text = (resource("policies") / "handling.toml").read_text()
    path = tmp_path / "handling.toml"
    path.write_text(text.split("demands = {")[0])
    assert load_handling(path)[RESTRICTED].demanded == DEMANDS
    assert load_handling(resource("policies") / "handling.toml")[RESTRICTED].demanded == DEMANDS
    assert load_handling(path)[CONFIDENTIAL].demanded == Demands()


@pytest.mark.parametrize(
    "change",
    [
        (
            '[acts."policy:write"]\nassurance = "phishing-resistant"\nmax_auth_age_seconds = 900\n',
            "",
        ),
        ('[acts."key:rotate"]\nassurance = "phishing-resistant"\n', '[acts."key:rotate"]\n'),
        ('[acts."key:rotate"]', '[acts."key:turn"]'),
        ('[acts."reveal:*"]', '[more."reveal:*"]'),
    ],
    ids=["no policy", "no assurance", "unknown act", "unknown table"],
)
def test_acts_that_would_demand_too_little_are_refused_at_start(tmp_path, change):
    text = (resource("policies") / "assurance.toml").read_text()
    assert change[0] in text
    path = tmp_path / "assurance.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(ConfigurationError):
        load_act_demands(path)


def test_a_classification_that_demands_a_bound_token():
    demands = Demands(sender_bound=True)
    assert demands.lacks(ann(), START) == {Lack.SENDER_BOUND}
    assert not demands.lacks(ann(proof=proof(sender_bound=True)), START)


def test_networks_hold_addresses_not_texts():
    zones = Networks({"a": ["192.0.2.0/24"], "b": ["192.0.2.0/28", "::1/128"]})
    assert zones.of("192.0.2.1") == {"a", "b"}
    assert zones.of("192.0.2.77") == zones.of("::ffff:192.0.2.77") == {"a"}
    for nothing in ("", "192.0.2", "192.0.2.1/24", "::2", "localhost", "192.0.2.1\n"):
        assert zones.of(nothing) == frozenset()


def test_nothing_demanded_is_nothing_missing():
    assert not Assuring().standing(ann(proof=Proof(), auth_time=None), START).unmet
