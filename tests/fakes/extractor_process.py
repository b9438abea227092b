"""Reads everything as UTF-8, in this process."""

from __future__ import annotations

import io
import zipfile

from ragward.domain.corpus import ArchiveMember, ExtractedText
from ragward.domain.errors import InvalidRequestError


class FakeExtractor:
    """`ports.TextExtractor`."""

    def extract(self, filename, data, *, tenant):
        if not data:
            raise InvalidRequestError(code="document.empty")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(code="document.binary") from None
        return ExtractedText(text=text, title=text.split("\n", 1)[0][:80], media_type="text/plain")

    def is_archive(self, filename):
        return filename.endswith(".zip")

    def members(self, filename, data, *, tenant):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return [ArchiveMember(path=n, data=archive.read(n)) for n in archive.namelist()]
        except zipfile.BadZipFile:
            raise InvalidRequestError(code="document.unreadable") from None

    def close(self):
        """Nothing to release."""
