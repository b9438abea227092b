"""The policy group: read, check, compare, write, approve, roll back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile

policy_app = typer.Typer(
    no_args_is_help=True, help="Casbin policy: check, compare, write, approve, roll back."
)

PolicyFile = Annotated[Path, typer.Argument(help="A Casbin CSV file.")]
Lines = Annotated[
    list[str], typer.Argument(help="CSV lines: 'p, SUBJECT, ACTION, …' or 'g, MEMBER, GROUP'.")
]
Proposal = Annotated[str, typer.Argument(help="The proposal's id.")]
Expected = Annotated[
    int | None, typer.Option(help="Only if this version is in force; otherwise a conflict.")
]


@policy_app.command("show")
def show(
    context: typer.Context,
    version: Annotated[int | None, typer.Option(help="An earlier version.")] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The policy in force, or an earlier version."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.show(settings, version, caller, as_json=as_json)


@policy_app.command("check")
def check(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A Casbin CSV file; otherwise the policy in force.")
    ] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What is wrong, or looks wrong; exit 1 if a write would be refused. A file needs no installation."""
    from ragward.cli import commands, policies

    if file is not None:
        policies_dir = commands.load_settings(context.obj).policies_dir if context.obj else None
        raise typer.Exit(policies.check_file(file, policies_dir, as_json=as_json))
    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(policies.check(settings, caller, as_json=as_json))


@policy_app.command("diff")
def diff(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A Casbin CSV file.")] = None,
    version: Annotated[int | None, typer.Option(help="Going back to this version.")] = None,
    proposal: Annotated[str | None, typer.Option(help="Approving this proposal.")] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """A dry run: what a file, a roll-back or a proposal would change, and who gains or loses how many documents."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.diff(settings, policies.Wanted(file, version, proposal), caller, as_json=as_json)


@policy_app.command("import", help="The same as apply.")
@policy_app.command("apply")
def apply(
    context: typer.Context,
    file: PolicyFile,
    reason: Reason,
    expected_version: Expected = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Put a Casbin CSV file in place of the present policy."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.apply(settings, file, reason, expected_version, caller, as_json=as_json)


@policy_app.command("add")
def add(
    context: typer.Context,
    lines: Lines,
    reason: Reason,
    expected_version: Expected = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Add single rows and memberships."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.change(settings, lines, [], reason, expected_version, caller, as_json=as_json)


@policy_app.command("remove")
def remove(
    context: typer.Context,
    lines: Lines,
    reason: Reason,
    expected_version: Expected = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Remove single rows and memberships."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.change(settings, [], lines, reason, expected_version, caller, as_json=as_json)


@policy_app.command("versions")
def versions(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Who changed the policy, when and why, newest first."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.versions(settings, limit, caller, as_json=as_json)


@policy_app.command("rollback")
def rollback(
    context: typer.Context,
    version: Annotated[int, typer.Argument(help="The version to go back to.")],
    reason: Reason,
    expected_version: Expected = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Write a new version equal to an old one."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.roll_back(settings, version, reason, expected_version, caller, as_json=as_json)


@policy_app.command("proposals")
def proposals(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Changes that wait for a second person."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.proposals(settings, caller, everything=everything, as_json=as_json)


@policy_app.command("approve")
def approve(
    context: typer.Context,
    proposal: Proposal,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Put somebody else's proposal in force; see `policy diff --proposal` first."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.approve(settings, proposal, reason, caller, as_json=as_json)


@policy_app.command("reject")
def reject(
    context: typer.Context,
    proposal: Proposal,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """End a proposal; your own too."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.reject(settings, proposal, reason, caller, as_json=as_json)


@policy_app.command("export")
def export(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Print the present policy as Casbin CSV."""
    from ragward.cli import commands, policies

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    policies.export(settings, caller, as_json=as_json)
