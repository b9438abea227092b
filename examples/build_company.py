"""Builds the sample companies' files: hand-written texts from `sources/`, and records generated from varied facts.

Run by hand, `python examples/build_company.py`; the results are committed, so nothing of this is needed at run time.
Deterministic: the same files every time.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from company_records import records

HERE = Path(__file__).parent
_HIDDEN = "[[hidden]]"  # a line of a Word file that starts so is formatted as hidden text
_ESCAPED = {ord("("): "\\(", ord(")"): "\\)", ord("\\"): "\\\\"}


def main() -> None:
    """Writes both companies."""
    for tenant, sources in (
        (
            "aurora",
            (
                "aurora_handbook",
                "aurora_engineering",
                "aurora_people",
                "aurora_personal",
                "aurora_poison",
            ),
        ),
        ("borealis", ("borealis",)),
    ):
        root = HERE / tenant
        shutil.rmtree(root / "documents", ignore_errors=True)  # what has left the sources goes
        entries = []
        written = [
            item
            for name in sources
            for item in parsed((HERE / "sources" / f"{name}.txt").read_text("utf-8"), tenant)
        ]
        for entry, body in [*written, *records(tenant, random.Random(f"{tenant}-2026"))]:
            path = root / entry["uri"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(path.suffix, body))
            entries.append(entry)
        lines = (
            json.dumps(entry, ensure_ascii=False)
            for entry in sorted(entries, key=lambda e: e["uri"])
        )
        (root / "manifest.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        print(tenant, len(entries))


def parsed(text: str, tenant: str) -> Iterator[tuple[dict, str]]:
    """`=== uri | corpus | level | compartments | granted | validity | denied` and the text below it."""
    for block in text.split("=== ")[1:]:
        head, _, body = block.partition("\n")
        fields = [field.strip() for field in head.split("|")] + ["", ""]
        uri, corpus, level, compartments, granted, validity, denied = fields[:7]
        start, _, end = validity.partition("..")
        yield (
            entry(tenant, uri, corpus, level, compartments, granted, start, end, denied),
            body.rstrip() + "\n",
        )


def entry(tenant, uri, corpus, level, compartments="", granted="", start="", end="", denied=""):
    """A manifest line."""
    people = {"dave", "leo", "kim"}
    names = lambda text: sorted(  # noqa: E731 - two words, used twice
        f"{'user' if name in people else 'group'}:{tenant}/{name}"
        for name in text.split(",")
        if name
    )
    return {
        "uri": uri,
        "corpus": corpus,
        "classification": level,
        "compartments": [name for name in compartments.split(",") if name],
        "granted": names(granted),
        "denied": names(denied),
        "valid_from": start or None,
        "valid_until": end or None,
        "metadata": {"department": corpus, "format": uri.rpartition(".")[2], "year": 2026},
    }


def encoded(suffix: str, body: str) -> bytes:
    """The file's bytes."""
    if suffix == ".pdf":
        return pdf(body)
    if suffix == ".docx":
        return docx(body)
    return body.encode()


def pdf(body: str) -> bytes:
    """A plain one-font PDF, written by hand so that building needs no library."""
    lines = [piece for line in body.splitlines() for piece in wrapped(line)]
    pages = [lines[i : i + 48] for i in range(0, len(lines), 48)]
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for page in pages:
        content = "BT /F1 11 Tf 60 780 Td 15 TL\n"
        content += "".join(f"({line.translate(_ESCAPED)}) Tj T*\n" for line in page) + "ET"
        objects.append(
            f"<< /Length {len(content.encode('latin-1', 'replace'))} >>\nstream\n{content}\nendstream"
        )
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out, offsets = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1", "replace")
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    return (
        out
        + f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    )


def wrapped(line: str, width: int = 92) -> list[str]:
    """Lines of at most `width` characters."""
    out, current = [], ""
    for word in line.split(" "):
        if current and len(current) + len(word) + 1 > width:
            out.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [*out, current]


def docx(body: str) -> bytes:
    """A Word file with python-docx, its times fixed."""
    import docx as library

    document = library.Document()
    lines = body.splitlines()
    document.add_heading(lines[0], level=1)
    for line in lines[1:]:
        if line.startswith(_HIDDEN):
            document.add_paragraph().add_run(line.removeprefix(_HIDDEN)).font.hidden = True
        elif line.strip():
            document.add_paragraph(line)
    document.core_properties.title = lines[0]
    raw, out = io.BytesIO(), io.BytesIO()
    document.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(
                zipfile.ZipInfo(name, (2026, 11, 1, 0, 0, 0)),
                source.read(name),
                zipfile.ZIP_DEFLATED,
            )
    return out.getvalue()


if __name__ == "__main__":
    main()
