"""Access for a time: asking for a role, deciding on what others ask, taking it back, looking at emergencies; task grants."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from ragward.console.guard import Signed, Visitor
from ragward.console.places import GRANTS
from ragward.console.rendering import go_to, page
from ragward.domain.access import Action
from ragward.domain.errors import ConflictError, DeniedError, InvalidRequestError, UnavailableError

router = APIRouter()
HERE = "/console/grants"
_SHOWN = 100


@router.get("/grants")
def grants(visitor: Signed) -> Response:
    """One's own requests and task grants; for whom may decide, everybody's."""
    visitor.require(GRANTS)
    flows, subject = visitor.ragward, visitor.subject
    return page(
        visitor,
        "grants.html",
        found=flows.elevating.elevations(subject, limit=_SHOWN),
        tasks=flows.task_grants.grants(subject, limit=_SHOWN),
        now=flows.elevating.now(),
        may_request=visitor.could(Action.ACCESS_REQUEST),
        may_approve=visitor.could(Action.ACCESS_APPROVE),
        may_declare=visitor.could(Action.ACCESS_EMERGENCY),
    )


@router.post("/grants/request")
def request(visitor: Signed) -> Response:
    """Asks for a role; as an emergency it is held at once, after an alert and before a review."""
    role, minutes, reason = visitor.value("role"), visitor.value("minutes"), visitor.value("reason")
    elevating, subject = visitor.ragward.elevating, visitor.subject
    is_emergency = visitor.value("kind") == "emergency"

    def ask() -> str:
        if not minutes.isascii() or not minutes.isdigit() or len(minutes) > 6:
            raise InvalidRequestError("minutes is a number")
        if is_emergency:
            elevating.declare_emergency(subject, role, int(minutes), reason)
            return "The emergency is declared and announced. Somebody else reviews it afterwards."
        elevating.request(subject, role, int(minutes), reason)
        return "Asked for. Somebody else decides."

    return _done(visitor, ask)


@router.post("/grants/{elevation_id}/{act}")
def decide(elevation_id: str, act: str, visitor: Signed) -> Response:
    """Approves, denies, revokes, or closes the review of an emergency."""
    elevating, subject, reason = visitor.ragward.elevating, visitor.subject, visitor.value("reason")
    acts: dict[str, Callable[[], object]] = {
        "approve": lambda: elevating.decide(subject, elevation_id, approve=True, reason=reason),
        "deny": lambda: elevating.decide(subject, elevation_id, approve=False, reason=reason),
        "revoke": lambda: elevating.revoke(subject, elevation_id, reason),
        "review": lambda: elevating.review(subject, elevation_id, reason),
        "end-task": lambda: visitor.ragward.task_grants.revoke(subject, elevation_id),
    }

    def do() -> str:
        if act not in acts:
            raise InvalidRequestError("that cannot be done with a grant")
        acts[act]()
        return "Done, and in force."

    return _done(visitor, do)


def _done(visitor: Visitor, act: Callable[[], str]) -> Response:
    visitor.require(GRANTS)
    try:
        visitor.tell("done", act())
    except (ConflictError, InvalidRequestError, UnavailableError) as error:
        visitor.tell("problem", f"Not done: {error.detail}")
    except DeniedError as error:
        if error.code != "elevation.second_person":
            raise
        visitor.tell("problem", f"Not done: {error.detail}")
    return go_to(HERE)
