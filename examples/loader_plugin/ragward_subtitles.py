"""An example of a ragward loader: what is said in a SubRip file, without numbers and times.

Install it beside ragward and name it in the settings: `loaders = { srt = "ragward-subtitles" }`.
"""

from __future__ import annotations

import re

from ragward.domain.corpus import ExtractedText
from ragward.domain.errors import InvalidRequestError

TIMES = re.compile(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}")


class SubtitleLoader:
    """`ragward.ports.Loader`. Made anew for each file, in a process that reads nothing else and may open no connection."""

    def load(self, filename: str, data: bytes) -> ExtractedText:
        """Raises `document.binary`, `document.unreadable`."""
        try:
            lines = data.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise InvalidRequestError(code="document.binary") from None
        if not any(TIMES.match(line) for line in lines):
            raise InvalidRequestError("there are no times in it", code="document.unreadable")
        said = (line for line in lines if line and not line.isdecimal() and not TIMES.match(line))
        return ExtractedText(
            text="\n".join(said),
            title=filename.removesuffix(".srt"),
            media_type="application/x-subrip",
            properties={"Lines": str(len(lines))},
        )
