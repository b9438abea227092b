"""Searching words, one contract for every index: BM25 over what the scopes reach and nothing else, to the last digit."""

from __future__ import annotations

import json
import math
import struct
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.adapters.index_filter import ScopeFilter
from ragward.adapters.index_qdrant import QdrantChunkIndex
from ragward.adapters.index_words import WordHit, best_by_words
from ragward.domain.corpus import IndexPoint
from ragward.domain.errors import UnavailableError
from tests.conftest import PROVE
from tests.contract.test_index import (
    DIGEST,
    DIMENSION,
    ENGINES,
    LEGS,
    QUERY,
    ids,
    made,
    shard,
    tampered,
)

COMMON, RARE, OTHER, LAST = 0, 77, 1 << 31, 2**32 - 1
WORDS = [COMMON, RARE, OTHER, LAST, 5, 6]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module", params=[leg for leg in LEGS if "without" not in leg])
def shared(request, tmp_path_factory):
    with made(request.param, tmp_path_factory.mktemp("words") / "index") as opened:
        yield opened


@pytest.fixture(params=LEGS)
def index(request, tmp_path):
    with made(request.param, tmp_path / "index") as opened:
        yield opened


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path):
    with made(request.param, tmp_path / "index") as opened:
        yield opened


def point(number, scope, words):
    return IndexPoint(
        point_id=str(uuid.UUID(int=number)), scope_id=scope, vector=QUERY, words=words
    )


def asked(index, words, scopes, limit=10, **narrowed):
    """As the query flow does."""
    counts = index.count_words(words, scopes=scopes)
    return index.search_words(counts.weights(), scopes=scopes, limit=limit, **narrowed)


def oracle(points, words, scopes):
    """number -> BM25 over the permitted rows, as the textbook has it; the weights hold the saturated frequencies."""
    rows = {number: have for number, (scope, have) in points.items() if scope in scopes}
    scores = {}
    for number, have in rows.items():
        for word in set(words) & set(have):
            n, df = len(rows), sum(word in other for other in rows.values())
            idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
            scores[number] = scores.get(number, 0.0) + idf * have[word]
    return scores


WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 1.5, struct.unpack("f", struct.pack("f", 1.1))[0]])
ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.dictionaries(st.sampled_from(WORDS), WEIGHTS)), max_size=25
)
MANY = settings(
    max_examples=80 if PROVE else 8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def filled(index, rows, start=1):
    index.upsert([point(start + i, scope, words) for i, (scope, words) in enumerate(rows)])
    return {start + i: row for i, row in enumerate(rows)}


# Attacks. -----------------------------------------------------------------------------------------------------------


@MANY
@given(
    mine=st.lists(
        st.tuples(st.just(1), st.dictionaries(st.sampled_from(WORDS), WEIGHTS)), max_size=15
    ),
    theirs=ROWS,
    words=st.sets(st.sampled_from(WORDS), min_size=1),
    limit=st.integers(1, 8),
)
def test_what_may_not_be_read_moves_neither_order_nor_scores(shared, mine, theirs, words, limit):
    theirs = [(scope + 1, have) for scope, have in theirs]
    shared.clear()
    filled(shared, mine)
    alone = asked(shared, words, {1}, limit)
    counts = shared.count_words(words, scopes={1})
    others = filled(shared, theirs, start=1000)
    assert asked(shared, words, {1}, limit) == alone
    assert shared.count_words(words, scopes={1}) == counts
    filled(shared, [(scope, dict.fromkeys(WORDS, 1.5)) for scope, _ in theirs], start=1000)
    assert asked(shared, words, {1}, limit) == alone
    shared.delete([str(uuid.UUID(int=number)) for number in others])
    assert asked(shared, words, {1}, limit) == alone


def test_a_word_that_others_use_often_is_as_rare_as_it_is_for_me(index):
    index.upsert([point(1, 1, {RARE: 1.0}), *(point(n, 1, {COMMON: 1.0}) for n in range(2, 6))])
    before = asked(index, {RARE, COMMON}, {1})
    index.upsert([point(n, 2, {RARE: 1.0}) for n in range(100, 160)])
    assert asked(index, {RARE, COMMON}, {1}) == before
    assert ids(before)[0] == 1


def test_no_scope_is_nothing_not_everything(index):
    index.upsert([point(1, 1, {RARE: 1.0})])
    assert asked(index, {RARE}, set()) == []
    assert index.count_words({RARE}, scopes=set()).total == 0
    assert asked(index, {RARE}, {2}) == []
    assert index.count_words({RARE}, scopes={2}).weights() == {}
    assert index.search_words({RARE: 1.0}, scopes={2}, limit=5) == []


@pytest.mark.parametrize(
    "payload", [{}, {"scope": "1"}, {"scope": [1, 2]}, {"scope": 1.0}], ids=str
)
def test_a_payload_of_another_type_never_matches(engine, payload):
    engine.upsert([point(1, 1, {RARE: 0.5})])
    tampered(engine, 2, payload, words={RARE: 2.0})
    assert ids(asked(engine, {RARE}, {1, 2})) == [1]


def test_payloads_of_another_type_take_nobodys_place():
    wrong = [WordHit(f"wrong{n:02}", 2.0, [1], {RARE: 2.0}) for n in range(30)]
    right = [WordHit(f"right{n}", 1.0 - n / 100, 1, {RARE: 1.0 - n / 100}) for n in range(5)]
    within = ScopeFilter.of({1}, (), None)
    found = best_by_words(lambda size: (wrong + right)[:size], {RARE: 1.0}, within, 3)
    assert [c.point_id for c in found] == ["right0", "right1", "right2"]


def test_a_server_that_counts_everybodys_words_is_not_asked():
    """Before 1.19 a server does not know of a corpus, and ignores it."""
    older = QdrantChunkIndex.local(dimension=DIMENSION, model_digest=DIGEST)
    older.upsert([point(1, 1, {RARE: 1.0})])
    told = older._client.info()
    older._client.info = lambda: told.model_copy(update={"version": "1.18.9"})
    with pytest.raises(UnavailableError):
        older.count_words({RARE}, scopes={1})
    assert ids(older.search(QUERY, scopes={1}, limit=1)) == [1]
    older.close()


# What it finds. -----------------------------------------------------------------------------------------------------


@MANY
@given(
    rows=ROWS,
    words=st.sets(st.sampled_from(WORDS), min_size=1),
    scopes=st.sets(st.integers(1, 5), min_size=1),
    limit=st.integers(1, 12),
)
def test_it_is_bm25_over_what_the_scopes_reach(shared, rows, words, scopes, limit):
    shared.clear()
    points = filled(shared, rows)
    truth = oracle(points, words, scopes)
    found = asked(shared, words, scopes, limit)
    scores = {uuid.UUID(c.point_id).int: c.score for c in found}
    assert len(found) == min(limit, len(truth))
    assert scores == pytest.approx({number: truth[number] for number in scores})
    assert [(-c.score, c.point_id) for c in found] == sorted((-c.score, c.point_id) for c in found)
    left = [score for number, score in truth.items() if number not in scores]
    assert all(score <= found[-1].score + 1e-9 for score in left)


def test_exclusion_and_restriction(index):
    index.upsert([point(n, 1, {RARE: n / 8}) for n in range(1, 6)])
    names = {n: str(uuid.UUID(int=n)) for n in range(1, 6)}
    assert ids(asked(index, {RARE}, {1}, 2, excluding=[names[5]])) == [4, 3]
    assert ids(asked(index, {RARE}, {1}, 9, only_points=[names[2], names[3]])) == [3, 2]
    assert asked(index, {RARE}, {1}, 9, only_points=[]) == []
    counts = index.count_words({RARE, OTHER}, scopes={1}, excluding=[names[1], names[2]])
    assert (counts.total, dict(counts.containing)) == (3, {RARE: 3, OTHER: 0})


def test_equal_scores_come_in_the_order_of_their_ids_wherever_the_cut_falls(index):
    index.upsert([point(n, 1, {RARE: 1.0}) for n in (9, 3, 40, 7, *range(50, 90))])
    for limit in (1, 3, 4, 20):
        assert (
            ids(asked(index, {RARE}, {1}, limit)) == sorted((9, 3, 40, 7, *range(50, 90)))[:limit]
        )


def test_points_are_replaced_moved_and_removed(index):
    index.upsert([point(1, 1, {RARE: 1.0}), point(2, 1, {OTHER: 1.0}), point(3, 1, {})])
    assert ids(asked(index, {RARE}, {1})) == [1]
    index.upsert([point(1, 1, {OTHER: 2.0})])
    assert asked(index, {RARE}, {1}) == []
    assert ids(asked(index, {OTHER}, {1})) == [1, 2]
    index.upsert([point(1, 2, {OTHER: 2.0})])
    assert ids(asked(index, {OTHER}, {1})) == [2]
    assert ids(asked(index, {OTHER}, {1, 2})) == [1, 2]
    index.delete([str(uuid.UUID(int=1))])
    assert ids(asked(index, {OTHER}, {1, 2})) == [2]
    assert index.count_words({OTHER}, scopes={1, 2}).total == 2


def test_words_of_named_points_whatever_their_scope(index):
    index.upsert([point(1, 1, {RARE: 1.0, OTHER: 0.5}), point(2, 2, {LAST: 0.25}), point(3, 1, {})])
    names = [str(uuid.UUID(int=n)) for n in (1, 2, 3, 4)]
    found = index.words_of({RARE, LAST}, names)
    assert {uuid.UUID(n).int: dict(w) for n, w in found.items()} == {
        1: {RARE: 1.0},
        2: {LAST: 0.25},
        3: {},
    }
    assert index.words_of({RARE}, []) == {}


def test_vectors_are_searched_as_before(index):
    index.upsert([point(1, 1, {RARE: 1.0}), point(2, 1, {})])
    assert ids(index.search(QUERY, scopes={1}, limit=5)) == [1, 2]


# The embedded index's files. ----------------------------------------------------------------------------------------


def test_words_are_there_after_reopening_a_graph_and_a_vacuum(tmp_path):
    first = shard(tmp_path, graph_from=100)
    first.upsert([point(n, 1 + n % 3, {COMMON: 1.0, n: 0.5}) for n in range(1, 301)])
    before = asked(first, {COMMON, 9, 10, 11}, {1, 2})
    assert first.build_graph()
    assert asked(first, {COMMON, 9, 10, 11}, {1, 2}) == before
    assert not first._has_graph  # the engine builds none of so few; words do not count as one
    first.vacuum()
    assert asked(first, {COMMON, 9, 10, 11}, {1, 2}) == before
    first.close()
    again = shard(tmp_path)
    assert asked(again, {COMMON, 9, 10, 11}, {1, 2}) == before
    again.close()


def test_what_an_older_version_filled_is_made_anew(tmp_path):
    first = shard(tmp_path)
    first.upsert([point(1, 1, {RARE: 1.0})])
    first.close()
    description = tmp_path / "ragward-index.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"format": 1}))
    again = shard(tmp_path)
    assert again.count() == 0
    again.upsert([point(1, 1, {RARE: 1.0})])
    assert ids(asked(again, {RARE}, {1})) == [1]
    again.close()
    assert shard_count(tmp_path) == 1


def shard_count(path):
    opened = EdgeChunkIndex.open(path, dimension=DIMENSION, model_digest=DIGEST)
    found = opened.count()
    opened.close()
    return found


def test_a_collection_of_an_older_version_is_made_anew():
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    client = QdrantClient(":memory:")
    client.create_collection("c", vectors_config=VectorParams(size=8, distance=Distance.DOT))
    opened = QdrantChunkIndex(client, "c", DIMENSION, True)
    opened.upsert([point(1, 1, {RARE: 1.0})])
    again = QdrantChunkIndex(client, "c", DIMENSION, True)
    assert ids(asked(again, {RARE}, {1})) == [1]
    again.close()
