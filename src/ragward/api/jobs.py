"""Ingest jobs in the background: one thread, one job at a time, a bounded queue."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from ragward.api.middleware import places_of
from ragward.bootstrap import Ragward, manifest_items
from ragward.domain.access import Subject
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    RagwardError,
)
from ragward.domain.jobs import JobItem, JobRecord

_WAITING: Final = 16
_REMEMBERED_KEYS: Final = 1000
_log: Final = structlog.get_logger("ragward.jobs")


@dataclass(frozen=True, slots=True)
class _Work:
    subject: Subject
    job: JobRecord
    items: Sequence[JobItem]


class JobRunner:
    """Runs jobs one after the other; `close` interrupts the one that runs, and it can be run again."""

    def __init__(self, ragward: Ragward) -> None:
        self._ragward = ragward
        self._queue: queue.Queue[_Work | None] = queue.Queue(maxsize=_WAITING)
        self._canceled: set[str] = set()
        self._keys: OrderedDict[tuple[str, str], tuple[str, JobRecord]] = OrderedDict()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ragward-jobs", daemon=True)
        self._thread.start()

    def submit(self, subject: Subject, root: str, manifest: str, key: str | None) -> JobRecord:
        """A new job, or the one the idempotency key began. Raises `request.invalid`, `limit.concurrency`, `catalog.exists`."""
        digest = hashlib.sha256(f"{root}\0{manifest}".encode()).hexdigest()
        known = self._keys.get((subject.principal, key)) if key else None
        if known is not None:
            if known[0] != digest:
                raise InvalidRequestError("this idempotency key began another job")
            return self._ragward.catalog.get_job(subject.tenant, known[1].job_id)
        items = manifest_items(self._manifest(root, manifest), subject.tenant)
        if self._queue.full():
            raise LimitExceededError(code="limit.concurrency", retry_after_seconds=30)
        job = self._ragward.catalog.create_job(subject.tenant, subject.principal, len(items))
        self._queue.put_nowait(_Work(subject, job, items))
        if key:
            self._keys[(subject.principal, key)] = (digest, job)
            while len(self._keys) > _REMEMBERED_KEYS:
                self._keys.popitem(last=False)
        return job

    def cancel(self, job: JobRecord) -> None:
        """Ends a job after the document it is at. Raises `job.not_cancellable`."""
        if job.state.value not in ("not_started", "in_progress"):
            raise ConflictError(code="job.not_cancellable")
        self._canceled.add(job.job_id)

    def close(self) -> None:
        """Ends the thread within a document's time."""
        self._closing = True
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            _log.warning("jobs are still waiting; they can be run again")
        self._thread.join(timeout=30)

    def _manifest(self, root: str, manifest: str) -> Path:
        base = self._ragward.settings.ingest_roots.get(root)
        if base is None:
            raise NotFoundError
        path = (base / manifest).resolve()
        if not path.is_relative_to(base.resolve()) or not path.is_file():
            raise NotFoundError
        return path

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                self._ragward.ingestion.run_job(
                    work.subject,
                    work.items,
                    job=work.job,
                    is_canceled=partial(self._is_canceled, work.job.job_id),
                )
            except RagwardError as error:
                _log.error("job interrupted", job=work.job.job_id, code=error.code)
            except Exception as error:  # noqa: BLE001 - the runner outlives any one job
                _log.error(
                    "job failed",
                    job=work.job.job_id,
                    error=type(error).__name__,
                    at=places_of(error),
                )

    def _is_canceled(self, job_id: str) -> bool:
        return self._closing or job_id in self._canceled
