"""`ragward leak-test`: what a thief of the files recognises, beside what an answer of chance would be."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from ragward.bootstrap import Ragward
from ragward.cli.render import console
from ragward.domain.corpus import StoredVector
from ragward.domain.generations import FIRST
from ragward.domain.handling import sealed_levels
from ragward.domain.labels import Classification
from ragward.opening import index_directory, open_embedder
from ragward.settings import Settings

if TYPE_CHECKING:
    from ragward.adapters.leak_sources import LeakResult

#: Above so many times what chance gives, a sealed copy counts as recognised.
_MORE_THAN_CHANCE = 5


def leak_test(settings: Settings, tenants: Sequence[str], size: int, *, as_json: bool) -> int:
    """Attacks copies of the installation's own index and catalog; 1 if what should be sealed is recognised."""
    with Ragward.open(settings) as ragward:
        found = attack(ragward, tenants, size)
    _show(found, as_json=as_json)
    if settings.qdrant_url:
        typer.echo("The Qdrant server's copy was not looked at.", err=True)
    bad = recognised(found)
    if bad:
        typer.echo(f"Recognised although sealed: {', '.join(bad)}", err=True)
    return 1 if bad else 0


def attack(ragward: Ragward, tenants: Sequence[str], size: int) -> list[tuple[str, LeakResult]]:
    """(classification and mode, result) per copy."""
    from ragward.adapters.leak_sources import attacked, plain_rows, true_rows

    found: list[tuple[str, LeakResult]] = []
    settings = ragward.settings
    sealed = sealed_levels(ragward.handling)
    for generation in ragward.models.read().all:
        directory = index_directory(settings, generation.number)
        plain = plain_rows(directory) if directory.is_dir() and not settings.qdrant_url else {}
        which = "" if generation.number == FIRST else f", generation {generation.number}"
        for level in Classification:
            stored = _stored(ragward, tenants, level, size, generation.number)
            truth = true_rows(ragward.index_sync.opener, stored, generation.dimension)
            mode = "sealed" if level in sealed else "plain"
            name = f"{level.name} ({mode}{which})"
            found += [(name, result) for result in attacked(stored, truth, plain)]
    return found


def recognised(found: Sequence[tuple[str, LeakResult]]) -> list[str]:
    """What is sealed and was recognised, or is in the index at all."""
    return [name for name, result in found if "sealed" in name and _is_recognised(result)]


def leak_test_sample(size: int, *, as_json: bool) -> int:
    """The same of made-up sentences, as both modes would store them; needs no installation."""
    from ragward.adapters.leak_sources import attacked, sample_copies

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        settings = Settings.load(data_dir=directory / "data", keyring=directory / "keyring")
        results = attacked(*sample_copies(open_embedder(settings), directory / "index", size))
    _show([("sample", result) for result in results], as_json=as_json)
    return 0


def _stored(
    ragward: Ragward,
    tenants: Sequence[str],
    level: Classification,
    size: int,
    generation: int,
) -> list[StoredVector]:
    """Up to `size` points of a classification, with their vectors of one generation."""
    stored: list[StoredVector] = []
    for tenant in tenants:
        labels = ragward.catalog.labels(tenant)
        mine = [number for number, label in labels.items() if label.classification is level]
        documents = ragward.catalog.documents_answering(tenant, mine)
        for document in itertools.islice(documents, size):
            if len(stored) < size:
                stored += ragward.catalog.vectors_of(
                    tenant, [document], mine, generation=generation
                )
    return stored[:size]


def _is_recognised(result: LeakResult) -> bool:
    if result.mode == "in the index":
        return True  # it should not be there at all
    usual = max(result.chance * _MORE_THAN_CHANCE, 0.05)
    return any(rate > usual for rate in result.rates.values())


def _show(found: Sequence[tuple[str, LeakResult]], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "what": name,
                "copy": result.mode,
                "rows": result.rows,
                "guesses": result.guesses,
                "chance": result.chance,
                "matched": result.rates,
            }
            for name, result in found
        ]
        typer.echo(json.dumps(rows))
        return
    attacks = list(dict.fromkeys(attack for _, result in found for attack in result.rates))
    table = Table("what", "copy", "rows", "chance", *attacks)
    for name, result in found:
        rates = [f"{result.rates[a]:.1%}" if a in result.rates else "" for a in attacks]
        table.add_row(name, result.mode, str(result.rows), f"{result.chance:.1%}", *rates)
    console().print(table)
