"""What was asked for, held against what was measured. A figure that was not measured is not met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ragward.bench.report import ENOUGH, Goal, Growth, Report, Row
from ragward.bench.systems import UNFILTERED

AUTHORIZATION: Final = "ragward, authorization"
WHOLE: Final = "ragward, everything"
_MANY: Final = 1_000_000
_EASY: Final = (0.01, 0.3)
"""Shares up to and from which the plan is to cost hardly more than no authorization."""


def goals_of(report: Report) -> list[Goal]:
    """Those that the report says something of."""
    return [
        *_correctness(report),
        *_over_the_floor(report),
        *_much_faster(report, "wardowl, Casbin", 50.0, 0.1),
        *_faster(report, "wardowl, own filter"),
        *_faster(report, "pgvector + RLS"),
        *_faster(report, "pgvector + RLS, exact"),
        *_flat(report),
        *_http(report),
        *_memory(report),
    ]


def _correctness(report: Report) -> list[Goal]:
    ours = [row for row in report.rows if row.system.startswith("ragward")]
    if not ours:
        return []
    worst = min(row.latency.recall for row in ours)
    short = sum(row.short for row in ours)
    forbidden = report.forbidden()
    return [
        Goal(
            name="forbidden results of ragward",
            asked="0",
            measured=f"{forbidden} in {sum(row.asked for row in ours):,} answers",
            met=forbidden == 0,
        ),
        Goal(
            name="recall@10 of ragward, worst point",
            asked=f">= {ENOUGH}",
            measured=f"{worst:.3f}",
            met=worst >= ENOUGH,
        ),
        Goal(name="short answers of ragward", asked="0", measured=f"{short}", met=short == 0),
    ]


def _over_the_floor(report: Report) -> list[Goal]:
    found = []
    asked = ((AUTHORIZATION, 1.10), (WHOLE, 1.25))
    for system, most in (*asked, *((f"{name}, known", most) for name, most in asked)):
        ratios = [
            row.ratio
            for row in report.rows
            if row.system == system and row.ratio and _is_easy(row) and row.kind != "adverse"
        ]
        if ratios:
            found.append(
                Goal(
                    name=f"{system}, over {UNFILTERED}, without embedding; "
                    "<= 1 % and >= 30 % readable, not adverse",
                    asked=f"<= {most:.2f}x",
                    measured=f"{min(ratios):.2f}x to {max(ratios):.2f}x",
                    met=max(ratios) <= most,
                )
            )
    return found


def _is_easy(row: Row) -> bool:
    return row.share <= _EASY[0] or row.share >= _EASY[1]


def _much_faster(report: Report, other: str, times: float, up_to: float) -> list[Goal]:
    """At every point up to a readable share, whatever the other loses there."""
    pairs = [p for p in _pairs(report.rows, AUTHORIZATION, other) if p[0].share <= up_to]
    if not pairs:
        return []
    factors = _factors(pairs)
    worse = sum(theirs.latency.recall > ours.latency.recall for ours, theirs in pairs)
    lost = sum(theirs.latency.recall < ENOUGH for _, theirs in pairs)
    return [
        Goal(
            name=f"{AUTHORIZATION}, against {other}, up to {up_to:.0%} readable, {len(pairs)} points",
            asked=f">= {times:g}x faster at equal or better recall",
            measured=f"{factors[0]:,.0f}x to {factors[-1]:,.0f}x; recall below {ENOUGH} at {lost} points of the other's, "
            f"ours lower at {worse}",
            met=factors[0] >= times and not worse,
        )
    ]


def _faster(report: Report, other: str) -> list[Goal]:
    """At the points at which the other finds as much; elsewhere its latency is no figure to compare."""
    pairs = _pairs(report.rows, AUTHORIZATION, other)
    equal = [p for p in pairs if p[1].latency.recall >= ENOUGH <= p[0].latency.recall]
    if not equal:
        return []
    factors = _factors(equal)
    return [
        Goal(
            name=f"{AUTHORIZATION}, against {other}, the {len(equal)} of {len(pairs)} points at which both find {ENOUGH}",
            asked="faster",
            measured=f"{factors[0]:,.1f}x to {factors[-1]:,.1f}x",
            met=factors[0] > 1,
        )
    ]


def _factors(pairs: Sequence[tuple[Row, Row]]) -> list[float]:
    return sorted(theirs.latency.p50 / ours.latency.p50 for ours, theirs in pairs)


def _pairs(rows: Sequence[Row], system: str, other: str) -> list[tuple[Row, Row]]:
    def point(row: Row) -> tuple[object, ...]:
        return row.points, row.structure, row.kind, row.share

    ours = {point(row): row for row in rows if row.system == system}
    return [(ours[point(row)], row) for row in rows if row.system == other and point(row) in ours]


def _flat(report: Report) -> list[Goal]:
    def goal(growth: Growth) -> Goal:
        low, high = growth.at[0], growth.at[-1]
        return Goal(
            name=f"{growth.what}, {low:,.0f} to {high:,.0f} {growth.axis}",
            asked="<= 1.3x",
            measured=f"{growth.spread:.2f}x, exponent {growth.exponent:+.2f}",
            met=growth.spread <= 1.3,
        )

    found = [goal(g) for g in report.growth if g.axis == "rules" and g.what == AUTHORIZATION]
    for growth in report.growth:
        if growth.axis == "labels" and growth.what.endswith("cold") and growth.at[-1] >= 50_000:
            most = max(growth.p50_us)
            found.append(
                Goal(
                    name=f"{growth.what}, up to {growth.at[-1]:,.0f} labels",
                    asked="<= 1 ms",
                    measured=f"{most / 1000:.2f} ms",
                    met=most <= 1000,
                )
            )
    return found


def _memory(report: Report) -> list[Goal]:
    """Of the process that answers, where there are many chunks."""
    points = max((row.points for row in report.rows), default=0)
    most = max(
        (each.peak_bytes or 0 for each in report.loads if each.system.startswith("ragward")),
        default=0,
    )
    if points < _MANY or not most:
        return []
    return [
        Goal(
            name=f"memory of the process that answers over {points:,} chunks",
            asked="<= 8 GiB",
            measured=f"{most / 2**30:.1f} GiB",
            met=most <= 8 * 2**30,
        )
    ]


def _http(report: Report) -> list[Goal]:
    most = max((load.clients for load in report.loads), default=0)
    of = {load.system: load for load in report.loads if load.clients == most}
    bare, ours = of.get("bare FastAPI route"), of.get("ragward, HTTP")
    if bare is None or ours is None:
        return []
    share = ours.per_second / bare.per_second
    later = ours.latency.p99 / bare.latency.p99
    return [
        Goal(
            name=f"ragward over HTTP, {most} clients, of a bare route's throughput",
            asked=">= 0.7x",
            measured=f"{share:.2f}x; p99 {later:.1f}x",
            met=share >= 0.7,
        )
    ]
