"""`ragward bench quick`: what a query costs on the sample company, stage by stage."""

from __future__ import annotations

import json
import os
import statistics
import time

import typer
from rich.table import Table

from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.cli.demo import ASKERS, Company, ingest_company, sample_installation
from ragward.domain.access import Credentials
from ragward.domain.passages import RetrievalRequest
from ragward.opening import development_token

STAGES = (
    "identity",
    "limits",
    "check",
    "embed",
    "decide",
    "search",
    "read",
    "decrypt",
    "redact",
    "minimize",
    "audit",
)


def run_quick(queries: int, *, as_json: bool) -> None:
    """Ingests the sample companies, asks `queries` questions in turn as five askers, prints medians in milliseconds."""
    with sample_installation() as (ragward, companies):
        for company in companies:
            ingest_company(ragward, company)
        first, warm = measured(ragward, companies[0], queries)
    rows = {stage: (_median(first, stage), _median(warm, stage)) for stage in (*STAGES, "total")}
    if as_json:
        typer.echo(json.dumps({"queries": queries, "cores": os.cpu_count(), "p50_ms": rows}))
        return
    table = Table(
        "stage",
        "first of a subject, ms",
        "warm, ms",
        "share of warm",
        title=f"p50 of {queries} queries, {os.cpu_count()} cores",
    )
    total = rows["total"][1]
    for stage, (cold, usual) in rows.items():
        table.add_row(stage, f"{cold:.2f}", f"{usual:.2f}", f"{usual / total:.0%}")
    render.console().print(table)


def measured(
    ragward: Ragward, company: Company, queries: int
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """(first query of each asker, all later ones): seconds by stage, and in total."""
    questions = [item["question"] for item in company.questions]
    tokens = [
        development_token(ragward.settings, name, tenant=company.tenant, agent=agent)
        for name, agent, _ in ASKERS
    ]
    ragward.embedder.embed(["warm up"])
    first: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    for i in range(queries + len(tokens)):
        credentials = Credentials(untrusted_authorization=tokens[i % len(tokens)])
        request = RetrievalRequest(query=questions[i % len(questions)])
        begin = time.perf_counter()
        answer = ragward.retrieve(credentials, request)
        seconds = dict(answer.stage_seconds) | {"total": time.perf_counter() - begin}
        (first if i < len(tokens) else warm).append(seconds)
    return first, warm


def _median(samples: list[dict[str, float]], stage: str) -> float:
    return round(statistics.median(sample.get(stage, 0.0) for sample in samples) * 1000, 3)
