"""What the commands about jobs do: ingest, sync access lists, list, show, cancel, retry, report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ragward.adapters.report_html import job_page
from ragward.api.jobs import flow_of, gone_of, repeatable
from ragward.bootstrap import Ragward
from ragward.cli import render, render_jobs
from ragward.cli.commands import Caller, opened
from ragward.domain.access import Subject
from ragward.domain.errors import ConfigurationError
from ragward.domain.job_report import JobSummary
from ragward.domain.jobs import Gone, ItemResult, JobItem, JobRecord, JobState, SourceRequest
from ragward.opening import hold_source, source_items
from ragward.running import items_of
from ragward.settings import Settings


def source_request(
    location: str, corpus: str | None, granted: Sequence[str], *, posix: bool
) -> SourceRequest:
    """A source as a command names it: what ends in .jsonl is a manifest, as is any other file. Paths are made absolute, so
    that the same source is the same from wherever the command runs."""
    is_manifest = location.endswith(".jsonl") or Path(location).is_file()
    if "://" not in location:
        location = str(Path(location).absolute())
    return SourceRequest(
        location=location, is_manifest=is_manifest, corpus=corpus, granted=granted, posix=posix
    )


def reading_with(
    settings: Settings, engine: str | None, scheduler: str | None, workers: int | None
) -> Settings:
    """The settings with what a command says of the engine. Raises `config.invalid`."""
    chosen = {"ingest_engine": engine, "dask_scheduler": scheduler, "dask_workers": workers}
    given = {name: value for name, value in chosen.items() if value is not None}
    made = settings.model_copy(update=given)
    if made.ingest_engine == "local" and (scheduler or workers):
        raise ConfigurationError("--scheduler and --workers are for --engine dask")
    return made


def run(
    settings: Settings,
    source: SourceRequest,
    caller: Caller,
    *,
    report: Path | None = None,
    as_json: bool,
) -> int:
    """`ragward ingest`, `ragward sync-acl`."""
    hold_source(settings, source.location)
    with Ragward.open(settings) as ragward:
        subject = ragward.identify(caller.credentials(settings))
        return _shown(ragward, subject, source, report, as_json=as_json)


def retry(
    settings: Settings,
    job_id: str,
    gone: Gone,
    caller: Caller,
    *,
    report: Path | None,
    as_json: bool,
) -> int:
    """`ragward job retry`."""
    with opened(settings, caller) as (ragward, subject):
        source = repeatable(ragward.stewardship.job(subject, job_id))
        if source.root is None:
            hold_source(settings, source.location)
        # A stored path is only as good as the database: whoever runs it again sees what is read.
        typer.echo(f"reading {source.root or ''} {source.location}", err=True)
        source = replace(source, gone=gone_of(source, gone))
        return _shown(ragward, subject, source, report, as_json=as_json)


def _shown(
    ragward: Ragward,
    subject: Subject,
    source: SourceRequest,
    report: Path | None,
    *,
    as_json: bool,
) -> int:
    items = source_items(ragward.settings, ragward.catalog, subject.tenant, source)
    job, results = run_with_progress(ragward, subject, items, source=source, quiet=as_json)
    if report is not None:
        report.write_text(job_page(job, JobSummary.of(results)), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(render_jobs.job_json(job, results)))
    else:
        render_jobs.job(job, JobSummary.of(results))
    return 1 if job.state in (JobState.FAILED, JobState.INTERRUPTED) else 0


def run_with_progress(
    ragward: Ragward,
    subject: Subject,
    items: Sequence[JobItem],
    *,
    source: SourceRequest | None = None,
    quiet: bool = False,
) -> tuple[JobRecord, list[ItemResult]]:
    """Runs a job under a progress bar."""
    results: list[ItemResult] = []
    with Progress(
        TextColumn("[bold]ingest"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=render.console(stderr=True),
        disable=quiet,
    ) as progress:
        task = progress.add_task("loading the model", total=len(items))

        def advance(job: JobRecord, item: ItemResult) -> None:
            results.append(item)
            told = f"{item.source[-48:]} {item.classification or item.code or ''}"
            progress.update(task, completed=job.done, total=job.total, description=told)

        flow = ragward.ingestion if source is None else flow_of(ragward, source)
        job = flow.run_job(subject, items, source=source, progress=advance)
        progress.update(task, description="done")
    return job, results


def show_list(settings: Settings, limit: int, caller: Caller, *, as_json: bool) -> None:
    """`ragward job list`."""
    with opened(settings, caller) as (ragward, subject):
        found = ragward.stewardship.jobs(subject, limit=limit)
    render_jobs.jobs(found, as_json=as_json)


def show(settings: Settings, job_id: str, caller: Caller, *, as_json: bool) -> None:
    """`ragward job show`."""
    with opened(settings, caller) as (ragward, subject):
        job = ragward.stewardship.job(subject, job_id)
        results = list(items_of(ragward.catalog, job))
    if as_json:
        typer.echo(json.dumps(render_jobs.job_json(job, results)))
    else:
        render_jobs.job(job, JobSummary.of(results))


def cancel(settings: Settings, job_id: str, caller: Caller, *, as_json: bool) -> None:
    """`ragward job cancel`."""
    with opened(settings, caller) as (ragward, subject):
        job = ragward.stewardship.job(subject, job_id)
        ragward.catalog.ask_cancel(subject.tenant, job.job_id)
    said: dict[str, Any] = {"job_id": job.job_id}
    render.result(said, f"{job.job_id} ends after the document it is at", as_json=as_json)


def report(settings: Settings, job_id: str, output: Path, caller: Caller, *, as_json: bool) -> None:
    """`ragward job report`."""
    with opened(settings, caller) as (ragward, subject):
        job = ragward.stewardship.job(subject, job_id)
        items: Iterable[ItemResult] = items_of(ragward.catalog, job)
        page = job_page(job, JobSummary.of(items))
    output.write_text(page, encoding="utf-8")
    render.result({"written": output.name}, f"{output} is written", as_json=as_json)
