"""`ragward identities`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ragward.cli.options import As, AsJSON, Days, Owner, Purpose, Tenant, TokenFile

if TYPE_CHECKING:
    from ragward.domain.identities import Identity

identities_app = typer.Typer(
    no_args_is_help=True, help="Applications, agents and their keys: who answers for each."
)


@identities_app.command("list")
def identities_list(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Every identity that is no person, with owner, reach, keys, end and last use."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.identities.identities(subject)
    _show(found, as_json=as_json)


@identities_app.command("show")
def identities_show(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(help="app:TENANT/NAME or agent:TENANT/NAME")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """One of them, with its keys."""
    from ragward.api.routes_identities import identity_fields
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.identities.identity(subject, principal)
    if as_json:
        typer.echo(json.dumps(identity_fields(found)))
        return
    _show([found], as_json=False)
    for key in found.keys:
        ends, used = _date(key.expires_at) or "never", _date(key.last_used_at) or "never"
        typer.echo(f"  key {key.key_id}: made {_date(key.created_at)}, ends {ends}, used {used}")


@identities_app.command("add-agent")
def identities_add_agent(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(help="agent:TENANT/NAME")],
    client_id: Annotated[str, typer.Option(help="Of the application that it acts through.")],
    key: Annotated[bool, typer.Option("--key", help="Make it an API key of its own.")] = False,
    purpose: Purpose = "registered on the command line",
    days: Days = 365,
    owner: Owner = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Register or renew an agent; prints its API key, if it gets one, once."""
    from ragward.cli import commands, render
    from ragward.domain.identities import DAY, Agent, Custody

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        agent = Agent(
            principal=principal,
            tenant=subject.tenant,
            client_id=client_id,
            expires_at=ragward.clock.now() + days * DAY,
        )
        custody = Custody(owner=owner or subject.principal, purpose=purpose)
        text = ragward.identities.register_agent(subject, agent, custody, with_key=key)
    shown = f"its API key, shown this once: {text}" if text else "it has no key"
    result = {"principal": principal, "api_key": text}
    render.result(result, f"{principal} is registered; {shown}", as_json=as_json)


@identities_app.command("rotate")
def identities_rotate(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(help="app:TENANT/NAME or agent:TENANT/NAME")],
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=168, help="How long the key before stays good; 0: not at all.")
    ] = 24,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """A new API key, printed once, beside the newest one for a while; older ones end."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        done = ragward.identities.rotate(subject, principal, overlap_seconds=overlap_hours * 3600)
    result = {
        "principal": done.principal,
        "api_key": done.key,
        "key_id": done.key_id,
        "expires_at": done.expires_at,
        "earlier_end_at": done.earlier_end_at,
    }
    before = f"the one before ends {_date(done.earlier_end_at)}" if done.earlier_end_at else ""
    line = (
        f"new key of {principal}, shown this once: {done.key}\n{before or 'no other key is good'}"
    )
    render.result(result, line, as_json=as_json)


@identities_app.command("report")
def identities_report(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What somebody should look at: ownerless, unused, old, endless, unregistered, granted more than used."""
    from rich.table import Table

    from ragward.api.routes_identities import ReportedModel
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.identities.report(subject)
    if as_json:
        typer.echo(json.dumps([ReportedModel.of(each).model_dump() for each in found]))
        return
    table = Table("identity", "owner", "finding", "detail")
    for each in found:
        for finding, detail in each.findings:
            table.add_row(each.identity.principal, each.identity.owner, finding.value, detail)
    render.console().print(table if found else "nothing to look at")


def _show(found: Sequence[Identity], *, as_json: bool) -> None:
    from rich.table import Table

    from ragward.api.routes_identities import identity_fields
    from ragward.cli import render

    if as_json:
        typer.echo(json.dumps([identity_fields(each) for each in found]))
        return
    table = Table("identity", "owner", "purpose", "corpora", "ceiling", "keys", "ends", "used")
    for each in found:
        table.add_row(
            each.principal,
            each.owner or "nobody",
            each.purpose,
            ", ".join(sorted(each.corpora)),
            render.badge(each.ceiling.name) if each.ceiling is not None else "",
            str(len(each.keys)),
            _date(each.expires_at) or "never",
            _date(each.last_used_at) or "never",
        )
    render.console().print(table)


def _date(seconds: int | None) -> str:
    from datetime import UTC, datetime

    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
