"""T15: kill -9 in the middle of a job that brings new, changed, unchanged and missing documents: each is as before or as after,
none is there twice, nothing legible is left behind, and the next run ends as if nothing had been."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragward.bootstrap import Ragward
from ragward.domain.handling import Mode
from ragward.domain.jobs import SourceRequest
from ragward.domain.passages import RetrievalRequest
from ragward.opening import source_items
from tests import company
from tests.conftest import PROVE
from tests.copies import copied, found_in
from tests.installation import asked_by, doubles, initialised, settings_in

KILLS, DOCUMENTS = (50, 500) if PROVE else (1, 16)
GONE = DOCUMENTS // 50 + 2
SENTENCES = [
    f"Restricted sentence {n}: the {company.WORDS[n % len(company.WORDS)]} plan of site {n} is void."
    for n in range(50)
]


def write_corpus(directory, *, first):
    """Text, HTML and mail; every other document is RESTRICTED and holds known sentences; some are several chunks long.

    `first`: as the source was for an earlier job, with an eighth of them, half of those other than now, and some more."""
    directory.mkdir(exist_ok=True)
    chance = random.Random(3)
    lines = []
    for n in range(DOCUMENTS + GONE):
        known = " ".join(SENTENCES[(n * 5) % 50 : (n * 5) % 50 + 5])
        filler = " ".join(chance.choices(company.WORDS, k=chance.choice((20, 40, 250))))
        was = "Once. " if first and n % 16 < 8 else ""
        text = f"Report {n}. {was}{known if n % 2 else ''} {filler}. Write to p{n}@example.com."
        suffix = ("txt", "html", "eml")[n % 3]
        if suffix == "html":
            text = f"<html><title>{n}</title><body><p>{text}</p></body></html>"
        elif suffix == "eml":
            text = f"From: a@example.com\nTo: b@example.com\nSubject: report {n}\n\n{text}\n"
        is_there = n >= DOCUMENTS or n % 8 in (0, 1) if first else n < DOCUMENTS
        if not is_there:
            continue
        (directory / f"d{n}.{suffix}").write_text(text)
        entry = {
            "uri": f"d{n}.{suffix}",
            "corpus": "hr",
            "classification": "RESTRICTED" if n % 2 else "INTERNAL",
            "granted": ["group:acme/hr"],
        }
        lines.append(json.dumps(entry))
    (directory / "manifest.jsonl").write_text("\n".join(lines))
    return directory / "manifest.jsonl"


class Driver:
    """The ingesting process, with a temporary directory of its own."""

    def __init__(self, home, manifest):
        self.temporary = home / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.ingest_driver", str(home), str(manifest)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"TMPDIR": str(self.temporary)},
        )

    def begun(self):
        assert self.process.stdout.readline() == "begin\n"
        return time.monotonic()

    def finished(self):
        out, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        assert out.endswith("end success\n")

    def kill(self):
        """Ends it, and sees its parser end by itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        deadline = time.monotonic() + 10
        while any(_alive(int(child)) for child in children.split()):
            assert time.monotonic() < deadline, "the parser outlived its parent"
            time.sleep(0.02)


def _alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def opened(home):
    return Ragward.open(settings_in(home), doubles(extractor=None, clock=None))


def state_of(ragward):
    """source -> (state, whether it is marked as gone, chunks, texts), every text decrypted and verified; asserts that nothing is
    there twice."""
    found = {}
    protection = ragward.relabelling._ports.protection
    for record in ragward.catalog.documents("acme", limit=2000):
        assert record.source not in found
        points = ragward.catalog.document_chunks("acme", record.document_id)
        texts = sorted((s.ordinal, s.view, protection.open(s).text) for s in points)
        assert len({s.ordinal for s in points}) == record.chunk_count
        gone = record.gone_since is not None
        found[record.source] = (record.state.value, gone, record.chunk_count, texts)
    return found


def digest(state):
    """Of everything in the catalog that a job is for."""
    return hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()


def answers(ragward):
    out = []
    for query in ("plan of site", "voltage laboratory", "pension delivery"):
        request = RetrievalRequest(
            query=query, limit=50, max_passages_per_document=50, minimize=Mode.OFF
        )
        passages = ragward.retrieve(asked_by("ann"), request).passages
        chunks = [p.chunk_id for p in passages]
        assert len(set(chunks)) == len(chunks)
        out.append([(p.source, p.text) for p in passages])
    return out


def legible(home):
    return found_in([s.encode() for s in SENTENCES], *(home / d for d in ("data", "tmp", "keys")))


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """(an installation after an earlier job, the manifest as it is by now, what the earlier job left)."""
    home, source = tmp_path_factory.mktemp("begun"), tmp_path_factory.mktemp("source")
    initialised(home)
    wanted = SourceRequest(location=str(write_corpus(source, first=True)), is_manifest=True)
    with opened(home) as ragward:
        items = source_items(ragward.settings, ragward.catalog, company.TENANT, wanted)
        ragward.ingestion.run_job(company.subject("steward"), items, source=wanted)
        before = state_of(ragward)
    return home, write_corpus(source, first=False), before


@pytest.fixture(scope="module")
def clean(begun, tmp_path_factory):
    """A run that nobody kills: how long it takes and what it leaves."""
    template, manifest, _ = begun
    home = copied(template, tmp_path_factory.mktemp("clean") / "home")
    driver = Driver(home, manifest)
    begin = driver.begun()
    driver.finished()
    seconds = time.monotonic() - begin
    with opened(home) as ragward:
        assert legible(home) == []
        return seconds, state_of(ragward), answers(ragward)


def test_the_job_has_something_of_everything(begun, clean):
    _, _, before = begun
    _, after, _ = clean
    assert len(after) == DOCUMENTS + GONE
    assert {"active", "gone"} == {state for state, *_ in after.values()}
    assert sum(gone for _, gone, *_ in after.values()) == GONE
    assert sum(after[name] == before[name] for name in before) > 0
    changed = [name for name in before if after[name][3] != before[name][3]]
    assert changed
    assert digest(before) != digest(after)


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_point(begun, clean, tmp_path, number):
    template, manifest, before = begun
    seconds, expected, expected_answers = clean
    home = copied(template, tmp_path / "home")
    driver = Driver(home, manifest)
    driver.begun()
    share = (number + random.Random(number).random()) / KILLS  # spread over the whole run
    time.sleep(share * seconds)
    driver.kill()
    assert legible(home) == []
    with opened(home) as ragward:
        ragward.index_sync.run()
        left = state_of(ragward)
        for source, found in left.items():
            assert found in (
                before.get(source),
                expected[source],
            )  # complete, as before or as after
        assert before.keys() <= left.keys()
        assert ragward.audit.verify().consistent
        answered = {source for answer in answers(ragward) for source, _ in answer}
        assert answered <= set(left)
    again = Driver(home, manifest)
    again.begun()
    again.finished()
    with opened(home) as ragward:
        assert digest(state_of(ragward)) == digest(expected)
        found = answers(ragward)
        assert list(map(len, found)) == list(map(len, expected_answers))
        if all(
            len(answer) < 50 for answer in expected_answers
        ):  # else it is chance which of equals are cut off
            assert list(map(sorted, found)) == list(map(sorted, expected_answers))
        points = sum(len(texts) for state, _, _, texts in expected.values() if state == "active")
        assert ragward.index.count() == points
        assert not ragward.catalog.pending_points("acme", limit=10)
    assert legible(home) == []
    shutil.rmtree(home)
