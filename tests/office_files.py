"""Office files for tests, made by the libraries people use and then changed in the zip."""

from __future__ import annotations

import io
import zipfile

import docx
import openpyxl
import pptx
from openpyxl.comments import Comment
from pptx.util import Inches

LABEL = "MSIP_Label_00000000-0000-0000-0000-00000000000a"
_CUSTOM = "docProps/custom.xml"
_CUSTOM_NAMESPACE = "http://schemas.openxmlformats.org/officeDocument/2006/custom-properties"
_TYPES_NAMESPACE = "http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes"


def saved(document) -> bytes:
    """The bytes of anything that can be saved to a file."""
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def repacked(data: bytes, replace) -> bytes:
    """A zip with some members replaced or added."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, replace.get(name, source.read(name)))
        for name in replace.keys() - set(source.namelist()):
            target.writestr(name, replace[name])
    return out.getvalue()


def blank(name: str, begin: bytes, megabytes: int) -> bytes:
    """A zip of one member that is mostly blanks, made without holding them."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w") as file,
    ):
        file.write(begin)
        for _ in range(megabytes):
            file.write(b" " * 2**20)
    return out.getvalue()


def member(data: bytes, name: str) -> bytes:
    """One member of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return package.read(name)


def zipped(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name or ZipInfo, bytes) pairs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def labelled(data: bytes, **properties: str) -> bytes:
    """An office file with custom properties, as Purview writes them."""
    rows = "".join(
        f'<property fmtid="{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}" pid="{number}" name="{name}">'
        f"<vt:lpwstr>{value}</vt:lpwstr></property>"
        for number, (name, value) in enumerate(properties.items(), start=2)
    )
    xml = (
        f'<Properties xmlns="{_CUSTOM_NAMESPACE}" xmlns:vt="{_TYPES_NAMESPACE}">{rows}</Properties>'
    )
    return repacked(data, {_CUSTOM: xml.encode()})


def word(*paragraphs: str) -> bytes:
    """A plain document."""
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    return saved(document)


def rich_word() -> bytes:
    """A document with text in every place that Word has for it."""
    document = docx.Document()
    document.core_properties.title = "The title"
    section = document.sections[0]
    section.header.paragraphs[0].text = "CONFIDENTIAL header"
    section.footer.paragraphs[0].text = "Footer of the page"
    section.different_first_page_header_footer = True
    section.first_page_footer.paragraphs[0].text = "Footer of the first page"
    document.add_heading("A heading", 1)
    paragraph = document.add_paragraph("Shown words ")
    hidden = paragraph.add_run("hidden instructions ")
    hidden.font.hidden = True
    tiny = paragraph.add_run("tiny instructions ")
    tiny.font.size = 12_700
    run = paragraph.add_run("and a commented run")
    document.add_comment(run, text="What the reviewer said", author="R", initials="R")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left cell", "right cell"
    data = saved(document)
    body = member(data, "word/document.xml").replace(
        b"<w:sectPr",
        b'<w:p><w:ins w:id="91"><w:r><w:t>inserted words</w:t></w:r></w:ins>'
        b'<w:del w:id="92"><w:r><w:delText>deleted words</w:delText></w:r></w:del></w:p>'
        b"<w:sdt><w:sdtContent><w:p><w:r><w:t>controlled words</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        b"<w:p><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>boxed words</w:t></w:r></w:p></w:txbxContent></w:pict></w:r></w:p>"
        b"<w:sectPr",
        1,
    )
    return labelled(
        repacked(data, {"word/document.xml": body}), **{f"{LABEL}_Name": "Secret", "Team": "Red"}
    )


def sheet(*rows) -> bytes:
    """A workbook of one sheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return saved(book)


def rich_sheet() -> bytes:
    """A workbook with a hidden sheet, a header, a footer, a comment and properties."""
    book = openpyxl.Workbook()
    first = book.active
    first.title = "People"
    first.append(["name", "city"])
    first.append(["Ann", "Oslo"])
    first.append(["Ben", None])
    first["A2"].comment = Comment("What the reviewer said", "R")
    first.oddHeader.center.text = "CONFIDENTIAL header"
    first.oddFooter.left.text = "Footer && more of page &P"
    secret = book.create_sheet("Behind")
    secret.append(["hidden instructions"])
    secret.sheet_state = "hidden"
    return labelled(saved(book), **{f"{LABEL}_Enabled": "true"})


def slides(*texts: str) -> bytes:
    """A presentation of one slide per text."""
    show = pptx.Presentation()
    for text in texts:
        slide = show.slides.add_slide(show.slide_layouts[6])
        slide.shapes.add_textbox(0, 0, Inches(4), Inches(1)).text_frame.text = text
    return saved(show)


def rich_slides() -> bytes:
    """A presentation with a table, a group, notes, a hidden slide, a hidden shape and a banner on its master."""
    show = pptx.Presentation()
    for text in ("Shown words", "hidden slide"):
        slide = show.slides.add_slide(show.slide_layouts[6])
        slide.shapes.add_textbox(0, 0, Inches(4), Inches(1)).text_frame.text = text
        slide.notes_slide.notes_text_frame.text = f"notes of {text}"
    first, second = show.slides
    second._element.set("show", "0")
    table = first.shapes.add_table(1, 2, 0, 0, Inches(2), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "left cell", "right cell"
    group = first.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "grouped words"
    shape = first.shapes.add_textbox(0, 0, Inches(1), Inches(1))
    shape.text_frame.text = "hidden instructions"
    shape._element.nvSpPr.cNvPr.set("hidden", "1")
    data = saved(show)
    name = "ppt/slideMasters/slideMaster1.xml"
    banner = (
        b'<p:sp><p:nvSpPr><p:cNvPr id="99" name="banner"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
        b"<p:txBody><a:bodyPr/><a:p><a:r><a:t>CONFIDENTIAL banner</a:t></a:r></a:p></p:txBody></p:sp></p:spTree>"
    )
    return labelled(
        repacked(data, {name: member(data, name).replace(b"</p:spTree>", banner)}),
        **{f"{LABEL}_Enabled": "true"},
    )
