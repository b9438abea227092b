"""Sealed vectors: exact search in memory under permissions of 0.1 to 100 %, loading, and the leak test beside a secret rotation.

`python -m benchmarks.sealed [--points 100000] [--queries 30] [--json FILE]`

Vectors are clustered by topic; recall is against a float64 scan of everything permitted. Blobs are made and opened by the real
cipher, and read from memory instead of a catalog: `load` lacks the database's part. One process; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from pyroaring import FrozenBitMap
from rich.console import Console
from rich.table import Table
from tests import company
from tests.fakes.vector_store import LEVELS, FakeKeyring, FakeVectorStore

from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.adapters.index_sealed import SealedChunkIndex
from ragward.adapters.leak_attacks import as_floats, match_rates
from ragward.evidence import Recorder
from ragward.vectors import VectorOpener

DIMENSION, TOPICS, SCOPES, K = 384, 200, 1000, 10
SHARES = (0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0)


class Store(FakeVectorStore):
    """One segment of 1,000 scopes, 20 points a document, with constant-time reads."""

    LABELS = SCOPES

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, list[Any]] = {}

    @staticmethod
    def label(number: int) -> Any:
        return FakeVectorStore.label(1)

    def put(self, point_id: str, scope_id: int, vector: Any, document: str | None = None) -> None:
        super().put(point_id, scope_id, vector, document)
        self.documents.setdefault(document or "", []).append(self._full(self._points[point_id]))

    def documents_answering(self, tenant: str, label_ids: Any) -> list[str]:
        return list(self.documents)

    def vectors_of(self, tenant: str, document_ids: Any, label_ids: Any) -> list[Any]:
        return [item for name in document_ids for item in self.documents[name]]


def world(
    points: int,
) -> tuple[SealedChunkIndex, np.ndarray, np.ndarray, np.random.Generator, Store]:
    """An index that has loaded nothing yet, its vectors and their scopes."""
    chance = np.random.default_rng(7)
    topics = chance.normal(size=(TOPICS, DIMENSION))
    vectors = topics[chance.integers(0, TOPICS, points)] + chance.normal(size=(points, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    scopes = chance.integers(1, SCOPES + 1, points)
    store = Store()
    for number in range(points):
        name, document = f"{number:08}", f"d{number // 20}"
        store.put(name, int(scopes[number]), vectors[number].tolist(), document)
    index = SealedChunkIndex(
        store,
        VectorOpener(keyring=FakeKeyring(), cipher=AESGCMCipher()),  # type: ignore[arg-type]
        Recorder(audit=None, clock=company.SetClock()),  # type: ignore[arg-type]
        company.SetClock(),
        list,
        sealed=LEVELS,
        dimension=DIMENSION,
        max_bytes=2**32,
        idle_seconds=10**6,
    )
    return index, vectors, scopes, chance, store


def measured(
    index: SealedChunkIndex, vectors: np.ndarray, scopes: np.ndarray, share: float, queries: int
) -> dict[str, float]:
    """Time and recall at one share."""
    chance = np.random.default_rng(int(share * 1000))
    count = max(1, round(SCOPES * share))
    permitted = FrozenBitMap((chance.permutation(SCOPES)[:count] + 1).tolist())
    mine = np.flatnonzero(np.isin(scopes, permitted.to_array()))
    times: list[float] = []
    busy: list[float] = []
    hits = 0
    for _ in range(queries):
        query = vectors[chance.integers(len(vectors))] + chance.normal(size=DIMENSION) * 0.02
        query = (query / np.linalg.norm(query)).astype(np.float32)
        asked = query.tolist()
        begin, work = time.perf_counter(), time.process_time()
        found = index.search(asked, scopes=permitted, limit=K)
        times.append((time.perf_counter() - begin) * 1000)
        busy.append((time.process_time() - work) * 1000)
        truth = vectors[mine].astype(np.float64) @ query.astype(np.float64)
        best = {f"{mine[i]:08}" for i in np.argsort(-truth)[:K]}
        hits += len(best & {c.point_id for c in found}) / min(K, len(mine)) == 1
    times.sort()
    return {
        "permitted": len(mine),
        "cpu_p50_ms": statistics.median(busy),
        "p50_ms": statistics.median(times),
        "p95_ms": times[int(len(times) * 0.95)],
        "answers with recall 1": hits / queries,
    }


def leaks(vectors: np.ndarray, store: Store, size: int = 1000) -> dict[str, dict[str, float]]:
    """Match rates per mode; the rotation is here for comparison, no setting makes one."""
    guesses = vectors[: 2 * size]
    stolen = guesses[:size]
    secret, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSION, DIMENSION)))
    blobs = [
        item.vector_blob
        for name in list(store.documents)[: size // 20]
        for item in store.documents[name]
    ]
    return {
        "plain": match_rates(stolen, guesses),
        "rotation (comparison)": match_rates((stolen @ secret).astype(np.float32), guesses),
        "sealed": match_rates(as_floats(blobs, DIMENSION), guesses),
    }


def main() -> None:
    """Runs everything and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    index, vectors, scopes, _, store = world(options.points)
    begin = time.perf_counter()
    index.search(vectors[0].tolist(), scopes=FrozenBitMap([1]), limit=1)
    load = time.perf_counter() - begin
    rows = {share: measured(index, vectors, scopes, share, options.queries) for share in SHARES}
    table = Table("share", "permitted", "CPU p50 ms", "p50 ms", "p95 ms", "answers with recall 1")
    for share, row in rows.items():
        table.add_row(
            f"{share:.1%}",
            *(f"{value:.3g}" if i else str(value) for i, value in enumerate(row.values())),
        )
    console = Console()
    console.print(
        f"{options.points} x {DIMENSION}; decrypted in {load:.1f} s, {index.nbytes() / 2**20:.0f} MiB held; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    console.print(table)
    rates = leaks(vectors, store)
    attacks = list(rates["plain"])
    table = Table("stored", *attacks, title="rows recognised; chance 0.05 %")
    for mode, found in rates.items():
        table.add_row(mode, *(f"{found[attack]:.1%}" for attack in attacks))
    console.print(table)
    if options.json:
        options.json.write_text(
            json.dumps({"load_s": load, "search": rows, "leaks": rates}, indent=1)
        )
    index.close()


if __name__ == "__main__":
    main()
