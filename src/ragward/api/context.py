"""What routes depend on: the wired parts, the credentials of a request, the verified subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer

from ragward.api.connection import connection_of
from ragward.api.job_events import Streams
from ragward.api.jobs import JobRunner
from ragward.api.maintenance import Maintenance
from ragward.api.metrics import Metrics
from ragward.bootstrap import Ragward
from ragward.domain.access import Credentials, Subject
from ragward.domain.errors import UnauthenticatedError

_declared = HTTPBearer(
    auto_error=False,
    description="An application's API key or token; or, for public clients, a person's token.",
)
USER_HEADER = "x-ragward-user-authorization"
TASK_HEADER = "ragward-task-grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """What the application object holds."""

    ragward: Ragward
    jobs: JobRunner
    streams: Streams
    metrics: Metrics
    maintenance: Maintenance
    mcp: Any
    """what answers `/mcp` (`routes_mcp.sessionless`)"""


async def _parts(request: Request) -> ApiParts:
    """Not a plain function, and neither is `_credentials`: FastAPI would hand each of them to a thread of its own."""
    return parts_of(request)


def parts_of(request: Request) -> ApiParts:
    """What the application holds."""
    parts: ApiParts = request.app.state.parts
    return parts


async def _credentials(
    request: Request, _scheme: Annotated[object, Depends(_declared)]
) -> Credentials:
    return credentials_of_request(request)


def credentials_of_request(request: Request) -> Credentials:
    """What a request carries, unverified. Raises `auth.invalid` for headers that are malformed or there twice."""
    first, first_by_dpop = _token(request, "authorization")
    second, second_by_dpop = _token(request, USER_HEADER)
    settings = parts_of(request).ragward.settings
    return Credentials(
        untrusted_authorization=first,
        untrusted_user_authorization=second,
        untrusted_task_grant=_once(request, TASK_HEADER),
        connection=connection_of(request, settings, (first_by_dpop, second_by_dpop)),
    )


def _once(request: Request, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise UnauthenticatedError
    return values[0] if values else None


def _token(request: Request, header: str) -> tuple[str | None, bool]:
    """(token, whether it came under the scheme DPoP)."""
    values = request.headers.getlist(header)
    if not values:
        return None, False
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() not in ("bearer", "dpop") or not token:
        raise UnauthenticatedError
    return token, scheme.lower() == "dpop"


Parts = Annotated[ApiParts, Depends(_parts)]
Credential = Annotated[Credentials, Depends(_credentials)]


def _subject(parts: Parts, credential: Credential) -> Subject:
    return parts.ragward.identify(credential)


Asker = Annotated[Subject, Depends(_subject)]
EPOCH_HEADER = "Ragward-Epoch-Token"


def stamp(response: Response, parts: ApiParts, subject: Subject) -> None:
    """Tells the writer from when on its write is in force: a later question can demand it as `min_epoch`."""
    response.headers[EPOCH_HEADER] = parts.ragward.epoch_token(subject.tenant)
