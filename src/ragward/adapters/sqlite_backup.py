"""Copying a SQLite database that is in use, by SQLite's own backup interface."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ragward.domain.errors import UnavailableError


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of `source`, readable by its owner only. Raises `unavailable.catalog`."""
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.close(descriptor)
    try:
        reader = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        writer = sqlite3.connect(target)
        try:
            reader.backup(writer)
        finally:
            writer.close()
            reader.close()
    except sqlite3.Error as error:
        raise UnavailableError(f"{source.name} cannot be copied") from error
