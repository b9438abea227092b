"""What README, quickstart and tutorials tell people to type is typed here, in their order.

The ordinary run types the quickstart; `make prove` all of it, with the real model. That each line is one that the command line
understands is seen in tests/test_docs.py for every page, each time.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from ragward import bootstrap
from ragward.api.app import create_app
from ragward.cli import main as cli
from ragward.cli.demo import ingest_company, sample_installation
from ragward.domain.access import Credentials
from ragward.domain.errors import RagwardError
from ragward.opening import development_token, manifest_items
from ragward.settings import Settings
from tests.conftest import PROVE
from tests.installation import doubles
from tests.snippets import ROOT, RUN, Reader, snippets

TUTORIALS = ("developer", "steward", "officer", "platform")
PAGES = (
    "README.md",
    "docs/quickstart.md",
    *(f"docs/tutorial-{name}.md" for name in TUTORIALS),
    "docs/deployment.md",
)
ENOUGH = 8
"""Documents of the sample company that stand in for all of it, where the fakes stand in for the model"""


def ragward(words):
    """A command, in this process: (exit code, output)."""
    sys.argv = ["ragward", *words]
    result = CliRunner().invoke(cli.app, words)
    if isinstance(result.exception, RagwardError):
        return cli.report(result.exception), str(result.exception)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """Unless everything is to be proved: fakes for what loads for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(sys.argv))
        patch.delenv("RAGWARD_SETTINGS", raising=False)
        if not PROVE:
            plain = bootstrap.Ragward.open.__func__
            quick = {"identity": None, "limiter": None, "clock": None}
            patch.setattr(
                bootstrap.Ragward,
                "open",
                classmethod(lambda cls, s, given=None: plain(cls, s, given or doubles(**quick))),
            )
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Where somebody kept the demo's installation: (directory, the installation)."""
    home = tmp_path_factory.mktemp("reader")
    with sample_installation(home / "demo") as (opened, companies):
        aurora = companies[0]
        if PROVE:
            ingest_company(opened, aurora)
        else:
            token = development_token(opened.settings, "frank", tenant="aurora")
            frank = opened.identify(Credentials(untrusted_authorization=token))
            items = manifest_items(aurora.root / "manifest.jsonl", "aurora")
            wanted = [i for i in items if i.source.endswith((".md", ".txt"))]
            first = [i for i in wanted if "parental" in i.source or "salary" in i.source]
            for item in (first + wanted)[:ENOUGH]:
                opened.ingestion.ingest(frank, item.load())
        opened.share()
        shutil.copy(home / "demo" / "ragward.toml", home)
        yield home, opened


@pytest.fixture(scope="module")
def url(sample):
    """Where it is served."""
    with served(sample[1]) as address:
        yield address


@contextlib.contextmanager
def served(opened):
    config = uvicorn.Config(create_app(opened), host="127.0.0.1", port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def follow(page, reader, **known):
    followed = [snippet for snippet in snippets(page) if not snippet.reason]
    for snippet in followed:
        reader.follow(snippet, **known)
    return followed


@pytest.mark.parametrize(
    "page",
    [
        "docs/quickstart.md",
        *(
            pytest.param(f"docs/tutorial-{name}.md", marks=pytest.mark.prove)
            for name in TUTORIALS[:3]
        ),
    ],
)
def test_what_is_typed_works(page, sample, request, monkeypatch):
    home, _ = sample
    monkeypatch.chdir(home)
    monkeypatch.setenv("RAGWARD_SETTINGS", "demo/ragward.toml")
    asked = "8420" in (ROOT / page).read_text()
    address = request.getfixturevalue("url") if asked else ""
    assert len(follow(page, Reader(home, ragward, address, PROVE))) >= 3


@pytest.mark.prove
def test_an_installation_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGWARD_SETTINGS", "to be unset")
    assert len(follow("docs/tutorial-platform.md", Reader(tmp_path, ragward))) >= 6


@pytest.mark.prove
def test_the_python_of_the_readme(sample, url, monkeypatch):
    import openai

    from ragward.client import RagwardClient
    from ragward.integrations.langchain import RagwardRetriever

    home, _ = sample
    monkeypatch.chdir(home)
    token = development_token(Settings.load(Path("ragward.toml")), "alice", tenant="aurora")
    with RagwardClient(url) as client:
        known = {
            "openai": openai,
            "Path": Path,
            "token_of_ann": token,
            "application_key": None,
            "chain": RagwardRetriever(retriever=client, corpora=("handbook",), k=2),
        }
        assert len(follow("README.md", Reader(home, ragward, url, PROVE), **known)) >= 3


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_runs_or_says_why_not(page):
    found = snippets(page)
    text = (ROOT / page).read_text()
    fences = sum(text.count(f"\n```{lang}\n") for lang in RUN)
    assert fences == sum(not snippet.title for snippet in found)
    assert text.count("<!-- not run:") == sum(bool(snippet.reason) for snippet in found)
    for snippet in found:
        assert not snippet.reason or len(snippet.reason) > 15, snippet


def test_a_snippet_that_does_not_work_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, ragward)
    (good, *_) = [s for s in snippets("docs/tutorial-developer.md") if s.lang == "bash"]
    for body in (
        "ragward querry x",
        "false",
        "ragward doctor",
        "true  # exit 3",
        'echo a  # shows "b"',
    ):
        with pytest.raises(AssertionError):
            reader.follow(type(good)("a", 1, "bash", "", f"{body}\n", ""))
    with pytest.raises(AssertionError):
        reader.follow(type(good)("a", 1, "bash", "", 'echo a "│ │" b  # does not show "a b"\n', ""))
    with pytest.raises(ZeroDivisionError):
        reader.follow(type(good)("a", 1, "python", "", "1/0\n", ""))
