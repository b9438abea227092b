"""What `ragward audit export --format ocsf` does."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from ragward.cli import render
from ragward.exporting import BackgroundExport
from ragward.exports import open_export
from ragward.opening import open_keyring
from ragward.settings import Settings

_SCHEMES: Final = ("file:", "https:", "http:", "syslog+udp:", "syslog+tcp:", "syslog+tls:")


def export(settings: Settings, target: str, *, follow: bool, as_json: bool) -> None:
    """Sends what the receiver has not had, and with `follow` what comes, until interrupted."""
    uri = target if target.startswith(_SCHEMES) else f"file:{Path(target).absolute()}"
    with closing(open_export(settings, open_keyring(settings), uri)) as made:
        sent = made.run()
        render.result({"sent": sent}, f"{sent} lines", as_json=as_json)
        if follow:
            running = BackgroundExport(made)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            running.close()
