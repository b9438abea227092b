"""Where events of the audit log are sent, and how far that has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ragward.domain.ocsf import ExportedLine, Place


class ExportSink(Protocol):
    """A receiver outside: a file, a collector, a service."""

    def send(self, lines: Sequence[ExportedLine]) -> None:
        """All of them, in order, kept or taken over when this returns. Raises `unavailable.egress`."""


class ExportCursor(Protocol):
    """The place of one export, kept over restarts."""

    def load(self) -> Place | None:
        """The place that was saved; None where there is none, or it is not what was saved. Raises `unavailable.audit`."""

    def save(self, place: Place) -> None:
        """On disk when this returns. Raises `unavailable.audit`."""

    def close(self) -> None:
        """Lets somebody else export there."""
