"""`ragward restriction`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile

if TYPE_CHECKING:
    from ragward.domain.restrictions import Restriction

restriction_app = typer.Typer(
    no_args_is_help=True, help="What was taken from somebody for a time: list, place, release."
)


@restriction_app.command("list")
def restriction_list(
    context: typer.Context,
    ended: Annotated[bool, typer.Option(help="Also those that are over.")] = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Those that are not over, newest first, with what they were placed for."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.restricting.restrictions(subject, ended=ended)
    _show(found, as_json=as_json)


@restriction_app.command("place")
def restriction_place(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="throttle, step_up, ceiling, suspend or quarantine.")],
    target: Annotated[str, typer.Argument(help="A principal; of a quarantine, a document's id.")],
    minutes: Annotated[int, typer.Option(min=1, help="For how long.")],
    reason: Reason,
    through: Annotated[str, typer.Option(help="Only what they ask through this agent.")] = "",
    ceiling: Annotated[str | None, typer.Option(help="Of a ceiling: the classification.")] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Take something from somebody for a time, at every worker at once."""
    from ragward.cli import commands
    from ragward.restricting import request_of

    request = request_of(
        target=target,
        kind=kind,
        minutes=minutes,
        reason=reason,
        through=through,
        ceiling=ceiling,
    )
    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        placed = ragward.restricting.place(subject, request)
    _show([placed], as_json=as_json)


@restriction_app.command("release")
def restriction_release(
    context: typer.Context,
    restriction: Annotated[str, typer.Argument(help="The restriction's id.")],
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """End a restriction now; nobody ends one on themselves."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        released = ragward.restricting.release(subject, restriction, reason)
    _show([released], as_json=as_json)


def _show(found: Sequence[Restriction], *, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ragward.cli import render

    if as_json:
        typer.echo(json.dumps([_fields(each) for each in found]))
        return
    table = Table("restriction", "kind", "on", "until", "placed by", "reason")
    for each in found:
        table.add_row(
            each.restriction_id,
            each.kind.value + (f" {each.ceiling.name}" if each.ceiling is not None else ""),
            escape(each.target + (f" through {each.through}" if each.through else "")),
            "released" if each.released_at else str(each.until),
            escape(each.placed_by or "policy"),
            escape(each.reason),
        )
    render.console().print(table)


def _fields(each: Restriction) -> dict[str, object]:
    return {
        "restriction_id": each.restriction_id,
        "kind": each.kind.value,
        "target": each.target,
        "through": each.through,
        "ceiling": None if each.ceiling is None else each.ceiling.name,
        "begins_at": each.begins_at,
        "until": each.until,
        "reason": each.reason,
        "evidence": dict(each.evidence),
        "placed_by": each.placed_by,
        "released_by": each.released_by,
        "released_at": each.released_at,
    }
