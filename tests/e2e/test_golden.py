"""The sample companies against their golden files: who may read what, written down by hand, not by the code under test.

For every subject, generated questions return documents of its golden list only, and exactly the best of them by an
exhaustive scan; on both engines, with and without payload index, and with the index left behind after relabels.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re

import numpy as np
import pytest

from ragward import installation
from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.answers import Tally
from ragward.bootstrap import Ragward
from ragward.cli.demo import Company
from ragward.domain.access import Context, Credentials
from ragward.domain.admission import matches_view
from ragward.domain.corpus import DocumentState, IndexScope, View
from ragward.domain.findings import Verdict
from ragward.domain.handling import Mode
from ragward.domain.passages import RetrievalRequest
from ragward.opening import Doubles, development_token, manifest_items
from ragward.searching import Question
from ragward.settings import Settings
from tests.conftest import PROVE
from tests.fakes.chunker_semchunk import FakeChunker
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.fakes.finder_presidio import FakeFinder
from tests.fakes.limiter_memory import FakeLimiter
from tests.fakes.watch import FakeWatch
from tests.installation import PASSPHRASE, qdrant_client_index

LEGS = {"edge": 40}
if PROVE:
    LEGS = dict.fromkeys(
        (
            "edge",
            "edge without payload index",
            "qdrant-client",
            "qdrant-client without payload index",
        ),
        200,
    )
COMPANIES = [Company.load(tenant) for tenant in ("aurora", "borealis")]
SUBJECTS = [(company.tenant, name) for company in COMPANIES for name in company.golden]
LIMITS = (1, 3, 8, 20)


def settings_at(home) -> Settings:
    keys = home / "keys"
    keys.mkdir(mode=0o700)
    passphrase = keys / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(0o400)
    return Settings.load(
        data_dir=home / "data",
        keyring=keys / "keyring.json",
        passphrase=f"file:{passphrase}",
        development_issuer=home / "issuer",
        development_tenants=("aurora", "borealis"),
    )


class Installed:
    """Both companies, ingested by their stewards, beside what their golden files say."""

    def __init__(self, ragward: Ragward) -> None:
        self.ragward = ragward
        self.keys = {}
        self.checked = 0

    @classmethod
    def ingest(cls, ragward):
        made = cls(ragward)
        for company in COMPANIES:
            steward = made.subject(company.tenant, company.steward)
            items = manifest_items(company.root / "manifest.jsonl", company.tenant)
            job = ragward.ingestion.run_job(steward, items)
            assert job.counts.get("failed", 0) == 0, job.errors
            for application in installation.read_applications(company.root / "directory.json"):
                ragward.catalog.save_application(application, key_prefix=None, key_sha256=None)
                made.keys[application.principal] = application
        return made

    def subject(self, tenant, name):
        """A verified person, person through agent, or application alone."""
        if name.startswith("app:"):
            application = self.keys[name]
            token = development_token(
                self.ragward.settings,
                application.client_id,
                tenant=tenant,
                client_id=application.client_id,
            )
        else:
            person, _, agent = name.partition(" via ")
            token = development_token(
                self.ragward.settings,
                person.partition("/")[2],
                tenant=tenant,
                agent=agent.partition("/")[2] or None,
            )
        return self.ragward.identify(Credentials(untrusted_authorization=token))

    def active(self, tenant):
        """What can be answered from: (stored point, vector), quarantined documents left out."""
        protection = self.ragward.relabelling._ports.protection
        for record in self.ragward.catalog.documents(tenant, limit=10_000):
            if record.state is not DocumentState.ACTIVE:
                continue
            for stored in self.ragward.catalog.document_chunks(tenant, record.document_id):
                if stored.verdict == Verdict.QUARANTINE:
                    continue
                content = protection.open(stored)
                text = content.text
                if stored.view is View.REDACTED:
                    text = protection.redactor.redact(text, content.spans, frozenset()).text
                yield stored, FakeEmbedder().embed([text])[0]


@pytest.fixture(scope="module", params=LEGS)
def installed(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("golden")
    settings = settings_at(home)
    installation.initialise(
        settings,
        tenant="aurora",
        administrator=COMPANIES[0].steward,
        policy=installation.read_policy_csv(COMPANIES[0].root / "policy.csv"),
    )
    index = None
    if request.param.startswith("qdrant"):
        index = qdrant_client_index(payload_index="without" not in request.param)
    elif "without" in request.param:
        index = EdgeChunkIndex.open(
            home / "unindexed",
            dimension=FakeEmbedder.dimension,
            model_digest=FakeEmbedder.model_digest,
            payload_index=False,
        )
    doubles = Doubles(
        embedder=FakeEmbedder(),
        chunker=FakeChunker(600),
        finder=FakeFinder(),
        limiter=FakeLimiter(),
        watch=FakeWatch(),
        index=index,
    )
    with Ragward.open(settings, doubles) as ragward:
        installation.add_tenant(
            ragward,
            tenant="borealis",
            administrator=COMPANIES[1].steward,
            policy=installation.read_policy_csv(COMPANIES[1].root / "policy.csv"),
        )
        made = Installed.ingest(ragward)
        made.questions = LEGS[request.param]
        yield made
    if index is not None and request.param.startswith("edge"):
        index.close()


@pytest.fixture(scope="module")
def world(installed):
    """tenant -> (stored points, their vectors as a matrix, words to ask with)."""
    found = {}
    for company in COMPANIES:
        points = list(installed.active(company.tenant))
        words = sorted(
            set(
                re.findall(
                    r"[a-z]{4,}", json.dumps([q["question"] for q in company.questions]).lower()
                )
            )
            | {w for stored, _ in points for w in re.findall(r"[a-z]{4,}", stored.source)}
        )
        matrix = np.array([vector for _, vector in points], dtype=np.float64)
        found[company.tenant] = ([stored for stored, _ in points], matrix, words)
    return found


def golden_of(tenant, name):
    company = next(c for c in COMPANIES if c.tenant == tenant)
    return set(company.golden[name])


def check(installed, world, tenant, name, readable, questions, seed):
    """`questions` generated questions of one subject against the exhaustive scan over its readable documents."""
    ragward, chance = installed.ragward, random.Random(f"{name} {seed}")
    subject = installed.subject(tenant, name)
    permit = ragward.pdp.decide_labels(subject, Context(now=ragward.clock.now()))
    stored, matrix, words = world[tenant]
    mine = [
        i for i, s in enumerate(stored) if s.source in readable and permit and _matches(permit, s)
    ]
    assert {stored[i].source for i in mine} == readable & {s.source for s in stored}  # nothing lost
    for _ in range(questions):
        query = " ".join(chance.choices(words, k=chance.randint(1, 6)))
        limit = chance.choice(LIMITS)
        request = RetrievalRequest(
            query=query, limit=limit, max_passages_per_document=limit, minimize=Mode.OFF
        )
        answer = ragward.retrieval._answer(subject, request, Tally(ragward.clock))
        assert {p.source for p in answer.passages} <= readable
        installed.checked += 1
        if not mine:
            assert answer.passages == ()
            continue
        vector = FakeEmbedder().embed([query])[0]
        found = ragward.retrieval._authorized(
            subject, request, permit, Question(vector=vector), Tally(ragward.clock)
        )
        chunks = list(found)
        expected = np.sort(matrix[mine] @ np.array(vector))[::-1][:limit]
        assert [c.score for c in chunks[:limit]] == pytest.approx(list(expected), abs=2e-5)
        assert {c.stored.source for c in chunks} <= readable


def _matches(permit, stored):
    scope = IndexScope(
        scope_id=0,
        label_id=stored.label_id,
        corpus=stored.corpus,
        view=stored.view,
        entity_types=stored.entity_types,
    )
    return matches_view(permit, scope)


@pytest.mark.parametrize(("tenant", "name"), SUBJECTS, ids=lambda v: v)
def test_answers_are_the_best_of_what_the_golden_file_grants(installed, world, tenant, name):
    readable = golden_of(tenant, name)
    check(installed, world, tenant, name, readable, installed.questions, "golden")


def test_poisoned_documents_wait_for_a_steward(installed):
    states = {
        record.source: record.state
        for record in installed.ragward.catalog.documents("aurora", limit=10_000)
    }
    waiting = {source for source, state in states.items() if state is DocumentState.QUARANTINED}
    assert len(waiting) >= 5
    assert all(
        source
        not in {
            p.source for p in _answer(installed, "aurora", name, "ignore all previous instructions")
        }
        for source in waiting
        for name in ("user:aurora/alice", "user:aurora/grace")
    )


def _answer(installed, tenant, name, query):
    subject = installed.subject(tenant, name)
    request = RetrievalRequest(query=query, limit=50)
    return installed.ragward.retrieval._answer(
        subject, request, Tally(installed.ragward.clock)
    ).passages


def test_the_same_holds_with_the_index_left_behind(installed, world):
    """Eight documents change hands in the catalog; the index still believes the old labels."""
    ragward = installed.ragward
    steward = installed.subject("aurora", "user:aurora/frank")
    ports = ragward.relabelling._ports
    readable = {name: golden_of("aurora", name) for name in ("user:aurora/bob", "user:aurora/kim")}
    moved = sorted(readable["user:aurora/bob"] - readable["user:aurora/kim"])[:4]
    given = sorted(readable["user:aurora/kim"] - readable["user:aurora/bob"])[:4]
    ragward.relabelling._ports = dataclasses.replace(ports, index_sync=_Paused())
    try:
        for source, person in [(s, "kim") for s in moved] + [(s, "bob") for s in given]:
            record = _record(ragward, source)
            label = dataclasses.replace(
                record.label, granted=frozenset({f"user:aurora/{person}"}), denied=frozenset()
            )
            ragward.relabelling.relabel(steward, record.document_id, label, "a test of the outbox")
        assert ragward.catalog.pending_points("aurora", limit=1000)
        rights = {
            name: {s for s in sources if s not in moved + given}
            | _now(ragward, installed, name, moved + given)
            for name, sources in readable.items()
        }
        fresh = {"aurora": _again(installed, world)}
        for name, sources in rights.items():
            check(installed, fresh, "aurora", name, sources, 30, "outbox")
    finally:
        ragward.relabelling._ports = ports
    ports.index_sync.run()
    for name, sources in rights.items():
        check(installed, fresh, "aurora", name, sources, 10, "afterwards")
    assert installed.checked >= installed.questions * len(SUBJECTS)


def _again(installed, world):
    points = list(installed.active("aurora"))
    matrix = np.array([vector for _, vector in points], dtype=np.float64)
    return [stored for stored, _ in points], matrix, world["aurora"][2]


def _record(ragward, source):
    return next(r for r in ragward.catalog.documents("aurora", limit=10_000) if r.source == source)


def _now(ragward, installed, name, sources):
    """Of the relabelled documents, those whose new label grants `name` and whose policy row still admits it."""
    subject = installed.subject("aurora", name)
    granted = [s for s in sources if name in _record(ragward, s).label.granted]
    permit = ragward.pdp.decide_labels(subject, Context(now=ragward.clock.now()))
    return {s for s in granted if permit.admits(_record(ragward, s).label_id)}


class _Paused:
    def run(self):
        return 0
