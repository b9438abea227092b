"""Errors as HTTP: the only place that knows status codes. RFC 9457 problem documents, with a stable `code`.

An `error` member repeats the message in the shape that OpenAI's clients print.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from ragward.api.rate_headers import rate_headers
from ragward.domain.errors import (
    CODES,
    InvalidRequestError,
    LimitExceededError,
    RagwardError,
    StepUpRequiredError,
)
from ragward.domain.rates import Rate

SCIM_PREFIX: Final = "/scim/v2"
SCIM_MEDIA_TYPE: Final = "application/scim+json"
SCIM_ERROR_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
MEDIA_TYPE: Final = "application/problem+json"
_BY_PREFIX: Final = {
    "auth": 401,
    "request": 422,
    "query": 422,
    "label": 422,
    "principal": 422,
    "policy": 422,
    "review": 422,
    "hold": 409,
    "elevation": 409,
    "restriction": 409,
    "manifest": 422,
    "source": 422,
    "pseudonym": 422,
    "document": 422,
    "limit": 429,
    "integrity": 500,
    "unavailable": 503,
    "config": 500,
    "internal": 500,
}
_BY_CODE: Final = {
    "access.denied": 403,
    "access.origin": 403,
    "access.epoch_not_reached": 409,
    "access.not_found": 404,
    "directory.immutable": 409,
    "elevation.not_requestable": 422,
    "elevation.second_person": 403,
    "hold.second_person": 403,
    "directory.version": 412,
    "request.too_large": 413,
    "request.filter_too_broad": 400,
    "document.too_large": 413,
    "job.not_cancellable": 409,
    "job.not_repeatable": 409,
    "key.state": 409,
    "catalog.exists": 409,
    "limit.task_budget": 403,
    "limit.time": 503,
    "policy.conflict": 409,
    "policy.second_person": 403,
    "restriction.second_person": 403,
    "review.closed": 409,
    "review.second_person": 403,
    "source.many_gone": 409,
}
#: For what the framework itself refuses; its 400 for a body it cannot read is our 422.
_OF_STATUS: Final = {404: "access.not_found", 413: "request.too_large"}
_SCIM_TYPES: Final = {"catalog.exists": "uniqueness", "directory.immutable": "mutability"}
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def status_of(code: str) -> int:
    """The HTTP status of an error code."""
    return _BY_CODE.get(code) or _BY_PREFIX[code.partition(".")[0]]


class ScimError(Exception):
    """What only SCIM's own rules refuse (RFC 7644, 3.12): the routes under `/scim/v2` raise it, nothing else does."""

    def __init__(self, detail: str, *, scim_type: str | None = None, status: int = 400) -> None:
        self.detail, self.scim_type, self.status = detail, scim_type, status
        super().__init__(detail)


def problem(
    scope: Scope,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    retry_after: int | None = None,
    rates: Sequence[Rate] = (),
    errors: list[dict[str, str]] | None = None,
    step_up: StepUpRequiredError | None = None,
) -> JSONResponse:
    """The answer to one error: a problem document, or where SCIM is spoken its error message."""
    scope["ragward.code"] = code
    status = status or status_of(code)
    if _is_scim(scope):
        return _scim_problem(code, detail, status, retry_after)
    request_id = str(scope.get("ragward.request_id", ""))
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
    if step_up is not None:
        body["step_up"] = {
            "acr_values": list(step_up.acr_values),
            "max_age": step_up.max_age,
            "lacks": list(step_up.lacks),
        }
    headers = _headers(status, retry_after, code, step_up) | rate_headers(rates)
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


class BadRequestRoute(APIRoute):
    """A route whose specification wants 400 for what is malformed, and JSON for a body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler; what would have been a 422 is a 400 with the same code."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if self.body_field and not is_json(request):
                detail = "the body's media type is application/json"
                return problem(request.scope, "request.invalid", detail, status=400)
            try:
                return await handle(request)
            except RequestValidationError as error:
                return _invalid(request, error, status=400)
            except InvalidRequestError as error:
                return problem(request.scope, error.code, error.detail, status=400)
            except HTTPException as error:
                if error.status_code != 400:
                    raise
                detail = "the body is not JSON"
                return problem(request.scope, "request.invalid", detail, status=400)

        return handler


def is_json(request: Request) -> bool:
    """Whether a request says that its body is JSON."""
    media_type, _, _ = request.headers.get("content-type", "").partition(";")
    return media_type.strip().lower() == "application/json"


def scim_problem(status: int, detail: str, scim_type: str | None = None) -> JSONResponse:
    """SCIM's error message (RFC 7644, 3.12): the status is a string."""
    body = {"schemas": [SCIM_ERROR_SCHEMA], "status": str(status), "detail": detail}
    if scim_type:
        body["scimType"] = scim_type
    return JSONResponse(body, status_code=status, media_type=SCIM_MEDIA_TYPE)


def _scim_problem(code: str, detail: str, status: int, retry_after: int | None) -> JSONResponse:
    status = 400 if status == 422 or code == "directory.immutable" else status
    scim_type = _SCIM_TYPES.get(code, "invalidValue" if status == 400 else None)
    answer = scim_problem(status, detail, scim_type)
    answer.headers.update(_headers(status, retry_after))
    return answer


def _is_scim(scope: Scope) -> bool:
    path = str(scope.get("path", ""))
    return path == SCIM_PREFIX or path.startswith(f"{SCIM_PREFIX}/")


def _headers(
    status: int,
    retry_after: int | None,
    code: str = "",
    step_up: StepUpRequiredError | None = None,
) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": _challenge(code, step_up)}
    if status in (429, 503):
        return {"Retry-After": str(retry_after or 1)}
    return {}


def _challenge(code: str, step_up: StepUpRequiredError | None) -> str:
    """RFC 6750; RFC 9470 for a step-up; RFC 9449 for a token that is bound to a key."""
    if code == "auth.unbound":
        return 'DPoP realm="ragward", error="invalid_dpop_proof", algs="ES256 EdDSA RS256"'
    parts = ['Bearer realm="ragward"']
    if step_up is not None:
        parts.append('error="insufficient_user_authentication"')
        if step_up.acr_values:
            parts.append(f'acr_values="{" ".join(step_up.acr_values)}"')
        if step_up.max_age is not None:
            parts.append(f'max_age="{step_up.max_age}"')
    return ", ".join(parts)


def install(app: FastAPI) -> None:
    """Turns every error into a problem document."""

    @app.exception_handler(RagwardError)
    def ours(request: Request, error: RagwardError) -> JSONResponse:
        retry = error.retry_after_seconds if isinstance(error, LimitExceededError) else None
        wanted = error if isinstance(error, StepUpRequiredError) else None
        rates = error.rates if isinstance(error, LimitExceededError) else ()
        return problem(
            request.scope, error.code, error.detail, retry_after=retry, step_up=wanted, rates=rates
        )

    @app.exception_handler(ScimError)
    def scim(request: Request, error: ScimError) -> JSONResponse:  # noqa: ARG001 - the signature is Starlette's
        return scim_problem(error.status, error.detail, error.scim_type)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request, error)

    @app.exception_handler(HTTPException)
    def theirs(request: Request, error: HTTPException) -> JSONResponse:
        known = error.status_code in _TITLES and error.status_code != 400
        status = error.status_code if known else 422
        code = _OF_STATUS.get(status, "request.invalid")
        answer = problem(request.scope, code, CODES[code], status=status)
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
    return problem(request.scope, "request.invalid", detail, status=status, errors=errors)


def _methods(request: Request) -> list[str]:
    """Every method this path knows: the router itself names those of one route only."""
    routes = request.app.router.routes
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in found for method in getattr(route, "methods", None) or ()})


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
        "step_up": {
            "type": "object",
            "description": "With auth.step_up: what would do (RFC 9470).",
            "properties": {
                "acr_values": {"type": "array", "items": {"type": "string"}},
                "max_age": {"type": ["integer", "null"]},
                "lacks": {"type": "array", "items": {"type": "string"}},
            },
        },
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


SCIM_PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["schemas", "status", "detail"],
    "properties": {
        "schemas": {"type": "array", "items": {"type": "string", "const": SCIM_ERROR_SCHEMA}},
        "status": {"type": "string"},
        "scimType": {"type": "string"},
        "detail": {"type": "string"},
    },
}


def scim_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declared errors of a SCIM operation: those named, and those any operation can answer with."""
    return {
        status: {
            "description": _TITLES[status],
            "content": {SCIM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ScimError"}}},
        }
        for status in sorted({400, 401, 403, 413, 429, 500, 503, *statuses})
    }
