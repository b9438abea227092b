"""The console's application, mounted at `/console`: its routes, its headers, its answers to errors."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragward.console import (
    pages_access,
    pages_anomalies,
    pages_audit,
    pages_documents,
    pages_grants,
    pages_jobs,
    pages_keys,
    pages_overview,
    pages_reviews,
    signing,
)
from ragward.console.guard import HOME, SESSION_COOKIE, SignInNeededError, own_path
from ragward.console.rendering import bare_page, go_to
from ragward.console.signing import SIGN_IN
from ragward.console.surroundings import Surroundings
from ragward.domain.errors import CODES, RagwardError, StepUpRequiredError

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with none at all, browsers hide the Origin of forms too
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_OF_STATUS: Final = {404: "access.not_found", 413: "request.too_large"}


def create_console(around: Surroundings) -> FastAPI:
    """To be mounted at `/console`."""
    app = FastAPI(
        title="ragward console",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.around = around
    app.add_middleware(SafeHeaders)
    for routes in (
        signing,
        pages_overview,
        pages_reviews,
        pages_documents,
        pages_access,
        pages_audit,
        pages_keys,
        pages_anomalies,
        pages_jobs,
        pages_grants,
    ):
        app.include_router(routes.router)
    app.add_api_route("/static/{name}", _static)
    _install_problems(app)
    return app


class SafeHeaders:
    """On every response, whoever made it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)


@cache
def _statics() -> dict[str, bytes]:
    folder = files("ragward.console") / "static"
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def _static(name: str) -> Response:
    """Scripts and styles: the same for everybody, so nobody has to be signed in."""
    found = _statics().get(name)
    if found is None:
        raise HTTPException(404)
    kind = _KINDS.get(name[name.rfind(".") :], "application/octet-stream")
    return Response(found, headers={"content-type": kind})


def _install_problems(app: FastAPI) -> None:
    @app.exception_handler(SignInNeededError)
    def nobody(request: Request, error: SignInNeededError) -> Response:  # noqa: ARG001 - the signature is Starlette's
        return go_to(f"{SIGN_IN}?next={quote(error.next_path, safe='')}")

    @app.exception_handler(RagwardError)
    def ours(request: Request, error: RagwardError) -> Response:
        if isinstance(error, StepUpRequiredError):
            return _challenge(request, error)
        status = request.app.state.around.status_of(error.code)
        if error.code == "access.denied":
            return _problem(request, "access.not_found", CODES["access.not_found"], 404)
        return _problem(request, error.code, error.detail, status)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:  # noqa: ARG001 - its text holds what was sent
        return _problem(request, "request.invalid", CODES["request.invalid"], 422)

    @app.exception_handler(HTTPException)
    def theirs(request: Request, error: HTTPException) -> Response:
        code = _OF_STATUS.get(error.status_code, "request.invalid")
        return _problem(request, code, CODES[code], error.status_code)

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the request's boundary logs it, without content
        answer = _problem(request, "internal.error", CODES["internal.error"], 500)
        for name, value in _HEADERS:  # this one is answered outside of the middleware
            answer.headers[name.decode()] = value.decode()
        return answer


def _problem(request: Request, code: str, detail: str, status: int) -> HTMLResponse:
    request.scope["ragward.code"] = code
    return bare_page("problem.html", status, code=code, detail=detail, home=HOME)


def _challenge(request: Request, error: StepUpRequiredError) -> HTMLResponse:
    """More proof is needed (RFC 9470): the next sign-in asks the issuer for it."""
    request.scope["ragward.code"] = error.code
    session = request.app.state.around.sessions.find(request.cookies.get(SESSION_COOKIE))
    if session is not None:
        session.wanted = error
    asked = request.method == "GET"
    query = f"?{request.url.query}" if request.url.query else ""
    back = own_path(f"{request.url.path}{query}") if asked else HOME
    is_open = request.app.state.around.openid is not None
    way = f"{SIGN_IN}/start" if is_open else SIGN_IN
    return bare_page(
        "step_up.html",
        401,
        error=error,
        again=f"{way}?next={quote(back, safe='')}",
        was_form=not asked,
    )
