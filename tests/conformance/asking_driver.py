"""A worker process: asks the same question in several threads and writes down when, and whether the document was in the answer.

`python -m tests.conformance.asking_driver HOME DATABASE_URL THREADS` - until standard input ends.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from ragward.bootstrap import Ragward
from ragward.domain.errors import UnavailableError
from tests.installation import asked_by, doubles, settings_in

QUERY = "voltage laboratory"
SOURCE = "v.txt"


def main():
    home, database_url, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    settings = settings_in(home).model_copy(update={"database_url": database_url})
    stop = threading.Event()
    lines = []

    def ask(ragward):
        while not stop.is_set():
            begin = time.monotonic_ns()
            try:
                answer = ragward.retrieve(asked_by("ben"), QUERY)
            except UnavailableError:  # permissions moved under it three times: refused, not leaked
                lines.append(f"{begin} {time.monotonic_ns()} late")
                continue
            has = any(p.source == SOURCE for p in answer.passages)
            lines.append(f"{begin} {time.monotonic_ns()} {'with' if has else 'without'}")

    given = doubles(clock=None)
    with Ragward.open(settings, given) as ragward:
        ragward.retrieval.warm_up()
        print(type(ragward.index).__name__, flush=True)
        askers = [threading.Thread(target=ask, args=(ragward,)) for _ in range(threads)]
        for thread in askers:
            thread.start()
        sys.stdin.read()
        stop.set()
        for thread in askers:
            thread.join()
    print("\n".join(lines))


if __name__ == "__main__":
    main()
