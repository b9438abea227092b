"""The review queue: what waits for a person, decided one by one or many at once."""

from __future__ import annotations

from collections import Counter
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from ragward.console.guard import Signed
from ragward.console.places import REVIEWS
from ragward.console.rendering import go_to, page
from ragward.domain.errors import CODES, InvalidRequestError, RagwardError
from ragward.domain.labels import Classification
from ragward.domain.review import Choice, ReviewKind, ReviewState
from ragward.reviewing import Queue

router = APIRouter()
_PAGE = 50
_CHOICES = {"accept": Choice.ACCEPT, "change": Choice.CHANGE, "reject": Choice.REJECT}
Short = Annotated[str, Query(max_length=100)]


@router.get("/reviews")
def reviews(
    visitor: Signed,
    kind: Short = "",
    state: Short = "open",
    corpus: Short = "",
    page_token: Annotated[str, Query(max_length=8192)] = "",
) -> Response:
    """The queue, oldest first."""
    visitor.require(REVIEWS)
    try:
        queue = Queue(
            states=(ReviewState(state),),
            kinds=(ReviewKind(kind),) if kind else (),
            corpus=corpus or None,
        )
    except ValueError:
        raise InvalidRequestError from None
    found, more = visitor.ragward.reviewing.items(
        visitor.subject, queue, untrusted_page_token=page_token or None, limit=_PAGE
    )
    return page(
        visitor,
        "reviews.html",
        found=found,
        kinds=list(ReviewKind),
        states=list(ReviewState),
        kind=kind,
        state=state,
        corpus=corpus,
        more=_place(kind, state, corpus, more) if more else "",
        now=visitor.ragward.clock.now(),
    )


@router.post("/reviews/decide")
def decide(visitor: Signed) -> Response:
    """Each of the chosen by itself; what was refused is told with the reason."""
    visitor.require(REVIEWS)
    back = _place(visitor.value("kind"), "open", visitor.value("corpus"), "")
    try:
        done = visitor.ragward.reviewing.decide_all(
            visitor.subject,
            visitor.form.get("review", []),
            _choice(visitor.value("decision")),
            visitor.value("reason"),
            _level(visitor.value("classification"), visitor.value("decision")),
        )
    except InvalidRequestError as error:
        visitor.tell("problem", f"Nothing was decided: {error.detail}.")
        return go_to(back)
    closed = sum(each.state not in (None, ReviewState.OPEN) for each in done)
    waiting = sum(each.state is ReviewState.OPEN for each in done)
    if closed:
        visitor.tell("done", f"{closed} decided.")
    if waiting:
        visitor.tell("done", f"{waiting} became a request that waits for a second person.")
    for code, number in Counter(each.code for each in done if each.code).items():
        visitor.tell("problem", f"{number} not decided: {CODES[code]} ({code})")
    return go_to(back)


@router.post("/documents/{document_id}/downgrade")
def request_downgrade(document_id: str, visitor: Signed) -> Response:
    """Asks for a lower classification of one document; somebody else decides where that is demanded."""
    try:
        level = Classification.parse(visitor.value("classification"))
        visitor.ragward.reviewing.request_downgrade(
            visitor.subject, document_id, level, visitor.value("reason")
        )
        visitor.tell("done", f"Asked for {level.name}. It waits in the review queue.")
    except RagwardError as error:
        if error.code not in ("request.invalid", "catalog.exists", "label.unknown_classification"):
            raise
        visitor.tell("problem", f"Nothing was asked for: {error.detail}")
    return go_to(f"/console/documents/{document_id}")


def _choice(untrusted: str) -> Choice:
    if untrusted not in _CHOICES:
        raise InvalidRequestError("choose what to decide")
    return _CHOICES[untrusted]


def _level(untrusted: str, decision: str) -> Classification | None:
    return Classification.parse(untrusted) if decision == "change" else None


def _place(kind: str, state: str, corpus: str, token: str) -> str:
    given = {"kind": kind, "state": state, "corpus": corpus, "page_token": token}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"/console/reviews?{query}"
