"""Restrictions: what was found, what was done about it by itself, and letting go of it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ragward.console.guard import Signed
from ragward.console.places import ANOMALIES
from ragward.console.rendering import go_to, page
from ragward.domain.access import Action
from ragward.domain.errors import ConflictError, DeniedError, InvalidRequestError

router = APIRouter()
_SHOWN = 200


@router.get("/anomalies")
def anomalies(visitor: Signed, ended: bool = False) -> Response:
    """Those in force, or all."""
    visitor.require(ANOMALIES)
    found = visitor.ragward.restricting.restrictions(visitor.subject, ended=ended, limit=_SHOWN)
    return page(
        visitor,
        "anomalies.html",
        found=found,
        ended=ended,
        now=visitor.ragward.clock.now(),
        may_release=visitor.could(Action.RESTRICTION_WRITE),
    )


@router.post("/anomalies/{restriction_id}/release")
def release(restriction_id: str, visitor: Signed) -> Response:
    """Ends one before its time; nobody lets go of what is on themselves."""
    visitor.require(ANOMALIES)
    try:
        visitor.ragward.restricting.release(
            visitor.subject, restriction_id, visitor.value("reason")
        )
        visitor.tell("done", "Released. It holds nobody from now on.")
    except (ConflictError, InvalidRequestError) as error:
        visitor.tell("problem", f"Not released: {error.detail}")
    except DeniedError as error:
        if error.code != "restriction.second_person":
            raise
        visitor.tell("problem", f"Not released: {error.detail}")
    return go_to("/console/anomalies")
