"""`ragward task-grant`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile
from ragward.domain.task_grants import TaskGrantRecord

task_grant_app = typer.Typer(
    no_args_is_help=True, help="What you lend to an agent for one task: less than you have."
)


@task_grant_app.command("mint")
def task_grant_mint(
    context: typer.Context,
    agent: Annotated[
        str, typer.Argument(help="agent:TENANT/NAME, the only one that may bring it.")
    ],
    corpus: Annotated[list[str], typer.Option(help="A corpus it may read; may be repeated.")],
    ceiling: Annotated[str, typer.Option(help="Highest classification.")],
    reason: Reason,
    action: Annotated[
        list[str] | None, typer.Option(help="What it may do; without one: corpus:retrieve.")
    ] = None,
    budget: Annotated[
        int, typer.Option(min=1, help="Tokens that all answers may carry together.")
    ] = 20_000,
    minutes: Annotated[int, typer.Option(min=1, max=1440)] = 10,
    purpose: Annotated[str, typer.Option(help="The only purpose it is for.")] = "",
    application: Annotated[
        str | None, typer.Option(help="app:TENANT/NAME that the agent comes through.")
    ] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Lend; prints the secret once."""
    from ragward.cli import commands
    from ragward.domain.labels import Classification
    from ragward.domain.task_grants import TaskGrantRequest

    request = TaskGrantRequest(
        agent=agent,
        application=application,
        corpora=frozenset(corpus),
        ceiling=Classification.parse(ceiling),
        actions=frozenset(action or ["corpus:retrieve"]),
        budget_tokens=budget,
        minutes=minutes,
        purpose=purpose,
        reason=reason,
    )
    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        record, secret = ragward.task_grants.mint(subject, request)
        now = ragward.clock.now()
    if as_json:
        typer.echo(json.dumps(_fields(record, now) | {"secret": secret}))
        return
    typer.echo(f"{record.grant.grant_id} is lent to {agent} for {minutes} minutes")
    typer.echo(f"its secret, shown this once: {secret}")


@task_grant_app.command("list")
def task_grant_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Those you minted; for whoever may read policy, all."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.task_grants.grants(subject, limit=limit)
        now = ragward.clock.now()
    if as_json:
        typer.echo(json.dumps([_fields(record, now) for record in found]))
    else:
        _table(found, now)


@task_grant_app.command("show")
def task_grant_show(
    context: typer.Context,
    grant: Annotated[str, typer.Argument(help="The grant's id.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """One of those."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        record = ragward.task_grants.show(subject, grant)
        now = ragward.clock.now()
    if as_json:
        typer.echo(json.dumps(_fields(record, now)))
    else:
        _table([record], now)


@task_grant_app.command("revoke")
def task_grant_revoke(
    context: typer.Context,
    grant: Annotated[str, typer.Argument(help="The grant's id.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Worth nothing from the next answer on."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        record = ragward.task_grants.revoke(subject, grant)
        now = ragward.clock.now()
    render.result(_fields(record, now), f"{grant} is revoked", as_json=as_json)


def _table(found: Sequence[TaskGrantRecord], now: int) -> None:
    from rich.table import Table

    from ragward.cli import render

    table = Table("grant", "state", "by", "agent", "corpora", "ceiling", "actions", "tokens left")
    for record in found:
        grant = record.grant
        table.add_row(
            grant.grant_id,
            record.state(now),
            grant.minted_by,
            grant.agent,
            ", ".join(sorted(grant.corpora)),
            render.badge(grant.ceiling.name),
            ", ".join(sorted(grant.actions)),
            f"{record.remaining_tokens} of {grant.budget_tokens}",
        )
    render.console().print(table)


def _fields(record: TaskGrantRecord, now: int) -> dict[str, object]:
    from ragward.api.routes_task_grants import TaskGrantModel

    return TaskGrantModel.of(record, now).model_dump()
