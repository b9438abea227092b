"""A process to be killed: makes the vectors of another model, going on where the one before it was killed.

`python -m tests.e2e.reembedding_driver HOME PAUSE` prints how many vectors there are after each batch, and a line at the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ragward import reembedding
from tests.fakes.embedder_second import SecondEmbedder
from tests.installation import opened, settings_in


def main():
    reembedding._AT_ONCE = 2
    settings = settings_in(Path(sys.argv[1]))
    with opened(settings, search_embedders=[SecondEmbedder()]) as ragward:
        print("begin", flush=True)

        def told(done, _total):
            print(done, flush=True)
            time.sleep(float(sys.argv[2]))  # so that it is killed half-way

        built = ragward.reembedding.build(told)
        print(f"end {built.documents} {built.lacking}", flush=True)


if __name__ == "__main__":
    main()
