"""Pure ASGI middleware: request ids, safe headers, body and time limits, one log line and one metric per request."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragward.api.problems import problem
from ragward.domain.errors import CODES

if TYPE_CHECKING:
    from ragward.adapters.tracing_otel import Tracing

_SAFE_ID: Final = re.compile(
    rb"[ -~]{1,256}"
)  # an arbitrary string (AuthZEN 1.0, 10.1.3), printable
_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_log: Final = structlog.get_logger("ragward.access")


class RequestBoundary:
    """Everything between the socket and the routes. `observe(route, status, seconds, code)` is told of each request."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        request_seconds: float,
        observe: Callable[[str, int, float, str], None],
    ) -> None:
        self._app = app
        self._max_body, self._seconds, self._observe = max_body_bytes, request_seconds, observe
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["ragward.request_id"] = _request_id(scope)
        reply = _Reply(send, scope["ragward.request_id"])
        begin = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=reply.request_id)
        try:
            await self._within_time(scope, self._bounded(receive), reply)
        except Exception as error:  # noqa: BLE001 - the last line: no stack trace leaves
            _log_failure(scope, error)
            await reply.refuse(scope, receive, "internal.error")
        finally:
            seconds = time.perf_counter() - begin
            route = getattr(scope.get("route"), "path", "unmatched")
            self._observe(route, reply.status, seconds, scope.get("ragward.code", ""))
            _log.info(
                "request",
                method=scope["method"],
                route=route,
                status=reply.status,
                ms=round(seconds * 1000, 1),
                request_id=reply.request_id,
            )

    async def _within_time(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        """Runs the application; when its time is over the caller is told, and whatever still works is not waited for."""
        task = asyncio.ensure_future(self._run(scope, receive, reply))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            task.result()
            return
        await reply.refuse(scope, receive, "limit.time")
        self._late.add(task)  # its thread cannot be stopped; what it still sends goes nowhere
        task.add_done_callback(self._late.discard)

    async def _run(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        try:
            await self._app(scope, receive, reply.send)
        except Exception as error:
            if not reply.closed:
                raise
            _log_failure(scope, error)

    def _bounded(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise HTTPException(413)
            return message

        return counted


class TraceContext:
    """Spans of a request lie under the caller's, as its `traceparent` says (W3C Trace Context)."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = next((v for name, v in scope.get("headers", ()) if name == b"traceparent"), b"")
        with self._tracing.under(given.decode("ascii", "replace")):
            await self._app(scope, receive, send)


class _Reply:
    """The way back: adds what every response carries, and closes once we answered ourselves."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id = send, request_id
        self.status, self.started, self.closed = 500, False, False

    async def send(self, message: Message) -> None:
        if not self.closed:
            await self._pass_on(message)

    async def refuse(self, scope: Scope, receive: Receive, code: str) -> None:
        self.closed = True
        if not self.started:
            await problem(scope, code, CODES[code])(scope, receive, self._pass_on)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.started = int(message["status"]), True
            request_id = (b"x-request-id", self.request_id.encode())
            message["headers"] = [*message.get("headers", ()), *_HEADERS, request_id]
        await self._send(message)


def _log_failure(scope: Scope, error: Exception) -> None:
    _log.error(
        "request failed",
        request_id=scope["ragward.request_id"],
        error=type(error).__name__,
        at=places_of(error),
    )


def places_of(error: BaseException) -> list[str]:
    """Where an error was raised, innermost last: files and lines only, because messages and locals may hold content."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _request_id(scope: Scope) -> str:
    given: Any = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _SAFE_ID.fullmatch(given) else str(uuid.uuid4())
