"""What a worker runs in tests: the same reading, with fakes for what loads slowly."""

from __future__ import annotations

import os
import signal

from ragward import reading_worker
from ragward.adapters.redactor_presidio import PresidioRedactor
from ragward.adapters.screener_rules import RuleScreener
from ragward.analysis import Analysis
from ragward.opening import resource
from tests.fakes.chunker_semchunk import FakeChunker
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.fakes.extractor_process import FakeExtractor
from tests.fakes.finder_presidio import FakeFinder


def analysis():
    """As an installation with `tests.installation.doubles` has it."""
    return Analysis(
        extractor=FakeExtractor(),
        chunker=FakeChunker(),
        finder=FakeFinder(),
        screener=RuleScreener.from_file(resource("policies") / "injection.yaml"),
        embedder=FakeEmbedder(),
        redactor=PresidioRedactor(),
    )


def setup():
    """Before anything else in a worker."""
    if not reading_worker._opened:
        reading_worker._opened.append(analysis())


def read(task):
    """`reading_worker.read_document`; a file named `die...` kills the worker the first time, `always...` every time."""
    name = task.place.name
    if name.startswith(("die", "always")):
        mark = f"{task.place.location.removeprefix('file://')}/.{name}.mark"
        if name.startswith("always") or not os.path.exists(mark):
            with open(mark, "w") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
    return reading_worker.read_document(task)
