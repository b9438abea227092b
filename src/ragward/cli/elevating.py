"""`ragward access request`, `approve`, ...: roles for a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile

if TYPE_CHECKING:
    from ragward.domain.access import Subject
    from ragward.domain.elevation import Elevation
    from ragward.elevation import Elevating

Role = Annotated[str, typer.Argument(help="As role:TENANT/NAME; elevation.toml names them.")]
Minutes = Annotated[int, typer.Option(min=1, help="For how long.")]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")]


def add_to(app: typer.Typer) -> None:
    """Hangs the commands into `ragward access`."""
    app.command("request")(request)
    app.command("emergency")(emergency)
    app.command("approve")(approve)
    app.command("deny")(deny)
    app.command("revoke")(revoke)
    app.command("review")(review)
    app.command("requests")(requests)


def request(
    context: typer.Context,
    role: Role,
    minutes: Minutes,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Ask for a role for a time; somebody else has to approve."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return [elevating.request(subject, role, minutes, reason)]

    _run(context, act, person, tenant, token_file, as_json=as_json)


def emergency(
    context: typer.Context,
    role: Role,
    minutes: Minutes,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Hold an emergency role at once: people are alerted, and somebody else reviews it."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return [elevating.declare_emergency(subject, role, minutes, reason)]

    _run(context, act, person, tenant, token_file, as_json=as_json)


def approve(
    context: typer.Context,
    name: Request,
    reason: Reason,
    minutes: Annotated[int | None, typer.Option(min=1, help="For less than was asked.")] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Give somebody else what they asked for."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return [elevating.decide(subject, name, approve=True, reason=reason, minutes=minutes)]

    _run(context, act, person, tenant, token_file, as_json=as_json)


def deny(
    context: typer.Context,
    name: Request,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Refuse it."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return [elevating.decide(subject, name, approve=False, reason=reason)]

    _run(context, act, person, tenant, token_file, as_json=as_json)


def revoke(
    context: typer.Context,
    name: Request,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Take it back at once; one's own too."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return [elevating.revoke(subject, name, reason)]

    _run(context, act, person, tenant, token_file, as_json=as_json)


def review(
    context: typer.Context,
    name: Request,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Close somebody else's emergency that is over; --reason says what was found."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return [elevating.review(subject, name, reason)]

    _run(context, act, person, tenant, token_file, as_json=as_json)


def requests(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """One's own, or everybody's for who may approve; newest first."""

    def act(elevating: Elevating, subject: Subject) -> list[Elevation]:
        return elevating.elevations(subject)

    _run(context, act, person, tenant, token_file, as_json=as_json)


def _run(
    context: typer.Context,
    act: Callable[[Elevating, Subject], Sequence[Elevation]],
    person: As,
    tenant: Tenant,
    token_file: TokenFile,
    *,
    as_json: bool,
) -> None:
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = act(ragward.elevating, subject)
        _show(found, ragward.elevating.now(), as_json=as_json)


def _show(found: Sequence[Elevation], now: int, *, as_json: bool) -> None:
    from rich.table import Table

    from ragward.cli import render

    if as_json:
        typer.echo(json.dumps([_fields(each, now) for each in found]))
        return
    table = Table("request", "who", "role", "state", "minutes", "reason")
    for each in found:
        state = each.state(now).value + (", awaits review" if each.awaits_review else "")
        kind = f"{each.role} (emergency)" if each.emergency else each.role
        table.add_row(each.elevation_id, each.member, kind, state, str(each.minutes), each.reason)
    render.console().print(table)


def _fields(each: Elevation, now: int) -> dict[str, object]:
    return {
        "id": each.elevation_id,
        "member": each.member,
        "role": each.role,
        "minutes": each.minutes,
        "reason": each.reason,
        "state": each.state(now).value,
        "emergency": each.emergency,
        "awaits_review": each.awaits_review,
        "requested_at": each.requested_at,
        "decided_by": each.decided_by,
        "not_after": each.not_after,
        "revoked_by": each.revoked_by,
        "reviewed_by": each.reviewed_by,
    }
