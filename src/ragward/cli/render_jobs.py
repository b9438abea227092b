"""Jobs in tables, and the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from ragward.cli.render import console
from ragward.domain.job_report import MAX_TOLD, JobSummary
from ragward.domain.jobs import ItemResult, JobRecord
from ragward.domain.labels import Classification


def job_json(job: JobRecord, results: Sequence[ItemResult]) -> dict[str, Any]:
    """A job and what failed in it."""
    return {
        "job_id": job.job_id,
        "state": job.state.value,
        "total": job.total,
        "outcomes": dict(Counter(item.outcome.value for item in results)),
        "errors": [
            {"source": item.source, "code": item.code, "detail": item.detail}
            for item in results
            if item.code
        ],
        "notes": [
            {"source": item.source, "detail": item.detail}
            for item in results
            if item.detail and not item.code
        ],
    }


def job(done: JobRecord, summary: JobSummary) -> None:
    """What became of a job: labels by source, outcomes, personal data, errors."""
    out = console()
    out.print(f"job {done.job_id}: [bold]{done.state.value}[/]")
    table = Table("source", *(level.name for level in Classification), "documents")
    for folder, counts in summary.levels.items():
        cells = [str(counts.get(level, 0) or "-") for level in Classification]
        table.add_row(Text(folder), *cells, str(sum(counts.values())))
    if summary.levels:
        out.print(table)
    out.print("  ".join(f"{name} {count}" for name, count in summary.outcomes.items()))
    if summary.entities:
        kinds = ", ".join(f"{kind} {count}" for kind, count in summary.entities.items())
        out.print(f"personal data found: {kinds}", style="magenta")
    if summary.codes:
        codes = ", ".join(f"{code} {count}" for code, count in summary.codes.items())
        out.print(f"codes: {codes}", style="yellow")
    for item in summary.told:
        told = (
            f"{item.outcome.value}: {item.source}: {item.code} "
            if item.code
            else item.source + ": "
        )
        out.print(Text(f"  {told}{item.detail}", style="yellow"))
    if len(summary.told) == MAX_TOLD:
        out.print(f"  (the first {MAX_TOLD})", style="dim")


def jobs(found: Sequence[JobRecord], *, as_json: bool) -> None:
    """Jobs in a table."""
    if as_json:
        lines = [
            {
                "job_id": job.job_id,
                "state": job.state.value,
                "requested_by": job.requested_by,
                "total": job.total,
                "done": job.done,
                "counts": dict(job.counts),
                "created_at": job.created_at,
                "updated_at": job.updated_at,
            }
            for job in found
        ]
        typer.echo(json.dumps({"jobs": lines}))
        return
    table = Table("job", "state", "by", "done", "outcomes", "begun")
    for each in found:
        outcomes = "  ".join(f"{name} {count}" for name, count in sorted(each.counts.items()))
        begun = datetime.fromtimestamp(each.created_at, UTC).isoformat(timespec="seconds")
        done = f"{each.done}/{each.total}"
        table.add_row(each.job_id, each.state.value, each.requested_by, done, outcomes, begun)
    console().print(table)
