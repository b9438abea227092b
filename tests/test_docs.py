"""The documentation is true: generated pages are current, links lead somewhere, named tests exist, examples are valid."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from ragward.domain.errors import CODES
from tests.command_line import misunderstood, typed_lines

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    p
    for p in ROOT.rglob("*.md")
    if not {".venv", ".pytest_cache", "documents", "node_modules"} & set(p.relative_to(ROOT).parts)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)]*))?\)")


def test_the_reference_is_current():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "build_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.reference(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, place in LINK.findall(page.read_text()):
        if not target.startswith(("http:", "https:", "mailto:")):
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not place or file.suffix != ".md" or place in places(file), (target, place)


@functools.cache
def places(page):
    """The headings of a page, as links name them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", head.replace("`", "")).strip().lower() for head in heads)
    return {re.sub(r"\s", "-", each) for each in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_tables_are_whole(page):
    """A row that goes on in the next line is a row too many where the page is shown."""
    lines = page.read_text().splitlines()
    for line, following in itertools.pairwise(lines):
        if line.startswith("| "):
            assert line.endswith("|"), line
            assert following.startswith("|") or not following.strip(), following


def test_no_page_is_unfinished():
    for page in PAGES:
        assert not re.search(r"@@|\b(?:TODO|TBD|FIXME|XXX)\b", page.read_text()), page


def test_every_threat_names_a_test_that_exists():
    rows = [
        r for r in (ROOT / "docs/threat-model.md").read_text().splitlines() if r.startswith("| T")
    ]
    assert len(rows) >= 15
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        for name in named:
            assert (ROOT / name).exists(), name


def test_every_attack_names_a_test_that_exists():
    rows = [r for r in (ROOT / "docs/attacks.md").read_text().splitlines() if r.startswith("| ")][
        1:
    ]
    for row in rows:
        assert len(row.strip("| ").split(" | ")) == 4, row
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        for name in named:
            file, _, test = name.partition("::")
            assert f"def {test}(" in (ROOT / file).read_text(), name


def test_every_failure_of_others_has_its_row_and_its_tests():
    source = "\n".join(p.read_text() for p in sorted((ROOT / "tests/abuse").glob("test_f*.py")))
    tests = dict(re.findall(r'def (test_f\d\d_\w+)\([^)]*\):\n    (""")?', source))
    page = (ROOT / "docs/failures-of-others.md").read_text()
    rows = {row.split()[1]: row for row in page.splitlines() if row.startswith("| F")}
    assert list(rows) == [f"F{n}" for n in range(1, 26)]
    named = set()
    for number, (failure, row) in enumerate(rows.items(), 1):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, failure
        assert all(cells), failure
        mine = re.findall(r"`(test_\w+)`", cells[3])
        assert mine, failure
        assert all(name.startswith(f"test_f{number:02}_") for name in mine), failure
        named |= set(mine)
    assert named == set(tests)
    assert all(tests.values()), "each says in its docstring what went wrong elsewhere"


def test_every_decision_is_listed():
    index = (ROOT / "docs/adr/README.md").read_text()
    for path in (ROOT / "docs/adr").glob("0*.md"):
        assert path.name in index


def test_codes_named_in_the_pages_exist():
    kinds = "|".join(sorted({code.partition(".")[0] for code in CODES}))
    for page in PAGES:
        for code in re.findall(rf"`((?:{kinds})\.[a-z_]+)`", page.read_text()):
            known = code in CODES or code.endswith(
                (".md", ".py", ".toml", ".csv", ".conf", ".yaml", ".sock")
            )
            assert known or _event(code), (page.name, code)


def _event(name):
    from ragward.domain.audit import EventType

    return name in {kind.value for kind in EventType}


@pytest.mark.parametrize("tenant", ["aurora", "borealis"])
def test_the_sample_manifests_follow_their_schema(tenant):
    schema = json.loads((ROOT / "schemas/manifest.schema.json").read_text())
    validator = jsonschema_rs.Draft202012Validator(schema)
    lines = (ROOT / "examples" / tenant / "manifest.jsonl").read_text().splitlines()
    for line in lines:
        validator.validate(json.loads(line))
    acls = (["ann@acme.example"], {"granted": ["Ann"], "denied": []}, {"is_public": True})
    for acl in (*acls, {"authorized_identities": ["Sales"]}):
        validator.validate({"uri": "a", "corpus": "hr", "acl": acl})
        assert not validator.is_valid({"uri": "a", "corpus": "hr", "acl": acl, "granted": []})
    for acl in ("everybody", {"nonsense": []}, {"is_public": "true"}, {}):
        assert not validator.is_valid({"uri": "a", "corpus": "hr", "acl": acl})
    for wrong in ({"uri": "a"}, {"uri": "a", "corpus": "hr", "x": 1}, {"uri": "a", "corpus": "HR"}):
        assert not validator.is_valid(wrong)


def test_the_makefile_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(
        re.findall(r"(?m)(?:^    |`)make ([a-z]+)", (ROOT / "README.md").read_text())
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_nothing_names_this_machine():
    """No paths of a machine, no addresses of an index, in anything that is committed as text."""
    for path in ROOT.rglob("*"):
        parts = set(path.relative_to(ROOT).parts)
        if parts & {
            ".venv",
            ".git",
            ".hypothesis",
            ".mypy_cache",
            ".ruff_cache",
            ".pytest_cache",
            "__pycache__",
        }:
            continue
        if (
            path.suffix in (".py", ".md", ".toml", ".txt", ".json", ".yaml", ".cfg", "")
            and path.is_file()
        ):
            text = path.read_text(encoding="utf-8", errors="replace")
            for banned in ("/" + "work/", "--index" + "-url", "/opt/" + "pypi"):
                assert banned not in text, (path, banned)


def test_the_python_of_the_readme_imports_and_compiles():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")
        imports = [line for line in block.splitlines() if line.startswith(("from ", "import "))]
        exec("\n".join(imports), {})


# Nothing is undocumented: settings, error codes, endpoints, actions, events. ----------------------------------------


def rows_of(page, heading=""):
    """First cell (a code in backquotes) -> second cell, of every table below a heading."""
    text = (ROOT / page).read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else text
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section, re.MULTILINE))


def test_every_setting_is_documented():
    from ragward import settings

    shown = rows_of("docs/reference.md", "Settings")
    kinds = [
        kind
        for kind in vars(settings).values()
        if isinstance(kind, type) and kind.__module__ == settings.__name__
    ]
    fields = {name: f for k in kinds for name, f in getattr(k, "model_fields", {}).items()}
    assert len(kinds) >= 4
    assert set(shown) == set(fields)
    for name, field in fields.items():
        assert len(field.description or "") >= 12, name


def test_every_error_code_is_documented():
    shown = rows_of("docs/reference.md", "Errors")
    assert set(shown) == set(CODES)
    assert all(len(text) >= 12 for text in CODES.values())


def test_every_endpoint_is_documented():
    document = json.loads((ROOT / "schemas/openapi.json").read_text())
    operations = {
        f"{method.upper()} {path}": operation
        for path, found in document["paths"].items()
        for method, operation in found.items()
    }
    assert set(rows_of("docs/reference.md", "REST")) == set(operations)
    for name, operation in operations.items():
        assert len(operation.get("description", "")) >= 10, name


def test_every_action_is_documented():
    from ragward.domain.access import Action

    assert set(rows_of("docs/policy.md", "Actions")) == {action.value for action in Action}


def test_every_event_is_documented():
    from ragward.domain.audit import EventType

    shown = rows_of("docs/events.md")
    assert set(shown) == {kind.value for kind in EventType}
    assert len(set(shown.values())) == len(shown), "said twice of different events"


def test_the_tables_are_read_at_all(tmp_path):
    """What reads them finds nothing in a page without the heading: then the tests above fail."""
    assert rows_of("docs/policy.md", "Nothing") == {}
    assert rows_of("README.md") == {}


# What is typed. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_that_a_page_types_is_understood(page):
    """Commands, options, arguments; tests/e2e/test_snippets.py runs those of the tutorials."""
    for line, words in typed_lines(page):
        if not SYNOPSIS.search(line):
            assert misunderstood(words) == "", line


SYNOPSIS = re.compile(r"\[-|\w\|\w")
"""`[--option]` and `this|that`: what may be typed, not what is"""


def test_what_is_not_understood_is_found():
    assert misunderstood(["query", "a question", "--as", "bob"]) == ""
    for words in (["querry", "x"], ["query"], ["query", "x", "--colour", "red"], ["keys"]):
        assert misunderstood(words), words
    assert len(typed_lines(ROOT / "docs/tutorial-officer.md")) > 15


# The site. ----------------------------------------------------------------------------------------------------------


def navigation():
    """Every page of mkdocs.yml, in order."""
    import yaml

    def pages(item):
        if isinstance(item, str):
            return [item]
        if isinstance(item, dict):
            item = list(item.values())
        return [page for inner in item for page in pages(inner)]

    document = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    return document, pages(document["nav"])


def test_every_page_is_in_the_navigation_once():
    _, listed = navigation()
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) == {p for p in pages if not re.match(r"adr/\d", p)}


def test_the_site_asks_nobody_else_for_anything():
    """No fonts, scripts or styles of others, no analytics; `make site` looks at what was built."""
    document, _ = navigation()
    assert document["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "plugins", "extra"} & document.keys()
    assert "site/" in (ROOT / ".gitignore").read_text().split()


def test_what_looks_at_the_built_site_finds_requests(tmp_path):
    module = check_site()
    page = tmp_path / "index.html"
    for asks in (
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        "<link rel=preconnect href=https://fonts.example>",
        '<img src="http://example.org/a.png">',
        '<pre class="mermaid">',  # the theme's script fetches what draws it
    ):
        page.write_text(f"<html>{asks}</html>")
        assert module.requests(tmp_path), asks
    (tmp_path / "a.css").write_text("@import url(https://fonts.example/x);")
    page.write_text("<html></html>")
    assert module.requests(tmp_path)
    (tmp_path / "a.css").unlink()
    page.write_text('<a href="https://example.org">a link</a><script src="a.js"></script>')
    assert module.requests(tmp_path) == []


def test_what_looks_at_the_built_site_finds_links_that_lead_nowhere(tmp_path):
    module = check_site()
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "model.conf").write_text("m")
    site = tmp_path / "site"
    (site / "adr").mkdir(parents=True)
    (site / "left.py").write_text("")
    (site / "a.html").write_text('<h1 id="top"></h1><a href="adr/b.html#place">b</a>')
    page = '<a id="place" href="../a.html#top"><a href="../../model.conf"><a href="../../secret">'
    (site / "adr" / "b.html").write_text(page)
    module.complete(site, tmp_path)
    assert 'href="../files/model.conf"' in (site / "adr" / "b.html").read_text()
    assert (site / "files" / "model.conf").read_text() == "m"
    assert not list(site.rglob("*.py"))
    assert module.broken(site) == ["adr/b.html: ../../secret"]
    for link in ("none.html", "#none", "adr/b.html#none", "../model.conf", "adr"):
        (site / "c.html").write_text(f'<a href="{link}">')
        module = check_site()
        assert f"c.html: {link}" in module.broken(site), link


def check_site():
    spec = importlib.util.spec_from_file_location("check_site", ROOT / "docs" / "check_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.prove
def test_the_site_is_built_and_asks_nobody(tmp_path):
    """As `make site` does, in a copy: strictly, so that a link to a page that is not there fails."""
    import shutil
    import subprocess
    import sys

    pytest.importorskip("zensical")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for part in ("policies", "schemas", "examples"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run(
        [str(zensical), "build", "--clean", "--strict"], cwd=tmp_path, check=True, timeout=120
    )
    built = {
        p.relative_to(tmp_path / "site").as_posix() for p in (tmp_path / "site").rglob("*.html")
    }
    _, listed = navigation()
    for page in listed:
        assert page.replace("README.md", "index.md").replace(".md", ".html") in built, page
    module = check_site()
    module.complete(tmp_path / "site", tmp_path)
    assert module.broken(tmp_path / "site") == []
    assert module.requests(tmp_path / "site") == []
