"""A whole run: what is built, who asks what of whom in which order, and what is left out and why."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ragward.bench import clients, costs, installed, permits, ragward_alone
from ragward.bench.measuring import measured
from ragward.bench.report import Report
from ragward.bench.system_partitions import Partitions
from ragward.bench.system_ragward import AskedBefore, Authorization, Whole
from ragward.bench.system_shard import GroupTokens, PostFilter, Shard, Unfiltered
from ragward.bench.systems import NotHere, Site, System
from ragward.bench.world import KINDS, SHARES, Asker, Kind, Shape, World

_OVER_FETCHED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    mode: str
    shapes: tuple[Shape, ...]
    shares: tuple[float, ...] = SHARES
    kinds: tuple[Kind, ...] = KINDS
    askers: int = 4
    questions: int = 25
    under_changes: int = 40
    """questions under each number of rules, and each rate of changes"""
    labels: tuple[int, ...] = (1_000, 10_000, 50_000)
    rules: tuple[int, ...] = (10, 100, 1_000)
    groups: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    """that a subject is in"""
    people: int = 200
    checks: int = 1_000
    clients: tuple[int, ...] = (1, 4, 16)
    client_seconds: float = 8.0
    protected: int = 1_000
    protected_questions: int = 100
    postgres: bool = False
    langchain: bool = False
    alone: bool = False
    """ragward only: of a million chunks one system fills a small machine"""
    wardowl: Path | None = None
    """A Python that has wardowl, faiss-cpu and pycasbin."""
    keep: Path | None = None
    """Where what is built stays for another run."""
    world: World | None = field(default=None, repr=False)
    """Real text in the place of the first shape."""


QUICK: Final = Plan(
    mode="quick",
    shapes=(Shape(points=10_000, labels=1_000, groups=500, topics=50),),
    shares=(0.01, 0.1, 0.5, 1.0),
    askers=2,
    questions=12,
    labels=(1_000, 10_000),
    rules=(10, 100),
    groups=(1, 100),
    people=100,
    checks=100,
    clients=(1, 16),
    client_seconds=3.0,
    protected=300,
    protected_questions=30,
)
FULL: Final = Plan(
    mode="full",
    shapes=(
        Shape(points=100_000),
        Shape(points=10_000, labels=1_000, groups=500, topics=50),
        Shape(points=10_000, labels=1_000, groups=500, topics=50, structure="random"),
    ),
)
Progress = Callable[[str, float], None]


def run(plan: Plan, progress: Progress) -> Report:
    """Everything of the plan. Nothing is left behind but below `plan.keep`."""
    begin = time.monotonic()
    report = Report(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=plan.mode,
        machine={
            "cores": os.cpu_count() or 0,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "load": os.getloadavg()[0],
        },
    )
    for position, shape in enumerate(plan.shapes):
        world = plan.world if plan.world is not None and position == 0 else World(shape)
        with _directory(plan, world.shape) as directory:
            _compare(plan, world, directory, report, progress, first=position == 0)
    report.growth += permits.grown(plan.labels, plan.rules, plan.groups, plan.people, plan.checks)
    progress("permits", 1.0)
    if plan.protected:
        shape = replace(plan.shapes[0], points=plan.protected, structure="clustered")
        with tempfile.TemporaryDirectory(prefix="ragward-bench-") as scratch:
            site = Site(world=World(shape), askers=(), directory=Path(scratch), progress=progress)
            report.costs += costs.protections(site, plan.protected_questions)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    report.machine = {**report.machine, "peak_bytes": peak}
    report.seconds = time.monotonic() - begin
    return report


def _compare(
    plan: Plan, world: World, directory: Path, report: Report, progress: Progress, *, first: bool
) -> None:
    """All systems on one world; in the first world also what concerns ragward alone, and clients over HTTP."""
    kinds = plan.kinds if world.shape.structure != "random" else plan.kinds[:1]
    askers = world.askers(plan.shares, kinds, plan.askers)
    site = Site(world=world, askers=askers, directory=directory, progress=progress)
    with ExitStack() as stack:
        made = installed.opened(site)
        stack.callback(made.close)
        floor, *others = [None] if plan.alone else _others(plan, site, report, stack)
        ours: list[System] = [Authorization(made, world), Whole(made, world)]
        known = [AskedBefore(each) for each in ours]
        systems = [system for system in (floor, *ours, *known, *others) if system is not None]
        groups = list(_alike(askers))
        for position, alike in enumerate(groups):
            report.rows += measured(
                world, systems, alike, plan.questions, made.embedder.learn, made.forget
            )
            progress(
                f"{world.size:,} chunks, {world.shape.structure}", (position + 1) / len(groups)
            )
        if not first:
            return
        report.growth += [
            ragward_alone.along_rules(made, world, askers, plan.rules, plan.under_changes)
        ]
        for stream in (ragward_alone.while_permissions_change, ragward_alone.while_documents_come):
            report.changes += stream(made, world, askers, plan.under_changes)
        busy = [asker for asker in askers if asker.share == max(s for s in plan.shares if s <= 0.5)]
        tokens = {a.name: str(made.credentials(a.name).untrusted_authorization) for a in busy}
        number_of = made.number_of
        if plan.clients:
            report.loads += clients.in_library(made, site, busy, plan.clients, plan.client_seconds)
    if plan.clients:
        report.loads += clients.loads(
            site, busy, tokens, number_of, plan.clients, plan.client_seconds, bare=not plan.alone
        )


def _others(plan: Plan, site: Site, report: Report, stack: ExitStack) -> list[System | None]:
    """What ragward is compared with, no authorization first."""
    shard = Shard.opened(site)
    stack.callback(shard.close)
    return [
        Unfiltered(shard),
        GroupTokens(shard),
        PostFilter(shard, site, 10),
        PostFilter(shard, site, _OVER_FETCHED),
        Partitions(site),
        *_optional(plan, site, report, stack),
    ]


def _optional(plan: Plan, site: Site, report: Report, stack: ExitStack) -> list[System]:
    """Those that were asked for and are here."""
    found: list[System] = []
    for name, opened in _openers(plan, site):
        try:
            for system in opened():
                stack.callback(system.close)
                found.append(system)
        except NotHere as why:
            report.left_out[name] = str(why)
    return found


def _openers(plan: Plan, site: Site) -> Iterator[tuple[str, Callable[[], Iterable[System]]]]:
    if plan.postgres:
        from ragward.bench.system_postgres import opened as postgres

        yield "pgvector + RLS", lambda: postgres(site)
    if plan.langchain:
        from ragward.bench.system_langchain import opened as langchain

        yield "LangChain", lambda: langchain(site)
    if plan.wardowl is not None:
        from ragward.bench.system_wardowl import opened as wardowl

        python = plan.wardowl
        yield "wardowl", lambda: wardowl(site, python)


def _alike(askers: Sequence[Asker]) -> Iterator[list[Asker]]:
    groups: dict[tuple[float, str], list[Asker]] = {}
    for asker in askers:
        groups.setdefault((asker.share, asker.kind), []).append(asker)
    yield from groups.values()


@contextmanager
def _directory(plan: Plan, shape: Shape) -> Iterator[Path]:
    if plan.keep is None:
        made = Path(tempfile.mkdtemp(prefix="ragward-bench-"))
        try:
            yield made
        finally:
            shutil.rmtree(made)
        return
    kept = plan.keep / f"{shape.points}-{shape.structure}-{shape.labels}-{shape.rules}"
    kept.mkdir(parents=True, exist_ok=True)
    yield kept
