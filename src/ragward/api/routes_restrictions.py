"""Restrictions: what was taken from somebody for a time, and why."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Strict, Whole
from ragward.api.schemas_keys import Reason
from ragward.domain.restrictions import MAX_DAYS, Restriction
from ragward.restricting import request_of

router = APIRouter(prefix="/v1", tags=["restrictions"])
Id = Annotated[str, Path(min_length=1, max_length=100)]
_Level = Literal["PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED"]


class RestrictionBody(Strict):
    """What is taken from whom, and for how long. `target` is a user, agent or application as a principal, of a quarantine a
    document's id; with `through` it is about what they ask through that agent only."""

    target: str = Field(min_length=1, max_length=300)
    kind: Literal["throttle", "step_up", "ceiling", "suspend", "quarantine"]
    minutes: Whole = Field(ge=1, le=MAX_DAYS * 1440)
    reason: Reason
    through: str = Field("", max_length=300)
    ceiling: _Level | None = Field(None, description="Of the kind `ceiling`, and of no other.")


class ReleaseBody(Strict):
    """Why."""

    reason: Reason


class RestrictionModel(BaseModel):
    """A restriction. `placed_by` is empty for what the policy placed by itself; `evidence` are its counts and limits."""

    restriction_id: str
    target: str
    through: str
    kind: str
    ceiling: str | None
    begins_at: int
    until: int
    reason: str
    evidence: dict[str, int | str]
    placed_by: str
    released_by: str | None
    released_at: int | None
    release_reason: str

    @classmethod
    def of(cls, found: Restriction) -> RestrictionModel:
        """From the domain's."""
        return cls(
            restriction_id=found.restriction_id,
            target=found.target,
            through=found.through,
            kind=found.kind.value,
            ceiling=None if found.ceiling is None else found.ceiling.name,
            begins_at=found.begins_at,
            until=found.until,
            reason=found.reason,
            evidence=dict(found.evidence),
            placed_by=found.placed_by,
            released_by=found.released_by,
            released_at=found.released_at,
            release_reason=found.release_reason,
        )


@router.post(
    "/restrictions",
    status_code=201,
    operation_id="place_restriction",
    responses=responses(403, 404, 409),
)
def place_restriction(
    body: RestrictionBody, parts: Parts, subject: Asker, response: Response
) -> RestrictionModel:
    """In force at every worker from here on, until its time is over or somebody releases it."""
    request = request_of(
        target=body.target,
        kind=body.kind,
        minutes=body.minutes,
        reason=body.reason,
        through=body.through,
        ceiling=body.ceiling,
    )
    placed = parts.ragward.restricting.place(subject, request)
    stamp(response, parts, subject)
    return RestrictionModel.of(placed)


@router.get("/restrictions", operation_id="list_restrictions", responses=responses(403))
def list_restrictions(
    parts: Parts, subject: Asker, ended: Annotated[bool, Query()] = False
) -> list[RestrictionModel]:
    """Those that are not over, newest first; with `ended` all. At most 100."""
    found = parts.ragward.restricting.restrictions(subject, ended=ended)
    return [RestrictionModel.of(each) for each in found]


@router.post(
    "/restrictions/{restriction_id}/release",
    operation_id="release_restriction",
    responses=responses(403, 404, 409),
)
def release_restriction(
    restriction_id: Id, body: ReleaseBody, parts: Parts, subject: Asker, response: Response
) -> RestrictionModel:
    """Ends it now. Nobody releases what was placed on themselves."""
    released = parts.ragward.restricting.release(subject, restriction_id, body.reason)
    stamp(response, parts, subject)
    return RestrictionModel.of(released)
