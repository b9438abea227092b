"""`ragward rescreen`."""

from __future__ import annotations

import typer

from ragward.cli.options import As, AsJSON, OlderThan, Tenant, TokenFile


def rescreen(
    context: typer.Context,
    older_than: OlderThan = "",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Judge stored text by the screening rules in force; run it again after an interruption."""
    from ragward.cli import commands, render

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    total = {"looked_at": 0, "changed": 0, "quarantined": 0}
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        after = None
        while True:
            done = ragward.rescreening.run(subject, after=after, older_than=older_than)
            for name in total:
                total[name] += getattr(done, name)
            after = done.next_after
            if after is None:
                break
    line = "{looked_at} looked at, {changed} judged anew, {quarantined} wait for a steward"
    render.result(total, line.format(**total), as_json=as_json)
