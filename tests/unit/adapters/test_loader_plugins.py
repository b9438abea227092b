"""Loaders that other distributions bring: one that works, and ones that do everything wrong."""

from __future__ import annotations

import shutil
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from ragward.adapters.extractor_process import ProcessTextExtractor
from ragward.adapters.loader_plugins import BUILT_IN, find_loaders
from ragward.domain.errors import ConfigurationError, InvalidRequestError

EXAMPLE = Path(__file__).parents[3] / "examples" / "loader_plugin"
SUBTITLES = (
    b"1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n2\n00:00:03,000 --> 00:00:04,000\nBye.\n"
)


def metadata(site, name, version, points):
    """What an installer writes beside a package."""
    about = site / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = "".join(f"{suffix} = {target}\n" for suffix, target in points.items())
    (about / "entry_points.txt").write_text(f"[ragward.loaders]\n{lines}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory that distributions are installed in, with the example."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["ragward.loaders"]
    metadata(tmp_path, project["name"], project["version"], points)
    shutil.copy(EXAMPLE / "ragward_subtitles.py", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@contextmanager
def extractor_with(wanted, **given):
    made = ProcessTextExtractor(
        plugins=find_loaders(wanted), **({"time_limit_seconds": 10} | given)
    )
    try:
        yield made
    finally:
        made.close()


def code_of(extractor, name, data=b"x"):
    with pytest.raises(InvalidRequestError) as caught:
        extractor.extract(name, data)
    return caught.value.code


def test_the_example_reads_its_format_and_nothing_else(site):
    with extractor_with({"srt": "ragward-subtitles"}) as extractor:
        found = extractor.extract("talk.SRT", SUBTITLES)
        first = extractor._worker.pid
        assert found.text == "Hello there.\nBye."
        assert (found.media_type, found.loader) == (
            "application/x-subrip",
            "ragward-subtitles 1.0.0",
        )
        assert found.properties == {"Lines": "7"}
        assert code_of(extractor, "a.srt", b"words") == "document.unreadable"
        assert code_of(extractor, "a.srt", b"\xff") == "document.binary"
        assert extractor.extract("a.txt", b"words").loader.startswith("ragward ")
        assert extractor._worker.pid != first  # what read with a plug-in reads nothing else
        assert not Path(f"/proc/{first}").exists()


def test_what_is_installed_but_not_named_is_not_used(site):
    with extractor_with({}) as extractor:
        assert extractor.extract("a.srt", SUBTITLES).text.startswith("1\n00:00")


@pytest.mark.parametrize("suffix", sorted(BUILT_IN - {""}))
def test_nobody_replaces_what_is_built_in(site, suffix):
    metadata(site, "thief", "1", {suffix[1:]: "thief:Loader"})
    with pytest.raises(ConfigurationError) as caught:
        find_loaders({suffix[1:]: "thief"})
    assert "built in" in caught.value.detail


@pytest.mark.parametrize(
    "wanted",
    [
        {"srt": "nobody"},
        {"srt": ""},
        {"srt": "../x"},
        {"vtt": "ragward-subtitles"},
        {".srt": "ragward-subtitles"},
        {"s/t": "ragward-subtitles"},
        {"SRT": "ragward-subtitles"},
        {"": "ragward-subtitles"},
    ],
    ids=str,
)
def test_settings_that_lead_nowhere_are_refused_at_the_start(site, wanted):
    with pytest.raises(ConfigurationError):
        find_loaders(wanted)


def test_two_of_one_suffix_are_told_apart_by_their_distribution(site):
    metadata(site, "other", "2", {"srt": "other:Loader"})
    assert find_loaders({"srt": "ragward-subtitles"})[".srt"].target.startswith(
        "ragward_subtitles:"
    )
    assert find_loaders({"srt": "other"})[".srt"].target == "other:Loader"


BAD = """
import os, sys, time
from ragward.domain.corpus import ExtractedText
from ragward.domain.errors import InvalidRequestError
GOOD = ExtractedText(text="words", media_type="x/y")
class Raises:
    def load(self, filename, data): raise RuntimeError("secret words")
class Ends:
    def load(self, filename, data): sys.exit(0)
class Dies:
    def load(self, filename, data): os._exit(0)
class Hangs:
    def load(self, filename, data): time.sleep(60)
class Spins:
    def load(self, filename, data):
        while True: pass
class Eats:
    def load(self, filename, data): return bytearray(2**31)
class Recurses:
    def load(self, filename, data): return self.load(filename, data)
class Nothing:
    def load(self, filename, data): return None
class Text:
    def load(self, filename, data): return "words"
class Types:
    def load(self, filename, data): return ExtractedText(text=5, media_type="x/y")
class Much:
    def load(self, filename, data): return ExtractedText(text="a " * 2_000_000, media_type="x/y")
class Empty:
    def load(self, filename, data): return ExtractedText(text=" ", media_type="x/y")
class Code:
    def load(self, filename, data): raise InvalidRequestError(code="access.denied")
class Needs:
    def __init__(self, argument): pass
class Prints:
    def load(self, filename, data):
        print("noise" * 10_000); sys.stdout.flush(); os.write(1, b"noise" * 10_000)
        return GOOD
class Connects:
    def load(self, filename, data):
        import socket; socket.create_connection(("127.0.0.1", 9), 1)
class Asks:
    def load(self, filename, data):
        import socket; socket.getaddrinfo("evil.example", 80)
class Starts:
    def load(self, filename, data):
        import subprocess; subprocess.run(["true"])
class Forks:
    def load(self, filename, data): os.fork()
class Writes:
    def load(self, filename, data):
        with open("WROTE", "w") as f: f.write("x" * 100)
class Patches:
    def load(self, filename, data):
        from ragward.adapters.extraction import plain
        plain.read_text = None
        return GOOD
"""
OUTCOMES = {
    "Raises": "document.loader",
    "Ends": "document.loader",
    "Dies": "document.unreadable",
    "Eats": "document.timeout",
    "Recurses": "document.loader",
    "Nothing": "document.loader",
    "Text": "document.loader",
    "Types": "document.unreadable",
    "Much": "document.too_large",
    "Empty": "document.empty",
    "Code": "document.unreadable",
    "Needs": "document.loader",
    "Missing": "document.loader",
    "Prints": None,
    "Connects": "document.loader",
    "Asks": "document.loader",
    "Starts": "document.loader",
    "Forks": "document.loader",
    "Writes": "document.loader",
    "Patches": None,
}


@pytest.fixture
def bad(site):
    names = [*OUTCOMES, "Hangs", "Spins"]
    (site / "bad_loader.py").write_text(BAD.replace("WROTE", str(site / "wrote")))
    metadata(site, "bad", "1", {f"x{n}": f"bad_loader:{name}" for n, name in enumerate(names)})
    wanted = {f"x{n}": "bad" for n in range(len(names))}
    with extractor_with(wanted, time_limit_seconds=5) as extractor:
        yield extractor, {name: f"a.x{n}" for n, name in enumerate(names)}


def test_what_a_plug_in_does_wrong_is_a_code_for_its_file(bad, site):
    extractor, files = bad
    found, told = {}, []
    for name in OUTCOMES:
        try:
            found[name] = extractor.extract(files[name], b"data") and None
        except InvalidRequestError as refused:
            found[name] = refused.code
            told.append(refused.detail)
    assert found == OUTCOMES
    assert not any("secret" in detail for detail in told)
    assert (site / "wrote").stat().st_size == 0  # it may make a file, and put nothing into it
    assert extractor.extract("a.txt", b"the next file is read").text == "the next file is read"


@pytest.mark.parametrize("name", ["Hangs", "Spins"])
def test_a_plug_in_that_does_not_end_is_ended(bad, name):
    extractor, files = bad
    extractor._seconds = 1.0
    assert code_of(extractor, files[name]) == "document.timeout"
    extractor._seconds = 10.0
    assert extractor.extract("a.txt", b"goes on").text == "goes on"


def test_the_settings_name_the_loaders(site, tmp_path):
    from tests.installation import initialised, opened

    settings = initialised(tmp_path / "home")
    with opened(
        settings.model_copy(update={"loaders": {"srt": "ragward-subtitles"}}), extractor=None
    ) as ragward:
        extractor = ragward.ingestion._ports.extractor
        assert extractor.extract("a.srt", SUBTITLES).loader == "ragward-subtitles 1.0.0"
    with pytest.raises(ConfigurationError):
        opened(
            settings.model_copy(update={"loaders": {"pdf": "ragward-subtitles"}}), extractor=None
        )
