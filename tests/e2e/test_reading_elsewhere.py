"""Documents read by Dask workers: the same catalog, nothing legible on the way, and dead workers lose nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ragward import reading_worker
from ragward.adapters.reading_dask import DaskReader, connected, require_safe, sealed_reply
from ragward.bootstrap import Ragward
from ragward.domain.errors import (
    ConfigurationError,
    IntegrityError,
    InvalidRequestError,
    UnavailableError,
)
from ragward.domain.jobs import ItemOutcome, SourceRequest
from ragward.domain.reading import ReadDocument, ReadingTask
from ragward.domain.sources import Demands, SignedSource
from ragward.opening import source_items
from tests import company
from tests.e2e import reading_fakes
from tests.e2e.test_kill import digest, state_of
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.fakes.finder_presidio import FakeFinder
from tests.installation import doubles, initialised, settings_in

STEWARD = company.subject("steward")
SECRET = "The voltage of the prototype is 4711."


class Direct:
    """`ports.Reader` without processes: keeps what would have gone through a scheduler, both ways."""

    ahead = 3

    def __init__(self):
        self.sent, self.back = [], []
        self._reader = DaskReader(Cluster(self), None, 3)
        reading_fakes.setup()

    def submit(self, task):
        return self._reader.submit(task)


@dataclasses.dataclass
class Cluster:
    """As much of a Dask client as is used."""

    kept: Direct

    def submit(self, function, task, **_options):
        self.kept.sent.append(pickle.dumps((function, task)))
        self.kept.back.append(reading_fakes.read(task))
        return Done(self.kept.back[-1])


@dataclasses.dataclass
class Done:
    """A future that is done."""

    data: bytes

    def result(self):
        return self.data

    def release(self):
        """Nothing is kept."""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "source"
    made.mkdir()
    for number in range(12):
        (made / f"{number}.txt").write_text(
            f"Report {number}. {SECRET} Write to p{number}@example.com."
        )
    (made / "empty.txt").write_text("")
    return made


def wanted(folder):
    return SourceRequest(
        location=str(folder), is_manifest=False, corpus="eng", granted=("group:acme/staff",)
    )


def ran(ragward, folder, source=None):
    source = source or wanted(folder)
    items = source_items(ragward.settings, ragward.catalog, company.TENANT, source)
    results = []
    ragward.ingestion.run_job(
        STEWARD, items, source=source, progress=lambda _job, item: results.append(item)
    )
    return results


def lineage_of(ragward):
    """source -> (address, digest, toolchains) of what is there."""
    found = {}
    for record in ragward.catalog.documents("acme"):
        of = ragward.catalog.document_lineage("acme", record.document_id)
        found[record.source] = (of.uri, of.bytes_sha256, of.toolchains)
    return found


def installed(home, reader=None):
    home.mkdir(exist_ok=True)
    settings = settings_in(home) if (home / "data").exists() else initialised(home)
    return Ragward.open(settings, doubles(clock=None, reader=reader))


def test_what_is_read_elsewhere_is_what_is_read_here(tmp_path, folder):
    direct = Direct()
    with installed(tmp_path / "here") as here:
        expected = ran(here, folder)
        left, lineage = state_of(here), lineage_of(here)
        assert all(
            uri.startswith("file:///") and len(sha) == 64 for uri, sha, _ in lineage.values()
        )
    with installed(tmp_path / "there", lambda: direct) as there:
        found = ran(there, folder)
        assert digest(state_of(there)) == digest(left)
        assert lineage_of(there) == lineage
        assert there.catalog.epoch("acme") == here.catalog.epoch("acme")
        told = [
            (r.source, r.outcome, r.code, r.classification, r.chunks, r.entity_counts)
            for r in found
        ]
        assert told == [
            (r.source, r.outcome, r.code, r.classification, r.chunks, r.entity_counts)
            for r in expected
        ]
        assert {r.outcome for r in ran(there, folder)} == {
            ItemOutcome.UNCHANGED,
            ItemOutcome.FAILED,
        }
        (folder / "3.txt").write_text("Other words.")
        again = {r.source: r.outcome for r in ran(there, folder)}
        assert again.pop("3.txt") is ItemOutcome.UPDATED
        assert again.pop("empty.txt") is ItemOutcome.FAILED
        assert set(again.values()) == {ItemOutcome.UNCHANGED}


def test_neither_text_nor_labels_nor_secrets_go_through_the_scheduler(tmp_path, folder):
    direct = Direct()
    with installed(tmp_path / "home", lambda: direct) as ragward:
        ran(ragward, folder)
    assert len(direct.sent) == 13
    passed = b"".join(direct.sent) + b"".join(direct.back)
    for legible in (
        b"voltage",
        b"4711",
        b"example.com",
        b"group:acme/staff",
        b"EMAIL_ADDRESS",
        b"CONFIDENTIAL",
    ):
        assert legible not in passed
    assert b"3.txt" in passed  # places do


def test_a_reply_is_for_its_job_alone():
    key, other = X25519PrivateKey.generate(), DaskReader(None, None, 1)
    task = ReadingTask(
        place=None, filename="", tenant="", shape=(), public=key.public_key().public_bytes_raw()
    )
    sealed = sealed_reply(task, lambda: ReadDocument(sha256=bytes(32)))
    with pytest.raises(IntegrityError):
        other._opened(sealed)
    mine = DaskReader(None, None, 1)
    mine._private = key
    assert mine._opened(sealed) == ReadDocument(sha256=bytes(32))
    for at in (0, 40, len(sealed) - 1):
        with pytest.raises(IntegrityError):
            mine._opened(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])

    def refused():
        raise InvalidRequestError(code="document.encrypted")

    with pytest.raises(InvalidRequestError) as caught:
        mine._opened(sealed_reply(task, refused))
    assert caught.value.code == "document.encrypted"


def test_a_worker_with_another_model_or_detector_ends_the_job(tmp_path, folder, monkeypatch):
    class OtherEmbedder(FakeEmbedder):
        model_digest = "f" * 64

    class OtherFinder(FakeFinder):
        version = "another/1"

    for other in ({"embedder": OtherEmbedder()}, {"finder": OtherFinder()}):
        worker = dataclasses.replace(reading_fakes.analysis(), **other)
        with installed(tmp_path / next(iter(other)), Direct) as ragward:
            monkeypatch.setattr(reading_worker, "_opened", [worker])
            with pytest.raises(ConfigurationError) as caught:
                ran(ragward, folder)
            assert caught.value.code == "config.model_mismatch"
            assert state_of(ragward) == {}
            monkeypatch.undo()


def test_the_same_file_is_read_by_nobody_else_where_its_mode_says_who_may_read(tmp_path, folder):
    direct = Direct()
    with installed(tmp_path / "home", lambda: direct) as ragward:
        source = SourceRequest(location=str(folder), is_manifest=False, corpus="eng", posix=True)
        items = source_items(ragward.settings, ragward.catalog, company.TENANT, source)
        assert all(item.place is None for item in items)
        ragward.ingestion.run_job(STEWARD, items, source=source)
        assert not direct.sent


def test_nobody_reads_what_has_to_be_signed_before_it_is_verified(tmp_path, folder):
    direct = Direct()
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    signed = SignedSource(tenant="acme", corpus="eng", source="3*", keys=(key,))
    with installed(tmp_path / "home", lambda: direct) as ragward:
        ports = ragward.ingestion._ports
        demands = Demands(signed=(signed,))
        ragward.ingestion._ports = dataclasses.replace(
            ports,
            read_ahead=dataclasses.replace(ports.read_ahead, demands=demands),
            defences=dataclasses.replace(ports.defences, demands=demands),
        )
        codes = {r.source: r.code for r in ran(ragward, folder)}
    assert codes.pop("3.txt") == "document.signature"
    assert codes.pop("empty.txt") == "document.empty"
    assert set(codes.values()) == {None}
    assert b"3.txt" not in b"".join(direct.sent)


def test_a_manifests_metadata_stays_here_and_counts(tmp_path, folder):
    direct = Direct()
    entries = [
        {
            "uri": f"{n}.txt",
            "corpus": "eng",
            "granted": ["group:acme/staff"],
            "metadata": {"owner": "Iris Vale"},
        }
        for n in range(3)
    ]
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, entries)))
    source = SourceRequest(location=str(manifest), is_manifest=True)
    with installed(tmp_path / "home", lambda: direct) as ragward:
        for expected in (ItemOutcome.INGESTED, ItemOutcome.UNCHANGED):
            assert {r.outcome for r in ran(ragward, folder, source)} == {expected}
        record = ragward.catalog.find_document("acme", "eng", "1.txt")
        assert record.attributes == {"owner": "Iris Vale"}
    assert b"Iris" not in b"".join(direct.sent)


def test_the_same_bytes_under_another_access_list_are_stored_under_it(tmp_path, folder):
    """The worker finds what it knows and analyses nothing; the document is read here then, not refused as empty."""
    manifest = folder / "manifest.jsonl"
    source = SourceRequest(location=str(manifest), is_manifest=True)
    with installed(tmp_path / "home", Direct) as ragward:
        for granted in ("group:acme/staff", "user:acme/ann"):
            manifest.write_text(json.dumps({"uri": "1.txt", "corpus": "eng", "granted": [granted]}))
            assert not [r.code for r in ran(ragward, folder, source) if r.code]
            record = ragward.catalog.find_document("acme", "eng", "1.txt")
            assert record.label.granted == {granted}


def test_what_changes_while_it_is_on_its_way_is_read_again(tmp_path, folder):
    """A worker says that a document is the known one; by its turn it is not: the known one was deleted."""
    direct = Direct()
    with installed(tmp_path / "home", lambda: direct) as ragward:
        ran(ragward, folder)
        source = wanted(folder)
        items = source_items(ragward.settings, ragward.catalog, company.TENANT, source)
        known = ragward.catalog.find_document("acme", "eng", "2.txt")
        results = []

        def progress(_job, item):
            if not results:
                ragward.stewardship.delete(STEWARD, known.document_id)
            results.append(item)

        ragward.ingestion.run_job(STEWARD, items, source=source, progress=progress)
        outcomes = {r.source: r.outcome for r in results}
        assert outcomes["2.txt"] in (ItemOutcome.INGESTED, ItemOutcome.UPDATED)
        assert ragward.catalog.find_document("acme", "eng", "2.txt").state.value == "active"


@pytest.mark.parametrize(
    "scheduler",
    [
        "tcp://10.0.0.1:8786",
        "tls://10.0.0.1:8786",
        "10.0.0.1:8786",
        "ucx://127.0.0.1:1",
        "tcp://localhost.evil:1",
    ],
)
def test_beyond_this_machine_it_is_tls_or_nothing(scheduler):
    with pytest.raises(ConfigurationError):
        require_safe(scheduler, encrypted=False)


def test_schedulers_that_are_safe():
    require_safe("tls://10.0.0.1:8786", encrypted=True)
    require_safe("tcp://127.0.0.1:8786", encrypted=False)
    require_safe("tcp://localhost:8786", encrypted=False)


def over(scheduler, workers, stack):
    return connected(
        scheduler,
        workers=workers,
        tls=None,
        setup=reading_fakes.setup,
        read=reading_fakes.read,
        stack=stack,
    )


def test_a_scheduler_is_used_and_one_that_is_gone_ends_the_job(tmp_path, folder, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("ragward.adapters.reading_dask._CONNECT_SECONDS", 1)
    with ExitStack() as stack:
        cluster = LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tcp",
            host="127.0.0.1", dashboard_address=None, silence_logs=50,
        )  # fmt: skip
        reader = over(cluster.scheduler_address, 1, stack)
        with installed(tmp_path / "home", lambda: reader) as ragward:
            outcomes = [r.outcome for r in ran(ragward, folder)]
            assert outcomes.count(ItemOutcome.INGESTED) == 12
            cluster.close()
            (folder / "new.txt").write_text("New words.")
            with pytest.raises(UnavailableError) as caught:
                ran(ragward, folder)
            assert caught.value.code == "unavailable.workers"
            both = {job.state.value for job in ragward.catalog.jobs("acme", limit=2)}
            assert (
                len(both & {"interrupted", "not_started"}) == 1
            )  # of the same second: in no order
    with pytest.raises(UnavailableError), ExitStack() as stack:
        over("tcp://127.0.0.1:1", 1, stack)


@pytest.mark.prove
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path, folder):
    for number in range(60):
        (folder / f"more{number}.txt").write_text(f"More {number}. {SECRET} " * 50)
    (folder / "die1.txt").write_text("Read by the second one. " * 20)
    with installed(tmp_path / "here") as here:
        ran(here, folder)
        left = digest(state_of(here))
    with ExitStack() as stack:
        reader = over(None, 2, stack)
        with installed(tmp_path / "there", lambda: reader) as there:
            pids = list(reader._client.run(os.getpid).values())

            def kill():
                time.sleep(0.5)
                os.kill(pids[0], signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            ran(there, folder)
            killer.join()
            assert digest(state_of(there)) == left
            (folder / "always.txt").write_text("Kills whoever reads it.")
            results = {r.source: r for r in ran(there, folder)}
            assert results["always.txt"].code == "document.loader"
            assert results["1.txt"].outcome is ItemOutcome.UNCHANGED
    assert (folder / ".die1.txt.mark").exists()
    assert Path(folder / ".always.txt.mark").exists()
