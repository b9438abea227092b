"""Reads everything as UTF-8, in this process."""

from __future__ import annotations

from ragward.domain.corpus import ExtractedText
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
        """It unpacks nothing."""
        return False

    def close(self):
        """Nothing to release."""
