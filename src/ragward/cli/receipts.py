"""`ragward receipt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.options import As, AsJSON, Tenant, TokenFile

receipt_app = typer.Typer(
    no_args_is_help=True, help="Receipts of answers: get one, verify it offline, decide it again."
)
ReceiptId = Annotated[str, typer.Argument(help="The receipt's id.")]


@receipt_app.command("get")
def get(
    context: typer.Context,
    receipt_id: ReceiptId,
    file: Annotated[Path, typer.Argument(help="Where to keep it.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Keep the receipt of one's own answer, with the proof that the log holds it."""
    from ragward.cli import commands, receipting

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    receipting.get(settings, receipt_id, file, caller, as_json=as_json)


@receipt_app.command("bundle")
def bundle(
    context: typer.Context,
    receipt_id: ReceiptId,
    file: Annotated[Path, typer.Argument(help="Where to keep it.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Keep what an answer was decided by: needs `audit:read`, and is recorded."""
    from ragward.cli import commands, receipting

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    receipting.bundle(settings, receipt_id, file, caller, as_json=as_json)


@receipt_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, or an officer's bundle.")],
    key: Annotated[str, typer.Option(help="The log's public key, or a file with it.")],
    answer: Annotated[
        Path | None, typer.Option(help="The answer, as `query --json` or the API gave it.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Whose it should be: user:TENANT/NAME.")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(help="Directory of model.conf, for a bundle; else the shipped.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Check a receipt with nothing but the log's public key; a bundle is decided again. Exit 1 if something is not shown."""
    from ragward.cli import receipting

    raise typer.Exit(receipting.verify(file, key, answer, subject, policies, as_json=as_json))
