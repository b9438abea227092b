"""Text files, Markdown, JSON, CSV and notebooks."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ragward.adapters.extraction.limits import Extracted, RefusedFileError, hidden_pieces, joined

_MAX_DEPTH: Final = 40
_MAX_LINES: Final = 200_000
_MAX_CELLS: Final = 20_000
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Markdown that shows nothing: a link reference nobody refers to, as it is used for comments.
_REFERENCE_COMMENT: Final = re.compile(
    r"(?m)^ {0,3}\[(?://|comment)\]: *\S{1,20} *([^\n]{0,20000})$"
)
_FENCE: Final = re.compile(r"(?m)^ {0,3}(?:```|~~~)")


def decoded(data: bytes) -> tuple[str, list[str]]:
    """(text, warnings): UTF-8, UTF-16 with a mark, or else Latin-1. Refuses what is not text."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(name), []
            except UnicodeDecodeError:
                raise RefusedFileError("document.binary") from None
    if b"\0" in data:
        raise RefusedFileError("document.binary")
    try:
        text, warnings = data.decode("utf-8"), []
    except UnicodeDecodeError:
        text, warnings = data.decode("latin-1"), ["read as Latin-1"]
    odd = sum(
        1 for c in text[:20_000] if (c < " " and c not in "\t\n\r\f") or "\x7f" <= c <= "\x9f"
    )
    if odd > max(8, len(text[:20_000]) // 50):
        raise RefusedFileError("document.binary")
    return text, warnings


def split_comments(source: str) -> tuple[str, list[str]]:
    """(what is outside of `<!-- -->`, what is inside), in one pass; one that does not end is no comment."""
    shown: list[str] = []
    hidden: list[str] = []
    at = 0
    while (begin := source.find("<!--", at)) >= 0:
        end = source.find("-->", begin + 4)
        if end < 0:
            break
        shown.append(source[at:begin])
        hidden.append(source[begin + 4 : end])
        at = end + 3
    shown.append(source[at:])
    return "".join(shown), hidden


def read_text(data: bytes) -> Extracted:
    """Plain text, reStructuredText."""
    text, warnings = decoded(data)
    return Extracted(text=text, media_type="text/plain", title=_title(text), warnings=warnings)


def read_markdown(data: bytes) -> Extracted:
    """Markdown as it is written, without the comments that no renderer shows; code is left alone."""
    text, warnings = decoded(data)
    shown, hidden = _without_comments(text)
    return Extracted(
        text=shown,
        media_type="text/plain",
        title=_title(shown),
        hidden=hidden_pieces(hidden),
        warnings=warnings,
    )


def read_csv(data: bytes) -> Extracted:
    """Each row as `header: value; ...`."""
    text, warnings = decoded(data)
    csv.field_size_limit(100_000)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        shown = joined(line for line in _rows(text, dialect) if line)
    except csv.Error:
        raise RefusedFileError("document.unreadable") from None
    return Extracted(text=shown, media_type="text/csv", warnings=warnings)


def _rows(text: str, dialect: Any) -> Iterator[str]:
    rows = csv.reader(io.StringIO(text), dialect)
    header = next(rows, [])
    if len(header) > 1000:
        raise RefusedFileError("document.too_large")
    for number, row in enumerate(rows):
        if number >= _MAX_LINES:
            raise RefusedFileError("document.too_large")
        pairs = zip(header, row, strict=False)
        yield joined((f"{name}: {value}" for name, value in pairs if value.strip()), "; ")


def read_json(data: bytes, *, lines: bool) -> Extracted:
    """Each leaf as `path: value`."""
    text, warnings = decoded(data)
    sources = (line for line in text.split("\n") if line.strip()) if lines else iter([text])
    try:
        shown = joined(_leaves_of(sources))
    except (ValueError, RecursionError):
        raise RefusedFileError("document.unreadable") from None
    return Extracted(text=shown, media_type="application/json", warnings=warnings)


def _leaves_of(sources: Iterator[str]) -> Iterator[str]:
    count = 0
    for source in sources:
        for leaf in _leaves(json.loads(source), "", 0):
            count += 1
            if count > _MAX_LINES:
                raise RefusedFileError("document.too_large")
            yield leaf


def _leaves(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise RefusedFileError("document.too_large")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path, depth + 1)
    elif value not in (None, ""):
        yield f"{path}: {value}" if path else str(value)


def read_notebook(data: bytes) -> Extracted:
    """Jupyter notebooks (nbformat 4): text cells, code and what it printed. Pictures and rich output are left out."""
    text, warnings = decoded(data)
    try:
        cells = json.loads(text)["cells"]
        if not isinstance(cells, list):
            raise TypeError
        if len(cells) > _MAX_CELLS:
            raise RefusedFileError("document.too_large")
        hidden: list[str] = []
        shown = joined((part for cell in cells for part in _cell(cell, hidden)), "\n\n")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RefusedFileError("document.unreadable") from None
    return Extracted(
        text=shown,
        media_type="application/x-ipynb+json",
        title=_title(shown),
        hidden=hidden_pieces(hidden),
        warnings=warnings,
    )


def _cell(cell: Any, hidden: list[str]) -> Iterator[str]:
    source = _multiline(cell["source"])
    if cell["cell_type"] == "markdown":
        shown, comments = _without_comments(source)
        hidden += comments
        yield shown
    elif cell["cell_type"] == "code":
        yield f"```\n{source}\n```"
        for output in cell.get("outputs", []):
            rich = output.get("data") or {}
            if printed := _multiline(output.get("text") or rich.get("text/plain") or ""):
                yield printed
    else:
        yield source


def _multiline(value: Any) -> str:
    """nbformat 4: a string, or a list of lines that keep their ends."""
    return value if isinstance(value, str) else "".join(value)


def _without_comments(text: str) -> tuple[str, list[str]]:
    shown: list[str] = []
    hidden: list[str] = []
    at, fences = 0, [match.start() for match in _FENCE.finditer(text)]
    for begin, end in zip(fences[::2], [*fences[1::2], len(text)], strict=False):
        _prose(text[at:begin], shown, hidden)
        shown.append(text[begin:end])
        at = end
    _prose(text[at:], shown, hidden)
    return "".join(shown), hidden


def _prose(text: str, shown: list[str], hidden: list[str]) -> None:
    visible, comments = split_comments(text)
    hidden += comments
    hidden += [match.group(1) for match in _REFERENCE_COMMENT.finditer(visible)]
    shown.append(_REFERENCE_COMMENT.sub("", visible))


def _title(text: str) -> str:
    for match in re.finditer(r"[^\n]+", text):
        if line := match.group().strip("#=* \t\r"):
            return line[:200]
    return ""
