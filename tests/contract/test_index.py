"""One contract for every vector index: exact, scoped, by ids; wrong payloads never match; one owner per shard."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
import uuid
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.adapters.index_filter import ScopeFilter, best_hits
from ragward.adapters.index_merged import MergedChunkIndex
from ragward.adapters.index_qdrant import QdrantChunkIndex
from ragward.adapters.index_sealed import SealedChunkIndex
from ragward.domain.corpus import IndexPoint
from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.vectors import VectorOpener
from tests import company
from tests.conftest import PROVE
from tests.copies import found_in
from tests.fakes.vector_store import LEVELS, FakeKeyring, FakeVectorStore

DIMENSION, DIGEST = 8, "d" * 64
SERVER = os.environ.get("RAGWARD_TEST_QDRANT_URL")
ENGINES = [
    "edge",
    "edge without payload index",
    "qdrant-client",
    "qdrant-client without payload index",
    *(["qdrant server"] if SERVER else []),
]
LEGS = [*ENGINES, "sealed", "merged"]


class Sealed:
    """The sealed index with what tests write through the catalog, which it reads."""

    def __init__(self):
        self.store, self.keyring = FakeVectorStore(), FakeKeyring()
        self.index = SealedChunkIndex(
            self.store,
            VectorOpener(keyring=self.keyring, cipher=AESGCMCipher()),
            recorder=None,
            clock=company.SetClock(),
            keys=self.keyring.status,
            sealed=LEVELS,
            dimension=DIMENSION,
            max_bytes=2**30,
            idle_seconds=10**9,
        )
        self.search, self.score_points = self.index.search, self.index.score_points
        self.count_words, self.search_words = self.index.count_words, self.index.search_words
        self.words_of = self.index.words_of
        self.close = self.index.close

    def upsert(self, points):
        for each in points:
            if each.point_id in self.store:
                self.store.remove(each.point_id)  # in a catalog, another vector is another point
                self.count()
            self.store.put(each.point_id, each.scope_id, each.vector, words=each.words)

    def delete(self, point_ids):
        for each in point_ids:
            self.store.remove(each)

    def count(self):
        self.index.search(QUERY, scopes=set(range(1, 101)), limit=1)
        return self.index.count()

    def clear(self):
        self.store.clear()
        self.index.clear()


class Merged(MergedChunkIndex):
    """Points with an odd number are sealed."""

    def upsert(self, points):
        for part, rest in ((self.plain, 0), (self.sealed, 1)):
            part.upsert([p for p in points if uuid.UUID(p.point_id).int % 2 == rest])

    def delete(self, point_ids):
        self.plain.delete(point_ids)
        self.sealed.delete(point_ids)


@contextlib.contextmanager
def made(leg, directory):
    with_index = "without" not in leg
    if leg == "sealed":
        index = Sealed()
    elif leg == "merged":
        plain = EdgeChunkIndex.open(directory, dimension=DIMENSION, model_digest=DIGEST)
        index = Merged(plain, Sealed())
    elif leg == "qdrant server":
        index = QdrantChunkIndex.connect(
            SERVER, collection=f"test-{uuid.uuid4().hex[:8]}", dimension=8, model_digest=DIGEST
        )
    elif leg.startswith("qdrant"):
        index = QdrantChunkIndex.local(
            dimension=DIMENSION, model_digest=DIGEST, payload_index=with_index
        )
    else:
        index = EdgeChunkIndex.open(
            directory, dimension=DIMENSION, model_digest=DIGEST, payload_index=with_index
        )
    yield index
    if leg == "qdrant server":
        index._client.delete_collection(index._collection)
    index.close()


@pytest.fixture(params=LEGS)
def index(request, tmp_path):
    with made(request.param, tmp_path / "index") as opened:
        yield opened


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path):
    with made(request.param, tmp_path / "index") as opened:
        yield opened


@pytest.fixture(scope="module", params=LEGS)
def shared(request, tmp_path_factory):
    with made(request.param, tmp_path_factory.mktemp("shared") / "index") as opened:
        yield opened


def point(number, scope, *values):
    vector = [float(v) for v in values] + [0.0] * (DIMENSION - len(values))
    return IndexPoint(point_id=str(uuid.UUID(int=number)), scope_id=scope, vector=vector)


def ids(candidates):
    return [uuid.UUID(c.point_id).int for c in candidates]


QUERY = [1.0] + [0.0] * (DIMENSION - 1)


def test_best_first_within_the_scopes(index):
    index.upsert([point(1, 1, 0.9), point(2, 2, 1.0), point(3, 1, 0.5), point(4, 3, 0.7)])
    assert ids(index.search(QUERY, scopes={1, 3}, limit=10)) == [1, 4, 3]
    assert ids(index.search(QUERY, scopes={1, 3}, limit=2)) == [1, 4]
    assert ids(index.search(QUERY, scopes={9}, limit=2)) == []
    assert index.search(QUERY, scopes={2}, limit=1)[0].score == pytest.approx(1.0)


def test_no_scope_is_nothing_not_everything(index):
    index.upsert([point(1, 1, 1.0)])
    assert index.search(QUERY, scopes=set(), limit=5) == []
    assert index.search(QUERY, scopes={1}, limit=5, only_points=()) == []
    for wrong in ({0}, {-1}, {True}, {"1"}, {1.0}, {None}):
        with pytest.raises(ValueError, match="scope"):
            index.search(QUERY, scopes=wrong, limit=5)


def test_exclusion_and_restriction(index):
    index.upsert([point(n, 1, 1 - n / 100) for n in range(1, 21)])
    name = {n: str(uuid.UUID(int=n)) for n in range(1, 21)}
    assert ids(index.search(QUERY, scopes={1}, limit=3, excluding={name[1], name[2]})) == [3, 4, 5]
    only = {name[5], name[19], str(uuid.UUID(int=99))}
    assert ids(index.search(QUERY, scopes={1}, limit=3, only_points=only)) == [5, 19]
    assert ids(index.search(QUERY, scopes={2}, limit=3, only_points=only)) == []
    both = index.search(QUERY, scopes={1}, limit=3, only_points=only, excluding={name[5]})
    assert ids(both) == [19]


def test_equal_scores_come_in_the_order_of_their_ids_wherever_the_cut_falls(index):
    numbers = [7, 3, 40, 11, 25, 1, 38, 2, 30, 19, 5, 33, 21, 14, 9, 28]
    index.upsert([point(n, 1, 1.0) for n in numbers] + [point(50, 1, 0.5)])
    for limit in range(1, 18):
        expected = [*sorted(numbers), 50][:limit]
        assert ids(index.search(QUERY, scopes={1}, limit=limit)) == expected


def test_points_are_replaced_moved_and_removed(index):
    index.upsert([point(1, 1, 1.0), point(2, 1, 0.5)])
    index.upsert([point(1, 2, 0.2)])
    assert index.count() == 2
    assert ids(index.search(QUERY, scopes={1}, limit=5)) == [2]
    assert ids(index.search(QUERY, scopes={2}, limit=5)) == [1]
    index.delete([str(uuid.UUID(int=2)), str(uuid.UUID(int=77))])
    index.delete([])
    assert index.count() == 1
    index.clear()
    assert index.count() == 0
    index.upsert([point(3, 1, 1.0)])
    assert ids(index.search(QUERY, scopes={1}, limit=5)) == [3]


def test_named_points_are_scored_whatever_their_scope(index):
    index.upsert([point(1, 1, 0.9), point(2, 2, 0.4)])
    asked = [str(uuid.UUID(int=n)) for n in (1, 2, 3)]
    found = {uuid.UUID(c.point_id).int: c.score for c in index.score_points(QUERY, asked)}
    assert found == pytest.approx({1: 0.9, 2: 0.4})
    assert index.score_points(QUERY, []) == []


def tampered(index, number, payload, words=None):
    """Writes past our adapter, as somebody with access to the engine could."""
    name, vector = str(uuid.UUID(int=number)), [1.0] + [0.0] * (DIMENSION - 1)
    if isinstance(index, EdgeChunkIndex):
        from qdrant_edge import Point, SparseVector, UpdateOperation

        if words:
            vector = {"": vector, "words": SparseVector([*words], [*words.values()])}
        index._shard.update(UpdateOperation.upsert_points([Point(name, vector, payload)]))
    else:
        from qdrant_client.models import PointStruct, SparseVector

        if words:
            sparse = SparseVector(indices=[*words], values=[*words.values()])
            vector = {"": vector, "words": sparse}
        index._client.upsert(
            index._collection, [PointStruct(id=name, vector=vector, payload=payload)], wait=True
        )


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"scope": "1"},
        {"scope": 1.0},
        {"scope": None},
        {"scope": [1, 2]},
        {"scope": True},
        {"x": 1},
    ],
    ids=str,
)
def test_a_payload_of_another_type_never_matches(engine, payload):
    engine.upsert([point(1, 1, 0.5)])
    tampered(engine, 2, payload)
    assert ids(engine.search(QUERY, scopes={1, 2}, limit=5)) == [1]


class Found(NamedTuple):
    """As an engine answers."""

    id: str
    score: float
    payload: dict[str, object]


def test_payloads_of_another_type_take_nobodys_place():
    """Thirty wrong ones that an engine matches, all nearer than the right ones."""
    wrong = [Found(f"wrong{n:02}", 2.0 - n / 100, {"scope": [1]}) for n in range(30)]
    right = [Found(f"right{n}", 1.0 - n / 100, {"scope": 1}) for n in range(5)]
    asked = ScopeFilter.of({1}, (), None)
    found = best_hits(lambda size: (wrong + right)[:size], asked, 3)
    assert [c.point_id for c in found] == ["right0", "right1", "right2"]


def test_equal_scores_are_ordered_by_id_however_the_engine_orders_them():
    equal = [Found(f"{n:02}", 0.5, {"scope": 1}) for n in reversed(range(20))]
    asked = ScopeFilter.of({1}, (), None)
    found = best_hits(lambda size: equal[:size], asked, 3)
    assert [c.point_id for c in found] == ["00", "01", "02"]


@settings(
    max_examples=100 if PROVE else 25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_it_finds_what_a_scan_over_everything_finds(shared, data):
    numbers = st.floats(-1, 1, width=16)
    points = data.draw(
        st.lists(
            st.tuples(st.integers(1, 4), st.lists(numbers, min_size=DIMENSION, max_size=DIMENSION)),
            max_size=40,
        )
    )
    shared.clear()
    shared.upsert([point(i + 1, scope, *v) for i, (scope, v) in enumerate(points)])
    query = data.draw(st.lists(numbers, min_size=DIMENSION, max_size=DIMENSION))
    scopes = data.draw(st.sets(st.integers(1, 5), min_size=1))
    limit = data.draw(st.integers(1, 12))
    scored = [
        (sum(a * b for a, b in zip(query, v, strict=True)), i + 1)
        for i, (scope, v) in enumerate(points)
        if scope in scopes
    ]
    scored.sort(reverse=True)
    found = shared.search(query, scopes=scopes, limit=limit)
    assert [c.score for c in found] == pytest.approx([s for s, _ in scored[:limit]], abs=1e-4)
    permitted = {number for _, number in scored}
    assert set(ids(found)) <= permitted
    assert len(set(ids(found))) == len(found) == min(limit, len(scored))


@given(scopes=st.sets(st.integers(1, 2**31), min_size=1), scope=st.one_of(st.integers(), st.text()))
def test_a_filter_admits_its_scopes_and_nothing_else(scopes, scope):
    asked = ScopeFilter.of(scopes, (), None)
    assert asked.admits(scope) == (scope in scopes)


def on_disk(path, vector):
    needle = struct.pack(f"<{DIMENSION}f", *vector)
    return bool(found_in([needle], path))


@pytest.mark.prove
def test_what_is_expelled_leaves_the_files_and_is_remembered_over_a_kill(tmp_path):
    index = shard(tmp_path)
    kept, deleted, barred = ([n + 0.123 + i / 7 for i in range(DIMENSION)] for n in (1, 2, 3))
    index.upsert([point(1, 1, *kept), point(2, 1, *deleted), point(3, 1, *barred)])
    index.expel([str(uuid.UUID(int=9))])
    assert not index.purge()  # nothing was there to expel
    index.delete([str(uuid.UUID(int=2))])
    assert on_disk(tmp_path, deleted)  # the engine marks and keeps
    index.expel([str(uuid.UUID(int=3))])
    assert ids(index.search(QUERY, scopes={1}, limit=9)) == [1]
    index.close()
    index = shard(tmp_path)
    assert index.purge()
    assert not index.purge()
    assert [on_disk(tmp_path, v) for v in (kept, deleted, barred)] == [True, False, False]
    assert ids(index.search(QUERY, scopes={1}, limit=9)) == [1]
    index.upsert([point(4, 1, 1.0)])
    index.expel([str(uuid.UUID(int=1))])
    index.maintain()
    while index._builder is not None:
        time.sleep(0.01)
    assert not on_disk(tmp_path, kept)
    assert index.count() == 1
    index.close()


# The embedded shard on disk. ----------------------------------------------------------------------------------------


def shard(path, **changes):
    return EdgeChunkIndex.open(path, **({"dimension": DIMENSION, "model_digest": DIGEST} | changes))


def test_it_is_there_after_reopening(tmp_path):
    first = shard(tmp_path)
    first.upsert([point(n, 1, n / 500) for n in range(1, 401)])
    first.close()
    first.close()
    again = shard(tmp_path)
    assert again.count() == 400
    assert ids(again.search(QUERY, scopes={1}, limit=2)) == [400, 399]
    again.close()


def test_a_second_owner_is_told_who_the_first_is(tmp_path):
    holder = shard(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        shard(tmp_path)
    assert caught.value.code == "config.index_owned"
    assert str(os.getpid()) in caught.value.detail
    holder.close()
    shard(tmp_path).close()


def test_the_shard_of_a_killed_process_can_be_owned_and_holds_what_was_acknowledged(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, '.')\n"
        "from tests.contract.test_index import shard, point\n"
        "index = shard(Path(sys.argv[1]))\n"
        "for n in range(1, 10**6):\n"
        "    index.upsert([point(n, 1, n / 10**6)])\n"
        "    print(n, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    for line in writer.stdout:
        if int(line) >= 300:
            break
    with pytest.raises(ConfigurationError) as caught:
        shard(tmp_path)
    assert str(writer.pid) in caught.value.detail
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = max([300, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    writer.stdout.close()
    index = shard(tmp_path)
    assert index.count() in (acknowledged, acknowledged + 1)
    index.close()


def test_another_model_or_dimension_is_refused(tmp_path):
    shard(tmp_path).close()
    for change in ({"model_digest": "e" * 64}, {"dimension": 16}):
        with pytest.raises(ConfigurationError) as caught:
            shard(tmp_path, **change)
        assert caught.value.code == "config.model_mismatch"
    shard(tmp_path).close()


def test_a_newer_or_damaged_description_is_refused(tmp_path):
    shard(tmp_path).close()
    meta = tmp_path / "ragward-index.json"
    right = meta.read_text()
    meta.write_text(json.dumps(json.loads(right) | {"format": 3}))
    with pytest.raises(ConfigurationError) as caught:
        shard(tmp_path)
    assert caught.value.code == "config.newer_version"
    for content in ("", "{", "[]", "{}"):
        meta.write_text(content)
        with pytest.raises(UnavailableError):
            shard(tmp_path)
    meta.write_text(right)
    shard(tmp_path).close()


def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(UnavailableError) as caught:
        QdrantChunkIndex.connect(
            "http://127.0.0.1:9", collection="ragward", dimension=8, model_digest=DIGEST
        )
    assert caught.value.code == "unavailable.index"


def test_after_a_vacuum_deleted_vectors_are_in_no_file(tmp_path):
    """A deletion alone leaves them: that is shown first."""
    points = [point(n, n % 3 + 1, n + 1, 2, 3) for n in range(40)]
    needles = [struct.pack("<8f", *p.vector) for p in points]

    def found():
        there = set(found_in(needles, tmp_path))
        return [needle in there for needle in needles]

    with contextlib.closing(shard(tmp_path)) as index:
        index.upsert(points)
        before = ids(index.search(QUERY, scopes={1, 2, 3}, limit=40))
        index.delete([p.point_id for p in points[:20]])
        assert any(found()[:20])
        index.vacuum()
        assert not any(found()[:20])
        assert all(found()[20:])
        left = ids(index.search(QUERY, scopes={1, 2, 3}, limit=40))
        assert left == [number for number in before if number >= 20]
    with contextlib.closing(shard(tmp_path)) as index:
        assert index.count() == 20
        assert ids(index.search(QUERY, scopes={1, 2, 3}, limit=40)) == left
