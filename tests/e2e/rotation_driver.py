"""A process to be killed: rotates the KEK of CONFIDENTIAL, going on where the one before it was killed.

`python -m tests.e2e.rotation_driver HOME PAUSE` prints DEKs, seconds and seconds of processor time after each batch, and a line at the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ragward.domain.labels import Classification
from tests import company
from tests.installation import opened, settings_in


def main():
    with opened(settings_in(Path(sys.argv[1]))) as ragward:
        print("begin", flush=True)
        begun, used = time.perf_counter(), time.process_time()

        def told(at, _total):
            wall, own = time.perf_counter() - begun, time.process_time() - used
            print(f"{at} {wall:.4f} {own:.4f}", flush=True)
            time.sleep(float(sys.argv[2]))  # so that it is killed half-way, if it has little to do

        done = ragward.rotation.rotate(
            company.subject("steward"),
            Classification.CONFIDENTIAL,
            progress=told,
        )
        print(f"end {done.rewrapped} {done.remaining}", flush=True)


if __name__ == "__main__":
    main()
