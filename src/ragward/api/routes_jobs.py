"""Jobs: begin, watch, end, repeat, report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, StreamingResponse

from ragward.adapters.report_html import POLICY, job_page
from ragward.api import job_events
from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.api.schemas_jobs import JobLine, JobList, JobModel, JobRequest, RetryRequest
from ragward.domain.access import Action, Context, Subject
from ragward.domain.errors import DeniedError
from ragward.domain.job_report import JobSummary
from ragward.domain.jobs import Gone
from ragward.domain.labels import administrative
from ragward.running import items_of

router = APIRouter(prefix="/v1/jobs", tags=["documents"])
Id = Annotated[str, Path(min_length=1, max_length=100)]


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = job_events.MEDIA_TYPE


@router.post("", status_code=202, operation_id="create_job", responses=responses(403, 404, 409))
def create_job(
    body: JobRequest,
    parts: Parts,
    subject: Asker,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> JobModel:
    """Ingests what a manifest lists or a folder holds, in the background; or brings only access lists up to date."""
    _require_ingesting(parts, subject)
    job = parts.jobs.submit(subject, body, idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.job_id}"
    return JobModel.of(job)


@router.get("", operation_id="list_jobs", responses=responses())
def list_jobs(
    parts: Parts, subject: Asker, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> JobList:
    """The newest jobs: all of the tenant's for whoever may read jobs, otherwise one's own."""
    found = parts.ragward.stewardship.jobs(subject, limit=limit)
    return JobList(jobs=[JobLine.of(job) for job in found])


@router.get("/{job_id}", operation_id="get_job", responses=responses(404))
def get_job(job_id: Id, parts: Parts, subject: Asker) -> JobModel:
    """How far a job is, and what failed in it."""
    return JobModel.of(parts.ragward.stewardship.job(subject, job_id))


@router.get(
    "/{job_id}/events",
    operation_id="watch_job",
    response_class=EventStream,
    responses=responses(404),
)
async def watch_job(
    job_id: Id,
    parts: Parts,
    subject: Asker,
    seconds: Annotated[
        int, Query(ge=0, le=600, description="Longest; a request's own limit comes first.")
    ] = 600,
) -> EventStream:
    """Progress as server-sent events: `progress`, then `end`. A stream that ends without `end` is to be asked for again."""
    parts.streams.require_room(subject.principal)
    read = partial(parts.ragward.stewardship.job, subject, job_id)
    await run_in_threadpool(read)
    longest = min(seconds, parts.ragward.settings.request_seconds - 1)
    events: AsyncIterator[str] = parts.streams.events(subject.principal, read, longest)
    return EventStream(events)


@router.get(
    "/{job_id}/report",
    operation_id="report_job",
    response_class=HTMLResponse,
    responses=responses(404),
)
def report_job(job_id: Id, parts: Parts, subject: Asker) -> HTMLResponse:
    """What a job came to, as one page with plots that loads nothing."""
    job = parts.ragward.stewardship.job(subject, job_id)
    page = job_page(job, JobSummary.of(items_of(parts.ragward.catalog, job)))
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    operation_id="cancel_job",
    responses=responses(404, 409),
)
def cancel_job(job_id: Id, parts: Parts, subject: Asker) -> JobModel:
    """Ends a job after the document it is at, in whichever process it runs; what is in stays in."""
    job = parts.ragward.stewardship.job(subject, job_id)
    parts.ragward.catalog.ask_cancel(subject.tenant, job.job_id)
    return JobModel.of(job)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    operation_id="retry_job",
    responses=responses(403, 404, 409),
)
def retry_job(
    job_id: Id,
    parts: Parts,
    subject: Asker,
    response: Response,
    body: RetryRequest | None = None,
) -> JobModel:
    """A new job that reads what this one read, for an interrupted or canceled one, or after what failed was mended."""
    job = parts.ragward.stewardship.job(subject, job_id)
    _require_ingesting(parts, subject)
    made = parts.jobs.repeat(subject, job, Gone(body.gone if body else "ask"))
    response.headers["Location"] = f"/v1/jobs/{made.job_id}"
    return JobModel.of(made)


def _require_ingesting(parts: Parts, subject: Subject) -> None:
    context = Context(now=parts.ragward.clock.now())
    label = administrative(subject.tenant)
    if not parts.ragward.pdp.decide(subject, Action.DOCUMENT_INGEST, label, context):
        raise DeniedError
