"""`ragward classify`: what documents would be classified as, and why; `ragward classifier`: training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragward.cli.options import As, AsJSON, Tenant, TokenFile
from ragward.domain.errors import InvalidRequestError, RagwardError

if TYPE_CHECKING:
    from ragward.bootstrap import Ragward
    from ragward.domain.access import Subject
    from ragward.domain.classification import Example
    from ragward.domain.jobs import JobItem
    from ragward.labelling import Labelled

classifier_app = typer.Typer(no_args_is_help=True, help="The trained classifier.")


def classify(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files; or, with --dry-run, one folder or manifest (.jsonl)."),
    ],
    explain: Annotated[
        bool, typer.Option("--explain", help="Which rules hold, and where.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="What `ragward ingest` would make of all of it.")
    ] = False,
    corpus: Annotated[str, typer.Option(help="The corpus they would go to.")] = "files",
    claim: Annotated[
        str, typer.Option(help="What the source claims of files: the lowest that comes out.")
    ] = "PUBLIC",
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """What documents would be classified as; nothing is stored. Exit 1 if one cannot be read."""
    from ragward.cli import commands

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        items = _items(ragward, paths, subject, corpus, claim, dry_run=dry_run)
        found = list(_assessed(ragward, subject, items))
    if as_json:
        typer.echo(json.dumps({"documents": [_body(*each) for each in found]}))
    else:
        _tables(found, explain=explain or not dry_run)
    raise typer.Exit(1 if any(isinstance(made, RagwardError) for _, made in found) else 0)


@classifier_app.command("train")
def train(
    context: typer.Context,
    output: Annotated[Path, typer.Argument(help="Where to write the classifier.")],
    labelled: Annotated[
        Path | None,
        typer.Option(help="Also learn from this manifest: its classifications are labels."),
    ] = None,
    tenant: Tenant = None,
    person: As = None,
    token_file: TokenFile = None,
    as_json: AsJSON = False,
) -> None:
    """Learn from the labels that people reviewed; prints the settings that put the classifier in force."""
    from dataclasses import asdict

    from ragward.cli import commands, render
    from ragward.opening import manifest_items

    caller = commands.Caller(person=person, tenant=tenant, token_file=token_file)
    with commands.opened(commands.load_settings(context.obj), caller) as (ragward, subject):
        further: Sequence[Example] = ()
        if labelled is not None:
            items = manifest_items(labelled, subject.tenant)
            further = [ragward.ingestion.example(subject, item.load()) for item in items]
        made = ragward.learning.train(subject, further)
    output.write_bytes(made.artefact)
    body = {name: value for name, value in asdict(made).items() if name != "artefact"}
    learnt = (
        f"learnt from {sum(made.documents.values())} documents of {made.groups} folders;"
        f" of folders held out {made.accuracy:.0%} right, {made.reviewed:.0%} to review,"
        f" {made.too_low:.1%} too low after it"
    )
    lines = [
        learnt,
        "put it in force with these settings:",
        "[[classifiers]]",
        f'path = "{output}"',
        f'sha256 = "{made.sha256}"',
    ]
    render.result(body | {"path": str(output)}, "\n".join(lines), as_json=as_json)


def _items(
    ragward: Ragward,
    paths: Sequence[Path],
    subject: Subject,
    corpus: str,
    claim: str,
    *,
    dry_run: bool,
) -> list[JobItem]:
    from ragward.domain.jobs import SourceRequest
    from ragward.domain.labels import Classification
    from ragward.opening import file_items, source_items

    many = [path for path in paths if path.is_dir() or path.suffix == ".jsonl"]
    if not dry_run and many:
        raise InvalidRequestError("a folder or a manifest is tried with --dry-run")
    if not dry_run:
        level = Classification.parse(claim)
        return file_items(paths, subject.tenant, corpus=corpus, classification=level)
    if len(paths) != 1 or not many:
        raise InvalidRequestError("--dry-run takes one folder or one manifest")
    folder = paths[0].is_dir()
    source = SourceRequest(
        location=str(paths[0]),
        is_manifest=not folder,
        corpus=corpus if folder else None,
        posix=folder,  # who may read is not what is asked: nobody, where modes are mapped to nobody
    )
    return source_items(ragward.settings, ragward.catalog, subject.tenant, source)


def _assessed(
    ragward: Ragward, subject: Subject, items: Sequence[JobItem]
) -> Iterator[tuple[str, Labelled | RagwardError]]:
    for item in items:
        try:
            yield item.source, ragward.ingestion.assess(subject, item.load())
        except RagwardError as error:
            yield item.source, error


def _body(source: str, made: Labelled | RagwardError) -> dict[str, Any]:
    if isinstance(made, RagwardError):
        return {"source": source, "code": made.code, "detail": made.detail}
    return {
        "source": source,
        "classification": made.label.classification.name,
        "evidence": list(made.evidence),
        "reviews": [
            {
                "kind": doubt.kind.value,
                "proposed": doubt.proposed.name,
                "confidence": round(doubt.confidence, 3),
            }
            for doubt in made.doubts
        ],
    }


def _tables(found: Sequence[tuple[str, Labelled | RagwardError]], *, explain: bool) -> None:
    from rich.table import Table

    from ragward.cli import render

    table = Table(
        "document", "classification", "review", "why" if explain else "", show_lines=explain
    )
    counts: Counter[str] = Counter()
    for source, made in found:
        if isinstance(made, RagwardError):
            counts[made.code] += 1
            table.add_row(source, made.code, "", made.detail)
            continue
        counts[made.label.classification.name] += 1
        counts["to review"] += bool(made.doubts)
        review = ", ".join(
            f"{d.kind.value}: {d.proposed.name} {d.confidence:.2f}" for d in made.doubts
        )
        why = "\n".join(made.evidence) if explain else ""
        table.add_row(source, render.badge(made.label.classification.name), review, why)
    render.console().print(table)
    typer.echo(", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count))
