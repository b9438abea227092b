"""`ragward audit`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.options import AsJSON

audit_app = typer.Typer(
    no_args_is_help=True, help="The log: verify, show, export, checkpoints and proofs."
)


class ExportForm(StrEnum):
    """What `audit export` writes."""

    LOG = "log"
    OCSF = "ocsf"


OfBroker = Annotated[bool, typer.Option("--broker", help="A key broker's own log.")]


@audit_app.command("verify")
def audit_verify(
    context: typer.Context,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            help="Signed checkpoints that were kept elsewhere; left out, those of audit_anchors."
        ),
    ] = None,
    receipt: Annotated[
        str | None, typer.Option(help="RECEIPT_ID:AUDIT_HASH of an answer, kept elsewhere.")
    ] = None,
    broker: OfBroker = False,
    as_json: AsJSON = False,
) -> None:
    """Hash the whole log again; exit 1 if it does not hold together."""
    from ragward.cli import auditing, commands

    settings = commands.load_settings(context.obj)
    raise typer.Exit(
        auditing.verify(settings, checkpoints, receipt, of_broker=broker, as_json=as_json)
    )


@audit_app.command("verify-export")
def audit_verify_export(
    file: Annotated[Path, typer.Argument(help="What `audit export` wrote.")],
    key: Annotated[str, typer.Option(help="The log's public key, or a file with it.")],
    checkpoints: Annotated[
        Path | None, typer.Option(help="Signed checkpoints that were kept elsewhere.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="A proof of inclusion that was kept beside a receipt.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Check an exported log with nothing but its public key; exit 1 if it does not hold together."""
    from ragward.cli import auditing

    raise typer.Exit(auditing.verify_export(file, key, checkpoints, proof, as_json=as_json))


@audit_app.command("show")
def audit_show(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    event: Annotated[
        str | None, typer.Option(help="Only the entry of this event, such as a receipt's.")
    ] = None,
    broker: OfBroker = False,
    as_json: AsJSON = False,
) -> None:
    """The latest entries, or one."""
    from ragward.cli import auditing, commands

    settings = commands.load_settings(context.obj)
    auditing.show(settings, last, event, of_broker=broker, as_json=as_json)


@audit_app.command("export")
def audit_export(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(help="A file; with --format ocsf also a syslog+...:// or an https: URL."),
    ],
    form: Annotated[
        ExportForm,
        typer.Option("--format", help="As it was hashed, or as OCSF lines for a SIEM."),
    ] = ExportForm.LOG,
    follow: Annotated[
        bool, typer.Option(help="With --format ocsf: go on until interrupted.")
    ] = False,
    broker: OfBroker = False,
    as_json: AsJSON = False,
) -> None:
    """All entries as JSON lines, byte for byte as they were hashed, and the signed checkpoint in FILE.checkpoint.

    With --format ocsf: what TARGET has not had yet, as OCSF lines."""
    from ragward.cli import auditing, commands, exporting

    settings = commands.load_settings(context.obj)
    if form is ExportForm.OCSF:
        exporting.export(settings, target, follow=follow, as_json=as_json)
    else:
        auditing.export(settings, Path(target), of_broker=broker, as_json=as_json)


@audit_app.command("key")
def audit_key(context: typer.Context, broker: OfBroker = False, as_json: AsJSON = False) -> None:
    """The public key of the log's checkpoints, to be kept elsewhere."""
    from ragward.cli import auditing, commands

    auditing.show_key(commands.load_settings(context.obj), of_broker=broker, as_json=as_json)


@audit_app.command("checkpoint")
def audit_checkpoint(
    context: typer.Context, broker: OfBroker = False, as_json: AsJSON = False
) -> None:
    """A signed statement of the log as it is, to be kept elsewhere."""
    from ragward.cli import auditing, commands

    auditing.checkpoint(commands.load_settings(context.obj), of_broker=broker, as_json=as_json)


@audit_app.command("proof")
def audit_proof(
    context: typer.Context,
    event: Annotated[str, typer.Argument(help="The event's id, such as a receipt's.")],
    broker: OfBroker = False,
    as_json: AsJSON = False,
) -> None:
    """That an event is in the log: to be checked with the public key alone."""
    from ragward.cli import auditing, commands

    settings = commands.load_settings(context.obj)
    auditing.proof(settings, event, of_broker=broker, as_json=as_json)


@audit_app.command("consistency")
def audit_consistency(
    context: typer.Context,
    first: Annotated[int, typer.Argument(min=1, help="Entries of the earlier log.")],
    second: Annotated[int, typer.Argument(min=1, help="Entries of the later one.")],
    broker: OfBroker = False,
    as_json: AsJSON = False,
) -> None:
    """That the later log begins with the earlier one: hashes of RFC 9162."""
    from ragward.cli import auditing, commands

    settings = commands.load_settings(context.obj)
    auditing.consistency(settings, first, second, of_broker=broker, as_json=as_json)
