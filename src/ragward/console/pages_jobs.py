"""Jobs: what was ingested, what failed in it, and how far one is that still runs."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ragward.console.guard import Signed
from ragward.console.places import JOBS
from ragward.console.rendering import page

router = APIRouter()
_SHOWN = 50


@router.get("/jobs")
def jobs(visitor: Signed) -> Response:
    """The newest."""
    visitor.require(JOBS)
    found = visitor.ragward.stewardship.jobs(visitor.subject, limit=_SHOWN)
    return page(visitor, "jobs.html", found=found)


@router.get("/jobs/{job_id}")
def job(job_id: str, visitor: Signed) -> Response:
    """One; while it runs the page asks again every second, for the part that changes."""
    visitor.require(JOBS)
    found = visitor.ragward.stewardship.job(visitor.subject, job_id)
    return page(visitor, "job.html", job=found)
