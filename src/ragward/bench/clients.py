"""Several clients at once, in threads of a process that has the library or over HTTP: throughput, latency, and what they were given."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from ragward.bench.installed import Installed
from ragward.bench.measuring import Answers
from ragward.bench.report import Load, percentiles
from ragward.bench.serving import save_questions
from ragward.bench.system_ragward import asked
from ragward.bench.systems import Site
from ragward.bench.world import Asker, K, Question, World

Answer = tuple[Asker, Question, list[str], float]
Ask = Callable[[Asker, Question], list[str]]
Connect = Callable[[], AbstractContextManager[Ask]]
_STOP_SECONDS = 20


def in_library(
    made: Installed, site: Site, askers: Sequence[Asker], clients: Sequence[int], seconds: float
) -> list[Load]:
    """Threads of this process, which share Python's lock."""
    asking = _Asking(site.world, askers)
    made.embedder.learn([question for _, question in asking.work])
    credentials = {asker.name: made.credentials(asker.name) for asker in askers}

    @contextlib.contextmanager
    def connect() -> Iterator[Ask]:
        def ask(asker: Asker, question: Question) -> list[str]:
            answer = made.ragward.retrieve(credentials[asker.name], asked(question))
            return [passage.chunk_id for passage in answer.passages]

        yield ask

    return [
        asking.load("ragward, library", connect, count, seconds, made.number_of.__getitem__)
        for count in clients
    ]


def loads(
    site: Site,
    askers: Sequence[Asker],
    tokens: Mapping[str, str],
    number_of: Mapping[str, int],
    clients: Sequence[int],
    seconds: float,
    *,
    bare: bool = True,
) -> list[Load]:
    """The bare route, unless it is left out, and ragward, so many clients each. Nothing else may have their files open."""
    asking = _Asking(site.world, askers)
    save_questions(site.directory, [question for _, question in asking.work])
    found: list[Load] = []
    kinds = [("bare", "bare FastAPI route"), ("ragward", "ragward, HTTP")]
    for kind, system in kinds[0 if bare else 1 :]:
        number = int if kind == "bare" else number_of.__getitem__
        with _served(kind, site) as (port, process):
            connect = partial(_connected, port, tokens)
            for count in clients:
                load = asking.load(system, connect, count, seconds, number)
                found.append(replace(load, peak_bytes=peak_bytes(process)))
                site.progress(f"{system}, {count} clients", 1.0)
    return found


class _Asking:
    """Forty questions of each asker, over and over, and the exact answers."""

    def __init__(self, world: World, askers: Sequence[Asker]) -> None:
        self.work = [(a, q) for a in askers for q in world.questions(a.topic, 40, seed=9)]
        self._truths = {(a.name, q.text): world.truth(a, q) for a, q in self.work}

    def load(
        self,
        system: str,
        connect: Connect,
        clients: int,
        seconds: float,
        number: Callable[[str], int],
    ) -> Load:
        """So many clients, after a second of two that is not measured."""
        _asked(connect, self.work, 2, 1.0)
        answers, per_second = _asked(connect, self.work, clients, seconds)
        tally = Answers()
        for asker, question, names, took in answers:
            truth = self._truths[asker.name, question.text]
            tally.take(asker, truth, [number(name) for name in names], took, 0.0)
        return Load(
            system=system,
            clients=clients,
            per_second=per_second,
            latency=percentiles(tally.seconds, tally.recall),
            forbidden=tally.forbidden,
        )


@contextlib.contextmanager
def _served(kind: str, site: Site) -> Iterator[tuple[int, int]]:
    """(port, process id) of a process that serves."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "ragward.bench.serving", kind, str(site.directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a log line for each request, which is part of what is measured
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield port, process.pid
    finally:
        if process.stdout is not None:
            process.stdout.close()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def peak_bytes(process: int) -> int | None:
    """The most memory that a process had, the parts of mapped files that it read among it; None where nothing tells."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else None


def _asked(
    connect: Connect, work: Sequence[tuple[Asker, Question]], clients: int, seconds: float
) -> tuple[list[Answer], float]:
    """(answers, how many a second), by so many threads with a connection each."""
    found: list[list[Answer]] = [[] for _ in range(clients)]
    errors: list[BaseException] = []
    begin = time.perf_counter()

    def run(number: int) -> None:
        try:
            with connect() as ask:
                position = number * 7
                while not found[number] or time.perf_counter() - begin < seconds:
                    asker, question = work[position % len(work)]
                    position += 1
                    started = time.perf_counter()
                    names = ask(asker, question)
                    took = time.perf_counter() - started
                    found[number].append((asker, question, names, took))
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    answers = [each for some in found for each in some]
    return answers, len(answers) / (time.perf_counter() - begin)


@contextlib.contextmanager
def _connected(port: int, tokens: Mapping[str, str]) -> Iterator[Ask]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(asker: Asker, question: Question) -> list[str]:
        body = {
            "query": question.text,
            "limit": K,
            "max_passages_per_document": K,
            "minimize": "off",
        }
        headers = {
            "Authorization": f"Bearer {tokens[asker.name]}",
            "Content-Type": "application/json",
        }
        connection.request("POST", "/v1/retrieve", json.dumps(body), headers)
        response = connection.getresponse()
        given = response.read()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{response.status}: {given[:200]!r}")
        return [each["chunk_id"] for each in json.loads(given)["passages"]]

    try:
        yield ask
    finally:
        connection.close()
