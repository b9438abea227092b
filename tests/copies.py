"""What lies in directories that somebody copied, for looking for what should not be there."""

from __future__ import annotations

_NOTHING = bytes(256)


def found_in(needles, *directories):
    """Those of the needles that are in any file below."""
    files = contents(*directories)
    return [needle for needle in needles if any(needle in data for data in files)]


def contents(*directories):
    """Every file's bytes, without the long runs of zeros that the index's files mostly are: searching those takes minutes."""
    return [
        path.read_bytes().replace(_NOTHING, b"")
        for directory in directories
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]
