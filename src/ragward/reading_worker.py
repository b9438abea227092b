"""What runs in a Dask worker: documents are fetched and read. It is given neither a data directory nor keys."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ragward.adapters.reading_dask import sealed_reply
from ragward.analysis import Analysis
from ragward.domain.reading import ReadDocument, ReadingTask, source_digest
from ragward.opening import open_analysis
from ragward.settings import Settings

#: The settings that reading depends on; no secrets, no places of content.
CHOICES: Final = (
    "model_dir",
    "policies_dir",
    "names_engine",
    "loaders",
    "parser_seconds",
    "max_file_bytes",
    "egress_hosts",
)
_opened: list[Analysis] = []


@dataclass(frozen=True, slots=True)
class Setup:
    """Opens what reading needs, once per worker. Sent by the process that asks; models and policies are the worker's own files."""

    choices: dict[str, Any]
    threads: int

    @classmethod
    def of(cls, settings: Settings, threads: int) -> Setup:
        """As these settings say."""
        return cls(settings.model_dump(mode="json", include=set(CHOICES)), threads)

    def __call__(self) -> None:
        """Raises `config.*`, `integrity.model`."""
        if _opened:
            return
        settings = Settings.load(
            data_dir=Path("/nonexistent/data"),
            keyring=Path("/nonexistent/keyring"),
            embedding_threads=self.threads,
            **self.choices,
        )
        _opened.append(open_analysis(settings, ExitStack()))


def read_document(task: ReadingTask) -> bytes:
    """The sealed reply to a task."""
    return sealed_reply(task, lambda: _read(task, _opened[0]))


def _read(task: ReadingTask, analysis: Analysis) -> ReadDocument:
    from ragward.adapters.source_url import place_of

    data = place_of(task.place.location).read(task.place.name)
    content = hashlib.sha256(data).digest()
    if task.known and source_digest(content, task.shape) == task.known:
        return ReadDocument(sha256=content)
    analysed = analysis.analyse(task.filename, data, tenant=task.tenant)
    return ReadDocument(sha256=content, analysed=analysed)
