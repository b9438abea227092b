"""PowerPoint files: shapes, tables, notes, comments, and what stands on masters and layouts; hidden slides and shapes apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

from ragward.adapters.extraction import packages
from ragward.adapters.extraction.limits import Extracted, RefusedFileError, hidden_pieces, joined

_MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_MAX_SLIDES: Final = 5_000
_MAX_DEPTH: Final = 20


def read_pptx(data: bytes) -> Extracted:
    """Banners of masters and layouts first, then slide by slide."""
    with packages.opened(data) as package:
        import pptx

        show: Any = pptx.Presentation(io.BytesIO(data))
        if len(show.slides) > _MAX_SLIDES:
            raise RefusedFileError("document.too_large")
        hidden: list[str] = []
        banners = dict.fromkeys(_banners(show, hidden))
        lines: list[str] = []
        for slide in show.slides:
            shown = list(_texts(slide.shapes, hidden, 0))
            if slide.has_notes_slide:
                shown += [slide.notes_slide.notes_text_frame.text]
            if slide._element.get("show") in ("0", "false"):
                hidden.append("\n".join(shown))
            else:
                lines += ["\n", *shown]
        comments = packages.texts_of(package, r"ppt/comments/[^/]+\.xml", "text")
        comments += packages.texts_of(package, r"ppt/comments/[^/]+\.xml", "t")
        return Extracted(
            text=joined((*banners, *lines, *comments)),
            media_type=_MEDIA_TYPE,
            title=(show.core_properties.title or "")[:200],
            hidden=hidden_pieces(hidden),
            properties=packages.custom_properties(package),
            library="python-pptx",
        )


def _banners(show: Any, hidden: list[str]) -> Iterator[str]:
    """Text of masters and layouts that are used, without their placeholders, which only say what to type."""
    for master in show.slide_masters:
        yield from _texts(_own(master.shapes), hidden, 0)
    used = {slide.slide_layout.part.partname: slide.slide_layout for slide in show.slides}
    for _, layout in sorted(used.items()):
        yield from _texts(_own(layout.shapes), hidden, 0)


def _own(shapes: Any) -> list[Any]:
    return [shape for shape in shapes if not shape.is_placeholder]


def _texts(shapes: Any, hidden: list[str], depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise RefusedFileError("document.too_large")
    for shape in shapes:
        found = list(_of_shape(shape, hidden, depth))
        if _is_hidden(shape):
            hidden.append("\n".join(found))
        else:
            yield from (text for text in found if text.strip())


def _of_shape(shape: Any, hidden: list[str], depth: int) -> Iterator[str]:
    if hasattr(shape, "shapes"):
        yield from _texts(shape.shapes, hidden, depth + 1)
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            yield " | ".join(cell.text.strip() for cell in row.cells)
    elif shape.has_text_frame:
        yield shape.text_frame.text


def _is_hidden(shape: Any) -> bool:
    names = (e for e in shape._element.iter() if packages.local(e) == "cNvPr")
    own = next(names, None)
    return own is not None and own.get("hidden") in ("1", "true")
