"""F17 to F20: what answers of other systems told, and what they left out (docs/failures-of-others.md)."""

from __future__ import annotations

import logging
import random
import re
import uuid

import numpy as np
import pytest
from starlette.testclient import TestClient

from ragward.api.app import create_app
from ragward.domain.corpus import IndexPoint
from ragward.domain.policy import Membership, PolicyRow
from ragward.opening import development_token
from tests import company
from tests.abuse.others import (
    QUERY,
    ask,
    document,
    edge,
    installation,
    put,
    sources,
)
from tests.e2e.conftest import ROOT_ROWS
from tests.fakes.embedder_sentence_transformers import FakeEmbedder

# F17. ---------------------------------------------------------------------------------------------------------------

OPEN = [document(f"m{n}", attributes={"year": n}) for n in range(4)]
#: Before, between and after the open ones in every listing, and nearer to the question.
SECRET = [
    document(
        f"{name}-hushed",
        f"{QUERY} {QUERY} merger {name} {corpus} write to boss@example.com",
        corpus=corpus,
        granted=["user:acme/dot"],
        attributes={"year": 1},
    )
    for name in ("a", "m1", "m2x", "z")
    for corpus in ("eng", "aaa", "zzz")
]
SAME = {"query": f"{QUERY} merger", "limit": 50, "max_passages_per_document": 50}
ASKED = [
    ("POST", "/v1/retrieve", SAME),
    ("POST", "/v1/retrieve", SAME | {"limit": 1}),
    ("POST", "/v1/retrieve", SAME | {"filters": {"type": "eq", "key": "year", "value": 1}}),
    ("POST", "/v1/retrieve", SAME | {"corpora": ["aaa"]}),
    ("POST", "/v1/retrieve", SAME | {"limit": 0}),
    ("POST", "/v1/vector_stores/eng/search", {"query": "merger"}),
    ("POST", "/v1/vector_stores/aaa/search", {"query": "merger"}),
    ("GET", "/v1/documents?corpus=aaa", None),
    ("GET", "/v1/documents?limit=1000&offset=3", None),
    ("GET", "/v1/documents?state=quarantined", None),
    ("GET", "/v1/audit/entries", None),
    ("GET", "/v1/policy", None),
    ("GET", "/metrics", None),
    ("POST", "/v1/explain", {"principal": "user:acme/dot", "document_id": "a-hushed"}),
    (
        "POST",
        "/access/v1/search/resource",
        {
            "subject": {"type": "user", "id": "ben"},
            "action": {"name": "corpus:retrieve"},
            "resource": {"type": "document"},
        },
    ),
]
#: What differs between two answers to one question: ids, instants, places in the log and what is made of them.
OWN = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|\b[0-9a-f]{32}\b|\b1[789]\d{8,11}\b"
    r'|(?<="epoch_token":")[^"]+'
)


class World:
    """An installation behind its API, asked with real tokens."""

    def __init__(self, ragward, client):
        self.ragward, self.client = ragward, client

    def told(self, name, method, path, body=None):
        """Status, headers and body of an answer, without what is every answer's own."""
        token = development_token(self.ragward.settings, name, tenant="acme")
        response = self.client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"}
        )
        own = {"x-request-id", "content-length"}
        headers = sorted((k, v) for k, v in response.headers.items() if k not in own)
        return response.status_code, headers, OWN.sub("", response.text)

    def pages(self, name):
        """Everything a listing of one document at a time tells."""
        following, told = "", []
        while following is not None and len(told) < 50:
            token = development_token(self.ragward.settings, name, tenant="acme")
            page = self.client.get(
                "/v1/documents",
                params={"limit": 1} | ({"page_token": following} if following else {}),
                headers={"Authorization": f"Bearer {token}"},
            ).json()
            following = page["next_page_token"]
            told.append((following is None, [each["source"] for each in page["documents"]]))
        return told


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """One with secrets beside what is open, one without."""
    rows = (
        *company.ROWS,
        *ROOT_ROWS,
        PolicyRow("user:acme/dot", "corpus:*", "acme/*", "INTERNAL", "*", "allow"),
    )
    real = {"rows": rows, "identity": None, "clock": None}
    place = tmp_path_factory.mktemp("f17")
    with (
        installation(place / "with", **real) as one,
        installation(place / "without", **real) as other,
        TestClient(create_app(one)) as client,
        TestClient(create_app(other)) as second,
    ):
        put(one, *OPEN, *SECRET)
        put(other, *OPEN)
        yield World(one, client), World(other, second)


def test_f17_what_is_denied_shows_nowhere(worlds):
    """Denied ids and counts stood in results, events and error texts; here every answer to an ordinary caller, headers and
    errors with it, is the same as in a world where the denied documents do not exist."""
    one, other = worlds
    secrets = [each for each in one.ragward.catalog.documents("acme") if "hushed" in each.source]
    assert len(secrets) == len(SECRET)
    ids = [each.document_id for each in secrets]
    ids += [s.chunk_id for i in ids for s in one.ragward.catalog.document_chunks("acme", i)]
    for asked in ASKED:
        here, there = one.told("ben", *asked), other.told("ben", *asked)
        assert here == there, asked
        for hidden in ("hushed", "boss@", *ids):
            assert hidden not in here[2].replace('"document_id":"a-hushed"', ""), asked
    for document_id in ids:
        absent = one.told("ben", "GET", f"/v1/documents/{uuid.uuid4()}")
        assert one.told("ben", "GET", f"/v1/documents/{document_id}") == absent
    assert one.told("ben", *ASKED[0])[2].count('"rank"') == len(OPEN)
    assert one.told("dot", *ASKED[0]) != other.told("dot", *ASKED[0])


def test_f17_pages_do_not_count_what_is_denied(worlds):
    """Counts of what was filtered out reached the caller; here offsets count what the caller may know of, and the last page
    is the last whatever else there is."""
    one, other = worlds
    assert one.pages("ben") == other.pages("ben")
    assert [last for last, _ in one.pages("ben")] == [False, False, False, True]
    assert len(one.pages("dot")) == len(OPEN) + len(SECRET)


def test_f17_metrics_name_nobody_and_are_not_for_everybody(worlds):
    """Metrics of denials could be read by the denied; here they need a permission and carry no names."""
    world, _ = worlds
    assert world.told("ben", "GET", "/metrics")[0] == 403
    status, _, text = world.told("steward", "GET", "/metrics")
    assert status == 200
    assert "ragward_requests_total" in text
    kinds = re.sub(
        r"(?m)^ragward_(events|refusals)_.*$", "", text
    )  # by type and code, of all tenants together
    assert not re.search(r"acme|hushed|user:|group:|ben|dropped", text)
    assert "denied" not in kinds


# F18. ---------------------------------------------------------------------------------------------------------------


class Kept(logging.Handler):
    """Keeps every log line of every level."""

    def __init__(self):
        super().__init__(level=0)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.name} {record.getMessage()} {record.args} {record.exc_info}")


def test_f18_no_allow_list_leaves(tmp_path, capfd):
    """All allowed ids were written into the prompt of a model; here neither the answer nor any log line, at debug level, nor
    the record of the answer names a grant, a group, a label, a rule or another subject."""
    root, kept = logging.getLogger(), Kept()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        with installation(tmp_path, identity=None, clock=None) as ragward:
            put(ragward, *(document(f"open{n}") for n in range(3)))
            put(ragward, document("theirs", granted=["user:acme/cai"], compartments=["case"]))
            with TestClient(create_app(ragward)) as client:
                token = development_token(ragward.settings, "ben", tenant="acme")
                answer = client.post(
                    "/v1/retrieve", json=SAME, headers={"Authorization": f"Bearer {token}"}
                )
            assert len(answer.json()["passages"]) == 3
            entry = ragward.audit.find(answer.json()["receipt"]["receipt_id"])
            labels = ragward.catalog.labels("acme").values()
    finally:
        root.removeHandler(kept)
        root.setLevel(level)
    logged = "\n".join([*kept.lines, *capfd.readouterr()])
    assert "/v1/retrieve" in logged
    digests = [each.digest().hex() for each in labels]
    names = ["group:", "compartment:", "user:acme/cai", "RESTRICTED", "corpus:retrieve", *digests]
    for name in names:
        for where in (answer.text, logged, entry.data.decode()):
            assert name not in where, name
    for content in (token, "laboratory", "theirs", "user:acme/ben"):
        assert content not in logged, content


# F19. ---------------------------------------------------------------------------------------------------------------

POINTS, WIDTH, K = 4_000, 64, 10
SHARES = (0.005, 0.01, 0.1, 0.49)


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Points around forty topics; a scope is about one topic."""
    chance = np.random.default_rng(19)
    centres = chance.normal(size=(40, WIDTH))
    topic = chance.integers(0, 40, POINTS)
    vectors = centres[topic] + 0.7 * chance.normal(size=(POINTS, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scope = 1 + topic * 10 + chance.integers(0, 10, POINTS)
    index = edge(tmp_path_factory.mktemp("f19") / "index", dimension=WIDTH)
    index.upsert(
        [
            IndexPoint(
                point_id=str(uuid.UUID(int=n)), scope_id=int(scope[n]), vector=vectors[n].tolist()
            )
            for n in range(POINTS)
        ]
    )
    yield index, vectors, scope, centres
    index.close()


@pytest.mark.parametrize("kind", ["anywhere", "near", "far"])
@pytest.mark.parametrize("share", SHARES)
def test_f19_the_readable_ones_come_however_few(shard, share, kind):
    """A filter after the search gave 5 of 10 at 0.5 % readable; here the ten best that may be read come at every share, also
    where everything nearer is forbidden: recall 1 against a scan of everything."""
    index, vectors, scope, centres = shard
    chance = random.Random(f"{share} {kind}")
    for _ in range(8):
        about = chance.randrange(40)
        question = centres[about] / np.linalg.norm(centres[about])
        nearness = vectors @ question
        order = list(range(1, 401))
        chance.shuffle(order)
        mean = {s: float(nearness[scope == s].mean()) for s in order}
        if kind != "anywhere":
            order.sort(key=mean.__getitem__, reverse=kind == "near")
        permitted, covered = set(), 0
        for each in order:
            if covered >= share * POINTS:
                break
            permitted.add(each)
            covered += int((scope == each).sum())
        readable = np.flatnonzero(np.isin(scope, list(permitted)))
        best = readable[np.argsort(-nearness[readable], kind="stable")][:K]
        found = index.search(question.tolist(), scopes=permitted, limit=K)
        assert [uuid.UUID(c.point_id).int for c in found] == best.tolist()
        assert len(found) == K
        assert covered < 2 * share * POINTS + 20


def test_f19_an_answer_is_as_full_as_it_may_be(tmp_path):
    """The same through the whole flow: 1, 2, 20 and 98 of 200 documents are readable, and most of what is nearer is not."""
    counts = (1, 2, 20, 98)
    documents = []
    for n in range(200):
        words = [f"w{n}x{i}" for i in range(12)] + [QUERY] * (0 if n < 98 else 3)
        granted = [f"user:acme/u{count}" for count in counts if n < count]
        documents.append(document(f"d{n}", " ".join(words), granted=granted))
    rows = [
        PolicyRow(f"user:acme/u{count}", "corpus:retrieve", "acme/*", "INTERNAL", "*", "allow")
        for count in counts
    ]
    with installation(tmp_path, rows=(*company.ROWS, *rows)) as ragward:
        put(ragward, *documents)
        embedder = FakeEmbedder()
        question = embedder.embed([QUERY])[0]
        scores = {
            each.source: float(np.dot(embedder.embed([each.data.decode()])[0], question))
            for each in documents
        }
        for count in counts:
            found = [p.source for p in ask(ragward, f"u{count}", limit=K)]
            readable = sorted((f"d{n}" for n in range(count)), key=lambda s: -scores[s])
            assert found == readable[:K]


# F20. ---------------------------------------------------------------------------------------------------------------

GRANTED, GROUPS = 5_000, 10_000


def test_f20_no_limit_drops_a_permission(tmp_path):
    """Entries above a limit `may not be enforced`, id lists end at 1,000 without a word; here a label with 5,000 principals and
    a person in 10,000 groups are decided exactly, first, last and one beyond."""
    row = PolicyRow(
        "group:acme/staff", "corpus:retrieve", "acme/*", "PUBLIC..INTERNAL", "*", "allow"
    )
    names = ("p0", f"p{GRANTED - 1}", f"p{GRANTED}", "many")
    memberships = [Membership(f"user:acme/{name}", "group:acme/staff") for name in names]
    memberships += [Membership("user:acme/many", f"group:acme/g{n}") for n in range(GROUPS)]
    with installation(tmp_path, rows=(*company.ROWS, row), memberships=memberships) as ragward:
        put(
            ragward,
            document("long", granted=[f"user:acme/p{n}" for n in range(GRANTED)]),
            document("not-p0", denied=[f"user:acme/p{n}" for n in range(GRANTED)]),
            document("first", granted=["group:acme/g0"]),
            document("last", granted=[f"group:acme/g{GROUPS - 1}"]),
            document("beyond", granted=[f"group:acme/g{GROUPS}"]),
            document("denied", granted=["group:acme/g0"], denied=[f"group:acme/g{GROUPS - 1}"]),
        )
        assert sources(ask(ragward, "p0")) == {"long"}
        assert sources(ask(ragward, f"p{GRANTED - 1}")) == {"long"}
        assert sources(ask(ragward, f"p{GRANTED}")) == {"not-p0"}
        assert sources(ask(ragward, "many")) == {"not-p0", "first", "last"}


def test_f20_a_request_over_a_limit_is_refused_not_cut(worlds):
    """A list that was too long was cut at the limit; here the request is refused as a whole and nothing of it is kept."""
    world, _ = worlds
    body = {"corpus": "eng", "source": "long", "filename": "a.txt", "content": "x"}
    granted = [f"user:acme/p{n}" for n in range(1_001)]
    assert world.told("steward", "POST", "/v1/documents", body | {"granted": granted})[0] == 422
    assert world.ragward.catalog.find_document("acme", "eng", "long") is None
    assert world.told("steward", "POST", "/v1/documents", body | {"granted": granted[1:]})[0] == 201
    stored = world.ragward.catalog.find_document("acme", "eng", "long")
    assert stored.label.granted == frozenset(granted[1:])
    world.ragward.stewardship.delete(company.subject("steward"), stored.document_id)


def test_f20_a_permit_of_many_scopes_is_searched_whole(tmp_path):
    """Filters of tens of thousands of values were refused by the engine or cut; here 12,000 scopes are all searched."""
    count = 12_000
    index = edge(tmp_path / "index", dimension=4)
    angles = np.linspace(0, 1.5, count)
    index.upsert(
        [
            IndexPoint(
                point_id=str(uuid.UUID(int=n)),
                scope_id=n,
                vector=[float(np.cos(angle)), float(np.sin(angle)), 0.0, 0.0],
            )
            for n, angle in enumerate(angles, 1)
        ]
    )
    for question, expected in (([1.0, 0, 0, 0], [2, 3]), ([0, 1.0, 0, 0], [count - 1, count - 2])):
        permitted = set(range(2, count))
        found = index.search(question, scopes=permitted, limit=2)
        assert [uuid.UUID(c.point_id).int for c in found] == expected
    index.close()
