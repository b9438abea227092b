"""Searching within a permit, with the authoritative re-check, beside what others do: latency never without its recall.

`python benchmarks/retrieval.py [--points 100000] [--queries 40] [--json FILE] [--keep DIRECTORY]`

Vectors are clustered by topic (random labels on random vectors would hide where filtered graph search loses results). Per
share of the index that a subject may read, and for permission independent of, aligned with and adverse to the question's topic:

    unfiltered       the graph, k = 10, nothing decided: the floor
    ragward          the plan that fits, then the one catalog read with the re-check on it
    exact            a scan under the filter, with the same re-check: the ceiling, recall 1
    post-filter      50 of everything, then dropped what may not be read: what most applications do
    group tokens     the subject's groups as a payload filter on the graph: what most guides say

The first, second, fourth and fifth take turns on every question; the second and third take turns on their own, because a
scan of everything that may be read leaves nothing of the others' data in the processor's caches. Medians of one process.
"""

from __future__ import annotations

import argparse
import json
import os
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

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.index_edge import EdgeChunkIndex, _filter
from ragward.adapters.index_filter import ScopeFilter, best_hits
from ragward.domain.corpus import (
    DocumentState,
    IndexPoint,
    StagedChunk,
    StagedPoint,
    StagedVersion,
    View,
)
from ragward.domain.labels import AccessLabel, Classification
from ragward.opening import resource

DIMENSION, TOPICS, LABELS, K = 384, 200, 10_000, 10
LABELS_PER_GROUP = 10
SHARES = (0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9)
KINDS = ("independent", "aligned", "adverse")


class World:
    """Points in an embedded index and their chunks in a catalog, under 10,000 labels that belong to topics."""

    def __init__(self, directory: Path, points: int) -> None:
        self.chance = np.random.default_rng(7)
        self.directory, self.points = directory, points
        self.centres = self.chance.normal(size=(TOPICS, DIMENSION)).astype(np.float32)
        self.label = self.chance.integers(0, LABELS, points)  # 0-based; its topic is label // 50
        self.crossing = self.chance.permutation(LABELS)
        self.vectors = self._vectors()
        self.near = np.argsort(-(self.centres @ self.centres.T), axis=1)  # topics by nearness
        self.catalog = self._catalog()
        self.scope = self._scopes()
        self.index = self._index()
        self.tokens = self._tokens()
        self._warm()

    def _vectors(self) -> np.ndarray[Any, Any]:
        vectors = self.chance.normal(size=(self.points, DIMENSION)).astype(np.float32)
        vectors += 0.6 * self.centres[self.label // (LABELS // TOPICS)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _catalog(self) -> SQLCatalog:
        url = f"sqlite:///{self.directory}/catalog.db"
        if not (self.directory / "catalog.db").exists():
            SQLCatalog.migrate(url, migrations_dir=resource("migrations"))
            made = SQLCatalog.open(url)
            order = np.argsort(self.label, kind="stable")
            cuts = np.flatnonzero(np.diff(self.label[order])) + 1
            for numbers in track(np.split(order, cuts), "catalog", transient=True):
                made.commit_version(self._version(numbers))
            made.close()
        return SQLCatalog.open(url)

    def _version(self, numbers: np.ndarray[Any, Any]) -> StagedVersion:
        label = int(self.label[numbers[0]])
        chunks = tuple(
            StagedChunk(
                chunk_id=name_of(number).replace("-", ""),
                ordinal=ordinal,
                blob=os.urandom(700),
                entity_types=frozenset(),
                verdict="allow",
                points=(
                    StagedPoint(
                        point_id=name_of(number),
                        view=View.FULL,
                        vector=[],
                        vector_blob=b"not opened here",
                    ),
                ),
            )
            for ordinal, number in enumerate(numbers)
        )
        return StagedVersion(
            document_id=f"document-{label}",
            version=1,
            tenant="acme",
            corpus="all",
            source=f"{label}.txt",
            source_digest=os.urandom(32),
            state=DocumentState.ACTIVE,
            title="",
            media_type="text/plain",
            label=AccessLabel(
                tenant="acme",
                corpus="all",
                classification=Classification.INTERNAL,
                granted=frozenset(
                    {f"group:acme/{group}" for group in self.groups_of(label)}
                    | {f"user:acme/u{label}"}
                ),
            ),
            dek_id="d",
            kek_id="k",
            kek_version=1,
            wrapped_dek=os.urandom(60),
            attributes={},
            evidence=(),
            model_digest="m",
            job_id=None,
            chunks=chunks,
        )

    def _scopes(self) -> np.ndarray[Any, Any]:
        """Scope id by label."""
        labels = self.catalog.labels("acme")
        scopes = np.zeros(LABELS, dtype=np.int64)
        for scope in self.catalog.scopes("acme"):
            [person] = [p for p in labels[scope.label_id].granted if p.startswith("user:")]
            scopes[int(person.rpartition("/u")[2])] = scope.scope_id
        return scopes

    def _index(self) -> EdgeChunkIndex:
        path = self.directory / "index"
        fresh = not path.exists()
        made = EdgeChunkIndex.open(path, dimension=DIMENSION, model_digest="m" * 64)
        if fresh:
            for start in track(range(0, self.points, 2_000), "index", transient=True):
                part = range(start, min(start + 2_000, self.points))
                made.upsert(
                    [
                        IndexPoint(
                            point_id=name_of(n),
                            scope_id=int(self.scope[self.label[n]]),
                            vector=self.vectors[n],  # the engine takes arrays, ten times faster
                        )
                        for n in part
                    ]
                )
            begin = time.perf_counter()
            assert made.build_graph()
            print(
                f"graph of {self.points:,} points: {time.perf_counter() - begin:.0f} s, in a child process"
            )
        assert made._has_graph, "no graph: the table would compare scans"
        return made

    def _tokens(self) -> Any:
        """A second shard whose points carry the groups of their label, as most guides have it."""
        from qdrant_edge import (
            Distance,
            EdgeConfig,
            EdgeShard,
            EdgeVectorParams,
            PayloadSchemaType,
            Point,
            UpdateOperation,
        )

        path = self.directory / "tokens"
        if path.exists():
            return EdgeShard.load(str(path))
        path.mkdir()
        shard = EdgeShard.create(
            str(path),
            EdgeConfig(vectors=EdgeVectorParams(size=DIMENSION, distance=Distance.Dot)),
        )
        shard.update(UpdateOperation.create_field_index("groups", PayloadSchemaType.Keyword))
        for start in track(range(0, self.points, 2_000), "group tokens", transient=True):
            part = range(start, min(start + 2_000, self.points))
            shard.update(
                UpdateOperation.upsert_points(
                    [
                        Point(
                            name_of(n),
                            self.vectors[n],
                            {"groups": self.groups_of(int(self.label[n]))},
                        )
                        for n in part
                    ]
                )
            )
        shard.flush()
        shard.optimize()
        return shard

    def _warm(self) -> None:
        """Every label has been met before: what is measured is an installation that has run for a while."""
        for start in range(0, self.points, 500):
            part = range(start, min(start + 500, self.points))
            self.catalog.stored_chunks("acme", [name_of(n) for n in part])

    def question(self, topic: int) -> np.ndarray[Any, Any]:
        """A unit vector about the topic."""
        vector = 0.6 * self.centres[topic] + self.chance.normal(size=DIMENSION).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def groups_of(self, label: int) -> list[str]:
        """A label is granted to a group of its topic, and to one that crosses all topics."""
        return [f"g{label // LABELS_PER_GROUP}", f"x{self.crossing[label] // LABELS_PER_GROUP}"]

    def groups(self, share: float, kind: str, topic: int) -> np.ndarray[Any, Any]:
        """Numbers of groups whose labels make up about this share of all; of crossing groups for `independent`."""
        groups = LABELS // LABELS_PER_GROUP
        wanted = max(1, round(groups * share))
        if kind == "independent":
            return self.chance.permutation(groups)[:wanted]
        per_topic = groups // TOPICS
        topics = self.near[topic] if kind == "aligned" else self.near[topic][::-1]
        order = (topics[:, None] * per_topic + np.arange(per_topic)).ravel()
        return np.asarray(order[:wanted])


def name_of(number: int) -> str:
    """The point's id."""
    return str(uuid.UUID(int=int(number)))


class Subject:
    """What one subject may read, and the five ways to search within it."""

    def __init__(self, world: World, share: float, kind: str, topic: int) -> None:
        self.world = world
        groups = world.groups(share, kind, topic)
        labels = (groups[:, None] * LABELS_PER_GROUP + np.arange(LABELS_PER_GROUP)).ravel()
        if kind == "independent":
            labels = np.argsort(world.crossing)[labels]
        self.mask = np.isin(world.label, labels)
        self.mine = np.flatnonzero(self.mask)
        self.scopes = FrozenBitMap(int(s) for s in world.scope[labels] if s)
        self.groups = [f"{'x' if kind == 'independent' else 'g'}{group}" for group in groups]
        by_scope = {int(s): label for label, s in enumerate(world.scope)}
        self.label_ids = {self._label_id(by_scope, scope) for scope in self.scopes}

    @staticmethod
    def _label_id(by_scope: dict[int, int], scope: int) -> int:
        return by_scope[scope]

    def truth(self, question: np.ndarray[Any, Any]) -> list[str]:
        """The best of what may be read, by a scan."""
        vectors = self.world.vectors[self.mine] if len(self.mine) < 50_000 else None
        if vectors is None:
            scores = np.where(self.mask, self.world.vectors @ question, -2.0)
            return [name_of(n) for n in np.argsort(-scores)[:K]]
        return [name_of(n) for n in self.mine[np.argsort(-(vectors @ question))[:K]]]

    def recheck(self, names: list[str]) -> list[str]:
        """The one catalog read, and the decision on the authoritative label."""
        snapshot = self.world.catalog.stored_chunks("acme", names)
        return [
            name
            for name in names
            if (stored := snapshot.chunks.get(name)) is not None
            and int(stored.source[:-4]) in self.label_ids
        ]

    def unfiltered(self, question: Any) -> list[str]:
        return [str(hit.id) for hit in self.world.index._hits(question, None, K, exact=False)]

    def ragward(self, question: Any) -> list[str]:
        found = self.world.index.search(question, scopes=self.scopes, limit=K)
        return self.recheck([candidate.point_id for candidate in found])

    def exact(self, question: Any) -> list[str]:
        asked = ScopeFilter.of(self.scopes, (), None)
        assert asked is not None
        condition = _filter(asked, self.world.index._scope_condition(asked.scopes))
        found = best_hits(
            lambda size: self.world.index._hits(question, condition, size, exact=True), asked, K
        )
        return self.recheck([candidate.point_id for candidate in found])

    def post_filter(self, question: Any) -> list[str]:
        hits = self.world.index._hits(question, None, 50, exact=False)
        return self.recheck([str(hit.id) for hit in hits])[:K]

    def group_tokens(self, question: Any) -> list[str]:
        from qdrant_edge import FieldCondition, Filter, MatchAny, Query, SearchParams, SearchRequest

        found = self.world.tokens.search(
            SearchRequest(
                query=Query.Nearest(question),
                limit=K,
                filter=Filter(must=[FieldCondition("groups", match=MatchAny(self.groups))]),
                params=SearchParams(hnsw_ef=100),
            )
        )
        return [str(hit.id) for hit in found]


WAYS: dict[str, Callable[[Subject, Any], list[str]]] = {
    "unfiltered": Subject.unfiltered,
    "ragward": Subject.ragward,
    "exact": Subject.exact,
    "post-filter": Subject.post_filter,
    "group tokens": Subject.group_tokens,
}


def measured(world: World, share: float, kind: str, queries: int) -> dict[str, Any]:
    """One row: median microseconds, recall and short answers of each way; `ragward` beside `exact` apart."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    recall = dict.fromkeys(WAYS, 0.0)
    short = dict.fromkeys(WAYS, 0)
    beside: dict[str, list[float]] = {"ragward": [], "exact": []}
    for topic in world.chance.choice(TOPICS, 8, replace=False):
        subject = Subject(world, share, kind, int(topic))
        for way in WAYS.values():  # a subject's second question: permits are warm
            way(subject, world.question(int(topic)))
        for _ in range(queries // 8):
            question = world.question(int(topic))
            truth = subject.truth(question)
            for way in world.chance.permutation([way for way in WAYS if way != "exact"]):
                begin = time.perf_counter()
                found = WAYS[way](subject, question)
                times[way].append(time.perf_counter() - begin)
                recall[way] += len(set(found) & set(truth)) / len(truth)
                short[way] += len(found) < len(truth)
            for way in world.chance.permutation(["ragward", "exact"]):
                begin = time.perf_counter()
                WAYS[way](subject, question)
                beside[way].append(time.perf_counter() - begin)
    asked = len(times["ragward"])
    return {
        "share": share,
        "kind": kind,
        "p50": {way: statistics.median(values) * 1e6 for way, values in times.items() if values}
        | {"exact": statistics.median(beside["exact"]) * 1e6},
        "ragward / exact": statistics.median(beside["ragward"])
        / statistics.median(beside["exact"]),
        "recall": {way: value / asked for way, value in recall.items()},
        "short": short,
        "asked": asked,
    }


def show(rows: list[dict[str, Any]], points: int) -> None:
    """The table a person reads."""
    table = Table(
        "may read", "permission", *(f"{way}, us" for way in WAYS), "over 1.15x + 150 us", "ragward / exact",
        "recall@10: ragward", "post-filter", "group tokens", "short: ragward", "post-filter", "group tokens",
        title=f"{points:,} points, {LABELS:,} labels, k = {K}; medians, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    for row in rows:
        p50, recall, short = row["p50"], row["recall"], row["short"]
        table.add_row(
            f"{row['share']:.1%}", row["kind"], *(f"{p50[way]:,.0f}" for way in WAYS),
            f"{p50['ragward'] - 1.15 * p50['unfiltered'] - 150:+,.0f}", f"{row['ragward / exact']:.2f}",
            *(f"{recall[way]:.3f}" for way in ("ragward", "post-filter", "group tokens")),
            *(f"{short[way]}/{row['asked']}" for way in ("ragward", "post-filter", "group tokens")),
        )  # fmt: skip
    Console(width=200).print(table)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--points", type=int, default=100_000)
    options.add_argument("--queries", type=int, default=40)
    options.add_argument("--json", type=Path)
    options.add_argument("--keep", type=Path, help="Keep, or use again, the built data here.")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = given.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        world = World(directory, given.points)
        rows = [measured(world, share, kind, given.queries) for share in SHARES for kind in KINDS]
        print("plans:", world.index.plans())
        show(rows, given.points)
        world.index.close()
        world.catalog.close()
    if given.json:
        given.json.write_text(json.dumps({"points": given.points, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
