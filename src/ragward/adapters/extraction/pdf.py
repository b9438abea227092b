"""PDF: pypdfium2 first, pypdf where it fails; the document information by pypdf."""

from __future__ import annotations

import io
from typing import Any, Final

from ragward.adapters.extraction.limits import Extracted, RefusedFileError, joined, kept_properties

_MAX_PAGES: Final = 5000
#: What every writer puts there; of interest are the others, such as labels of Purview.
_ORDINARY: Final = frozenset(
    {
        "Title",
        "Author",
        "Subject",
        "Keywords",
        "Creator",
        "Producer",
        "CreationDate",
        "ModDate",
        "Trapped",
    }
)


def read_pdf(data: bytes) -> Extracted:
    """Pages joined by form feeds."""
    library = "pypdfium2"
    try:
        text = _by_pdfium(data)
    except (RefusedFileError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a parser may fail in any way on a hostile file; the second one gets its turn
        text, library = _by_pypdf(data), "pypdf"
    title, properties = _information(data)
    return Extracted(
        text=text,
        media_type="application/pdf",
        title=title[:200],
        properties=properties,
        library=library,
    )


def _by_pdfium(data: bytes) -> str:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise RefusedFileError("document.encrypted") from None
        raise
    try:
        if len(document) > _MAX_PAGES:
            raise RefusedFileError("document.too_large")
        return joined((_page(document, number) for number in range(len(document))), "\n\f")
    finally:
        document.close()


def _page(document: Any, number: int) -> str:
    page = document[number]
    words = page.get_textpage()
    try:
        return str(words.get_text_bounded())
    finally:  # a page that stays open keeps its memory
        words.close()
        page.close()


def _by_pypdf(data: bytes) -> str:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            raise RefusedFileError("document.encrypted")
        if len(reader.pages) > _MAX_PAGES:
            raise RefusedFileError("document.too_large")
        return joined((page.extract_text() or "" for page in reader.pages), "\n\f")
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        raise RefusedFileError("document.unreadable") from None


def _information(data: bytes) -> tuple[str, dict[str, str]]:
    """(title, further properties) of the information dictionary (ISO 32000-2, 14.3.3); nothing where it cannot be read."""
    from pypdf import PdfReader

    try:
        found: Any = PdfReader(io.BytesIO(data)).metadata or {}
        named = {str(key).removeprefix("/"): str(value) for key, value in found.items()}
    except (RefusedFileError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - the text was read: what only the second parser stumbles over is left out
        return "", {}
    further = ((name, value) for name, value in named.items() if name not in _ORDINARY)
    return named.get("Title", ""), kept_properties(further)
