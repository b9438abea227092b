"""`ragward pii` and `ragward pseudonym`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ragward.cli.options import As, AsJSON, OlderThan, Tenant, TokenFile

pii_app = typer.Typer(no_args_is_help=True, help="Personal data: scan again.")
pseudonym_app = typer.Typer(no_args_is_help=True, help="Pseudonyms: turn them back, erase them.")


@pii_app.command("rescan")
def rescan(
    context: typer.Context,
    older_than: OlderThan = "",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Bring findings of another detector version up to date; run it again after an interruption."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    total = {"looked_at": 0, "changed": 0, "embedded": 0, "raised": 0}
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        after = None
        while True:
            done = ragward.rescanning.run(subject, after=after, older_than=older_than)
            for name in total:
                total[name] += getattr(done, name)
            after = done.next_after
            if after is None:
                break
    line = "{looked_at} looked at, {changed} scanned again, {embedded} vectors made, {raised} classified higher"
    render.result(total, line.format(**total), as_json=as_json)


@pseudonym_app.command("reveal")
def reveal(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    purpose: Annotated[str, typer.Option(help="The one they were issued for.")] = "",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Read a text from standard input and turn back the pseudonyms in it that you may see the values of."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    text = sys.stdin.read()
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        done = ragward.disclosure.reveal(subject, text, purpose=purpose, reason=reason)
    result = {"text": done.text, "revealed": dict(done.revealed), "refused": dict(done.refused)}
    render.result(result, done.text, as_json=as_json)


@pseudonym_app.command("erase")
def erase(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    token: Annotated[
        str, typer.Option(help="One token; otherwise a value is read from standard input.")
    ] = "",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Erase the random pseudonyms of a value, which is read from standard input so that no history keeps it, or one token."""
    from ragward.cli import commands, render
    from ragward.domain.pseudonyms import PseudonymErasure

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    erasure = PseudonymErasure(value="" if token else sys.stdin.read(), token=token)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        erased = ragward.disclosure.erase(subject, erasure, reason)
    render.result({"erased": erased}, f"{erased} erased", as_json=as_json)
