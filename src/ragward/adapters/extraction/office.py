"""PDF and Word documents."""

from __future__ import annotations

import io
import zipfile
from typing import Any, Final

from ragward.adapters.extraction.limits import Extracted, RefusedFileError

_MAX_PAGES: Final = 5000
_MAX_UNPACKED: Final = 200 * 2**20
_MAX_RATIO: Final = 200
_OLE: Final = b"\xd0\xcf\x11\xe0"


def read_pdf(data: bytes) -> Extracted:
    """Pages joined by form feeds; pypdfium2 first, pypdf where it fails."""
    try:
        text = _by_pdfium(data)
    except RefusedFileError:
        raise
    except Exception:  # noqa: BLE001 - a parser may fail in any way on a hostile file; the second one gets its turn
        text = _by_pypdf(data)
    return Extracted(text=text, media_type="application/pdf")


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
        return "\n\f".join(
            document[i].get_textpage().get_text_bounded() for i in range(len(document))
        )
    finally:
        document.close()


def _by_pypdf(data: bytes) -> str:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            raise RefusedFileError("document.encrypted")
        return "\n\f".join(page.extract_text() or "" for page in reader.pages)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        raise RefusedFileError("document.unreadable") from None


def read_docx(data: bytes) -> Extracted:
    """Paragraphs, tables, headers and footers; hidden runs apart."""
    if data.startswith(_OLE):
        raise RefusedFileError("document.encrypted")
    _refuse_bomb(data)
    import docx

    try:
        document = docx.Document(io.BytesIO(data))
        hidden: list[str] = []
        lines: list[str] = []
        for section in document.sections:
            lines += [paragraph.text for paragraph in section.header.paragraphs]
        for block in document.iter_inner_content():
            lines += _paragraph(block, hidden) if hasattr(block, "runs") else _table(block)
        for section in document.sections:
            lines += [paragraph.text for paragraph in section.footer.paragraphs]
        title = document.core_properties.title or ""
    except RefusedFileError:
        raise
    except Exception:  # noqa: BLE001 - python-docx fails in many ways on damaged packages
        raise RefusedFileError("document.unreadable") from None
    return Extracted(
        text="\n".join(line for line in lines if line.strip()),
        media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        title=title[:200],
        hidden=hidden[:100],
    )


def _paragraph(paragraph: Any, hidden: list[str]) -> list[str]:
    shown = []
    for run in paragraph.runs:
        if run.font.hidden:
            hidden.append(run.text)
        else:
            shown.append(run.text)
    text = "".join(shown) if hidden or shown else paragraph.text
    return [f"\n{text}" if paragraph.style.name.startswith("Heading") else text]


def _table(table: Any) -> list[str]:
    return [" | ".join(cell.text.strip() for cell in row.cells) for row in table.rows]


def _refuse_bomb(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            sizes = [(info.file_size, info.compress_size) for info in package.infolist()]
            encrypted = any(info.flag_bits & 1 for info in package.infolist())
    except zipfile.BadZipFile:
        raise RefusedFileError("document.unreadable") from None
    if encrypted:
        raise RefusedFileError("document.encrypted")
    unpacked = sum(size for size, _ in sizes)
    if unpacked > _MAX_UNPACKED or unpacked > _MAX_RATIO * max(len(data), 1):
        raise RefusedFileError("document.too_large")
