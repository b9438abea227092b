"""What every page stands behind: a session, for a change the proof that our own page asked for it, a verified subject.

There is one way to a subject, `visitor`, and it checks all of that. The token is verified anew on each request, so what was
revoked is revoked here as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request

from ragward.bootstrap import Ragward
from ragward.console import places
from ragward.console.places import Place
from ragward.console.sessions import Session, is_equal
from ragward.console.surroundings import Surroundings
from ragward.domain.access import Action, Credentials, Subject
from ragward.domain.errors import DeniedError, InvalidRequestError, UnauthenticatedError

#: `__Host-`: over TLS or on this machine only, for this host alone, not to be set by a neighbour's page.
SESSION_COOKIE: Final = "__Host-ragward-session"
SIGN_IN_COOKIE: Final = "__Host-ragward-sign-in"
HOME: Final = "/console/"
_MOST_FIELDS: Final = 1_000
_OWN_PATH: Final = re.compile(r"/console(?:/[A-Za-z0-9_.~%:@-]+)*/?(?:\?[A-Za-z0-9_.~%&=+:@/-]*)?")

Form = Mapping[str, list[str]]


class SignInNeededError(Exception):
    """Nobody is signed in, or not any more: the way there, and back to `next_path`."""

    def __init__(self, next_path: str = HOME) -> None:
        self.next_path = own_path(next_path)
        super().__init__("sign in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who is signed in, and what they sent."""

    request: Request
    around: Surroundings
    session: Session
    subject: Subject
    credentials: Credentials = field(repr=False)
    form: Form = field(default_factory=dict, repr=False)

    @property
    def ragward(self) -> Ragward:
        """The flows."""
        return self.around.ragward

    def require(self, place: Place) -> None:
        """Raises `access.not_found` or `auth.step_up` unless they may open the page."""
        places.require(self.ragward, self.subject, place)

    def may(self, action: Action) -> bool:
        """Whether they may do something on the tenant as a whole."""
        return places.opens(self.ragward, self.subject, Place("", "", (action,), on_tenant=True))

    def could(self, action: Action) -> bool:
        """The same, now or once they have proven more: what there is to be a form for."""
        wanted = Place("", "", (action,), on_tenant=True)
        return places.could_open(self.ragward, self.subject, wanted)

    def value(self, name: str) -> str:
        """One field of the form, empty if it is not there. Raises `request.invalid` if it is there twice."""
        given = self.form.get(name, [])
        if len(given) > 1:
            raise InvalidRequestError(f"{name} is there twice")
        return given[0] if given else ""

    def tell(self, kind: str, text: str) -> None:
        """What the next page says, once."""
        self.session.told = [*self.session.told[-4:], (kind, text)]


def around_of(request: Request) -> Surroundings:
    """What the console was given."""
    around: Surroundings = request.app.state.around
    return around


async def form_of(request: Request) -> Form:
    """The fields of a form. Raises `request.invalid` for anything else than one."""
    if request.method in ("GET", "HEAD"):
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequestError("a form is expected")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise InvalidRequestError("the form cannot be read") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def visitor(request: Request, form: Annotated[Form, Depends(form_of)]) -> Visitor:
    """Raises `SignInNeededError`, `access.origin`, and what verifying the token raises but for one that ended."""
    around = around_of(request)
    around.require_own_name(request)
    place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    is_question = request.method in ("GET", "HEAD")
    session = around.sessions.find(request.cookies.get(SESSION_COOKIE))
    if session is None:
        raise SignInNeededError(place if is_question else HOME)
    if not is_question:
        require_own_form(request, form, session.csrf)
    credentials = Credentials(
        untrusted_authorization=session.token, connection=around.connection_of(request)
    )
    try:
        subject = around.ragward.identify(credentials)
    except UnauthenticatedError:
        around.sessions.end(request.cookies.get(SESSION_COOKIE))
        raise SignInNeededError(place if is_question else HOME) from None
    return Visitor(
        request=request,
        around=around,
        session=session,
        subject=subject,
        credentials=credentials,
        form=form,
    )


def require_own_form(request: Request, form: Form, expected: str) -> None:
    """Raises `access.origin` unless one of our own pages, in this very session, sent the form.

    Three things have to fit: what the browser says of where it comes from (Sec-Fetch-Site, where it says it), its Origin,
    which is compared with the Host to the port, and the session's own token.
    """
    origins, hosts = request.headers.getlist("origin"), request.headers.getlist("host")
    site = request.headers.get("sec-fetch-site", "same-origin")
    given = form.get("csrf", [])
    same = len(origins) == 1 and len(hosts) == 1 and _netloc(origins[0]) == hosts[0].lower()
    if not same or site != "same-origin" or len(given) != 1 or not is_equal(given[0], expected):
        raise DeniedError(code="access.origin")


def own_path(untrusted: str) -> str:
    """A path of the console to go on to, its beginning for everything else."""
    is_own = len(untrusted) <= 2000 and _OWN_PATH.fullmatch(untrusted)
    if not is_own or "/../" in untrusted or "%2e" in untrusted.lower() or "/." in untrusted:
        return HOME
    return untrusted


def _netloc(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    plain = parts.scheme in ("http", "https") and not (parts.path or parts.query or parts.fragment)
    return parts.netloc.lower() if plain else ""


Signed = Annotated[Visitor, Depends(visitor)]
