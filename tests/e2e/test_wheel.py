"""The wheel, away from the source checkout: it carries policies, schemas and migrations, and works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.installation import PASSPHRASE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel, built and unpacked; imported from there, with the dependencies of this environment."""
    base = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(base)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    wheel = next(base.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(base / "site")
    return base / "site"


def run(unpacked, directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "ragward", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_what_it_needs_at_run_time_and_nothing_else(unpacked):
    resources = unpacked / "ragward" / "_resources"
    for name in (
        "policies/model.conf",
        "policies/handling.toml",
        "policies/classification.yaml",
        "policies/injection.yaml",
        "schemas/openapi.json",
        "schemas/manifest.schema.json",
        "migrations/versions/0001_first_tables.py",
    ):
        assert (resources / name).is_file(), name
    assert (unpacked / "ragward" / "py.typed").is_file()
    assert (unpacked / "ragward" / "console" / "templates" / "frame.html").is_file()
    assert (unpacked / "ragward" / "console" / "static" / "console.css").is_file()
    names = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"ragward"}


@pytest.mark.prove
@pytest.mark.model
def test_an_installation_from_the_wheel(unpacked, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "passphrase").write_text(PASSPHRASE)
    (keys / "passphrase").chmod(0o400)
    (tmp_path / "ragward.toml").write_text(
        f'data_dir = "data"\nkeyring = "keys/keyring.json"\npassphrase = "file:{keys}/passphrase"\n'
        'development_issuer = "issuer"\ndevelopment_tenants = ["acme"]\n'
    )
    (tmp_path / "policy.csv").write_text(
        "p, user:acme/ann, document:*, acme/*, PUBLIC..RESTRICTED, *, allow\n"
        "p, user:acme/ann, corpus:retrieve, acme/*, PUBLIC..RESTRICTED, *, allow\n"
    )
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "note.md").write_text("# Leave\n\nParental leave is sixteen weeks.\n")
    script = "import ragward; print(ragward.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(unpacked))
    init = run(
        unpacked,
        tmp_path,
        "init",
        "--tenant",
        "acme",
        "--admin",
        "user:acme/ann",
        "--policy",
        "policy.csv",
    )
    assert init.returncode == 0, init.stderr
    ingest = run(
        unpacked,
        tmp_path,
        "ingest",
        "text",
        "--corpus",
        "hr",
        "--grant",
        "user:acme/ann",
        "--as",
        "ann",
        "--json",
    )
    assert json.loads(ingest.stdout)["outcomes"] == {"ingested": 1}, ingest.stderr
    asked = run(
        unpacked, tmp_path, "query", "How long may parents stay at home?", "--as", "ann", "--json"
    )
    assert "sixteen weeks" in json.loads(asked.stdout)["passages"][0]["text"]
    demo = run(unpacked, tmp_path, "demo")
    assert (demo.returncode, demo.stderr.split(":")[1].strip()) == (2, "config.invalid")
    (tmp_path / "more").mkdir()
    assert run(unpacked, tmp_path, "query", "x", "--as", "bob", "--json").returncode == 0
