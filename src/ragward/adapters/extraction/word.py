"""Word documents: text, tables, text boxes, headers, footers, notes and comments; hidden and deleted text apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

from ragward.adapters.extraction import packages
from ragward.adapters.extraction.limits import Extracted, hidden_pieces, joined

_MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
#: Text of at most this size, in half points, is there for machines.
_UNREADABLE_SIZE: Final = 4
_BREAKS: Final = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
#: Copies for older readers, where text was moved from, and instructions of fields.
_SKIPPED: Final = frozenset({"Fallback", "instrText", "moveFrom", "rPr", "pPr", "sectPr"})


def read_docx(data: bytes) -> Extracted:
    """Headers first, footers last, as banners stand there."""
    with packages.opened(data) as package:
        import docx

        document: Any = docx.Document(io.BytesIO(data))
        reader = _Reader(document)
        heads, feet = _margins(document, reader)
        body = list(reader.blocks(document.element.body))
        notes = packages.texts_of(package, r"word/(footnotes|endnotes)\.xml", "p")
        comments = packages.texts_of(package, r"word/comments\.xml", "comment")
        text = joined(line for line in (*heads, *body, *notes, *comments, *feet) if line.strip())
        return Extracted(
            text=text,
            media_type=_MEDIA_TYPE,
            title=(document.core_properties.title or "")[:200],
            hidden=hidden_pieces(reader.hidden),
            properties=packages.custom_properties(package),
            library="python-docx",
        )


def _margins(document: Any, reader: _Reader) -> tuple[list[str], list[str]]:
    """(headers, footers) of all sections and kinds of pages, each text once."""
    found: tuple[dict[str, None], dict[str, None]] = ({}, {})
    for section in document.sections:
        parts = (
            (section.header, section.first_page_header, section.even_page_header),
            (section.footer, section.first_page_footer, section.even_page_footer),
        )
        for lines, kinds in zip(found, parts, strict=True):
            for part in kinds:
                if not part.is_linked_to_previous:
                    lines.update(dict.fromkeys(reader.blocks(part._element)))
    return list(found[0]), list(found[1])


class _Reader:
    """Walks elements; what is not for people ends up in `hidden`."""

    def __init__(self, document: Any) -> None:
        self.hidden: list[str] = []
        styles = list(document.styles.element.iter(f"{_W}style"))
        self._headings = {
            style.get(f"{_W}styleId")
            for style in styles
            if (name := style.find(f"{_W}name")) is not None
            and str(name.get(f"{_W}val")).lower().startswith("heading")
        }
        self._vanished = {
            style.get(f"{_W}styleId")
            for style in styles
            if (look := style.find(f"{_W}rPr")) is not None and _is_vanished(look)
        }

    def blocks(self, element: Any) -> Iterator[str]:
        """One string per paragraph or table row, in document order."""
        for child in element:
            kind = packages.local(child)
            if kind == "p":
                yield from self._paragraph(child)
            elif kind == "tr":
                yield " | ".join(" ".join(self.blocks(cell)).strip() for cell in _cells(child))
            elif kind == "del":
                self.hidden.append(_all_text(child))
            elif kind not in _SKIPPED:
                yield from self.blocks(child)

    def _paragraph(self, paragraph: Any) -> Iterator[str]:
        boxes: list[Any] = []
        text = "".join(self._runs(paragraph, boxes))
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        is_heading = style is not None and style.get(f"{_W}val") in self._headings
        yield f"\n{text}" if is_heading else text
        for box in boxes:
            yield from self.blocks(box)

    def _runs(self, element: Any, boxes: list[Any]) -> Iterator[str]:
        for child in element:
            kind = packages.local(child)
            if kind == "t":
                yield child.text or ""
            elif kind in _BREAKS:
                yield _BREAKS[kind]
            elif kind == "txbxContent":
                boxes.append(child)
            elif kind == "del" or (kind == "r" and self._is_hidden(child)):
                self.hidden.append(_all_text(child))
            elif kind not in _SKIPPED:
                yield from self._runs(child, boxes)

    def _is_hidden(self, run: Any) -> bool:
        look = run.find(f"{_W}rPr")
        if look is None:
            return False
        style = look.find(f"{_W}rStyle")
        styled = style is not None and style.get(f"{_W}val") in self._vanished
        size = look.find(f"{_W}sz")
        tiny = size is not None and _number(size.get(f"{_W}val")) <= _UNREADABLE_SIZE
        return styled or tiny or _is_vanished(look)


def _all_text(element: Any) -> str:
    return "".join(part.text or "" for part in element.iter(f"{_W}t", f"{_W}delText"))


def _cells(row: Any) -> Iterator[Any]:
    """The cells of a row, also those in content controls; not those of tables within them."""
    for child in row:
        if packages.local(child) == "tc":
            yield child
        else:
            yield from _cells(child)


def _is_vanished(look: Any) -> bool:
    found = look.find(f"{_W}vanish")
    return found is not None and found.get(f"{_W}val", "true") not in ("0", "false", "off")


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 1000
