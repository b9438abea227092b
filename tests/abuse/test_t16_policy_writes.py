"""T16: somebody who may write policy, alone, or who may not at all, tries to get at RESTRICTED."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.domain.access import Application
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
    UnavailableError,
)
from ragward.domain.labels import Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.policy_change import (
    PROPOSAL_LIFETIME_SECONDS,
    PolicyEdit,
    ProposalState,
)
from tests import company, policies
from tests.contract.catalog_examples import label, version

STEWARD, SECOND = company.subject("steward"), company.subject("second")
WHY = "because it is asked for"
STAFF = PolicyRow("group:acme/staff", "corpus:retrieve", "acme/*", "PUBLIC..INTERNAL", "*", "allow")
SECRETS = PolicyRow("group:acme/hr", "corpus:retrieve", "acme/*", "RESTRICTED", "*", "allow")
ANN_TO_STAFF = Membership("user:acme/ann", "group:acme/staff")
ANN_TO_HR = Membership("user:acme/ann", "group:acme/hr")
EVE_TO_HR = Membership("user:acme/eve", "group:acme/hr")


@pytest.fixture
def office():
    return policies.office([STAFF, SECRETS], [ANN_TO_STAFF, ANN_TO_HR])


def edit(**parts):
    return PolicyEdit(**{name: frozenset(items) for name, items in parts.items()})


def write(office, subject=STEWARD, expected_version=None, reason=WHY, **parts):
    return office.administration.write(
        subject, edit(**parts), reason=reason, expected_version=expected_version
    )


def refused(code, act, *arguments, **named):
    with pytest.raises(RagwardError) as caught:
        act(*arguments, **named)
    assert caught.value.code == code
    return caught.value


# Four eyes. ---------------------------------------------------------------------------------------------------------


def test_what_touches_restricted_changes_nothing_until_another_approves(office):
    before = office.catalog.policy("acme")
    outcome = write(office, add_memberships=[EVE_TO_HR])
    assert (outcome.applied, outcome.version) == (False, before.version)
    assert outcome.touching_restricted == ("+ g, user:acme/eve, group:acme/hr",)
    assert office.catalog.policy("acme") == before
    assert office.audit.kinds() == ["policy.proposed"]
    approved = office.administration.approve(SECOND, outcome.proposal.proposal_id, reason=WHY)
    assert approved.applied
    assert EVE_TO_HR in office.catalog.policy("acme").memberships
    assert office.audit.kinds() == ["policy.proposed", "policy.approved", "policy.changed"]
    newest = office.administration.versions(STEWARD)[0]
    assert (newest.author, newest.approved_by, newest.reason) == (
        "user:acme/steward",
        "user:acme/second",
        WHY,
    )


def test_the_author_cannot_approve_by_any_token(office):
    proposal = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    elsewhere = Application(
        principal="app:acme/other",
        tenant="acme",
        client_id="other",
        corpora=frozenset({"*"}),
        ceiling=Classification.RESTRICTED,
    )
    for token in (
        STEWARD,
        dataclasses.replace(STEWARD, application=elsewhere),
        dataclasses.replace(STEWARD, not_after=2**30, acr="high", auth_time=1),
    ):
        error = refused(
            "policy.second_person", office.administration.approve, token, proposal, reason=WHY
        )
        assert isinstance(error, DeniedError)
        assert office.audit.kinds()[-1] == "request.refused"
        assert office.audit.last()["details"]["code"] == "policy.second_person"
    assert EVE_TO_HR not in office.catalog.policy("acme").memberships


def test_an_agent_does_not_approve_for_anybody(office):
    robot = PolicyRow("agent:acme/bot", "policy:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    first = write(office, add_rows=[robot]).proposal.proposal_id
    office.administration.approve(SECOND, first, reason=WHY)
    through = company.subject("steward", agents=("agent:acme/bot",))
    outcome = write(
        office, through, add_memberships=[EVE_TO_HR]
    )  # proposing is no more than asking
    same_agent = company.subject("second", agents=("agent:acme/bot",))
    refused(
        "policy.second_person",
        office.administration.approve,
        same_agent,
        outcome.proposal.proposal_id,
        reason=WHY,
    )
    assert EVE_TO_HR not in office.catalog.policy("acme").memberships


def test_a_second_account_cannot_be_made_alone(office):
    """The way round would be to make oneself an accomplice first: that touches RESTRICTED itself."""
    puppet = Membership("user:acme/puppet", "role:acme/admin")
    row = PolicyRow(
        "user:acme/puppet", "policy:write", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
    )
    for parts in ({"add_memberships": [puppet]}, {"add_rows": [row]}):
        assert write(office, **parts).proposal
        refused(
            "access.denied",
            office.administration.approve,
            company.subject("puppet"),
            office.administration.proposals(STEWARD)[0].proposal_id,
            reason=WHY,
        )


def test_steps_that_look_harmless_do_not_add_up_to_restricted(office):
    """Each step alone is applied; the one that connects them waits."""
    assert write(
        office, add_memberships=[Membership("user:acme/eve", "group:acme/friends")]
    ).applied
    assert write(
        office, add_memberships=[Membership("group:acme/friends", "group:acme/mates")]
    ).applied
    for last in ("group:acme/hr", "compartment:acme/case", "role:acme/admin"):
        outcome = write(office, add_memberships=[Membership("group:acme/mates", last)])
        assert outcome.proposal, last


def test_a_clearance_smuggled_into_a_large_change_is_named(office):
    rows = [
        PolicyRow(f"group:acme/g{i}", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow")
        for i in range(50)
    ]
    smuggled = Membership("group:acme/g7", "compartment:acme/case")
    outcome = write(office, add_rows=rows, add_memberships=[smuggled])
    assert outcome.touching_restricted == ("+ g, group:acme/g7, compartment:acme/case",)
    assert office.catalog.policy("acme").version == outcome.version


def test_whole_policies_and_roll_backs_wait_too(office):
    first = office.catalog.policy("acme")
    assert write(office, remove_memberships=[ANN_TO_HR]).applied
    whole = PolicyEdit.replacing(first.rows, first.memberships)
    assert office.administration.write(STEWARD, whole, reason=WHY).proposal
    back = office.administration.roll_back(STEWARD, first.version, reason=WHY)
    assert back.proposal
    assert ANN_TO_HR not in office.catalog.policy("acme").memberships
    office.administration.approve(SECOND, back.proposal.proposal_id, reason=WHY)
    assert office.catalog.policy("acme").digest() == first.digest()


def test_taking_away_never_waits(office):
    for parts in (
        {"remove_memberships": [ANN_TO_HR]},
        {"add_rows": [dataclasses.replace(SECRETS, effect="deny")]},
        {"remove_rows": [SECRETS]},
    ):
        assert write(office, **parts).applied, parts


def test_a_grant_on_a_restricted_label_makes_its_group_restricted(office):
    office.catalog.commit_version(
        version(
            label=label(corpus="eng", granted=("deal",), classification=Classification.RESTRICTED)
        )
    )
    assert write(office, add_memberships=[Membership("user:acme/ann", "group:acme/deal")]).proposal
    assert write(office, add_memberships=[Membership("user:acme/ann", "group:acme/x")]).applied


def test_without_four_eyes_it_applies_and_the_log_says_so():
    office = policies.office([STAFF, SECRETS], four_eyes=False)
    assert write(office, add_memberships=[EVE_TO_HR]).applied
    assert office.audit.last()["details"]["four_eyes"] is False


# Proposals. ---------------------------------------------------------------------------------------------------------


def test_of_two_proposals_on_one_base_the_second_is_a_conflict(office):
    one = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    two = write(
        office, SECOND, add_memberships=[Membership("user:acme/mal", "group:acme/hr")]
    ).proposal.proposal_id
    office.administration.approve(SECOND, one, reason=WHY)
    refused("policy.conflict", office.administration.approve, STEWARD, two, reason=WHY)
    assert office.administration.proposal(STEWARD, two)[0].state is ProposalState.SUPERSEDED
    assert not any(m.member == "user:acme/mal" for m in office.catalog.policy("acme").memberships)


def test_a_proposal_does_not_undo_what_happened_since(office):
    """A proposal is a whole policy: put in force late, it would give back what was revoked meanwhile."""
    late = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    write(office, remove_memberships=[ANN_TO_HR])
    refused("policy.conflict", office.administration.approve, SECOND, late, reason=WHY)
    assert ANN_TO_HR not in office.catalog.policy("acme").memberships


def test_a_revocation_that_comes_between_wins_and_the_log_says_so(office):
    """Between the check and the write of an approval."""
    late = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    approve = office.catalog.approve_proposal

    def overtaken(*arguments, **named):
        office.catalog.change_policy(
            "acme", remove_memberships=[ANN_TO_HR], author="user:acme/second"
        )
        return approve(*arguments, **named)

    office.catalog.approve_proposal = overtaken
    refused("policy.conflict", office.administration.approve, SECOND, late, reason=WHY)
    assert office.audit.kinds()[-3:] == ["policy.approved", "policy.changed", "request.refused"]
    found = office.catalog.policy("acme").memberships
    assert ANN_TO_HR not in found
    assert EVE_TO_HR not in found


def test_a_proposal_expires_and_is_decided_once(office):
    late = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    office.clock.seconds += PROPOSAL_LIFETIME_SECONDS
    assert office.administration.proposals(STEWARD)[0].state is ProposalState.EXPIRED
    refused("policy.conflict", office.administration.approve, SECOND, late, reason=WHY)
    again = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    rejected = office.administration.reject(SECOND, again, reason="not for eve")
    assert (rejected.state, rejected.decided_by) == (ProposalState.REJECTED, "user:acme/second")
    assert office.audit.kinds()[-1] == "policy.rejected"
    refused("policy.conflict", office.administration.approve, SECOND, again, reason=WHY)
    own = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    office.administration.reject(STEWARD, own, reason="I take it back")
    assert EVE_TO_HR not in office.catalog.policy("acme").memberships


def test_an_approver_sees_what_it_changes_and_for_whom(office):
    office.catalog.commit_version(
        version(label=label(granted=("hr",), classification=Classification.RESTRICTED))
    )
    proposal = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    shown, diff = office.administration.proposal(SECOND, proposal)
    assert diff.lines() == ["+ g, user:acme/eve, group:acme/hr"]
    run = office.administration.dry_run(
        SECOND, office.administration.edit_of_proposal(SECOND, proposal)
    )
    assert [(c.principal, c.gained) for c in run.changes] == [
        ("user:acme/eve", {Classification.RESTRICTED: 1})
    ]
    assert run.needs_approval
    assert shown.author == "user:acme/steward"


# Versions. ----------------------------------------------------------------------------------------------------------


def test_a_stale_version_is_a_conflict(office):
    version_1 = office.catalog.policy("acme").version
    first = write(office, remove_memberships=[ANN_TO_HR], expected_version=version_1)
    assert first.applied
    before = office.catalog.policy("acme")
    recorded = office.audit.kinds()
    for act in (
        lambda: write(office, remove_memberships=[ANN_TO_STAFF], expected_version=version_1),
        lambda: write(office, add_memberships=[EVE_TO_HR], expected_version=version_1),
        lambda: office.administration.roll_back(
            STEWARD, version_1, reason=WHY, expected_version=version_1
        ),
    ):
        assert isinstance(refused("policy.conflict", act), ConflictError)
    assert office.catalog.policy("acme") == before
    assert office.audit.kinds() == recorded


def test_a_write_that_was_overtaken_is_decided_on_anew(office):
    """Without an expected version; what it is decided on is what it is written onto."""
    replace = office.catalog.replace_policy
    overtakes = []

    def overtaken(*arguments, **named):
        if not overtakes:
            overtakes.append(1)
            office.catalog.change_policy("acme", add_memberships=[EVE_TO_HR], author="scim")
        return replace(*arguments, **named)

    office.catalog.replace_policy = lambda *a, **n: (
        replace(*a, **n) if n.get("expected_version") is None else overtaken(*a, **n)
    )
    outcome = write(office, remove_memberships=[ANN_TO_STAFF])
    assert outcome.applied
    found = office.catalog.policy("acme").memberships
    assert EVE_TO_HR in found
    assert ANN_TO_STAFF not in found
    assert office.audit.kinds() == ["policy.changed", "request.refused", "policy.changed"]


def test_what_changes_nothing_is_no_version(office):
    before = office.catalog.policy("acme")
    outcome = write(office, add_rows=[STAFF], remove_memberships=[EVE_TO_HR])
    assert (outcome.applied, outcome.proposal, outcome.version) == (False, None, before.version)
    assert office.audit.kinds() == []
    assert len(office.administration.versions(STEWARD)) == 1


def test_history_shows_who_changed_what_and_why(office):
    first = office.catalog.policy("acme").version
    second = write(office, remove_memberships=[ANN_TO_HR], reason="ann changed teams").version
    third = office.administration.roll_back(STEWARD, first, reason="she did not").proposal
    assert third
    shown, policy, diff = office.administration.version(STEWARD, second)
    assert (shown.author, shown.reason) == ("user:acme/steward", "ann changed teams")
    assert ANN_TO_HR not in policy.memberships
    assert diff.lines() == ["- g, user:acme/ann, group:acme/hr"]
    assert office.administration.diff(STEWARD, second, first).lines() == [
        "+ g, user:acme/ann, group:acme/hr"
    ]
    begun = office.administration.version(STEWARD, first)[2]
    assert len(begun.added_rows) == 3
    refused("access.not_found", office.administration.version, STEWARD, 99)
    refused("access.not_found", office.administration.roll_back, STEWARD, 99, reason=WHY)


# Who may not. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_everything_is_refused_and_recorded_without_the_right(office, name):
    subject = company.subject(name)
    proposal = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    before = office.catalog.policy("acme")
    given = office.administration
    acts = {
        "policy:read": [
            lambda: given.policy(subject),
            lambda: given.versions(subject),
            lambda: given.version(subject, 1),
            lambda: given.diff(subject, 1, 1),
            lambda: given.proposals(subject),
            lambda: given.proposal(subject, proposal),
            lambda: given.check(subject),
            lambda: given.edit_back_to(subject, 1),
            lambda: given.edit_of_proposal(subject, proposal),
        ],
        "policy:write": [
            lambda: write(office, subject, remove_memberships=[ANN_TO_HR]),
            lambda: write(office, subject, reason="x"),
            lambda: given.dry_run(subject, PolicyEdit()),
            lambda: given.roll_back(subject, 1, reason=WHY),
            lambda: given.approve(subject, proposal, reason=WHY),
            lambda: given.approve(subject, "absent", reason=WHY),
            lambda: given.reject(subject, proposal, reason=WHY),
        ],
    }
    for action, calls in acts.items():
        for act in calls:
            recorded = len(office.audit.events)
            assert isinstance(refused("access.denied", act), DeniedError)
            [event] = office.audit.events[recorded:]
            assert (event.type.value, event.decision) == ("request.refused", "deny")
            assert event.actor["principal"] == f"user:acme/{name}"
            assert event.details["action"] == action
    assert office.catalog.policy("acme") == before


def test_reading_policy_is_not_writing_it(office):
    reader = PolicyRow("user:acme/ann", "policy:read", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    proposal = write(office, add_rows=[reader]).proposal.proposal_id
    office.administration.approve(SECOND, proposal, reason=WHY)
    ann = company.subject("ann")
    assert office.administration.policy(ann).rows
    refused("access.denied", write, office, ann, remove_memberships=[ANN_TO_HR])
    refused("access.denied", office.administration.dry_run, ann, PolicyEdit())


def test_another_tenants_administrator_has_no_rights_here(office):
    office.catalog.replace_policy(
        "other",
        [
            PolicyRow(
                "user:other/steward", "policy:*", "other/*", "PUBLIC..RESTRICTED", "*", "allow"
            )
        ],
        [],
        "operator",
    )
    proposal = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    stranger = dataclasses.replace(STEWARD, tenant="other", principal="user:other/steward")
    stranger = dataclasses.replace(
        stranger,
        application=dataclasses.replace(company.APPLICATION, tenant="other"),
    )
    assert office.administration.policy(stranger).tenant == "other"
    for act in (office.administration.approve, office.administration.reject):
        assert isinstance(
            refused("access.not_found", act, stranger, proposal, reason=WHY), NotFoundError
        )
    crossing = edit(add_rows=[STAFF])
    refused("policy.invalid", office.administration.write, stranger, crossing, reason=WHY)


# What is refused as a whole. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        {"remove_rows": [policies.ADMINISTRATION]},
        {"remove_memberships": policies.ADMINISTRATORS},
        {"add_rows": [dataclasses.replace(policies.ADMINISTRATION, effect="deny")]},
        {"add_rows": [PolicyRow("x", "y", "z", "PUBLIC", "*", "allow")]},
        {"add_rows": [dataclasses.replace(STAFF, levels="SECRET")]},
        {"add_rows": [dataclasses.replace(STAFF, subject="group:other/staff")]},
        {"add_memberships": [Membership("group:acme/a", "group:acme/a")]},
        {"add_memberships": [Membership("user:acme/a", "user:acme/b")]},
    ],
)
def test_one_bad_row_refuses_all_of_it_and_nobody_is_locked_out(office, parts):
    before = office.catalog.policy("acme")
    good = PolicyRow("group:acme/new", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow")
    parts = {**parts, "add_rows": [*parts.get("add_rows", ()), good]}
    for act in (
        lambda: write(office, **parts),
        lambda: office.administration.dry_run(STEWARD, edit(**parts)),
    ):
        error = refused_any(act)
        assert isinstance(error, InvalidRequestError)
        assert error.code in ("policy.invalid", "principal.invalid", "label.unknown_classification")
    assert office.catalog.policy("acme") == before
    assert office.audit.kinds() == []


def refused_any(act):
    with pytest.raises(RagwardError) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("reason", ["", "short", " " * 20, "x" * 501, "a reason\nwith a line"])
def test_a_reason_is_needed(office, reason):
    proposal = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    given = office.administration
    for act in (
        lambda: write(office, reason=reason, remove_memberships=[ANN_TO_HR]),
        lambda: given.roll_back(STEWARD, 1, reason=reason),
        lambda: given.approve(SECOND, proposal, reason=reason),
        lambda: given.reject(SECOND, proposal, reason=reason),
    ):
        refused("request.invalid", act)
    assert office.audit.kinds() == ["policy.proposed"]


def test_what_cannot_be_recorded_does_not_happen(office):
    proposal = write(office, add_memberships=[EVE_TO_HR]).proposal.proposal_id
    before, waiting = office.catalog.policy("acme"), office.catalog.proposals("acme")
    office.audit.broken = True
    given = office.administration
    for act in (
        lambda: write(office, remove_memberships=[ANN_TO_HR]),
        lambda: write(office, SECOND, add_memberships=[EVE_TO_HR]),
        lambda: given.approve(SECOND, proposal, reason=WHY),
        lambda: given.reject(SECOND, proposal, reason=WHY),
    ):
        assert isinstance(refused("unavailable.audit", act), UnavailableError)
    assert office.catalog.policy("acme") == before
    assert office.catalog.proposals("acme") == waiting
