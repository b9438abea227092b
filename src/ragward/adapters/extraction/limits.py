"""What every format's reader shares: its result, its refusals and its bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

#: More text than any setting lets through: a reader stops here, whatever it would still make of a few bytes.
MAX_CHARACTERS: Final = 8_000_000
MAX_HIDDEN: Final = 100
MAX_PROPERTIES: Final = 64
_MAX_BLANK: Final = 2


@dataclass(slots=True)
class Extracted:
    """Text, what a person would not have seen of it, and the properties the file carries beside it."""

    text: str
    media_type: str
    title: str = ""
    hidden: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    library: str = ""
    """The distribution that read it, where it was not this one."""


class RefusedFileError(Exception):
    """A file that cannot be read, with one of the `document.*` codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def joined(parts: Iterable[str], separator: str = "\n") -> str:
    """The parts as one text; refused as soon as it is too long, before it fills the memory."""
    kept: list[str] = []
    length = 0
    for part in parts:
        length += len(part) + len(separator)
        if length > MAX_CHARACTERS:
            raise RefusedFileError("document.too_large")
        kept.append(part)
    return separator.join(kept)


def without_blank_runs(text: str) -> str:
    """No more than two blank lines after one another: a steward's pattern that begins with blanks would be tried at each."""
    kept: list[str] = []
    blank = 0
    for line in text.split("\n"):
        blank = 0 if line.strip() else blank + 1
        if blank <= _MAX_BLANK:
            kept.append(line)
    return "\n".join(kept)


def hidden_pieces(pieces: Iterable[str]) -> list[str]:
    """What was hidden, as a list of so many pieces of so many characters; what is over is dropped from the end."""
    found = (" ".join(piece[:20_000].split()) for piece in pieces)
    kept = []
    for piece in found:
        if piece:
            kept.append(piece)
        if len(kept) == MAX_HIDDEN:
            break
    return kept


def kept_properties(found: Iterable[tuple[object, object]]) -> dict[str, str]:
    """Names and values of file properties, as short printable strings; labels of Purview first, so that they are not crowded out."""
    pairs = ((_line(name, 100), _line(value, 256)) for name, value in found)
    ordered = sorted((p for p in pairs if all(p)), key=lambda p: not p[0].startswith("MSIP_Label_"))
    return dict(ordered[:MAX_PROPERTIES])


def _line(value: object, limit: int) -> str:
    return "".join(c for c in str(value)[:limit] if c.isprintable()).strip()
