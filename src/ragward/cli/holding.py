"""`ragward hold` and `ragward retention`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile
from ragward.domain.holds import HoldReport

hold_app = typer.Typer(no_args_is_help=True, help="Legal holds: what may not be destroyed.")
retention_app = typer.Typer(no_args_is_help=True, help="Shred what is older than its rule says.")
IdentifiersFrom = Annotated[
    Path | None,
    typer.Option(
        "--identifiers-from",
        help="File with what texts call the person, one a line; - for standard input.",
    ),
]


def identifiers_from(path: Path | None) -> tuple[str, ...]:
    """The lines of a file or of standard input, so that no history keeps them. Raises `config.invalid`."""
    import sys

    from ragward.domain.errors import ConfigurationError

    if path is None:
        return ()
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("the identifiers cannot be read") from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())


@hold_app.command("place")
def hold_place(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="document, source or subject.")],
    reason: Reason,
    target: Annotated[
        str,
        typer.Argument(help="Document id or CORPUS:SOURCE; CORPUS:FOLDER/; user:TENANT/NAME."),
    ] = "",
    identifiers: IdentifiersFrom = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Keep a document, a source or everything about a person, whatever else wants it gone."""
    from ragward.cli import commands
    from ragward.domain.errors import InvalidRequestError
    from ragward.domain.holds import HoldKind, HoldRequest

    if kind not in set(HoldKind):
        raise InvalidRequestError("a hold is on a document, source or subject")
    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        if kind == HoldKind.DOCUMENT:
            target = commands.document_id(ragward, subject, target)
        request = HoldRequest(
            kind=HoldKind(kind),
            target=target,
            identifiers=identifiers_from(identifiers),
            reason=reason,
        )
        report = ragward.holding.place(subject, request)
    _show([report], as_json=as_json)


@hold_app.command("list")
def hold_list(
    context: typer.Context,
    lifted: Annotated[bool, typer.Option(help="Also those that are lifted.")] = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The holds in force, newest first."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.holding.holds(subject, lifted=lifted)
    _show(found, as_json=as_json)


@hold_app.command("lift")
def hold_lift(
    context: typer.Context,
    hold: Annotated[str, typer.Argument(help="The hold's id.")],
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Ask for a hold to be lifted; a second person's call lifts it, and what only it kept goes."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        report = ragward.holding.lift(subject, hold, reason)
    _show([report], as_json=as_json)


@retention_app.command("run")
def retention_run(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option(help="Only say what is due.")] = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Shred what `policies/retention.toml` says is due; run it again after an interruption."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    looked_at = held = 0
    due: dict[str, int] = {}
    receipts: list[str] = []
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        after = None
        while True:
            run = ragward.retention.run(subject, dry_run=dry_run, after=after)
            looked_at, held = looked_at + run.looked_at, held + run.held
            receipts += run.receipts
            for rule, count in run.due:
                due[rule] = due.get(rule, 0) + count
            after = run.next_after
            if after is None:
                break
    result = {
        "dry_run": dry_run,
        "looked_at": looked_at,
        "due": due,
        "held": held,
        "receipts": receipts,
    }
    found = ", ".join(f"{count} by {rule!r}" for rule, count in due.items()) or "nothing"
    line = f"{looked_at} looked at; due: {found}; held: {held}; receipts: {len(receipts)}"
    render.result(result, line, as_json=as_json)


def _show(found: list[HoldReport], *, as_json: bool) -> None:
    from rich.table import Table

    from ragward.cli import render

    if as_json:
        typer.echo(json.dumps([_fields(report) for report in found]))
        return
    table = Table("hold", "on", "documents", "state", "placed by", "reason")
    for report in found:
        hold = report.hold
        table.add_row(
            hold.hold_id,
            f"{hold.kind.value} {hold.target}",
            str(report.documents) + ("" if report.complete else ", not all opened"),
            hold.state.value,
            hold.placed_by,
            hold.reason,
        )
    render.console().print(table)


def _fields(report: HoldReport) -> dict[str, object]:
    hold = report.hold
    return {
        "hold_id": hold.hold_id,
        "kind": hold.kind.value,
        "target": hold.target,
        "state": hold.state.value,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at,
        "lift_requested_by": hold.lift_requested_by,
        "lifted_by": hold.lifted_by,
        "documents": report.documents,
        "complete": report.complete,
    }
