"""`ragward bench`: what authorization costs and loses, as a table, JSON, plots and a page."""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ragward.bench.report import Report, Stage
from ragward.bench.suite import FULL, QUICK, Plan, run
from ragward.bench.table import show
from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.cli.demo import (
    ASKERS,
    Company,
    ingested,
    items_of,
    sample_installation,
    steward_of,
)
from ragward.domain.access import Credentials
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.passages import RetrievalRequest
from ragward.opening import development_token

STAGES: Final = (
    "identity",
    "limits",
    "check",
    "embed",
    "decide",
    "search",
    "read",
    "decrypt",
    "redact",
    "neutralise",
    "minimize",
    "receipt",
    "behaviour",
    "audit",
)
_QUERIES: Final = {"quick": 100, "full": 400}
_DOCUMENTS: Final = {"quick": 20, "full": 100}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may choose of a run."""

    data: Path | None = None
    wardowl: Path | None = None
    postgres: bool = False
    langchain: bool = False
    alone: bool = False
    points: int | None = None
    keep: Path | None = None
    out: Path | None = None


def run_quick(options: Options, *, as_json: bool) -> int:
    """Small, whole, in minutes; 1 where ragward gave a forbidden result."""
    return _run(_chosen(QUICK, options), options, as_json=as_json)


def run_full(options: Options, *, as_json: bool) -> int:
    """All sizes; 1 where ragward gave a forbidden result."""
    return _run(_chosen(FULL, options), options, as_json=as_json)


def show_report(path: Path, out: Path | None, *, as_json: bool) -> int:
    """A report that was written earlier. Raises `request.invalid` for anything else."""
    try:
        report = Report.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequestError(str(error)) from error
    return _given(report, out, as_json=as_json)


def _chosen(plan: Plan, options: Options) -> Plan:
    plan = dataclasses.replace(
        plan,
        wardowl=options.wardowl,
        postgres=options.postgres,
        langchain=options.langchain,
        keep=options.keep,
    )
    if options.alone:
        plan = dataclasses.replace(
            plan, alone=True, shapes=plan.shapes[:1], askers=2, questions=15, protected=0, labels=()
        )
    if options.points is not None:
        first = dataclasses.replace(plan.shapes[0], points=options.points)
        plan = dataclasses.replace(plan, shapes=(first, *plan.shapes[1:]))
    if options.data is not None:
        from ragward.bench.real_text import world_of

        world = world_of(options.data, plan.shapes[0])
        plan = dataclasses.replace(plan, world=world, keep=None)
    return plan


def _run(plan: Plan, options: Options, *, as_json: bool) -> int:
    with _bars(render.console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def progress(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=1.0)
            bars.update(tasks[what], completed=share)  # type: ignore[arg-type]  # rich numbers tasks by a type of its own

        report = run(plan, progress)
    try:
        _on_real_text(plan.mode, report)
    except ConfigurationError as error:
        report.left_out["stages of the query path"] = error.detail
    return _given(report, options.out, as_json=as_json)


def _given(report: Report, out: Path | None, *, as_json: bool) -> int:
    if as_json:
        typer.echo(report.to_json())
    else:
        show(report, render.console())
    if out is not None:
        from ragward.bench.page import write

        for path in write(report, out):
            typer.echo(str(path), err=True)
    return 1 if report.forbidden() else 0


def _bars(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True)


# The stages of the query path, on real text with the real model. -----------------------------------------------------


def _on_real_text(mode: str, report: Report) -> None:
    """Ingests the sample companies, asks in turn as five askers, and ingests some again. Raises `config.invalid` outside a checkout."""
    from ragward.bench.ingesting import ingest_costs

    with sample_installation() as (ragward, companies):
        for company in companies:
            ingested(ragward, company)
        report.stages += stages(ragward, companies[0], _QUERIES[mode])
        steward, items = steward_of(ragward, companies[0]), items_of(companies[0])
        report.ingest_costs += ingest_costs(ragward, steward, items, _DOCUMENTS[mode])


def stages(ragward: Ragward, company: Company, queries: int) -> list[Stage]:
    """The medians of so many questions of an ingested company."""
    first, warm = measured(ragward, company, queries)
    return [
        Stage(name=name, first_ms=_median(first, name), warm_ms=_median(warm, name))
        for name in (*STAGES, "total")
    ]


def measured(
    ragward: Ragward, company: Company, queries: int
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """(first query of each asker, all later ones): seconds by stage, and in total."""
    questions = [item["question"] for item in company.questions]
    tokens = [
        development_token(ragward.settings, name, tenant=company.tenant, agent=agent)
        for name, agent, _ in ASKERS
    ]
    ragward.embedder.embed(["warm up"])
    first: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    for i in range(queries + len(tokens)):
        credentials = Credentials(untrusted_authorization=tokens[i % len(tokens)])
        request = RetrievalRequest(query=questions[i % len(questions)])
        begin = time.perf_counter()
        answer = ragward.retrieve(credentials, request)
        seconds = dict(answer.stage_seconds) | {"total": time.perf_counter() - begin}
        (first if i < len(tokens) else warm).append(seconds)
    return first, warm


def _median(samples: list[dict[str, float]], stage: str) -> float:
    return round(statistics.median(sample.get(stage, 0.0) for sample in samples) * 1000, 3)
