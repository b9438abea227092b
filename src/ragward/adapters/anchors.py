"""Where checkpoints of the audit log are kept outside its data directory: a file, or a service that takes them by HTTP.

Who can rewrite the log and its key's machine can still not take back what is there. `file:` and `https:` are known.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ragward.domain.checkpoints import notes_in
from ragward.domain.errors import ConfigurationError, UnavailableError

_TIMEOUT_SECONDS: Final = 5.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class FileAnchor:
    """Appends notes to a file, each followed by an empty line, so that it can lie on another machine's append-only share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def publish(self, note: str) -> None:
        """On disk when this returns. Raises OSError."""
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, f"{note}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def notes(self) -> Sequence[str]:
        """Everything that was kept, oldest first; nothing where there is no file. Raises OSError."""
        if not self._path.exists():
            return ()
        return notes_in(self._path.read_text(encoding="utf-8"))


class WebhookAnchor:
    """Posts notes as `text/plain`; a service answers 2xx once it has kept one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def publish(self, note: str) -> None:
        """Raises `unavailable.egress`."""
        import httpx

        try:
            answer = httpx.post(
                self._url,
                content=note.encode(),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                timeout=_TIMEOUT_SECONDS,
                follow_redirects=False,
            )
        except httpx.HTTPError as error:
            raise UnavailableError(
                "an anchor cannot be reached", code="unavailable.egress"
            ) from error
        if not answer.is_success:
            raise UnavailableError(
                f"an anchor answered {answer.status_code}", code="unavailable.egress"
            )


def anchor_of(uri: str) -> FileAnchor | WebhookAnchor:
    """The anchor a setting names. Raises `config.invalid`."""
    scheme, _, rest = uri.partition(":")
    if scheme == "file" and rest:
        return FileAnchor(Path(rest))
    host = urlsplit(uri).hostname
    if (scheme == "https" and host) or (scheme == "http" and host in _LOOPBACK):
        return WebhookAnchor(uri)
    raise ConfigurationError("an audit anchor is file:PATH or an https: URL")
