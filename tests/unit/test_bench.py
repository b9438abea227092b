"""The benchmark suite, small: what it reports is true, and what leaks or loses is not reported as fast."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import socket
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import numpy as np
import pytest
from rich.console import Console

from ragward.bench.goals import goals_of
from ragward.bench.ingesting import ingest_costs
from ragward.bench.measuring import measured
from ragward.bench.page import _page, write
from ragward.bench.real_text import world_of
from ragward.bench.report import Latency, Report, percentiles
from ragward.bench.suite import QUICK, run
from ragward.bench.system_shard import policy_rows
from ragward.bench.systems import UNFILTERED, Found
from ragward.bench.table import show
from ragward.bench.world import KINDS, K, Shape, World
from ragward.cli.serving import _bound
from ragward.domain.errors import InvalidRequestError
from tests import company
from tests.installation import initialised, opened

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/benchmark.schema.json").read_text())
SHAPE = Shape(points=1_000, labels=60, groups=30, topics=10, rules=10)
OURS = {
    f"ragward, {what}{asked}"
    for what in ("authorization", "everything")
    for asked in ("", ", known")
}
TINY = dataclasses.replace(
    QUICK,
    shapes=(SHAPE,),
    shares=(0.1, 1.0),
    kinds=("independent", "adverse"),
    askers=1,
    questions=3,
    under_changes=10,
    labels=(),
    rules=(5, 10),
    clients=(),
    protected=0,
)


@pytest.fixture(scope="module")
def report():
    return run(TINY, lambda _what, _share: None)


@pytest.fixture(scope="module")
def world():
    return World(SHAPE)


class Planted:
    """Answers with what `choose` picks of the best of everything and of the truth."""

    slow, bytes_per_chunk = False, None

    def __init__(self, world, name, choose):
        self._world, self.name, self._choose = world, name, choose

    def prepare(self, asker):
        pass

    def ask(self, asker, question):
        best = np.argsort(-(self._world.vectors @ question.vector))[:K].tolist()
        return Found(numbers=self._choose(best, self._world.truth(asker, question)))

    def close(self):
        pass


def planted(world, choose, name="ragward, planted"):
    systems = [
        Planted(world, UNFILTERED, lambda best, _: best),
        Planted(world, name, choose),
    ]
    askers = world.askers((0.1,), ("adverse",), 2)
    return measured(world, systems, askers, 3, list, lambda: None)


def printed(report):
    out = io.StringIO()
    show(report, Console(file=out, width=200))
    return out.getvalue()


def bare(rows):
    machine = {"cores": 2, "python": "3", "system": "test", "load": 0.0}
    return Report(made_at="2026-01-01T00:00:00+00:00", mode="test", machine=machine, rows=rows)


def test_a_small_run_conforms_to_the_schema_and_nothing_forbidden_is_given(report):
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(json.loads(report.to_json()))
    assert report.forbidden() == 0
    assert not report.leaks()
    ours = [row for row in report.rows if row.system.startswith("ragward")]
    assert {row.system for row in ours} == OURS
    assert all(row.latency.recall >= 0.99 and not row.short for row in ours)
    changes = [(change.what, change.every) for change in report.changes]
    assert changes == [
        *(("permissions", every) for every in (0, 10, 1)),
        *(("documents", every) for every in (10, 1)),
    ]
    assert all(change.latency.recall >= 0.99 for change in report.changes)
    assert "20 of 20" in report.growth[0].checked


def test_what_does_without_authorization_is_told_apart(report):
    adverse = [r for r in report.rows if r.system == UNFILTERED and r.kind == "adverse"]
    assert adverse
    assert all(row.forbidden for row in adverse)
    assert not any(row.forbidden for row in report.rows if row.share == 1.0)
    lost = [r for r in report.rows if r.system.startswith("post-filter") and r.kind == "adverse"]
    assert lost
    assert all(row.ratio is None and row.latency.recall < 0.99 for row in lost)


def test_a_report_is_read_again_as_it_was_written(report):
    text = report.to_json()
    assert Report.from_json(text).to_json() == text
    body = json.loads(text)
    with pytest.raises(ValueError, match="version"):
        Report.from_json(json.dumps(body | {"version": 2}))
    del body["rows"][0]["latency"]["recall"]
    assert not jsonschema_rs.Draft202012Validator(SCHEMA).is_valid(body)
    with pytest.raises(ValueError, match="recall"):
        Report.from_json(json.dumps(body))


def test_a_system_that_leaks_is_called_forbidden_and_gets_no_ratio(world):
    rows = planted(world, lambda best, truth: [best[0], *truth[1:]])
    floor, leaky = rows
    assert leaky.forbidden == leaky.asked == 6
    assert leaky.ratio is None
    assert floor.ratio == 1.0
    found = bare(rows)
    assert found.forbidden() == 6
    assert found.leaks() == [leaky]
    assert "FORBIDDEN" in printed(found)
    assert not any(goal.met for goal in goals_of(found) if "forbidden" in goal.name)


def test_a_plan_that_loses_results_is_no_figure_to_compare(world):
    (_, lossy) = rows = planted(world, lambda _, truth: truth[:3])
    assert lossy.latency.recall == pytest.approx(0.3)
    assert lossy.short == lossy.asked
    assert lossy.ratio is None
    assert "0.300" in printed(bare(rows))
    (_, whole) = planted(world, lambda _, truth: truth)
    assert whole.ratio is not None
    assert whole.latency.recall == 1.0


@pytest.mark.parametrize("recall", [float("nan"), -0.1, 1.1])
def test_there_is_no_latency_without_a_recall(recall):
    with pytest.raises(ValueError, match="without its recall"):
        Latency(p50=1.0, p95=1.0, p99=1.0, recall=recall)


def test_percentiles_are_nearest_ranks():
    found = percentiles([n / 1e6 for n in range(1, 101)], 1.0)
    assert (found.p50, found.p95, found.p99) == pytest.approx((50, 95, 99))


def test_the_truth_is_neither_nothing_nor_everything(world):
    for asker in world.askers((0.1, 0.5), KINDS, 2):
        assert 0.5 < asker.readable.mean() / asker.share < 1.5
        # By names of groups and one chunk after the other: not how `asker` computes it.
        mine = set(asker.groups)
        may = [not mine.isdisjoint(world.groups_of(int(label))) for label in world.label]
        assert may == asker.readable.tolist()
        (question,) = world.questions(asker.topic, 1)
        scores = sorted((-float(v @ question.vector), n) for n, v in enumerate(world.vectors))
        assert world.truth(asker, question) == [n for _, n in scores if may[n]][:K]
        best = {n for _, n in scores[:K]}
        overlap = len(best & set(world.truth(asker, question)))
        assert overlap == {"aligned": K, "adverse": 0}.get(asker.kind, overlap)


def test_policies_have_as_many_rows_as_they_say():
    for count in (10, 100, 1_000):
        assert len(policy_rows(count)) == count


def test_the_page_needs_nothing_else_and_holds_what_was_asked_for(report):
    page = _page(report, {"x": "<svg></svg>"})
    assert "<script" not in page
    assert "src=" not in page
    assert "default-src 'none'" in page
    assert "recall@10" in page


def test_what_is_no_text_is_refused(tmp_path):
    wrong, little = tmp_path / "wrong.jsonl", tmp_path / "little.jsonl"
    wrong.write_text('{"body": "x"}\n')
    little.write_text('{"text": "One sentence."}\n')
    for path in (wrong, little):
        with pytest.raises(InvalidRequestError):
            world_of(path, SHAPE)


def test_answers_of_served_processes_do_not_wait_for_acknowledgements():
    with _bound(SimpleNamespace(host="127.0.0.1", port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio goes by; without, 40 ms each


def test_what_is_kept_answers_again_and_what_came_meanwhile_does_not(tmp_path):
    plan = dataclasses.replace(TINY, alone=True, keep=tmp_path)
    for _ in range(2):
        found = run(plan, lambda _what, _share: None)
        assert {row.latency.recall for row in found.rows} == {1.0}
        assert {change.latency.recall for change in found.changes} == {1.0}
        assert found.forbidden() == 0
        with contextlib.closing(sqlite3.connect(next(tmp_path.rglob("catalog.db")))) as catalog:
            told = catalog.execute("SELECT state FROM versions WHERE document_id = 'news'")
            states = {state for (state,) in told}
        assert states  # it came
        assert "active" not in states


def test_ragward_alone_tells_the_memory_of_the_process_that_answers():
    plan = dataclasses.replace(TINY, alone=True, shares=(0.1,), clients=(1,), client_seconds=0.3)
    found = run(plan, lambda _what, _share: None)
    assert {row.system for row in found.rows} == OURS
    assert {row.ratio for row in found.rows} == {None}
    library, load = found.loads
    for each, system in ((library, "ragward, library"), (load, "ragward, HTTP")):
        assert (each.system, each.forbidden, each.latency.recall) == (system, 0, 1.0)
    assert sys.platform != "linux" or 50e6 < load.peak_bytes < 2e9
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(json.loads(found.to_json()))


def test_each_protection_is_left_out_of_ingesting_in_turn(tmp_path):
    given = [SimpleNamespace(load=lambda d=document: d) for document in company.documents(12)]
    with opened(initialised(tmp_path)) as ragward:
        costs = ingest_costs(ragward, company.subject("steward"), given, 4)
        stored = ragward.catalog.documents("acme", limit=1_000)
        entities = {
            way: {
                kind
                for record in stored
                if record.source.startswith(way)
                for chunk in ragward.catalog.document_chunks("acme", record.document_id)
                for kind in chunk.entity_types
            }
            for way in ("everything", "finding personal data")
        }
    assert [cost.documents for cost in costs] == [4, 4, 4]
    assert all(cost.without_per_second > 0 and cost.ratio > 0 for cost in costs)
    assert len(stored) == 4 * 5
    assert entities["everything"]
    assert not entities["finding personal data"]
    report = Report(made_at="2026-11-22T00:00:00+00:00", mode="quick", machine={"cores": 2, "python": "3", "system": "x", "load": 0.0}, ingest_costs=costs)  # fmt: skip
    assert Report.from_json(report.to_json()).ingest_costs == costs
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(json.loads(report.to_json()))


def test_a_world_is_the_same_however_much_of_it_is_made_at_once(world, monkeypatch):
    monkeypatch.setattr("ragward.bench.world._MADE_AT_ONCE", 7)
    assert (World(SHAPE).vectors == world.vectors).all()


@pytest.mark.prove
def test_everything_at_once_with_clients_plots_and_page(tmp_path):
    plan = dataclasses.replace(
        TINY,
        labels=(500, 1_000),
        people=10,
        checks=20,
        clients=(1, 4),
        client_seconds=1.0,
        protected=50,
        protected_questions=5,
        postgres=True,
        langchain=True,
    )
    found = run(plan, lambda _what, _share: None)
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(json.loads(found.to_json()))
    assert found.forbidden() == 0
    assert {load.system for load in found.loads} == {
        "bare FastAPI route",
        "ragward, HTTP",
        "ragward, library",
    }
    assert len(found.costs) == 9
    exact = [row for row in found.rows if row.system == "pgvector + RLS, exact"]
    assert exact
    assert all(row.latency.recall == 1.0 and not row.forbidden for row in exact)
    paths = write(found, tmp_path)
    assert {path.suffix for path in paths} == {".json", ".svg", ".png", ".html"}
