"""`ragward lineage`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragward.cli.options import As, AsJSON, Tenant, TokenFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragward.domain.lineage import ShownLineage, VersionInUse


def lineage(
    context: typer.Context,
    chunk: Annotated[str | None, typer.Argument(help="A chunk's id.")] = None,
    versions: Annotated[
        bool, typer.Option("--versions", help="Which versions of what there are chunks of.")
    ] = False,
    document: Annotated[
        str | None, typer.Option(help="Export this document: id, or CORPUS:SOURCE.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Export what this job read.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="The new file for an export, OpenLineage events by line.")
    ] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Where a chunk came from; which versions made what there is; or an export as OpenLineage events."""
    from ragward.cli import commands
    from ragward.domain.errors import InvalidRequestError

    wanted = [chunk is not None, versions, document is not None, job is not None]
    exports = document is not None or job is not None
    if sum(wanted) != 1 or exports != (output is not None):
        raise InvalidRequestError(
            "name a chunk, or --versions, or with --output either --document or --job"
        )
    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    with commands.opened(settings, caller) as (ragward, subject):
        if chunk is not None:
            _show(ragward.lineage.of_chunk(subject, chunk), as_json=as_json)
        elif versions:
            _show_versions(ragward.lineage.versions(subject), as_json=as_json)
        elif output is not None:
            if document is not None:
                name = commands.document_id(ragward, subject, document)
                events: Any = ragward.lineage.export_document(subject, name)
            else:
                events = ragward.lineage.export_job(subject, job or "")
            _write(output, events, as_json=as_json)


def _show(found: ShownLineage, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict
    from datetime import UTC, datetime

    from rich.table import Table
    from rich.text import Text

    from ragward.cli.render import console

    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    lines = {
        "chunk": f"{found.chunk_id}, number {found.ordinal}",
        "document": f"{found.document_id}, version {found.version}, {found.state}",
        "source": f"{found.corpus}:{found.source}",
        "address": found.uri,
        "SHA-256": found.bytes_sha256,
        "media type": found.media_type,
        "stored": datetime.fromtimestamp(found.created_at, UTC).isoformat(),
        "job": found.job_id,
    } | {tool: version or "-" for tool, version in found.tools.items()}
    table = Table(show_header=False)
    for name, value in lines.items():
        if value is not None:
            table.add_row(name, Text(value or "-"))
    console().print(table)
    if not found.tools:
        console().print("it was stored before the versions of its making were kept", style="dim")


def _show_versions(found: Sequence[VersionInUse], *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.table import Table
    from rich.text import Text

    from ragward.cli.render import console

    if as_json:
        typer.echo(json.dumps({"versions": [asdict(each) for each in found]}))
        return
    table = Table("tool", "version", "documents", "chunks", caption="oldest first")
    for each in found:
        row = (str(each.documents), str(each.chunks))
        table.add_row(each.tool.value, Text(each.version or "-"), *row)
    console().print(table)


def _write(output: Path, events: Any, *, as_json: bool) -> None:
    """A file of its own, legible to its owner only; what is not whole is not there."""
    import json
    import os

    from ragward.cli import render
    from ragward.domain.errors import InvalidRequestError

    if output.exists():
        raise InvalidRequestError(f"{output.name} is there already")
    draft = output.with_name(f".{output.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    written = 0
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for event in events:
                file.write(json.dumps(event, sort_keys=True) + "\n")
                written += 1
        draft.rename(output)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    render.result({"events": written}, f"{written} events in {output.name}", as_json=as_json)
