"""Finds e-mail addresses and what looks like a social security number."""

from __future__ import annotations

import re

from ragward.domain.findings import Span
from ragward.domain.scans import Scan

_PATTERNS = (
    ("EMAIL_ADDRESS", re.compile(r"[\w.]+@[\w.]+\w")),
    ("US_SSN", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
)


class FakeFinder:
    """`ports.Finder`."""

    version = "fake/1"

    def find(self, text):
        spans = [
            Span(match.start(), match.end(), kind, 1.0)
            for kind, pattern in _PATTERNS
            for match in pattern.finditer(text)
        ]
        return tuple(sorted(spans))

    def scan(self, text, chunks):
        return Scan(spans=self.find(text))
