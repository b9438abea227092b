"""The Model Context Protocol over streamable HTTP at `/mcp`, and where its tokens come from (RFC 9728).

Without sessions: each request carries its own bearer and is answered for that one alone, so there is none to fix, steal or
mix up. It is reached by names that are ours only, so that a page in a browser cannot rebind its own name to this address.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from ragward.api.context import Credential, Parts, credentials_of_request
from ragward.api.hosts import allowed_hosts, require_own_name
from ragward.api.problems import is_json, problem, responses
from ragward.assistants.tools import Asker, LocalAsker
from ragward.bootstrap import Ragward
from ragward.domain.errors import InvalidRequestError, StepUpRequiredError, UnauthenticatedError
from ragward.domain.passages import Answer
from ragward.settings import Settings

PATH: Final = "/mcp"
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


class ChallengingRoute(APIRoute):
    """Says with a 401 where a token is to be had (RFC 9728, 5.1)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except UnauthenticatedError as error:
                step_up = error if isinstance(error, StepUpRequiredError) else None
                refused = problem(request.scope, error.code, error.detail, step_up=step_up)
                place = f"{_base(request)}{WELL_KNOWN}{PATH}"
                challenge = refused.headers["WWW-Authenticate"]
                refused.headers["WWW-Authenticate"] = f'{challenge}, resource_metadata="{place}"'
                return refused

        return handler


router = APIRouter(tags=["retrieval"], route_class=ChallengingRoute)


class Message(BaseModel):
    """A message of JSON-RPC 2.0, as MCP defines them."""

    jsonrpc: str
    id: str | int | None = None
    method: str | None = None
    params: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class ProtectedResource(BaseModel):
    """Protected resource metadata (RFC 9728)."""

    resource: str
    authorization_servers: list[str] | None = None
    bearer_methods_supported: list[str] = ["header"]
    resource_name: str = "ragward"


class _Handled(Response):
    """What the protocol's library answers."""

    def __init__(self, manager: Any) -> None:
        super().__init__()
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


def _own_name(request: Request, parts: Parts) -> None:
    require_own_name(request, allowed_hosts(parts.ragward.settings))


@asynccontextmanager
async def sessionless(ragward: Ragward, observe: Callable[[Answer], None]) -> AsyncIterator[Any]:
    """What answers the protocol, while the API is up."""
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from ragward.assistants.server import make_server

    def asker_of(request: Any) -> Asker:
        return LocalAsker(ragward, credentials_of_request(request), observe)

    server = make_server(asker_of, ragward.settings.base_url)
    manager = StreamableHTTPSessionManager(app=server, json_response=True, stateless=True)
    async with manager.run():
        yield manager


def _theirs(status: int) -> dict[str, Any]:
    """What the protocol says itself: nothing to a notification, errors as messages."""
    says = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
    return {"description": HTTPStatus(status).phrase, "content": says}


@router.post(
    PATH,
    operation_id="mcp",
    response_model=Message,
    dependencies=[Depends(_own_name)],
    responses=responses(403) | {status: _theirs(status) for status in (202, 400, 406)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}},
        }
    },
)
async def serve(request: Request, parts: Parts, credential: Credential) -> Response:
    """Tools for assistants, `search` and `fetch`, each call as the bearer's person ([mcp.md](mcp.md)). What is denied is not
    found."""
    await run_in_threadpool(parts.ragward.identify, credential)
    if not is_json(request):
        raise InvalidRequestError("the body's media type is application/json")
    return _Handled(parts.mcp)


@router.get(
    WELL_KNOWN + PATH,
    operation_id="get_protected_resource",
    dependencies=[Depends(_own_name)],
    responses={403: responses(403)[403]},
    response_model_exclude_none=True,
)
@router.get(
    WELL_KNOWN,
    operation_id="get_protected_resource_at_root",
    dependencies=[Depends(_own_name)],
    responses={403: responses(403)[403]},
    response_model_exclude_none=True,
)
def metadata(request: Request, parts: Parts) -> ProtectedResource:
    """Which resource tokens are for, and who issues them. Open to everybody: it names addresses only."""
    settings = parts.ragward.settings
    issuers = list(settings.mcp_issuers)
    if (
        not issuers and len(settings.issuers) == 1
    ):  # several are several tenants, which is nobody's business
        issuers = [settings.issuers[0].issuer]
    return ProtectedResource(
        resource=f"{_base(request)}{PATH}", authorization_servers=issuers or None
    )


def _base(request: Request) -> str:
    """As others reach us; without a public URL as this request did, by a name that was checked."""
    settings: Settings = request.app.state.parts.ragward.settings
    return settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
