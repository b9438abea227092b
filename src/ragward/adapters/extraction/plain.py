"""Text files, JSON and CSV."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from typing import Any, Final

from ragward.adapters.extraction.limits import Extracted, RefusedFileError

_MAX_DEPTH: Final = 40
_MAX_LINES: Final = 200_000
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


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


def read_text(data: bytes) -> Extracted:
    """Plain text, Markdown, reStructuredText."""
    text, warnings = decoded(data)
    first = next((line.strip("#=* \t") for line in text.splitlines() if line.strip("#=* \t")), "")
    return Extracted(text=text, media_type="text/plain", title=first[:200], warnings=warnings)


def read_csv(data: bytes) -> Extracted:
    """Each row as `header: value; ...`."""
    text, warnings = decoded(data)
    csv.field_size_limit(100_000)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = csv.reader(io.StringIO(text), dialect)
        header = next(rows, [])
        if len(header) > 1000:
            raise RefusedFileError("document.too_large")
        lines = []
        for row in rows:
            cells = (
                f"{name}: {value}"
                for name, value in zip(header, row, strict=False)
                if value.strip()
            )
            lines.append("; ".join(cells))
            if len(lines) > _MAX_LINES:
                raise RefusedFileError("document.too_large")
    except csv.Error:
        raise RefusedFileError("document.unreadable") from None
    return Extracted(
        text="\n".join(line for line in lines if line), media_type="text/csv", warnings=warnings
    )


def read_json(data: bytes, *, lines: bool) -> Extracted:
    """Each leaf as `path: value`."""
    text, warnings = decoded(data)
    try:
        values = (
            [json.loads(line) for line in text.splitlines() if line.strip()]
            if lines
            else [json.loads(text)]
        )
        out: list[str] = []
        for value in values:
            out.extend(_leaves(value, "", 0))
            if len(out) > _MAX_LINES:
                raise RefusedFileError("document.too_large")
    except (ValueError, RecursionError):
        raise RefusedFileError("document.unreadable") from None
    return Extracted(text="\n".join(out), media_type="application/json", warnings=warnings)


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
