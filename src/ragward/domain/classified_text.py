"""Labels that a document already carries: TLP 2.0, CUI banners, banners and footers, Microsoft Purview's properties.

A mark counts where marks are put: alone in a line, or in a part of a header or footer line; not within a sentence.
Sources: FIRST, Traffic Light Protocol 2.0; 32 CFR 2002.20 and the CUI Marking Handbook 1.1; Microsoft Purview, "MSIP_Label"
metadata of labelled files and the `msip_labels` mail header.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

TLP: Final = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")
_MAX_LINE: Final = 200
"""A mark stands in a short line; no longer ones are looked at."""
_DECORATION: Final = " \t*#=_~<>[](){}.:;!\"'-\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u00b7"
_PARTS: Final = re.compile(r"\s+[-\u2013\u2014]+\s+|[|\u2022\u00b7/\t]+|\s{3,}")
_NAMED: Final = re.compile(
    r"(?:security |document |data )?(?:classification|class|label|marking)[ \t]{0,3}[:=][ \t]{0,3}(.+)"
)
_TLP: Final = re.compile(r"TLP ?: ?(CLEAR|WHITE|GREEN|AMBER ?\+ ?STRICT|AMBER|RED)(?![A-Z0-9])")
_CUI: Final = re.compile(
    r"(?:CUI|CONTROLLED UNCLASSIFIED INFORMATION|CONTROLLED)(?://[A-Z0-9 /,-]{1,100})?"
)
_MSIP: Final = re.compile(r"MSIP_Label_([0-9A-Fa-f-]{36})_([A-Za-z]{2,20})")
_MSIP_PAIRS: Final = re.compile(
    r"(MSIP_Label_[0-9A-Fa-f-]{36}_[A-Za-z]{2,20})\s{0,5}=\s{0,5}([^;]{0,200})"
)
_INVISIBLE: Final = frozenset({"Cf", "Cs", "Mn"})


def normalised(text: str) -> str:
    """`text` as marks and words are looked for in it: compatibility forms folded, characters that show nothing left out.

    Lines stay lines, so that places can be named."""
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if c.isascii() or unicodedata.category(c) not in _INVISIBLE)


@dataclass(frozen=True, slots=True)
class Line:
    """A short line, its number from 1, and what stands in its parts, in lower case."""

    number: int
    text: str
    parts: frozenset[str]


def short_lines(text: str) -> Iterator[Line]:
    """The lines that may hold a mark."""
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(_DECORATION + "\r\f\v")
        if stripped and len(stripped) <= _MAX_LINE:
            yield Line(number, stripped, frozenset(_parts(stripped)))


def _parts(line: str) -> Iterator[str]:
    """The line and its parts, and of `Classification: …` what it is."""
    for part in (line, *_PARTS.split(line)):
        lowered = " ".join(part.strip(_DECORATION).lower().split())
        yield lowered
        if named := _NAMED.fullmatch(lowered):
            yield named[1].strip(_DECORATION)


def banner(lines: Iterable[Line], words: frozenset[str]) -> int | None:
    """The number of the first line with one of these marks (lower case) for a whole part, or named as `Classification: …`."""
    return next((line.number for line in lines if not words.isdisjoint(line.parts)), None)


def tlp(lines: Iterable[Line], wanted: frozenset[str]) -> int | None:
    """The number of the first line that begins or ends with one of these TLP labels; WHITE is the older name of CLEAR."""
    for line in lines:
        text = line.text.upper()
        for found in _TLP.finditer(text):
            name = found[1].replace(" ", "").replace("WHITE", "CLEAR")
            if name in wanted and (found.start() == 0 or found.end() == len(text)):
                return line.number
            if name in wanted and found[0].lower() in line.parts:
                return line.number
    return None


def cui(lines: Iterable[Line]) -> int | None:
    """The number of the first line that is a CUI banner, or begins with the portion mark (CUI)."""
    for line in lines:
        whole = _CUI.fullmatch(line.text.upper()) is not None
        if whole or line.text.startswith(("CUI)", "CUI//")):
            return line.number
    return None


def purview(properties: Mapping[str, object]) -> frozenset[tuple[str, str]]:
    """(id, name) of each enabled label; a label whose name is not given has its id for one. What is said twice counts twice."""
    names: dict[str, set[str]] = {}
    switched: dict[str, set[str]] = {}
    for key, value in _pairs(properties):
        if match := _MSIP.fullmatch(key):
            label, field = match[1].lower(), match[2].lower()
            names.setdefault(label, set()).update({value.strip()} if field == "name" else ())
            switched.setdefault(label, set()).update(
                {value.strip().lower()} if field == "enabled" else ()
            )
    enabled = [label for label in names if switched[label] != {"false"}]
    return frozenset((label, name) for label in enabled for name in names[label] or {label})


def _pairs(properties: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """A file's own properties, and those that a mail header lists."""
    for key, value in properties.items():
        yield str(key), str(value)
        if str(key).lower() == "msip_labels":
            yield from _MSIP_PAIRS.findall(str(value)[:8192])
