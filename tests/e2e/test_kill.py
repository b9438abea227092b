"""T15: kill -9 in the middle of an ingest: every document complete or absent, none twice, nothing legible left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragward.bootstrap import Ragward
from ragward.domain.corpus import DocumentState
from ragward.domain.handling import Mode
from ragward.domain.passages import RetrievalRequest
from tests import company
from tests.conftest import PROVE
from tests.copies import found_in
from tests.installation import asked_by, doubles, initialised, settings_in

KILLS = 20 if PROVE else 2
DOCUMENTS = 40 if PROVE else 16
SENTENCES = [
    f"Restricted sentence {n}: the {company.WORDS[n % len(company.WORDS)]} plan of site {n} is void."
    for n in range(50)
]


def write_corpus(directory):
    """Text, HTML and mail; every other document is RESTRICTED and holds known sentences; some are several chunks long."""
    directory.mkdir()
    chance = random.Random(3)
    lines = []
    for n in range(DOCUMENTS):
        known = " ".join(SENTENCES[(n * 5) % 50 : (n * 5) % 50 + 5])
        filler = " ".join(chance.choices(company.WORDS, k=chance.choice((40, 400, 1500))))
        text = f"Report {n}. {known if n % 2 else ''} {filler}. Write to p{n}@example.com."
        suffix = ("txt", "html", "eml")[n % 3]
        if suffix == "html":
            text = f"<html><title>{n}</title><body><p>{text}</p></body></html>"
        elif suffix == "eml":
            text = f"From: a@example.com\nTo: b@example.com\nSubject: report {n}\n\n{text}\n"
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
    """source -> (version, chunks, texts), every text decrypted and verified; asserts that nothing is there twice."""
    found = {}
    protection = ragward.relabelling._ports.protection
    for record in ragward.catalog.documents("acme", limit=1000):
        assert record.source not in found
        assert record.state is DocumentState.ACTIVE
        points = ragward.catalog.document_chunks("acme", record.document_id)
        texts = sorted((s.ordinal, s.view, protection.open(s).text) for s in points)
        assert len({s.ordinal for s in points}) == record.chunk_count
        found[record.source] = (record.chunk_count, texts)
    return found


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
def clean(tmp_path_factory):
    """A run that nobody kills: how long it takes and what it leaves."""
    home = tmp_path_factory.mktemp("clean")
    initialised(home)
    manifest = write_corpus(home / "source")
    driver = Driver(home, manifest)
    begin = driver.begun()
    driver.finished()
    seconds = time.monotonic() - begin
    with opened(home) as ragward:
        assert legible(home) == []
        return manifest, seconds, state_of(ragward), answers(ragward)


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_point(clean, tmp_path, number):
    manifest, seconds, expected, expected_answers = clean
    initialised(tmp_path)
    driver = Driver(tmp_path, manifest)
    driver.begun()
    share = (number + random.Random(number).random()) / KILLS  # spread over the whole run
    time.sleep(share * seconds)
    driver.kill()
    assert legible(tmp_path) == []
    with opened(tmp_path) as ragward:
        ragward.index_sync.run()
        left = state_of(ragward)
        assert left == {source: expected[source] for source in left}  # complete or absent
        assert ragward.audit.verify().consistent
        answered = {source for answer in answers(ragward) for source, _ in answer}
        assert answered <= set(left)
    again = Driver(tmp_path, manifest)
    again.begun()
    again.finished()
    with opened(tmp_path) as ragward:
        assert state_of(ragward) == expected
        assert answers(ragward) == expected_answers
        points = sum(len(texts) for _, texts in expected.values())
        assert ragward.index.count() == points
        assert not ragward.catalog.pending_points("acme", limit=10)
    assert legible(tmp_path) == []
