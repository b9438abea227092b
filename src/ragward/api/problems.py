"""Errors as HTTP: the only place that knows status codes. RFC 9457 problem documents, with a stable `code`.

An `error` member repeats the message in the shape that OpenAI's clients print.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ragward.domain.errors import CODES, InvalidRequestError, LimitExceededError, RagwardError

MEDIA_TYPE: Final = "application/problem+json"
_BY_PREFIX: Final = {
    "auth": 401,
    "request": 422,
    "query": 422,
    "label": 422,
    "principal": 422,
    "policy": 422,
    "manifest": 422,
    "document": 422,
    "limit": 429,
    "integrity": 500,
    "unavailable": 503,
    "config": 500,
    "internal": 500,
}
_BY_CODE: Final = {
    "access.denied": 403,
    "access.epoch_not_reached": 409,
    "access.not_found": 404,
    "request.too_large": 413,
    "request.filter_too_broad": 400,
    "document.too_large": 413,
    "job.not_cancellable": 409,
    "catalog.exists": 409,
    "limit.time": 503,
    "policy.conflict": 409,
    "policy.second_person": 403,
}
#: For what the framework itself refuses; its 400 for a body it cannot read is our 422.
_OF_STATUS: Final = {404: "access.not_found", 413: "request.too_large"}
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def status_of(code: str) -> int:
    """The HTTP status of an error code."""
    return _BY_CODE.get(code) or _BY_PREFIX[code.partition(".")[0]]


def problem(
    request_id: str,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    retry_after: int | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """The problem document of one error."""
    status = status or status_of(code)
    body: dict[str, Any] = {
        "type": f"urn:ragward:error:{code}",
        "title": _TITLES[status],
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "error": {"message": detail, "type": _TITLES[status], "code": code, "param": None},
    }
    if errors:
        body["errors"] = errors
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="ragward"'
    if status in (429, 503):
        headers["Retry-After"] = str(retry_after or 1)
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


class BadRequestRoute(APIRoute):
    """A route whose specification wants 400 for what is malformed, and JSON for a body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler; what would have been a 422 is a 400 with the same code."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if self.body_field and not _is_json(request):
                detail = "the body's media type is application/json"
                return problem(request_id_of(request), "request.invalid", detail, status=400)
            try:
                return await handle(request)
            except RequestValidationError as error:
                return _invalid(request, error, status=400)
            except InvalidRequestError as error:
                return problem(request_id_of(request), error.code, error.detail, status=400)
            except HTTPException as error:
                if error.status_code != 400:
                    raise
                detail = "the body is not JSON"
                return problem(request_id_of(request), "request.invalid", detail, status=400)

        return handler


def _is_json(request: Request) -> bool:
    media_type, _, _ = request.headers.get("content-type", "").partition(";")
    return media_type.strip().lower() == "application/json"


def install(app: FastAPI) -> None:
    """Turns every error into a problem document."""

    @app.exception_handler(RagwardError)
    def ours(request: Request, error: RagwardError) -> JSONResponse:
        retry = error.retry_after_seconds if isinstance(error, LimitExceededError) else None
        return problem(request_id_of(request), error.code, error.detail, retry_after=retry)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request, error)

    @app.exception_handler(HTTPException)
    def theirs(request: Request, error: HTTPException) -> JSONResponse:
        known = error.status_code in _TITLES and error.status_code != 400
        status = error.status_code if known else 422
        code = _OF_STATUS.get(status, "request.invalid")
        answer = problem(request_id_of(request), code, CODES[code], status=status)
        if status == 405:
            answer.headers["Allow"] = ", ".join(_methods(request))
        return answer


def _invalid(
    request: Request, error: RequestValidationError, *, status: int | None = None
) -> JSONResponse:
    """Which fields were wrong, and never what was in them."""
    errors = [
        {
            "detail": item["msg"][:200],
            "pointer": "#/" + "/".join(str(part)[:64] for part in item["loc"][1:]),
        }
        for item in error.errors()[:20]
    ]
    detail = CODES["request.invalid"]
    return problem(request_id_of(request), "request.invalid", detail, status=status, errors=errors)


def _methods(request: Request) -> list[str]:
    """Every method this path knows: the router itself names those of one route only."""
    routes = request.app.router.routes
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in found for method in getattr(route, "methods", None) or ()})


def request_id_of(request: Request) -> str:
    """What the middleware gave this request."""
    return str(request.scope.get("ragward.request_id", ""))


PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id", "error"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"detail": {"type": "string"}, "pointer": {"type": "string"}},
            },
        },
        "error": {"type": "object"},
    },
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declared problems of an operation: those named, and those any operation can answer with."""
    return {
        status: {
            "description": _TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({401, 413, 422, 429, 500, 503, *statuses})
    }
