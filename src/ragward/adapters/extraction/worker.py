"""The parser process: reads frames from standard input, answers on standard output, and may do little else.

Frame: u32 big-endian length of a JSON header, the header, u32 length of the data, the data. Started with its limits as
arguments: memory in bytes and processor seconds. It may not write files, dump core, or open many files.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from typing import BinaryIO

from ragward.adapters.extraction.limits import Extracted, RefusedFileError

_TEXT = frozenset({".txt", ".md", ".rst", ".log", ""})


def extract(filename: str, data: bytes) -> Extracted:
    """The text of a file, by its suffix; unknown suffixes are tried as text."""
    suffix = os.path.splitext(filename)[1].lower()
    if suffix in (".html", ".htm", ".xhtml"):
        from ragward.adapters.extraction.hypertext import read_html

        return read_html(data)
    if suffix in (".pdf", ".docx"):
        from ragward.adapters.extraction import office

        return office.read_pdf(data) if suffix == ".pdf" else office.read_docx(data)
    if suffix == ".eml":
        from ragward.adapters.extraction.mail import read_eml

        return read_eml(data)
    from ragward.adapters.extraction import plain

    if suffix == ".csv":
        return plain.read_csv(data)
    if suffix in (".json", ".jsonl"):
        return plain.read_json(data, lines=suffix == ".jsonl")
    return plain.read_text(data)


def answer(filename: str, data: bytes, max_characters: int) -> dict[str, object]:
    """The reply to one frame."""
    try:
        found = extract(filename, data)
        text = found.text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
        if len(text) > max_characters:
            raise RefusedFileError("document.too_large")
        if not text.strip():
            raise RefusedFileError("document.empty")
    except RefusedFileError as refused:
        return {"code": refused.code}
    except MemoryError:
        return {"code": "document.timeout"}
    except Exception as error:  # noqa: BLE001 - whatever a file does to a parser, the answer is a code
        return {"code": "document.unreadable", "kind": type(error).__name__}
    return {
        "text": text,
        "title": found.title,
        "media_type": found.media_type,
        "hidden": found.hidden,
        "warnings": found.warnings,
    }


def serve(source: BinaryIO, sink: BinaryIO, max_characters: int) -> None:
    """Answers frames until the input ends."""
    while head := _exactly(source, 4):
        header = json.loads(_exactly(source, struct.unpack(">I", head)[0]))
        size = struct.unpack(">I", _exactly(source, 4))[0]
        reply = json.dumps(
            answer(header["filename"], _exactly(source, size), max_characters)
        ).encode()
        sink.write(struct.pack(">I", len(reply)) + reply)
        sink.flush()


def _exactly(source: BinaryIO, size: int) -> bytes:
    return source.read(size) if size else b""


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def main() -> None:
    """Entry point: `worker MEMORY_BYTES CPU_SECONDS MAX_CHARACTERS`."""
    memory_bytes, cpu_seconds, max_characters = (int(value) for value in sys.argv[1:4])
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints must not reach the protocol
    _limit(memory_bytes, cpu_seconds)
    serve(sys.stdin.buffer, sink, max_characters)


if __name__ == "__main__":
    main()
