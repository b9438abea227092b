"""Runs in wardowl's own virtual environment: reads JSON lines, answers with JSON lines. Started by `system_wardowl.py`.

Of ragward it loads one file by its path, the meaning of `model.conf`, and the pure domain that it is about.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

_CORPUS = "all"
_NOW = 1_800_000_000


def main(directory: Path, model_source: Path, sources: Path) -> None:
    """Until its input ends."""
    sys.path.insert(0, str(sources))
    spec = importlib.util.spec_from_file_location("casbin_model", model_source)
    assert spec is not None
    assert spec.loader is not None
    meaning = importlib.util.module_from_spec(spec)
    sys.modules["casbin_model"] = meaning
    spec.loader.exec_module(meaning)
    worker = Worker(directory, meaning)
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            worker.prepare(request)
            say({"ready": True})
        else:
            say(worker.ask(request))


def say(body: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(body), flush=True)  # noqa: T201 - to who started it


class Worker:
    """wardowl over FAISS."""

    def __init__(self, directory: Path, meaning: Any) -> None:
        import faiss
        import numpy as np
        from wardowl import Document
        from wardowl.backends.faiss import FaissBackend

        from ragward.domain.labels import AccessLabel, Classification

        given = json.loads((directory / "world.json").read_text(encoding="utf-8"))
        vectors, label = np.load(directory / "vectors.npy"), np.load(directory / "label.npy")
        self._given, self._meaning = given, meaning
        tenant = given["tenant"]
        self._labels = [
            AccessLabel(
                tenant=tenant,
                corpus=_CORPUS,
                classification=Classification.INTERNAL,
                granted=frozenset(
                    {f"group:{tenant}/{g}" for g in groups} | {f"user:{tenant}/owner{n}"}
                ),
            )
            for n, groups in enumerate(given["groups"])
        ]
        graph = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 100, 100
        self._graph = FaissBackend(None, vectors.shape[1], index=faiss.IndexIDMap2(graph))
        self._exact = FaissBackend(None, vectors.shape[1])
        documents = [
            Document(
                str(n),
                text,
                {"label": int(label[n]), "allowed_groups": given["groups"][label[n]]},
            )
            for n, text in enumerate(given["texts"])
        ]
        for backend in (self._graph, self._exact):
            backend.add(documents, vectors)

    def prepare(self, request: dict[str, Any]) -> None:
        """Retrievers for one asker."""
        from wardowl import MetadataACLAuthorizer, PermissionedRetriever, Subject
        from wardowl.authorizers.casbin import CasbinAuthorizer

        from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot

        rows = tuple(PolicyRow(*row) for row in self._given["rows"])
        members = tuple(Membership(*pair) for pair in request["members"])
        snapshot = PolicySnapshot(self._given["tenant"], 1, rows, members)
        enforcer = self._meaning.enforcer(snapshot, self._given["model"])
        reached = frozenset({request["prepare"], *(m.group for m in members)})
        sub = self._meaning.Sub(request["prepare"], reached)
        context = self._meaning.Ctx(_NOW, delegate=False, administrative=False)

        def asked(_subject: Any, hit: Any, _action: str) -> tuple[Any, ...]:
            return sub, "corpus:retrieve", self._labels[hit.metadata["label"]], context

        self._subject = Subject(request["prepare"], groups=request["groups"])
        self._retrievers = {
            "casbin": PermissionedRetriever(self._graph, CasbinAuthorizer(enforcer, request=asked)),
            "native": PermissionedRetriever(self._exact, MetadataACLAuthorizer()),
        }

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The best ten."""
        from wardowl import Query

        query, retriever = Query(vector=request["vector"]), self._retrievers[request["ask"]]
        work, begin = time.process_time(), time.perf_counter()
        try:
            result = retriever.retrieve(query, self._subject, k=10)
        except Exception as error:  # noqa: BLE001 - told to who started us
            return {"error": f"{type(error).__name__}: {error}"}
        return {
            "numbers": [int(hit.id) for hit in result.hits],
            "seconds": time.perf_counter() - begin,
            "cpu_seconds": time.process_time() - work,
        }


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
