"""`ragward honey`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.options import As, AsJSON, Tenant, TokenFile

honey_app = typer.Typer(
    no_args_is_help=True, help="Documents that nobody may read: whoever touches one is recorded."
)


@honey_app.command("plant")
def plant(
    context: typer.Context,
    place: Annotated[str, typer.Argument(help="CORPUS:SOURCE, where nothing is yet.")],
    file: Annotated[Path, typer.Argument(help="Its text.")],
    classification: Annotated[str, typer.Option(help="Of the label it lies under.")] = "INTERNAL",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Plant one; the log says `honey.touched` with its id when somebody reaches for it."""
    from ragward.cli import commands, render
    from ragward.domain.errors import ConfigurationError
    from ragward.domain.labels import Classification

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    corpus, _, source = place.partition(":")
    try:
        data = file.read_bytes()
    except OSError:
        raise ConfigurationError("the file cannot be read") from None
    level = Classification.parse(classification)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        done = ragward.planting.plant(subject, corpus, source, data, level)
    render.result({"document_id": done.document_id}, f"planted {done.document_id}", as_json=as_json)


@honey_app.command("list")
def planted(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Those that are there."""
    from rich.table import Table

    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.planting.planted(subject)
    if as_json:
        lines = [
            {"document_id": r.document_id, "corpus": r.corpus, "source": r.source} for r in found
        ]
        typer.echo(json.dumps(lines))
        return
    table = Table("document", "where")
    for record in found:
        table.add_row(record.document_id, f"{record.corpus}:{record.source}")
    render.console().print(table)
