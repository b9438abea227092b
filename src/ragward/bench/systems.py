"""What is compared: one small protocol, and the names by which results call its implementations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ragward.bench.world import Asker, Question, World

UNFILTERED: Final = "no authorization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Chunk numbers, best first. Seconds where a system measured them itself, because it runs in a process of its own."""

    numbers: Sequence[int]
    seconds: float | None = None
    cpu_seconds: float | None = None


class System(Protocol):
    """A way to answer questions within permissions."""

    name: str
    slow: bool
    """Asked apart from the others and less often: it would leave nothing of theirs in the processor's caches."""
    bytes_per_chunk: float | None
    """What it keeps of a chunk, in files or in memory; None where that is not known."""

    def prepare(self, asker: Asker) -> None:
        """Before the asker's first question; not timed."""

    def ask(self, asker: Asker, question: Question) -> Found:
        """The best ten."""

    def close(self) -> None:
        """Lets go of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where systems are built: the world, everybody who will ask, a directory."""

    world: World
    askers: Sequence[Asker]
    directory: Path
    progress: Callable[[str, float], None] = lambda _what, _share: None


class NotHere(Exception):  # noqa: N818 - it is no error: the row is left out, and the report says why
    """An optional system that cannot run on this machine."""


def files_of(directory: Path) -> int:
    """Bytes in all files below."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
