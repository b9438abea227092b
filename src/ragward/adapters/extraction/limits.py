"""What every format's reader shares: its result and its refusals."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Extracted:
    """Text, and what a person would not have seen of it."""

    text: str
    media_type: str
    title: str = ""
    hidden: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class RefusedFileError(Exception):
    """A file that cannot be read, with one of the `document.*` codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
