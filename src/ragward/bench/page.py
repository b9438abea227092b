"""A report as files: its JSON, each figure as SVG and PNG, and one page that needs nothing else."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from ragward.bench.plots import figures
from ragward.bench.report import ENOUGH, Latency, Report
from ragward.bench.systems import UNFILTERED
from ragward.domain.errors import ConfigurationError

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}
.lost{color:#888}.bad{color:#b00020;font-weight:600}.good{color:#00694b}
figure{margin:1.5rem 0}svg{max-width:100%;height:auto}
caption{text-align:left;font-weight:600;padding:.3rem 0}
.wide{overflow-x:auto}
"""
_DPI: Final = 130


def write(report: Report, directory: Path) -> list[Path]:
    """The paths of all files. Raises `config.invalid` without the extra `bench`."""
    try:
        drawn = figures(report)
    except ImportError as error:
        raise ConfigurationError("plots need matplotlib: pip install 'ragward[bench]'") from error
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / "benchmark.json"]
    paths[0].write_text(report.to_json(), encoding="utf-8")
    pictures: dict[str, str] = {}
    for name, figure in drawn.items():
        pictures[name] = svg = _svg(figure)
        vector, raster = directory / f"{name}.svg", directory / f"{name}.png"
        vector.write_text(svg, encoding="utf-8")
        figure.savefig(raster, dpi=_DPI)
        paths += [vector, raster]
    page = directory / "index.html"
    page.write_text(_page(report, pictures), encoding="utf-8")
    return [*paths, page]


def _svg(figure: Any) -> str:
    into = io.StringIO()
    figure.savefig(into, format="svg", metadata={"Date": None})
    text = into.getvalue()
    return text[text.index("<svg") :]


def _page(report: Report, pictures: dict[str, str]) -> str:
    machine = report.machine
    made = (
        f"{report.made_at}, {report.mode}: {machine['cores']} cores, load {machine['load']:.1f}, Python {machine['python']}, "
        f"{machine['system']}, {report.seconds:.0f} s. Ratios are of medians of alternated runs in one process. A latency stands "
        f"beside the recall of the same answers; below {ENOUGH} it is grey, and no figure to compare."
    )
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>ragward bench</title>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<style>{_STYLE}</style><h1>What authorization costs, and what it loses</h1><p>{html.escape(made)}</p>",
        _goals(report),
        *(f"<figure id='{name}'>{svg}</figure>" for name, svg in pictures.items()),
        *_tables(report),
        *(f"<p>Left out: {_e(name)}: {_e(why)}</p>" for name, why in report.left_out.items()),
    ]
    return "\n".join(parts)


def _goals(report: Report) -> str:
    rows = [
        [
            _e(g.name),
            _e(g.asked),
            _e(g.measured),
            _coloured("met" if g.met else "not met", good=g.met),
        ]
        for g in report.goals()
    ]
    return _table("What was asked for", ["goal", "asked", "measured", ""], rows)


def _tables(report: Report) -> Iterable[str]:
    heads = ["system", "chunks", "readable", "permission", "asked", "p50, µs", "recall@10", "of floor", "p95", "p99", "CPU", "forbidden", "short", "bytes a chunk"]  # fmt: skip
    rows = []
    for row in report.rows:
        leak = row.forbidden > 0 and row.system != UNFILTERED
        rows.append([
            _e(row.system), f"{row.points:,} {row.structure}", f"{row.readable:.2%}", _e(row.kind), str(row.asked),
            *_shown(row.latency), "" if row.ratio is None else f"{row.ratio:.2f}x",
            f"{row.latency.p95:,.0f}", f"{row.latency.p99:,.0f}", "" if row.cpu_us is None else f"{row.cpu_us:,.0f}",
            _coloured(str(row.forbidden), good=False) if leak else str(row.forbidden), str(row.short),
            "" if row.bytes_per_chunk is None else f"{row.bytes_per_chunk:,.0f}",
        ])  # fmt: skip
    yield _table("Systems", heads, rows)
    yield _table(
        "One protection at a time, on and off in turn",
        ["protection", "without, µs", "recall", "with, µs", "recall", "ratio"],
        [
            [_e(c.name), *_shown(c.without), *_shown(c.with_it), f"{c.ratio:.2f}x"]
            for c in report.costs
        ],
    )
    yield _table(
        "Ingesting real text with one protection at a time left out, in turn",
        ["protection", "documents", "without, a second", "with all, a second", "ratio"],
        [
            [_e(c.name), str(c.documents), f"{c.without_per_second:.1f}", f"{c.with_per_second:.1f}", f"{c.ratio:.2f}x"]
            for c in report.ingest_costs
        ],
    )  # fmt: skip
    yield _table(
        "While permissions are taken away and given back, and documents come",
        ["what changes", "questions to a change", "asked", "p50, µs", "recall", "p99", "forbidden"],
        [
            [c.what, str(c.every or "none"), str(c.asked), *_shown(c.latency), f"{c.latency.p99:,.0f}", str(c.forbidden)]
            for c in report.changes
        ],
    )  # fmt: skip


def _shown(latency: Latency) -> tuple[str, str]:
    """(p50, recall), inseparable."""
    style = "" if latency.recall >= ENOUGH else " class='lost'"
    return f"<span{style}>{latency.p50:,.0f}</span>", f"<span{style}>{latency.recall:.3f}</span>"


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th>{_e(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><caption>{_e(caption)}</caption><tr>{head}</tr>{body}</table></div>"


def _coloured(text: str, *, good: bool) -> str:
    return f"<span class='{'good' if good else 'bad'}'>{_e(text)}</span>"


def _e(text: str) -> str:
    return html.escape(text)
