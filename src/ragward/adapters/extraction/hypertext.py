"""HTML: what a person sees is text, what is styled away is hidden."""

from __future__ import annotations

import re
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from ragward.adapters.extraction.limits import MAX_HIDDEN, Extracted, hidden_pieces
from ragward.adapters.extraction.plain import decoded, split_comments

_DROPPED: Final = "script, style, noscript, template, iframe, object, svg"
_BLOCKS: Final = frozenset(
    "p div section article header footer main aside h1 h2 h3 h4 h5 h6 li ul ol table tr br hr blockquote pre dt dd".split()  # noqa: SIM905 - reads better as words
)
_INVISIBLE: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])"
    r"|(?:left|top|text-indent)\s*:\s*-\d{3,}|(?:width|height)\s*:\s*0(?:px)?\s*(?:;|$)",
    re.IGNORECASE,
)
_COLOUR: Final = re.compile(r"(?<![-\w])color\s*:\s*([^;]+)", re.IGNORECASE)
_BACKGROUND: Final = re.compile(r"background(?:-color)?\s*:\s*([^;]+)", re.IGNORECASE)
_WHITES: Final = frozenset({"#fff", "#ffffff", "white", "rgb(255,255,255)", "transparent"})
_RULE: Final = re.compile(r"([^{}@;]{1,500})\{([^{}]{0,2000})\}")
_SELECTOR: Final = re.compile(r"[a-zA-Z0-9]*(?:[.#][\w-]+)*(?:[ >]+[a-zA-Z0-9]*(?:[.#][\w-]+)*)*")
_MAX_STYLE: Final = 100_000
_MAX_RULES: Final = 200


def read_html(data: bytes) -> Extracted:
    """Text with block structure as line breaks."""
    source, warnings = decoded(data)
    hidden = split_comments(source)[1]
    tree = LexborHTMLParser(source)
    styled_away = _hiding_selectors(tree)
    for node in tree.css(_DROPPED):
        node.decompose()
    _take_out(tree, "[style], [hidden]", hidden, only_if_hidden=True)
    for selector in styled_away:
        try:
            _take_out(tree, selector, hidden, only_if_hidden=False)
        except (SelectolaxError, ValueError):
            continue  # a selector this parser does not know selects nothing
    title = tree.css_first("title")
    body = tree.body
    text = _rendered(body) if body is not None else ""
    return Extracted(
        text=text,
        media_type="text/html",
        title=" ".join(title.text().split())[:200] if title else "",
        hidden=hidden_pieces(hidden),
        warnings=warnings,
    )


def _hiding_selectors(tree: LexborHTMLParser) -> list[str]:
    """Simple selectors of the page's own style sheets whose rules show nothing; rules for print are somebody else's."""
    sheet = "\n".join(node.text() for node in tree.css("style"))[:_MAX_STYLE]
    found: list[str] = []
    print_from = sheet.find("@media print")
    for match in _RULE.finditer(sheet if print_from < 0 else sheet[:print_from]):
        if len(found) >= _MAX_RULES:
            break
        if _INVISIBLE.search(match.group(2)):
            names = (name.strip() for name in match.group(1).split(","))
            found += [name for name in names if name and _SELECTOR.fullmatch(name)]
    return found[:_MAX_RULES]


def _take_out(
    tree: LexborHTMLParser, selector: str, hidden: list[str], *, only_if_hidden: bool
) -> None:
    found = [
        node
        for node in tree.css(selector)
        if node.tag not in ("html", "body") and (not only_if_hidden or _is_hidden(node.attributes))
    ]
    hidden += [node.text(separator=" ") for node in found[:MAX_HIDDEN]]
    for node in reversed(
        found
    ):  # inner ones first: what lies in a freed element must not be touched
        node.decompose()


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
