"""Commands about jobs: what they read, how far they are, once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ragward.cli.options import As, AsJSON, Tenant, TokenFile
from ragward.domain.jobs import Gone

job_app = typer.Typer(no_args_is_help=True, help="Ingest jobs: list, show, cancel, retry, report.")

Job = Annotated[str, typer.Argument(help="The job's id.")]
Source = Annotated[
    str, typer.Argument(help="A manifest (.jsonl) or a folder, or the URL of either.")
]
Corpus = Annotated[str | None, typer.Option(help="For a folder: the corpus.")]
Grant = Annotated[list[str] | None, typer.Option(help="For a folder: who may read.")]
Posix = Annotated[
    bool, typer.Option("--posix", help="For a folder: owners and modes say who may read.")
]
WhatIsGone = Annotated[
    Gone,
    typer.Option(
        "--gone",
        help="Documents no longer there: mark them, and ask if they are suspiciously many; mark them all; or keep them.",
    ),
]
Engine = Annotated[
    Literal["local", "dask"] | None,
    typer.Option(
        help="What reads documents: this process, or Dask workers; else as ingest_engine says."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Of a Dask cluster, tls: beyond this machine; left out, processes of this machine."
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, max=256, help="Worker processes of this machine.")
]
Report = Annotated[Path | None, typer.Option(help="Write a report with plots (HTML) to this file.")]


def ingest(
    context: typer.Context,
    source: Source,
    corpus: Corpus = None,
    grant: Grant = None,
    posix: Posix = False,
    gone: WhatIsGone = Gone.ASK,
    engine: Engine = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    report: Report = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Classify, label, scan, encrypt and index documents."""
    from dataclasses import replace

    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = replace(working.source_request(source, corpus, grant or (), posix=posix), gone=gone)
    settings = working.reading_with(commands.load_settings(context.obj), engine, scheduler, workers)
    raise typer.Exit(working.run(settings, wanted, caller, report=report, as_json=as_json))


def sync_acl(
    context: typer.Context,
    source: Source,
    corpus: Corpus = None,
    grant: Grant = None,
    posix: Posix = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Read the access lists of a source again, and apply them; no document is read."""
    from dataclasses import replace

    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = working.source_request(source, corpus, grant or (), posix=posix)
    settings = commands.load_settings(context.obj)
    wanted = replace(wanted, access_only=True)
    raise typer.Exit(working.run(settings, wanted, caller, as_json=as_json))


@job_app.command("list")
def job_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The newest jobs that you may know of."""
    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    working.show_list(commands.load_settings(context.obj), limit, caller, as_json=as_json)


@job_app.command("show")
def job_show(
    context: typer.Context,
    job: Job,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What became of a job."""
    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    working.show(commands.load_settings(context.obj), job, caller, as_json=as_json)


@job_app.command("cancel")
def job_cancel(
    context: typer.Context,
    job: Job,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """End a job after the document it is at; what is in stays in."""
    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    working.cancel(commands.load_settings(context.obj), job, caller, as_json=as_json)


@job_app.command("retry")
def job_retry(
    context: typer.Context,
    job: Job,
    gone: WhatIsGone = Gone.ASK,
    report: Report = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Read again what a job read, after it was interrupted or what failed was mended; what is unchanged is skipped."""
    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(working.retry(settings, job, gone, caller, report=report, as_json=as_json))


@job_app.command("report")
def job_report(
    context: typer.Context,
    job: Job,
    output: Annotated[Path, typer.Option(help="The file to write, HTML.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Write a job's report: labels by source, personal data by type, confidence; one page that loads nothing."""
    from ragward.cli import commands, working

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    working.report(commands.load_settings(context.obj), job, output, caller, as_json=as_json)
