"""Where one begins: what there is to do, and, for stewards, how the corpora are labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from ragward.console import places
from ragward.console.guard import Signed, Visitor
from ragward.console.rendering import page
from ragward.domain.jobs import JobRecord
from ragward.domain.labels import Classification
from ragward.reviewing import Queue

router = APIRouter()
_MOST_COUNTED = 500


@router.get("/")
def overview(visitor: Signed) -> Response:
    """For everybody who is signed in; numbers as far as each may open the page that they are from."""
    flows, subject = visitor.ragward, visitor.subject
    corpora: Mapping[str, Counter[Classification]] = {}
    waiting: dict[str, Any] | None = None
    jobs: list[JobRecord] = []
    if places.opens(flows, subject, places.REVIEWS):
        corpora = _by_corpus(visitor)
        found, more = flows.reviewing.items(subject, Queue(), limit=_MOST_COUNTED)
        kinds = Counter(each.item.kind for each in found)
        waiting = {"kinds": kinds, "total": len(found), "more": bool(more)}
    if places.opens(flows, subject, places.JOBS):
        jobs = list(flows.stewardship.jobs(subject, limit=1))
    return page(
        visitor,
        "home.html",
        corpora=corpora,
        levels=list(Classification),
        largest=max((each.total() for each in corpora.values()), default=0),
        waiting=waiting,
        jobs=jobs,
    )


def _by_corpus(visitor: Visitor) -> dict[str, Counter[Classification]]:
    counts: dict[str, Counter[Classification]] = {}
    for label, documents in visitor.ragward.stewardship.counts(visitor.subject):
        counts.setdefault(label.corpus, Counter())[label.classification] += documents
    return dict(sorted(counts.items()))
