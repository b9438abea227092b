"""How any job runs: one outcome after the other, each stored before the next begins, so that what was done is never lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ragward.domain.jobs import ItemOutcome, ItemResult, JobRecord, JobState
from ragward.ports import Catalog

_PAGE: Final = 1000
Progress = Callable[[JobRecord, ItemResult], None]


@dataclass(frozen=True, slots=True)
class More:
    """So many items more than was said before, such as an archive's members."""

    items: int


def nobody_looks(_job: JobRecord, _item: ItemResult) -> None:
    """Progress that is shown to nobody."""


def never() -> bool:
    """Nothing but the catalog ends the job."""
    return False


def items_of(catalog: Catalog, job: JobRecord) -> Iterator[ItemResult]:
    """Every outcome of a job, in order, a page at a time."""
    after = 0
    while True:
        page, after = catalog.items_of_job(job.tenant, job.job_id, after=after, limit=_PAGE)
        if not page:
            return
        yield from page


def run_job(
    catalog: Catalog,
    job: JobRecord,
    outcomes: Iterator[ItemResult | More],
    *,
    progress: Progress = nobody_looks,
    is_canceled: Callable[[], bool] = never,
) -> JobRecord:
    """Carries the job out; a bad item is an outcome like others. It ends where somebody asked for that, after the item it is at.

    Raises only what makes going on pointless: catalog, keys or audit log unavailable. The job is then `interrupted`.
    """
    tenant, job_id = job.tenant, job.job_id
    failed, done, total = 0, 0, job.total
    catalog.set_job_state(tenant, job_id, JobState.IN_PROGRESS, total=total)
    try:
        while True:
            if is_canceled() or catalog.cancel_asked(tenant, job_id):
                catalog.set_job_state(tenant, job_id, JobState.CANCELED)
                return catalog.get_job(tenant, job_id)
            outcome = next(outcomes, None)
            if outcome is None:
                break
            if isinstance(outcome, More):
                total += outcome.items
                catalog.set_job_state(tenant, job_id, JobState.IN_PROGRESS, total=total)
                continue
            done += 1
            failed += outcome.outcome is ItemOutcome.FAILED
            catalog.record_item(tenant, job_id, outcome)
            progress(dataclasses.replace(job, total=total, done=done), outcome)
    except BaseException:
        catalog.set_job_state(tenant, job_id, JobState.INTERRUPTED)
        raise
    final = JobState.COMPLETED_WITH_ERRORS if failed else JobState.SUCCESS
    if total and failed == total:
        final = JobState.FAILED
    catalog.set_job_state(tenant, job_id, final)
    return catalog.get_job(tenant, job_id)
