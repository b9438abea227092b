"""What each format's reader makes of a good file: text where people see it, hidden text apart, properties beside."""

from __future__ import annotations

import io
import json

import pytest

from ragward.adapters.extraction import worker
from ragward.adapters.extraction.archives import MAX_DEPTH, Unpacking
from ragward.adapters.extraction.limits import MAX_PROPERTIES, kept_properties
from ragward.adapters.extractor_process import ProcessTextExtractor
from ragward.adapters.loader_plugins import BUILT_IN
from ragward.domain.errors import InvalidRequestError
from tests import office_files as office


@pytest.fixture(scope="module")
def extractor():
    made = ProcessTextExtractor(time_limit_seconds=20)
    yield made
    made.close()


def pdf(text="Words on the page", **information):
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    writer.add_metadata({f"/{name}": value for name, value in information.items()})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_word(extractor):
    found = extractor.extract("a.docx", office.rich_word())
    lines = found.text.split("\n")
    assert lines[0] == "CONFIDENTIAL header"
    assert lines[-2:] == ["Footer of the page", "Footer of the first page"]
    for words in (
        "A heading",
        "Shown words and a commented run",
        "inserted words",
        "controlled words",
        "boxed words",
        "left cell | right cell",
        "What the reviewer said",
    ):
        assert found.text.count(words) == 1, words
    assert set(found.hidden) == {"hidden instructions", "tiny instructions", "deleted words"}
    assert "instructions" not in found.text
    assert "deleted" not in found.text
    assert found.properties == {f"{office.LABEL}_Name": "Secret", "Team": "Red"}
    assert found.title == "The title"
    assert found.loader.startswith("python-docx ")


def test_excel(extractor):
    found = extractor.extract("a.xlsx", office.rich_sheet())
    assert found.text.split("\n") == [
        "CONFIDENTIAL header",
        "Footer & more of page",
        "",
        "# People",
        "name; city",
        "name: Ann; city: Oslo",
        "name: Ben",
        "What the reviewer said",
    ]
    assert found.hidden == ("hidden instructions",)
    assert found.properties == {f"{office.LABEL}_Enabled": "true"}


def test_powerpoint(extractor):
    found = extractor.extract("a.pptx", office.rich_slides())
    assert found.text.startswith("CONFIDENTIAL banner\n")
    for words in ("Shown words", "left cell | right cell", "grouped words"):
        assert words in found.text
    assert "notes of Shown words" in found.text
    assert "hidden" not in found.text
    assert {"hidden instructions", "hidden slide notes of hidden slide"} == set(found.hidden)
    assert found.properties == {f"{office.LABEL}_Enabled": "true"}


def test_pdf(extractor):
    data = pdf(Title="The title", Author="Ann", **{f"{office.LABEL}_Enabled": "true"})
    found = extractor.extract("a.pdf", data)
    assert found.text.strip() == "Words on the page"
    assert (found.title, found.loader.split()[0]) == ("The title", "pypdfium2")
    assert found.properties == {f"{office.LABEL}_Enabled": "true"}


def test_the_second_pdf_parser_reads_what_the_first_does_not(monkeypatch):
    from ragward.adapters.extraction import pdf as reader

    def fails(_data):
        raise ValueError

    monkeypatch.setattr(reader, "_by_pdfium", fails)
    found = reader.read_pdf(pdf())
    assert (found.text.strip(), found.library) == ("Words on the page", "pypdf")


def test_mail_carries_its_labels(extractor):
    mail = (
        f"From: ann@acme.example\nSubject: Hello\nmsip_labels: {office.LABEL}_Enabled=true; "
        f"{office.LABEL}_Name=Secret;\n\nText of the mail"
    )
    found = extractor.extract("a.eml", mail.encode())
    assert "Text of the mail" in found.text
    assert found.properties == {
        f"{office.LABEL}_Enabled": "true",
        f"{office.LABEL}_Name": "Secret",
    }


def test_markdown_without_what_no_renderer_shows(extractor):
    text = (
        "# Title\n<!-- hidden one -->shown\n[//]: # (hidden two)\n```\n<!-- code -->\n[//]: # (code)\n"
        "```\n<!-- not closed"
    )
    found = extractor.extract("a.md", text.encode())
    assert found.hidden == ("hidden one", "(hidden two)")
    assert "hidden" not in found.text
    assert found.text.count("code") == 2
    assert found.text.endswith("<!-- not closed")
    assert found.title == "Title"


@pytest.mark.parametrize(
    ("html", "hidden"),
    [
        ("<style>.x{display:none}</style><p class=x>h</p>", True),
        ("<style>#y , p.z { visibility : hidden }</style><p id=y>h</p>", True),
        ("<style>div .x{font-size:0}</style><div><b class=x>h</b></div>", True),
        ("<style>.x{color:red}</style><p class=x>h</p>", False),
        ("<style>.y{display:none}</style><p class=x>h</p>", False),
        ("<style>@media print {.x{display:none}}</style><p class=x>h</p>", False),
        ("<style>p:not(.q){display:none}</style><p class=q>h</p>", False),
        ("<style>body{display:none}</style><p>h</p>", False),
        ("<div hidden>a<p hidden>h</p></div>", True),
    ],
)
def test_html_styled_away(extractor, html, hidden):
    found = extractor.extract("a.html", f"<html><body>shown {html}</body></html>".encode())
    assert ("h" in found.text.replace("shown", "")) is not hidden
    assert any("h" in piece for piece in found.hidden) is hidden


def test_notebooks(extractor):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words <!-- hidden -->"]},
        {
            "cell_type": "code",
            "source": "print(1)",
            "outputs": [
                {"output_type": "stream", "text": ["printed\n"]},
                {"output_type": "display_data", "data": {"text/plain": "shown", "image/png": "AA"}},
            ],
        },
        {"cell_type": "raw", "source": "raw words"},
    ]
    found = extractor.extract("a.ipynb", json.dumps({"cells": cells, "nbformat": 4}).encode())
    for words in ("# Title", "print(1)", "printed", "shown", "raw words"):
        assert words in found.text
    assert found.hidden == ("hidden",)
    assert found.title == "Title"


def test_runs_of_blank_lines_are_cut(extractor):
    """`^\\s*BANNER`, as a rule may say, is quadratic in them."""
    text = "one\n" + " \t\n" * 500_000 + "two\n\nthree"
    assert extractor.extract("a.txt", text.encode()).text == "one\n \t\n \t\ntwo\n\nthree"


def test_archives(extractor):
    inner = office.zipped([("deep.txt", b"deep")])
    data = office.zipped(
        [("b.txt", b"b"), ("folder/", b""), ("folder/in.zip", inner), ("__MACOSX/x", b"")]
    )
    found = extractor.members("a.zip", data)
    assert [(m.path, m.data, m.code) for m in found] == [
        ("b.txt", b"b", None),
        ("folder/in.zip!/deep.txt", b"deep", None),
    ]
    assert extractor.is_archive("x/A.ZIP")
    assert not extractor.is_archive("zip")
    with pytest.raises(InvalidRequestError) as caught:
        extractor.extract("a.zip", data)
    assert caught.value.code == "document.archive"


def test_archives_end_at_a_depth():
    data = b"x"
    name = "x.txt"
    for _ in range(MAX_DEPTH + 1):
        data, name = office.zipped([(name, data), ("beside.txt", b"y")]), "in.zip"
    found = list(Unpacking(10**6).members(data))
    assert [m.code for m in found if m.path.endswith("in.zip")] == ["document.too_large"]
    assert sum(m.path.endswith("beside.txt") for m in found) == MAX_DEPTH


def test_labels_are_not_crowded_out_by_other_properties():
    many = [(f"a{n}", "x") for n in range(500)]
    kept = kept_properties(
        [*many, ("MSIP_Label_x", "v" * 1000), ("", "x"), ("bad\n\x00name", "y\n")]
    )
    assert len(kept) == MAX_PROPERTIES
    assert kept["MSIP_Label_x"] == "v" * 256


@pytest.mark.parametrize("suffix", sorted(BUILT_IN - {"", ".zip"}))
def test_every_suffix_that_is_called_built_in_is_read(suffix):
    made = {
        ".docx": office.word("words"),
        ".xlsx": office.sheet(["words"]),
        ".pptx": office.slides("words"),
        ".pdf": pdf("words"),
        ".json": b'"words"',
        ".jsonl": b'"words"',
        ".ipynb": b'{"cells": [{"cell_type": "raw", "source": "words"}]}',
        ".eml": b"Subject: x\n\nwords",
        ".csv": b"head\nwords",
    }
    assert "words" in worker.extract(f"a{suffix}", made.get(suffix, b"words")).text
