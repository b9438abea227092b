"""A process to be killed: ingests a manifest into an installation and says when it is done.

`python -m tests.e2e.ingest_driver HOME MANIFEST`
"""

from __future__ import annotations

import sys
from pathlib import Path

from ragward.bootstrap import Ragward
from ragward.domain.jobs import SourceRequest
from ragward.opening import source_items
from tests import company
from tests.installation import doubles, settings_in


def main():
    home, manifest = (Path(argument) for argument in sys.argv[1:3])
    with Ragward.open(settings_in(home), doubles(extractor=None, clock=None)) as ragward:
        print("begin", flush=True)
        source = SourceRequest(location=str(manifest), is_manifest=True)
        job = ragward.ingestion.run_job(
            company.subject("steward"),
            source_items(ragward.settings, ragward.catalog, company.TENANT, source),
            source=source,
            progress=lambda _job, item: print(item.source, flush=True),
        )
    print("end", job.state.value, flush=True)


if __name__ == "__main__":
    main()
