"""A report as figures. Hollow points are latencies at a recall below .99: no figure to compare.

Needs matplotlib: the extra `bench`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ragward.bench.report import ENOUGH, Growth, Report, Row

_COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f",
    "#8c564b", "#17becf", "#bcbd22", "#000000", "#9467bd",
)  # fmt: skip
_MARKERS: Final = "osD^vP*Xdh<>"
_APART: Final = 1.4


def figures(report: Report) -> dict[str, Any]:
    """By name; those that the report has something for."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "svg.fonttype": "none", "axes.axisbelow": True})
    found: dict[str, Any] = {}
    worlds = sorted({(row.points, row.structure) for row in report.rows}, reverse=True)
    for points, structure in worlds:
        rows = [r for r in report.rows if (r.points, r.structure) == (points, structure)]
        if len({row.share for row in rows}) > 1:
            name, title = f"{points}-{structure}", f"{points:,} chunks, {structure} vectors"
            found[f"latency-{name}"] = _by_share(rows, f"Time of a query: {title}", _latency)
            found[f"recall-{name}"] = _by_share(rows, f"Recall of a query: {title}", _recall)
    if report.growth:
        found["growth"] = _growth(report.growth)
    if report.loads:
        found["clients"] = _clients(report)
    if report.stages:
        found["stages"] = _stages(report)
    return found


def _by_share(rows: list[Row], title: str, draw: Callable[[Any, list[Row], str, str], None]) -> Any:
    from matplotlib.figure import Figure

    systems = list(dict.fromkeys(row.system for row in rows))
    kinds = list(dict.fromkeys(row.kind for row in rows))
    figure = Figure(figsize=(4.2 * len(kinds) + 0.6, 5.4), layout="constrained")
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axis, kind in zip(axes, kinds, strict=True):
        for number, system in enumerate(systems):
            mine = [row for row in rows if row.system == system and row.kind == kind]
            mine.sort(key=lambda row: row.readable)
            look = number % len(_COLOURS)
            draw(axis, mine, _COLOURS[look], _MARKERS[look])
        _log_x(axis, {row.share * 100 for row in rows}, ".3g")
        axis.set_title(f"permission {kind} {_OF[kind]} the topic")
        axis.set_xlabel("readable share of all chunks, %")
        axis.grid(True, which="major", alpha=0.3)
    axes[0].set_ylabel(_LABELS[draw])
    figure.suptitle(title)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    return figure


_OF: Final = {"independent": "of", "aligned": "with", "adverse": "to"}


def _latency(axis: Any, rows: list[Row], colour: str, marker: str) -> None:
    at = [row.readable * 100 for row in rows]
    axis.plot(at, [row.latency.p50 for row in rows], color=colour, linewidth=1)
    for good in (True, False):
        some = [row for row in rows if (row.latency.recall >= ENOUGH) is good]
        axis.plot(
            [row.readable * 100 for row in some],
            [row.latency.p50 for row in some],
            linestyle="none",
            marker=marker,
            markersize=6,
            color=colour,
            markerfacecolor=colour if good else "white",
        )
    axis.plot([], [], color=colour, marker=marker, label=rows[0].system if rows else None)
    axis.set_yscale("log")


def _recall(axis: Any, rows: list[Row], colour: str, marker: str) -> None:
    at = [row.readable * 100 for row in rows]
    recalls = [row.latency.recall for row in rows]
    label = rows[0].system if rows else None
    ours = str(label).startswith("ragward")  # where all lie on one line, ours is to be seen
    axis.plot(
        at,
        recalls,
        color=colour,
        marker=marker,
        linewidth=1,
        markersize=6,
        label=label,
        zorder=4 if ours else 2,
    )
    axis.axhline(ENOUGH, color="grey", linewidth=0.7, linestyle=":")
    axis.set_ylim(-0.03, 1.03)


_LABELS: Final[dict[Any, str]] = {
    _latency: "median, µs (hollow: recall@10 below .99)",
    _recall: "recall@10 against an exact scan",
}


def _log_x(axis: Any, at: set[float], form: str) -> None:
    """Logarithmic, with the measured points as ticks, but for those too near to the one after, and nothing between them."""
    from matplotlib.ticker import NullFormatter

    ticks: list[float] = []
    for x in sorted(at, reverse=True):
        if not ticks or ticks[-1] / x > _APART:
            ticks.append(x)
    axis.set_xscale("log")
    axis.set_xticks(ticks, [format(x, form) for x in ticks])
    axis.xaxis.set_minor_formatter(NullFormatter())


def _growth(all_growth: list[Growth]) -> Any:
    from matplotlib.figure import Figure

    whats = list(dict.fromkeys(each.what for each in all_growth))
    axes_of = list(dict.fromkeys(each.axis for each in all_growth))
    figure = Figure(figsize=(5.4 * len(axes_of), 4.6), layout="constrained")
    axes = figure.subplots(1, len(axes_of), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, axes_of, strict=True):
        mine = [each for each in all_growth if each.axis == name]
        for each in mine:
            look = whats.index(each.what) % len(_COLOURS)
            axis.plot(
                each.at,
                each.p50_us,
                color=_COLOURS[look],
                marker=_MARKERS[look],
                label=f"{each.what} (exponent {each.exponent:+.2f})",
            )
        axis.set_yscale("log")
        _log_x(axis, {at for each in mine for at in each.at}, ",.0f")
        axis.set_xlabel(name)
        axis.grid(True, which="major", alpha=0.3)
        low, high = axis.get_ylim()
        axis.set_ylim(low, high * 30)  # room for the legend
        axis.legend(loc="upper left", fontsize=7.5)
    axes[0].set_ylabel("median, µs")
    figure.suptitle("What grows with what")
    return figure


def _clients(report: Report) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, system in enumerate(dict.fromkeys(load.system for load in report.loads)):
        mine = [load for load in report.loads if load.system == system]
        at = [load.clients for load in mine]
        recall = min(load.latency.recall for load in mine)
        look = {"color": _COLOURS[number], "marker": _MARKERS[number]}
        label = f"{system} (recall {recall:.2f})"
        left.plot(at, [load.per_second for load in mine], **look, label=label)
        right.plot(at, [load.latency.p99 / 1000 for load in mine], **look, label=label)
    for axis, label in ((left, "answers a second"), (right, "99th percentile, ms")):
        axis.set_xlabel("clients at once")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.set_xticks(sorted({load.clients for load in report.loads}))
        axis.grid(True, alpha=0.3)
    left.legend(loc="best", fontsize=8)
    figure.suptitle("Several clients at once, one process that answers")
    return figure


def _stages(report: Report) -> Any:
    from matplotlib.figure import Figure

    steps = [each for each in report.stages if each.name != "total"]
    figure = Figure(figsize=(7, 0.32 * len(steps) + 1.2), layout="constrained")
    axis = figure.subplots()
    places = range(len(steps))
    axis.barh([p - 0.2 for p in places], [s.first_ms for s in steps], 0.38, label="first query of a subject", color="#bbbbbb")  # fmt: skip
    axis.barh([p + 0.2 for p in places], [s.warm_ms for s in steps], 0.38, label="warm", color="#0072b2")  # fmt: skip
    for place, step in zip(places, steps, strict=True):
        axis.text(step.warm_ms, place + 0.2, f" {step.warm_ms:.2f}", va="center", fontsize=7.5)
    axis.set_yticks(list(places), [step.name for step in steps])
    axis.invert_yaxis()
    axis.set_xlim(0, axis.get_xlim()[1] * 1.06)  # room for the figures beside the bars
    axis.set_xlabel("median, ms (search is exact: recall 1)")
    axis.legend(loc="lower right")
    axis.set_title("The stages of a query on the sample company")
    axis.grid(True, axis="x", alpha=0.3)
    return figure
