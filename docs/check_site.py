"""Finishes a built site and fails if something is wrong with it. Run by `make site`.

Files of the repository that pages link to are put beside them; then no link may lead nowhere, and nothing may be asked of anybody else.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: What makes a browser load; a link (`<a href>`) is followed by a person.
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|track)\b[^>]*?\bsrc(?:set)?\s*=\s*[\"']?\s*((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?![^>]*\brel\s*=\s*[\"']?(?:canonical|alternate|prev|next|me|license)\b)[^>]*?\bhref\s*=\s*[\"']?\s*((?:https?:)?//[^\"'\s>]+)",
    re.IGNORECASE,
)
_STYLES = re.compile(
    r"(?:url\(\s*[\"']?|@import\s+[\"'])\s*((?:https?:)?//[^\"')\s]+)", re.IGNORECASE
)
#: What the theme's script fetches from elsewhere if a page has it: diagrams, lightboxes, playgrounds, a repository's stars.
_ASKS = re.compile(
    r"class=[\"']?[^\"'>]*\b(mermaid|glightbox|pyodide)\b|data-md-component=[\"']?(source)\b"
)
_OUT = re.compile(r'(?<=href=")((?:\.\./)+)([^"#]+)')


def requests(site: Path) -> list[str]:
    """`file: address`, for each thing that is loaded from elsewhere."""
    found = []
    for suffix, pattern in (
        (".html", _LOADS),
        (".html", _STYLES),
        (".html", _ASKS),
        (".css", _STYLES),
    ):
        for path in sorted(site.rglob(f"*{suffix}")):
            for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace")):
                address = next(group for group in match.groups() if group)
                found.append(f"{path.relative_to(site)}: {address}")
    return found


def complete(site: Path, repository: Path) -> None:
    """Links to files of the repository outside of docs/ lead to copies of them, under files/. Sources are not pages."""
    for source in site.rglob("*.py"):
        source.unlink()
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        copied = partial(_copied, page.parent, site, repository)
        completed = _OUT.sub(copied, text)
        page.write_text(completed, encoding="utf-8")


def _copied(folder: Path, site: Path, repository: Path, found: re.Match[str]) -> str:
    depth = len(folder.relative_to(site).parts)
    wanted = repository / "docs" / folder.relative_to(site) / found[0]
    if found[1].count("../") <= depth or not wanted.is_file():
        return found[0]
    name = os.path.relpath(wanted, repository)
    target = site / "files" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(wanted, target)
    return "../" * depth + f"files/{name}"


class _Page(HTMLParser):
    """The ids of a page, and where it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 -- the library's
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.ids.add(value)
            elif value and name in ("href", "src"):
                self.links.add(value)


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def broken(site: Path) -> list[str]:
    """`file: link`, for each link within the site whose page, or place on it, is not there."""
    found = []
    for path in sorted(site.rglob("*.html")):
        for link in sorted(_read(path).links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            place = unquote(parts.fragment)
            there = target.is_file() and target.is_relative_to(site.resolve())
            if not there or (place and target.suffix == ".html" and place not in _read(target).ids):
                found.append(f"{path.relative_to(site)}: {link}")
    return found


if __name__ == "__main__":
    built = Path(sys.argv[1]).resolve()
    complete(built, Path(__file__).parents[1])
    wrong = [f"asks others: {each}" for each in requests(built)]
    wrong += [f"leads nowhere: {each}" for each in broken(built)]
    print("\n".join(wrong) or "every link leads somewhere, and nobody else is asked for anything")  # noqa: T201 -- a script
    sys.exit(bool(wrong))
