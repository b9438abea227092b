"""`ragward model`: what is known of the embedding model, and whether another may take its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragward.cli.options import AsJSON

if TYPE_CHECKING:
    from ragward.adapters.model_manifest import ModelManifest
    from ragward.domain.generations import Generation

model_app = typer.Typer(
    no_args_is_help=True, help="The embedding model: canary queries, another one in its place."
)
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


@model_app.command("digest")
def digest(
    manifest: Annotated[Path, typer.Argument(help='{"files": {path: sha256}}')],
    of: Annotated[
        Path | None, typer.Option(help="Write the manifest first, of this model's directory.")
    ] = None,
    reference: Annotated[
        bool,
        typer.Option(
            help="Write vectors of the model's own library into it, so that ONNX Runtime can be held to them."
        ),
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Print a model manifest's digest, for `search_models`."""
    from ragward.adapters.model_manifest import ModelManifest
    from ragward.cli import render

    if of is not None:
        manifest.write_text(_manifest_of(of, reference=reference).text(), encoding="utf-8")
    found = ModelManifest.load(manifest).digest()
    render.result({"sha256": found}, found, as_json=as_json)


def _manifest_of(directory: Path, *, reference: bool) -> ModelManifest:
    """Of a model's directory, with what its own library makes of the reference texts."""
    from dataclasses import replace

    from ragward.adapters.embedder_sentence_transformers import SentenceTransformersEmbedder
    from ragward.adapters.model_manifest import REFERENCE_TEXTS, ModelManifest

    files = ModelManifest.of(directory)
    if not reference:
        return files
    vectors = SentenceTransformersEmbedder.load(directory, files).embed(REFERENCE_TEXTS)
    return replace(files, reference=tuple(zip(REFERENCE_TEXTS, vectors, strict=True)))


@model_app.command("status")
def status(context: typer.Context, as_json: AsJSON = False) -> None:
    """Which generations of vectors there are, which answers, and how far the other one is."""
    from ragward.bootstrap import Ragward
    from ragward.cli import commands, render

    with Ragward.open(commands.load_settings(context.obj)) as ragward:
        found, counts = ragward.reembedding.status()
    rows = []
    for each in found.all:
        lacking, total = counts[each.number]
        rows.append(_generation(each) | {"lacking": lacking, "total": total})
    lines = [
        "{number}: {state}, {dimension} dimensions, model {model:.12}, {lacking} of {total} vectors lack".format(
            **row
        )
        for row in rows
    ]
    render.result({"generations": rows}, "\n".join(lines), as_json=as_json)


@model_app.command("build")
def build(context: typer.Context, as_json: AsJSON = False) -> None:
    """Make the vectors of the model that `search_models` adds; go on after an interruption. Exit 1 if some cannot be made."""
    from ragward.bootstrap import Ragward
    from ragward.cli import commands, render

    with Ragward.open(commands.load_settings(context.obj)) as ragward:
        done = _with_bar(ragward.reembedding.build, quiet=as_json)
    result = _generation(done.generation) | {
        "documents": done.documents,
        "failed": dict(done.failed),
        "lacking": done.lacking,
        "total": done.total,
    }
    line = f"{done.documents} documents done, {done.lacking} of {done.total} vectors lack"
    if done.failed:
        line += "; " + ", ".join(f"{code} x{n}" for code, n in sorted(done.failed.items()))
    render.result(result, line, as_json=as_json)
    raise typer.Exit(1 if done.lacking else 0)


@model_app.command("switch")
def switch(context: typer.Context, as_json: AsJSON = False) -> None:
    """Let the generation that was built answer, if the canary queries find it no worse; exit 3 if they do."""
    raise typer.Exit(_switch(context, back=False, as_json=as_json))


@model_app.command("rollback")
def rollback(context: typer.Context, as_json: AsJSON = False) -> None:
    """Let the generation that answered before answer again, at once."""
    raise typer.Exit(_switch(context, back=True, as_json=as_json))


@model_app.command("drop")
def drop(context: typer.Context, as_json: AsJSON = False) -> None:
    """Remove the generation that does not answer; after a switch it waits until no older answer is under way."""
    from ragward.bootstrap import Ragward
    from ragward.cli import commands, render

    with Ragward.open(commands.load_settings(context.obj)) as ragward:
        gone = ragward.reembedding.drop()
    render.result(_generation(gone), f"generation {gone.number} is gone", as_json=as_json)


def _switch(context: typer.Context, *, back: bool, as_json: bool) -> int:
    from ragward.bootstrap import Ragward
    from ragward.cli import commands, render

    with Ragward.open(commands.load_settings(context.obj)) as ragward:
        flow = ragward.reembedding
        done = flow.roll_back() if back else flow.switch()
    result = _generation(done.serving) | {
        "accepted": done.accepted,
        "problems": list(done.problems),
    }
    line = f"generation {done.serving.number} answers"
    if not done.accepted:
        line = f"refused: {'; '.join(done.problems)}; {line}"
    render.result(result, line, as_json=as_json)
    return 0 if done.accepted else 3


def _with_bar(work: Any, *, quiet: bool) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ragward.cli import render

    columns = (
        TextColumn("vectors"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=render.console(stderr=True), disable=quiet) as bar:
        task = bar.add_task("vectors", total=None)
        return work(lambda done, total: bar.update(task, completed=done, total=total))


def _generation(given: Generation) -> dict[str, Any]:
    return {
        "number": given.number,
        "model": given.model,
        "dimension": given.dimension,
        "state": given.state.value,
    }
