"""`ragward model`: what is known of the embedding model, and whether another may take its place."""

from __future__ import annotations

import typer

from ragward.cli.options import AsJSON

model_app = typer.Typer(no_args_is_help=True, help="The embedding model: canary queries.")
canary_app = typer.Typer(no_args_is_help=True, help="Gate a change of the model.")
model_app.add_typer(canary_app, name="canary")


@canary_app.command("record")
def record(context: typer.Context, as_json: AsJSON = False) -> None:
    """Put the present model's answers on record; another model is refused from then on until it passes."""
    raise typer.Exit(_run(context, checking=False, as_json=as_json))


@canary_app.command("check")
def check(context: typer.Context, as_json: AsJSON = False) -> None:
    """Accept the present model if it answers no worse than the one on record; exit 3 if it does not."""
    raise typer.Exit(_run(context, checking=True, as_json=as_json))


def _run(context: typer.Context, *, checking: bool, as_json: bool) -> int:
    from contextlib import ExitStack
    from dataclasses import asdict

    from ragward.cli import commands, render
    from ragward.opening import open_canary

    with ExitStack() as stack:
        canary = open_canary(commands.load_settings(context.obj), stack)
        found = canary.check() if checking else canary.record()
    told = "accepted" if found.accepted else "refused: " + "; ".join(found.problems)
    render.result(asdict(found), f"{told} (recall {found.recall:.2f})", as_json=as_json)
    return 0 if found.accepted else 3
