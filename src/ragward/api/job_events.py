"""A job's progress as server-sent events (WHATWG HTML, 9.2): read from the catalog, whichever process works on the job."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from ragward.domain.errors import LimitExceededError, RagwardError
from ragward.domain.jobs import JobRecord

MEDIA_TYPE: Final = "text/event-stream"
_EVERY: Final = 0.4
_RETRY_MILLISECONDS: Final = 1000


class Streams:
    """How many each subject has open, for one event loop."""

    def __init__(self, at_most: int) -> None:
        self._open: Counter[str] = Counter()
        self._at_most = at_most

    def require_room(self, principal: str) -> None:
        """Raises `limit.concurrency`."""
        if self._open[principal] >= self._at_most:
            raise LimitExceededError(code="limit.concurrency")

    async def events(
        self, principal: str, read: Callable[[], JobRecord], seconds: float
    ) -> AsyncIterator[str]:
        """`progress` whenever the job got on, `end` when nobody works on it any more. It ends after `seconds` at the latest, and
        readers ask again. `read` decides each time whether this subject may still see the job."""
        self._open[principal] += 1
        try:
            async for event in _events(read, seconds):
                yield event
        finally:
            self._open[principal] -= 1


async def _events(read: Callable[[], JobRecord], seconds: float) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    clock = asyncio.get_running_loop().time
    until, told = clock() + seconds, ""
    while True:
        try:
            job = await run_in_threadpool(read)
        except RagwardError as error:
            yield _event("error", {"code": error.code})
            return
        told, before = json.dumps(_progress(job)), told
        if not job.state.is_running:
            yield _event("end", _progress(job))
            return
        if told != before:
            yield _event("progress", _progress(job))
        if clock() + _EVERY > until:
            return
        await asyncio.sleep(_EVERY)


def _progress(job: JobRecord) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "state": job.state.value,
        "total": job.total,
        "done": job.done,
        "counts": dict(job.counts),
    }


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
