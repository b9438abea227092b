"""Policy for people and, as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from ragward.cli.render import badge, console
from ragward.domain.labels import Classification
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_change import PolicyDiff, PolicyOutcome, PolicyProposal, PolicyVersion
from ragward.domain.policy_review import DryRun, Finding, Severity

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def policy(given: PolicySnapshot, *, as_json: bool) -> None:
    """Rows and memberships."""
    if as_json:
        body = {
            "version": given.version,
            "digest": given.digest(),
            "rows": [row.fields() for row in given.rows],
            "memberships": [(each.member, each.group) for each in given.memberships],
        }
        typer.echo(json.dumps(body))
        return
    out = console()
    rows = Table("subject", "action", "corpus", "levels", "compartment", "effect")
    for row in given.rows:
        style = "red" if row.effect == "deny" else None
        rows.add_row(*(Text(field) for field in row.fields()), style=style)
    out.print(rows)
    memberships = Table("member", "belongs to")
    for each in given.memberships:
        memberships.add_row(Text(each.member), Text(each.group))
    out.print(memberships)
    out.print(f"version {given.version}, digest {given.digest()[:16]}…", style="dim")


def findings(found: Sequence[Finding], *, as_json: bool) -> int:
    """Findings, worst first; 1 if one of them is an error."""
    valid = all(finding.severity is not Severity.ERROR for finding in found)
    if as_json:
        body = {"valid": valid, "findings": [_finding_json(finding) for finding in found]}
        typer.echo(json.dumps(body))
    elif found:
        console().print(_findings_table(found))
    if not as_json:
        typer.echo("no errors" if valid else "NOT VALID: a write would refuse it")
    return 0 if valid else 1


def dry_run(run: DryRun, *, as_json: bool) -> None:
    """What would change, and for whom."""
    if as_json:
        typer.echo(json.dumps(_dry_run_json(run)))
        return
    out = console()
    _print_diff(run.diff)
    table = Table("", "gains", "loses")
    for change in run.changes:
        table.add_row(Text(change.principal), _counts(change.gained), _counts(change.lost))
    if run.changes:
        out.print(table)
    else:
        out.print(f"none of {run.principals} principals gains or loses a document")
    if run.new_findings:
        out.print(_findings_table(run.new_findings))
    waits = "it would wait for a second person" if run.needs_approval else "it would apply at once"
    out.print(f"against version {run.base_version}; {waits}", style="dim")


def outcome(given: PolicyOutcome, epoch_token: str, *, as_json: bool) -> None:
    """What became of a write."""
    state = "applied" if given.applied else "pending" if given.proposal else "unchanged"
    if as_json:
        body = {
            "state": state,
            "version": given.version,
            "digest": given.digest,
            "diff": given.diff.lines(),
            "proposal_id": given.proposal.proposal_id if given.proposal else None,
            "touching_restricted": list(given.touching_restricted),
            "epoch_token": epoch_token,
        }
        typer.echo(json.dumps(body))
        return
    _print_diff(given.diff)
    if given.proposal:
        typer.echo(
            f"waits for a second person, as proposal {given.proposal.proposal_id}, because of:"
        )
        for line in given.touching_restricted:
            typer.echo(f"  {line}")
    elif given.applied:
        typer.echo(f"in force as version {given.version}")
    else:
        typer.echo(f"nothing to change: version {given.version} stays in force")


def versions(found: Sequence[PolicyVersion], *, as_json: bool) -> None:
    """Versions as a table."""
    if as_json:
        typer.echo(json.dumps([_version_json(version) for version in found]))
        return
    table = Table("version", "at", "author", "approved by", "digest", "reason")
    for each in found:
        table.add_row(
            str(each.number),
            _moment(each.at),
            Text(each.author),
            Text(each.approved_by or ""),
            each.digest[:12],
            Text(each.reason),
        )
    console().print(table)


def proposals(found: Sequence[PolicyProposal], *, as_json: bool) -> None:
    """Proposals as a table."""
    if as_json:
        typer.echo(json.dumps([proposal_json(proposal) for proposal in found]))
        return
    table = Table("proposal", "state", "author", "at", "against", "reason", "decided by")
    for each in found:
        table.add_row(
            each.proposal_id,
            each.state.value,
            Text(each.author),
            _moment(each.at),
            str(each.base_version),
            Text(each.reason),
            Text(each.decided_by or ""),
        )
    console().print(table if found else "nothing waits")


def proposal_json(proposal: PolicyProposal) -> dict[str, Any]:
    """A proposal without its rows."""
    return {
        "proposal_id": proposal.proposal_id,
        "state": proposal.state.value,
        "author": proposal.author,
        "at": proposal.at,
        "expires_at": proposal.expires_at,
        "reason": proposal.reason,
        "base_version": proposal.base_version,
        "digest": proposal.snapshot().digest(),
        "decided_by": proposal.decided_by,
        "decided_at": proposal.decided_at,
        "decision_reason": proposal.decision_reason,
    }


def _version_json(version: PolicyVersion) -> dict[str, Any]:
    return {
        "version": version.number,
        "author": version.author,
        "at": version.at,
        "reason": version.reason,
        "approved_by": version.approved_by,
        "digest": version.digest,
    }


def _finding_json(finding: Finding) -> dict[str, str]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "where": finding.where,
        "detail": finding.detail,
    }


def _dry_run_json(run: DryRun) -> dict[str, Any]:
    return {
        "base_version": run.base_version,
        "diff": run.diff.lines(),
        "touching_restricted": list(run.touching_restricted),
        "needs_approval": run.needs_approval,
        "new_findings": [_finding_json(finding) for finding in run.new_findings],
        "principals": run.principals,
        "changes": [
            {
                "principal": change.principal,
                "gained": _levels(change.gained),
                "lost": _levels(change.lost),
            }
            for change in run.changes
        ],
        "gained": _levels(run.gained),
        "lost": _levels(run.lost),
    }


def _findings_table(found: Sequence[Finding]) -> Table:
    table = Table("severity", "code", "where", "finding")
    for finding in found:
        severity = Text(finding.severity.value, style=_COLOURS[finding.severity])
        table.add_row(severity, finding.code, Text(finding.where), Text(finding.detail))
    return table


def _print_diff(diff: PolicyDiff) -> None:
    for line in diff.lines():
        typer.secho(line, fg="green" if line.startswith("+") else "red")


def _counts(counts: Mapping[Classification, int]) -> Text:
    parts = [Text.assemble(str(n), " ", badge(level.name)) for level, n in sorted(counts.items())]
    return Text(", ").join(parts)


def _levels(counts: Mapping[Classification, int]) -> dict[str, int]:
    return {level.name: count for level, count in sorted(counts.items())}


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="minutes")[:16]
