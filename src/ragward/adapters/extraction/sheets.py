"""Excel workbooks: the values of cells, headers, footers and comments; hidden sheets apart."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

from ragward.adapters.extraction import packages
from ragward.adapters.extraction.limits import (
    MAX_HIDDEN,
    Extracted,
    RefusedFileError,
    hidden_pieces,
    joined,
)

_MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MAX_ROWS: Final = 1_100_000
_MAX_CELLS: Final = 2_000_000
_SHEETS: Final = r"xl/(worksheets|chartsheets)/[^/]+\.xml"
#: Codes of headers and footers: &C (centre), &P (page), &"Arial,Bold" (font), &14 (size), &K (colour), && (a real one).
_CODES: Final = re.compile(r'&(?:"[^"&]{0,100}"|K[0-9A-F]{6}|\d{1,3}|[A-Za-z])')


def read_xlsx(data: bytes) -> Extracted:
    """Each row as `header: value; ...` below the name of its sheet."""
    with packages.opened(data) as package:
        import openpyxl

        book: Any = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        budget = _Budget()
        lines: list[str] = []
        hidden: list[str] = []
        for sheet in book.worksheets:
            if sheet.sheet_state == "visible":
                lines += [f"\n# {sheet.title}", joined(_rows(sheet, budget))]
            elif len(hidden) < MAX_HIDDEN:
                hidden.append(joined(_rows(sheet, budget)))
        edges = [
            _CODES.sub(" ", text).replace("&&", "&").strip()
            for kind in (
                "oddHeader",
                "evenHeader",
                "firstHeader",
                "oddFooter",
                "evenFooter",
                "firstFooter",
            )
            for text in packages.texts_of(package, _SHEETS, kind)
        ]
        comments = packages.texts_of(
            package, r"xl/(threadedComments/[^/]+|comments\d*|comments/[^/]+)\.xml", "text"
        )
        return Extracted(
            text=joined(
                line for line in (*dict.fromkeys(edges), *lines, *comments) if line.strip()
            ),
            media_type=_MEDIA_TYPE,
            title=(book.properties.title or "")[:200],
            hidden=hidden_pieces(hidden),
            properties=packages.custom_properties(package),
            library="openpyxl",
        )


class _Budget:
    """Rows and cells of a whole workbook: what a sheet claims costs nothing, what is walked through does."""

    def __init__(self) -> None:
        self._rows, self._cells = _MAX_ROWS, _MAX_CELLS

    def spend(self, cells: int) -> None:
        """One row of so many cells."""
        self._rows -= 1
        self._cells -= cells
        if self._rows < 0 or self._cells < 0:
            raise RefusedFileError("document.too_large")


def _rows(sheet: Any, budget: _Budget) -> Iterator[str]:
    sheet.reset_dimensions()  # what a sheet says of its own size is not believed
    header: list[str] = []
    for row in sheet.iter_rows(values_only=True):
        budget.spend(len(row))
        values = ["" if value is None else str(value).strip() for value in row]
        if not any(values):
            continue
        if not header:
            header = values
            yield "; ".join(value for value in values if value)
        else:
            yield joined(_pairs(header, values), "; ")


def _pairs(header: list[str], values: list[str]) -> Iterator[str]:
    for position, value in enumerate(values):
        if value:
            name = header[position] if position < len(header) else ""
            yield f"{name}: {value}" if name else value
