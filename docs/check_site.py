"""Fails if a built site would ask anybody else for anything: scripts, styles, fonts, pictures. Run by `make site`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: What makes a browser load; a link (`<a href>`) is followed by a person.
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|track)\b[^>]*?\bsrc(?:set)?\s*=\s*[\"']?\s*((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?![^>]*\brel\s*=\s*[\"']?(?:canonical|alternate|prev|next|me|license)\b)[^>]*?\bhref\s*=\s*[\"']?\s*((?:https?:)?//[^\"'\s>]+)",
    re.IGNORECASE,
)
_STYLES = re.compile(
    r"(?:url\(\s*[\"']?|@import\s+[\"'])\s*((?:https?:)?//[^\"')\s]+)", re.IGNORECASE
)


def requests(site: Path) -> list[str]:
    """`file: address`, for each thing that is loaded from elsewhere."""
    found = []
    for suffix, pattern in ((".html", _LOADS), (".html", _STYLES), (".css", _STYLES)):
        for path in sorted(site.rglob(f"*{suffix}")):
            for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace")):
                address = next(group for group in match.groups() if group)
                found.append(f"{path.relative_to(site)}: {address}")
    return found


if __name__ == "__main__":
    asked = requests(Path(sys.argv[1]))
    print("\n".join(asked) or "the site asks nobody else for anything")  # noqa: T201 -- a script
    sys.exit(bool(asked))
