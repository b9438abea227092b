"""Where the sentences of a text are: what minimization keeps or cuts as a whole, and what screening judges by itself.

Minimization's go on over the line breaks of wrapped prose and of a code block; for screening every line ends one.
"""

from __future__ import annotations

import re
from typing import Final

_BREAK: Final = re.compile(r"([.!?][\"')\]`*]{0,3})\s+(?=[^a-z\s])|\s*\n[\s]*")
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|vs|e\.g|i\.e|etc|cf|fig|inc|ltd|approx)|\b[a-z])\.$", re.IGNORECASE
)
_LINE_OR_SENTENCE: Final = re.compile(r"(?:[.!?][\"')\]]?\s+(?=[^a-z\s]))|\n+")
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|vs|e\.g|i\.e|inc|ltd|approx)|\b[a-z])\.\s+$", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"\s*\d{1,3}\.")
_UNDERLINE: Final = re.compile(r"([=~^\"'`*#-])\1{2,}[ \t]*(?:\n|$)")
_ITEM: Final = re.compile(r"(?:[-*+•|>#=~]|\d{1,3}[.)]\s|\.\. |::)")
_WRAPPED_CHARACTERS: Final = 45
_WRAPPED_SPACES: Final = 5
_HEADING_CHARACTERS: Final = 80


def sentences_of(text: str) -> list[tuple[int, int]]:
    """(start, end) of the sentences of `text`, headings and items of lists on their own; together they cover it."""
    bounds: list[tuple[int, int]] = []
    start = 0
    for match in _BREAK.finditer(text):
        ends = _ends_sentence(text, start, match) if match[1] else _ends_line(text, match)
        if ends and text[start : match.end()].strip():
            bounds.append((start, match.end()))
            start = match.end()
    if text[start:].strip():
        bounds.append((start, len(text)))
    elif bounds:
        bounds[-1] = (bounds[-1][0], len(text))
    elif text:
        bounds.append((0, len(text)))
    return bounds


def split_sentences(text: str) -> list[tuple[int, int]]:
    """The same with every line on its own."""
    bounds = []
    start = 0
    for match in _LINE_OR_SENTENCE.finditer(text):
        end = match.end()
        if not _ABBREVIATED.search(text, max(start, end - 12), end) and text[start:end].strip():
            bounds.append((start, end))
            start = end
    if start < len(text):
        bounds.append((start, len(text)))
    return bounds


def is_heading(text: str, start: int, end: int) -> bool:
    """Whether a sentence is a short line of its own that ends without a full stop, or the line drawn under one."""
    line = text[start:end]
    body = line.strip()
    if not line.endswith("\n") or len(body) > _HEADING_CHARACTERS:
        return False
    return body[-1:] not in {".", "!", "?", ",", ";"} and not body.startswith("|")


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    point = match.start() + 1
    if _NUMBER.fullmatch(text, start, point):
        return False
    return not _ABBREVIATION.search(text, max(start, point - 8), point)


def _ends_line(text: str, match: re.Match[str]) -> bool:
    """A line break within a sentence has prose before it that is as long as a line, and no new item behind it."""
    if _UNDERLINE.match(text, match.end()):
        return False
    if text.count("\n", match.start(), match.end()) > 1 or match.end() == len(text):
        return True
    if _ITEM.match(text, match.end()):
        return True
    before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    if before.lstrip()[:1] in {"#", "|"} or before[-1:] in {".", "!", "?", ":"}:
        return True
    if len(before) < _WRAPPED_CHARACTERS:
        return not text[match.end()].islower()
    return before.strip().count(" ") < _WRAPPED_SPACES
