"""What every catalog does. `catalog` is a fixture of the module that runs this; the time is NOW."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ragward.domain.access import TenantHead
from ragward.domain.corpus import DocumentState, View
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
)
from ragward.domain.jobs import Gone, ItemOutcome, ItemResult, JobState, SourceRequest
from ragward.domain.labels import Classification
from ragward.domain.presence import GoneMark
from tests.contract.catalog_examples import (
    application,
    chunk,
    label,
    member,
    new_id,
    next_version,
    points,
    relabelled,
    rewrapped,
    row,
    version,
)

NOW = 1_700_000_000


def work_off(catalog) -> None:
    """The index is up to date."""
    while work := catalog.next_work(limit=7):
        catalog.finish_work(work)


class PolicyContract:
    def test_a_tenant_nobody_wrote_to_has_no_policy_at_epoch_0(self, catalog):
        found = catalog.policy("acme")
        assert (found.epoch, found.rows, found.memberships) == (0, (), ())
        assert catalog.epoch("acme") == 0

    def test_a_policy_is_read_back_as_written_with_its_epoch(self, catalog):
        rows = [row(), row(effect="deny", corpus="acme/*"), row()]
        epoch = catalog.replace_policy("acme", rows, [member("user:ann", "group:staff")], "root")
        found = catalog.policy("acme")
        assert set(found.rows) == set(rows)
        assert found.memberships == (member("user:ann", "group:staff"),)
        assert found.epoch == epoch == catalog.epoch("acme") == 1

    def test_single_rows_are_added_and_removed(self, catalog):
        catalog.replace_policy("acme", [row()], [member("user:ann", "group:staff")], "root")
        more = row("group:acme/boss", "acme/*")
        epoch = catalog.change_policy(
            "acme",
            add_rows=[more, row()],
            remove_rows=[row("group:acme/nobody")],
            add_memberships=[member("user:bob", "group:boss")],
            remove_memberships=[member("user:ann", "group:staff")],
            author="root",
        )
        found = catalog.policy("acme")
        assert set(found.rows) == {row(), more}
        assert found.memberships == (member("user:bob", "group:boss"),)
        assert found.epoch == epoch == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"remove_rows": [row()]},
            {"add_rows": [row("group:other/staff", "other/handbook")]},
            {"add_memberships": [member("group:staff", "group:staff")]},
            {
                "add_memberships": [
                    member(f"group:g{depth}", f"group:g{depth + 1}") for depth in range(11)
                ]
            },
        ],
    )
    def test_a_write_with_an_invalid_result_leaves_nothing_changed(self, catalog, change):
        catalog.replace_policy("acme", [row()], [member("user:ann", "group:staff")], "root")
        before = catalog.policy("acme")
        with pytest.raises(InvalidRequestError) as refused:
            catalog.change_policy("acme", **change, author="root")
        assert refused.value.code == "policy.invalid"
        with pytest.raises(InvalidRequestError):
            catalog.replace_policy("acme", [], [], "root")
        assert catalog.policy("acme") == before

    def test_policies_of_two_tenants_do_not_meet(self, catalog):
        catalog.replace_policy("acme", [row()], [], "root")
        catalog.replace_policy("other", [row("group:other/staff", "other/handbook")], [], "root")
        catalog.change_policy("other", add_rows=[row("group:other/b", "other/*")], author="root")
        assert catalog.policy("acme").rows == (row(),)
        assert (catalog.epoch("acme"), catalog.epoch("other")) == (1, 2)


class ApplicationContract:
    def test_an_application_is_found_by_client_id_and_by_each_of_its_keys(self, catalog):
        portal = application(public_client=True)
        catalog.save_application(portal, key_prefix="rw_1", key_sha256=b"1" * 32)
        catalog.save_application(portal, key_prefix="rw_2", key_sha256=b"2" * 32)
        assert catalog.find_application("acme", "portal") == portal
        assert catalog.find_application_by_key("rw_1").sha256 == b"1" * 32
        assert catalog.find_application_by_key("rw_2").application == portal
        assert catalog.find_application_by_key("rw_3") is None
        assert catalog.find_application("other", "portal") is None

    def test_a_key_can_take_the_place_of_all_earlier_ones(self, catalog):
        for name in ("one", "two"):
            catalog.save_application(application(name), key_prefix=name, key_sha256=b"1" * 32)
        catalog.save_application(
            application("one"), key_prefix="new", key_sha256=b"2" * 32, replace_keys=True
        )
        assert catalog.find_application_by_key("one") is None
        assert catalog.find_application_by_key("new").sha256 == b"2" * 32
        assert catalog.find_application_by_key("two").sha256 == b"1" * 32  # somebody else's

    def test_saving_again_replaces_and_moves_the_epoch(self, catalog):
        catalog.save_application(application(), key_prefix=None, key_sha256=None)
        narrower = application(corpora=frozenset(), ceiling=Classification.PUBLIC)
        before = catalog.epoch("acme")
        catalog.save_application(narrower, key_prefix=None, key_sha256=None)
        assert catalog.applications("acme") == [narrower]
        assert catalog.epoch("acme") > before

    def test_an_expired_application_is_not_found_but_listed(self, catalog):
        gone, live = application("gone", expires_at=NOW), application("live", expires_at=NOW + 1)
        catalog.save_application(gone, key_prefix="gone", key_sha256=b"1" * 32)
        catalog.save_application(live, key_prefix="live", key_sha256=b"2" * 32)
        assert catalog.find_application_by_key("gone") is None
        assert catalog.find_application("acme", "gone") is None
        assert catalog.find_application_by_key("live").application == live
        assert catalog.applications("acme") == [gone, live]

    def test_a_key_prefix_that_is_taken_is_refused_and_changes_nothing(self, catalog):
        catalog.save_application(application("one"), key_prefix="rw_1", key_sha256=b"1" * 32)
        with pytest.raises(ConflictError):
            catalog.save_application(application("two"), key_prefix="rw_1", key_sha256=b"2" * 32)
        assert catalog.find_application("acme", "two") is None
        assert catalog.find_application_by_key("rw_1").application == application("one")

    def test_an_application_of_another_tenants_principal_is_refused(self, catalog):
        for principal in ("app:other/portal", "user:acme/ann"):
            with pytest.raises(InvalidRequestError):
                catalog.save_application(
                    application(principal=principal), key_prefix=None, key_sha256=None
                )


class LabelContract:
    def test_equal_labels_have_one_id_and_are_read_back_equal(self, catalog):
        wanted = label(
            granted=("staff", "boss"),
            denied=frozenset({"user:acme/eve"}),
            compartments=frozenset({"merger"}),
            valid_from=-5,
            valid_until=NOW,
        )
        catalog.commit_version(version("a.md", label=wanted))
        catalog.commit_version(version("b.md", label=wanted))
        found = catalog.labels("acme")
        assert list(found.values()) == [wanted]
        assert catalog.labels("acme", after=max(found)) == {}
        assert catalog.labels("other") == {}

    def test_each_label_view_and_set_of_types_is_one_scope(self, catalog):
        plain, personal = chunk(0), chunk(1, {"PERSON", "EMAIL_ADDRESS"})
        catalog.commit_version(version("a.md", chunks=(plain, personal)))
        catalog.commit_version(version("b.md", chunks=(chunk(0),)))
        found = catalog.scopes("acme")
        types = frozenset({"PERSON", "EMAIL_ADDRESS"})
        assert {(scope.view, scope.entity_types) for scope in found} == {
            (View.FULL, frozenset()),
            (View.FULL, types),
            (View.REDACTED, types),
        }
        assert len({scope.scope_id for scope in found}) == 3
        last = max(scope.scope_id for scope in found)
        assert list(catalog.scopes("acme", after=last)) == []
        catalog.commit_version(version("c.md", label=label(granted=("boss",))))
        assert [scope.view for scope in catalog.scopes("acme", after=last)] == [View.FULL]

    def test_threads_that_need_the_same_label_get_the_same_id(self, catalog):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(catalog.commit_version, [version(f"{i}.md") for i in range(8)]))
        assert len(catalog.labels("acme")) == len(catalog.scopes("acme")) == 1
        assert {record.label_id for record in catalog.documents("acme")} == set(
            catalog.labels("acme")
        )


class JobContract:
    def test_a_job_counts_its_items_and_keeps_the_bad_ones(self, catalog):
        job = catalog.create_job("acme", "user:acme/ann", 3)
        assert (job.state, job.done, job.total) == (JobState.NOT_STARTED, 0, 3)
        catalog.set_job_state("acme", job.job_id, JobState.IN_PROGRESS, total=4)
        bad = ItemResult(
            source="b",
            outcome=ItemOutcome.FAILED,
            entity_counts={"PERSON": 2},
            code="document.empty",
            detail="It has no text.",
        )
        doubtful = ItemResult(
            source="c", outcome=ItemOutcome.QUARANTINED, document_id="d", chunks=2
        )
        for result in (ItemResult(source="a", outcome=ItemOutcome.INGESTED), bad, doubtful):
            catalog.record_item("acme", job.job_id, result)
        found = catalog.get_job("acme", job.job_id)
        assert (found.state, found.done, found.total) == (JobState.IN_PROGRESS, 3, 4)
        assert found.counts == {"ingested": 1, "failed": 1, "quarantined": 1}
        assert found.errors == (bad, doubtful)

    def test_a_job_that_has_ended_stays_ended(self, catalog):
        job = catalog.create_job("acme", "user:acme/ann", 1)
        catalog.set_job_state("acme", job.job_id, JobState.INTERRUPTED)
        catalog.set_job_state("acme", job.job_id, JobState.CANCELED)
        catalog.set_job_state("acme", job.job_id, JobState.CANCELED)
        with pytest.raises(ConflictError) as refused:
            catalog.set_job_state("acme", job.job_id, JobState.SUCCESS)
        assert refused.value.code == "job.not_cancellable"
        assert catalog.get_job("acme", job.job_id).state is JobState.CANCELED

    def test_jobs_of_a_process_that_died_are_interrupted(self, catalog):
        waiting, running, ended = (catalog.create_job("acme", "user:acme/ann", 1) for _ in range(3))
        catalog.set_job_state("acme", running.job_id, JobState.IN_PROGRESS)
        catalog.set_job_state("acme", ended.job_id, JobState.SUCCESS)
        catalog.recover()
        states = [catalog.get_job("acme", j.job_id).state for j in (waiting, running, ended)]
        assert states == [JobState.INTERRUPTED, JobState.INTERRUPTED, JobState.SUCCESS]

    def test_an_absent_and_another_tenants_job_look_the_same(self, catalog):
        job = catalog.create_job("acme", "user:acme/ann", 1)
        for tenant, job_id in (("other", job.job_id), ("acme", new_id()), ("acme", "\0")):
            with pytest.raises(NotFoundError):
                catalog.get_job(tenant, job_id)
            with pytest.raises(NotFoundError):
                catalog.record_item(
                    tenant, job_id, ItemResult(source="a", outcome=ItemOutcome.FAILED)
                )
            with pytest.raises(NotFoundError):
                catalog.set_job_state(tenant, job_id, JobState.CANCELED)
        assert catalog.get_job("acme", job.job_id) == job

    def test_what_a_job_reads_is_kept_but_for_a_confirmation(self, catalog):
        source = SourceRequest(
            location="in", is_manifest=False, corpus="hr", granted=("group:acme/hr",), root="box"
        )
        asked = replace(source, gone=Gone.CONFIRM)
        job = catalog.create_job("acme", "user:acme/ann", 1, request=asked)
        assert catalog.get_job("acme", job.job_id).request == source
        assert source.origin == asked.origin == replace(source, granted=("user:acme/ben",)).origin
        for other in ({"root": None}, {"location": "out"}, {"corpus": "eng"}):
            assert replace(source, **other).origin != source.origin
        assert replace(source, access_only=True).origin is None

    def test_jobs_are_listed_and_read_in_pages(self, catalog):
        first = catalog.create_job("acme", "user:acme/ann", 1)
        second = catalog.create_job("acme", "user:acme/ben", 1)
        catalog.create_job("other", "user:other/ann", 1)
        found = catalog.jobs("acme", limit=10)
        assert {job.job_id for job in found} == {first.job_id, second.job_id}
        assert [j.job_id for j in catalog.jobs("acme", requested_by="user:acme/ben", limit=9)] == [
            second.job_id
        ]
        items = [
            ItemResult(source=str(n), outcome=ItemOutcome.INGESTED, confidence=n / 8)
            for n in range(5)
        ]
        for item in items:
            catalog.record_item("acme", first.job_id, item)
        page, after = catalog.items_of_job("acme", first.job_id, limit=3)
        rest, _ = catalog.items_of_job("acme", first.job_id, after=after, limit=3)
        assert [*page, *rest] == items
        assert catalog.items_of_job("other", first.job_id, limit=3)[0] == []

    def test_a_job_is_asked_to_end_while_it_runs(self, catalog):
        job = catalog.create_job("acme", "user:acme/ann", 1)
        assert not catalog.cancel_asked("acme", job.job_id)
        with pytest.raises(NotFoundError):
            catalog.ask_cancel("other", job.job_id)
        catalog.ask_cancel("acme", job.job_id)
        assert catalog.cancel_asked("acme", job.job_id)
        assert not catalog.cancel_asked("other", job.job_id)
        catalog.set_job_state("acme", job.job_id, JobState.CANCELED)
        with pytest.raises(ConflictError):
            catalog.ask_cancel("acme", job.job_id)


class PresenceContract:
    FOLDER = SourceRequest(location="/in", is_manifest=False, corpus="handbook")

    def listed(self, catalog, name, **changes):
        """A document that a job of the folder put in."""
        job = catalog.create_job("acme", "user:acme/ann", 1, request=self.FOLDER)
        staged = version(name, job_id=job.job_id, doubts=(), **changes)
        catalog.commit_version(staged)
        return staged

    def of_folder(self, catalog):
        return [r.source for r in catalog.documents_of_origin("acme", self.FOLDER.origin, limit=9)]

    def test_a_document_belongs_to_the_source_that_listed_it_last(self, catalog):
        staged = self.listed(catalog, "a.md")
        assert self.of_folder(catalog) == ["a.md"]
        assert catalog.documents_of_origin("other", self.FOLDER.origin, limit=9) == []
        catalog.commit_version(next_version(staged, doubts=None))  # the same text anew
        assert self.of_folder(catalog) == ["a.md"]
        catalog.commit_version(next_version(next_version(staged), doubts=()))  # pushed by somebody
        assert self.of_folder(catalog) == []
        job = catalog.create_job("acme", "user:acme/ann", 1, request=self.FOLDER)
        seen = ItemResult(
            source="a.md", outcome=ItemOutcome.UNCHANGED, document_id=staged.document_id
        )
        catalog.record_item("acme", job.job_id, seen)
        assert self.of_folder(catalog) == ["a.md"]
        catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
        assert self.of_folder(catalog) == []

    def test_a_mark_holds_back_at_once_and_comes_off(self, catalog):
        staged = self.listed(catalog, "a.md")
        name, active, gone = staged.document_id, DocumentState.ACTIVE, DocumentState.GONE

        def mark(before, after, since, number=1):
            return GoneMark(
                document_id=name, version=number, expected_state=before, state=after, since=since
            )

        epoch = catalog.epoch("acme")
        assert catalog.mark_gone("acme", [mark(active, active, 7)]) == [name]
        assert (catalog.get_document("acme", name).gone_since, catalog.epoch("acme")) == (7, epoch)
        assert catalog.mark_gone("other", [mark(active, gone, 7)]) == []
        assert catalog.mark_gone("acme", [mark(active, gone, 7, number=2)]) == []
        assert catalog.mark_gone("acme", [mark(gone, active, None)]) == []
        assert catalog.mark_gone("acme", [mark(active, gone, 8)]) == [name]
        assert catalog.epoch("acme") > epoch
        record = catalog.get_document("acme", name)
        assert (record.state, record.gone_since) == (gone, 8)
        assert {s.state for s in catalog.document_chunks("acme", name)} == {gone}
        assert catalog.mark_gone("acme", [mark(gone, active, None)]) == [name]
        record = catalog.get_document("acme", name)
        assert (record.state, record.gone_since) == (active, None)
        with pytest.raises(InvalidRequestError):
            catalog.mark_gone("acme", [mark(active, DocumentState.DELETED, 1)])

    def test_a_new_version_is_there_and_the_same_text_anew_says_nothing(self, catalog):
        staged = self.listed(catalog, "a.md")
        mark = GoneMark(
            document_id=staged.document_id,
            version=1,
            expected_state=DocumentState.ACTIVE,
            state=DocumentState.GONE,
            since=7,
        )
        catalog.mark_gone("acme", [mark])
        second = next_version(staged, doubts=None, state=DocumentState.GONE)
        catalog.commit_version(second)
        record = catalog.get_document("acme", staged.document_id)
        assert (record.state, record.gone_since) == (DocumentState.GONE, 7)
        catalog.commit_version(next_version(second, doubts=(), state=DocumentState.ACTIVE))
        record = catalog.get_document("acme", staged.document_id)
        assert (record.state, record.gone_since) == (DocumentState.ACTIVE, None)


class OutboxContract:
    def test_work_says_where_each_point_belongs_and_how_its_vector_opens(self, catalog):
        staged = version(chunks=(chunk(0), chunk(1, {"PERSON"})))
        catalog.commit_version(staged)
        scopes = {
            (scope.view, scope.entity_types): scope.scope_id for scope in catalog.scopes("acme")
        }
        work = catalog.next_work(limit=10)
        person = frozenset({"PERSON"})
        assert [item.point_id for item in work] == points(staged)
        assert [item.scope_id for item in work] == [
            scopes[View.FULL, frozenset()],
            scopes[View.FULL, person],
            scopes[View.REDACTED, person],
        ]
        assert [item.vector_blob for item in work] == [
            point.vector_blob for each in staged.chunks for point in each.points
        ]
        first = work[0]
        assert (first.tenant, first.document_id, first.version) == ("acme", staged.document_id, 1)
        assert first.label_digest == staged.label.digest()
        assert first.key.wrapped_dek == staged.wrapped_dek
        assert catalog.pending_points("acme", limit=10) == {
            item.point_id: item.scope_id for item in work
        }
        assert len(catalog.pending_points("acme", limit=2)) == 2
        assert catalog.pending_points("other", limit=10) == {}
        assert set(catalog.owed_points("acme", limit=10)) == {item.point_id for item in work}
        assert set(catalog.owed_points("acme", limit=2)) == {item.point_id for item in work[:2]}
        assert not catalog.owed_points("other", limit=10)
        catalog.finish_work(work)
        assert not catalog.owed_points("acme", limit=10)
        assert list(catalog.next_work(limit=10)) == []
        assert catalog.pending_points("acme", limit=10) == {}

    def test_work_begun_before_a_relabelling_does_not_finish_the_later_entry(self, catalog):
        staged = version()
        catalog.commit_version(staged)
        begun = catalog.next_work(limit=10)
        relabelled(catalog, staged, label(granted=("boss",)))
        catalog.finish_work(begun)
        [later] = catalog.next_work(limit=10)
        assert later.sequence > begun[0].sequence
        assert later.scope_id not in (None, begun[0].scope_id)
        assert later.key == rewrapped(staged)
        assert catalog.pending_points("acme", limit=10) == {later.point_id: later.scope_id}
        catalog.finish_work([later])
        assert list(catalog.next_work(limit=10)) == []

    @pytest.mark.parametrize("change", ["relabelled", "deleted"])
    def test_work_that_was_overtaken_is_done_again(self, catalog, change):
        """Two processes: the slower one carries out the older entry after the faster one has finished the newer."""
        staged = version()
        catalog.commit_version(staged)
        slow = catalog.next_work(limit=10)
        if change == "deleted":
            catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
        else:
            boss = label(granted=("boss",))
            relabelled(catalog, staged, boss)
        [fast] = catalog.next_work(limit=10)
        catalog.finish_work([fast])
        assert list(catalog.next_work(limit=10)) == []
        catalog.finish_work(slow)  # and with it, put the point where it had been
        [again] = catalog.next_work(limit=10)
        assert again.scope_id == fast.scope_id
        catalog.finish_work([again])
        assert list(catalog.next_work(limit=10)) == []

    def test_only_the_newest_entry_of_a_point_is_given_out(self, catalog):
        staged = version()
        catalog.commit_version(staged)
        relabelled(catalog, staged, label(granted=("boss",)))
        catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
        [item] = catalog.next_work(limit=10)
        assert item.scope_id is None
        assert (item.vector_blob, item.key.wrapped_dek) == (b"", b"")
        assert catalog.pending_points("acme", limit=10) == {}
        assert set(catalog.owed_points("acme", limit=10)) == {item.point_id}  # to be taken out
        catalog.finish_work([item])
        assert list(catalog.next_work(limit=10)) == []

    def test_a_rebuild_queues_every_active_point_and_nothing_else(self, catalog):
        kept, gone, doubtful = version("a.md", chunks=3), version("b.md"), version("c.md")
        other = version("a.md", label=label("other"))
        for each in (kept, gone, doubtful, other):
            catalog.commit_version(each)
        catalog.set_state("acme", gone.document_id, DocumentState.DELETED)
        catalog.set_state("acme", doubtful.document_id, DocumentState.QUARANTINED)
        work_off(catalog)
        assert catalog.requeue_all() == 4
        work = catalog.next_work(limit=10)
        assert {item.point_id for item in work} == {*points(kept), *points(other)}
        assert all(item.scope_id is not None for item in work)


class MetaContract:
    def test_a_fact_is_kept_and_replaced(self, catalog):
        assert catalog.meta("model") is None
        catalog.set_meta("model", "one")
        catalog.set_meta("model", "two")
        assert catalog.meta("model") == "two"
        catalog.check_ready()


class HeadContract:
    def test_a_tenant_nobody_wrote_to_has_an_empty_head(self, catalog):
        assert catalog.head("acme") == TenantHead()

    def test_it_agrees_with_what_is_read_one_by_one(self, catalog):
        catalog.replace_policy("acme", [row()], [member("user:ann", "group:staff")], "root")
        catalog.commit_version(version("a.md", label=label()))
        catalog.commit_version(version("b.md", label=label(corpus="other")))
        head = catalog.head("acme")
        assert head.epoch == catalog.epoch("acme")
        assert head.last_label_id == max(catalog.labels("acme"))
        assert head.last_scope_id == max(s.scope_id for s in catalog.scopes("acme"))
        assert head.has_pending
        assert catalog.labels("acme", after=head.last_label_id) == {}
        assert catalog.head("other") == TenantHead()

    def test_only_the_policy_moves_the_policy_epoch(self, catalog):
        catalog.replace_policy("acme", [row()], [member("user:ann", "group:staff")], "root")
        before = catalog.head("acme")
        assert before.policy_epoch == before.epoch
        staged = version("a.md")
        catalog.commit_version(staged)
        catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
        after = catalog.head("acme")
        assert after.epoch > before.epoch
        assert after.policy_epoch == before.policy_epoch
        gone = [member("user:ann", "group:staff")]
        catalog.change_policy("acme", remove_memberships=gone, author="root")
        last = catalog.head("acme")
        assert last.policy_epoch == last.epoch > after.epoch

    def test_finished_work_is_not_pending(self, catalog):
        catalog.commit_version(version("a.md"))
        assert catalog.head("acme").has_pending
        work_off(catalog)
        assert not catalog.head("acme").has_pending
