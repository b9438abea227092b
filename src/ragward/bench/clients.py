"""Several clients at once, over HTTP: throughput, latency, and what they were given."""

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
from dataclasses import replace
from pathlib import Path

from ragward.bench.measuring import Answers
from ragward.bench.report import Load, percentiles
from ragward.bench.serving import save_questions
from ragward.bench.systems import Site
from ragward.bench.world import Asker, K, Question

Answer = tuple[Asker, Question, list[str], float]
_STOP_SECONDS = 20


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
    asked = {asker.name: site.world.questions(asker.topic, 40, seed=9) for asker in askers}
    save_questions(site.directory, [each for some in asked.values() for each in some])
    work = [(asker, question) for asker in askers for question in asked[asker.name]]
    truths = {(a.name, q.text): site.world.truth(a, q) for a, q in work}
    found: list[Load] = []
    kinds = [("bare", "bare FastAPI route"), ("ragward", "ragward, HTTP")]
    for kind, system in kinds[0 if bare else 1 :]:
        number = int if kind == "bare" else number_of.__getitem__
        with _served(kind, site) as (port, process):
            _asked(port, work, tokens, 2, 1.0)  # warm
            for count in clients:
                answers, per_second = _asked(port, work, tokens, count, seconds)
                load = _load(system, count, answers, per_second, truths, number)
                found.append(replace(load, peak_bytes=peak_bytes(process)))
                site.progress(f"{system}, {count} clients", 1.0)
    return found


def _load(
    system: str,
    clients: int,
    answers: Sequence[Answer],
    per_second: float,
    truths: Mapping[tuple[str, str], list[int]],
    number: Callable[[str], int],
) -> Load:
    tally = Answers()
    for asker, question, names, took in answers:
        truth = truths[asker.name, question.text]
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
    port: int,
    work: Sequence[tuple[Asker, Question]],
    tokens: Mapping[str, str],
    clients: int,
    seconds: float,
) -> tuple[list[Answer], float]:
    """(answers, how many a second), by so many threads with a connection each."""
    found: list[list[Answer]] = [[] for _ in range(clients)]
    errors: list[BaseException] = []
    begin = time.perf_counter()

    def run(number: int) -> None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            position = number * 7
            while not found[number] or time.perf_counter() - begin < seconds:
                asker, question = work[position % len(work)]
                position += 1
                found[number].append(_one(connection, asker, question, tokens[asker.name]))
            connection.close()
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


def _one(
    connection: http.client.HTTPConnection, asker: Asker, question: Question, token: str
) -> Answer:
    body = {
        "query": question.text,
        "limit": K,
        "max_passages_per_document": K,
        "minimize": "off",
    }
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    begin = time.perf_counter()
    connection.request("POST", "/v1/retrieve", json.dumps(body), headers)
    response = connection.getresponse()
    given = response.read()
    took = time.perf_counter() - begin
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{response.status}: {given[:200]!r}")
    return asker, question, [each["chunk_id"] for each in json.loads(given)["passages"]], took
