"""The parser process: reads frames from standard input, answers on standard output, and may do little else.

Frame: u32 big-endian length of a JSON header, the header, u32 length of the data, the data. The answer is a frame of JSON, and
to `unpack` the members' bytes behind it. Started with its limits as arguments: memory in bytes, processor seconds, characters of
text, bytes of an archive's members; then, if it is to read by a plug-in, where that lies and what it is called. It may not
write files, dump core, open many files, connect anywhere or start programs.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from ragward.adapters.extraction.limits import Extracted, RefusedFileError, without_blank_runs

_Reader = Callable[[str, bytes], Extracted]
#: What a parser has no business with (PEP 578). A second line: native code passes by it.
_BARRED: Final = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.sendto",
    "socket.sendmsg",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
)


def extract(filename: str, data: bytes) -> Extracted:
    """The text of a file, by its suffix; unknown suffixes are tried as text."""
    match os.path.splitext(filename)[1].lower():
        case ".html" | ".htm" | ".xhtml":
            from ragward.adapters.extraction.hypertext import read_html

            return read_html(data)
        case ".pdf":
            from ragward.adapters.extraction.pdf import read_pdf

            return read_pdf(data)
        case ".docx":
            from ragward.adapters.extraction.word import read_docx

            return read_docx(data)
        case ".xlsx":
            from ragward.adapters.extraction.sheets import read_xlsx

            return read_xlsx(data)
        case ".pptx":
            from ragward.adapters.extraction.slides import read_pptx

            return read_pptx(data)
        case ".eml":
            from ragward.adapters.extraction.mail import read_eml

            return read_eml(data)
        case ".zip":
            raise RefusedFileError("document.archive")
        case suffix:
            return _extract_text(suffix, data)


def _extract_text(suffix: str, data: bytes) -> Extracted:
    from ragward.adapters.extraction import plain

    match suffix:
        case ".csv":
            return plain.read_csv(data)
        case ".json" | ".jsonl":
            return plain.read_json(data, lines=suffix == ".jsonl")
        case ".ipynb":
            return plain.read_notebook(data)
        case ".md" | ".markdown":
            return plain.read_markdown(data)
        case _:
            return plain.read_text(data)


def answer(
    filename: str, data: bytes, max_characters: int, read: _Reader = extract
) -> dict[str, object]:
    """The reply to a frame that asks for text."""
    try:
        found = read(filename, data)
        text = without_blank_runs(
            found.text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
        )
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
        "properties": found.properties,
        "library": _version(found.library),
    }


def unpacked(data: bytes, max_bytes: int) -> tuple[dict[str, object], list[bytes]]:
    """The reply to a frame that asks for an archive's members, and their bytes."""
    from ragward.adapters.extraction.archives import Unpacking

    try:
        members = list(Unpacking(max_bytes).members(data))
        if not members:
            raise RefusedFileError("document.empty")
    except RefusedFileError as refused:
        return {"code": refused.code}, []
    except MemoryError:
        return {"code": "document.timeout"}, []
    except Exception as error:  # noqa: BLE001 - as above
        return {"code": "document.unreadable", "kind": type(error).__name__}, []
    listed = [{"path": m.path, "size": len(m.data), "code": m.code} for m in members]
    return {"members": listed}, [m.data for m in members]


def serve(
    source: BinaryIO, sink: BinaryIO, max_characters: int, max_bytes: int, read: _Reader = extract
) -> None:
    """Answers frames until the input ends."""
    while head := _exactly(source, 4):
        header = json.loads(_exactly(source, struct.unpack(">I", head)[0]))
        size = struct.unpack(">I", _exactly(source, 4))[0]
        data = _exactly(source, size)
        parts: list[bytes] = []
        if header["unpack"]:
            reply, parts = unpacked(data, max_bytes)
        else:
            reply = answer(header["filename"], data, max_characters, read)
        body = json.dumps(reply).encode()
        sink.write(struct.pack(">I", len(body)) + body)
        sink.writelines(parts)
        sink.flush()


def _exactly(source: BinaryIO, size: int) -> bytes:
    return source.read(size) if size else b""


def _version(library: str) -> str:
    name = library or "ragward"
    return f"{name} {importlib.metadata.version(name)}"


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _bar(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _BARRED:
        raise PermissionError(event)


def main() -> None:
    """Entry point: `worker MEMORY_BYTES CPU_SECONDS MAX_CHARACTERS MAX_BYTES [PLACE TARGET]`."""
    memory_bytes, cpu_seconds, max_characters, max_bytes = (int(value) for value in sys.argv[1:5])
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints must not reach the protocol
    _limit(memory_bytes, cpu_seconds)
    sys.addaudithook(_bar)
    read: _Reader = extract
    if len(sys.argv) > 5:
        from ragward.adapters.extraction.plugin import loader_from

        read = loader_from(sys.argv[5], sys.argv[6])
    else:  # openpyxl would load it, with the threads of its BLAS, for nothing
        sys.modules["numpy"] = None  # type: ignore[assignment]  # documented: importing it fails
    serve(sys.stdin.buffer, sink, max_characters, max_bytes, read)


if __name__ == "__main__":
    main()
