"""Access for a time: requests, decisions, emergencies, reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Principal, Strict, Whole
from ragward.api.schemas_keys import Reason
from ragward.domain.elevation import MAX_EMERGENCY_MINUTES, MAX_MINUTES, Elevation

router = APIRouter(prefix="/v1/access-requests", tags=["access for a time"])
Id = Annotated[str, Path(min_length=1, max_length=100)]


class AccessRequestBody(Strict):
    """Which role, for how long, and why."""

    role: Principal
    minutes: Whole = Field(ge=1, le=MAX_MINUTES)
    reason: Reason


class EmergencyBody(Strict):
    """The same, at most an hour."""

    role: Principal
    minutes: Whole = Field(ge=1, le=MAX_EMERGENCY_MINUTES)
    reason: Reason


class ApprovalBody(Strict):
    """Why; `minutes` to give it for less than was asked."""

    reason: Reason
    minutes: Whole | None = Field(None, ge=1, le=MAX_MINUTES)


class WhyBody(Strict):
    """Why, or what a review found."""

    reason: Reason


class AccessRequestModel(BaseModel):
    """A request and what became of it. `state`: requested, denied, active, ended or revoked. Times are Unix seconds;
    `not_after` is 0 as long as nothing was given. An emergency that nobody reviewed `awaits_review`."""

    id: str
    member: str
    role: str
    minutes: int
    reason: str
    state: str
    emergency: bool
    awaits_review: bool
    requested_at: int
    decided_by: str | None
    decided_at: int | None
    decision_reason: str
    not_before: int
    not_after: int
    revoked_by: str | None
    revoked_at: int | None
    reviewed_by: str | None
    reviewed_at: int | None
    review_note: str

    @classmethod
    def of(cls, found: Elevation, now: int) -> AccessRequestModel:
        """From the domain's."""
        return cls(
            id=found.elevation_id,
            state=found.state(now).value,
            awaits_review=found.awaits_review,
            **{
                name: getattr(found, name)
                for name in cls.model_fields
                if name not in ("id", "state", "awaits_review")
            },
        )


def _told(parts: Parts, found: Elevation) -> AccessRequestModel:
    return AccessRequestModel.of(found, parts.ragward.elevating.now())


@router.post("", status_code=201, operation_id="request_access", responses=responses(403))
def request_access(body: AccessRequestBody, parts: Parts, subject: Asker) -> AccessRequestModel:
    """Asks for a role for a time. Nothing is given before somebody else approves."""
    elevating = parts.ragward.elevating
    return _told(parts, elevating.request(subject, body.role, body.minutes, body.reason))


@router.get("", operation_id="list_access_requests", responses=responses())
def list_access_requests(parts: Parts, subject: Asker) -> list[AccessRequestModel]:
    """One's own requests, newest first; with `access:approve` everybody's."""
    return [_told(parts, found) for found in parts.ragward.elevating.elevations(subject)]


@router.post(
    "/emergency",
    status_code=201,
    operation_id="declare_emergency",
    responses=responses(403, 409),
)
def declare_emergency(
    body: EmergencyBody, parts: Parts, subject: Asker, response: Response
) -> AccessRequestModel:
    """Holds an emergency role at once, after people were alerted; somebody else reviews it afterwards."""
    made = parts.ragward.elevating.declare_emergency(subject, body.role, body.minutes, body.reason)
    stamp(response, parts, subject)
    return _told(parts, made)


@router.post("/{id}/approve", operation_id="approve_access", responses=responses(403, 404, 409))
def approve_access(
    id: Id,  # noqa: A002 - the path's word
    body: ApprovalBody,
    parts: Parts,
    subject: Asker,
    response: Response,
) -> AccessRequestModel:
    """Gives it from now on, for no longer than was asked. Not to oneself, and in person."""
    done = parts.ragward.elevating.decide(
        subject, id, approve=True, reason=body.reason, minutes=body.minutes
    )
    stamp(response, parts, subject)
    return _told(parts, done)


@router.post("/{id}/deny", operation_id="deny_access", responses=responses(403, 404, 409))
def deny_access(
    id: Id,  # noqa: A002 - the path's word
    body: WhyBody,
    parts: Parts,
    subject: Asker,
) -> AccessRequestModel:
    """Refuses it."""
    elevating = parts.ragward.elevating
    return _told(parts, elevating.decide(subject, id, approve=False, reason=body.reason))


@router.post("/{id}/revoke", operation_id="revoke_access", responses=responses(403, 404, 409))
def revoke_access(
    id: Id,  # noqa: A002 - the path's word
    body: WhyBody,
    parts: Parts,
    subject: Asker,
    response: Response,
) -> AccessRequestModel:
    """Takes it back at once, or withdraws the request: one's own, or with `access:approve` anybody's."""
    done = parts.ragward.elevating.revoke(subject, id, body.reason)
    stamp(response, parts, subject)
    return _told(parts, done)


@router.post("/{id}/review", operation_id="review_emergency", responses=responses(403, 404, 409))
def review_emergency(
    id: Id,  # noqa: A002 - the path's word
    body: WhyBody,
    parts: Parts,
    subject: Asker,
) -> AccessRequestModel:
    """Closes an emergency that is over: not one's own, and in person."""
    return _told(parts, parts.ragward.elevating.review(subject, id, body.reason))
