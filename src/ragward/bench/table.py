"""A report for a person at a terminal. Every latency stands beside the recall of the same answers."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from ragward.bench.report import ENOUGH, Latency, Report, Row
from ragward.bench.systems import UNFILTERED


def show(report: Report, console: Console) -> None:
    """All of it."""
    machine = report.machine
    console.rule(f"[bold]ragward bench {report.mode}")
    console.print(
        f"{machine['cores']} cores, load {machine['load']:.1f}, {report.seconds:.0f} s. "
        "Ratios are of medians of alternated runs; compare within a block, and never a latency without its recall."
    )
    for rows in _blocks(report.rows):
        console.print(_rows(rows))
    for table in (
        _stages(report),
        _costs(report),
        _ingest_costs(report),
        _growth(report),
        _loads(report),
        _changes(report),
    ):
        if table.row_count:
            console.print(table)
    for name, why in report.left_out.items():
        console.print(f"[dim]left out: {name}: {why}")
    console.print(_goals(report))
    for row in report.leaks():
        console.print(
            f"[bold red]FORBIDDEN:[/] {row.system}: {row.forbidden} results that the asker may not read "
            f"({row.kind}, {row.readable:.1%} readable)"
        )


def shown(latency: Latency) -> tuple[str, str]:
    """(p50, recall), inseparable; dim where so much is lost that the latency means nothing."""
    style = "" if latency.recall >= ENOUGH else "[dim]"
    recall = "" if latency.recall >= ENOUGH else "[yellow]"
    return f"{style}{latency.p50:,.0f}", f"{recall}{latency.recall:.3f}"


def _blocks(rows: Iterable[Row]) -> list[list[Row]]:
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        found.setdefault((row.points, row.structure, row.share, row.kind), []).append(row)
    return list(found.values())


def _rows(rows: list[Row]) -> Table:
    first = rows[0]
    table = Table(
        "system", "p50, us", "recall@10", "of floor", "p95", "p99", "CPU", "forbidden", "short", "B/chunk",
        title=f"{first.points:,} chunks ({first.structure}), {first.readable:.1%} readable, {first.kind}; {first.asked} questions",
    )  # fmt: skip
    for row in rows:
        leak = row.forbidden and row.system != UNFILTERED
        table.add_row(
            row.system,
            *shown(row.latency),
            "-" if row.ratio is None else f"{row.ratio:.2f}x",
            f"{row.latency.p95:,.0f}",
            f"{row.latency.p99:,.0f}",
            "-" if row.cpu_us is None else f"{row.cpu_us:,.0f}",
            f"[bold red]{row.forbidden}" if leak else str(row.forbidden),
            f"{row.short}/{row.asked}",
            "-" if row.bytes_per_chunk is None else f"{row.bytes_per_chunk:,.0f}",
        )
    return table


def _stages(report: Report) -> Table:
    table = Table(
        "stage", "first of a subject, ms", "warm, ms", "share of warm",
        title="the query path on the sample company; search is exact (recall 1)",
    )  # fmt: skip
    total = next((each.warm_ms for each in report.stages if each.name == "total"), 0.0)
    for each in report.stages:
        share = f"{each.warm_ms / total:.0%}" if total else "-"
        table.add_row(each.name, f"{each.first_ms:.2f}", f"{each.warm_ms:.2f}", share)
    return table


def _costs(report: Report) -> Table:
    table = Table(
        "protection", "without, us", "recall", "with, us", "recall", "ratio",
        title="one protection at a time, on and off in turn",
    )  # fmt: skip
    for cost in report.costs:
        table.add_row(cost.name, *shown(cost.without), *shown(cost.with_it), f"{cost.ratio:.2f}x")
    return table


def _ingest_costs(report: Report) -> Table:
    table = Table(
        "protection", "documents", "without, a second", "with all, a second", "ratio",
        title="ingesting real text with one protection at a time left out, in turn",
    )  # fmt: skip
    for cost in report.ingest_costs:
        table.add_row(
            cost.name,
            str(cost.documents),
            f"{cost.without_per_second:.1f}",
            f"{cost.with_per_second:.1f}",
            f"{cost.ratio:.2f}x",
        )
    return table


def _growth(report: Report) -> Table:
    table = Table("what", "axis", "p50, us", "exponent", "checked", title="growth")
    for each in report.growth:
        values = ", ".join(
            f"{at:,.0f}: {us:,.0f}" for at, us in zip(each.at, each.p50_us, strict=True)
        )
        table.add_row(each.what, each.axis, values, f"{each.exponent:+.2f}", each.checked)
    return table


def _loads(report: Report) -> Table:
    table = Table(
        "system", "clients", "a second", "p50, us", "recall@10", "p99", "forbidden", "memory, MB",
        title="several clients at once, one process that answers",
    )  # fmt: skip
    for load in report.loads:
        table.add_row(
            load.system,
            str(load.clients),
            f"{load.per_second:,.0f}",
            *shown(load.latency),
            f"{load.latency.p99:,.0f}",
            str(load.forbidden),
            "-" if load.peak_bytes is None else f"{load.peak_bytes / 1e6:,.0f}",
        )
    return table


def _changes(report: Report) -> Table:
    table = Table(
        "what changes", "questions to a change", "asked", "p50, us", "recall@10", "p99", "forbidden",
        title="while permissions are taken away and given back, and documents come (ragward, authorization)",
    )  # fmt: skip
    for each in report.changes:
        table.add_row(
            each.what,
            str(each.every) if each.every else "none",
            str(each.asked),
            *shown(each.latency),
            f"{each.latency.p99:,.0f}",
            str(each.forbidden),
        )
    return table


def _goals(report: Report) -> Table:
    table = Table("asked for", "", "measured", "", title="goals")
    for goal in report.goals():
        table.add_row(
            goal.name, goal.asked, goal.measured, "[green]met" if goal.met else "[yellow]NOT met"
        )
    return table
