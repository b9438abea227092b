"""What a reader does not see in marked-up text, and making text inert that a client may render."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from ragward.adapters.screening_text import INVISIBLE

# Possessive, and no run may hold its own opening character: each character is read once per pattern.
_COMMENT: Final = re.compile(r"<!--((?:[^-]++|-(?!->))*+)(?:-->|\Z)")
_UNSEEN: Final = (
    r"(?:display\s*+:\s*+none|visibility\s*+:\s*+hidden|font-size\s*+:\s*+0|opacity\s*+:\s*+0(?!\.[1-9])"
    r"|(?<![-\w])color\s*+:\s*+(?:white|transparent|#fff)|text-indent\s*+:\s*+-\d{3}|left\s*+:\s*+-\d{4}"
    r"|(?<![-\w])hidden(?![-\w])|aria-hidden\s*+=\s*+[\"']?true)"
)
_HIDDEN_ELEMENT: Final = re.compile(
    rf"<(?!(?:input|br|img|hr|meta|link|wbr)\b)([a-z][a-z0-9]*+)\b(?=[^<>]*?{_UNSEEN})[^<>]*+>((?:[^<]++|<(?!/\1\b))*+)(?:</\1\s*+>|\Z)",
    re.IGNORECASE,
)
_MARKDOWN_COMMENT: Final = re.compile(
    r"^\[[^\]\n]{0,60}\]:\s*+(?:#|<>)\s*+[\"(']([^\n]{1,2000})$", re.MULTILINE
)

_MARKDOWN_IMAGE: Final = re.compile(
    r"!\[[^\[\]\n]*+\]\(\s*+<?(?:https?:|data:|ftp:)?//?[^()\n]*+\)", re.IGNORECASE
)
_MARKDOWN_LINK: Final = re.compile(
    r"\[([^\[\]\n]++)\]\(\s*+<?((?:https?:)?//[^()\s]++|(?:javascript|data|vbscript|file):[^()\s]++)[^()\n]*+\)",
    re.IGNORECASE,
)
_ACTIVE_NAMES: Final = (
    "script|style|iframe|object|embed|form|img|link|meta|input|base|svg|video|audio|source|image"
)
_ACTIVE_TAG: Final = rf"(?:{_ACTIVE_NAMES})\b"
_HTML_ACTIVE: Final = re.compile(
    rf"<(script|style|iframe|object|embed|form|svg)\b[^<>]*+>[^<]*+(?:<(?!/?\1\b)[^<]*+)*+</\1\s*+>|<{_ACTIVE_TAG}[^<>]*+>",
    re.IGNORECASE,
)
_ANCHOR: Final = re.compile(
    r"<a\b[^<>]*?\bhref\s*+=\s*+[\"']?([^\"'\s<>]*+)[^<>]*+>([^<]*+)</a\s*+>", re.IGNORECASE
)
_LOADING_TAG: Final = re.compile(
    r"<[a-z][a-z0-9]*+\b(?=[^<>]*?(?:\bon[a-z]{3,20}\s*+=|\b(?:src|background|href|srcset|poster)\s*+=|url\s*+\())[^<>]*+>",
    re.IGNORECASE,
)
_AUTOLINK: Final = re.compile(r"<(https?://[^<>\s]++)>", re.IGNORECASE)
_FILLED: Final = re.compile(
    r"https?://[^\s<>()\"']*?[?&][\w-]{1,40}=(?:\{|%7b|\[|\$\{)[^\s<>\"']*+", re.IGNORECASE
)
# What the patterns above leave (nested, unclosed, reference-style) is broken with a space, so nothing of it works.
_LIVE_LINK: Final = re.compile(
    r"\](?=[(:]\s*+<?\s*+(?:https?:|[/\\]{2}|javascript:|data:|vbscript:|file:))", re.IGNORECASE
)
_LIVE_TAG: Final = re.compile(rf"<(?={_ACTIVE_TAG})", re.IGNORECASE)


def hidden_parts(text: str) -> Iterator[str]:
    """The texts of comments and of elements that are not shown."""
    if "<" in text:
        yield from (found[1] for found in _COMMENT.finditer(text))
        yield from (found[2] for found in _HIDDEN_ELEMENT.finditer(text))
    if "]:" in text:
        yield from (found[1] for found in _MARKDOWN_COMMENT.finditer(text))


def neutralised(text: str) -> str:
    """`text` without what is invisible or active, and with links out as their text and host."""
    if not text.isascii():
        text = INVISIBLE.sub("", text)
    for sign, pattern, inert in _STEPS:
        if sign in text:
            text = pattern.sub(inert, text)
    return text


def _inert(label: str, url: str) -> str:
    try:
        host = urlsplit(url).hostname or "elsewhere"
    except ValueError:
        host = "elsewhere"
    return f"{label} ({host})"


_REMOVED: Final = "[active content removed]"
#: In order: what a text must have for a pattern to be found in it, the pattern, and what takes its place.
_STEPS: Final[tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    ("<", _COMMENT, ""),
    ("<", _HIDDEN_ELEMENT, ""),
    ("<", _HTML_ACTIVE, _REMOVED),
    ("<", _ANCHOR, lambda link: _inert(link[2], link[1])),
    ("<", _LOADING_TAG, _REMOVED),
    ("![", _MARKDOWN_IMAGE, "[image removed]"),
    ("](", _MARKDOWN_LINK, lambda link: _inert(link[1], link[2])),
    ("://", _AUTOLINK, lambda link: _inert("link", link[1])),
    ("://", _FILLED, lambda link: _inert("link removed", link[0])),
    ("]", _LIVE_LINK, "] "),
    ("<", _LIVE_TAG, "< "),
)
