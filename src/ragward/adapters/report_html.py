"""A job's report as one HTML page: nothing is loaded from anywhere, no script runs, light and dark as the reader has it.

Everything that comes from a source is escaped: names of files are whatever somebody called them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from ragward.domain.job_report import BINS, MAX_TOLD, JobSummary
from ragward.domain.jobs import ItemResult, JobRecord
from ragward.domain.labels import Classification

#: For whoever serves the page: as its own `meta` says.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_WIDTH: Final = 720
_NAMES: Final = 190
_BAR: Final = 22
_GAP: Final = 8
STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#59636e;--page:#fff;--card:#f4f6f8;--line:#d5dbe1;--bar:#33658a;
--public:#2e7d4f;--internal:#2878a8;--confidential:#b26a00;--restricted:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--faint:#9aa4ae;--page:#14171a;--card:#1e2327;--line:#353c43;
--bar:#7fb2d6;--public:#5fbf87;--internal:#62b2de;--confidential:#e6a23c;--restricted:#ef7b72}}
*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:60rem;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2.2rem 0 .6rem}
.faint{color:var(--faint)}.cards{display:flex;flex-wrap:wrap;gap:.6rem;margin:1.2rem 0 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.5rem .9rem;min-width:7rem}
.card b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
svg{display:block;width:100%;height:auto;max-width:720px}svg text{font:13px system-ui,sans-serif;fill:var(--ink)}
svg text.faint{fill:var(--faint)}.PUBLIC{fill:var(--public)}.INTERNAL{fill:var(--internal)}
.CONFIDENTIAL{fill:var(--confidential)}.RESTRICTED{fill:var(--restricted)}.bar{fill:var(--bar)}
.key{margin:.2rem 1rem .4rem 0;display:inline-flex;align-items:center;gap:.4rem}.key svg{width:12px;height:12px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;
border-bottom:1px solid var(--line)}td{overflow-wrap:anywhere}code{font:13px ui-monospace,monospace}
""".replace("\n", "")


def job_page(job: JobRecord, summary: JobSummary) -> str:
    """The whole page."""
    name = escape(job.job_id)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Job {name}</title><style>{STYLE}</style></head><body>",
        f'<h1>Ingest job</h1><div class="faint"><code>{name}</code> by {escape(job.requested_by)}, ',
        f"{_moment(job.created_at)} to {_moment(job.updated_at)}</div>",
        _cards(job, summary),
        _section("Labels by source", _levels(summary.levels)),
        _section("Personal data by type", _bars(summary.entities, "None was found.")),
        _section("Confidence of the classifier", _histogram(summary.confidences)),
        _section("Error codes", _bars(summary.codes, "None.")),
        _section("Items to look at", _told(summary.told)),
        "</body></html>\n",
    ]
    return "".join(parts)


def _cards(job: JobRecord, summary: JobSummary) -> str:
    values = {"state": job.state.value.replace("_", " "), "items": summary.items}
    shown = values | dict(summary.outcomes) | {"chunks": summary.chunks}
    cards = (
        f'<div class="card"><b>{escape(str(v))}</b>{escape(k)}</div>' for k, v in shown.items()
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _levels(levels: Mapping[str, Mapping[Classification, int]]) -> str:
    if not levels:
        return "<p>Nothing went in.</p>"
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" rx="2" class="{level.name}"/></svg>'
        f"{level.name}</span>"
        for level in Classification
    )
    widest = max(sum(counts.values()) for counts in levels.values())
    rows = []
    for position, (folder, counts) in enumerate(levels.items()):
        left, y = float(_NAMES), position * (_BAR + _GAP)
        rows.append(_name(folder, y))
        for level in Classification:
            if number := counts.get(level, 0):
                width = _scaled(number, widest)
                title = f"{folder}: {level.name} {number}"
                rows.append(_rect(left, y, width, level.name, title))
                left += width
        rows.append(_value(left, y, sum(counts.values())))
    return f"<div>{keys}</div>{_svg(rows, len(levels), 'Labels by source')}"


def _bars(counts: Mapping[str, int], otherwise: str) -> str:
    if not counts:
        return f"<p>{otherwise}</p>"
    widest = max(counts.values())
    rows = []
    for position, (name, number) in enumerate(counts.items()):
        y = position * (_BAR + _GAP)
        width = _scaled(number, widest)
        rows += [_name(name, y), _rect(_NAMES, y, width, "bar", f"{name}: {number}")]
        rows.append(_value(_NAMES + width, y, number))
    return _svg(rows, len(counts), "Counts")


def _histogram(bins: Sequence[int]) -> str:
    if not any(bins):
        return "<p>No trained classifier judged these documents.</p>"
    height, width = 160, _WIDTH / BINS
    rows = []
    for position, number in enumerate(bins):
        tall = height * number / max(bins)
        left = position * width
        label = f"{position / BINS:.1f} to {(position + 1) / BINS:.1f}"
        rows.append(
            f'<rect x="{left + 3:.1f}" y="{height - tall + 18:.1f}" width="{width - 6:.1f}" height="{tall:.1f}" rx="3" class="bar">'
            f"<title>{label}: {number}</title></rect>"
            f'<text x="{left + width / 2:.1f}" y="{height - tall + 13:.1f}" text-anchor="middle">{number or ""}</text>'
            f'<text class="faint" x="{left + width / 2:.1f}" y="{height + 36}" text-anchor="middle">{position / BINS:.1f}</text>'
        )
    inside = "".join(rows)
    return f'<svg viewBox="0 0 {_WIDTH} {height + 42}" role="img" aria-label="Documents by confidence">{inside}</svg>'


def _told(items: Sequence[ItemResult]) -> str:
    if not items:
        return "<p>None.</p>"
    rows = "".join(
        f"<tr><td>{escape(item.source)}</td><td>{item.outcome.value}</td><td><code>{escape(item.code or '')}</code></td>"
        f"<td>{escape(item.detail)}</td></tr>"
        for item in items
    )
    more = f"<p>The first {MAX_TOLD}.</p>" if len(items) == MAX_TOLD else ""
    head = "<tr><th>source</th><th>outcome</th><th>code</th><th>says</th></tr>"
    return f'<div class="wide"><table>{head}{rows}</table></div>{more}'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _svg(rows: Sequence[str], number: int, label: str) -> str:
    height = number * (_BAR + _GAP)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{"".join(rows)}</svg>'


def _scaled(number: int, widest: int) -> float:
    return max(2.0, (_WIDTH - _NAMES - 70) * number / widest)


def _name(name: str, y: float) -> str:
    short = name if len(name) <= 26 else f"{name[:25]}…"
    return f'<text x="{_NAMES - 8}" y="{y + 16}" text-anchor="end">{escape(short)}</text>'


def _value(x: float, y: float, number: int) -> str:
    return f'<text class="faint" x="{x + 6:.1f}" y="{y + 16}">{number}</text>'


def _rect(x: float, y: float, width: float, kind: str, title: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" class="{kind}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
