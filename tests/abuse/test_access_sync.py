"""Access lists alone: in force at once, nothing read, nothing wrapped that did not change, and never more than ingesting gives."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import replace

import pytest

from ragward.domain.directory import UserProfile
from ragward.domain.errors import DeniedError, InvalidRequestError
from ragward.domain.jobs import JobItem, JobState, SourceRequest
from ragward.domain.labels import Classification
from ragward.opening import source_items
from tests import company
from tests.abuse.others import STEWARD, ask, document, relabel, sources
from tests.installation import initialised, opened
from tests.office_files import zipped

CLERK = company.subject("clerk")
ENG = ["group:acme/eng"]


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    settings = initialised(tmp_path_factory.mktemp("acl"))
    with opened(settings) as made:
        yield made


class Manifest:
    """Documents in a folder, and what a manifest beside them says of each."""

    def __init__(self, ragward, directory, corpus):
        self.ragward, self.folder, self.corpus = ragward, directory, corpus
        self.lines = {}

    def put(self, *names, **fields):
        for name in names:
            path = self.folder / name
            if not path.exists():
                path.write_text(f"The voltage laboratory of {name} opens at nine.")
            self.lines[name] = {"classification": "INTERNAL"} | (fields or {"granted": ENG})
        return self

    def items(self, **given):
        lines = [{"uri": n, "corpus": self.corpus} | f for n, f in self.lines.items()]
        path = self.folder / "manifest.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        request = SourceRequest(location=str(path), is_manifest=True, **given)
        settings, catalog = self.ragward.settings, self.ragward.catalog
        return source_items(settings, catalog, "acme", request), request

    def ingest(self):
        items, source = self.items()
        return self.ragward.ingestion.run_job(STEWARD, items, source=source)

    def sync(self, by=STEWARD):
        items, source = self.items(access_only=True)

        def unread():
            raise AssertionError("a document was read")

        items = [replace(item, load=unread) for item in items]
        for path in self.folder.glob("*.txt"):
            path.rename(path.with_suffix(".away"))
        try:
            return self.ragward.access_sync.run_job(by, items, source=source)
        finally:
            for path in self.folder.glob("*.away"):
                path.rename(path.with_suffix(".txt"))

    def record(self, name):
        return self.ragward.catalog.find_document("acme", self.corpus, name)


@pytest.fixture
def manifest(ragward, tmp_path):
    return Manifest(ragward, tmp_path, f"c{uuid.uuid4().hex[:12]}")


def test_what_is_taken_away_is_gone_with_the_next_question(ragward, tmp_path):
    manifest = Manifest(ragward, tmp_path, "eng").put("a.txt", "b.txt")
    manifest.ingest()
    assert {"a.txt", "b.txt"} <= sources(ask(ragward, "ben"))
    before = {name: manifest.record(name) for name in ("a.txt", "b.txt")}
    epoch = ragward.catalog.epoch("acme")
    done = manifest.put("a.txt", granted=["user:acme/dot"]).sync()
    assert (done.state, done.counts) == (JobState.SUCCESS, {"relabelled": 1, "unchanged": 1})
    assert ragward.catalog.epoch("acme") > epoch
    assert sources(ask(ragward, "ben")) & {"a.txt", "b.txt"} == {"b.txt"}
    assert manifest.record("b.txt") == before["b.txt"], "not even its key was touched"
    after = manifest.record("a.txt")
    assert after.key.wrapped_dek != before["a.txt"].key.wrapped_dek
    assert after.key.dek_id == before["a.txt"].key.dek_id, "its text was not encrypted again"
    assert after.version == before["a.txt"].version
    manifest.put("a.txt").sync()
    assert {"a.txt", "b.txt"} <= sources(ask(ragward, "ben"))


def test_contents_are_unchanged_for_the_next_ingest(manifest):
    manifest.put("a.txt", "b.txt").ingest()
    manifest.put("a.txt", granted=["user:acme/dot"]).sync()
    assert manifest.ingest().counts == {"unchanged": 2}


@pytest.mark.parametrize(
    "fields",
    [
        {"granted": ["user:acme/dot"], "denied": ["user:acme/ben"]},
        {"granted": []},
        {"acl": ["nobody@acme.example"]},
        {"acl": {"is_public": True}},
        {"acl": "nonsense"},
        {"granted": ENG, "compartments": ["case"]},
        {"granted": ENG, "valid_until": "2031-01-01T00:00:00Z"},
        {"granted": ENG, "classification": "RESTRICTED"},
        {"granted": ENG, "classification": "PUBLIC"},
    ],
    ids=str,
)
@pytest.mark.parametrize("decided", [False, True], ids=["as ingested", "relabelled by a steward"])
def test_it_gives_what_ingesting_the_same_again_would_give(ragward, tmp_path, fields, decided):
    found = []
    for way in ("sync", "ingest"):
        folder = tmp_path / way
        folder.mkdir()
        manifest = Manifest(ragward, folder, f"c{uuid.uuid4().hex[:12]}").put("a.txt")
        manifest.ingest()
        if decided:
            record = manifest.record("a.txt")
            own = frozenset({"user:acme/dot", *ENG})
            relabel(ragward, record.document_id, replace(record.label, granted=own))
        getattr(manifest.put("a.txt", **fields), way)()
        found.append(replace(manifest.record("a.txt").label, corpus="same"))
    assert found[0] == found[1]


def test_nothing_is_lowered_by_a_source(manifest):
    manifest.put("a.txt", classification="RESTRICTED", granted=ENG).ingest()
    manifest.put("a.txt", classification="PUBLIC", granted=["user:acme/dot"]).sync()
    label = manifest.record("a.txt").label
    assert (label.classification, label.granted) == (Classification.RESTRICTED, {"user:acme/dot"})
    lower = replace(label, classification=Classification.PUBLIC)
    moves = [(manifest.record("a.txt"), lower, lower)]
    with pytest.raises(InvalidRequestError) as refused:
        manifest.ragward.relabelling.follow_source(STEWARD, moves)
    assert refused.value.code == "label.invalid"


def test_it_is_no_decision_of_a_person(manifest):
    manifest.put("a.txt").ingest()
    manifest.put("a.txt", granted=[]).sync()
    manifest.put("a.txt", granted=["user:acme/dot"]).sync()
    assert manifest.record("a.txt").label.granted == {"user:acme/dot"}, "it does not narrow only"
    assert not any(line.startswith("steward") for line in manifest.record("a.txt").evidence)


def test_who_may_not_relabel_moves_nothing_and_learns_nothing(manifest):
    manifest.put("a.txt").ingest()
    before = manifest.record("a.txt")
    done = manifest.put("a.txt", "absent.txt", granted=[]).sync(by=CLERK)
    assert done.counts == {"unknown": 2}
    reader = manifest.sync(by=company.subject("ben"))
    assert manifest.record("a.txt") == before
    assert {e.code for e in reader.errors} <= {"access.denied"}


def test_one_that_is_refused_holds_up_no_other(manifest, monkeypatch):
    manifest.put("a.txt", "b.txt", "c.txt").ingest()
    flow = type(manifest.ragward.relabelling)
    follow = flow.follow_source

    def refusing(self, subject, found):
        if any(record.source == "b.txt" for record, _, _ in found):
            raise DeniedError
        return follow(self, subject, found)

    monkeypatch.setattr(flow, "follow_source", refusing)
    done = manifest.put("a.txt", "b.txt", "c.txt", granted=[]).sync()
    assert done.counts == {"relabelled": 2, "failed": 1}
    assert manifest.record("c.txt").label.granted == frozenset()


def test_a_list_that_cannot_be_read_is_an_item_that_fails(manifest):
    manifest.put("a.txt").ingest()
    before = manifest.record("a.txt")
    manifest.put("a.txt", granted=["everybody"])
    assert [e.code for e in manifest.sync().errors] == ["principal.invalid"]
    assert manifest.record("a.txt") == before


def test_names_are_looked_up_again(ragward, manifest):
    manifest.put("a.txt", acl=["eve@acme.example"]).ingest()
    assert manifest.record("a.txt").label.granted == frozenset()
    ragward.catalog.create_user(
        "acme", UserProfile(user_name="eve@acme.example", external_id="eve"), "app:acme/idp"
    )
    assert manifest.sync().counts == {"relabelled": 1}
    assert manifest.record("a.txt").label.granted == {"user:acme/eve"}


def test_members_have_the_list_of_their_archive(ragward, tmp_path, manifest):
    (tmp_path / "all.zip").write_bytes(zipped([("a.txt", b"Voltage."), ("b.txt", b"Volt.")]))
    (tmp_path / "all.zipper").write_text("The laboratory.")
    manifest.put("all.zip", "all.zipper").ingest()
    assert manifest.put("all.zip", granted=[]).sync().counts == {"relabelled": 2, "unchanged": 1}
    assert manifest.record("all.zip!/b.txt").label.granted == frozenset()


def test_modes_are_read_without_the_file(ragward, tmp_path):
    corpus = f"c{uuid.uuid4().hex[:12]}"
    settings = ragward.settings.model_copy(
        update={"posix_principals": {f"uid:{os.getuid()}": "user:acme/ben"}}
    )
    (tmp_path / "a.txt").write_text("The voltage laboratory.")
    (tmp_path / "a.txt").chmod(0o600)
    tmp_path.chmod(0o755)
    request = SourceRequest(location=str(tmp_path), is_manifest=False, corpus=corpus, posix=True)

    def items():
        return source_items(settings, ragward.catalog, "acme", request)

    ragward.ingestion.run_job(STEWARD, items(), source=request)
    label = ragward.catalog.find_document("acme", corpus, "a.txt").label
    assert label.granted == {"user:acme/ben"}
    (tmp_path / "a.txt").chmod(0o040)
    ragward.access_sync.run_job(STEWARD, items())
    label = ragward.catalog.find_document("acme", corpus, "a.txt").label
    assert (label.granted, label.denied) == (frozenset(), {"user:acme/ben"})


def test_it_marks_nothing_as_gone(ragward, manifest):
    manifest.put("a.txt", "b.txt").ingest()
    del manifest.lines["a.txt"]
    assert manifest.sync().counts == {"unchanged": 1}
    assert manifest.record("a.txt").gone_since is None


def test_a_document_without_a_list_of_its_own(ragward):
    item = JobItem(source="x", load=lambda: document("x"))
    done = ragward.access_sync.run_job(STEWARD, [item])
    assert [e.code for e in done.errors] == ["source.invalid"]
    assert done.state is JobState.FAILED
