"""What was read of an SQLite file, for as long as nobody has committed anything to it.

SQLite says so itself: `PRAGMA data_version` is another number once a connection other than the one that asks has committed, in
whatever process (sqlite.org/pragma.html#pragma_data_version). So what is remembered is what reading now would give, rows that
were edited behind ragward's back included, at a fifth of what reading one row costs. Nothing outlives a commit, whatever it is
about: there is no list of what depends on what that could be wrong.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from ragward.domain.errors import UnavailableError

NOT_SEEN: Final = object()
_MAX_SEEN: Final = 8_192  # chunks with their blobs are about 4 kB each


class Unchanged:
    """The state of one file that was seen last, and what was read of it. Thread-safe."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._version: int | None = None
        self._seen: dict[object, Any] = {}
        self._lock = threading.Lock()

    def seen(self) -> Mapping[object, Any]:
        """What was read of the state that the file is in now. Raises `unavailable.catalog`."""
        with self._lock:
            return self._now()

    def keep(self, seen: Mapping[Any, Any], read: Mapping[Any, Any]) -> bool:
        """Remembers what was read after `seen` was asked for; False if somebody has committed since, and so perhaps before it was
        read. Raises `unavailable.catalog`."""
        with self._lock:
            now = self._now()
            if now is not seen:
                return False
            if len(now) + len(read) > _MAX_SEEN:
                now.clear()
            now.update(read)
            return True

    def forget(self) -> None:
        """Has everything read again."""
        with self._lock:
            self._seen = {}

    def close(self) -> None:
        """Lets go of the file, and forgets."""
        with self._lock:
            self._let_go()

    def _now(self) -> dict[object, Any]:
        try:
            if self._cursor is None:
                self._connection = self._connect()
                self._cursor = self._connection.cursor()
            ((version,),) = self._cursor.execute("PRAGMA data_version")
        except sqlite3.Error as error:
            self._let_go()
            raise UnavailableError from error
        if version != self._version:
            self._version, self._seen = version, {}
        return self._seen

    def _let_go(self) -> None:
        """A new connection counts anew: nothing that another one counted is comparable."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._cursor, self._version, self._seen = None, None, None, {}
