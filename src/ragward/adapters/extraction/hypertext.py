"""HTML: what a person sees is text, what is styled away is hidden."""

from __future__ import annotations

import re
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser

from ragward.adapters.extraction.limits import Extracted
from ragward.adapters.extraction.plain import decoded

_DROPPED: Final = "script, style, noscript, template, iframe, object, svg"
_BLOCKS: Final = frozenset(
    "p div section article header footer main aside h1 h2 h3 h4 h5 h6 li ul ol table tr br hr blockquote pre dt dd".split()  # noqa: SIM905 - reads better as words
)
_COMMENT: Final = re.compile(r"<!--(.{0,20000}?)-->", re.DOTALL)
_INVISIBLE: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])"
    r"|(?:left|top|text-indent)\s*:\s*-\d{3,}|(?:width|height)\s*:\s*0(?:px)?\s*(?:;|$)",
    re.IGNORECASE,
)
_COLOUR: Final = re.compile(r"(?<![-\w])color\s*:\s*([^;]+)", re.IGNORECASE)
_BACKGROUND: Final = re.compile(r"background(?:-color)?\s*:\s*([^;]+)", re.IGNORECASE)
_WHITES: Final = frozenset({"#fff", "#ffffff", "white", "rgb(255,255,255)", "transparent"})


def read_html(data: bytes) -> Extracted:
    """Text with block structure as line breaks."""
    source, warnings = decoded(data)
    tree = LexborHTMLParser(source)
    for node in tree.css(_DROPPED):
        node.decompose()
    hidden = [
        text for match in _COMMENT.finditer(source) if (text := " ".join(match.group(1).split()))
    ]
    for node in tree.css("[style], [hidden]"):
        if _is_hidden(node.attributes):
            if text := " ".join(node.text(separator=" ").split()):
                hidden.append(text)
            node.decompose()
    title = tree.css_first("title")
    body = tree.body
    text = _rendered(body) if body is not None else ""
    return Extracted(
        text=text,
        media_type="text/html",
        title=" ".join(title.text().split())[:200] if title else "",
        hidden=hidden[:100],
        warnings=warnings,
    )


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    if "hidden" in attributes:
        return True
    style = attributes.get("style") or ""
    colour = _COLOUR.search(style)
    if colour:
        background = _BACKGROUND.search(style)
        own = "".join(colour.group(1).lower().split())
        behind = "".join(background.group(1).lower().split()) if background else "white"
        if own == behind or (own in _WHITES and behind in _WHITES):
            return True
    return _INVISIBLE.search(style) is not None


def _rendered(body: Any) -> str:
    """Text of a tree, iteratively: documents nest as deeply as they like."""
    parts: list[str] = []
    for node in body.traverse(include_text=True):
        if node.tag == "-text":
            parts.append(re.sub(r"\s+", " ", node.text(deep=False)))
        elif node.tag in ("td", "th"):
            parts.append(" | ")
        elif node.tag in _BLOCKS:
            parts.append("\n")
    lines = (" ".join(line.split()).removeprefix("| ") for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)
