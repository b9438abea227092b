"""Ingest jobs: what was asked, how far it is, what went wrong per item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ragward.domain.corpus import SourceDocument


class JobState(StrEnum):
    """The life of a job. The last four are final."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    INTERRUPTED = "interrupted"
    CANCELED = "canceled"
    FAILED = "failed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    SUCCESS = "success"


class ItemOutcome(StrEnum):
    """What became of one file."""

    INGESTED = "ingested"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    RELABELLED = "relabelled"
    QUARANTINED = "quarantined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """One file's outcome; `code` and `detail` when it failed or was quarantined, `detail` also where there is a remark."""

    source: str
    outcome: ItemOutcome
    document_id: str | None = None
    classification: str | None = None
    chunks: int = 0
    entity_counts: Mapping[str, int] = field(default_factory=dict)
    code: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as the catalog holds it. Times are Unix seconds."""

    job_id: str
    tenant: str
    state: JobState
    requested_by: str
    total: int
    done: int
    counts: Mapping[str, int]
    errors: tuple[ItemResult, ...]
    notes: tuple[ItemResult, ...] = ()
    """Items that went in with a remark, such as names of their access list that nobody has."""
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """One thing to ingest: its name, and how to get it (which may raise a `RagwardError` of its own)."""

    source: str
    load: Callable[[], SourceDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """A source, and what holds for every file of one that is no manifest: its corpus, and who may read.

    `posix` asks each file's owner and mode instead of naming anybody.
    """

    location: str
    is_manifest: bool
    corpus: str | None = None
    granted: Sequence[str] = ()
    posix: bool = False
