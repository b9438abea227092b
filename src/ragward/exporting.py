"""Sending the audit log elsewhere, entry by entry, in the log's order, each at least once.

An export reads the log beside its writer and remembers its place after what it sent was taken: nothing waits for it, and
`kill -9` between the two sends some lines again. A place that does not fit the log counts for nothing.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Final

from ragward.domain.errors import RagwardError
from ragward.domain.merkle import leaf_hash
from ragward.domain.ocsf import ExportedLine, LineMaker, Place
from ragward.ports import AuditLog
from ragward.ports.export import ExportCursor, ExportSink

_BATCH: Final = 500
_EVERY_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPorts:
    """Everything one export talks to. `name` says where it goes, without secrets."""

    name: str
    log: AuditLog
    sink: ExportSink
    cursor: ExportCursor
    maker: LineMaker


class Export:
    """One log to one receiver. For one thread."""

    def __init__(self, ports: ExportPorts) -> None:
        self._ports = ports
        self._place: Place | None = None

    @property
    def name(self) -> str:
        """Where it goes."""
        return self._ports.name

    def run_once(self) -> int:
        """Sends what comes next; returns how many lines that was, 0 at the log's end. Raises `unavailable.*`."""
        if self._place is None:
            self._place = self._resumed()
        place, lines = self._place, list[ExportedLine]()
        for entry in self._ports.log.entries(start=place.next_index, limit=_BATCH):
            line, place = self._ports.maker.line(entry, place)
            lines.append(line)
        if lines:
            self._ports.sink.send(lines)
            self._ports.cursor.save(place)
            self._place = place
        return len(lines)

    def run(self) -> int:
        """Sends everything that is there; returns how many lines. Raises `unavailable.*`."""
        total = 0
        while sent := self.run_once():
            total += sent
        return total

    def close(self) -> None:
        """Lets somebody else export there."""
        self._ports.cursor.close()
        self._ports.log.close()

    def _resumed(self) -> Place:
        place = self._ports.cursor.load()
        if place is None or not place.next_index:
            return Place()
        last = self._ports.log.entries(start=place.next_index - 1, limit=1)
        fits = [entry.index for entry in last] == [place.next_index - 1]
        if not fits or leaf_hash(last[0].data).hex() != place.leaf:
            _LOGGER.error("the place of an export does not fit the log: it begins again")
            return Place()
        return place


class BackgroundExport:
    """A thread that keeps an export up to date, until it is closed. A receiver that is away is asked again, more and more
    rarely."""

    def __init__(self, export: Export, every_seconds: float = _EVERY_SECONDS) -> None:
        self._export, self._every = export, every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ragward-export", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after what it is at, and lets go of the place."""
        self._stopping.set()
        self._thread.join(timeout=30)
        self._export.close()

    def _run(self) -> None:
        wait = self._every
        while not self._stopping.is_set():
            try:
                while self._export.run_once() and not self._stopping.is_set():
                    continue
                wait = self._every
            except RagwardError as error:
                _LOGGER.warning("an export is put off: %s to %s", error.code, self._export.name)
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever one receiver does
                _LOGGER.error("an export failed: %s", type(error).__name__)
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            self._stopping.wait(wait)
