"""Text extraction in another process, with limits on time, memory, files and output; its replies are not trusted.

One warm worker serves many files and is replaced after a failure, a time-out, every two hundred files, and when it is
another tenant's turn, or another loader's: whatever a hostile file or a plug-in made of it sees no other tenant's, and reads none of
the formats that are built in.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ragward.adapters.loader_plugins import LoaderPlugin
from ragward.domain.corpus import ArchiveMember, ExtractedText
from ragward.domain.errors import CODES, InvalidRequestError

_FILES_PER_WORKER: Final = 200
_CPU_SECONDS_PER_WORKER: Final = 600
_PIECE: Final = 65_536
_ARCHIVE: Final = ".zip"
_ARCHIVE_TIMES: Final = 4
_MAX_LISTING: Final = 4 * 2**20
_MAX_MEMBERS: Final = 2_000
_MAX_MEMBER_PATH: Final = 2_000
_MAX_PROPERTIES: Final = 64
_NO_PLUGINS: Final[Mapping[str, LoaderPlugin]] = MappingProxyType({})


class ProcessTextExtractor:
    """`ports.TextExtractor`. Thread-safe: one file at a time."""

    def __init__(
        self,
        *,
        time_limit_seconds: float = 20,
        memory_limit_bytes: int = 2**30,
        max_file_bytes: int = 20 * 2**20,
        max_text_characters: int = 2_000_000,
        plugins: Mapping[str, LoaderPlugin] = _NO_PLUGINS,
    ) -> None:
        self._seconds = time_limit_seconds
        self._memory = memory_limit_bytes
        self._max_file = max_file_bytes
        self._max_text = max_text_characters
        self._max_archive = _ARCHIVE_TIMES * max_file_bytes
        self._plugins = plugins
        self._worker: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._serves: tuple[str, str] = ("", "")
        self._lock = threading.Lock()

    def extract(self, filename: str, data: bytes, *, tenant: str = "") -> ExtractedText:
        """Raises `document.*`."""
        plugin = self._plugins.get(Path(filename).suffix.lower())
        with self._lock:
            reply, _ = self._reply(filename, data, tenant, plugin, unpack=False)
        return self._checked(reply, plugin)

    def is_archive(self, filename: str) -> bool:
        """By its suffix."""
        return Path(filename).suffix.lower() == _ARCHIVE

    def members(self, filename: str, data: bytes, *, tenant: str = "") -> Sequence[ArchiveMember]:
        """Raises `document.*`. All members together are at most four times as large as a file may be."""
        with self._lock:
            reply, parts = self._reply(filename, data, tenant, None, unpack=True)
        _refuse_coded(reply)
        return [_member(item, part) for item, part in zip(reply["members"], parts, strict=True)]

    def _reply(
        self, filename: str, data: bytes, tenant: str, plugin: LoaderPlugin | None, *, unpack: bool
    ) -> tuple[Any, list[bytes]]:
        """What the worker answers; it is replaced when it fails, has served enough, or served somebody else."""
        if len(data) > self._max_file:
            raise InvalidRequestError(code="document.too_large")
        if not data:
            raise InvalidRequestError(code="document.empty")
        serves = (tenant, plugin.suffix if plugin else "")
        if serves != self._serves:
            self._end()
            self._serves = serves
        try:
            reply = self._asked(filename, data, plugin, unpack=unpack)
        except TimeoutError:
            self._end()
            raise InvalidRequestError(code="document.timeout") from None
        except (OSError, ValueError, struct.error):
            self._end()
            raise InvalidRequestError(code="document.unreadable") from None
        self._served += 1
        if self._served >= _FILES_PER_WORKER:
            self._end()
        return reply

    def close(self) -> None:
        """Ends the worker."""
        with self._lock:
            self._end()

    def _asked(
        self, filename: str, data: bytes, plugin: LoaderPlugin | None, *, unpack: bool
    ) -> tuple[Any, list[bytes]]:
        worker = self._running(plugin)
        header = json.dumps({"filename": Path(filename).name, "unpack": unpack}).encode()
        frame = struct.pack(">I", len(header)) + header + struct.pack(">I", len(data)) + data
        deadline = time.monotonic() + self._seconds
        assert worker.stdin is not None
        assert worker.stdout is not None
        _write(worker.stdin.fileno(), frame, deadline)
        answers = worker.stdout.fileno()
        size = struct.unpack(">I", _read(answers, 4, deadline))[0]
        if size > (_MAX_LISTING if unpack else self._max_text * 16):
            raise ValueError("reply too large")
        reply = json.loads(_read(answers, size, deadline))
        sizes = _sizes(reply, self._max_archive) if unpack else []
        return reply, [_read(answers, each, deadline) for each in sizes]

    def _running(self, plugin: LoaderPlugin | None = None) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            self._end()
            limits = (self._memory, _CPU_SECONDS_PER_WORKER, self._max_text, self._max_archive)
            loader = (plugin.place, plugin.target) if plugin else ()
            self._worker = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [
                    sys.executable,
                    "-I",
                    "-m",
                    "ragward.adapters.extraction.worker",
                    *map(str, limits),
                    *loader,
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

    def _checked(self, reply: Any, plugin: LoaderPlugin | None) -> ExtractedText:
        """The reply of a process that read hostile input: types, sizes and characters are verified."""
        _refuse_coded(reply)
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
            properties=_properties(reply.get("properties")),
            loader=_loader(plugin, _clean(reply.get("library"), 100)),
        )


def _refuse_coded(reply: Any) -> None:
    """Raises the code a reply holds, if it is one that a file can have."""
    if not isinstance(reply, dict):
        raise InvalidRequestError(code="document.unreadable")
    if "code" in reply:
        raise InvalidRequestError(code=_document_code(reply["code"]))


def _document_code(code: Any) -> str:
    text = str(code)
    return text if text.startswith("document.") and text in CODES else "document.unreadable"


def _sizes(reply: Any, limit: int) -> list[int]:
    """How many bytes follow for each member. Raises `ValueError` for a listing that makes no sense."""
    if not isinstance(reply, dict) or "code" in reply:
        return []
    members = reply.get("members")
    if not isinstance(members, list) or len(members) > _MAX_MEMBERS:
        raise ValueError("no list of members")
    sizes: list[int] = []
    for member in members:
        size = member.get("size") if isinstance(member, dict) else None
        if type(size) is not int or size < 0:
            raise ValueError("no size")
        sizes.append(size)
    if sum(sizes) > limit:
        raise ValueError("too much")
    return sizes


def _member(item: Any, data: bytes) -> ArchiveMember:
    path = _clean(item.get("path"), _MAX_MEMBER_PATH)
    parts = path.split("/")
    if not path.isprintable() or not path or {"", ".", ".."} & set(parts):
        raise InvalidRequestError(code="document.unreadable")
    if item.get("code"):
        return ArchiveMember(path=path, code=_document_code(item["code"]))
    return ArchiveMember(path=path, data=data)


def _loader(plugin: LoaderPlugin | None, library: str) -> str:
    return plugin.name if plugin else library


def _properties(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MAX_PROPERTIES:
        raise InvalidRequestError(code="document.unreadable")
    return {_clean(name, 100): _clean(text, 256) for name, text in value.items()}


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
