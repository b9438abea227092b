"""What Word, Excel and PowerPoint files have in common: a zip of XML parts (ECMA-376), checked before any library opens it."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ragward.adapters.extraction.limits import RefusedFileError, kept_properties

_MAX_UNPACKED: Final = 200 * 2**20
_MAX_RATIO: Final = 200
_MAX_MEMBERS: Final = 10_000
_PIECE: Final = 2**20
_OLE: Final = b"\xd0\xcf\x11\xe0"
_CUSTOM: Final = "docProps/custom.xml"
#: Parts have no document type declaration (ECMA-376-2, 6.2.5), so no entities: whoever brings one attacks a parser.
_DECLARATION: Final = tuple(
    "<!DOCTYPE".encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be")
)


@contextmanager
def opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """The package, checked. Whatever the library inside makes of a damaged one is `document.unreadable`."""
    if data.startswith(_OLE):
        raise RefusedFileError("document.encrypted")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            _refuse_bomb(package, len(data))
            _refuse_declarations(package)
            yield package
    except (RefusedFileError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - these libraries fail in many ways on damaged packages
        raise RefusedFileError("document.unreadable") from None


def custom_properties(package: zipfile.ZipFile) -> dict[str, str]:
    """`docProps/custom.xml`: names and values, among them the labels of Purview (`MSIP_Label_*`)."""
    if _CUSTOM not in package.namelist():
        return {}
    pairs = []
    for element in _parsed(package.read(_CUSTOM)):
        if local(element) == "property":
            pairs.append((element.get("name", ""), "".join(element.itertext())))
    return kept_properties(pairs)


def texts_of(package: zipfile.ZipFile, pattern: str, tag: str) -> list[str]:
    """The text of every element `tag` in the parts whose names match, such as comments and notes."""
    found = []
    for name in sorted(package.namelist()):
        if re.fullmatch(pattern, name):
            elements = (e for e in _parsed(package.read(name)).iter() if local(e) == tag)
            found += ["".join(element.itertext()).strip() for element in elements]
    return [text for text in found if text]


def local(element: Any) -> str:
    """An element's name without its namespace; "" for comments and instructions."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _parsed(data: bytes) -> Any:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(data, parser)


def _refuse_bomb(package: zipfile.ZipFile, size: int) -> None:
    members = package.infolist()
    if len(members) > _MAX_MEMBERS:
        raise RefusedFileError("document.too_large")
    if any(member.flag_bits & 1 for member in members):
        raise RefusedFileError("document.encrypted")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _MAX_UNPACKED or unpacked > _MAX_RATIO * max(size, 1):
        raise RefusedFileError("document.too_large")


def _refuse_declarations(package: zipfile.ZipFile) -> None:
    for name in package.namelist():
        if name.lower().endswith((".xml", ".rels", ".vml")):
            with package.open(name) as part:
                before = b""
                while piece := part.read(_PIECE):
                    if any(mark in before + piece for mark in _DECLARATION):
                        raise RefusedFileError("document.unreadable")
                    before = piece[-32:]
