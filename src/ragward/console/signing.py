"""Signing in and out."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from ragward.adapters.signin_oidc import Begun
from ragward.console.guard import (
    HOME,
    SESSION_COOKIE,
    SIGN_IN_COOKIE,
    Form,
    Signed,
    around_of,
    form_of,
    own_path,
    require_own_form,
)
from ragward.console.rendering import bare_page, go_to
from ragward.console.sessions import SIGN_IN_SECONDS, is_equal
from ragward.console.surroundings import Surroundings
from ragward.domain.access import Credentials
from ragward.domain.errors import NotFoundError, RequestRefusedError, UnauthenticatedError
from ragward.opening import development_token

router = APIRouter()
SIGN_IN: Final = "/console/sign-in"
_FORWARDED: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via")


@router.get("/sign-in")
def sign_in(request: Request, next: str = HOME) -> Response:  # noqa: A002 - the name in the address
    """Where to sign in."""
    around = around_of(request)
    around.require_own_name(request)
    return _offered(request, around, own_path(next))


def _offered(
    request: Request, around: Surroundings, next_path: str, problem: str = "", status: int = 200
) -> Response:
    tenants = around.tenants_for_development if _is_here(request) else ()
    given, made = around.sessions.begin_sign_in(next_path)
    issuer = around.openid.issuer if around.openid else ""
    answer = bare_page(
        "sign_in.html",
        status,
        csrf=made.csrf,
        tenants=tenants,
        issuer=issuer,
        next_path=next_path,
        problem=problem,
    )
    _set(answer, SIGN_IN_COOKIE, given, SIGN_IN_SECONDS)
    return answer


@router.post("/sign-in/development")
def development(request: Request, form: Annotated[Form, Depends(form_of)]) -> Response:
    """As anybody, without proof: on this machine, by its own issuer, and nowhere else."""
    around = around_of(request)
    around.require_own_name(request)
    tenant, name = "".join(form.get("tenant", [])), "".join(form.get("name", []))
    if not _is_here(request) or not around.tenants_for_development:
        raise NotFoundError
    begun = around.sessions.take_sign_in(request.cookies.get(SIGN_IN_COOKIE))
    if begun is None:
        return go_to(SIGN_IN)
    require_own_form(request, form, begun.csrf)
    try:
        if tenant not in around.tenants_for_development or not 0 < len(name) <= 200:
            raise UnauthenticatedError
        token = development_token(around.ragward.settings, name, tenant=tenant)
        return _signed_in(request, around, token, begun.next_path)
    except RequestRefusedError as error:
        return _offered(request, around, begun.next_path, error.detail, 401)


@router.get("/sign-in/start")
def start(request: Request, next: str = HOME) -> Response:  # noqa: A002 - the name in the address
    """To the issuer; with what the last challenge asked for, where there was one."""
    around = around_of(request)
    around.require_own_name(request)
    if around.openid is None:
        raise NotFoundError
    given, made = around.sessions.begin_sign_in(own_path(next))
    session = around.sessions.find(request.cookies.get(SESSION_COOKIE))
    begun = Begun(state=made.state, nonce=made.nonce, verifier=made.verifier)
    answer = RedirectResponse(
        around.openid.address(begun, session.wanted if session else None), 303
    )
    _set(answer, SIGN_IN_COOKIE, given, SIGN_IN_SECONDS)
    return answer


@router.get("/callback")
def callback(
    request: Request, code: str = "", state: str = "", error: str = "", iss: str = ""
) -> Response:
    """Back from the issuer. What this browser did not begin, or began and ended already, is nobody's sign-in."""
    around = around_of(request)
    around.require_own_name(request)
    if around.openid is None:
        raise NotFoundError
    begun = around.sessions.take_sign_in(request.cookies.get(SIGN_IN_COOKIE))
    if begun is None or not is_equal(state, begun.state):
        return _offered(request, around, HOME, "This sign-in was not begun here. Try again.", 400)
    if iss and iss != around.openid.issuer:  # RFC 9207
        return _offered(request, around, begun.next_path, "Another issuer answered.", 400)
    if error or not 0 < len(code) <= 4096:
        return _offered(request, around, begun.next_path, "The issuer did not sign you in.", 401)
    proofs = Begun(state=begun.state, nonce=begun.nonce, verifier=begun.verifier)
    try:
        token = around.openid.access_token(code, proofs)
        return _signed_in(request, around, token, begun.next_path)
    except RequestRefusedError as refused:
        return _offered(request, around, begun.next_path, refused.detail, 401)


@router.post("/sign-out")
def sign_out(request: Request, visitor: Signed) -> Response:
    """The session is over, whoever still holds its id."""
    visitor.around.sessions.end(request.cookies.get(SESSION_COOKIE))
    answer = go_to(SIGN_IN)
    _drop(answer, SESSION_COOKIE)
    return answer


def _signed_in(request: Request, around: Surroundings, token: str, next_path: str) -> Response:
    """A new session under a new id; one that was there before ends. Raises what verifying the token raises."""
    credentials = Credentials(
        untrusted_authorization=token, connection=around.connection_of(request)
    )
    subject = around.ragward.identify(credentials)
    if subject.is_application_alone or subject.agents:
        raise UnauthenticatedError  # the console is for people, in person
    around.sessions.end(request.cookies.get(SESSION_COOKIE))
    answer = go_to(next_path)
    _set(answer, SESSION_COOKIE, around.sessions.begin(token, subject.not_after), None)
    _drop(answer, SIGN_IN_COOKIE)
    return answer


def _is_here(request: Request) -> bool:
    """Whether the request came from this machine, through nothing that says it stands in between."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


def _set(answer: Response, name: str, value: str, seconds: int | None) -> None:
    """Lax: links into the console work; what changes something has to be our own form anyway."""
    answer.set_cookie(
        name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax"
    )


def _drop(answer: Response, name: str) -> None:
    answer.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
