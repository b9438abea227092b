"""The conformance tests can fail: deliberate one-line breaks of what decides and filters are caught by them.

A few in every run, all of them with `make prove`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conformance.mutants import MUTANTS, PACKAGE, ROOT, broken, run, source_with
from tests.conftest import PROVE


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_applies_to_the_sources_as_they_are(mutant):
    text = (ROOT / PACKAGE / mutant.file).read_text("utf-8")
    changed = broken(mutant, text)
    compile(changed, mutant.file, "exec")
    assert changed != text


def test_there_are_enough():
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert sum(mutant.sample for mutant in MUTANTS) == 1


def test_a_mutant_that_does_not_apply_once_is_an_error():
    with pytest.raises(ValueError, match="occurs 0 times"):
        broken(MUTANTS[0], "")
    with pytest.raises(ValueError, match="occurs 2 times"):
        broken(MUTANTS[0], MUTANTS[0].old * 2)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(mutant, id=mutant.name, marks=() if mutant.sample else pytest.mark.prove)
        for mutant in MUTANTS
    ],
)
def test_it_is_caught(mutant, tmp_path):
    result = run(source_with(mutant, tmp_path), mutant.tests)
    assert result.returncode == 1, f"survived, or did not run:\n{result.stdout[-1500:]}"
    assert "FAILED" in result.stdout


@pytest.mark.prove
@pytest.mark.skipif(not PROVE, reason="the tests themselves are the control in an ordinary run")
@pytest.mark.parametrize("tests", sorted({mutant.tests for mutant in MUTANTS}), ids="-".join)
def test_unbroken_sources_pass(tests, tmp_path):
    """Or being caught would mean nothing."""
    result = run(source_with(None, tmp_path), tests)
    assert result.returncode == 0, result.stdout[-1500:]


def test_it_is_the_copy_that_is_tested(tmp_path):
    source = source_with(None, tmp_path)
    (source / "ragward" / "__init__.py").write_text('"""A copy."""\nCOPY = True\n')
    found = subprocess.run(
        [sys.executable, "-c", "import ragward; print(ragward.COPY)"],
        env={"PYTHONPATH": str(source)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "True\n"
