"""Zip archives: their members, as documents of their own, with bounds on number, size, ratio and depth."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ragward.adapters.extraction.limits import RefusedFileError

SUFFIX: Final = ".zip"
#: Between the path of an archive and the path in it, as in `jar:` URLs.
INSIDE: Final = "!/"
MAX_MEMBERS: Final = 2_000
MAX_DEPTH: Final = 3
MAX_RATIO: Final = 200
_MAX_PATH: Final = 500
#: What archivers of one system leave for themselves.
_DEBRIS: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its path, and its bytes or the code it was refused with."""

    path: str
    data: bytes = b""
    code: str = ""


class Unpacking:
    """One archive with everything in it, within one budget of members and bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._bytes = max_bytes
        self._members = MAX_MEMBERS

    def members(self, data: bytes, prefix: str = "", depth: int = 1) -> Iterator[Member]:
        """Every file in it, those of archives in it included. Raises when the archive as a whole is refused."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                entries = [e for e in archive.infolist() if not e.is_dir() and not _is_debris(e)]
                if len(archive.infolist()) > MAX_MEMBERS * 2:
                    raise RefusedFileError("document.too_large")
                if sum(e.file_size for e in entries) > MAX_RATIO * max(len(data), 1):
                    raise RefusedFileError("document.too_large")
                seen: set[str] = set()
                for number, entry in enumerate(entries, start=1):
                    self._spend(entry)
                    yield from self._member(archive, entry, number, seen, prefix, depth)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError):
            raise RefusedFileError("document.unreadable") from None

    def _spend(self, entry: zipfile.ZipInfo) -> None:
        self._members -= 1
        self._bytes -= entry.file_size
        if self._members < 0 or self._bytes < 0:
            raise RefusedFileError("document.too_large")

    def _member(
        self,
        archive: zipfile.ZipFile,
        entry: zipfile.ZipInfo,
        number: int,
        seen: set[str],
        prefix: str,
        depth: int,
    ) -> Iterator[Member]:
        if not _is_safe(entry) or entry.filename in seen:
            yield Member(f"{prefix}#{number}", code="document.path")
            return
        seen.add(entry.filename)
        path = prefix + entry.filename
        if entry.flag_bits & 1:
            yield Member(path, code="document.encrypted")
            return
        try:
            data = archive.read(entry)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError):
            yield Member(path, code="document.unreadable")
            return
        if not entry.filename.lower().endswith(SUFFIX):
            yield Member(path, data)
        elif depth >= MAX_DEPTH:
            yield Member(path, code="document.too_large")
        else:
            try:
                yield from self.members(data, path + INSIDE, depth + 1)
            except RefusedFileError as refused:
                yield Member(path, code=refused.code)


def _is_debris(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.startswith(_DEBRIS[0]) or entry.filename.endswith(_DEBRIS[1:])


def _is_safe(entry: zipfile.ZipInfo) -> bool:
    """Whether a member's path names something below the archive, in one way only, and is a regular file's."""
    path = entry.orig_filename
    parts = path.split("/")
    is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
    return (
        0 < len(path) <= _MAX_PATH
        and path.isprintable()
        and "\\" not in path
        and INSIDE not in path
        and ":" not in parts[0]
        and not {"", ".", ".."} & set(parts)
        and not is_link
    )
