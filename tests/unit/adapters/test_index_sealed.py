"""Sealed vectors in memory: what is loaded for whom, how it follows the catalog, when it goes, and what many threads see.

That it finds what an index finds: tests/contract/test_index.py.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import FrozenBitMap

from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.adapters.index_filter import ScopeFilter
from ragward.adapters.index_sealed import SealedChunkIndex
from ragward.adapters.sealed_places import SegmentPlaces
from ragward.adapters.sealed_segment import Segment
from ragward.domain.content import PackedParts
from ragward.domain.corpus import KeyReference, StoredVector
from ragward.domain.errors import UnavailableError
from ragward.vectors import VectorOpener
from tests import company
from tests.fakes.vector_store import LEVELS, FakeKeyring, FakeVectorStore

DIMENSION = 8
QUERY = [1.0] + [0.0] * 7


class Events(list):
    def record(self, kind, subject, decision, details, *, tenant):
        self.append((kind.value, details["point"]))


class Held:
    def __init__(self, **changes):
        self.store, self.keyring, self.clock = FakeVectorStore(), FakeKeyring(), company.SetClock()
        self.events = Events()
        self.index = SealedChunkIndex(
            self.store,
            VectorOpener(keyring=self.keyring, cipher=AESGCMCipher()),
            self.events,
            self.clock,
            self.keyring.status,
            **{
                "sealed": LEVELS,
                "dimension": DIMENSION,
                "max_bytes": 2**30,
                "idle_seconds": 600,
                **changes,
            },
        )

    def found(self, *scopes, limit=10, **narrower):
        candidates = self.index.search(QUERY, scopes=set(scopes), limit=limit, **narrower)
        return [c.point_id for c in candidates]

    def held(self):
        return {(k.classification.name, *sorted(k.compartments)) for k in self.index.held()}

    def blocks(self):
        return [slot.segment._block for slot in self.index._slots.values() if slot.segment]


@pytest.fixture
def made():
    held = Held()
    for name, scope, score in (("a", 1, 0.9), ("b", 2, 0.8), ("c", 51, 0.7), ("d", 62, 0.6)):
        held.store.put(name, scope, unit(score))
    yield held
    held.index.close()


def unit(score):
    return [score, (1 - score * score) ** 0.5] + [0.0] * 6


# What is loaded. ----------------------------------------------------------------------------------------------------


def test_a_query_loads_only_segments_it_has_a_permitted_scope_in(made):
    assert made.found(1) == ["a"]
    assert made.held() == {("CONFIDENTIAL",)}
    assert set(made.keyring.unwrapped) == {"CONFIDENTIAL"}
    assert made.found(51) == ["c"]
    assert made.held() == {("CONFIDENTIAL",), ("RESTRICTED", "c1")}
    assert made.found(1, 2, 51, 62) == ["a", "b", "c", "d"]
    assert made.held() == {("CONFIDENTIAL",), ("RESTRICTED", "c1"), ("RESTRICTED", "c2")}


def test_scopes_of_nobody_and_of_plain_classifications_load_nothing(made):
    assert made.found(4_000_000) == []
    assert made.held() == set()
    plain = Held(sealed=LEVELS[1:])
    plain.store.put("a", 1, unit(0.9))
    assert plain.found(1, 2, 3) == []
    assert not plain.keyring.unwrapped
    plain.index.close()


def test_a_scope_that_is_added_later_is_met_by_the_same_permit(made, monkeypatch):
    scopes = FrozenBitMap([1, 51])
    made.store.LABELS = 50

    def found():
        return [c.point_id for c in made.index.search(QUERY, scopes=scopes, limit=10)]

    assert found() == ["a"]
    made.store.LABELS = 100
    assert found() == ["a", "c"]
    monkeypatch.delattr(SegmentPlaces, "_look_up")  # from here on it is remembered
    assert found() == ["a", "c"]


def test_with_the_keys_away_only_who_reaches_sealed_vectors_is_refused(made):
    made.keyring.away = {"RESTRICTED"}
    assert made.found(1, 2) == ["a", "b"]
    for scopes in ((51,), (1, 51)):
        with pytest.raises(UnavailableError) as caught:
            made.found(*scopes)
        assert caught.value.code == "unavailable.keys"
    assert made.held() == {("CONFIDENTIAL",)}
    made.keyring.away = set()
    assert made.found(1, 51) == ["a", "c"]


def test_damage_is_left_out_and_reported_once(made):
    damaged = made.store._points["a"]
    damaged.blob = damaged.blob[:-1] + bytes([damaged.blob[-1] ^ 1])
    for _ in range(3):
        assert made.found(1, 2) == ["b"]
        made.index.clear()
    assert made.events == [("integrity.failure", "a")]


def test_a_vector_of_another_length_is_damage(made):
    made.store.put("a", 1, unit(0.9)[:-1])
    assert made.found(1, 2) == ["b"]
    assert made.events == [("integrity.failure", "a")]


# Following the catalog. ---------------------------------------------------------------------------------------------


def test_it_follows_every_move_without_being_told(made):
    assert made.found(1, 2, 51) == ["a", "b", "c"]
    opened = sum(made.keyring.unwrapped.values())
    made.store.put("e", 1, unit(0.95))  # new
    assert made.found(1, 2, 51) == ["e", "a", "b", "c"]
    assert sum(made.keyring.unwrapped.values()) == opened + 1  # and nothing else was opened again
    made.store.put("a", 2, unit(0.9))  # another label of the same segment
    assert made.found(1) == ["e"]
    assert made.found(2) == ["a", "b"]
    made.store.put("b", 51, unit(0.8))  # raised
    assert made.found(2) == ["a"]
    assert made.found(51) == ["b", "c"]
    made.store.put("c", 1, unit(0.7))  # lowered
    assert made.found(51) == ["b"]
    assert made.found(1) == ["e", "c"]
    made.store.remove("e")
    assert made.found(1, 2, 51) == ["a", "b", "c"]


def test_what_moves_while_a_segment_is_loaded_is_not_lost(made):
    def move():
        made.store.on_read = lambda: None
        made.store.put("a", 51, unit(0.9))
        made.store.put("x", 2, unit(0.99))

    made.store.on_read = move
    made.found(1, 2)
    assert made.found(1, 2) == ["x", "b"]
    assert made.found(51) == ["a", "c"]


def test_the_documents_of_a_segment_may_be_many_and_change_by_halves():
    held = Held()
    for number in range(1500):
        held.store.put(f"p{number:04}", 1 + number % 50, unit(number / 2000), f"d{number // 7}")
    assert held.found(*range(1, 51), limit=3) == ["p1499", "p1498", "p1497"]
    for number in range(0, 1500, 2):
        held.store.remove(f"p{number:04}")
    assert held.found(*range(1, 51), limit=3) == ["p1499", "p1497", "p1495"]
    assert held.index.count() == 750
    assert len(held.blocks()[0].vectors) < 1500  # what was removed gave its memory back
    assert held.found(2, limit=2) == ["p1451", "p1401"]
    held.index.close()


def test_named_points_are_scored_loaded_or_not(made):
    made.found(1)
    scores = {c.point_id: c.score for c in made.index.score_points(QUERY, ["a", "c", "none"])}
    assert scores == pytest.approx({"a": 0.9, "c": 0.7})
    assert made.held() == {("CONFIDENTIAL",)}


def test_a_row_that_moves_while_it_is_looked_at_ends_no_search(made):
    made.found(1, 2)
    [block] = made.blocks()

    class Moving:
        def to_array(self):
            block.scopes[: len(block.row_of)] = 4_000_000
            return [1]

    [segment] = [slot.segment for slot in made.index._slots.values() if slot.segment]
    with segment.reading() as view:
        asked = SimpleNamespace(scopes=Moving(), only_points=None, excluding=())
        assert view._admitted(asked).tolist() == [block.row_of["a"]]


# Going. -------------------------------------------------------------------------------------------------------------


def test_what_nobody_asked_for_is_overwritten_and_dropped(made):
    made.found(1, 51)
    blocks = made.blocks()
    assert all(block.vectors.any() for block in blocks)
    made.clock.ticks += 500
    made.found(51)
    made.clock.ticks += 200
    made.index.sweep()
    assert made.held() == {("RESTRICTED", "c1")}
    assert [bool(block.vectors.any()) for block in blocks] == [False, True]
    made.index.close()
    assert made.held() == set()
    assert not any(block.vectors.any() for block in blocks)


def test_memory_is_bounded_and_the_least_used_goes_first():
    segment = 256 * DIMENSION * 4 + 257 * 8
    held = Held(max_bytes=2 * segment)
    for number, scope in enumerate((1, 51, 52, 53)):
        held.store.put(f"p{number}", scope, unit(0.9 - number / 10))
    for scopes, kept in (
        ((1,), {("CONFIDENTIAL",)}),
        ((51,), {("CONFIDENTIAL",), ("RESTRICTED", "c1")}),
        ((1,), {("CONFIDENTIAL",), ("RESTRICTED", "c1")}),
        ((52,), {("CONFIDENTIAL",), ("RESTRICTED", "c2")}),
    ):
        assert held.found(*scopes)
        assert held.held() == kept
    assert held.found(1, 51, 52, 53) == ["p0", "p1", "p2", "p3"]  # more than fits is answered too
    assert len(held.held()) == 2
    for number in range(1000):
        held.store.put(f"q{number}", 1, unit(number / 2000))
    assert held.found(1, limit=2) == ["p0", "q999"]
    assert ("CONFIDENTIAL",) not in held.held()  # too large to be kept
    assert held.found(1, limit=2) == ["p0", "q999"]
    held.index.close()


def test_segments_whose_key_is_gone_are_dropped(made):
    made.found(1, 51)
    made.index.sweep()
    assert len(made.held()) == 2
    made.keyring.destroyed = {"RESTRICTED"}
    blocks = made.blocks()
    made.index.sweep()
    assert made.held() == {("CONFIDENTIAL",)}
    assert not blocks[1].vectors.any()
    made.keyring.away = {"CONFIDENTIAL"}  # away is not gone: no text opens either
    made.index.sweep()
    assert made.held() == {("CONFIDENTIAL",)}


def test_what_moved_away_leaves_memory_without_a_search(made):
    made.found(1, 2, 51)
    made.store.put("b", 62, unit(0.8))
    made.store.remove("c")
    made.index.sweep()
    held = {name for block in made.blocks() for name in block.row_of}
    assert held == {"a"}
    rows = [row for block in made.blocks() for row in block.vectors if row.any()]
    assert len(rows) == 1
    made.store.put("f", 1, unit(0.5))
    made.keyring.away = {"CONFIDENTIAL"}
    made.index.sweep()
    assert made.held() == {("RESTRICTED", "c1")}  # what cannot be followed is not kept


# The scan. ----------------------------------------------------------------------------------------------------------


def stored(name, scope, document="d"):
    key = KeyReference(dek_id="", kek_id="", kek_version=0, wrapped_dek=b"")
    return StoredVector(
        point_id=name,
        scope_id=scope,
        tenant="acme",
        document_id=document,
        version=1,
        label_digest=b"",
        key=key,
        vector_blob=b"",
    )


def segment_of(points):
    segment = Segment(384)
    segment.add([stored(name, scope) for name, scope, _ in points], [packed(v) for *_, v in points])
    return segment


def packed(vector):
    words = np.array([7], dtype="<u4").tobytes()
    return PackedParts(vector.tobytes(), words, np.array([0.5], dtype="<f4").tobytes())


@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.99))
def test_scores_and_order_do_not_depend_on_what_may_not_be_read(seed, share):
    chance = np.random.default_rng(seed)
    vectors = chance.normal(size=(400, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[200:220] = vectors[7]  # equal ones, on both sides
    scopes = np.where(chance.random(400) < share, 1, 2)
    points = [(f"p{i:03}", int(scopes[i]), vectors[i]) for i in range(400)]
    asked = ScopeFilter.of({1}, (), None)
    query = vectors[7] + 0.1 * vectors[3]
    alone = [p for p in points if p[1] == 1]
    with segment_of(points).reading() as all_of_them, segment_of(alone).reading() as mine:
        for limit in (1, 5, 50):
            assert all_of_them.best(query, asked, limit) == mine.best(query, asked, limit)
            truth = sorted((-float(v @ query.astype(np.float64)), n) for n, _, v in alone)[:limit]
            found = all_of_them.best(query, asked, limit)
            assert [s for s, _ in found] == pytest.approx([s for s, _ in truth], abs=1e-6)


def test_a_search_under_way_sees_what_was_there_when_it_began():
    vectors = np.eye(384, dtype=np.float32)
    segment = segment_of([(f"p{i:03}", 1, vectors[i]) for i in range(100)])
    asked = ScopeFilter.of({1}, (), None)
    with segment.reading() as view:
        segment.add(
            [stored(f"n{i:03}", 1, "new") for i in range(2000)], [packed(vectors[0] * 2)] * 2000
        )  # moves all to other memory
        assert view.best(vectors[0], asked, 1) == [(-1.0, "p000")]
        segment.wipe()
        assert view.best(vectors[5], asked, 1) == [(-1.0, "p005")]
        old = view._block
    assert not old.vectors.any()
    assert not old.words._words.any()
    assert not old.words._weights.any()
    assert len(segment) == 0


def test_one_thread_loads_what_many_ask_for(made):
    barrier = threading.Barrier(8)
    found = []

    def ask():
        barrier.wait()
        found.append(made.found(1, 2))

    run([ask] * 8)
    assert found == [["a", "b"]] * 8
    assert made.store.reads["segment"] == 1


def test_searches_stay_right_while_points_move_and_memory_is_short():
    """Two fixed points are found every time, whatever happens to the others."""
    held = Held(max_bytes=3 * 256 * DIMENSION * 4, idle_seconds=0.0001)
    held.store.put("first", 1, unit(1.0))
    held.store.put("second", 51, unit(0.99))
    stop, wrong = threading.Event(), []

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            held.store.put(f"w{number % 40}", (1, 2, 51, 61)[number % 4], unit(number % 97 / 200))
            if number % 5 == 0:
                held.store.remove(f"w{number * 7 % 40}")
            if number % 11 == 0:
                held.index.sweep()
            if number % 17 == 0:
                held.index.clear()

    def ask():
        for _ in range(150):
            if held.found(1, 51, 61, limit=2) != ["first", "second"]:
                wrong.append(1)

    def asking():
        run([ask] * 4)
        stop.set()

    run([write, asking])
    assert not wrong
    held.index.close()


def run(calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
