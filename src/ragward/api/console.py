"""The console, served beside the API where there is a way to sign in to it."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI, Request

from ragward.api.connection import connection_of
from ragward.api.hosts import allowed_hosts, require_own_name
from ragward.api.problems import status_of
from ragward.bootstrap import Ragward
from ragward.console.app import create_console
from ragward.console.sessions import Sessions
from ragward.console.surroundings import Surroundings
from ragward.domain.proof import Connection
from ragward.opening import open_signin


def mount_console(app: FastAPI, ragward: Ragward) -> None:
    """At `/console`; without an issuer to sign in at there is none."""
    settings = ragward.settings
    if settings.console is None and settings.development_issuer is None:
        return

    def connected(request: Request) -> Connection:
        return connection_of(request, settings, (False, False))

    around = Surroundings(
        ragward=ragward,
        sessions=Sessions(ragward.clock),
        openid=open_signin(settings, ragward.clock),
        connection_of=connected,
        require_own_name=partial(require_own_name, allowed=allowed_hosts(settings)),
        status_of=status_of,
    )
    app.mount("/console", create_console(around))
