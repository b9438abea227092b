"""Documents that a source no longer has: what must not be taken for gone, who may not, and what becomes of the rest."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import replace

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from ragward.adapters import source_url
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
)
from ragward.domain.jobs import Gone, JobItem, JobState, SourceRequest
from ragward.domain.policy import PolicyRow
from ragward.opening import source_items
from tests import company
from tests.abuse.others import CONFIDENTIAL, RESTRICTED, STEWARD, ask, document, relabel, sources
from tests.installation import initialised, opened
from tests.office_files import zipped

DAY = 86_400
CLERK = company.subject("clerk")
"""May put documents in, and nothing else."""
READER = company.subject("ben")


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    settings = initialised(tmp_path_factory.mktemp("gone"))
    with opened(settings, clock=company.SetClock()) as made:
        clerk = PolicyRow(
            "user:acme/clerk", "document:ingest", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
        )
        made.catalog.change_policy("acme", add_rows=[clerk], author="test")
        yield made


class Place:
    """A folder with a manifest, in a corpus of its own unless one is shared."""

    def __init__(self, ragward, directory, corpus="eng", level="INTERNAL"):
        self.ragward, self.corpus, self.level = ragward, corpus, level
        self.folder = directory / uuid.uuid4().hex
        self.folder.mkdir()
        self.names = {}

    def put(self, *names, text="The voltage laboratory opens at nine.", **fields):
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{self.folder.name} {name}: {text}")
            self.names[name] = fields
        return self

    def drop(self, *names):
        for name in names:
            del self.names[name]
            (self.folder / name).unlink()
        return self

    def request(self, gone=Gone.ASK):
        return SourceRequest(
            location=str(self.folder / "manifest.jsonl"), is_manifest=True, gone=gone
        )

    def items(self):
        about = {
            "corpus": self.corpus,
            "classification": self.level,
            "granted": ["group:acme/staff"],
        }
        lines = [json.dumps(about | {"uri": n} | fields) for n, fields in self.names.items()]
        (self.folder / "manifest.jsonl").write_text("\n".join(lines))
        ragward = self.ragward
        return source_items(ragward.settings, ragward.catalog, "acme", self.request())

    def run(self, *, gone=Gone.ASK, by=STEWARD, items=None, **given):
        items = self.items() if items is None else items
        return self.ragward.ingestion.run_job(by, items, source=self.request(gone), **given)

    def record(self, name):
        return self.ragward.catalog.find_document("acme", self.corpus, name)

    def marked(self):
        return sorted(
            r.source
            for r in self.ragward.catalog.documents_of_origin(
                "acme", self.request().origin, limit=1000
            )
            if r.gone_since is not None
        )


@pytest.fixture
def place(ragward, tmp_path):
    return Place(ragward, tmp_path, corpus=f"c{uuid.uuid4().hex[:12]}")


def events(ragward, kind):
    found = [json.loads(entry.data) for entry in ragward.audit.entries(start=0, limit=100_000)]
    return [event["details"] for event in found if event["type"] == kind]


# What must not be taken for gone. -----------------------------------------------------------------------------------


def test_a_listing_that_failed_marks_nothing(place):
    place.put("a.txt", "b.txt", "c.txt").run()
    items = place.drop("a.txt").items()

    def fails():
        raise InvalidRequestError(code="document.unreadable")

    closed = JobItem(source="closed", load=fails, corpus=place.corpus, unlisted=True)
    place.run(items=[*items, closed])
    assert place.marked() == []
    place.run(items=[*items, closed], gone=Gone.CONFIRM)  # nobody can confirm what was not seen
    assert place.marked() == []
    place.run(items=items)
    assert place.marked() == ["a.txt"]


def test_a_line_that_nobody_can_read_may_have_named_it(place):
    place.put("a.txt", "b.txt").run()
    place.drop("a.txt").items()
    manifest = place.folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + '\n{"uri": "a.t')  # as if the upload was cut
    items = source_items(place.ragward.settings, place.ragward.catalog, "acme", place.request())
    assert place.run(items=items).state is JobState.COMPLETED_WITH_ERRORS
    assert place.marked() == []


def test_a_folder_that_cannot_be_listed_in_a_store_is_not_an_empty_one():
    class Failing(AbstractFileSystem):
        protocol = "failing"

        def ls(self, path, detail=True, **_):
            if path.endswith("closed"):
                raise PermissionError("no")
            found = [
                {"name": "root/a.txt", "type": "file", "size": 1},
                {"name": "root/closed", "type": "directory", "size": 0},
            ]
            return found if detail else [each["name"] for each in found]

    for told in ({}, {"on_error": "raise"}):
        assert Failing().find("root", **told) == ["root/a.txt"], "fsspec says nothing of it"
    place = source_url.RemotePlace(Failing(), "root", "s3://root")
    with pytest.raises(RagwardError) as refused:
        list(place.names())
    assert refused.value.code == "source.invalid"


def test_a_source_that_lists_nothing_is_asked_about(place):
    place.put("a.txt").run()
    place.drop("a.txt")
    with pytest.raises(ConflictError) as asked:
        place.run()
    assert asked.value.code == "source.many_gone"
    assert place.marked() == []
    assert place.run(gone=Gone.CONFIRM).counts == {"gone": 1}


def test_a_folder_that_is_not_mounted_is_asked_about_before_anything_is_read(place):
    names = [f"{n}.txt" for n in range(20)]
    place.put(*names).run()
    place.drop(*names).put("lost+found.txt")
    before = len(place.ragward.catalog.documents("acme", corpus=place.corpus))
    with pytest.raises(ConflictError) as asked:
        place.run()
    assert asked.value.code == "source.many_gone"
    assert asked.value.detail == "20 of 20 documents are not at the source"
    assert len(place.ragward.catalog.documents("acme", corpus=place.corpus)) == before
    assert place.marked() == []


def test_shares_that_go_one_after_the_other_are_counted_together(place):
    names = [f"{n:02}.txt" for n in range(30)]
    place.put(*names).run()
    place.drop(*names[:6]).run()  # 20 %: not above
    assert place.marked() == names[:6]
    place.drop(names[6])
    with pytest.raises(ConflictError):
        place.run()
    assert place.marked() == names[:6]
    place.run(gone=Gone.CONFIRM)
    assert place.marked() == names[:7]
    assert place.run().state is JobState.SUCCESS, "what was confirmed is not asked about again"


def test_a_few_of_a_few_are_not_asked_about(place):
    place.put(*(f"{n}.txt" for n in range(8))).run()
    place.drop(*(f"{n}.txt" for n in range(5))).run()
    assert len(place.marked()) == 5


def test_another_source_of_the_same_corpus_is_none_of_its_business(ragward, tmp_path, place):
    other = Place(ragward, tmp_path, corpus=place.corpus).put("theirs.txt")
    other.run()
    pushed = replace(
        document("pushed.txt"), label=place.put("a.txt", "b.txt").items()[0].load().label
    )
    ragward.ingestion.ingest(STEWARD, pushed)
    place.run()
    place.drop("a.txt").run()
    assert place.marked() == ["a.txt"]
    assert other.marked() == []
    assert place.record("pushed.txt").gone_since is None


def test_a_name_that_two_sources_have_belongs_to_the_last_one(ragward, tmp_path, place):
    other = Place(ragward, tmp_path, corpus=place.corpus).put("a.txt", "b.txt")
    place.put("a.txt", "c.txt").run()
    other.run()
    place.drop("a.txt").run()
    assert place.record("a.txt").gone_since is None


def test_what_cannot_be_read_is_there(place):
    place.put("a.txt", "b.txt").run()
    (place.folder / "a.txt").unlink()
    (place.folder / "a.txt").symlink_to("/etc/passwd")
    assert [e.code for e in place.run().errors] == ["manifest.invalid"]
    assert place.marked() == []


def test_what_lies_below_a_name_that_fails_is_not_seen(place):
    place.put("f/a.txt", "f!/b.txt", "g.txt").run()

    def fails():
        raise ConflictError(code="document.link")

    rest = [item for item in place.items() if item.source == "g.txt"]
    link = JobItem(source="f", load=fails, corpus=place.corpus)
    place.run(items=[*rest, link])
    assert place.marked() == []  # `f!/b.txt` could be a member of an archive `f`


def test_a_job_that_was_canceled_or_died_marks_nothing(place):
    place.put("a.txt", "b.txt", "c.txt").run()
    place.drop("a.txt")
    done = []
    canceled = place.run(
        progress=lambda _job, item: done.append(item), is_canceled=lambda: len(done) == 2
    )
    assert canceled.state is JobState.CANCELED
    assert len(done) == 2, "all that was listed was read"
    with pytest.raises(ZeroDivisionError):
        place.run(progress=lambda _job, _item: 1 / 0)
    assert place.marked() == []


def test_what_is_kept_is_not_marked(place):
    place.put("a.txt", "b.txt").run()
    place.drop("a.txt").run(gone=Gone.KEEP)
    assert place.marked() == []


# Who may not. -------------------------------------------------------------------------------------------------------


def test_who_may_only_ingest_marks_nothing_and_is_told_nothing(place):
    place.put("a.txt", "b.txt").run(by=CLERK)
    assert place.drop("a.txt").run(by=CLERK).counts == {"ingested": 1}
    assert place.marked() == []
    assert place.run().counts == {"unchanged": 1, "gone": 1}


def test_who_may_read_and_not_delete_is_told_and_marks_nothing(ragward, place):
    row = PolicyRow("user:acme/pen", "document:ingest", "acme/*", "PUBLIC..INTERNAL", "*", "allow")
    read = PolicyRow("user:acme/pen", "corpus:retrieve", "acme/*", "PUBLIC..INTERNAL", "*", "allow")
    ragward.catalog.change_policy("acme", add_rows=[row, read], author="test")
    about = {"granted": ["user:acme/pen"]}
    place.put("a.txt", "b.txt", **about).run()
    done = place.drop("a.txt").run(by=company.subject("pen"))
    assert [(e.source, e.code) for e in done.errors] == [("a.txt", "access.denied")]
    assert place.marked() == []


# What becomes of the rest. ------------------------------------------------------------------------------------------


def test_held_back_meanwhile_as_its_classification_demands(ragward, place):
    place.put("open.txt", "stays.txt").put("closed.txt", classification="CONFIDENTIAL").run()
    epoch = ragward.catalog.epoch("acme")
    done = place.drop("open.txt", "closed.txt").run()
    assert done.counts == {"unchanged": 1, "gone": 2}
    assert place.record("open.txt").state is DocumentState.ACTIVE
    closed = place.record("closed.txt")
    assert (closed.state, closed.gone_since) == (DocumentState.GONE, ragward.clock.now())
    assert ragward.catalog.epoch("acme") > epoch, "permits from before are decided again"
    points = [s.point_id for s in ragward.catalog.document_chunks("acme", closed.document_id)]
    assert points
    assert not ragward.catalog.vectors_named(points), "no index answers from it"
    with pytest.raises(NotFoundError):
        ragward.stewardship.document(READER, closed.document_id)
    assert ragward.stewardship.document(STEWARD, closed.document_id).gone_since
    told = {event["document"]: event["state"] for event in events(ragward, "document.gone")}
    assert told[closed.document_id] == "gone"
    assert told[place.record("open.txt").document_id] == "active"


def test_answers_while_it_is_gone_and_when_it_is_back(ragward, tmp_path):
    place = Place(ragward, tmp_path, corpus="eng")
    place.put("low.txt").put("high.txt", classification="CONFIDENTIAL").run()
    here = {"low.txt", "high.txt"}
    assert here <= sources(ask(ragward, "ben", corpora=("eng",)))
    place.drop("low.txt", "high.txt").put("x.txt").run()
    assert sources(ask(ragward, "ben", corpora=("eng",))) & here == {"low.txt"}
    done = place.put("low.txt").put("high.txt", classification="CONFIDENTIAL").run()
    assert done.counts == {"unchanged": 3}
    assert place.marked() == []
    assert here <= sources(ask(ragward, "ben", corpora=("eng",)))
    assert len(events(ragward, "document.returned")) >= 2


def test_deleted_with_its_key_once_the_grace_is_over(ragward, place):
    place.put("a.txt", "b.txt").run()
    name = place.record("a.txt").document_id
    place.drop("a.txt").run()
    clock, since = ragward.clock, ragward.clock.now()
    clock.seconds += 7 * DAY - 1
    assert place.run().counts == {"unchanged": 1}
    assert place.record("a.txt").gone_since == since
    clock.seconds += 1
    assert place.run().counts == {"unchanged": 1, "removed": 1}
    record = place.record("a.txt")
    assert (record.state, record.key.wrapped_dek) == (DocumentState.DELETED, b"")
    assert name in {event["document"] for event in events(ragward, "document.deleted")}
    assert place.run().counts == {"unchanged": 1}


def test_it_is_removed_only_while_it_is_still_missing(ragward, place):
    place.put("a.txt", "b.txt").run()
    place.drop("a.txt").run()
    ragward.clock.seconds += 8 * DAY
    place.put("a.txt", text="Another laboratory.").run()
    record = place.record("a.txt")
    assert (record.state, record.version, record.gone_since) == (DocumentState.ACTIVE, 2, None)
    place.drop("a.txt").run()
    assert place.record("a.txt").state is DocumentState.ACTIVE, "its time begins anew"


def test_a_file_that_is_back_and_fails_has_its_mark_taken_off(ragward, place):
    place.put("a.txt", "b.txt").run()
    place.drop("a.txt").run()
    place.put("a.txt")
    (place.folder / "a.txt").write_bytes(b"\xff\x00")
    assert place.run().counts == {"failed": 1, "unchanged": 1, "returned": 1}
    assert place.marked() == []


def test_whoever_may_only_ingest_brings_it_back_too(ragward, place):
    place.put("a.txt", "b.txt", classification="CONFIDENTIAL").run()
    place.drop("a.txt").run()
    assert place.record("a.txt").state is DocumentState.GONE
    place.put("a.txt", classification="CONFIDENTIAL").run(by=CLERK)
    assert place.record("a.txt").state is DocumentState.ACTIVE
    assert place.marked() == []


def test_raised_while_it_is_gone_it_is_held_back(ragward, place):
    place.put("a.txt", "b.txt").run()
    place.drop("a.txt").run()
    record = place.record("a.txt")
    assert record.state is DocumentState.ACTIVE
    raised = replace(record.label, classification=CONFIDENTIAL)
    relabel(ragward, record.document_id, raised)
    assert place.run().counts == {"unchanged": 1, "gone": 1}
    held = place.record("a.txt")
    assert (held.state, held.gone_since) == (DocumentState.GONE, record.gone_since)
    relabel(ragward, record.document_id, replace(raised, classification=RESTRICTED))
    assert ragward.relabelling.resume() == 0
    again = place.record("a.txt")
    assert (again.state, again.pending.value) == (DocumentState.GONE, ""), (
        "encrypted anew, still held back"
    )


def test_no_grace_at_all(ragward, place):
    now = replace(ragward.ingestion._ports.presence._ports, grace_seconds=0)
    at_once = type(ragward.ingestion._ports.presence)(now)
    ports = replace(ragward.ingestion._ports, presence=at_once)
    place.put("a.txt", "b.txt").run()
    place.drop("a.txt")
    done = type(ragward.ingestion)(ports).run_job(STEWARD, place.items(), source=place.request())
    assert done.counts == {"unchanged": 1, "gone": 1, "removed": 1}
    assert place.record("a.txt").state is DocumentState.DELETED


def test_members_of_an_archive(ragward, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    wanted = SourceRequest(
        location=str(folder),
        is_manifest=False,
        corpus=f"c{uuid.uuid4().hex[:12]}",
        granted=("group:acme/staff",),
    )

    def run():
        items = source_items(ragward.settings, ragward.catalog, "acme", wanted)
        ragward.ingestion.run_job(STEWARD, items, source=wanted)
        records = ragward.catalog.documents_of_origin("acme", wanted.origin, limit=100)
        return {r.source: r.gone_since is not None for r in records}

    (folder / "one.txt").write_text("The laboratory.")
    (folder / "all.zip").write_bytes(zipped([("a.txt", b"Voltage."), ("b.txt", b"Laboratory.")]))
    names = {"one.txt", "all.zip!/a.txt", "all.zip!/b.txt"}
    assert run() == dict.fromkeys(names, False)
    (folder / "all.zip").write_bytes(b"not an archive")
    assert run() == dict.fromkeys(names, False)
    (folder / "all.zip").write_bytes(zipped([("b.txt", b"Laboratory.")]))
    assert run() == dict.fromkeys(names, False) | {"all.zip!/a.txt": True}


@pytest.mark.parametrize("step", range(1, 7))
def test_killed_at_any_step_the_next_run_ends_as_if_nothing_had_been(
    ragward, place, monkeypatch, step
):
    """Marking two, bringing one back and removing one, with the log or the catalog failing at the n-th write."""
    place.put(
        "back.txt", "due.txt", "stays.txt", "x.txt", "y.txt", classification="CONFIDENTIAL"
    ).run()
    place.drop("due.txt", "back.txt").run()
    ragward.clock.seconds += 8 * DAY
    place.put("back.txt", classification="CONFIDENTIAL").drop("x.txt", "y.txt")
    seen = 0

    def breaking(call):
        def wrapped(*args, **kwargs):
            nonlocal seen
            seen += 1
            if seen == step:
                raise KeyboardInterrupt
            return call(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patched:
        recorder = ragward.ingestion._ports.recorder
        for owner, name in (
            (type(recorder), "record"),
            (type(ragward.catalog), "mark_gone"),
            (type(ragward.catalog), "set_state"),
        ):
            patched.setattr(owner, name, breaking(getattr(owner, name)))
        with suppress(KeyboardInterrupt):
            place.run()
        assert seen >= step, "there are fewer steps"
    place.run()
    assert place.marked() == ["x.txt", "y.txt"]
    states = {name: place.record(name).state.value for name in ("back.txt", "due.txt", "x.txt")}
    assert states == {"back.txt": "active", "due.txt": "deleted", "x.txt": "gone"}


def test_a_store_is_followed_like_a_folder(ragward):
    store, bucket = fsspec.filesystem("memory"), uuid.uuid4().hex
    store.pipe({f"/{bucket}/{n}.txt": f"Laboratory {n}.".encode() for n in range(3)})
    wanted = SourceRequest(
        location=f"memory://{bucket}",
        is_manifest=False,
        corpus=f"c{bucket[:12]}",
        granted=("group:acme/staff",),
    )
    for counts in ({"ingested": 3}, {"unchanged": 2, "gone": 1}):
        items = source_items(ragward.settings, ragward.catalog, "acme", wanted)
        assert ragward.ingestion.run_job(STEWARD, items, source=wanted).counts == counts
        if store.exists(f"/{bucket}/0.txt"):
            store.rm(f"/{bucket}/0.txt")
