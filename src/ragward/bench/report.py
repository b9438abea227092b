"""What a run found, as values: every latency with the recall of the same answers, or it is not a value at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

VERSION: Final = 1
ENOUGH: Final = 0.99
"""Recall below which a latency is no figure to compare: the wrong plan looks fastest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Microseconds of the answers that `recall` is of. Raises `ValueError` without a recall."""

    p50: float
    p95: float
    p99: float
    recall: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.recall) and 0 <= self.recall <= 1):
            raise ValueError("a latency is not reported without its recall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One system at one point of the axes."""

    system: str
    points: int
    structure: str
    kind: str
    share: float
    """asked for; `readable` is what it came to"""
    readable: float
    asked: int
    latency: Latency
    cpu_us: float | None
    """mean, of all processes that work on it; None where nothing tells"""
    forbidden: int
    """results that the asker may not read, of `asked` answers"""
    short: int
    """answers with fewer than ten although there are more"""
    ratio: float | None
    """p50 over that of no authorization, on the same questions in turn; None where results are forbidden, or lost"""
    bytes_per_chunk: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the query path on real text: medians of milliseconds. Search is exact there."""

    name: str
    first_ms: float
    warm_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The same questions with and without one protection, in turn."""

    name: str
    without: Latency
    with_it: Latency

    @property
    def ratio(self) -> float:
        """With over without."""
        return self.with_it.p50 / self.without.p50


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCost:
    """The same documents ingested with everything, and with one protection left out, in turn."""

    name: str
    documents: int
    without_per_second: float
    with_per_second: float
    ratio: float
    """time with over time without: the median over documents"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One cost along one axis, and the exponent fitted to it: 0 is flat, 1 proportional."""

    what: str
    axis: str
    at: tuple[float, ...]
    p50_us: tuple[float, ...]
    checked: str
    """what the answers were held equal to before they were timed"""

    @property
    def exponent(self) -> float:
        """Least squares through the logarithms."""
        xs, ys = [math.log(x) for x in self.at], [math.log(y) for y in self.p50_us]
        mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((x - mx) ** 2 for x in xs)
        return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / spread

    @property
    def spread(self) -> float:
        """The largest over the smallest."""
        return max(self.p50_us) / min(self.p50_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many clients at once."""

    system: str
    clients: int
    per_second: float
    latency: Latency
    forbidden: int
    peak_bytes: int | None = None
    """the most memory of the process that answered, with what it read of mapped files; None where nothing tells"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Questions while something changes: one in `every` follows a write; 0 for none."""

    what: str
    """permissions or documents"""
    every: int
    asked: int
    latency: Latency
    forbidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Something asked for, and what it came to."""

    name: str
    asked: str
    measured: str
    met: bool


@dataclass(slots=True, kw_only=True)
class Report:
    """Everything of one run."""

    made_at: str
    mode: str
    machine: Mapping[str, Any]
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    ingest_costs: list[IngestCost] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    changes: list[Changes] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """systems that did not run, and why"""

    def goals(self) -> list[Goal]:
        """What the figures say of what was asked for."""
        from ragward.bench.goals import goals_of

        return goals_of(self)

    def leaks(self) -> list[Row]:
        """Rows of systems that authorize, with forbidden results."""
        from ragward.bench.systems import UNFILTERED

        return [row for row in self.rows if row.forbidden and row.system != UNFILTERED]

    def forbidden(self) -> int:
        """Forbidden results of ragward, in whatever was asked."""
        ours = sum(row.forbidden for row in self.rows if row.system.startswith("ragward"))
        loads = sum(each.forbidden for each in self.loads if each.system.startswith("ragward"))
        return ours + loads + sum(each.forbidden for each in self.changes)

    def to_json(self) -> str:
        """As `schemas/benchmark.schema.json` has it."""
        body = {"version": VERSION} | asdict(self)
        for made, growth in zip(body["growth"], self.growth, strict=True):
            made |= {"exponent": growth.exponent, "spread": growth.spread}
        for made, cost in zip(body["costs"], self.costs, strict=True):
            made["ratio"] = cost.ratio
        body["goals"] = [asdict(goal) for goal in self.goals()]
        return json.dumps(body, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """What `to_json` wrote. Raises `ValueError` for anything else, or a latency without recall."""
        body = json.loads(text)
        if body.pop("version", None) != VERSION:
            raise ValueError("not a benchmark report of this version")
        body.pop("goals")
        try:
            return cls(
                rows=[Row(**_timed(row)) for row in body.pop("rows")],
                stages=[Stage(**each) for each in body.pop("stages")],
                costs=[
                    Cost(
                        name=each["name"],
                        without=Latency(**each["without"]),
                        with_it=Latency(**each["with_it"]),
                    )
                    for each in body.pop("costs")
                ],
                ingest_costs=[IngestCost(**each) for each in body.pop("ingest_costs")],
                growth=[
                    Growth(**_without(each, "exponent", "spread")) for each in body.pop("growth")
                ],
                loads=[Load(**_timed(each)) for each in body.pop("loads")],
                changes=[Changes(**_timed(each)) for each in body.pop("changes")],
                **body,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a benchmark report: {error}") from error


def percentiles(seconds: Sequence[float], recall: float) -> Latency:
    """Nearest ranks, in microseconds."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1e6

    return Latency(p50=at(0.5), p95=at(0.95), p99=at(0.99), recall=recall)


def _timed(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"latency": Latency(**body["latency"])}


def _without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    made = {name: value for name, value in body.items() if name not in names}
    return made | {name: tuple(made[name]) for name in ("at", "p50_us")}
