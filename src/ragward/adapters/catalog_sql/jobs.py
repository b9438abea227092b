"""Ingest jobs and what became of each file."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from ragward.adapters.catalog_sql import presence
from ragward.adapters.catalog_sql.connection import is_storable
from ragward.adapters.catalog_sql.schema import job_items, jobs
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.jobs import (
    SEEN,
    ItemOutcome,
    ItemResult,
    JobRecord,
    JobState,
    SourceRequest,
)

_MAX_TOLD: Final = 1000
_PER_MILLE: Final = 1000
_BAD: Final = (ItemOutcome.FAILED.value, ItemOutcome.QUARANTINED.value)


def create_job(
    connection: Connection,
    tenant: str,
    requested_by: str,
    total: int,
    request: SourceRequest | None,
    now: int,
) -> JobRecord:
    """A new job, not started."""
    job_id = str(uuid.uuid4())
    connection.execute(
        insert(jobs).values(
            job_id=job_id,
            tenant=tenant,
            state=JobState.NOT_STARTED.value,
            requested_by=requested_by,
            total=total,
            created_at=now,
            updated_at=now,
            origin=None if request is None else request.origin,
            request=None if request is None else request.to_json(),
        )
    )
    return get_job(connection, tenant, job_id)


def record_item(
    connection: Connection, tenant: str, job_id: str, result: ItemResult, now: int
) -> None:
    """Adds one file's outcome. Raises `access.not_found`."""
    job = _locked(connection, tenant, job_id)
    connection.execute(
        insert(job_items).values(
            tenant=job.tenant,
            job_id=job_id,
            source=result.source,
            outcome=result.outcome.value,
            document_id=result.document_id,
            classification=result.classification,
            chunks=result.chunks,
            entity_counts=json.dumps(dict(result.entity_counts), sort_keys=True),
            code=result.code,
            detail=result.detail,
            confidence=None if result.confidence is None else round(result.confidence * _PER_MILLE),
        )
    )
    if job.origin is not None and result.document_id is not None and result.outcome in SEEN:
        presence.list_with(connection, tenant, result.document_id, job.origin)
    connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(updated_at=now))


def set_job_state(
    connection: Connection,
    tenant: str,
    job_id: str,
    state: JobState,
    total: int | None,
    now: int,
) -> None:
    """Moves the job. Raises `access.not_found`, and `job.not_cancellable` when it has ended otherwise."""
    job = _locked(connection, tenant, job_id)
    if JobState(job.state).has_ended and job.state != state.value:
        raise ConflictError(code="job.not_cancellable")
    connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id)
        .values(state=state.value, total=job.total if total is None else total, updated_at=now)
    )


def ask_cancel(connection: Connection, tenant: str, job_id: str, now: int) -> None:
    """Raises `access.not_found`, and `job.not_cancellable` for a job that nobody works on."""
    job = _locked(connection, tenant, job_id)
    if not JobState(job.state).is_running:
        raise ConflictError(code="job.not_cancellable")
    connection.execute(
        update(jobs).where(jobs.c.job_id == job_id).values(cancel_asked=True, updated_at=now)
    )


def cancel_asked(connection: Connection, tenant: str, job_id: str) -> bool:
    """Whether somebody asked; False also for a job that is not there."""
    asked = select(jobs.c.cancel_asked).where(jobs.c.job_id == job_id, jobs.c.tenant == tenant)
    return bool(connection.execute(asked).scalar())


def interrupt_all(connection: Connection, now: int) -> None:
    """Every job that has not ended was somebody's who died."""
    running = (JobState.NOT_STARTED.value, JobState.IN_PROGRESS.value)
    connection.execute(
        update(jobs)
        .where(jobs.c.state.in_(running))
        .values(state=JobState.INTERRUPTED.value, updated_at=now)
    )


def get_job(connection: Connection, tenant: str, job_id: str) -> JobRecord:
    """Raises `access.not_found`, also for another tenant's job."""
    if not is_storable(job_id):
        raise NotFoundError
    job = connection.execute(
        select(jobs).where(jobs.c.job_id == job_id, jobs.c.tenant == tenant)
    ).one_or_none()
    if job is None:
        raise NotFoundError
    return _record(connection, job)


def list_jobs(
    connection: Connection, tenant: str, requested_by: str | None, limit: int
) -> list[JobRecord]:
    """Newest first; of one requester, or of all. Without what failed in each."""
    wanted = select(jobs).where(jobs.c.tenant == tenant)
    if requested_by is not None:
        wanted = wanted.where(jobs.c.requested_by == requested_by)
    rows = connection.execute(wanted.order_by(jobs.c.created_at.desc(), jobs.c.job_id).limit(limit))
    return [_record(connection, row, told=False) for row in rows.all()]


def items_of_job(
    connection: Connection, tenant: str, job_id: str, after: int, limit: int
) -> tuple[list[ItemResult], int]:
    """(outcomes in order, from after a place on; the place of the last). Nothing of a job that is not there."""
    rows = connection.execute(
        select(job_items)
        .where(
            job_items.c.tenant == tenant, job_items.c.job_id == job_id, job_items.c.item_id > after
        )
        .order_by(job_items.c.item_id)
        .limit(limit)
    ).all()
    return [_item(row) for row in rows], (rows[-1].item_id if rows else after)


def _record(connection: Connection, job: Row[Any], *, told: bool = True) -> JobRecord:
    mine, is_bad = job_items.c.job_id == job.job_id, job_items.c.outcome.in_(_BAD)
    counts = {
        row.outcome: row.number
        for row in connection.execute(
            select(job_items.c.outcome, func.count().label("number"))
            .where(mine)
            .group_by(job_items.c.outcome)
        )
    }
    return JobRecord(
        job_id=job.job_id,
        tenant=job.tenant,
        state=JobState(job.state),
        requested_by=job.requested_by,
        total=job.total,
        done=sum(counts.values()),
        counts=counts,
        errors=_told(connection, mine, is_bad) if told else (),
        notes=_told(connection, mine, ~is_bad, job_items.c.detail != "") if told else (),
        created_at=job.created_at,
        updated_at=job.updated_at,
        request=None if job.request is None else SourceRequest.from_json(job.request),
    )


def _locked(connection: Connection, tenant: str, job_id: str) -> Row[Any]:
    if not is_storable(job_id):
        raise NotFoundError
    row = connection.execute(
        select(jobs).where(jobs.c.job_id == job_id, jobs.c.tenant == tenant).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return row


def _told(connection: Connection, *terms: ColumnElement[bool]) -> tuple[ItemResult, ...]:
    rows = connection.execute(
        select(job_items).where(*terms).order_by(job_items.c.item_id).limit(_MAX_TOLD)
    )
    return tuple(map(_item, rows))


def _item(row: Row[Any]) -> ItemResult:
    return ItemResult(
        source=row.source,
        outcome=ItemOutcome(row.outcome),
        document_id=row.document_id,
        classification=row.classification,
        chunks=row.chunks,
        entity_counts=json.loads(row.entity_counts),
        code=row.code,
        detail=row.detail,
        confidence=None if row.confidence is None else row.confidence / _PER_MILLE,
    )
