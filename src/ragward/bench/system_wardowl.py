"""`wardowl` (PyPI, MIT), the closest peer, in a virtual environment and a process of its own: with Casbin, and with its own filter.

Over its FAISS backend, which like our embedded index runs in the process that asks. It measures itself, so that what it costs to
talk to the process does not count. Casbin decides by the model and the rows that ragward has.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import ragward.adapters.pdp_casbin.model as casbin_model
from ragward.bench.system_shard import memberships_of, policy_rows
from ragward.bench.systems import Found, NotHere, Site
from ragward.bench.world import TENANT, Asker, Question
from ragward.opening import resource

_WORKER: Final = Path(__file__).with_name("wardowl_worker.py")
_STOP_SECONDS: Final = 10


def opened(site: Site, python: Path) -> Iterator[Wardowl]:
    """Both ways, in one process. Raises `NotHere`."""
    process = _Process.start(site, python)
    yield Wardowl(process, "wardowl, Casbin", "casbin")
    yield Wardowl(process, "wardowl, own filter", "native")


@dataclass(slots=True)
class _Process:
    """Talks JSON lines."""

    popen: subprocess.Popen[str]

    @classmethod
    def start(cls, site: Site, python: Path) -> _Process:
        """Fills it with the world."""
        directory, world = site.directory / "wardowl", site.world
        directory.mkdir(exist_ok=True)
        np.save(directory / "vectors.npy", world.vectors)
        np.save(directory / "label.npy", world.label)
        given = {
            "texts": [world.text(n) for n in range(world.size)],
            "groups": [list(world.groups_of(label)) for label in range(world.shape.labels)],
            "model": (resource("policies") / "model.conf").read_text(encoding="utf-8"),
            "rows": [list(row.fields()) for row in policy_rows(world.shape.rules)],
            "tenant": TENANT,
        }
        (directory / "world.json").write_text(json.dumps(given), encoding="utf-8")
        source = Path(casbin_model.__file__)
        try:
            popen = subprocess.Popen(  # noqa: S603 - the interpreter that the operator named
                [str(python), str(_WORKER), str(directory), str(source), str(source.parents[3])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise NotHere(f"{python}: {error.strerror}") from error
        made = cls(popen)
        ready = made.read()
        if ready.get("ready") is not True:
            made.stop()
            raise NotHere(str(ready.get("error", "the process ended")))
        return made

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One line there, one back."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(request) + "\n")
        self.popen.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        """The next line; nothing where the process ended."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {}
        return found

    def stop(self) -> None:
        """Its input ends, and it with it."""
        if self.popen.stdin is not None and not self.popen.stdin.closed:
            self.popen.stdin.close()
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        try:
            self.popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Wardowl:
    """One of its authorizers."""

    slow = True
    bytes_per_chunk: float | None = None

    def __init__(self, process: _Process, name: str, authorizer: str) -> None:
        self._process, self.name, self._authorizer = process, name, authorizer

    def prepare(self, asker: Asker) -> None:
        """An enforcer with the memberships that concern the asker."""
        self._process.ask(
            {
                "prepare": asker.principal,
                "groups": list(asker.groups),
                "members": [[m.member, m.group] for m in memberships_of(asker)],
            }
        )

    def ask(self, asker: Asker, question: Question) -> Found:
        """The best ten, with the seconds that it took there."""
        request = {"ask": self._authorizer, "vector": question.vector.tolist()}
        answer = self._process.ask(request)
        if "numbers" not in answer:
            raise RuntimeError(f"wardowl: {answer.get('error', 'the process ended')}")
        return Found(
            numbers=answer["numbers"],
            seconds=answer["seconds"],
            cpu_seconds=answer["cpu_seconds"],
        )

    def close(self) -> None:
        """Ends the process."""
        self._process.stop()
