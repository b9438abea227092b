"""Builds a shard's search graph in a child process, on a copy: the engine holds the interpreter's lock for minutes while it does.

Run as `python -m ragward.adapters.edge_graph SHARD`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


class GraphBuild:
    """One build under way: a child process at low priority, working on its own copy of the shard."""

    def __init__(self, shard: Path) -> None:
        self.shard = shard
        self._child = subprocess.Popen(  # noqa: S603 - our own module, and a directory that we named
            [sys.executable, "-m", "ragward.adapters.edge_graph", str(shard)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")},
        )

    def wait(self) -> bool:
        """Whether the graph is built."""
        return self._child.wait() == 0

    def stop(self) -> None:
        """Ends the child, if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()


def vectors_in_graph(shard: Path) -> int:
    """How many vectors the graphs of a shard have: what the engine says itself counts sparse ones along, which need none."""
    found = shard.glob("segments/*/vector_index/hnsw_config.json")
    return sum(json.loads(file.read_bytes())["indexed_vector_count"] for file in found)


def build(shard_path: str) -> None:
    """Builds the graphs of the shard in a directory that nobody else has open."""
    from qdrant_edge import EdgeShard

    os.nice(10)
    shard = EdgeShard.load(shard_path)
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    build(sys.argv[1])
