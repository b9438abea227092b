"""Roles for a time and emergencies, in the hands of somebody who wants more, longer, or nobody to look."""

from __future__ import annotations

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from ragward.adapters.alerts import Alerts
from ragward.adapters.elevation_toml import load_elevation
from ragward.domain.access import Context, Deny
from ragward.domain.elevation import ElevationState
from ragward.domain.errors import (
    ConfigurationError,
    ConflictError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
    StepUpRequiredError,
    UnavailableError,
)
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.proof import Proof
from ragward.opening import resource
from tests import company
from tests.abuse.others import INTERNAL, document, installation, put
from tests.installation import opened

WHY = "an incident in production"
RULES = """
[requestable."role:acme/finance"]
max_minutes = 120
approvers = ["group:acme/security"]

[requestable."role:acme/deep"]
max_minutes = 120

[requestable."role:other/finance"]
max_minutes = 120

[emergency."role:acme/rescue"]
max_minutes = 60

[emergency."role:acme/powerful"]
max_minutes = 60

[emergency."role:acme/indirect"]
max_minutes = 60
"""


def row(subject, action, corpus="acme/*"):
    return PolicyRow(subject, action, corpus, "PUBLIC..RESTRICTED", "*", "allow")


ROWS = (
    *company.ROWS,
    row("role:acme/finance", "corpus:retrieve", "acme/vault"),
    row("role:acme/rescue", "corpus:retrieve", "acme/vault"),
    row("role:acme/powerful", "corpus:retrieve", "acme/vault"),
    row("role:acme/powerful", "policy:write"),
    row("role:acme/indirect", "corpus:retrieve", "acme/vault"),
    row("role:acme/keys", "key:*"),
    row("group:acme/staff", "access:request"),
    row("group:acme/staff", "access:emergency"),
    row("user:acme/boss", "access:approve"),
    row("user:acme/second", "access:approve"),
    row("user:acme/outsider", "access:approve"),
    row("user:acme/ann", "access:approve"),
    row("agent:acme/bot", "access:*"),
)
MEMBERSHIPS = (
    *company.MEMBERSHIPS,
    Membership("user:acme/boss", "group:acme/security"),
    Membership("user:acme/second", "group:acme/security"),
    Membership("user:acme/ann", "group:acme/security"),
    Membership("role:acme/indirect", "role:acme/keys"),
)
BEN, CAI, BOSS, SECOND = (company.subject(name) for name in ("ben", "cai", "boss", "second"))
ANN = company.subject("ann")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The installation, and the file where alerts arrive."""
    directory = tmp_path_factory.mktemp("elevation")
    policies = directory / "policies"
    shutil.copytree(resource("policies"), policies)
    (policies / "elevation.toml").write_text(RULES)
    with installation(directory, rows=ROWS, memberships=MEMBERSHIPS) as made:
        settings = made.settings
    alerts = directory / "alerts"
    settings = settings.model_copy(update={"policies_dir": policies, "alerts": (f"file:{alerts}",)})
    with opened(settings) as made:
        put(made, document("open", level=INTERNAL))
        put(
            made,
            document(
                "vault",
                corpus="vault",
                granted=["role:acme/finance", "role:acme/rescue"],
                level=INTERNAL,
            ),
        )
        yield made, alerts


@pytest.fixture
def ragward(everything):
    """Each test begins with nothing given, at a moment of its own."""
    made, _ = everything
    made.clock.seconds += 100_000
    yield made
    made.catalog.replace_policy("acme", ROWS, MEMBERSHIPS, "test")
    made.clock.seconds += 100_000
    for found in made.catalog.elevations("acme", limit=1000):
        if found.awaits_review:
            made.elevating.review(_other(found.member), found.elevation_id, "looked at by a test")


def _other(member):
    return SECOND if member == BOSS.principal else BOSS


def reads(ragward, subject):
    """Whether the vault is among what they may read, warm caches and all."""
    label_id = next(d.label_id for d in ragward.catalog.documents("acme") if d.corpus == "vault")
    decision = ragward.pdp.decide_labels(subject, Context(now=ragward.clock.now()))
    return not isinstance(decision, Deny) and decision.admits(label_id)


def requested(ragward, subject=BEN, minutes=60, role="role:acme/finance"):
    return ragward.elevating.request(subject, role, minutes, WHY)


def approved(ragward, found, by=BOSS, **given):
    return ragward.elevating.decide(by, found.elevation_id, approve=True, reason=WHY, **given)


def refused(code, act, *given, **named):
    with pytest.raises(RagwardError) as caught:
        act(*given, **named)
    assert caught.value.code == code


def test_a_role_for_a_time_begins_with_the_approval_and_ends_with_the_clock(ragward):
    assert not reads(ragward, BEN)
    found = requested(ragward)
    assert not reads(ragward, BEN)
    given = approved(ragward, found)
    assert reads(ragward, BEN)
    assert not reads(ragward, CAI)
    permit = ragward.pdp.decide_labels(BEN, Context(now=ragward.clock.now()))
    assert permit.not_after == given.not_after == ragward.clock.now() + 3600
    ragward.clock.seconds += 3599
    assert reads(ragward, BEN)
    ragward.clock.seconds += 1  # nothing is written, nothing is swept
    assert not reads(ragward, BEN)
    state = ragward.catalog.elevation("acme", found.elevation_id).state(ragward.clock.now())
    assert state is ElevationState.ENDED


def test_an_ended_role_stays_ended_in_every_cache_and_after_a_restart(ragward):
    approved(ragward, requested(ragward, minutes=1))
    for seconds, expected in (
        (0, True),
        (59, True),
        (1, False),
        (0, False),
        (-1, True),
        (2, False),
    ):
        ragward.clock.seconds += seconds
        assert reads(ragward, BEN) is expected


def test_revoked_is_revoked_at_once(ragward):
    for by in (BOSS, BEN, SECOND):
        found = approved(ragward, requested(ragward))
        assert reads(ragward, BEN)
        ragward.elevating.revoke(by, found.elevation_id, WHY)
        assert not reads(ragward, BEN)
        refused("elevation.state", ragward.elevating.revoke, by, found.elevation_id, WHY)
        refused("elevation.state", approved, ragward, found, SECOND)


def test_nobody_approves_their_own(ragward):
    found = requested(ragward, ANN)  # who may approve others'
    refused("elevation.second_person", approved, ragward, found, ANN)
    refused(
        "elevation.second_person",
        ragward.elevating.decide,
        ANN,
        found.elevation_id,
        approve=False,
        reason=WHY,
    )
    assert not reads(ragward, ANN)
    assert approved(ragward, found, BOSS)


def test_no_agent_and_no_application_asks_or_decides(ragward):
    found = requested(ragward)
    agent = dataclasses.replace(BOSS, agents=("agent:acme/bot",))
    alone = dataclasses.replace(BOSS, principal="app:acme/portal")
    for subject in (agent, alone):
        refused("elevation.second_person", approved, ragward, found, subject)
        refused(
            "elevation.second_person",
            ragward.elevating.request,
            subject,
            "role:acme/finance",
            1,
            WHY,
        )
        refused(
            "elevation.second_person",
            ragward.elevating.declare_emergency,
            subject,
            "role:acme/rescue",
            1,
            WHY,
        )
        refused(
            "elevation.second_person", ragward.elevating.revoke, subject, found.elevation_id, WHY
        )
        refused(
            "elevation.second_person", ragward.elevating.review, subject, found.elevation_id, WHY
        )
    assert not reads(ragward, BEN)


def test_who_may_not_approve_does_not_learn_of_requests(ragward):
    found = requested(ragward)
    for elevation_id in (found.elevation_id, "00000000-0000-0000-0000-000000000000", "\x00"):
        refused(
            "access.not_found",
            ragward.elevating.decide,
            CAI,
            elevation_id,
            approve=True,
            reason=WHY,
        )
        refused("access.not_found", ragward.elevating.revoke, CAI, elevation_id, WHY)
        refused("access.not_found", ragward.elevating.review, CAI, elevation_id, WHY)
    assert ragward.elevating.elevations(CAI) == []
    assert found in ragward.elevating.elevations(BEN)
    assert found in ragward.elevating.elevations(BOSS)


def test_the_right_alone_is_not_enough_where_a_group_is_named(ragward):
    refused(
        "elevation.second_person",
        approved,
        ragward,
        requested(ragward),
        company.subject("outsider"),
    )


def test_who_is_an_approver_for_a_time_only_makes_nobody_else_something(ragward):
    """The group that approves counts by lasting memberships."""
    memberships = [m for m in MEMBERSHIPS if m.member != "user:acme/second"]
    memberships.append(Membership("role:acme/deep", "group:acme/security"))
    rows = [*ROWS, row("role:acme/deep", "access:approve")]
    ragward.catalog.replace_policy("acme", rows, memberships, "test")
    approved(ragward, requested(ragward, CAI, role="role:acme/deep"))
    refused("elevation.second_person", approved, ragward, requested(ragward), CAI)


@pytest.mark.parametrize("minutes", [0, -1, 121, 10**9])
def test_not_longer_than_policy_says(ragward, minutes):
    refused("elevation.not_requestable", requested, ragward, minutes=minutes)


@pytest.mark.parametrize("minutes", [0, -5, 31, 10**9])
def test_an_approval_gives_no_more_than_was_asked(ragward, minutes):
    found = requested(ragward, minutes=30)
    refused("elevation.not_requestable", approved, ragward, found, minutes=minutes)
    assert approved(ragward, found, minutes=10).not_after == ragward.clock.now() + 600


@pytest.mark.parametrize(
    "role",
    [
        "role:acme/administrator",
        "group:acme/hr",
        "role:other/finance",
        "role:acme/rescue",
        "",
        "compartment:acme/case",
        "role:acme/none",
    ],
)
def test_only_what_policy_names_can_be_asked_for(ragward, role):
    refused("elevation.not_requestable", requested, ragward, role=role)


def test_asking_needs_the_right_and_a_reason(ragward):
    refused("access.denied", requested, ragward, company.subject("stranger"))
    for reason in ("", "short", "x" * 501, "because\nof this"):
        with pytest.raises(InvalidRequestError):
            ragward.elevating.request(BEN, "role:acme/finance", 10, reason)


def test_deciding_twice_is_deciding_once(ragward):
    found = requested(ragward)
    approved(ragward, found)
    refused("elevation.state", approved, ragward, found, SECOND)
    other = requested(ragward)
    ragward.elevating.decide(BOSS, other.elevation_id, approve=False, reason=WHY)
    refused("elevation.state", approved, ragward, other, SECOND)


def test_a_stale_read_does_not_put_back_what_was_revoked(ragward):
    found = approved(ragward, requested(ragward))
    ragward.elevating.revoke(BOSS, found.elevation_id, WHY)
    longer = dataclasses.replace(found, not_after=found.not_after + 10**6)
    with pytest.raises(ConflictError):
        ragward.catalog.change_elevation(found, longer)
    assert not reads(ragward, BEN)


def test_approving_wants_phishing_resistant_recent_proof(ragward):
    found = requested(ragward)
    for weak in ({"proof": Proof()}, {"auth_time": ragward.clock.now() - 900}, {"auth_time": None}):
        with pytest.raises(StepUpRequiredError):
            approved(ragward, found, dataclasses.replace(BOSS, **weak))
    assert not reads(ragward, BEN)


def test_another_tenants_requests_are_not_there(ragward):
    found = requested(ragward)
    stranger = dataclasses.replace(BOSS, tenant="other", principal="user:other/boss")
    with pytest.raises((NotFoundError, UnavailableError)):
        approved(ragward, found, stranger)


def test_a_role_whose_memberships_would_be_too_deep_gives_nothing(ragward):
    """pycasbin stops following `g` after ten hops: a deny beyond them would silently not count."""
    chain = [
        Membership(f"role:acme/{a}", f"role:acme/{b}")
        for a, b in zip(("deep", *"abcdefgh"), [*"abcdefgh", "end"], strict=True)
    ]
    ragward.catalog.replace_policy("acme", ROWS, [*MEMBERSHIPS, *chain], "test")
    refused("elevation.not_requestable", requested, ragward, role="role:acme/deep")
    ragward.catalog.replace_policy("acme", ROWS, [*MEMBERSHIPS, *chain[:-1]], "test")
    approved(ragward, requested(ragward, role="role:acme/deep"))
    ragward.catalog.replace_policy(
        "acme", ROWS, [*MEMBERSHIPS, *chain], "test"
    )  # deepened afterwards
    assert not reads(ragward, BEN)
    assert ragward.pdp.decide_labels(
        ANN, Context(now=ragward.clock.now())
    )  # and nobody else is locked out


# Emergencies. -------------------------------------------------------------------------------------------------------


def emergency(ragward, subject=BEN, role="role:acme/rescue", minutes=30):
    return ragward.elevating.declare_emergency(subject, role, minutes, WHY)


def test_an_emergency_alerts_first_holds_at_once_and_is_reviewed(ragward, everything):
    made = emergency(ragward)
    assert reads(ragward, BEN)
    alert = json.loads(everything[1].read_text().splitlines()[-1])
    assert (alert["member"], alert["role"], alert["reason"]) == (
        "user:acme/ben",
        "role:acme/rescue",
        WHY,
    )
    refused(
        "elevation.state", ragward.elevating.review, BOSS, made.elevation_id, WHY
    )  # not while it goes on
    ragward.clock.seconds += 1800
    assert not reads(ragward, BEN)
    done = ragward.elevating.review(BOSS, made.elevation_id, "only the incident's documents")
    assert not done.awaits_review
    refused("elevation.state", ragward.elevating.review, SECOND, made.elevation_id, WHY)


@pytest.mark.parametrize("where", ["nowhere", "unwritable", "unreachable", "one of two"])
def test_no_alert_no_emergency(ragward, tmp_path, where):
    places = {
        "nowhere": (),
        "unwritable": (f"file:{tmp_path}/missing/alerts",),
        "unreachable": ("http://127.0.0.1:9/alerts",),
        "one of two": (f"file:{tmp_path}/alerts", f"file:{tmp_path}/missing/alerts"),
    }[where]
    flow = ragward.elevating
    quiet = type(flow)(dataclasses.replace(flow._ports, alarm=Alerts(places)))
    refused("unavailable.alert", quiet.declare_emergency, BEN, "role:acme/rescue", 10, WHY)
    assert not reads(ragward, BEN)
    assert not any(e.awaits_review for e in ragward.catalog.elevations("acme", limit=100))


def test_one_emergency_at_a_time_and_none_before_the_review(ragward):
    made = emergency(ragward)
    refused("elevation.unreviewed", emergency, ragward)
    ragward.elevating.revoke(BEN, made.elevation_id, "it is over already")
    refused("elevation.unreviewed", emergency, ragward)
    ragward.clock.seconds += 10**5
    refused("elevation.unreviewed", emergency, ragward)
    assert emergency(ragward, CAI)  # somebody else's is another matter
    ragward.elevating.review(BOSS, made.elevation_id, WHY)
    assert emergency(ragward)


def test_two_at_the_same_time_are_one(ragward):
    def one(_):
        try:
            return emergency(ragward)
        except ConflictError:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [found for found in pool.map(one, range(8)) if found]
    assert len(made) == 1


def test_nobody_closes_their_own_review(ragward):
    made = emergency(ragward, ANN)
    ragward.clock.seconds += 3600
    refused("elevation.second_person", ragward.elevating.review, ANN, made.elevation_id, WHY)
    refused(
        "elevation.second_person",
        ragward.elevating.review,
        dataclasses.replace(ANN, agents=("agent:acme/bot",)),
        made.elevation_id,
        WHY,
    )
    assert ragward.catalog.elevation("acme", made.elevation_id).awaits_review


@pytest.mark.parametrize("minutes", [0, -1, 61, 10**6])
def test_an_hour_at_most(ragward, minutes):
    refused("elevation.not_requestable", emergency, ragward, minutes=minutes)


@pytest.mark.parametrize("role", ["role:acme/powerful", "role:acme/indirect"])
def test_no_emergency_gives_policy_keys_or_the_log(ragward, role):
    refused("elevation.not_requestable", emergency, ragward, role=role)


@pytest.mark.parametrize(
    "action",
    [
        "policy:*",
        "key:rotate",
        "audit:read",
        "access:approve",
        "application:write",
        "directory:*",
        "pseudonym:erase",
    ],
)
def test_an_emergency_role_that_is_made_powerful_afterwards_gives_nothing(ragward, action):
    emergency(ragward)
    assert reads(ragward, BEN)
    ragward.catalog.change_policy("acme", add_rows=[row("role:acme/rescue", action)], author="test")
    assert not reads(ragward, BEN)
    ragward.catalog.change_policy(
        "acme", remove_rows=[row("role:acme/rescue", action)], author="test"
    )
    assert reads(ragward, BEN)
    ragward.catalog.change_policy(
        "acme",
        add_rows=[row("group:acme/more", action)],
        add_memberships=[Membership("role:acme/rescue", "group:acme/more")],
        author="test",
    )
    assert not reads(ragward, BEN)


@pytest.mark.parametrize(
    "role", ["role:other/rescue", "role:acme/finance", "role:acme/administrator", ""]
)
def test_emergency_roles_are_written_beforehand_and_of_this_tenant(ragward, role):
    refused("elevation.not_requestable", emergency, ragward, role=role)


def test_an_emergency_wants_proof_and_a_right(ragward):
    for weak in ({"proof": Proof()}, {"auth_time": ragward.clock.now() - 900}):
        with pytest.raises(StepUpRequiredError):
            emergency(ragward, dataclasses.replace(BEN, **weak))
    with pytest.raises(DeniedError):
        emergency(ragward, company.subject("stranger"))
    assert not reads(ragward, BEN)


def test_everything_is_on_record_before_it_holds(ragward):
    made = emergency(ragward)
    events = [json.loads(entry.data) for entry in ragward.audit.entries(limit=100_000)]
    mine = [e for e in events if e["details"].get("elevation") == made.elevation_id]
    assert [e["details"]["act"] for e in mine] == ["emergency"]
    assert mine[0]["type"] == "elevation.changed"


@pytest.mark.parametrize(
    "text",
    [
        '[emergency."role:acme/rescue"]\nmax_minutes = 61',
        '[emergency."role:acme/rescue"]\nmax_minutes = 0',
        '[emergency."role:acme/rescue"]\n',
        '[emergency."group:acme/rescue"]\nmax_minutes = 5',
        '[requestable."user:acme/ann"]\nmax_minutes = 5',
        '[requestable."role:acme/x"]\nmax_minutes = 10081',
        '[requestable."role:acme/x"]\nmax_minutes = true',
        '[requestable."role:acme/x"]\nmax_minutes = 5\napprovers = "group:acme/y"',
        '[requestable."role:acme/x"]\nmax_minutes = 5\napprovers = ["everybody"]',
        '[requestable."role:acme/x"]\nmax_minutes = 5\nemergency = true',
        '[roles."role:acme/x"]\nmax_minutes = 5',
        "requestable = 1",
        "[",
    ],
)
def test_rules_that_cannot_be_are_refused_at_start(tmp_path, text):
    path = tmp_path / "elevation.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        load_elevation(path)


def test_as_shipped_nothing_can_be_had():
    rules = load_elevation(resource("policies") / "elevation.toml")
    assert not rules.requestable
    assert not rules.emergency
