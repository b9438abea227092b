"""Agents that reach for more than they were lent, and keys that outlive their owners: every way we know, and how each is refused."""

from __future__ import annotations

import dataclasses
import json
import threading
from contextlib import suppress

import pytest
from sqlalchemy import create_engine, text

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.identity_tasks import TaskGrantVerifier
from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.domain.access import Credentials, Deny
from ragward.domain.agent_events import AgentEvent, AgentEventKind
from ragward.domain.errors import (
    DeniedError,
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    RagwardError,
    UnauthenticatedError,
)
from ragward.domain.identities import DAY, Agent, Custody, Finding
from ragward.domain.labels import AccessLabel
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership
from ragward.opening import resource
from ragward.task_budgets import TaskBudgets
from tests import company
from tests.abuse.agents_world import (
    BOT,
    CONFIDENTIAL,
    INTERNAL,
    OTHER_BOT,
    PUBLIC,
    RESTRICTED,
    application,
    open_world,
    soon,
    with_row,
)

STEWARD = company.subject("steward")


@pytest.fixture(scope="module")
def opened_world(tmp_path_factory):
    world = open_world(tmp_path_factory.mktemp("agents"))
    with world.ragward:
        yield world


@pytest.fixture
def world(opened_world):
    """The clock is put back after each test."""
    at = opened_world.clock.seconds
    yield opened_world
    opened_world.clock.seconds = at


def refused(call, code="auth.task_grant"):
    with pytest.raises(RagwardError) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def last_event(world, kind):
    events = [json.loads(entry.data) for entry in world.ragward.audit.entries(limit=10_000)]
    return [event for event in events if event["type"] == kind][-1]


# Less than the person, less than the agent, less than the task. --------------------------------------------------------


def test_an_agent_sees_what_the_person_and_the_task_and_the_agent_permit(world):
    _, secret = world.mint()
    alone, acting = world.ask(world.credentials("ann")), world.ask(world.credentials("ann", BOT))
    under = world.ask(world.credentials("ann", BOT, grant=secret))
    assert under == {"hr/public", "hr/internal", "hr/person"}
    assert under < acting < alone
    assert last_event(world, "retrieval.answered")["actor"]["task"] == secret.split("_")[1]


def test_an_agent_does_not_exceed_the_person(world):
    _, secret = world.mint("cai", corpora=frozenset({"eng"}))
    theirs = world.ask(world.credentials("cai"))
    assert world.ask(world.credentials("cai", BOT, grant=secret)) < theirs
    refused(
        lambda: world.mint("cai", corpora=frozenset({"hr"}), ceiling=RESTRICTED), "access.denied"
    )


def test_an_agent_does_not_exceed_itself_by_a_task(world):
    _, secret = world.mint(ceiling=RESTRICTED)
    found = world.ask(world.credentials("ann", BOT, grant=secret))
    assert "hr/confidential" in found
    assert "hr/restricted" not in found


def test_who_minted_without_proof_lends_no_step_up(world):
    proven = world.subject("ann")
    for by, expected in ((proven, True), (dataclasses.replace(proven, auth_time=None), False)):
        grant, _ = world.mint(by=by)
        assert grant.stepped_up is expected


def test_a_task_does_not_widen_the_application(world):
    world.ragward.catalog.save_application(
        dataclasses.replace(application("kiosk"), ceiling=PUBLIC), key_prefix=None, key_sha256=None
    )
    _, secret = world.mint(application="app:acme/kiosk")
    credentials = world.credentials("ann", BOT, grant=secret, key=world.kiosk_key, client="kiosk")
    assert world.ask(credentials) == {"hr/public"}


def test_a_task_shows_no_personal_data_that_it_does_not_lend(world):
    def removed(grant):
        request = RetrievalRequest(query="reached by", corpora=("hr",), limit=50)
        answer = world.ragward.retrieve(world.credentials("ann", BOT, grant=grant), request)
        found = [p for p in answer.passages if p.source == "hr/person"]
        return sum(found[0].removed.values())

    lent = frozenset({"corpus:retrieve", "reveal:EMAIL_ADDRESS"})
    assert removed(None) == 0
    assert removed(world.mint()[1]) == 1
    assert removed(world.mint(actions=lent)[1]) == 0


def test_a_task_is_for_its_actions_only(world):
    _, secret = world.mint(actions=frozenset({"corpus:retrieve"}))
    subject = world.subject("steward")
    label = AccessLabel(tenant="acme", corpus="hr", classification=INTERNAL)
    context = world.clock.context()
    agent = dataclasses.replace(subject, agents=(BOT,))
    assert world.ragward.pdp.decide(agent, "document:delete", label, context)
    under = world.subject("ann", BOT, grant=secret)
    borrowed = dataclasses.replace(agent, task=under.task)
    assert not world.ragward.pdp.decide(borrowed, "document:delete", label, context)
    assert not world.ragward.pdp.labels_for(borrowed, "document:delete", context)
    assert world.ragward.pdp.labels_for(agent, "document:delete", context)


def test_whoever_loses_access_takes_the_task_with_them(world):
    _, secret = world.mint("ben", corpora=frozenset({"eng"}), ceiling=CONFIDENTIAL)
    credentials = world.credentials("ben", BOT, grant=secret)
    assert "eng/confidential" in world.ask(credentials)
    lost = [Membership("user:acme/ben", "group:acme/eng")]
    catalog = world.ragward.catalog
    catalog.change_policy("acme", remove_memberships=lost, author="user:acme/root")
    try:
        assert world.ask(credentials) == set()
    finally:
        catalog.change_policy("acme", add_memberships=lost, author="user:acme/root")


# Somebody else's grant. ------------------------------------------------------------------------------------------------


def test_a_grant_is_not_another_agents(world):
    _, secret = world.mint()
    refused(lambda: world.ask(world.credentials("ann", OTHER_BOT, grant=secret)))
    refused(lambda: world.ask(world.credentials("ann", OTHER_BOT, BOT, grant=secret)))
    event = last_event(world, "identity.refused")
    assert event["details"]["code"] == "auth.task_grant"


def test_a_grant_is_not_the_persons_own(world):
    _, secret = world.mint()
    refused(lambda: world.ask(world.credentials("ann", grant=secret)))


def test_a_grant_does_not_go_with_another_persons_token(world):
    _, secret = world.mint()
    for name in ("ben", "dot", "steward"):
        refused(lambda name=name: world.ask(world.credentials(name, BOT, grant=secret)))


def test_a_grant_does_not_go_through_another_application(world):
    _, secret = world.mint()
    other = world.credentials("ann", BOT, grant=secret, key=world.kiosk_key, client="kiosk")
    refused(lambda: world.ask(other))


def test_a_grant_is_nothing_in_another_tenant(world):
    grant, secret = world.mint()
    subject = dataclasses.replace(
        world.subject("ann", BOT),
        tenant="globex",
        principal="user:globex/ann",
        agents=("agent:globex/bot",),
    )

    class Elsewhere:
        def verify(self, _credentials):
            return subject

    catalog = world.ragward.catalog
    verifier = TaskGrantVerifier(Elsewhere(), catalog, world.clock, agents=catalog, required=False)
    refused(lambda: verifier.verify(Credentials(untrusted_task_grant=secret)))
    with pytest.raises(NotFoundError):
        world.ragward.task_grants.show(dataclasses.replace(subject, agents=()), grant.grant_id)


def test_a_grant_without_a_person_is_nothing(world):
    _, secret = world.mint()
    alone = Credentials(untrusted_authorization=world.key, untrusted_task_grant=secret)
    refused(lambda: world.ragward.identify(alone))


@pytest.mark.parametrize("guess", ["other", "truncated", "id", "empty", "long", "nul", "quote"])
def test_a_secret_is_not_guessed(world, guess):
    grant, secret = world.mint()
    other, _ = world.mint()
    assert world.ask(world.credentials("ann", BOT, grant=secret))  # it is remembered from here on
    tried = {
        "other": secret.replace(grant.grant_id, other.grant_id),
        "truncated": secret[:-1],
        "id": f"rgt_{grant.grant_id}_",
        "empty": "",
        "long": secret + "A" * 300,
        "nul": f"rgt_\0_{secret}",
        "quote": "rgt_' OR '1'='1_x",
    }[guess]
    refused(lambda: world.ask(world.credentials("ann", BOT, grant=tried)))
    assert world.ask(world.credentials("ann", BOT, grant=secret))


# Longer, wider, again. -------------------------------------------------------------------------------------------------


def test_an_expired_grant_is_refused_while_its_permit_is_warm(world):
    grant, secret = world.mint(minutes=5)
    credentials = world.credentials("ann", BOT, grant=secret)
    verified = world.ragward.identify(credentials)
    assert world.ask(credentials)
    permit = world.ragward.pdp.decide_labels(verified, world.clock.context())
    assert permit
    assert permit.not_after <= grant.not_after
    world.clock.seconds = grant.not_after - 1
    assert world.ask(credentials)
    world.clock.seconds = grant.not_after
    refused(lambda: world.ask(credentials))
    decision = world.ragward.pdp.decide_labels(verified, world.clock.context())
    assert isinstance(decision, Deny)


def test_a_revoked_grant_is_worth_nothing_to_the_next_answer_of_any_worker(world):
    grant, secret = world.mint()
    credentials = world.credentials("ann", BOT, grant=secret)
    verified, context = world.ragward.identify(credentials), world.clock.context()
    second_catalog = SQLCatalog.open(world.ragward.settings.catalog_url)
    second = CasbinPolicyDecisionPoint(
        second_catalog,
        model_text=(resource("policies") / "model.conf").read_text(),
        entity_types=frozenset({"PERSON"}),
    )
    try:
        assert world.ask(credentials)
        assert second.decide_labels(verified, context)
        world.ragward.task_grants.revoke(world.subject("ann"), grant.grant_id)
        refused(lambda: world.ask(credentials))
        # Also of those verified before it was revoked.
        assert not second.decide_labels(verified, context)
        assert not world.ragward.pdp.decide_labels(verified, context)
        label = AccessLabel(
            tenant="acme",
            corpus="hr",
            classification=PUBLIC,
            granted=frozenset({"group:acme/staff"}),
        )
        assert not second.decide(verified, "corpus:retrieve", label, context)
    finally:
        second_catalog.close()


def test_terms_changed_on_the_way_are_not_believed(world):
    _, secret = world.mint()
    verified, context = world.subject("ann", BOT, grant=secret), world.clock.context()
    assert world.ragward.pdp.decide_labels(verified, context)
    for change in (
        {"ceiling": RESTRICTED},
        {"corpora": frozenset({"hr", "eng"})},
        {"not_after": 2**40},
        {"grant_id": "unknown"},
    ):
        assert not world.ragward.pdp.decide_labels(with_row(verified, **change), context)


@pytest.mark.parametrize(
    "edit",
    [
        "not_after = not_after + 100000",
        "not_before = 0",
        "ceiling = 3",
        """corpora = '["eng", "fin", "hr"]'""",
        """actions = '["corpus:retrieve", "document:delete"]'""",
        "budget_tokens = budget_tokens * 10",
        "agent = 'agent:acme/other'",
        "minted_by = 'user:acme/dot'",
        "application = 'app:acme/kiosk'",
        "stepped_up = NOT stepped_up",
        "purpose = 'support'",
    ],
)
def test_a_grant_that_was_edited_in_the_database_is_worth_nothing(world, edit):
    grant, secret = world.mint()
    credentials = world.credentials("ann", BOT, grant=secret)
    assert world.ask(credentials)
    edited(world, f"UPDATE task_grants SET {edit} WHERE grant_id = :id", id=grant.grant_id)
    for who in (
        credentials,
        world.credentials("ann", OTHER_BOT, grant=secret),
        world.credentials("dot", BOT, grant=secret),
        world.credentials("ann", BOT, grant=secret, key=world.kiosk_key, client="kiosk"),
    ):
        refused(lambda who=who: world.ask(who))


def test_a_revocation_is_not_undone_in_the_database(world):
    grant, secret = world.mint()
    assert world.ask(world.credentials("ann", BOT, grant=secret))
    world.ragward.task_grants.revoke(world.subject("ann"), grant.grant_id)
    edited(
        world,
        "UPDATE task_grants SET revoked_at = NULL, revoked_by = NULL WHERE grant_id = :id",
        id=grant.grant_id,
    )
    refused(lambda: world.ask(world.credentials("ann", BOT, grant=secret)))


def edited(world, statement, **values):
    engine = create_engine(world.ragward.settings.catalog_url)
    with engine.begin() as connection:
        assert connection.execute(text(statement), values).rowcount == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "more", "code"),
    [
        ("ann", {"corpora": frozenset({"hr", "eng"}), "ceiling": CONFIDENTIAL}, "access.denied"),
        ("ben", {"ceiling": CONFIDENTIAL}, "access.denied"),
        ("cai", {"corpora": frozenset({"fin"}), "ceiling": PUBLIC}, "access.denied"),
        ("ann", {"corpora": frozenset({"nothing"}), "ceiling": RESTRICTED}, "access.denied"),
        ("ann", {"actions": frozenset({"document:delete"})}, "access.denied"),
        ("cai", {"actions": frozenset({"corpus:retrieve", "reveal:US_SSN"})}, "access.denied"),
        ("steward", {"actions": frozenset({"policy:write"})}, "request.invalid"),
        ("steward", {"actions": frozenset({"application:write"})}, "request.invalid"),
        ("steward", {"actions": frozenset({"*"})}, "request.invalid"),
        ("ann", {"actions": frozenset({"reveal:*"})}, "request.invalid"),
        ("ann", {"actions": frozenset()}, "request.invalid"),
        ("ann", {"corpora": frozenset()}, "request.invalid"),
        ("ann", {"corpora": frozenset({"*"})}, "label.invalid"),
        ("ann", {"minutes": 61}, "request.invalid"),
        ("ann", {"minutes": 0}, "request.invalid"),
        ("ann", {"budget_tokens": 0}, "request.invalid"),
        ("ann", {"budget_tokens": 2**40}, "request.invalid"),
        ("ann", {"agent": "user:acme/ben"}, "principal.invalid"),
        ("ann", {"agent": "agent:globex/bot"}, "principal.invalid"),
        ("ann", {"application": "app:acme/unknown"}, "request.invalid"),
        ("ann", {"purpose": "made-up"}, "request.invalid"),
        ("ann", {"reason": "short"}, "request.invalid"),
    ],
)
def test_nobody_lends_more_than_they_have(world, name, more, code):
    before = len(world.ragward.catalog.task_grants("acme", limit=10_000))
    refused(lambda: world.mint(name, **more), code)
    assert len(world.ragward.catalog.task_grants("acme", limit=10_000)) == before
    assert world.mint("ann")  # or the test would pass where nobody may mint


def test_agents_and_applications_do_not_mint(world):
    _, secret = world.mint()
    alone = world.ragward.identify(Credentials(untrusted_authorization=world.key))
    for by in (
        world.subject("ann", BOT),
        world.subject("ann", BOT, grant=secret),
        dataclasses.replace(world.subject("ann", BOT, grant=secret), agents=()),
        alone,
    ):
        refused(lambda by=by: world.mint(by=by), "access.denied")
        event = last_event(world, "request.refused")
        assert event["details"]["action"] == "task_grant:mint"


def test_agents_neither_see_nor_revoke_grants_and_others_get_the_same_as_for_none(world):
    grant, _ = world.mint()
    flow = world.ragward.task_grants
    for by in (world.subject("ann", BOT), world.subject("ben")):
        for call in (flow.show, flow.revoke):
            with pytest.raises(NotFoundError) as theirs:
                call(by, grant.grant_id)
            with pytest.raises(NotFoundError) as none:
                call(by, "0" * 32)
            assert str(theirs.value) == str(none.value)
        assert grant.grant_id not in {each.grant.grant_id for each in flow.grants(by)}
    assert flow.show(world.subject("ann"), grant.grant_id).grant == grant
    assert grant.grant_id in {each.grant.grant_id for each in flow.grants(STEWARD, limit=1000)}
    assert flow.revoke(STEWARD, grant.grant_id).revoked_by == "user:acme/steward"


def test_a_purpose_that_was_lent_is_the_only_one(world):
    _, secret = world.mint(purpose="support")
    credentials = world.credentials("ann", BOT, grant=secret)
    assert world.ask(credentials)
    assert world.ask(credentials, purpose="support")
    refused(lambda: world.ask(credentials, purpose="analytics"), "request.invalid")


# Budgets. --------------------------------------------------------------------------------------------------------------


def spent(world, grant):
    return world.ragward.catalog.task_grant("acme", grant.grant_id).spent_tokens


def asked_once(world, credentials):
    """What one answer took of the budget."""
    assert world.ask(credentials)
    return last_event(world, "retrieval.answered")["details"]["task_tokens"]


def test_a_budget_holds_across_answers(world):
    grant, secret = world.mint()
    credentials = world.credentials("ann", BOT, grant=secret)
    once = asked_once(world, credentials)
    assert once > 0
    part = grant.budget_tokens // 32  # what the process took is more than it used, and used first
    assert spent(world, grant) == part > 2 * once
    assert asked_once(world, credentials) == once
    assert spent(world, grant) == part
    small, secret = world.mint(budget_tokens=2 * once + 1)
    credentials = world.credentials("ann", BOT, grant=secret)
    assert world.ask(credentials)
    assert world.ask(credentials)
    error = refused(lambda: world.ask(credentials), "limit.task_budget")
    assert isinstance(error, LimitExceededError)
    assert spent(world, small) == 2 * once


def test_answers_at_the_same_time_do_not_both_have_the_last_of_a_budget(world):
    _, secret = world.mint()
    once = asked_once(world, world.credentials("ann", BOT, grant=secret))
    grant, secret = world.mint(budget_tokens=3 * once + once // 2)
    credentials = world.credentials("ann", BOT, grant=secret)
    outcomes = []
    start = threading.Barrier(8)

    def ask():
        start.wait()
        try:
            outcomes.append(bool(world.ask(credentials)))
        except RagwardError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["True"] * 3 + ["limit.task_budget"] * 5
    assert spent(world, grant) == 3 * once


def test_workers_together_never_carry_more_than_a_budget(world):
    """Each takes parts of its own."""
    grant, secret = world.mint(budget_tokens=5_000)
    credentials = world.credentials("ann", BOT, grant=secret)
    passages = world.ragward.retrieve(credentials, "voltage laboratory").passages
    subject = world.ragward.identify(credentials)
    workers = [TaskBudgets(store=world.ragward.catalog) for _ in range(3)]
    carried = asked_once(world, credentials)
    with suppress(LimitExceededError):
        for turn in range(10_000):
            carried += workers[turn % 3].reserve(subject, passages)
    assert 0.8 * grant.budget_tokens < carried <= spent(world, grant) <= grant.budget_tokens


def test_a_budget_that_cannot_be_reserved_answers_nothing(world, monkeypatch):
    _, secret = world.mint()
    credentials = world.credentials("ann", BOT, grant=secret)
    monkeypatch.setattr(SQLCatalog, "spend_task_tokens", lambda *_a, **_k: False)
    refused(lambda: world.ask(credentials), "limit.task_budget")


# Chains and agents' keys. ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("longest", "ok"), [(0, ()), (1, (BOT,)), (3, (BOT, OTHER_BOT, BOT))])
def test_a_chain_that_is_too_long_is_refused(world, longest, ok):
    verifier = world.verifier(max_agents=longest)
    assert verifier.verify(world.credentials("ann", *ok)).agents == ok
    with pytest.raises(UnauthenticatedError):
        verifier.verify(world.credentials("ann", *ok, BOT))


def test_agents_can_be_made_to_bring_a_grant(world):
    inner, catalog = world.ragward.identity._inner, world.ragward.catalog
    strict = TaskGrantVerifier(inner, catalog, world.clock, agents=catalog, required=True)
    _, secret = world.mint()
    refused(lambda: strict.verify(world.credentials("ann", BOT)))
    assert strict.verify(world.credentials("ann", BOT, grant=secret)).task
    assert strict.verify(world.credentials("ann")).agents == ()


def registered(world, principal=BOT, *, client="portal", with_key=True, ends=None):
    agent = Agent(
        principal=principal, tenant="acme", client_id=client, expires_at=ends or soon(world)
    )
    custody = Custody(owner="user:acme/steward", purpose="answers tickets")
    return world.ragward.identities.register_agent(STEWARD, agent, custody, with_key=with_key)


def test_an_agents_key_is_the_agent(world):
    key = registered(world)
    acting = world.ask(world.credentials("ann", BOT))
    assert world.ask(world.credentials("ann", key=key)) == acting
    assert world.subject("ann", key=key).agents == (BOT,)
    assert world.subject("ann", BOT, key=key).agents == (BOT,)  # not twice
    assert world.subject("ann", OTHER_BOT, key=key).agents == (BOT, OTHER_BOT)
    _, secret = world.mint()
    assert world.ask(world.credentials("ann", key=key, grant=secret)) < acting


def test_an_agents_key_alone_reads_public_content_only(world):
    key = registered(world)
    subject = world.ragward.identify(Credentials(untrusted_authorization=key))
    assert subject.is_application_alone
    assert subject.agents == (BOT,)
    label = AccessLabel(
        tenant="acme",
        corpus="hr",
        classification=INTERNAL,
        granted=frozenset({subject.principal}),
    )
    assert not world.ragward.pdp.decide(subject, "corpus:retrieve", label, world.clock.context())


def test_an_agents_key_does_not_take_anothers_grant_or_lengthen_a_chain(world):
    key = registered(world, OTHER_BOT)
    _, secret = world.mint()
    refused(lambda: world.subject("ann", key=key, grant=secret))
    refused(lambda: world.subject("ann", BOT, key=key, grant=secret))
    with pytest.raises(UnauthenticatedError):
        world.subject("ann", BOT, OTHER_BOT, BOT, key=key)


def test_an_agents_key_does_not_go_with_a_token_of_another_application(world):
    key = registered(world)
    refused(lambda: world.subject("ann", key=key, client="kiosk"), "auth.application_mismatch")


def test_an_expired_agent_is_nobody_in_a_token_or_with_a_key(world):
    key = registered(world, "agent:acme/brief", ends=world.clock.now() + 60)
    assert world.subject("ann", "agent:acme/brief").not_after == world.clock.now() + 60
    assert world.subject("ann", key=key)
    world.clock.seconds += 60
    for call in (
        lambda: world.subject("ann", "agent:acme/brief"),
        lambda: world.subject("ann", BOT, "agent:acme/brief"),
        lambda: world.subject("ann", key=key),
    ):
        refused(call, "auth.invalid")


# Identities. -----------------------------------------------------------------------------------------------------------


def test_nothing_is_registered_without_an_owner_a_purpose_and_an_end(world):
    identities, now = world.ragward.identities, world.clock.now()
    good = Custody(owner="user:acme/steward", purpose="tests")
    ends = now + DAY
    bad = [
        (Custody(owner="", purpose="tests"), ends, "principal.invalid"),
        (Custody(owner="user:globex/ann", purpose="tests"), ends, "principal.invalid"),
        (Custody(owner="group:acme/staff", purpose="tests"), ends, "principal.invalid"),
        (Custody(owner="agent:acme/bot", purpose="tests"), ends, "principal.invalid"),
        (Custody(owner="user:acme/steward", purpose=" "), ends, "request.invalid"),
        (Custody(owner="user:acme/steward", purpose="a\nb"), ends, "request.invalid"),
        (good, None, "request.invalid"),
        (good, now, "request.invalid"),
        (good, now + 5 * 366 * DAY, "request.invalid"),
    ]
    for custody, until, code in bad:
        wanted = dataclasses.replace(application("unowned"), expires_at=until)
        refused(
            lambda wanted=wanted, custody=custody: identities.register_application(
                STEWARD, wanted, custody, with_key=True
            ),
            code,
        )
        agent = Agent(
            principal="agent:acme/unowned", tenant="acme", client_id="portal", expires_at=until or 0
        )
        refused(
            lambda agent=agent, custody=custody: identities.register_agent(
                STEWARD, agent, custody, with_key=True
            ),
            code,
        )
    names = {each.principal for each in identities.identities(STEWARD)}
    assert not names & {"app:acme/unowned", "agent:acme/unowned"}


def test_whoever_may_not_register_applications_sees_and_rotates_nothing(world):
    identities = world.ragward.identities
    by = world.subject("ann")
    for call in (
        lambda: identities.identities(by),
        lambda: identities.report(by),
        lambda: identities.identity(by, "app:acme/portal"),
        lambda: identities.rotate(by, "app:acme/portal"),
        lambda: identities.rotate(by, "app:acme/none"),
    ):
        with pytest.raises(DeniedError):
            call()
    refused(lambda: identities.rotate(STEWARD, "app:acme/none"), "access.not_found")


def test_a_key_ends_when_its_overlap_does_and_there_are_never_three(world):
    identities = world.ragward.identities
    first = registered(world, "agent:acme/rotated")
    second = identities.rotate(STEWARD, "agent:acme/rotated", overlap_seconds=600)
    assert second.earlier_end_at == world.clock.now() + 600
    for key in (first, second.key):
        assert world.subject("ann", key=key)
    third = identities.rotate(STEWARD, "agent:acme/rotated", overlap_seconds=600)
    refused(lambda: world.subject("ann", key=first), "auth.invalid")
    assert world.subject("ann", key=second.key)
    assert len(identities.identity(STEWARD, "agent:acme/rotated").keys) == 2
    world.clock.seconds += 600
    for key in (first, second.key):
        refused(lambda key=key: world.subject("ann", key=key), "auth.invalid")
    assert world.subject("ann", key=third.key)
    fourth = identities.rotate(STEWARD, "agent:acme/rotated", overlap_seconds=0)
    assert fourth.earlier_end_at is None
    refused(lambda: world.subject("ann", key=third.key), "auth.invalid")
    assert world.subject("ann", key=fourth.key)
    refused(
        lambda: identities.rotate(STEWARD, "agent:acme/rotated", overlap_seconds=8 * DAY),
        "request.invalid",
    )


def test_a_key_that_is_registered_beside_another_ends_it_in_a_day(world):
    first = company.register(world.ragward, application("twice"))
    second = company.register(world.ragward, application("twice"))

    def with_key(key):
        return world.subject("ann", key=key, client="twice")

    assert with_key(first)
    assert with_key(second)
    world.clock.seconds += 2 * DAY
    refused(lambda: with_key(first), "auth.invalid")
    assert with_key(second)


def test_rotating_an_ownerless_application_is_refused_and_it_is_reported(world):
    world.ragward.catalog.save_application(
        application("old"), key_prefix="0ld", key_sha256=b"o" * 32
    )
    identities = world.ragward.identities
    refused(lambda: identities.rotate(STEWARD, "app:acme/old"), "principal.invalid")
    told = {each.identity.principal: dict(each.findings) for each in identities.report(STEWARD)}
    assert {
        Finding.OWNERLESS,
        Finding.NO_EXPIRY,
        Finding.KEY_WITHOUT_EXPIRY,
    } <= told["app:acme/old"].keys()


def test_the_report_names_agents_nobody_registered_and_grants_nobody_uses(world):
    wide = dataclasses.replace(
        application("wide"), corpora=frozenset({"hr", "legal"}), expires_at=soon(world)
    )
    key = world.ragward.identities.register_application(
        STEWARD, wide, Custody(owner="user:acme/steward", purpose="tests"), with_key=True
    )
    world.ask(world.credentials("cai", "agent:acme/ghost", key=key, client="wide"))
    world.ask(world.credentials("cai", key=key, client="wide"))
    world.ragward.identity.flush()
    told = {
        each.identity.principal: dict(each.findings)
        for each in world.ragward.identities.report(STEWARD)
    }
    assert Finding.UNREGISTERED in told["agent:acme/ghost"]
    assert told["app:acme/wide"][Finding.CORPORA_NEVER_USED] == "legal"
    assert Finding.CEILING_ABOVE_USE in told["app:acme/wide"]
    assert Finding.OWNERLESS not in told["app:acme/wide"]


def test_uses_are_written_once_an_hour_and_never_by_a_request(world, monkeypatch):
    identity = world.ragward.identity
    identity.flush()
    written = []
    real = SQLCatalog.note_uses
    monkeypatch.setattr(SQLCatalog, "note_uses", lambda *a: (written.append(a[2]), real(*a))[1])
    world.clock.seconds += 3600
    for _ in range(5):
        world.ask(world.credentials("ann", BOT))
    assert written == []
    assert identity.flush() == 3
    assert identity.flush() == 0
    world.ask(world.credentials("ann", BOT))
    assert identity.flush() == 0
    assert set(written[0]) == {"app:acme/portal", BOT, f"key:{world.key.split('_')[1]}"}
    found = world.ragward.identities.identity(STEWARD, "app:acme/portal")
    hour = world.clock.now() - world.clock.now() % 3600
    assert (found.last_used_at, found.keys[-1].last_used_at) == (hour, hour)


# Events. ---------------------------------------------------------------------------------------------------------------

STEP = AgentEvent(kind=AgentEventKind.TOOL_CALLED, name="jira.search", sha256="0" * 64, size=120)


def test_events_are_recorded_under_ones_own_receipt_only(world):
    _, secret = world.mint()
    credentials = world.credentials("ann", BOT, grant=secret)
    answer = world.ragward.retrieve(credentials, "voltage laboratory")
    receipt, flow = answer.receipt.receipt_id, world.ragward.agent_events
    subject = world.ragward.identify(credentials)
    recorded = flow.record(subject, receipt, [STEP])
    event = json.loads(world.ragward.audit.find(recorded.event_id).data)
    assert event["type"] == "agent.acted"
    assert event["details"] == {"receipt": receipt, "events": [STEP.body()]}
    for other in (
        world.subject("ben"),
        world.subject("ann"),
        world.subject("ann", BOT),
        world.subject("ann", BOT, grant=world.mint()[1]),
    ):
        refused(lambda other=other: flow.record(other, receipt, [STEP]), "access.not_found")
    refused(lambda: flow.record(subject, recorded.event_id, [STEP]), "access.not_found")
    refused(lambda: flow.record(subject, "none", [STEP]), "access.not_found")


@pytest.mark.parametrize(
    "events",
    [
        [],
        [STEP] * 51,
        [dataclasses.replace(STEP, name="the salary of Ann is 5")],
        [dataclasses.replace(STEP, name="jira\n")],
        [dataclasses.replace(STEP, sha256="z" * 64)],
        [dataclasses.replace(STEP, sha256="0" * 64 + "\n")],
        [dataclasses.replace(STEP, size=-1)],
    ],
)
def test_events_carry_no_content(world, events):
    credentials = world.credentials("ann")
    receipt = world.ragward.retrieve(credentials, "voltage").receipt.receipt_id
    with pytest.raises(InvalidRequestError):
        world.ragward.agent_events.record(world.ragward.identify(credentials), receipt, events)
