"""Searching words within a permit: what it costs beside a search by vector, and what it finds that vectors do not.

`python benchmarks/lexical.py [--points 100000] [--queries 40] [--sentences 2000] [--no-model]`

Words are drawn like those of a language (Zipf, 30,000 of them, 100 a chunk), labels at random. Per share of 10,000 labels that
a subject may read, medians in milliseconds of one process, the ways taking turns on every question of six words:

    vector      the index's own plan
    first       words, nothing counted yet within this permit
    words       the same with other words after it: the permit's size is known, the words are not
    again       words that were counted before
    sealed      words of as many points in decrypted segments, which are counted anew each time

Then made-up sentences with a part number each are embedded by the installed model, and asked for by number: in how many
questions the right one is among the first 10.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyroaring import FrozenBitMap
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.adapters.index_filter import ScopeFilter
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.adapters.sealed_segment import Segment
from ragward.domain.content import PackedParts
from ragward.domain.corpus import IndexPoint, KeyReference, StoredVector
from ragward.domain.words import fused, query_words, word_weights, words_key

DIMENSION, LABELS, VOCABULARY, LENGTH, LIMIT = 384, 10_000, 30_000, 100, 30
SHARES = (0.01, 0.1, 0.5, 1.0)
KEY = words_key(bytes(32), "benchmark")


class World:
    """The same points in an embedded index and in a decrypted segment."""

    def __init__(self, directory: Path, points: int) -> None:
        self.chance = np.random.default_rng(5)
        self.share_of_word = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
        self.share_of_word /= self.share_of_word[-1]
        self.index = EdgeChunkIndex.open(
            directory, dimension=DIMENSION, model_digest="m" * 64, graph_from=10 * points
        )
        self.segment = Segment(DIMENSION)
        for start in track(range(0, points, 1000), "points", transient=True):
            self._add(start, min(1000, points - start))

    def words(self, count: int) -> dict[int, float]:
        """Hashed words, and what they weigh in a text of them."""
        drawn = np.searchsorted(self.share_of_word, self.chance.random(count))
        found, times = np.unique(drawn, return_counts=True)
        hashes = (found.astype(np.uint64) * 2_654_435_761 % 2**32).tolist()
        return {h: n * 2.2 / (n + 1.05) for h, n in zip(hashes, times.tolist(), strict=True)}

    def vector(self) -> Any:
        """A unit vector."""
        vector = self.chance.normal(size=DIMENSION).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def _add(self, start: int, count: int) -> None:
        made = []
        for number in range(start, start + count):
            words = dict(sorted(self.words(LENGTH).items()))
            scope = int(self.chance.integers(1, LABELS + 1))
            made.append((str(uuid.UUID(int=number + 1)), scope, self.vector(), words))
        self.index.upsert(
            [IndexPoint(point_id=n, scope_id=s, vector=v, words=w) for n, s, v, w in made]
        )
        self.segment.add([_stored(n, s) for n, s, _, _ in made], [_packed(*m[2:]) for m in made])


def _stored(name: str, scope: int) -> StoredVector:
    key = KeyReference(dek_id="", kek_id="", kek_version=0, wrapped_dek=b"")
    return StoredVector(
        point_id=name,
        scope_id=scope,
        tenant="acme",
        document_id=name,
        version=1,
        label_digest=b"",
        key=key,
        vector_blob=b"",
    )


def _packed(vector: Any, words: dict[int, float]) -> PackedParts:
    hashes, weights = np.array(list(words), "<u4"), np.array(list(words.values()), "<f4")
    return PackedParts(vector.tobytes(), hashes.tobytes(), weights.tobytes())


def asked(world: World, words: list[int], scopes: FrozenBitMap) -> None:
    """As the query flow does."""
    counts = world.index.count_words(words, scopes=scopes)
    world.index.search_words(counts.weights(), scopes=scopes, limit=LIMIT)


def sealed(world: World, words: list[int], scopes: FrozenBitMap) -> None:
    """The same in the segment."""
    within = ScopeFilter.of(scopes, (), None)
    assert within is not None
    with world.segment.reading() as view:
        weights = view.count_words(words, within).weights()
        view.best_by_words(weights, within, LIMIT)


def costs(world: World, queries: int) -> Table:
    """The table of medians."""
    columns = ("vector", "first", "words", "again", "sealed")
    table = Table("may read", *columns)
    for share in SHARES:
        spent: dict[str, list[float]] = {name: [] for name in columns}

        def timed(name: str, call: Callable[[], object]) -> None:
            begin = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - begin)  # noqa: B023 - called in this turn

        for _ in range(queries):
            labels = world.chance.permutation(LABELS)[: int(LABELS * share)] + 1
            scopes = FrozenBitMap(labels.tolist())
            one, other = (list(world.words(6)) for _ in range(2))
            vector = world.vector().tolist()
            world.index.search(vector, scopes=scopes, limit=LIMIT)
            timed("first", lambda: asked(world, one, scopes))  # noqa: B023
            timed("vector", lambda: world.index.search(vector, scopes=scopes, limit=LIMIT))  # noqa: B023
            timed("words", lambda: asked(world, other, scopes))  # noqa: B023
            timed("again", lambda: asked(world, one, scopes))  # noqa: B023
            timed("sealed", lambda: sealed(world, one, scopes))  # noqa: B023
        row = (f"{statistics.median(spent[name]) * 1000:.1f}" for name in columns)
        table.add_row(f"{share:.0%}", *row)
    return table


def found_by_number(directory: Path, sentences: int) -> Table:
    """Part numbers asked for by vector, by words and by both."""
    embedder = OnnxEmbedder.load(find_installed_model(), ModelManifest.shipped())
    chance = np.random.default_rng(9)
    parts = ("pump", "valve", "sensor", "filter", "gasket", "motor", "relay", "bearing")
    what = ("is on stock", "leaks at the seal", "was recalled", "needs calibration", "is obsolete")
    numbers = [f"{'ABCDEFGH'[n % 8]}X-{1000 + n}" for n in chance.permutation(sentences)]
    texts = [
        f"The {chance.choice(parts)} with the part number {number} {chance.choice(what)}."
        for number in numbers
    ]
    index = EdgeChunkIndex.open(
        directory, dimension=embedder.dimension, model_digest=embedder.model_digest
    )
    names = [str(uuid.UUID(int=n + 1)) for n in range(sentences)]
    points = zip(names, texts, embedder.embed(texts), strict=True)
    index.upsert(
        [
            IndexPoint(point_id=name, scope_id=1, vector=vector, words=word_weights(text, KEY))
            for name, text, vector in points
        ]
    )
    questions = [int(n) for n in chance.permutation(sentences)[:200]]
    hits = {"vector": 0, "lexical": 0, "hybrid": 0}
    for n, vector in zip(
        questions, embedder.embed([f"part {numbers[n]}" for n in questions]), strict=True
    ):
        words = query_words(f"part {numbers[n]}", KEY)
        weights = index.count_words(words, scopes={1}).weights()
        near = [c.point_id for c in index.search(vector, scopes={1}, limit=LIMIT)]
        same = [c.point_id for c in index.search_words(weights, scopes={1}, limit=LIMIT)]
        both = fused([near, same])
        order = sorted(both, key=lambda name: (-both[name], name))
        for way, ranking in (("vector", near), ("lexical", same), ("hybrid", order)):
            hits[way] += names[n] in ranking[:10]
    index.close()
    table = Table("", *hits)
    table.add_row(
        f"right one of {sentences:,} in the first 10",
        *(f"{n / len(questions):.1%}" for n in hits.values()),
    )
    return table


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--sentences", type=int, default=2_000)
    parser.add_argument("--no-model", action="store_true")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "index", options.points)
        console.print(costs(world, options.queries))
        world.index.close()
        if not options.no_model:
            console.print(found_by_number(Path(directory) / "parts", options.sentences))


if __name__ == "__main__":
    main()
