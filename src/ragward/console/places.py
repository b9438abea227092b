"""The pages and the permissions they are behind, decided by the PDP on every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ragward.bootstrap import Ragward
from ragward.domain.access import Action, Context, Subject
from ragward.domain.errors import NotFoundError
from ragward.domain.labels import administrative


@dataclass(frozen=True, slots=True)
class Place:
    """A page in the navigation. Any of `actions` opens it: on the tenant, or, unless `on_tenant`, under any label."""

    path: str
    title: str
    actions: tuple[Action, ...]
    on_tenant: bool = False
    about: str = ""


REVIEWS: Final = Place(
    "/console/reviews",
    "Reviews",
    (Action.DOCUMENT_RELABEL,),
    about="What the classifier is not sure of, quarantined documents, downgrades asked for.",
)
DOCUMENTS: Final = Place(
    "/console/documents",
    "Documents",
    (Action.DOCUMENT_RELABEL, Action.DOCUMENT_DELETE),
    about="Labels, lineage, keys, and who can see a document.",
)
ACCESS: Final = Place(
    "/console/access",
    "Access",
    (Action.ACCESS_EXPLAIN,),
    about="What somebody can see, who can see something, what a policy change would do.",
)
AUDIT: Final = Place(
    "/console/audit",
    "Audit log",
    (Action.AUDIT_READ,),
    on_tenant=True,
    about="What happened, and whether the log is whole.",
)
KEYS: Final = Place(
    "/console/keys",
    "Keys",
    (Action.KEY_ROTATE,),
    on_tenant=True,
    about="Versions, ages, and how far a rotation is.",
)
ANOMALIES: Final = Place(
    "/console/anomalies",
    "Anomalies",
    (Action.RESTRICTION_READ,),
    on_tenant=True,
    about="What stood out, what was done about it, letting go of it.",
)
JOBS: Final = Place(
    "/console/jobs",
    "Jobs",
    (Action.JOB_READ,),
    on_tenant=True,
    about="What was ingested, and what failed.",
)
GRANTS: Final = Place(
    "/console/grants",
    "Grants",
    (Action.ACCESS_REQUEST, Action.ACCESS_APPROVE, Action.ACCESS_EMERGENCY),
    on_tenant=True,
    about="Roles for a time, emergencies, what agents were lent.",
)
PLACES: Final = (REVIEWS, DOCUMENTS, ACCESS, AUDIT, KEYS, ANOMALIES, JOBS, GRANTS)


def opens(ragward: Ragward, subject: Subject, place: Place) -> bool:
    """Whether somebody may open a page now."""
    context = Context(now=ragward.clock.now())
    whole = administrative(subject.tenant)
    return any(
        ragward.pdp.decide(subject, action, whole, context)
        or (not place.on_tenant and len(ragward.pdp.labels_for(subject, action, context)) > 0)
        for action in place.actions
    )


def could_open(ragward: Ragward, subject: Subject, place: Place) -> bool:
    """The same, now or once they have proven more."""
    context = Context(now=ragward.clock.now())
    whole = administrative(subject.tenant)
    return opens(ragward, subject, place) or any(
        ragward.pdp.step_up(subject, action, whole, context) for action in place.actions
    )


def require(ragward: Ragward, subject: Subject, place: Place) -> None:
    """Raises `auth.step_up` where only proof is missing, otherwise `access.not_found`, unless they may open it."""
    if opens(ragward, subject, place):
        return
    context = Context(now=ragward.clock.now())
    for action in place.actions:
        wanted = ragward.pdp.step_up(subject, action, administrative(subject.tenant), context)
        if wanted is not None and wanted.is_curable:
            raise wanted.error()
    raise NotFoundError


def shown(ragward: Ragward, subject: Subject) -> list[Place]:
    """What the navigation names: what they may open, now or once they have proven more."""
    return [place for place in PLACES if could_open(ragward, subject, place)]
