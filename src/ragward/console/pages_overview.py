"""Where one begins: what there is to do, and, for stewards, how the corpora are labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from ragward.console import places
from ragward.console.guard import Signed, Visitor
from ragward.console.rendering import page
from ragward.domain.access import Action
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.review import ReviewKind
from ragward.domain.tallies import Tally
from ragward.reviewing import Queue

router = APIRouter()
_MOST_COUNTED = 50
_TYPES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Tile:
    """One number, and where it comes from."""

    title: str
    figure: str
    text: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a steward of the whole tenant sees of it."""

    personal: Sequence[tuple[str, int]]
    conflicts: str
    gone: int
    pending: int


@router.get("/")
def overview(visitor: Signed) -> Response:
    """For everybody who is signed in; numbers as far as each may open the page that they are from."""
    is_steward = places.opens(visitor.ragward, visitor.subject, places.REVIEWS)
    tallies = visitor.ragward.stewardship.tallies(visitor.subject) if is_steward else []
    corpora = _by_corpus(tallies)
    return page(
        visitor,
        "home.html",
        tiles=list(_tiles(visitor, sum(each.total() for each in corpora.values()))),
        corpora=corpora,
        levels=list(Classification),
        largest=max((each.total() for each in corpora.values()), default=0),
        figures=_figures(visitor, tallies) if visitor.may(Action.DOCUMENT_RELABEL) else None,
    )


def _by_corpus(
    tallies: Sequence[tuple[AccessLabel, Tally]],
) -> dict[str, Counter[Classification]]:
    counts: dict[str, Counter[Classification]] = {}
    for label, each in tallies:
        if each.is_active:
            corpus = counts.setdefault(label.corpus, Counter())
            corpus[label.classification] += each.documents
    return dict(sorted(counts.items()))


def _figures(visitor: Visitor, tallies: Sequence[tuple[AccessLabel, Tally]]) -> Figures:
    stewardship, subject = visitor.ragward.stewardship, visitor.subject
    return Figures(
        personal=Counter(stewardship.personal_data(subject)).most_common(_TYPES_SHOWN),
        conflicts=_waiting(visitor, Queue(kinds=(ReviewKind.CONFLICT,)))[0],
        gone=stewardship.count_gone(subject),
        pending=sum(each.documents for _, each in tallies if each.is_pending),
    )


def _waiting(visitor: Visitor, queue: Queue) -> tuple[str, str]:
    """(how many, of which kinds)"""
    reviewing = visitor.ragward.reviewing
    found, more = reviewing.items(visitor.subject, queue, limit=_MOST_COUNTED)
    kinds = Counter(each.item.kind.value for each in found)
    what = "" if more else ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"{len(found):,}{'+' if more else ''}", what


def _tiles(visitor: Visitor, documents: int) -> Iterator[Tile]:
    flows, subject = visitor.ragward, visitor.subject
    if places.opens(flows, subject, places.REVIEWS):
        number, what = _waiting(visitor, Queue())
        text = what or ("nothing to review" if number == "0" else "the oldest first")
        yield Tile("Waiting for a person", number, text, places.REVIEWS.path)
        yield Tile("Documents in use", f"{documents:,}", "browse them", places.DOCUMENTS.path)
    if places.opens(flows, subject, places.ANOMALIES):
        found = len(flows.restricting.restrictions(subject, limit=_MOST_COUNTED))
        text = "evidence and release" if found else "nobody is restricted"
        yield Tile("Restrictions in force", f"{found:,}", text, places.ANOMALIES.path)
    if places.opens(flows, subject, places.KEYS):
        keys = flows.rotation.keys(subject)
        due = sum(bool(each.due) for each in keys)
        yield Tile("Keys due", str(due), f"of {len(keys)} key versions", places.KEYS.path)
    if places.opens(flows, subject, places.JOBS):
        yield from _last_job(visitor)


def _last_job(visitor: Visitor) -> Iterator[Tile]:
    for job in visitor.ragward.stewardship.jobs(visitor.subject, limit=1):
        state = job.state.value.replace("_", " ")
        figure = (
            f"{job.done * 100 // job.total} %"
            if job.state.is_running and job.total
            else state.capitalize()
        )
        counts = ", ".join(f"{number} {name}" for name, number in sorted(job.counts.items()))
        path = f"{places.JOBS.path}/{job.job_id}"
        yield Tile("Last ingest", figure, counts or "nothing yet", path)
