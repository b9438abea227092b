"""Ingest jobs in the background: one thread, one job at a time, taken from the tenants by turns."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ragward.access_sync import AccessSync
from ragward.api.middleware import places_of
from ragward.api.schemas_jobs import JobRequest
from ragward.bootstrap import Ragward
from ragward.domain.access import Subject
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    LimitExceededError,
    RagwardError,
)
from ragward.domain.jobs import Gone, JobItem, JobRecord, SourceRequest
from ragward.ingestion import Ingestion
from ragward.opening import source_items

_WAITING: Final = 16
_REMEMBERED_KEYS: Final = 1000
_log: Final = structlog.get_logger("ragward.jobs")


@dataclass(frozen=True, slots=True)
class _Work:
    subject: Subject
    job: JobRecord
    items: Sequence[JobItem]
    source: SourceRequest


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
        self._keys: OrderedDict[tuple[str, str], tuple[str, JobRecord]] = OrderedDict()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ragward-jobs", daemon=True)
        self._thread.start()

    def submit(self, subject: Subject, wanted: JobRequest, key: str | None) -> JobRecord:
        """A new job, or the one the idempotency key began.

        Raises `request.invalid`, `source.*`, `limit.concurrency`, `catalog.exists`."""
        digest = hashlib.sha256(wanted.model_dump_json().encode()).hexdigest()
        known = self._keys.get((subject.principal, key)) if key else None
        if known is not None:
            if known[0] != digest:
                raise InvalidRequestError("this idempotency key began another job")
            return self._ragward.catalog.get_job(subject.tenant, known[1].job_id)
        job = self._begun(subject, wanted.source())
        if key:
            self._keys[(subject.principal, key)] = (digest, job)
            while len(self._keys) > _REMEMBERED_KEYS:
                self._keys.popitem(last=False)
        return job

    def repeat(self, subject: Subject, job: JobRecord, gone: Gone) -> JobRecord:
        """A new job that reads what this one read: what it had done is found unchanged. Raises as `submit`, and
        `job.not_repeatable` also for a job that did not begin here: a path is not for everybody to have read."""
        source = repeatable(job)
        if source.root is None:
            raise ConflictError(code="job.not_repeatable")
        return self._begun(subject, replace(source, gone=gone_of(source, gone)))

    def _begun(self, subject: Subject, source: SourceRequest) -> JobRecord:
        settings, catalog = self._ragward.settings, self._ragward.catalog
        items = source_items(settings, catalog, subject.tenant, source)
        self._waiting.require_room(subject.tenant)
        job = flow_of(self._ragward, source).begin(subject, items, source)
        self._waiting.put(_Work(subject, job, items, source))
        return job

    def close(self) -> None:
        """Ends the thread within a document's time."""
        self._closing = True
        if self._waiting.close():
            _log.warning("jobs are still waiting; they can be run again")
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while (work := self._waiting.take()) is not None:
            try:
                flow_of(self._ragward, work.source).run_job(
                    work.subject,
                    work.items,
                    job=work.job,
                    source=work.source,
                    is_canceled=lambda: self._closing,
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


def flow_of(ragward: Ragward, source: SourceRequest) -> Ingestion | AccessSync:
    """What carries a job out."""
    return ragward.access_sync if source.access_only else ragward.ingestion


def repeatable(job: JobRecord) -> SourceRequest:
    """What a job read. Raises `job.not_repeatable` while it runs, and if that was not kept."""
    if job.state.is_running or job.request is None:
        raise ConflictError(code="job.not_repeatable")
    return job.request


def gone_of(source: SourceRequest, gone: Gone) -> Gone:
    """What is done this time about what is gone: as before, unless somebody says otherwise."""
    return source.gone if gone is Gone.ASK else gone
