"""Reading documents on threads of this process, while those before them are being stored.

The model computes outside Python's lock, extraction is another process, and storing waits for the disk: one after the other they
would wait for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from ragward.domain.reading import ReadDocument, ReadingTask, source_digest
from ragward.ports import Analyser

#: As many as the model's batches profit from: documents are mostly shorter than a batch.
_THREADS: Final = 4


class ThreadReader:
    """`ports.Reader` in this process. `close` waits for what is being read."""

    #: Few, for what was read ahead is held in memory.
    ahead: int = 2 * _THREADS

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ragward-reading")

    def submit(self, task: ReadingTask) -> Callable[[], ReadDocument]:
        """Has it read; the result raises what reading raised: `document.*`, `source.*`, `unavailable.egress`."""
        future: Future[ReadDocument] = self._pool.submit(read, task, self._analyser)
        return future.result

    def close(self) -> None:
        """Nothing more is read."""
        self._pool.shutdown(cancel_futures=True)


def read(task: ReadingTask, analyser: Analyser) -> ReadDocument:
    """Fetches and, unless it is what is known already, reads. Raises `document.*`, `source.*`, `unavailable.egress`."""
    from ragward.adapters.source_url import place_of

    data = place_of(task.place.location).read(task.place.name)
    content = hashlib.sha256(data).digest()
    if task.known and source_digest(content, task.shape) == task.known:
        return ReadDocument(sha256=content)
    analysed = analyser.analyse(task.filename, data, tenant=task.tenant)
    return ReadDocument(sha256=content, analysed=analysed)
