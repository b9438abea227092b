"""What was asked for, held against what was measured. A figure that was not measured is not met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ragward.bench.report import ENOUGH, Goal, Growth, Report, Row
from ragward.bench.systems import UNFILTERED

AUTHORIZATION: Final = "ragward, authorization"
WHOLE: Final = "ragward, everything"
_EASY: Final = (0.01, 0.3)
"""Shares up to and from which the plan is to cost hardly more than no authorization."""


def goals_of(report: Report) -> list[Goal]:
    """Those that the report says something of."""
    return [
        *_correctness(report),
        *_over_the_floor(report),
        *_against(report, "wardowl, Casbin", 50.0, lambda row: row.readable <= 0.12),
        *_against(report, "pgvector + RLS", 1.0, lambda _row: True),
        *_flat(report),
        *_http(report),
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
    for system, most in ((AUTHORIZATION, 1.10), (WHOLE, 1.25)):
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


def _against(report: Report, other: str, times: float, counts: Callable[[Row], bool]) -> list[Goal]:
    """Points at which the other has at least our recall less a hundredth are compared by latency; at others it has lost."""
    pairs = [pair for pair in _pairs(report.rows, AUTHORIZATION, other) if counts(pair[0])]
    if not pairs:
        return []
    factors = [theirs.latency.p50 / ours.latency.p50 for ours, theirs in pairs]
    worse = sum(theirs.latency.recall > ours.latency.recall for ours, theirs in pairs)
    equal = sum(theirs.latency.recall >= ENOUGH for _, theirs in pairs)
    return [
        Goal(
            name=f"{AUTHORIZATION}, against {other}, {len(pairs)} points",
            asked=f">= {times:g}x faster at equal or better recall",
            measured=f"{min(factors):,.1f}x to {max(factors):,.1f}x; the other's recall is "
            f">= {ENOUGH} at {equal}, above ours at {worse}",
            met=min(factors) >= times and not worse,
        )
    ]


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
        if growth.axis == "labels" and growth.what.endswith("cold"):
            most = max(growth.p50_us)
            found.append(
                Goal(
                    name=f"{growth.what}, up to {growth.at[-1]:,.0f} labels",
                    asked="<= 1 ms",
                    measured=f"{most / 1000:.2f} ms",
                    met=most <= 1000 and growth.at[-1] >= 50_000,
                )
            )
    return found


def _http(report: Report) -> list[Goal]:
    most = max((load.clients for load in report.loads), default=0)
    of = {load.system: load for load in report.loads if load.clients == most}
    if len(of) < 2:
        return []
    bare, ours = of["bare FastAPI route"], of["ragward, HTTP"]
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
