"""Ingest jobs: what was asked, how far it is, what went wrong per item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ragward.domain.corpus import AttributeValue, SourceDocument, SourcePlace
from ragward.domain.labels import AccessLabel


class JobState(StrEnum):
    """The life of a job. The last four are final."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    INTERRUPTED = "interrupted"
    CANCELED = "canceled"
    FAILED = "failed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    SUCCESS = "success"

    @property
    def is_running(self) -> bool:
        """Whether somebody works on it, or is going to."""
        return self in (JobState.NOT_STARTED, JobState.IN_PROGRESS)

    @property
    def has_ended(self) -> bool:
        """Whether nothing changes any more; an interrupted job may still be canceled."""
        return self in ENDED


ENDED: Final = frozenset(
    {JobState.CANCELED, JobState.FAILED, JobState.COMPLETED_WITH_ERRORS, JobState.SUCCESS}
)


class ItemOutcome(StrEnum):
    """What became of one file."""

    INGESTED = "ingested"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    RELABELLED = "relabelled"
    QUARANTINED = "quarantined"
    GONE = "gone"
    """no longer at its source: marked, and removed after a grace period"""
    RETURNED = "returned"
    """at its source again: the mark is off"""
    REMOVED = "removed"
    """gone for longer than the grace period: deleted"""
    UNKNOWN = "unknown"
    """of a sync of access lists: not here, or not the asker's to know of"""
    FAILED = "failed"


#: With these, the source was found to hold the document.
SEEN: Final = frozenset(
    {
        ItemOutcome.INGESTED,
        ItemOutcome.UNCHANGED,
        ItemOutcome.UPDATED,
        ItemOutcome.QUARANTINED,
    }
)


class Gone(StrEnum):
    """What is done about documents that a source no longer holds."""

    ASK = "ask"
    """mark them; stop and ask if they are suspiciously many"""
    CONFIRM = "confirm"
    """mark them, however many: somebody looked"""
    KEEP = "keep"
    """nothing: what is listed is only a part"""


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
    confidence: float | None = None
    """How sure the trained classifier was, where one judged it."""


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
    request: SourceRequest | None = None
    """What it reads; None where nobody kept that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClaim:
    """What a source says of a document without its bytes: its label, and remarks on its access list."""

    label: AccessLabel
    notes: tuple[str, ...] = field(default=(), repr=False)
    uri: str = ""
    """Its full address, for lineage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """One thing to ingest: its name, and how to get it (which may raise a `RagwardError` of its own).

    `claim` reads its access list alone. With `unlisted`, what else is there could not be seen: the listing is not complete.
    """

    source: str
    load: Callable[[], SourceDocument]
    claim: Callable[[], SourceClaim] | None = None
    corpus: str | None = None
    unlisted: bool = False
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    place: SourcePlace | None = None
    """Where another process can read it, if that may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """A source, and what holds for every file of one that is no manifest: its corpus, and who may read.

    `posix` asks each file's owner and mode instead of naming anybody. With a `root`, the location is a name below that root
    of the settings. `access_only` reads access lists, and no document.
    """

    location: str
    is_manifest: bool
    corpus: str | None = None
    granted: Sequence[str] = ()
    posix: bool = False
    root: str | None = None
    access_only: bool = False
    gone: Gone = Gone.ASK

    @property
    def origin(self) -> str | None:
        """What documents remember of the source that lists them, a digest; None where nothing is ingested."""
        if self.access_only:
            return None
        named = json.dumps([self.root, self.location, self.is_manifest, self.corpus])
        return hashlib.sha256(f"ragward.origin.v1\0{named}".encode()).hexdigest()

    def to_json(self) -> str:
        """As it is kept with a job. A confirmation is for one run, and not kept."""
        kept = Gone.KEEP if self.gone is Gone.KEEP else Gone.ASK
        return json.dumps(
            {
                "location": self.location,
                "is_manifest": self.is_manifest,
                "corpus": self.corpus,
                "granted": list(self.granted),
                "posix": self.posix,
                "root": self.root,
                "access_only": self.access_only,
                "gone": kept.value,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> SourceRequest:
        """The opposite."""
        fields: dict[str, Any] = json.loads(text)
        granted, gone = tuple(fields.pop("granted")), Gone(fields.pop("gone"))
        return cls(granted=granted, gone=gone, **fields)
