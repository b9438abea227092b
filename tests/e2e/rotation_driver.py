"""A process to be killed: rotates the KEK of CONFIDENTIAL, going on where the one before it was killed.

`python -m tests.e2e.rotation_driver HOME PAUSE` prints a line for each batch, and one at the end with DEKs and seconds.
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
        begun = time.perf_counter()

        def told(at, _total):
            print(f"{at} {time.perf_counter() - begun:.4f}", flush=True)
            time.sleep(float(sys.argv[2]))  # so that it is killed half-way, if it has little to do

        done = ragward.rotation.rotate(
            company.subject("steward"),
            Classification.CONFIDENTIAL,
            progress=told,
        )
        print(f"end {done.rewrapped} {done.remaining}", flush=True)


if __name__ == "__main__":
    main()
