"""What the console is given by whoever serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from ragward.adapters.signin_oidc import OpenIDSignIn
from ragward.bootstrap import Ragward
from ragward.console.sessions import Sessions
from ragward.domain.proof import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`connection_of` says how a request came, `require_own_name` refuses those for another host (`access.origin`),
    `status_of` is the HTTP status of an error code."""

    ragward: Ragward
    sessions: Sessions
    openid: OpenIDSignIn | None
    connection_of: Callable[[Request], Connection]
    require_own_name: Callable[[Request], None]
    status_of: Callable[[str], int]

    @property
    def tenants_for_development(self) -> tuple[str, ...]:
        """Whom the development sign-in is for; nobody where others could reach it: behind a name of its own or a proxy."""
        settings = self.ragward.settings
        if settings.development_issuer is None or settings.public_url or settings.trusted_proxies:
            return ()
        return settings.development_tenants
