"""What asks and ingests never loads torch; what wants torch still gets it."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.util import find_spec

import pytest

from ragward.adapters.presidio_imports import _left_out

_WHOLE = """
import sys
from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.finder_presidio import PresidioFinder
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.adapters.names import NamesDetector
from ragward.adapters.redactor_presidio import PresidioRedactor

model = find_installed_model()
embedder = OnnxEmbedder.load(model, ModelManifest.shipped(), threads=1)
assert len(embedder.embed(["a question"])[0]) == 384
finder = PresidioFinder.load(NamesDetector(embedder, model, threads=1))
kinds = {span.entity_type for span in finder.find("Ingeborg Halvorsen, i.halvorsen@example.com")}
assert kinds >= {"PERSON", "EMAIL_ADDRESS"}, kinds
assert PresidioRedactor()._name("PERSON") == "<PERSON>"
heavy = {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
assert not heavy, heavy
import torch
assert torch.tensor([1]).sum() == 1
"""


@pytest.mark.model
def test_the_whole_of_a_question_runs_without_torch_which_can_be_had_afterwards():
    run = subprocess.run(
        [sys.executable, "-c", _WHOLE], capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 0, run.stderr


def test_only_the_thread_that_imports_does_without():
    names = ("torch._ragward_is_not_there", "transformers._ragward_is_not_there")
    elsewhere = []

    def look():
        elsewhere.extend(find_spec(name.partition(".")[0]) for name in names)

    before = list(sys.meta_path)
    with _left_out():
        for name in names:
            with pytest.raises(ModuleNotFoundError, match="No module named"):
                find_spec(name)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert len(elsewhere) == 2
    assert all(elsewhere)
    assert sys.meta_path == before
