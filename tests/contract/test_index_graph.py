"""The graph of the embedded index: built beside the running shard, and never at the price of a result."""

from __future__ import annotations

import json
import threading
import time
import uuid

import numpy as np
import pytest
from pyroaring import FrozenBitMap

from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.adapters.index_plan import SearchPlanner
from ragward.domain.corpus import IndexPoint

DIMENSION, POINTS, SCOPES, TOPICS = 384, 9_000, 300, 30
DIGEST = "d" * 64
random = np.random.default_rng(11)
CENTRES = random.normal(size=(TOPICS, DIMENSION))
TOPIC = random.integers(0, TOPICS, POINTS)
VECTORS = CENTRES[TOPIC] * 0.6 + random.normal(size=(POINTS, DIMENSION))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
#: A scope belongs to one topic, so that a permit can be for or against what a question is about.
SCOPE = 1 + TOPIC * (SCOPES // TOPICS) + random.integers(0, SCOPES // TOPICS, POINTS)


def name(number):
    return str(uuid.UUID(int=int(number)))


def points(numbers):
    return [
        IndexPoint(point_id=name(n), scope_id=int(SCOPE[n]), vector=VECTORS[n].tolist())
        for n in numbers
    ]


def opened(path, **changes):
    return EdgeChunkIndex.open(path, dimension=DIMENSION, model_digest=DIGEST, **changes)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    made = opened(tmp_path_factory.mktemp("graph") / "index")
    made.upsert(points(range(POINTS)))
    assert made.build_graph()
    assert made._has_graph, "the engine built no graph: everything below would test nothing"
    yield made
    made.close()


def permit_of(share, kind, topic):
    """Scopes that cover about `share` of the index: anywhere, about the topic, or about everything else."""
    about = set(range(1 + topic * 10, 11 + topic * 10))
    others = [s for s in range(1, SCOPES + 1) if s not in about]
    wanted = max(1, round(SCOPES * share))
    if kind == "independent":
        chosen = random.permutation(np.arange(1, SCOPES + 1))[:wanted].tolist()
    elif kind == "aligned":
        chosen = [*about, *others][:wanted]
    else:
        chosen = others[:wanted]
    return FrozenBitMap(chosen)


@pytest.mark.parametrize("kind", ["independent", "aligned", "adverse"])
@pytest.mark.parametrize("share", [0.004, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9])
def test_what_is_permitted_is_found_whatever_the_share(index, share, kind):
    found = expected = 0
    for topic in range(0, TOPICS, 3):
        query = CENTRES[topic] * 0.6 + random.normal(size=DIMENSION)
        scopes = permit_of(share, kind, topic)
        mine = np.nonzero(np.isin(SCOPE, np.array(scopes.to_array())))[0]
        best = mine[np.argsort(-(VECTORS[mine] @ query))[:10]]
        got = [c.point_id for c in index.search(query.tolist(), scopes=scopes, limit=10)]
        assert set(got) <= {name(n) for n in mine}
        assert len(got) == min(10, len(mine)), "short although enough is permitted"
        found += len(set(got) & {name(n) for n in best})
        expected += len(best)
    assert found / expected >= 0.99


def test_every_plan_was_used(index):
    used = index.plans()
    assert used["over-fetch"] >= 20
    assert used["over-fetch, then exact"] >= 1
    assert used["exact"] >= 20


def test_a_permit_that_keeps_coming_up_short_is_scanned_at_once(index):
    query = (CENTRES[3] * 2).tolist()
    scopes = permit_of(0.5, "adverse", 3)
    before = index.plans()
    for _ in range(24):
        assert len(index.search(query, scopes=scopes, limit=10)) == 10
    after = index.plans()
    short = after["over-fetch, then exact"] - before["over-fetch, then exact"]
    assert 3 <= short <= 5  # three times in a row, then once in sixteen


def test_excluded_points_are_made_up_for(index):
    query = VECTORS[5].tolist()
    scopes = FrozenBitMap(range(1, SCOPES + 1))
    first = [c.point_id for c in index.search(query, scopes=scopes, limit=10)]
    more = [c.point_id for c in index.search(query, scopes=scopes, limit=10, excluding=first)]
    assert len(more) == 10
    assert not set(first) & set(more)


def test_writes_during_a_build_are_in_the_new_shard(tmp_path):
    index = opened(tmp_path / "index")
    index.upsert(points(range(7_500)))
    building = threading.Thread(target=index.build_graph)
    building.start()
    while index._build is None:
        time.sleep(0.01)
    index.upsert(points(range(7_500, 7_600)))
    index.delete([name(n) for n in range(100)])
    moved = IndexPoint(point_id=name(200), scope_id=299, vector=VECTORS[200].tolist())
    index.upsert([moved])
    assert index.build_graph() is False  # one at a time
    building.join()
    assert index._has_graph
    assert index.count() == 7_500
    assert [p.name for p in sorted((tmp_path / "index").glob("shard*"))] == ["shard-1"]
    every = FrozenBitMap(range(1, SCOPES + 1))
    best = index.search(VECTORS[7_550].tolist(), scopes=every, limit=1)
    assert best[0].point_id == name(7_550)
    gone = index.search(VECTORS[50].tolist(), scopes=every, limit=3)
    assert name(50) not in {c.point_id for c in gone}
    assert index.search(VECTORS[200].tolist(), scopes={299}, limit=1)[0].point_id == name(200)
    index.close()
    again = opened(tmp_path / "index")
    assert again.count() == 7_500
    assert again._has_graph
    again.close()


def test_what_an_interrupted_build_left_is_removed(tmp_path):
    index = opened(tmp_path)
    index.upsert(points(range(10)))
    index.close()
    (tmp_path / "shard-1").mkdir()
    (tmp_path / "shard-1" / "half").write_text("a copy that was never switched to")
    index = opened(tmp_path)
    assert not (tmp_path / "shard-1").exists()
    assert index.count() == 10
    index.close()


def test_a_build_that_dies_leaves_everything_as_it_was(tmp_path):
    index = opened(tmp_path / "index")
    index.upsert(points(range(7_500)))
    results = []
    building = threading.Thread(target=lambda: results.append(index.build_graph()))
    building.start()
    while index._build is None:
        time.sleep(0.01)
    index._build._child.kill()
    building.join()
    assert results == [False]
    assert index.count() == 7_500
    assert index.search(VECTORS[9].tolist(), scopes={int(SCOPE[9])}, limit=1)[0].point_id == name(9)
    assert [p.name for p in (tmp_path / "index").glob("shard*")] == ["shard"]
    index.close()


def test_maintain_builds_in_the_background_when_it_is_worth_it(tmp_path):
    index = opened(tmp_path / "few", graph_from=10_000)
    index.upsert(points(range(100)))
    index.maintain()
    assert index._builder is None
    index.close()
    index = opened(tmp_path / "many", graph_from=7_000)
    index.upsert(points(range(7_500)))
    index.maintain()
    index.maintain()
    for _ in range(600):
        if index._has_graph:
            break
        time.sleep(0.1)
    assert index._has_graph
    index.maintain()
    assert index._builder is None or not index._needs_graph()
    index.clear()
    assert index.count() == 0
    assert not index._has_graph
    index.close()


def test_closing_ends_a_build(tmp_path):
    index = opened(tmp_path / "index", graph_from=7_000)
    index.upsert(points(range(7_500)))
    index.maintain()
    index.close()
    assert index._build is None
    description = json.loads((tmp_path / "index" / "ragward-index.json").read_text())
    assert description.get("shard", "shard") in ("shard", "shard-1")
    opened(tmp_path / "index").close()


def test_the_share_is_counted_from_what_is_there():
    planner = SearchPlanner()
    planner.counts.replace({1: 90, 2: 10})
    assert planner.counts.share(FrozenBitMap({2, 7, 5_000_000})) == 0.1
    planner.counts.add([2] * 100)
    assert planner.counts.share(FrozenBitMap({2})) == 0.55
    planner.counts.add([9_000])
    assert planner.counts.share(FrozenBitMap({9_000})) == pytest.approx(1 / 201)
    assert SearchPlanner().fetch_size(FrozenBitMap({1}), 10, has_graph=True) is None
    assert planner.fetch_size(FrozenBitMap({1}), 10_000, has_graph=True) is None


def test_no_more_is_fetched_than_a_graph_finds_reliably():
    """Beyond the neighbourhood of a question a graph loses results: the best 600 of 100,000 had recall .883."""
    planner = SearchPlanner()
    planner.counts.replace({1: 10, 2: 90})
    few = planner.fetch_size(FrozenBitMap({1}), 10, has_graph=True)
    assert few is not None
    assert 100 <= few <= 250
    assert planner.fetch_size(FrozenBitMap({1}), 30, has_graph=True) is None
