"""The command line: groups and commands; what each needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ragward.cli import groups
from ragward.cli.options import After, As, AsJSON, At, SettingsFile, Tenant, TokenFile
from ragward.domain.errors import (
    CODES,
    ConfigurationError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
    UnauthenticatedError,
)
from ragward.domain.handling import Mode
from ragward.domain.passages import SearchMode

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Retrieval authorization and data protection for RAG.",
)
groups.add_to(app)


@app.callback()
def common(context: typer.Context, settings: SettingsFile = None) -> None:
    """Options of every command."""
    file = settings or Path(os.environ.get("RAGWARD_SETTINGS", "ragward.toml"))
    context.obj = file if settings or file.is_file() else None


@app.command()
def init(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="The first tenant.")],
    admin: Annotated[str, typer.Option(help="Its administrator: user:TENANT/NAME.")],
    policy: Annotated[Path | None, typer.Option(help="Casbin CSV to start from.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Create keyring, catalog and log, and name the first administrator. Runs once."""
    from ragward.cli import commands

    commands.init(commands.load_settings(context.obj), tenant, admin, policy, as_json=as_json)


@app.command()
def upgrade(context: typer.Context, as_json: AsJSON = False) -> None:
    """Bring an older catalog to this version."""
    from ragward.cli import commands

    commands.upgrade(commands.load_settings(context.obj), as_json=as_json)


@app.command()
def demo(
    keep: Annotated[
        Path | None, typer.Option(help="Keep the installation in this new directory.")
    ] = None,
    serve: Annotated[bool, typer.Option(help="Serve the API on loopback afterwards.")] = False,
) -> None:
    """Two sample companies: ingest, ask the same questions as five people, check every answer."""
    from ragward.cli.demo import run_demo

    raise typer.Exit(run_demo(keep, serve=serve))


@app.command()
def serve(
    context: typer.Context,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer, beside one that owns.")
    ] = 1,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the REST API."""
    from ragward.cli import commands, serving

    settings = commands.load_settings(context.obj)
    if worker is not None:
        serving.serve_as_worker(settings, worker)
    else:
        serving.serve(settings, context.obj, workers)


@app.command()
def query(
    context: typer.Context,
    question: Annotated[str, typer.Argument()],
    corpus: Annotated[list[str] | None, typer.Option(help="Only here; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50)] = 5,
    min_epoch: Annotated[
        str | None, typer.Option(help="The epoch token of a write that must be in force.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="What the answer is for.")] = "",
    minimize: Annotated[
        Mode | None,
        typer.Option(help="What is left of a passage; as its classification says if not given."),
    ] = None,
    search: Annotated[
        SearchMode, typer.Option(help="By meaning, by words, or by both, joined by rank.")
    ] = SearchMode.VECTOR,
    agent: Annotated[
        str | None, typer.Option(help="With --as: an agent acting for the person.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Ask the API at this URL instead of opening the installation."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="With --as: the tenant.")] = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Ask, and see what this asker may know."""
    from ragward.cli import commands
    from ragward.domain.passages import RetrievalRequest

    caller = commands.Caller(person=person, tenant=tenant, agent=agent, token_file=token_file)
    settings = commands.load_settings(context.obj)
    request = RetrievalRequest(
        query=question,
        corpora=tuple(corpus or ()),
        limit=limit,
        min_epoch=min_epoch,
        purpose=purpose,
        minimize=minimize,
        search=search,
    )
    commands.query(settings, request, caller, server, as_json=as_json)


@app.command()
def explain(
    context: typer.Context,
    principal: Annotated[str, typer.Option(help="Whose access: user:TENANT/NAME.")],
    document: Annotated[
        str | None, typer.Argument(help="Document id, or CORPUS:SOURCE; none with --query alone.")
    ] = None,
    question: Annotated[
        str | None, typer.Option("--query", help="How far it comes in their answer to this.")
    ] = None,
    chunk: Annotated[str | None, typer.Option(help="A chunk's id instead of a document.")] = None,
    application: Annotated[
        str | None, typer.Option(help="Through this one: app:TENANT/NAME.")
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="And this agent: agent:TENANT/NAME; may be repeated.")
    ] = None,
    corpus: Annotated[list[str] | None, typer.Option(help="With --query: only here.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="With --query.")] = 10,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Why somebody may or may not read a document, or where an answer lost it; for stewards. Exit 3 if not permitted."""
    from ragward.cli import commands, explaining

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    wanted = explaining.Wanted(
        principal=principal,
        document=document,
        chunk=chunk,
        query=question,
        application=application,
        agents=agent or [],
        corpora=corpus or [],
        limit=limit,
    )
    settings = commands.load_settings(context.obj)
    raise typer.Exit(explaining.explain(settings, wanted, caller, as_json=as_json))


@app.command("inspect-output")
def inspect_output(
    context: typer.Context,
    receipt: Annotated[str, typer.Argument(help="The receipt of the passages it was made from.")],
    answer: Annotated[Path, typer.Argument(help="File with the model's answer; - for input.")],
    tenant: Annotated[str | None, typer.Option(help="With --as: the tenant.")] = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What of a model's answer may be shown to whoever got the receipt."""
    from ragward.cli import commands, inspecting

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(inspecting.inspect_output(settings, receipt, answer, caller, as_json=as_json))


@app.command("who-can-see")
def who_can_see(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Document id, CORPUS:SOURCE, or chunk:ID.")],
    at: At = None,
    after: After = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Who may read a document, and through what; for stewards. Exit 3 if nobody."""
    from ragward.cli import commands, explaining

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    page = explaining.Page(at=at, after=after, limit=limit)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(explaining.who_can_see(settings, document, page, caller, as_json=as_json))


@app.command("what-can-see")
def what_can_see(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(help="user:TENANT/NAME, app:... or agent:...")],
    at: At = None,
    after: After = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Documents at most.")] = 20,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What somebody may read and do; for stewards. Exit 3 if nothing can be read."""
    from ragward.cli import commands, explaining

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    page = explaining.Page(at=at, after=after, limit=limit)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(explaining.what_can_see(settings, principal, page, caller, as_json=as_json))


@app.command("my-access")
def my_access(
    context: typer.Context,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The corpora and classifications in which you can read something already."""
    from ragward.cli import commands, explaining

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    explaining.my_access(commands.load_settings(context.obj), caller, as_json=as_json)


@app.command()
def mcp(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(help="Ask the API at this URL instead of opening the installation."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="With --as: an agent acting for the person.")
    ] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
) -> None:
    """Serve the tools search and fetch to one person's assistant over standard input and output (MCP)."""
    from ragward.cli import assisting, commands

    caller = commands.Caller(person=person, tenant=tenant, agent=agent, token_file=token_file)
    assisting.mcp(context.obj, caller, server)


@app.command()
def token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The person.")],
    agent: Annotated[str | None, typer.Option(help="An agent acting for them.")] = None,
    tenant: Annotated[str | None, typer.Option()] = None,
    acr: Annotated[
        str, typer.Option(help="How they authenticated: phr, mfa; empty is nothing.")
    ] = "phr",
    device: Annotated[
        str, typer.Option(help="compliant, managed; empty is unknown.")
    ] = "compliant",
    auth_age: Annotated[int, typer.Option(min=0, help="Seconds since they authenticated.")] = 0,
    key_thumbprint: Annotated[
        str | None, typer.Option(help="Bind it to the DPoP key with this RFC 7638 thumbprint.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Print a token of the development issuer, of somebody who proved who they are as well as one can."""
    from ragward.cli import commands

    caller = commands.Caller(person=name, tenant=tenant, agent=agent)
    proof = commands.TokenProof(
        acr=acr or None, device=device or None, auth_age=auth_age, key_thumbprint=key_thumbprint
    )
    commands.token(commands.load_settings(context.obj), caller, proof, as_json=as_json)


@app.command()
def config(context: typer.Context, as_json: AsJSON = False) -> None:
    """The settings in force, secrets left out."""
    from ragward.cli import commands

    commands.config(commands.load_settings(context.obj), as_json=as_json)


@app.command()
def doctor(context: typer.Context, as_json: AsJSON = False) -> None:
    """Check the installation and say what to do about what is wrong; exit 1 if anything is."""
    from ragward.cli import commands
    from ragward.cli.doctor import doctor as examined

    raise typer.Exit(examined(lambda: commands.load_settings(context.obj), as_json=as_json))


@app.command("leak-test")
def leak_test(
    context: typer.Context,
    tenant: Annotated[
        list[str] | None, typer.Option(help="Whose vectors; may be repeated.")
    ] = None,
    sample: Annotated[
        bool, typer.Option(help="Made-up sentences instead of an installation.")
    ] = False,
    size: Annotated[int, typer.Option(min=3, max=5000, help="Vectors per classification.")] = 500,
    as_json: AsJSON = False,
) -> None:
    """Attack copies of the stored vectors, and show how many a thief recognises; exit 1 if sealed ones are."""
    from ragward.cli import commands, leaking

    if sample:
        raise typer.Exit(leaking.leak_test_sample(size, as_json=as_json))
    if not tenant:
        raise InvalidRequestError("name a --tenant, or --sample")
    settings = commands.load_settings(context.obj)
    raise typer.Exit(leaking.leak_test(settings, tenant, size, as_json=as_json))


@app.command()
def backup(
    context: typer.Context, directory: Annotated[Path, typer.Argument()], as_json: AsJSON = False
) -> None:
    """A consistent copy of catalog and log. The keyring and its passphrase are not in it: keep them elsewhere."""
    from ragward.cli import commands

    commands.backup(commands.load_settings(context.obj), directory, as_json=as_json)


@app.command()
def restore(
    context: typer.Context, directory: Annotated[Path, typer.Argument()], as_json: AsJSON = False
) -> None:
    """Put a backup into an empty data directory and build the index anew."""
    from ragward.cli import commands

    commands.restore(commands.load_settings(context.obj), directory, as_json=as_json)


@app.command("openapi")
def openapi(
    output: Annotated[Path | None, typer.Option(help="Write here instead of printing.")] = None,
) -> None:
    """The OpenAPI document."""
    from ragward.cli import commands

    commands.openapi(output)


def main() -> None:
    """Entry point: our errors are one line and an exit code."""
    try:
        app()
    except RagwardError as error:
        raise SystemExit(report(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def report(error: RagwardError) -> int:
    """Prints the error and says how to exit: 2 usage, 3 denied, 1 everything else."""
    if "--json" in sys.argv:
        body: dict[str, Any] = {"error": {"code": error.code, "detail": error.detail}}
        typer.echo(json.dumps(body))
    typer.echo(f"error: {error.code}: {error.detail or CODES[error.code]}", err=True)
    if isinstance(error, DeniedError | UnauthenticatedError | NotFoundError):
        return 3
    return 2 if isinstance(error, ConfigurationError | InvalidRequestError) else 1
