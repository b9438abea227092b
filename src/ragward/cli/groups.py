"""The command groups: what stewards, security officers and operators do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragward.cli.access import access_app
from ragward.cli.audit_group import audit_app
from ragward.cli.behaviour import restriction_app
from ragward.cli.classifying import classifier_app, classify
from ragward.cli.holding import hold_app, retention_app
from ragward.cli.honey import honey_app
from ragward.cli.identities import identities_app
from ragward.cli.jobs_group import ingest, job_app, sync_acl
from ragward.cli.keys_group import keys_app, shred_app
from ragward.cli.lineage import lineage
from ragward.cli.model import model_app
from ragward.cli.options import As, AsJSON, Days, Owner, Purpose, Reason, Tenant, TokenFile
from ragward.cli.personal import pii_app, pseudonym_app
from ragward.cli.policy_roots import policy_app
from ragward.cli.receipts import receipt_app
from ragward.cli.reviewing import review_app
from ragward.cli.screening import rescreen
from ragward.cli.sources import source_app
from ragward.cli.task_grants import task_grant_app

index_app = typer.Typer(no_args_is_help=True, help="The vector index.")
bench_app = typer.Typer(no_args_is_help=True, help="What authorization and protection cost.")
document_app = typer.Typer(
    no_args_is_help=True, help="Documents: list, show, relabel, release, delete."
)
application_app = typer.Typer(no_args_is_help=True, help="AI applications and their API keys.")
directory_app = typer.Typer(
    no_args_is_help=True, help="People and groups that an identity provider keeps here."
)
tenant_app = typer.Typer(no_args_is_help=True, help="Tenants of this installation.")


def add_to(app: typer.Typer) -> None:
    """Hangs every group into the command line."""
    for name, group in (
        ("document", document_app),
        ("job", job_app),
        ("review", review_app),
        ("classifier", classifier_app),
        ("policy", policy_app),
        ("access", access_app),
        ("application", application_app),
        ("identities", identities_app),
        ("task-grant", task_grant_app),
        ("directory", directory_app),
        ("tenant", tenant_app),
        ("keys", keys_app),
        ("shred", shred_app),
        ("hold", hold_app),
        ("source", source_app),
        ("honey", honey_app),
        ("restriction", restriction_app),
        ("retention", retention_app),
        ("audit", audit_app),
        ("receipt", receipt_app),
        ("index", index_app),
        ("model", model_app),
        ("bench", bench_app),
        ("pii", pii_app),
        ("pseudonym", pseudonym_app),
    ):
        app.add_typer(group, name=name)
    app.command("ingest")(ingest)
    app.command("sync-acl")(sync_acl)
    app.command("rescreen")(rescreen)
    app.command("classify")(classify)
    app.command("lineage")(lineage)


@document_app.command("list")
def document_list(
    context: typer.Context,
    corpus: Annotated[str | None, typer.Option(help="Only of this corpus.")] = None,
    quarantined: Annotated[bool, typer.Option(help="Only what waits for a steward.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    page_token: Annotated[str | None, typer.Option(help="Go on where a list ended.")] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The documents you may know of."""
    from ragward.cli import commands, stewarding

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    wanted = stewarding.Listing(
        corpus=corpus, quarantined=quarantined, limit=limit, page_token=page_token
    )
    stewarding.show_list(settings, wanted, caller, as_json=as_json)


@document_app.command("show")
def document_show(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Document id, or CORPUS:SOURCE.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What the catalog says of a document."""
    from ragward.cli import commands, stewarding

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    stewarding.show(commands.load_settings(context.obj), document, caller, as_json=as_json)


@document_app.command("relabel")
def document_relabel(
    context: typer.Context,
    document: Annotated[
        str, typer.Argument(help="Document id, CORPUS:SOURCE, or CORPUS:FOLDER/ for all below it.")
    ],
    reason: Reason,
    classification: Annotated[str | None, typer.Option(help="Otherwise as it is.")] = None,
    grant: Annotated[
        list[str] | None, typer.Option(help="Who may read; otherwise as it is.")
    ] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Who may not; otherwise as it is.")] = None,
    compartment: Annotated[list[str] | None, typer.Option(help="Otherwise as it is.")] = None,
    valid_until: Annotated[int | None, typer.Option(help="Unix seconds.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Of a folder: only say what would change.")] = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Give a document, or a whole source folder, another access label, in force when this returns."""
    from ragward.cli import commands, stewarding
    from ragward.domain.labels import Classification, LabelChange

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    change = LabelChange(
        classification=Classification.parse(classification) if classification else None,
        granted=frozenset(grant) if grant is not None else None,
        denied=frozenset(deny) if deny is not None else None,
        compartments=frozenset(compartment) if compartment is not None else None,
        valid_until=valid_until,
    )
    settings = commands.load_settings(context.obj)
    stewarding.relabel(settings, document, change, reason, caller, dry_run=dry_run, as_json=as_json)


@document_app.command("resume")
def document_resume(context: typer.Context, as_json: AsJSON = False) -> None:
    """Finish relabellings that waited for a key or were killed half-way; the server does so by itself."""
    from ragward.cli import commands, stewarding

    stewarding.resume(commands.load_settings(context.obj), as_json=as_json)


@document_app.command("release")
def document_release(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Document id, or CORPUS:SOURCE.")],
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Let a quarantined document be answered from, after somebody read it."""
    from ragward.cli import commands, stewarding

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    settings = commands.load_settings(context.obj)
    stewarding.release(settings, document, reason, caller, as_json=as_json)


@document_app.command("delete")
def document_delete(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Document id, or CORPUS:SOURCE.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Delete a document; its key is destroyed with it."""
    from ragward.cli import commands, stewarding

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    stewarding.delete(commands.load_settings(context.obj), document, caller, as_json=as_json)


@application_app.command("add")
def application_add(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(help="app:TENANT/NAME")],
    client_id: Annotated[str, typer.Option(help="As in its tokens (azp or client_id).")],
    ceiling: Annotated[str, typer.Option(help="Highest classification that may pass through it.")],
    corpus: Annotated[list[str], typer.Option(help="Corpora that may pass; '*' for all.")],
    public: Annotated[bool, typer.Option(help="It cannot keep a secret: no key is made.")] = False,
    replace_keys: Annotated[bool, typer.Option(help="Earlier keys end now, not in a day.")] = False,
    purpose: Purpose = "registered on the command line",
    days: Days = 365,
    owner: Owner = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Register an AI application; prints its API key once."""
    from ragward.cli import commands, stewarding

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    application = stewarding.NewApplication(
        principal=principal,
        client_id=client_id,
        ceiling=ceiling,
        corpora=corpus,
        public=public,
        replace_keys=replace_keys,
        purpose=purpose,
        days=days,
        owner=owner,
    )
    settings = commands.load_settings(context.obj)
    stewarding.add_application(settings, application, caller, as_json=as_json)


@directory_app.command("users")
def directory_users(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1000,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The people, whether they are active, and who they are in the policy."""
    from ragward.cli import commands, directory

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    directory.show_users(commands.load_settings(context.obj), limit, caller, as_json=as_json)


@directory_app.command("groups")
def directory_groups(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1000,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The groups, and who they are in the policy."""
    from ragward.cli import commands, directory

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    directory.show_groups(commands.load_settings(context.obj), limit, caller, as_json=as_json)


@tenant_app.command("add")
def tenant_add(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument()],
    admin: Annotated[str, typer.Option(help="Its administrator: user:TENANT/NAME.")],
    policy: Annotated[Path | None, typer.Option(help="Casbin CSV to start from.")] = None,
    as_json: AsJSON = False,
) -> None:
    """A further tenant; needs the keyring's passphrase, as `init` does."""
    from ragward.cli import commands, stewarding

    settings = commands.load_settings(context.obj)
    stewarding.add_tenant(settings, tenant, admin, policy, as_json=as_json)


@tenant_app.command("repair")
def tenant_repair(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument()],
    as_json: AsJSON = False,
) -> None:
    """Put the newest valid version in the place of a stored policy that is not valid (unavailable.policy)."""
    from ragward.cli import commands, stewarding

    stewarding.repair_policy(commands.load_settings(context.obj), tenant, as_json=as_json)


@index_app.command("rebuild")
def index_rebuild(context: typer.Context, as_json: AsJSON = False) -> None:
    """Empty the index and fill it from the catalog."""
    from ragward.cli import commands

    commands.index_rebuild(commands.load_settings(context.obj), as_json=as_json)


_DATA = typer.Option(
    help="Your own text in the place of made-up chunks: a directory, or JSONL with `text`."
)
_OUT = typer.Option(help="Also write benchmark.json, plots and index.html here.")
_WARDOWL = typer.Option(help="Compare with wardowl: a Python that has wardowl[faiss] and pycasbin.")
_POSTGRES = typer.Option(help="Compare with PostgreSQL, pgvector and row level security.")
_LANGCHAIN = typer.Option(help="Compare with LangChain's retriever.")


@bench_app.command("quick")
def bench_quick(
    data: Annotated[Path | None, _DATA] = None,
    out: Annotated[Path | None, _OUT] = None,
    wardowl: Annotated[Path | None, _WARDOWL] = None,
    postgres: Annotated[bool, _POSTGRES] = False,
    langchain: Annotated[bool, _LANGCHAIN] = False,
    as_json: AsJSON = False,
) -> None:
    """What authorization costs and loses on 10,000 chunks, beside what others do; minutes."""
    from ragward.cli.bench import Options, run_quick

    options = Options(data=data, out=out, wardowl=wardowl, postgres=postgres, langchain=langchain)
    raise typer.Exit(run_quick(options, as_json=as_json))


@bench_app.command("full")
def bench_full(
    data: Annotated[Path | None, _DATA] = None,
    out: Annotated[Path | None, _OUT] = None,
    wardowl: Annotated[Path | None, _WARDOWL] = None,
    postgres: Annotated[bool, _POSTGRES] = True,
    langchain: Annotated[bool, _LANGCHAIN] = False,
    points: Annotated[
        int | None, typer.Option(min=1_000, max=1_000_000, help="Chunks; 100,000 if left out.")
    ] = None,
    alone: Annotated[
        bool,
        typer.Option(help="ragward only: of a million chunks one system fills a small machine."),
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep, or use again, what is built here.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """The same on 100,000 chunks and at every readable share; an hour."""
    from ragward.cli.bench import Options, run_full

    options = Options(
        data=data,
        out=out,
        wardowl=wardowl,
        postgres=postgres,
        langchain=langchain,
        alone=alone,
        points=points,
        keep=keep,
    )
    raise typer.Exit(run_full(options, as_json=as_json))


@bench_app.command("report")
def bench_report(
    report: Annotated[Path, typer.Argument(help="What --out or --json wrote.")],
    out: Annotated[Path | None, _OUT] = None,
    as_json: AsJSON = False,
) -> None:
    """An earlier run again: its table, and its plots and page with --out."""
    from ragward.cli.bench import show_report

    raise typer.Exit(show_report(report, out, as_json=as_json))
