"""The `access` commands: what the decision point says, as other enforcement points ask it."""

from __future__ import annotations

from typing import Annotated

import typer

from ragward.cli import elevating
from ragward.cli.options import As, AsJSON, Tenant, TokenFile

access_app = typer.Typer(
    no_args_is_help=True, help="Ask the decision point; have a role for a time."
)
search_app = typer.Typer(
    no_args_is_help=True, help="Who, on what, or what: subject, resource, action."
)
access_app.add_typer(search_app, name="search")
elevating.add_to(access_app)

Who = Annotated[str, typer.Argument(help="TYPE:ID with type user, app or agent, as user:ann.")]
What = Annotated[str, typer.Argument(help="As corpus:retrieve or reveal:PERSON.")]
OnWhat = Annotated[
    str,
    typer.Argument(
        help="TYPE:ID with type document, chunk, corpus or label; document:CORPUS:SOURCE too."
    ),
]
Properties = Annotated[
    str | None, typer.Option(help="With label: its classification, corpus, granted, ... as JSON.")
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Results at most.")]
PageToken = Annotated[str | None, typer.Option(help="Go on after an earlier search.")]


@access_app.command("evaluate")
def evaluate(
    context: typer.Context,
    subject: Who,
    action: What,
    resource: OnWhat,
    properties: Properties = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """May this subject do this action on this resource? Exit 3 if not."""
    from ragward.cli import asking, commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    asked = asking.Asked(subject=subject, action=action, resource=resource, properties=properties)
    settings = commands.load_settings(context.obj)
    raise typer.Exit(asking.evaluate(settings, asked, caller, as_json=as_json))


@search_app.command("subject")
def search_subject(
    context: typer.Context,
    subject_type: Annotated[str, typer.Argument(metavar="TYPE", help="user, app or agent.")],
    action: What,
    resource: OnWhat,
    properties: Properties = None,
    limit: Limit = 100,
    page_token: PageToken = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Who may do this?"""
    from ragward.cli import asking, commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    asked = asking.Asked(
        subject=f"{subject_type}:", action=action, resource=resource, properties=properties
    )
    page = asking.page(limit, page_token)
    settings = commands.load_settings(context.obj)
    asking.search(settings, "subject", asked, page, caller, as_json=as_json)


@search_app.command("resource")
def search_resource(
    context: typer.Context,
    subject: Who,
    action: What,
    resource_type: Annotated[str, typer.Argument(metavar="TYPE", help="document or corpus.")],
    limit: Limit = 100,
    page_token: PageToken = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """On what may they do this?"""
    from ragward.cli import asking, commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    asked = asking.Asked(subject=subject, action=action, resource=f"{resource_type}:")
    page = asking.page(limit, page_token)
    settings = commands.load_settings(context.obj)
    asking.search(settings, "resource", asked, page, caller, as_json=as_json)


@search_app.command("action")
def search_action(
    context: typer.Context,
    subject: Who,
    resource: OnWhat,
    properties: Properties = None,
    limit: Limit = 100,
    page_token: PageToken = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What may they do with it?"""
    from ragward.cli import asking, commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    asked = asking.Asked(subject=subject, action="", resource=resource, properties=properties)
    page = asking.page(limit, page_token)
    settings = commands.load_settings(context.obj)
    asking.search(settings, "action", asked, page, caller, as_json=as_json)
