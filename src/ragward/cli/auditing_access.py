"""What `ragward access audit` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from ragward.adapters.report_access_html import access_page, share
from ragward.api.routes_access_audit import AccessAuditModel
from ragward.cli import render, render_policy
from ragward.cli.commands import Caller, opened
from ragward.domain.access_report import AccessAudit
from ragward.domain.errors import InvalidRequestError
from ragward.settings import Settings


class Wanted(NamedTuple):
    """What is asked for."""

    days: int
    apply: bool
    applications: bool
    reason: str
    yes: bool
    report: Path | None


def audit(settings: Settings, wanted: Wanted, caller: Caller, *, as_json: bool) -> None:
    """Shows the audit, or shows and applies it."""
    if wanted.apply and as_json and not wanted.yes:
        raise InvalidRequestError("with --json, --apply needs --yes")
    with opened(settings, caller) as (ragward, subject):
        found = ragward.access_auditing.audit(subject, days=wanted.days)
        if wanted.report is not None:
            wanted.report.write_text(access_page(found), encoding="utf-8")
        if not wanted.apply:
            _show(found, as_json=as_json)
            return
        if not wanted.yes:
            _show(found, as_json=False)
            typer.confirm("take this away?", abort=True)
        applied = ragward.access_auditing.apply(
            subject,
            days=wanted.days,
            digest=found.digest(),
            reason=wanted.reason,
            applications=wanted.applications,
        )
        token = ragward.epoch_token(subject.tenant)
    render_policy.outcome(applied.policy, token, as_json=as_json)
    if not as_json:
        for application in applied.narrowed:
            typer.echo(f"{application.principal} lets less through now")


def _show(found: AccessAudit, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(AccessAuditModel.of(found).model_dump(mode="json")))
        return
    out = render.console()
    table = Table("who", "answers", "documents reachable", "documents read")
    for use in sorted(found.principals, key=lambda use: -use.reachable_documents):
        table.add_row(
            Text(use.principal),
            str(use.answers),
            str(use.reachable_documents),
            str(use.used_documents),
        )
    out.print(table)
    lines = found.unused.lines()
    out.print(f"can be taken away: {len(lines)}" if lines else "nothing can be taken away")
    for line in lines:
        out.print(Text(f"  - {line}"))
    for each in found.unused.left:
        out.print(Text(f"  left alone ({each.why.value}): {each.line}", style="dim"))
    for application in found.narrowed:
        corpora = ", ".join(sorted(application.corpora))
        out.print(Text(f"  {application.principal}: {application.ceiling.name}, {corpora} suffice"))
    if found.evaluations:
        out.print(f"{found.evaluations} evaluations for others count as nobody's use")
    if found.gaps:
        out.print(f"the log lacks events in {found.gaps} places: nothing is proposed")
    stands = found.posture
    contain = stands.seconds_to_contain
    out.print(f"reachable and not used: {share(stands.over_privilege)}")
    out.print(f"answers after several factors: {share(stands.mfa_coverage)}")
    out.print(f"keys in time: {share(stands.keys_in_time)}")
    out.print(
        f"median time to contain: {'nothing contained' if contain is None else f'{contain:.0f} s'}"
    )
