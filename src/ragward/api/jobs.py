"""Ingest jobs in the background: one thread, one job at a time, taken from the tenants by turns."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from ragward.api.middleware import places_of
from ragward.bootstrap import Ragward
from ragward.domain.access import Subject
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    RagwardError,
)
from ragward.domain.jobs import JobItem, JobRecord
from ragward.opening import manifest_items

_WAITING: Final = 16
_REMEMBERED_KEYS: Final = 1000
_log: Final = structlog.get_logger("ragward.jobs")


@dataclass(frozen=True, slots=True)
class _Work:
    subject: Subject
    job: JobRecord
    items: Sequence[JobItem]


class _Waiting:
    """Jobs that wait: so many of each tenant at most, so that nobody waits behind all of another tenant's. Thread-safe."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, deque[_Work]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def require_room(self, tenant: str) -> None:
        """Raises `limit.concurrency` when enough jobs of this tenant wait."""
        with self._changed:
            if len(self._jobs.get(tenant, ())) >= _WAITING:
                raise LimitExceededError(code="limit.concurrency", retry_after_seconds=30)

    def put(self, work: _Work) -> None:
        """Adds a job behind its tenant's others."""
        with self._changed:
            self._jobs.setdefault(work.subject.tenant, deque()).append(work)
            self._changed.notify()

    def take(self) -> _Work | None:
        """The next job of the tenant whose turn it is, waiting for one; None once this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                return None
            tenant, jobs = self._jobs.popitem(last=False)
            work = jobs.popleft()
            if jobs:
                self._jobs[tenant] = jobs  # behind the others
            return work

    def close(self) -> int:
        """Nothing is given out from here on; returns how many jobs still wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return sum(map(len, self._jobs.values()))


class JobRunner:
    """Runs jobs one after the other; `close` interrupts the one that runs, and it can be run again."""

    def __init__(self, ragward: Ragward) -> None:
        self._ragward = ragward
        self._waiting = _Waiting()
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
        items = manifest_items(self._manifest(subject.tenant, root, manifest), subject.tenant)
        self._waiting.require_room(subject.tenant)
        job = self._ragward.catalog.create_job(subject.tenant, subject.principal, len(items))
        self._waiting.put(_Work(subject, job, items))
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
        if self._waiting.close():
            _log.warning("jobs are still waiting; they can be run again")
        self._thread.join(timeout=30)

    def _manifest(self, tenant: str, root: str, manifest: str) -> Path:
        base = self._ragward.settings.ingest_roots.get(f"{tenant}/{root}")
        if base is None:
            raise NotFoundError
        path = (base / manifest).resolve()
        if not path.is_relative_to(base.resolve()) or not path.is_file():
            raise NotFoundError
        return path

    def _run(self) -> None:
        while (work := self._waiting.take()) is not None:
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
