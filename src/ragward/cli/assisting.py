"""`ragward mcp`: one person's assistant, over standard input and output."""

from __future__ import annotations

import os
from pathlib import Path

from ragward.cli.commands import Caller, load_settings
from ragward.client import RagwardClient


def mcp(settings_file: Path | None, caller: Caller, server: str | None) -> None:
    """Serves until the input ends. The token is read anew for each call, so that one that was renewed in its file is used.

    With `server` no installation is needed here, nor its settings but for `--as`. An agent's task grant comes from
    RAGWARD_TASK_GRANT."""
    from ragward.api import logs
    from ragward.assistants.server import serve_stdio
    from ragward.assistants.tools import LocalAsker, RemoteAsker

    logs.configure("json")
    remote = server is not None and caller.person is None
    settings = None if remote else load_settings(settings_file)
    if server is not None:
        caller.token(settings)
        with RagwardClient(server, task_grant=os.environ.get("RAGWARD_TASK_GRANT")) as client:
            serve_stdio(lambda _: RemoteAsker(client, caller.token(settings)), server.rstrip("/"))
    elif settings is not None:
        from ragward.bootstrap import Ragward

        with Ragward.open(settings) as ragward:
            ragward.identify(caller.credentials(settings))
            serve_stdio(
                lambda _: LocalAsker(ragward, caller.credentials(settings)), settings.base_url
            )
