"""What each protection costs while documents are ingested: real text and the real model, every document with all of them and with
each left out, in turn.

Documents are stored under a name for each way, so that none is known from before. Nothing left out here can be left out of an
installation.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ragward.bench.report import IngestCost
from ragward.bootstrap import Ragward
from ragward.domain.access import Subject
from ragward.domain.corpus import Chunk, SourceDocument
from ragward.domain.findings import Screening, Span, Verdict
from ragward.domain.handling import Handling
from ragward.domain.jobs import JobItem
from ragward.domain.labels import Classification
from ragward.domain.scans import Scan
from ragward.ingestion import Ingestion

_EVERYTHING: Final = "everything"


class NothingFound:
    """A finder that finds nothing, a screener that lets everything pass. Never part of an installation."""

    def __init__(self, version: str) -> None:
        self.version = self.rule_set = version

    def find(self, _text: str) -> tuple[Span, ...]:
        return ()

    def scan(self, _text: str, _chunks: Sequence[Chunk]) -> Scan:
        return Scan(spans=())

    def screen(self, _text: str) -> Screening:
        return Screening(verdict=Verdict.ALLOW, rules=(), rule_set=self.rule_set)


def ingest_costs(
    ragward: Ragward, subject: Subject, items: Sequence[JobItem], documents: int
) -> list[IngestCost]:
    """Of the first so many of these items, all of which the subject may ingest."""
    ways = _ways(ragward.ingestion)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    chance = np.random.default_rng(5)
    names = list(ways)
    for position, item in enumerate(items[: documents + 1]):
        source = _encrypted(item.load())
        for turn in chance.permutation(len(names)):
            name = names[turn]
            copy = dataclasses.replace(source, source=f"{name}/{source.source}")
            begin = time.perf_counter()
            ways[name].ingest(subject, copy)
            if position:  # the first loads what is loaded once
                seconds[name].append(time.perf_counter() - begin)
    everything = seconds.pop(_EVERYTHING)
    return [
        IngestCost(
            name=name,
            documents=len(without),
            without_per_second=len(without) / sum(without),
            with_per_second=len(everything) / sum(everything),
            ratio=statistics.median(w / o for w, o in zip(everything, without, strict=True)),
        )
        for name, without in seconds.items()
    ]


def _encrypted(source: SourceDocument) -> SourceDocument:
    """As INTERNAL, whose content is encrypted and whose encryption may be left out."""
    label = dataclasses.replace(source.label, classification=Classification.INTERNAL)
    return dataclasses.replace(source, label=label)


def _ways(real: Ingestion) -> Mapping[str, Ingestion]:
    """All protections, and each left out."""
    ports = real._ports
    analysis: Any = ports.analyser
    silent: Any = NothingFound(analysis.finder.version)
    passing: Any = NothingFound(analysis.screener.rule_set)
    in_clear = dataclasses.replace(ports.protection, handling=_in_clear(ports.protection.handling))
    return {
        _EVERYTHING: real,
        "finding personal data": Ingestion(
            dataclasses.replace(ports, analyser=dataclasses.replace(analysis, finder=silent))
        ),
        "screening": Ingestion(
            dataclasses.replace(ports, analyser=dataclasses.replace(analysis, screener=passing))
        ),
        "encryption of texts and vectors": Ingestion(
            dataclasses.replace(ports, protection=in_clear)
        ),
    }


def _in_clear(handling: Handling) -> Handling:
    internal = dataclasses.replace(handling[Classification.INTERNAL], encrypt=False)
    return {**handling, Classification.INTERNAL: internal}
