"""`ragward keys` and `ragward shred`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.holding import IdentifiersFrom, identifiers_from
from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile

keys_app = typer.Typer(
    no_args_is_help=True, help="Key-encryption keys: status, rotate, destroy, broker."
)
shred_app = typer.Typer(
    no_args_is_help=True,
    help="Destroy content with its keys: a document, a source, a person's, a tenant's.",
)
Receipt = Annotated[str, typer.Argument(help="The receipt's id.")]
DryRun = Annotated[bool, typer.Option(help="Only say what would go.")]


@keys_app.command("status")
def keys_status(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Versions, states, ages, what lies under them and what is due, without key material."""
    from ragward.cli import commands, key_handling

    key_handling.status(commands.load_settings(context.obj), tenant, as_json=as_json)


@keys_app.command("broker")
def keys_broker(
    context: typer.Context,
    sockets: Annotated[Path, typer.Argument(help="Directory for its sockets, one for each role.")],
) -> None:
    """Hold the KEKs in this process and unwrap only for subjects whom the policy permits; runs until interrupted."""
    from ragward.cli import commands, serving

    serving.serve_keys(commands.load_settings(context.obj), sockets)


@keys_app.command("rotate")
def keys_rotate(
    context: typer.Context,
    classification: Annotated[str, typer.Argument()],
    purpose: Annotated[str, typer.Option(help="What the KEK is for.")] = "content",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """A new key version, and everything moved to it; or go on with a rotation that was interrupted."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(
        key_handling.rotate(settings, classification, purpose, caller, as_json=as_json)
    )


@keys_app.command("destroy")
def keys_destroy(
    context: typer.Context,
    kek: Annotated[str, typer.Argument(help="Its id, from `keys status`.")],
    version: Annotated[int, typer.Argument(min=1)],
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Erase a key version for good, once nothing is wrapped under it."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    key_handling.destroy(settings, kek, version, reason, caller, as_json=as_json)


@shred_app.command("document")
def shred_document(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Document id, or CORPUS:SOURCE.")],
    reason: Reason,
    dry_run: DryRun = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """One document."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = key_handling.Wanted("document", document, reason, dry_run)
    key_handling.shred(commands.load_settings(context.obj), wanted, caller, as_json=as_json)


@shred_app.command("source")
def shred_source(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="CORPUS:FOLDER/, or CORPUS: for all of it.")],
    reason: Reason,
    dry_run: DryRun = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Everything below a source folder that you may know of."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = key_handling.Wanted("source", source, reason, dry_run)
    key_handling.shred(commands.load_settings(context.obj), wanted, caller, as_json=as_json)


@shred_app.command("subject")
def shred_subject(
    context: typer.Context,
    reason: Reason,
    principal: Annotated[str, typer.Argument(help="user:TENANT/NAME")] = "",
    identifiers: IdentifiersFrom = None,
    dry_run: DryRun = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What is recorded as one person's (attribute `data_subject` or `owner`, or granted to them alone) and, with identifiers, every
    document that names them, their pseudonyms in the vault, and names in clear."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    names = identifiers_from(identifiers)
    wanted = key_handling.Wanted("subject", principal, reason, dry_run, names)
    key_handling.shred(commands.load_settings(context.obj), wanted, caller, as_json=as_json)


@shred_app.command("tenant")
def shred_tenant(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The tenant, by name, to be sure.")],
    reason: Reason,
    dry_run: DryRun = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """All content of a tenant and all of its KEKs; its policy and its log stay."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = key_handling.Wanted("tenant", name, reason, dry_run)
    key_handling.shred(commands.load_settings(context.obj), wanted, caller, as_json=as_json)


@shred_app.command("show")
def shred_show(
    context: typer.Context,
    receipt: Receipt,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """A receipt, checked against log, catalog and keyring; exit 1 if they do not bear it out."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(key_handling.show(settings, receipt, caller, as_json=as_json))


@shred_app.command("list")
def shred_list(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The receipts, newest first."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    key_handling.show_list(commands.load_settings(context.obj), caller, as_json=as_json)


@shred_app.command("finish")
def shred_finish(
    context: typer.Context,
    receipt: Receipt,
    reason: Reason,
    gone: Annotated[
        list[str] | None,
        typer.Option(help="Copies that you state do not exist any more: index, keyring."),
    ] = None,
    roll: Annotated[
        bool, typer.Option(help="Rotate the KEKs and destroy the versions from before.")
    ] = True,
    wait: Annotated[
        bool, typer.Option(help="Wait until requests that have read the keys have ended.")
    ] = True,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Roll the KEKs so that backups die too; exit 1 while it is not backup-proof."""
    from ragward.cli import commands, key_handling

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = key_handling.Finishing(receipt, reason, gone or [], roll, wait)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(key_handling.finish(settings, wanted, caller, as_json=as_json))
