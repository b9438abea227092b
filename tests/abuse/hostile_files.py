"""Files that attack a parser, a job, or whoever trusts what a file says of itself; each with what has to come of it.

`None` is a text: the file is read and does no harm. Everything is made when it is asked for; nothing hostile is stored.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib

from tests import office_files as office

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
SLIDE = "ppt/slides/slide1.xml"
BODY = "word/document.xml"


# Parts. -------------------------------------------------------------------------------------------------------------


def laughs(root: bytes, text: bytes) -> bytes:
    """A billion laughs: ten entities, each ten of the one before."""
    entities = b'<!ENTITY a0 "lol">' + b"".join(
        b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)
    )
    return (
        b'<?xml version="1.0"?><!DOCTYPE d ['
        + entities
        + b"]>"
        + root % text.replace(b"@", b"&a9;")
    )


def external(root: bytes, text: bytes) -> bytes:
    """An entity that is a file of this machine."""
    return (
        b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + root % text.replace(b"@", b"&x;")
    )


WORD = b'<w:document xmlns:w="%s"><w:body>%%s</w:body></w:document>' % W.encode()
WORD_TEXT = b"<w:p><w:r><w:t>@</w:t></w:r></w:p>"
EXCEL = b'<worksheet xmlns="%s"><sheetData>%%s</sheetData></worksheet>' % S.encode()
EXCEL_TEXT = b'<row r="1"><c r="A1" t="inlineStr"><is><t>@</t></is></c></row>'


def word(xml: bytes) -> bytes:
    return office.repacked(office.word("x"), {BODY: xml})


def excel(xml: bytes, **more: bytes) -> bytes:
    return office.repacked(office.sheet(["x"]), {SHEET: xml} | more)


def shared(strings: bytes) -> dict[str, bytes]:
    """What makes a part the shared strings of a workbook."""
    data = office.sheet(["x"])
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    types = f'<Override PartName="/{STRINGS}" ContentType="{kind}"/></Types>'
    name = "[Content_Types].xml"
    return {STRINGS: strings, name: office.member(data, name).replace(b"</Types>", types.encode())}


def powerpoint(make) -> bytes:
    data = office.slides("words @")
    xml = office.member(data, SLIDE)
    return office.repacked(data, {SLIDE: make(xml)})


def declared(attack):
    """A slide with a document type declaration before it and its entity in it."""

    def make(xml):
        return attack(b"%s", xml.split(b"?>", 1)[1].strip())

    return make


def pdf(*bodies: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """Objects, numbered from 1, without a cross-reference table: parsers rebuild it."""
    objects = b"".join(b"%d 0 obj\n%s\nendobj\n" % (n, body) for n, body in enumerate(bodies, 1))
    return b"%PDF-1.7\n" + objects + b"trailer<<" + trailer + b">>\nstartxref\n0\n%%EOF"


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
PAGE = (
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
)
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
WORDS = b"BT /F 12 Tf 9 50 Td (words) Tj ET"


def stream(data: bytes, about: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), about, data)


def encrypted_pdf() -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(99, 99)
    writer.encrypt("secret", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def claiming(data: bytes, name: str, size: int) -> bytes:
    """A zip whose directory says that a member is as large as it is not."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        info = package.getinfo(name)
    at = data.rindex(name.encode(), 0, data.rindex(b"PK\x05\x06")) - 46
    assert data[at : at + 4] == b"PK\x01\x02", info
    return data[: at + 24] + struct.pack("<I", size) + data[at + 28 :]


def marked(data: bytes, offset: int, value: int) -> bytes:
    """A zip of one member with a 16-bit field of its two headers changed; the offset is the local header's."""
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    out = bytearray(data)
    out[local + offset : local + offset + 2] = struct.pack("<H", value)
    out[central + offset + 2 : central + offset + 4] = struct.pack("<H", value)
    return bytes(out)


def overlapping() -> bytes:
    """Many directory entries for the same bytes: a bomb that needs no compression ratio."""
    kernel = office.zipped([("a.txt", bytes(10**6))])
    directory_at = kernel.index(b"PK\x01\x02")
    entry = kernel[directory_at : kernel.index(b"PK\x05\x06")]
    entries = b"".join(entry.replace(b"a.txt", b"%05d" % n) for n in range(500))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 500, 500, len(entries), directory_at, 0)
    return kernel[:directory_at] + entries + end


def link_member() -> bytes:
    info = zipfile.ZipInfo("link.txt")
    info.external_attr = 0o120777 << 16
    return office.zipped([(info, b"/etc/passwd")])


def nested(depth: int) -> bytes:
    data, name = b"words", "a.txt"
    for _ in range(depth):
        data, name = office.zipped([(name, data)]), "in.zip"
    return data


def nested_bomb() -> bytes:
    """Ten archives of ten files of a megabyte of nothing: each is small for its own archive."""
    inner = office.zipped([(f"{n}.txt", b"\0" * 2**20) for n in range(10)], zipfile.ZIP_DEFLATED)
    return office.zipped([(f"{n}.zip", inner) for n in range(10)], zipfile.ZIP_STORED)


def renamed(name: bytes) -> bytes:
    """A zip of one member with a name that no library would write."""
    return office.zipped([("n" * len(name), b"words")]).replace(b"n" * len(name), name)


def notebook(*cells) -> bytes:
    return json.dumps({"cells": list(cells), "nbformat": 4}).encode()


# The files. ---------------------------------------------------------------------------------------------------------

TEXT = {
    "nul.txt": (lambda: b"words\0" * 100, "document.binary"),
    "nul.csv": (lambda: b"a,b\n\0,1\n", "document.binary"),
    "nul.json": (lambda: b'{"a": "\0"}', "document.binary"),
    "controls.txt": (lambda: b"\x1b[2J\x07\x08" * 200, "document.binary"),
    "half-utf16.txt": (lambda: b"\xff\xfea\0b", "document.binary"),
    "lone-surrogate-utf16.txt": (lambda: b"\xff\xfe\x00\xd8a\0" * 20, "document.binary"),
    "overlong-utf8.txt": (lambda: b"\xc0\xae\xc0\xae/etc " * 50, None),
    "bidi.txt": (lambda: "words \u202e\u2066 sdrow".encode() * 20, None),
    "one-line.txt": (lambda: b"a" * 3_000_000, "document.too_large"),
    "one-line.md": (lambda: b"[ " * 100_000, None),
    "fences.md": (lambda: b"```\nx y\n" * 10_000 + b"words", None),
    "comments.md": (lambda: b"<!-- " * 100_000 + b"words", None),
    "references.md": (lambda: b"[//]: # (x)\n" * 100_000 + b"words", None),
    "elf": (lambda: b"\x7fELF" + bytes(500), "document.binary"),
    "blank.txt": (lambda: b"\n\t \n", "document.empty"),
    "empty.txt": (lambda: b"", "document.empty"),
}
WRONG_SUFFIX = {
    "pdf.docx": (lambda: pdf(CATALOG, PAGES, PAGE, stream(WORDS), FONT), "document.unreadable"),
    "docx.pdf": (lambda: office.word("words"), "document.unreadable"),
    "xlsx.docx": (lambda: office.sheet(["words"]), "document.unreadable"),
    "docx.xlsx": (lambda: office.word("words"), "document.unreadable"),
    "docx.pptx": (lambda: office.word("words"), "document.unreadable"),
    "zip.txt": (lambda: nested(1), "document.binary"),
    "html.pptx": (lambda: b"<html>words", "document.unreadable"),
    "text.zip": (lambda: b"words", "document.unreadable"),
    "text.ipynb": (lambda: b"words", "document.unreadable"),
    "list.ipynb": (lambda: b"[1]", "document.unreadable"),
    "cells.ipynb": (lambda: notebook(1, 2), "document.unreadable"),
    "old.doc": (lambda: OLE, "document.binary"),
    "old.docx": (lambda: OLE, "document.encrypted"),
    "old.xlsx": (lambda: OLE, "document.encrypted"),
    "old.pptx": (lambda: OLE, "document.encrypted"),
    "polyglot.pdf": (
        lambda: pdf(CATALOG, PAGES, PAGE, stream(WORDS), FONT) + nested(1),
        None,
    ),
    "gif.html": (lambda: b"GIF89a/*<html><p>words</p>*/=1//", None),
}
PDF = {
    "encrypted.pdf": (encrypted_pdf, "document.encrypted"),
    "billion-pages.pdf": (
        lambda: pdf(
            CATALOG, PAGES.replace(b"Count 1", b"Count 999999999"), PAGE, stream(WORDS), FONT
        ),
        None,
    ),
    "loop-of-pages.pdf": (
        lambda: pdf(CATALOG, PAGES.replace(b"3 0 R", b"2 0 R")),
        "document.unreadable",
    ),
    "claims-a-gigabyte.pdf": (
        lambda: pdf(
            CATALOG, PAGES, PAGE, stream(WORDS).replace(b"%d" % len(WORDS), b"1073741824"), FONT
        ),
        None,
    ),
    "deep-arrays.pdf": (
        lambda: pdf(CATALOG, b"[" * 200_000 + b"]" * 200_000),
        "document.unreadable",
    ),
    "double-deflated.pdf": (
        lambda: pdf(
            CATALOG,
            PAGES,
            PAGE,
            stream(
                zlib.compress(zlib.compress(b" " * (50 * 2**20), 9), 9),
                b"/Filter[/FlateDecode/FlateDecode]",
            ),
            FONT,
        ),
        "document.empty",
    ),
    "loop-of-tables.pdf": (
        lambda: (
            pdf(CATALOG, PAGES, PAGE, stream(WORDS), FONT)
            + b"\nxref\n0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF"
        ),
        None,
    ),
    "script.pdf": (
        lambda: pdf(
            CATALOG.replace(
                b">>", b"/OpenAction<</S/JavaScript/JS(app.launchURL('http://evil.example'))>>>>"
            ),
            PAGES,
            PAGE,
            stream(WORDS),
            FONT,
        ),
        None,
    ),
}
OFFICE = {
    "laughs.docx": (lambda: word(laughs(WORD, WORD_TEXT)), "document.unreadable"),
    "laughs.xlsx": (lambda: excel(laughs(EXCEL, EXCEL_TEXT)), "document.unreadable"),
    "laughs.pptx": (lambda: powerpoint(declared(laughs)), "document.unreadable"),
    "entity.docx": (lambda: word(external(WORD, WORD_TEXT)), "document.unreadable"),
    "entity.xlsx": (lambda: excel(external(EXCEL, EXCEL_TEXT)), "document.unreadable"),
    "entity.pptx": (lambda: powerpoint(declared(external)), "document.unreadable"),
    "entity-in-properties.docx": (
        lambda: office.repacked(
            office.word("x"), {"docProps/custom.xml": laughs(b"<p>%s</p>", b"@")}
        ),
        "document.unreadable",
    ),
    "utf16-entity.docx": (
        lambda: word(
            external(WORD, WORD_TEXT)
            .decode()
            .replace('"1.0"', '"1.0" encoding="UTF-16"')
            .encode("utf-16")
        ),
        "document.unreadable",
    ),
    "late-declaration.docx": (
        lambda: word(b"<!--" + b" " * 2**21 + b"-->" + external(b"%s", WORD % WORD_TEXT)[21:]),
        "document.unreadable",
    ),
    "bomb.docx": (lambda: office.blank(BODY, b"<w:d>", 220), "document.too_large"),
    "ratio.xlsx": (lambda: excel(b"<w>" + b" " * (20 * 2**20)), "document.too_large"),
    "claims-a-gigabyte.docx": (
        lambda: claiming(office.word("x" * 5000), BODY, 2**30),
        "document.too_large",
    ),
    "claims-less.docx": (
        lambda: claiming(office.word("x" * 5000), BODY, 10),
        "document.unreadable",
    ),
    "deep.docx": (
        lambda: word(
            WORD % (b"<w:sdt><w:sdtContent>" * 50_000 + b"</w:sdtContent></w:sdt>" * 50_000)
        ),
        "document.unreadable",
    ),
    "deep-tables.docx": (
        lambda: word(
            WORD % (b"<w:tbl><w:tr><w:tc>" * 60 + WORD_TEXT + b"</w:tc></w:tr></w:tbl>" * 60)
        ),
        None,
    ),
    "members.docx": (
        lambda: office.repacked(
            office.word("x"), {f"word/media/{n}.bin": b"x" for n in range(11_000)}
        ),
        "document.too_large",
    ),
    "no-body.docx": (lambda: office.zipped([("a", b"b")]), "document.unreadable"),
    "encrypted.docx": (lambda: marked(office.zipped([(BODY, b"x")]), 6, 1), "document.encrypted"),
    "remote-template.docx": (
        lambda: office.repacked(
            office.word("words"),
            {
                "word/_rels/settings.xml.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
                b'<Relationship Id="r1" Type="t" Target="http://203.0.113.9/x" TargetMode="External"/></Relationships>'
            },
        ),
        None,
    ),
    "last-cell.xlsx": (
        lambda: excel(
            EXCEL
            % b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>words</t></is></c></row>'
        ),
        None,
    ),
    "claimed-dimension.xlsx": (
        lambda: excel(
            (EXCEL % EXCEL_TEXT.replace(b"@", b"words")).replace(
                b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>'
            )
        ),
        None,
    ),
    "wide-rows.xlsx": (
        lambda: excel(
            EXCEL
            % b"".join(
                b'<row r="%d"><c r="XFD%d" t="inlineStr"><is><t>x</t></is></c></row>' % (n, n)
                for n in range(1, 3000)
            )
        ),
        "document.too_large",
    ),
    "repeated-string.xlsx": (
        lambda: excel(
            EXCEL
            % b"".join(
                b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (n, n) for n in range(1, 3000)
            ),
            **shared(
                b'<sst xmlns="%s" count="999999999"><si><t>%s</t></si></sst>'
                % (S.encode(), b"ab " * 10_000)
            ),
        ),
        "document.too_large",
    ),
    "deep-groups.pptx": (
        lambda: powerpoint(
            lambda xml: xml.replace(
                b"<p:sp>",
                b"<p:grpSp><p:nvGrpSpPr><p:cNvPr id='9' name='g'/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"
                * 60
                + b"<p:sp>",
            ).replace(b"</p:sp>", b"</p:sp>" + b"</p:grpSp>" * 60)
        ),
        "document.too_large",
    ),
    "no-slide.pptx": (lambda: powerpoint(lambda _xml: b"<broken"), "document.unreadable"),
}
DATA = {
    "quotes.csv": (lambda: b'"' * 3_000_000, "document.unreadable"),
    "columns.csv": (lambda: b"a," * 500_000 + b"\n" + b"1," * 500_000, "document.too_large"),
    "header.csv": (
        lambda: b"h" * 90_000 + b"," + b"i" * 90_000 + b"\n" + b"1,2\n" * 50_000,
        "document.too_large",
    ),
    "field.csv": (lambda: b"a,b\n" + b"x" * 200_000 + b",1\n", "document.unreadable"),
    "deep.json": (lambda: b"[" * 100_000 + b"]" * 100_000, "document.unreadable"),
    "deep-enough.json": (lambda: b"[" * 100 + b"1" + b"]" * 100, "document.too_large"),
    "digits.json": (lambda: b'{"a": ' + b"9" * 1_000_000 + b"}", "document.unreadable"),
    "key.json": (
        lambda: b'{"' + b"k" * 100_000 + b'": [' + b"1," * 20_000 + b"1]}",
        "document.too_large",
    ),
    "lines.jsonl": (lambda: b"1\n" * 250_000, "document.too_large"),
    "broken-line.jsonl": (lambda: b'{"a": 1}\n{"a":\n', "document.unreadable"),
    "surrogate.json": (lambda: b'{"a": "\\ud800 words"}', None),
    "output.ipynb": (
        lambda: notebook(
            {"cell_type": "code", "source": "x", "outputs": [{"text": "ab " * 10**6}]}
        ),
        "document.too_large",
    ),
    "deep.ipynb": (lambda: b'{"cells": ' + b"[" * 100_000, "document.unreadable"),
    "many.ipynb": (
        lambda: notebook(*[{"cell_type": "raw", "source": "x"}] * 30_000),
        "document.too_large",
    ),
    "rules.html": (
        lambda: b"<style>" + b".a{display:none}" * 5_000 + b"</style>" + b"<p class=b>words" * 500,
        None,
    ),
    "nested-hidden.html": (lambda: b"<div hidden>" * 10_000 + b"words", "document.empty"),
    "attributes.html": (lambda: b"<p " + b"a=b " * 200_000 + b">words</p>", None),
    "parts.eml": (
        lambda: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5_000,
        "document.too_large",
    ),
    "label.eml": (
        lambda: b"Subject: words\nmsip_labels: " + b"a=b;" * 100_000 + b"\n\nwords",
        None,
    ),
    "charset.eml": (
        lambda: b"Subject: x\nContent-Type: text/plain; charset=nonsense\n\nwords",
        None,
    ),
}
#: Archives: name -> (bytes, {member: code or None}), or the code of the whole.
ARCHIVES = {
    "up.zip": (lambda: renamed(b"../../etc/x.txt"), {"#1": "document.path"}),
    "root.zip": (lambda: renamed(b"/etc/x.txt"), {"#1": "document.path"}),
    "backslash.zip": (lambda: renamed(b"..\\x.txt"), {"#1": "document.path"}),
    "drive.zip": (lambda: renamed(b"C:x.txt"), {"#1": "document.path"}),
    "nul-name.zip": (lambda: renamed(b"a.txt\0.pdf"), {"#1": "document.path"}),
    "newline.zip": (lambda: renamed(b"a\n.txt"), {"#1": "document.path"}),
    "dots.zip": (lambda: renamed(b"a/./b.txt"), {"#1": "document.path"}),
    "spoof.zip": (lambda: renamed(b"b.zip!/c.txt"), {"#1": "document.path"}),
    "link.zip": (link_member, {"#1": "document.path"}),
    "twice.zip": (
        lambda: _twice(),
        {"a.txt": None, "#2": "document.path"},
    ),
    "locked.zip": (
        lambda: marked(office.zipped([("a.txt", b"words")]), 6, 1),
        {"a.txt": "document.encrypted"},
    ),
    "method.zip": (
        lambda: marked(office.zipped([("a.txt", b"words")]), 8, 99),
        {"a.txt": "document.unreadable"},
    ),
    "checksum.zip": (
        lambda: office.zipped([("a.txt", b"words")], zipfile.ZIP_STORED).replace(
            b"words", b"wordz", 1
        ),
        {"a.txt": "document.unreadable"},
    ),
    "deep.zip": (lambda: nested(6), {"in.zip!/in.zip!/in.zip": "document.too_large"}),
    "bomb.zip": (
        lambda: office.zipped([("a.txt", b"\0" * (30 * 2**20))]),
        "document.too_large",
    ),
    "nested-bomb.zip": (nested_bomb, {f"{n}.zip": "document.too_large" for n in range(10)}),
    "overlapping.zip": (overlapping, "document.too_large"),
    "claims-a-gigabyte.zip": (
        lambda: claiming(office.zipped([("a.txt", b"words")]), "a.txt", 2**30),
        "document.too_large",
    ),
    "many.zip": (
        lambda: office.zipped(((f"{n}.txt", b"x") for n in range(4500)), zipfile.ZIP_STORED),
        "document.too_large",
    ),
    "cut.zip": (lambda: nested(1)[:-10], "document.unreadable"),
    "empty.zip": (lambda: office.zipped([]), "document.empty"),
    "mixed.zip": (
        lambda: office.zipped([("good.txt", b"words"), ("bad.pdf", b"no"), ("nul.txt", b"\0\0")]),
        {"good.txt": None, "bad.pdf": "document.unreadable", "nul.txt": "document.binary"},
    ),
}


def _twice() -> bytes:
    data = office.zipped([("a.txt", b"words"), ("b.txt", b"other words")])
    return data.replace(b"b.txt", b"a.txt")


FILES = TEXT | WRONG_SUFFIX | PDF | OFFICE | DATA
