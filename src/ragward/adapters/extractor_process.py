"""Text extraction in another process, with limits on time, memory, files and output; its replies are not trusted.

One warm worker serves many files and is replaced after a failure, a time-out, every two hundred files, and when it is
another tenant's turn: whatever a hostile file made of it sees no other tenant's.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from ragward.domain.corpus import ExtractedText
from ragward.domain.errors import CODES, InvalidRequestError

_FILES_PER_WORKER: Final = 200
_CPU_SECONDS_PER_WORKER: Final = 600
_PIECE: Final = 65_536


class ProcessTextExtractor:
    """`ports.TextExtractor`. Thread-safe: one file at a time."""

    def __init__(
        self,
        *,
        time_limit_seconds: float = 20,
        memory_limit_bytes: int = 2**30,
        max_file_bytes: int = 20 * 2**20,
        max_text_characters: int = 2_000_000,
    ) -> None:
        self._seconds = time_limit_seconds
        self._memory = memory_limit_bytes
        self._max_file = max_file_bytes
        self._max_text = max_text_characters
        self._worker: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._tenant = ""
        self._lock = threading.Lock()

    def extract(self, filename: str, data: bytes, *, tenant: str = "") -> ExtractedText:
        """Raises `document.*`."""
        if len(data) > self._max_file:
            raise InvalidRequestError(code="document.too_large")
        if not data:
            raise InvalidRequestError(code="document.empty")
        with self._lock:
            if tenant != self._tenant:
                self._end()
                self._tenant = tenant
            try:
                reply = self._asked(filename, data)
            except TimeoutError:
                self._end()
                raise InvalidRequestError(code="document.timeout") from None
            except (OSError, ValueError, struct.error):
                self._end()
                raise InvalidRequestError(code="document.unreadable") from None
            self._served += 1
            if self._served >= _FILES_PER_WORKER:
                self._end()
        return self._checked(reply)

    def close(self) -> None:
        """Ends the worker."""
        with self._lock:
            self._end()

    def _asked(self, filename: str, data: bytes) -> Any:
        worker = self._running()
        header = json.dumps({"filename": Path(filename).name}).encode()
        frame = struct.pack(">I", len(header)) + header + struct.pack(">I", len(data)) + data
        deadline = time.monotonic() + self._seconds
        assert worker.stdin is not None
        assert worker.stdout is not None
        _write(worker.stdin.fileno(), frame, deadline)
        size = struct.unpack(">I", _read(worker.stdout.fileno(), 4, deadline))[0]
        if size > self._max_text * 16:
            raise ValueError("reply too large")
        return json.loads(_read(worker.stdout.fileno(), size, deadline))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            self._end()
            limits = (self._memory, _CPU_SECONDS_PER_WORKER, self._max_text)
            self._worker = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [
                    sys.executable,
                    "-I",
                    "-m",
                    "ragward.adapters.extraction.worker",
                    *map(str, limits),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
            for pipe in (self._worker.stdin, self._worker.stdout):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
            self._served = 0
        return self._worker

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # a pipe to a dead worker may still hold unwritten bytes
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def _checked(self, reply: Any) -> ExtractedText:
        """The reply of a process that read hostile input: types, sizes and characters are verified."""
        if not isinstance(reply, dict):
            raise InvalidRequestError(code="document.unreadable")
        if "code" in reply:
            code = str(reply["code"])
            known = code.startswith("document.") and code in CODES
            raise InvalidRequestError(code=code if known else "document.unreadable")
        text, title = _clean(reply.get("text"), self._max_text), _clean(reply.get("title"), 500)
        media_type = _clean(reply.get("media_type"), 100)
        hidden = [_clean(item, 50_000) for item in _list(reply.get("hidden"))]
        warnings = [_clean(item, 500) for item in _list(reply.get("warnings"))]
        if not text.strip():
            raise InvalidRequestError(code="document.empty")
        return ExtractedText(
            text=text,
            title=title,
            media_type=media_type,
            hidden=tuple(hidden),
            warnings=tuple(warnings),
        )


def _clean(value: Any, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise InvalidRequestError(code="document.unreadable")
    return value.encode("utf-8", "replace").decode().replace("\0", "")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > 200:
        raise InvalidRequestError(code="document.unreadable")
    return value


def _write(descriptor: int, data: bytes, deadline: float) -> None:
    view = memoryview(data)
    while view:
        _wait([], [descriptor], deadline)
        view = view[os.write(descriptor, view[:_PIECE]) :]


def _read(descriptor: int, size: int, deadline: float) -> bytes:
    pieces: list[bytes] = []
    left = size
    while left:
        _wait([descriptor], [], deadline)
        piece = os.read(descriptor, min(left, _PIECE))
        if not piece:
            raise OSError("the parser ended")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _wait(readable: list[int], writable: list[int], deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not any(select.select(readable, writable, [], left)):
        raise TimeoutError
