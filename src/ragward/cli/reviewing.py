"""`ragward review`: the queue of what waits for a person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragward.cli.options import As, AsJSON, Reason, Tenant, TokenFile
from ragward.domain.labels import Classification
from ragward.domain.review import Choice, ReviewKind, ReviewState

if TYPE_CHECKING:
    from ragward.reviewing import Reviewed

review_app = typer.Typer(
    no_args_is_help=True, help="What waits for a person: list, accept, change, reject, ask."
)
Ids = Annotated[list[str], typer.Argument(help="Review ids, or one - for ids on the input.")]
Level = Annotated[str, typer.Option("--to", help="PUBLIC, INTERNAL, CONFIDENTIAL or RESTRICTED.")]


@review_app.command("list")
def list_reviews(
    context: typer.Context,
    state: Annotated[ReviewState, typer.Option(help="What became of them.")] = ReviewState.OPEN,
    kind: Annotated[list[ReviewKind] | None, typer.Option(help="May be repeated.")] = None,
    corpus: Annotated[str | None, typer.Option(help="Only of this corpus.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    page_token: Annotated[str | None, typer.Option(help="Go on where a list ended.")] = None,
    ids: Annotated[bool, typer.Option(help="Ids only, one a line.")] = False,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What waits, oldest first, of the documents that you may relabel."""
    from ragward.cli import commands
    from ragward.reviewing import Queue

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found, token = ragward.reviewing.items(
            subject,
            Queue(states=(state,), kinds=tuple(kind or ()), corpus=corpus),
            untrusted_page_token=page_token,
            limit=limit,
        )
    if as_json:
        body = {"reviews": [as_body(each) for each in found], "next_page_token": token}
        typer.echo(json.dumps(body))
    elif ids:
        for each in found:
            typer.echo(each.item.item_id)
    else:
        _table(found, token)


@review_app.command("show")
def show(
    context: typer.Context,
    review: Annotated[str, typer.Argument(help="The review's id.")],
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """One review, with the evidence for the document's label."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        found = ragward.reviewing.item(subject, review)
    if as_json:
        typer.echo(json.dumps(as_body(found)))
        return
    _table([found], None)
    for line in found.document.evidence:
        typer.echo(f"  {line}")
    for who, why in (
        (found.item.requested_by, found.item.request_reason),
        (found.item.decided_by, found.item.decision_reason),
    ):
        if who:
            typer.echo(f"{who}: {why}")


@review_app.command("accept")
def accept(
    context: typer.Context,
    reviews: Ids,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """The label stays; a quarantined document is let pass; a downgrade is granted. Exit 1 if one was refused."""
    _decide(context, reviews, Choice.ACCEPT, reason, None, (tenant, person, token_file), as_json)


@review_app.command("change")
def change(
    context: typer.Context,
    reviews: Ids,
    level: Level,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Another classification. From RESTRICTED down it becomes a request that a second person grants."""
    wanted = Classification.parse(level)
    _decide(context, reviews, Choice.CHANGE, reason, wanted, (tenant, person, token_file), as_json)


@review_app.command("reject")
def reject(
    context: typer.Context,
    reviews: Ids,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """A quarantined document stays held back; a downgrade is not granted."""
    _decide(context, reviews, Choice.REJECT, reason, None, (tenant, person, token_file), as_json)


@review_app.command("downgrade")
def downgrade(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Document id, or CORPUS:SOURCE.")],
    level: Level,
    reason: Reason,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Ask for a lower classification."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        name = commands.document_id(ragward, subject, document)
        made = ragward.reviewing.request_downgrade(
            subject, name, Classification.parse(level), reason
        )
    line = f"{made.item.item_id} waits for somebody who may relabel {name}"
    render.result(as_body(made), line, as_json=as_json)


def as_body(found: Reviewed) -> dict[str, Any]:
    """A review as the API gives it."""
    item, document = found.item, found.document
    return {
        "review_id": item.item_id,
        "kind": item.kind.value,
        "state": item.state.value,
        "document_id": item.document_id,
        "version": item.version,
        "corpus": document.corpus,
        "source": document.source,
        "classification": document.label.classification.name,
        "document_state": document.state.value,
        "proposed": _name(item.proposed),
        "confidence": item.confidence,
        "evidence": list(document.evidence),
        "requested_by": item.requested_by,
        "request_reason": item.request_reason,
        "created_at": item.created_at,
        "decided_by": item.decided_by,
        "decided_at": item.decided_at,
        "decided": _name(item.decided),
        "decision_reason": item.decision_reason,
    }


def _name(level: Classification | None) -> str | None:
    return None if level is None else level.name


def _decide(
    context: typer.Context,
    reviews: list[str],
    choice: Choice,
    reason: str,
    level: Classification | None,
    who: tuple[Any, Any, Any],
    as_json: bool,
) -> None:
    """One command for many, as the API has it for many."""
    import sys

    from ragward.cli import commands

    tenant, person, token_file = who
    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    names = sys.stdin.read().split() if reviews == ["-"] else reviews
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        done = ragward.reviewing.decide_all(subject, names, choice, reason, level)
    outcomes = [
        {"review_id": d.item_id, "state": d.state.value if d.state else None, "code": d.code}
        for d in done
    ]
    if as_json:
        typer.echo(json.dumps({"outcomes": outcomes}))
    else:
        for each in outcomes:
            said = each["code"] or each["state"]
            waits = ": waits for a second person" if each["state"] == "open" else ""
            typer.echo(f"{each['review_id']} {said}{waits}")
    raise typer.Exit(1 if any(each["code"] for each in outcomes) else 0)


def _table(found: list[Reviewed], token: str | None) -> None:
    from rich.table import Table

    from ragward.cli import render

    table = Table("review", "kind", "state", "document", "label", "proposed", "confidence")
    for each in found:
        item, document = each.item, each.document
        proposed = render.badge(item.proposed.name) if item.proposed is not None else ""
        table.add_row(
            item.item_id,
            item.kind.value,
            item.state.value,
            f"{document.corpus}:{document.source}",
            render.badge(document.label.classification.name),
            proposed,
            "" if item.confidence is None else f"{item.confidence:.2f}",
        )
    render.console().print(table)
    if token is not None:
        typer.echo(f"there are more: --page-token {token}")
