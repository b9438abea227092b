"""Copies of directories, and what lies in those that somebody copied, for looking for what should not be there.

The index's files are mostly holes: 140 MB of which 4 are on disk. They are neither copied nor read.
"""

from __future__ import annotations

import os
import shutil

_NOTHING = bytes(256)


def found_in(needles, *directories):
    """Those of the needles that are in any file below."""
    files = contents(*directories)
    return [needle for needle in needles if any(needle in data for data in files)]


def contents(*directories):
    """Every file's bytes, without the long runs of zeros that the index's files mostly are: searching those takes minutes."""
    return [
        _written(path).replace(_NOTHING, b"")
        for directory in directories
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]


def copied(source, target):
    """The directory `target`, a copy of `source` with its holes."""
    return shutil.copytree(source, target, copy_function=_with_holes)


def _written(path):
    with path.open("rb") as file:
        return b"".join(os.pread(file.fileno(), end - at, at) for at, end in _extents(file))


def _with_holes(source, target):
    with open(source, "rb") as file, open(target, "wb") as copy:
        for at, end in _extents(file):
            os.pwrite(copy.fileno(), os.pread(file.fileno(), end - at, at), at)
        copy.truncate(os.fstat(file.fileno()).st_size)
    shutil.copystat(source, target)


def _extents(file):
    """Where something was written: (from, to)."""
    end, size = 0, os.fstat(file.fileno()).st_size
    while end < size:
        try:
            at = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            return
        end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
        yield at, end
