"""What every catalog does with versions of a policy and proposals for the next one."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from ragward.domain.corpus import DocumentState
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.labels import Classification
from ragward.domain.policy_change import PolicyProposal, ProposalState
from tests.contract.catalog_examples import chunk, label, member, next_version, row, version

NOW = 1_700_000_000


def proposal(proposal_id="p-1", base=1, **fields) -> PolicyProposal:
    """A proposal by ann to let everybody read everything."""
    values = {
        "proposal_id": proposal_id,
        "tenant": "acme",
        "author": "user:acme/ann",
        "at": NOW,
        "expires_at": NOW + 100,
        "reason": "for the audit of the year",
        "base_version": base,
        "rows": tuple(sorted([row(), row(corpus="acme/*")])),
        "memberships": (member("user:ann", "group:staff"),),
    }
    return PolicyProposal(**(values | fields))


class PolicyHistoryContract:
    def test_every_write_is_a_version_with_author_reason_and_policy(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root", reason="to begin with")
        catalog.commit_version(version())
        catalog.change_policy(
            "acme", add_rows=[row(corpus="acme/*")], author="user:acme/ann", reason="more"
        )
        newest, oldest = catalog.policy_versions("acme")
        assert (oldest.number, oldest.author, oldest.at, oldest.reason, oldest.approved_by) == (
            1,
            "root",
            NOW,
            "to begin with",
            None,
        )
        assert (newest.author, newest.reason) == ("user:acme/ann", "more")
        assert newest.number == catalog.policy("acme").version
        assert newest.digest == catalog.policy("acme").digest()
        assert catalog.policy_version("acme", 1)[1].rows == (row(),)
        assert set(catalog.policy_version("acme", newest.number)[1].rows) == {
            row(),
            row(corpus="acme/*"),
        }
        assert catalog.policy_versions("acme", before=newest.number) == [oldest]
        assert catalog.policy_versions("acme", limit=1) == [newest]

    def test_the_version_is_that_of_the_policy_not_of_the_documents(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        staged = version()
        catalog.commit_version(staged)
        catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
        found = catalog.policy("acme")
        assert found.epoch > found.version == 1

    def test_versions_of_another_tenant_and_absent_ones_are_not_found(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        for tenant, number in (("other", 1), ("acme", 2)):
            with pytest.raises(NotFoundError):
                catalog.policy_version(tenant, number)
        assert catalog.policy_versions("other") == []

    def test_a_write_for_another_version_is_a_conflict_and_changes_nothing(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root", expected_version=0)
        before = catalog.policy("acme")
        for stale in (0, 2):
            with pytest.raises(ConflictError) as refused:
                catalog.replace_policy(
                    "acme", [row("group:acme/x")], [], "r", expected_version=stale
                )
            assert refused.value.code == "policy.conflict"
        assert catalog.policy("acme") == before
        assert len(catalog.policy_versions("acme")) == 1
        catalog.replace_policy("acme", [row("group:acme/x")], [], "r", expected_version=1)

    def test_of_writers_that_expect_one_version_one_wins(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")

        def write(i):
            try:
                return catalog.replace_policy(
                    "acme", [row(f"group:acme/g{i}")], [], "r", expected_version=1
                )
            except ConflictError:
                return None

        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(write, range(8)))
        assert [epoch for epoch in outcomes if epoch] == [2]

    def test_a_proposal_changes_nothing_until_it_is_approved(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        before = catalog.policy("acme")
        catalog.add_proposal(proposal())
        assert catalog.policy("acme") == before
        assert catalog.proposal("acme", "p-1") == proposal()
        epoch = catalog.approve_proposal("acme", "p-1", decided_by="user:acme/ben", reason="agreed")
        after = catalog.policy("acme")
        assert (set(after.rows), after.memberships) == (
            set(proposal().rows),
            proposal().memberships,
        )
        assert epoch == after.epoch == after.version == 2
        [newest, _] = catalog.policy_versions("acme")
        assert (newest.author, newest.approved_by) == ("user:acme/ann", "user:acme/ben")
        assert newest.reason == proposal().reason
        assert catalog.proposal("acme", "p-1") == dataclasses.replace(
            proposal(),
            state=ProposalState.APPROVED,
            decided_by="user:acme/ben",
            decided_at=NOW,
            decision_reason="agreed",
        )

    def test_a_rejected_proposal_is_final_and_changes_nothing(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        before = catalog.policy("acme")
        catalog.add_proposal(proposal())
        catalog.reject_proposal("acme", "p-1", decided_by="user:acme/ben", reason="no")
        assert catalog.proposal("acme", "p-1").state is ProposalState.REJECTED
        for decide in (catalog.approve_proposal, catalog.reject_proposal):
            with pytest.raises(ConflictError) as refused:
                decide("acme", "p-1", decided_by="user:acme/ben", reason="yes")
            assert refused.value.code == "policy.conflict"
        assert catalog.policy("acme") == before

    def test_of_two_proposals_on_one_version_one_comes_into_force(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        for name in ("p-1", "p-2"):
            catalog.add_proposal(proposal(name))
        catalog.approve_proposal("acme", "p-1", decided_by="user:acme/ben", reason="yes")
        assert catalog.proposal("acme", "p-2").state is ProposalState.SUPERSEDED
        with pytest.raises(ConflictError):
            catalog.approve_proposal("acme", "p-2", decided_by="user:acme/ben", reason="yes")
        assert catalog.policy("acme").version == 2

    def test_any_policy_write_supersedes_what_waits_and_no_other_tenants(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        catalog.add_proposal(proposal())
        catalog.replace_policy("other", [row("group:other/a", "other/*")], [], "root")
        catalog.commit_version(version(label=label()))
        assert catalog.proposal("acme", "p-1").state is ProposalState.PENDING
        catalog.change_policy("acme", add_rows=[row("group:acme/x")], author="root")
        assert catalog.proposal("acme", "p-1").state is ProposalState.SUPERSEDED

    def test_a_proposal_needs_the_version_in_force(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        for base in (0, 2):
            with pytest.raises(ConflictError):
                catalog.add_proposal(proposal(base=base))
        assert catalog.proposals("acme") == []

    def test_a_proposal_whose_time_is_over_cannot_be_decided(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        catalog.add_proposal(proposal(expires_at=NOW))
        for decide in (catalog.approve_proposal, catalog.reject_proposal):
            with pytest.raises(ConflictError):
                decide("acme", "p-1", decided_by="user:acme/ben", reason="late")
        assert catalog.policy("acme").version == 1

    def test_proposals_of_two_tenants_do_not_meet(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        catalog.replace_policy("other", [row("group:other/a", "other/*")], [], "root")
        catalog.add_proposal(proposal("p-1"))
        catalog.add_proposal(proposal("p-2", at=NOW + 1))
        assert [each.proposal_id for each in catalog.proposals("acme")] == ["p-2", "p-1"]
        assert [each.proposal_id for each in catalog.proposals("acme", limit=1)] == ["p-2"]
        assert catalog.proposals("other") == []
        for act in (
            lambda: catalog.proposal("other", "p-1"),
            lambda: catalog.approve_proposal("other", "p-1", decided_by="x", reason="x"),
            lambda: catalog.reject_proposal("other", "p-1", decided_by="x", reason="x"),
            lambda: catalog.proposal("acme", "absent"),
            lambda: catalog.proposal("acme", "a\0b"),
        ):
            with pytest.raises(NotFoundError):
                act()

    def test_active_documents_are_counted_by_label(self, catalog):
        staff, boss = label(), label(granted=("boss",))
        first, second, third = version("a"), version("b"), version("c", label=boss)
        for each in (first, second, third, version("d", label=label("other"))):
            catalog.commit_version(each)
        quarantined = version("q", state=DocumentState.QUARANTINED)
        catalog.commit_version(quarantined)
        ids = {given: i for i, given in catalog.labels("acme").items()}
        assert catalog.documents_per_label("acme") == {ids[staff]: 2, ids[boss]: 1}
        catalog.commit_version(next_version(first, label=boss))
        catalog.set_state("acme", second.document_id, DocumentState.DELETED)
        assert catalog.documents_per_label("acme") == {ids[boss]: 2}
        assert catalog.documents_per_label("nobody") == {}

    def test_documents_and_personal_data_are_tallied(self, catalog):
        lower, higher = label(), label(classification=Classification.CONFIDENTIAL)

        def both():
            return chunk(0, ("EMAIL_ADDRESS", "PERSON")), chunk(1, ("PERSON",))

        same = version("b", chunks=both()[:1])
        for each in (
            version("a", label=higher, chunks=both()),
            same,
            version("q", state=DocumentState.QUARANTINED),
            version("o", label=label("other"), chunks=both()),
            next_version(same, chunks=both()[:1]),
        ):
            catalog.commit_version(each)
        ids = {given: i for i, given in catalog.labels("acme").items()}
        found = {each.label_id: each for each in catalog.tallies("acme")}
        assert found.keys() == {ids[lower], ids[higher]}
        assert {(e.documents, e.is_active, e.is_pending) for e in found.values()} == {
            (1, True, False)
        }
        assert catalog.count_gone("acme") == 0
        assert catalog.personal_data("acme") == {"EMAIL_ADDRESS": 2, "PERSON": 3}
        assert not catalog.tallies("nobody")
        assert not catalog.personal_data("nobody")
