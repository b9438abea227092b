"""Pure ASGI middleware: request ids, safe headers, body and time limits, one log line and one metric per request."""

from __future__ import annotations

import asyncio
import re
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragward.api.problems import problem
from ragward.domain.errors import CODES

_SAFE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_log: Final = structlog.get_logger("ragward.access")


class _BodyTooLargeError(Exception):
    pass


class RequestBoundary:
    """Everything between the socket and the routes. `observe(route, status, seconds)` is told of each request."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        request_seconds: float,
        observe: Callable[[str, int, float], None],
    ) -> None:
        self._app = app
        self._max_body, self._seconds, self._observe = max_body_bytes, request_seconds, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["ragward.request_id"] = request_id
        begin, status, started = time.perf_counter(), 500, False

        async def answered(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [
                    *message.get("headers", ()),
                    *_HEADERS,
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, self._bounded(receive), answered)
        except _BodyTooLargeError:
            await self._refuse(scope, receive, answered, started, "request.too_large")
        except TimeoutError:
            await self._refuse(scope, receive, answered, started, "limit.time")
        except Exception as error:  # noqa: BLE001 - the last line: no stack trace leaves
            _log.error(
                "request failed", request_id=request_id, error=type(error).__name__, exc_info=error
            )
            await self._refuse(scope, receive, answered, started, "internal.error")
        finally:
            seconds = time.perf_counter() - begin
            route = getattr(scope.get("route"), "path", "unmatched")
            self._observe(route, status, seconds)
            _log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
                request_id=request_id,
            )

    def _bounded(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise _BodyTooLargeError
            return message

        return counted

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, started: bool, code: str
    ) -> None:
        if not started:
            await problem(scope["ragward.request_id"], code, CODES[code])(scope, receive, send)


def places_of(error: BaseException) -> list[str]:
    """Where an error was raised, innermost last: files and lines only, because messages and locals may hold content."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _request_id(scope: Scope) -> str:
    given: Any = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _SAFE_ID.fullmatch(given) else str(uuid.uuid4())
