"""What a server does by itself now and then: write down which identities were used, finish relabellings, rotations and shreddings that waited for a key or a
restart, and verify the model's files again."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from ragward.bootstrap import Ragward
from ragward.domain.errors import RagwardError

_EVERY_SECONDS: Final = 30.0
_MODEL_EVERY: Final = 120  # rounds: once an hour
_log: Final = structlog.get_logger("ragward.maintenance")


class Maintenance:
    """One thread, until `close`."""

    def __init__(self, ragward: Ragward, every_seconds: float = _EVERY_SECONDS) -> None:
        self._ragward, self._every = ragward, every_seconds
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ragward-maintenance", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do now."""
        self._wake.set()

    def close(self) -> None:
        """Ends the thread after what it is at."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        rounds = 0
        while True:
            self._wake.wait(self._every)
            self._wake.clear()
            if self._closed:
                return
            rounds += 1
            if rounds % _MODEL_EVERY == 0:
                self._ragward.model_files.verify()  # `/readyz` says so if they do not
            for work in (self._relabellings, self._rotations, self._shreddings, self._uses):
                try:
                    work()
                except RagwardError as error:
                    _log.warning("maintenance is put off", code=error.code)

    def _relabellings(self) -> None:
        if self._ragward.catalog.count_pending():
            _log.info("relabellings finished", count=self._ragward.relabelling.resume())

    def _rotations(self) -> None:
        if self._ragward.rotations_waiting():
            _log.info("keys rewrapped", count=self._ragward.rotation.resume())

    def _uses(self) -> None:
        self._ragward.identity.flush()

    def _shreddings(self) -> None:
        if done := self._ragward.shredding.resume():
            _log.info("shreddings finished", count=done)
