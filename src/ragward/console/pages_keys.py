"""Keys: versions, ages, what lies under them, and moving on to the next."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ragward.console.guard import Signed
from ragward.console.places import KEYS
from ragward.console.rendering import page

router = APIRouter()


@router.get("/keys")
def keys(visitor: Signed) -> Response:
    """The tenant's KEK versions, and how far a rotation is. Rotating is `ragward keys rotate`: it takes its time, and a terminal."""
    visitor.require(KEYS)
    found = sorted(
        visitor.ragward.rotation.keys(visitor.subject),
        key=lambda each: (each.status.classification, each.status.kek_id, -each.status.version),
    )
    held: dict[str, int] = {}
    for each in found:
        held[each.status.kek_id] = held.get(each.status.kek_id, 0) + each.held
    return page(visitor, "keys.html", found=found, held=held)
