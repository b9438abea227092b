"""T51: whoever takes too much is slowed, asked who they are, or stopped; and nobody uses that against others, or escapes it."""

from __future__ import annotations

import dataclasses
import json
import threading

import pytest

from ragward.domain.access import Action, Deny, Permit
from ragward.domain.audit import EventType
from ragward.domain.behaviour import Seen
from ragward.domain.errors import LimitExceededError, RagwardError
from ragward.domain.handling import Mode
from ragward.domain.labels import Classification, administrative
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import PolicyRow
from ragward.domain.restrictions import (
    Restriction,
    RestrictionKind,
    RestrictionRequest,
    StepUpRequiredError,
)
from tests import company
from tests.fakes.identity_jwt import FakeIdentityVerifier
from tests.installation import asked_by, initialised, opened

STEWARD = company.subject("steward")
WHY = "a reason that is long enough"
DAY = 86_400
OFFICER_ROWS = [
    PolicyRow(f"user:acme/{name}", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    for name in ("officer", "steward")
    for action in ("restriction:read", "restriction:write")
]
OFFICER = company.subject("officer")


class Identity(FakeIdentityVerifier):
    """With `auth_time`, as a test sets it; otherwise just now."""

    auth_time: int | None = company.JUST_NOW

    def verify(self, credentials):
        return dataclasses.replace(super().verify(credentials), auth_time=self.auth_time)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = initialised(tmp_path_factory.mktemp("behaviour") / "home")
    with opened(settings) as ragward:
        for document in company.documents(30):
            ragward.ingestion.ingest(STEWARD, document)
        ragward.catalog.change_policy("acme", add_rows=OFFICER_ROWS, author="test")
    return settings


@pytest.fixture(scope="module")
def installation(settings):
    clock, identity = company.SetClock(), Identity()
    with opened(settings, watch=None, clock=clock, identity=identity) as ragward:
        yield ragward, clock, identity


@pytest.fixture
def ragward(installation):
    """Each test on a day of its own, when earlier restrictions are over."""
    ragward, clock, identity = installation
    clock.seconds += 40 * DAY
    clock.seconds -= clock.seconds % DAY - 10 * 3600
    identity.auth_time = company.JUST_NOW
    return ragward


@pytest.fixture
def clock(installation):
    return installation[1]


@pytest.fixture
def identity(installation):
    return installation[2]


def ask(ragward, name="ann", query="budget travel calibration", **given):
    request = RetrievalRequest(query=query, limit=20, minimize=Mode.OFF, **given)
    return ragward.retrieve(asked_by(name), request)


def levels(answer):
    return {passage.classification for passage in answer.passages}


def place(ragward, target="user:acme/ann", kind="suspend", minutes=60, by=OFFICER, **given):
    request = RestrictionRequest(
        target=target, kind=RestrictionKind(kind), minutes=minutes, reason=WHY, **given
    )
    return ragward.restricting.place(by, request)


def in_force(ragward, target=None):
    found = ragward.restricting.restrictions(OFFICER)
    return [each for each in found if target in (None, each.target)]


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


def events(ragward, kind):
    found = [json.loads(entry.data) for entry in ragward.audit.entries(limit=100_000)]
    return [event for event in found if event["type"] == kind]


def sweep(accounts, principal, clock, count=70, first=0, partner=""):
    """Queries of one form that bring new documents; as the flow counts them."""
    found = []
    for number in range(first, first + count):
        seen = Seen(
            at=clock.seconds,
            documents=(1000 + number,),
            words=(1, 2, 3, 4, 10_000 + number),
            partner=partner,
        )
        found += accounts.add("acme", principal, seen)
    return found


# What is taken away. ------------------------------------------------------------------------------------------------


def test_who_is_suspended_is_answered_as_if_there_were_nothing_also_out_of_a_warm_cache(ragward):
    assert ask(ragward).passages
    placed = place(ragward)
    answer = ask(ragward)
    assert answer.passages == ()
    nothing = ask(ragward, "nobody")
    assert dataclasses.replace(answer, receipt=None, stage_seconds={}, rates=()) == (
        dataclasses.replace(nothing, receipt=None, stage_seconds={}, rates=())
    )
    assert not ragward.pdp.decide(
        company.subject("ann"), Action.CORPUS_RETRIEVE, _a_label(ragward), ragward.clock.context()
    )
    ragward.restricting.release(OFFICER, placed.restriction_id, WHY)
    assert ask(ragward).passages


def _a_label(ragward):
    permit = ragward.pdp.decide_labels(company.subject("ann"), ragward.clock.context())
    if isinstance(permit, Deny):
        return ragward.catalog.labels("acme")[1]
    return ragward.catalog.labels("acme")[next(iter(permit.label_ids()))]


def test_a_restriction_holds_at_another_worker_at_once_and_ends_by_itself(ragward, clock, settings):
    store = ragward.catalog
    permit = ragward.pdp.decide_labels(company.subject("ann"), clock.context())
    restriction = Restriction(
        restriction_id="other-worker",
        tenant="acme",
        target="user:acme/ann",
        kind=RestrictionKind.SUSPEND,
        begins_at=clock.seconds,
        until=clock.seconds + 600,
        reason=WHY,
    )
    other = type(store).open(settings.catalog_url)  # as another worker writes
    try:
        assert other.add_restriction(restriction)
    finally:
        other.close()
    assert store.epoch("acme") > permit.epoch
    assert ask(ragward).passages == ()
    clock.seconds += 599
    assert ask(ragward).passages == ()
    clock.seconds += 1
    assert ask(ragward).passages


def test_a_permit_is_good_until_the_next_restriction_ends(ragward, clock):
    place(ragward, kind="ceiling", minutes=10, ceiling=Classification.INTERNAL)
    permit = ragward.pdp.decide_labels(company.subject("ann"), clock.context())
    assert isinstance(permit, Permit)
    assert permit.not_after <= clock.seconds + 600
    assert "restricted to INTERNAL" in permit.reason


def test_a_ceiling_leaves_what_is_below_it(ragward):
    assert max(levels(ask(ragward))) > Classification.INTERNAL
    place(ragward, kind="ceiling", ceiling=Classification.INTERNAL)
    found = levels(ask(ragward))
    assert found
    assert max(found) <= Classification.INTERNAL


def test_an_agent_restricted_leaves_the_person_and_the_other_way_round(ragward):
    assert ask(ragward, "ben").passages
    assert ask(ragward, "ben+bot").passages
    agent = place(ragward, target="agent:acme/bot")
    assert ask(ragward, "ben").passages
    assert ask(ragward, "ben+bot").passages == ()
    ragward.restricting.release(OFFICER, agent.restriction_id, WHY)
    pair = place(ragward, target="user:acme/ben", through="agent:acme/bot")
    assert ask(ragward, "ben").passages
    assert ask(ragward, "ben+bot").passages == ()
    assert ask(ragward, "ann+bot").passages  # the agent is others' as well
    ragward.restricting.release(OFFICER, pair.restriction_id, WHY)
    place(ragward, target="user:acme/ben")
    assert ask(ragward, "ben").passages == ()
    assert ask(ragward, "ben+bot").passages == ()
    assert ask(ragward, "ann+bot").passages


def test_a_fresh_authentication_is_one_later_than_the_alarm(ragward, clock, identity):
    place(ragward, kind="step_up")
    begun = clock.seconds
    for auth_time in (None, begun - 1, begun):
        identity.auth_time = auth_time
        with pytest.raises(StepUpRequiredError) as caught:
            ask(ragward)
        assert (caught.value.code, caught.value.lacks) == ("auth.step_up", ("age",))
    identity.auth_time = begun + 1
    assert ask(ragward).passages


def test_who_is_throttled_asks_a_few_times_a_minute_over_all_workers(ragward, clock):
    place(ragward, kind="throttle")
    ask(ragward, "ben")  # a decision for the tenant: this worker knows of it
    for _ in range(6):
        ask(ragward)
    with pytest.raises(LimitExceededError) as caught:
        ask(ragward)
    assert caught.value.rates[0].policy == "throttle"
    assert ask(ragward, "ben").passages
    clock.seconds += 60
    assert ask(ragward).passages


def test_a_quarantined_document_is_in_nobodys_answers_until_released(ragward):
    first = ask(ragward).passages[0].document_id
    placed = place(ragward, target=first, kind="quarantine", by=STEWARD)
    for name in ("ann", "ben", "cai"):
        assert first not in {p.document_id for p in ask(ragward, name).passages}
    assert code_of(lambda: place(ragward, target="no-such", kind="quarantine")) == (
        "access.not_found"
    )
    ragward.restricting.release(STEWARD, placed.restriction_id, WHY)
    assert first in {p.document_id for p in ask(ragward).passages}


# Who may. -----------------------------------------------------------------------------------------------------------


def test_only_who_has_the_right_places_lists_and_releases(ragward):
    placed = place(ragward)
    ann, ben = company.subject("ann"), company.subject("ben")
    assert code_of(lambda: place(ragward, target="user:acme/ben", by=ben)) == "access.denied"
    assert code_of(lambda: ragward.restricting.restrictions(ben)) == "access.denied"
    for who in (ann, ben):
        call = lambda who=who: ragward.restricting.release(who, placed.restriction_id, WHY)  # noqa: E731
        assert code_of(call) == "access.denied"


@pytest.mark.parametrize("kind", ["throttle", "ceiling", "step_up"])
def test_nobody_releases_what_was_placed_on_themselves(ragward, clock, identity, kind):
    level = Classification.INTERNAL if kind == "ceiling" else None
    placed = place(ragward, target="user:acme/officer", kind=kind, ceiling=level, by=STEWARD)
    officer = dataclasses.replace(OFFICER, auth_time=clock.seconds + 1)
    call = lambda: ragward.restricting.release(officer, placed.restriction_id, WHY)  # noqa: E731
    assert code_of(call) == "restriction.second_person"
    through = dataclasses.replace(STEWARD, agents=("agent:acme/bot",))
    by_agent = lambda: ragward.restricting.release(through, placed.restriction_id, WHY)  # noqa: E731
    assert code_of(by_agent) in ("restriction.second_person", "access.denied")
    ragward.restricting.release(STEWARD, placed.restriction_id, WHY)
    again = lambda: ragward.restricting.release(STEWARD, placed.restriction_id, WHY)  # noqa: E731
    assert code_of(again) == "restriction.state"


def test_who_is_suspended_releases_nothing_and_places_nothing(ragward):
    placed = place(ragward, target="user:acme/officer", by=STEWARD)
    release = lambda: ragward.restricting.release(OFFICER, placed.restriction_id, WHY)  # noqa: E731
    assert code_of(release) == "access.denied"
    assert code_of(lambda: place(ragward, target="user:acme/steward")) == "access.denied"


def test_the_last_administrator_is_not_suspended_by_anybody_nor_by_the_policy(ragward, clock):
    """root and the steward may write the policy; one of them stays."""
    context = clock.context()
    assert ragward.pdp.administrators("acme", context) == {"user:acme/root", "user:acme/steward"}
    place(ragward, target="user:acme/root", by=STEWARD)
    assert code_of(lambda: place(ragward, target="user:acme/steward")) == (
        "restriction.last_administrator"
    )
    raised = []
    for number in range(3):  # honey three times: the policy says suspend at the second
        seen = Seen(at=clock.seconds, honey=True, documents=(number,))
        raised += ragward.watch.accounts.add("acme", "user:acme/steward", seen)
    ragward.watch._respond(raised)
    kinds = {each.kind for each in in_force(ragward, "user:acme/steward")}
    assert kinds
    assert RestrictionKind.SUSPEND not in kinds
    assert RestrictionKind.STEP_UP in kinds


def test_two_suspensions_at_once_leave_one_administrator(ragward, clock):
    targets, outcomes = ("user:acme/root", "user:acme/steward"), []

    def suspend(target):
        restriction = Restriction(
            restriction_id=f"race-{target}-{clock.seconds}",
            tenant="acme",
            target=target,
            kind=RestrictionKind.SUSPEND,
            begins_at=clock.seconds,
            until=clock.seconds + 60,
            reason=WHY,
        )
        outcomes.append(ragward.catalog.add_restriction(restriction, spare=set(targets)))

    threads = [threading.Thread(target=suspend, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, True]


def test_who_became_the_last_administrator_while_suspended_still_writes_the_policy(ragward, clock):
    """The other one's row was removed since: nobody is left, so policy is not taken away, and nothing else is left."""
    place(ragward, target="user:acme/steward")
    ragward.catalog.add_restriction(
        Restriction(
            restriction_id=f"root-{clock.seconds}",
            tenant="acme",
            target="user:acme/root",
            kind=RestrictionKind.SUSPEND,
            begins_at=clock.seconds,
            until=clock.seconds + 60,
            reason=WHY,
        )
    )
    whole, context = administrative("acme"), clock.context()
    assert ragward.pdp.decide(STEWARD, Action.POLICY_WRITE, whole, context)
    for action in (Action.RESTRICTION_WRITE, Action.DOCUMENT_DELETE, Action.AUDIT_READ):
        assert not ragward.pdp.decide(STEWARD, action, whole, context)
    through = dataclasses.replace(STEWARD, agents=("agent:acme/bot",))
    assert not ragward.pdp.decide(through, Action.POLICY_WRITE, whole, context)


# What is noticed. ---------------------------------------------------------------------------------------------------


def test_a_sweep_over_sessions_is_one_sweep(ragward, clock):
    accounts = ragward.watch.accounts
    raised = []
    for number in range(8):  # a session: another application, a break
        raised += sweep(accounts, "user:acme/dot", clock, 10, first=number * 10)
        clock.seconds += 600
    assert "sweep" in {each.alarm.feature for each in raised}


def test_a_sweep_spread_over_agents_is_the_persons(ragward, clock):
    accounts, raised = ragward.watch.accounts, []
    for number in range(100):
        agent = f"agent:acme/a{number % 5}"
        raised += sweep(accounts, "user:acme/dot", clock, 1, first=number, partner=agent)
    (about,) = {(each.principal, each.alarm.partner) for each in raised}
    assert about == ("user:acme/dot", "")  # no agent has most of it: the person is restricted
    ragward.watch._respond(raised)
    assert {each.through for each in in_force(ragward, "user:acme/dot")} == {""}


def test_an_agents_sweep_for_one_person_restricts_the_two_together_only(ragward, clock):
    """Neither does the person lose what they do themselves, nor others the agent."""
    raised = sweep(ragward.watch.accounts, "agent:acme/bot", clock, 2100, partner="user:acme/ben")
    ragward.watch._respond(raised)
    found = [each for each in in_force(ragward) if "bot" in each.target + each.through]
    assert {(each.target, each.through) for each in found} == {("user:acme/ben", "agent:acme/bot")}
    assert ask(ragward, "ben").passages
    assert ask(ragward, "ann+bot").passages


def test_a_sweep_spread_over_workers_is_seen_when_they_write(ragward, clock):
    """Two workers, each below the limit, merge their accounts in the catalog."""
    one, two = ragward.watch.accounts, _another_worker(ragward)
    raised = []
    for number in range(80):
        worker = (one, two)[number % 2]
        raised += sweep(worker, "user:acme/split", clock, 1, first=number)
    assert raised == []
    found = [*one.write(), *two.write()]
    assert "sweep" in {each.alarm.feature for each in found}


def _another_worker(ragward):
    accounts = ragward.watch.accounts
    return type(accounts)(accounts._store, accounts._baselines, accounts._rules)


def test_restarting_the_process_does_not_reset_an_account(ragward, clock):
    raised = sweep(ragward.watch.accounts, "user:acme/again", clock, 40)
    assert raised == []
    ragward.watch.accounts.write()
    after = _another_worker(ragward)
    assert sweep(after, "user:acme/again", clock, 40, first=40)


def test_a_clock_that_goes_backwards_begins_no_new_day(ragward, clock):
    accounts = ragward.watch.accounts
    assert sweep(accounts, "user:acme/back", clock, 40) == []
    clock.seconds -= 2 * DAY
    raised = sweep(accounts, "user:acme/back", clock, 40, first=40)
    clock.seconds += 2 * DAY
    assert raised


def test_what_is_usual_is_moved_slowly_up_to_the_cap_and_no_further(ragward, clock):
    """Five percent more each day, for a year: the limit of the day never passes the cap."""
    accounts, cap = _another_worker(ragward), 600
    asked, alarms, first = 20.0, 0, 0
    for _ in range(120):
        for _ in range(int(asked)):
            seen = Seen(at=clock.seconds, documents=(first,))
            first += 1
            alarms += len(accounts.add("acme", "user:acme/slow", seen))
        account = accounts._held["acme", "user:acme/slow"].account
        assert account.limits[2] <= cap
        asked = min(asked * 1.05, 700)
        clock.seconds += DAY
    assert alarms


def test_names_of_accounts_and_budgets_are_not_put_together(ragward, clock):
    """`a b` of one and `a`, `b` of another are different keys."""
    store = ragward.catalog
    assert store.take("acme", "RESTRICTED user:acme/x", 1, 10, 10, 10) == 10
    assert store.take("acme", "RESTRICTED user:acme/x y", 1, 10, 10, 10) == 10
    assert store.take("acme", "RESTRICTED user:acme/x", 1, 1, 1, 10) == 0
    assert store.take("other", "RESTRICTED user:acme/x", 1, 1, 1, 10) == 1


def test_an_account_damaged_in_the_database_is_on_record_and_begins_at_the_caps(ragward, clock):
    ragward.catalog.change_account("acme", "user:acme/broken", lambda _state: '{"v":1')
    sweep(ragward.watch.accounts, "user:acme/broken", clock, 1)
    found = [event["details"] for event in events(ragward, "integrity.failure")]
    assert {"code": "integrity.behaviour", "account": "user:acme/broken"} in found


def test_a_touched_honey_document_is_answered_by_the_policy(ragward):
    ragward.watch.noticed(EventType.HONEY_TOUCHED, company.subject("cai"), "")
    (found,) = in_force(ragward, "user:acme/cai")
    assert found.kind is RestrictionKind.CEILING
    assert found.evidence["feature"] == "honey"
    assert (found.evidence["count"], found.evidence["limit"]) == (1, 0)
    assert found.placed_by == ""
    (event,) = [
        each["details"]
        for each in events(ragward, "restriction.placed")
        if each["details"]["restriction"] == found.restriction_id
    ]
    assert event["kind"] == "ceiling"


def test_refusals_of_what_is_not_theirs_are_counted_and_mistakes_are_not(ragward):
    watch, ben = ragward.watch, company.subject("probing")
    for code in ("access.denied", "query.empty", "limit.exposure", "auth.step_up"):
        watch.noticed(EventType.REQUEST_REFUSED, ben, code)
    account = watch.accounts._held["acme", "user:acme/probing"].account
    assert account.counts[4] == 1


def test_no_query_and_no_document_is_in_an_account(ragward):
    ask(ragward, "ann", "the secret acquisition of the northern company by us")
    ragward.watch.write()
    stored = ragward.catalog.account("acme", "user:acme/ann")
    assert "secret" not in stored
    assert all(p.document_id not in stored for p in ask(ragward).passages)


# Budgets. -----------------------------------------------------------------------------------------------------------


def test_a_budget_raced_by_many_is_never_passed(ragward, clock):
    """Over threads and over workers, each with a lease of its own."""
    from ragward.exposure import Exposure

    workers = [Exposure(ragward.catalog, ragward.handling, clock) for _ in range(3)]
    day, budget, taken = clock.seconds // DAY, 10_000, []

    def take(worker):
        for _ in range(40):
            if worker._took("acme", "RESTRICTED user:acme/race", day, 123, budget):
                taken.append(123)

    threads = [threading.Thread(target=take, args=(worker,)) for worker in workers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget * 0.85 < sum(taken) <= budget


def test_yesterdays_budget_is_not_to_be_had_by_turning_the_clock_back(ragward, clock):
    store, day = ragward.catalog, clock.seconds // DAY
    assert store.take("acme", "CONFIDENTIAL user:acme/clock", day, 100, 100, 100) == 100
    assert store.take("acme", "CONFIDENTIAL user:acme/clock", day - 1, 1, 1, 100) == 0
    assert store.take("acme", "CONFIDENTIAL user:acme/clock", day + 1, 1, 1, 100) == 1


def test_what_is_used_up_does_not_leave_and_the_agent_has_a_budget_of_its_own(ragward, clock):
    from ragward.exposure import Exposure

    exposure = Exposure(ragward.catalog, ragward.handling, clock)
    answer = ask(ragward)
    protected = [p for p in answer.passages if p.classification is Classification.RESTRICTED]
    assert protected
    big = [dataclasses.replace(protected[0], text="x" * 4 * 39_999)]
    ann = company.subject("ida")
    exposure.spend(ann, big, counted=True)
    with pytest.raises(LimitExceededError) as caught:
        exposure.spend(ann, protected * 4, counted=True)
    assert caught.value.code == "limit.exposure"
    assert caught.value.retry_after_seconds == DAY - clock.seconds % DAY
    with_bot = dataclasses.replace(company.subject("dot"), agents=("agent:acme/reader",))
    exposure.spend(with_bot, big, counted=True)
    other = dataclasses.replace(company.subject("eve"), agents=("agent:acme/reader",))
    with pytest.raises(LimitExceededError):
        exposure.spend(other, protected * 4, counted=True)
