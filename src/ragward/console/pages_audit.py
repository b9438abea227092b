"""The audit explorer: what happened, whether the log is whole, and a copy of it to take away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from ragward.console.guard import Signed, Visitor
from ragward.console.places import AUDIT
from ragward.console.rendering import page
from ragward.domain.audit import AuditVerification, EventType
from ragward.domain.errors import IntegrityError, InvalidRequestError

router = APIRouter()
_SHOWN = 100
_AT_ONCE = 1000
_LOOKED_THROUGH = 10_000
_MOST_EXPORTED = 100_000
_LONG = {"at", "epoch", "model", "officer", "policy", "query_tag", "signature"}
_FIRST = (
    "about",
    "reason",
    "code",
    "action",
    "corpus",
    "source",
    "document",
    "job",
    "role",
    "principal",
)
Text = Annotated[str, Query(max_length=300)]
Place = Annotated[int, Query(ge=0, le=2**53)]


@router.get("/audit")
def audit(
    visitor: Signed,
    type: Text = "",  # noqa: A002 - the name in the address
    who: Text = "",
    about: Text = "",
    before: Place = 0,
) -> Response:
    """The newest first, those that fit; so many are looked through at once."""
    visitor.require(AUDIT)
    if type and type not in {each.value for each in EventType}:
        raise InvalidRequestError("there are no events of that type")
    return _page(visitor, type, who.strip(), about.strip(), before)


@router.get("/audit/entries/{event_id}")
def entry(event_id: str, visitor: Signed) -> Response:
    """One event, as it is stored."""
    visitor.require(AUDIT)
    found = visitor.ragward.auditing.entry(visitor.subject, event_id)
    return page(visitor, "audit_entry.html", entry=found, event=json.loads(found.data))


@router.post("/audit/verify")
def verify(visitor: Signed) -> Response:
    """Hashes the whole log again; against a checkpoint, if one was kept."""
    visitor.require(AUDIT)
    note = visitor.value("checkpoint").replace("\r\n", "\n").strip()
    anchors = [note + "\n"] if note else []
    try:
        verified = visitor.ragward.auditing.verify(visitor.subject, anchors=anchors)
    except InvalidRequestError as error:
        visitor.tell("problem", f"The checkpoint is not one of this log: {error.detail}")
        verified = None
    return _page(visitor, "", "", "", 0, verified)


@router.get("/audit/export")
def export(visitor: Signed, start: Place = 0) -> Response:
    """The tenant's events from an index on, one JSON object a line, with the hash of each leaf."""
    visitor.require(AUDIT)
    end = min(_size(visitor), start + _MOST_EXPORTED)
    name = f"audit-{visitor.subject.tenant}-{start}.jsonl"
    return StreamingResponse(
        _lines(visitor, start, end),
        media_type="application/x-ndjson",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _lines(visitor: Visitor, start: int, end: int) -> Iterator[str]:
    for first in range(start, end, _AT_ONCE):
        limit = min(_AT_ONCE, end - first)
        for found in visitor.ragward.auditing.entries(visitor.subject, start=first, limit=limit):
            line: dict[str, Any] = {"index": found.index, "hash": found.leaf_hash.hex()}
            yield json.dumps(line | {"event": json.loads(found.data)}, sort_keys=True) + "\n"


def _size(visitor: Visitor) -> int:
    """How many events the log has: the second line of its own checkpoint (C2SP tlog-checkpoint)."""
    auditing = visitor.ragward.auditing
    try:
        return int(auditing.checkpoint(visitor.subject)[0].split("\n")[1])
    except IntegrityError:  # a log that is not whole is signed no more, and looked at all the more
        return auditing.verify(visitor.subject).entries


def _page(
    visitor: Visitor,
    kind: str,
    who: str,
    about: str,
    before: int,
    verified: AuditVerification | None = None,
) -> Response:
    size = _size(visitor)
    found, reached = _found(visitor, kind, who, about, min(before or size, size))
    given = {"type": kind, "who": who, "about": about, "before": reached}
    query = urlencode({name: value for name, value in given.items() if value})
    return page(
        visitor,
        "audit.html",
        found=found,
        size=size,
        types=list(EventType),
        type=kind,
        who=who,
        about=about,
        older=f"/console/audit?{query}" if reached else "",
        verified=verified,
    )


def _found(
    visitor: Visitor, kind: str, who: str, about: str, before: int
) -> tuple[list[dict[str, Any]], int]:
    """(events, newest first, from before an index on; the index to go on from, 0 at the end)."""
    shown: list[dict[str, Any]] = []
    parts = [part.encode() for part in (kind, who, about) if part.isascii() and '"' not in part]
    lowest = max(0, before - _LOOKED_THROUGH)
    while before > lowest:
        first = max(lowest, before - _AT_ONCE)
        entries = visitor.ragward.auditing.entries(
            visitor.subject, start=first, limit=before - first
        )
        for each in reversed(entries):
            if not all(part in each.data for part in parts):
                continue
            event = json.loads(each.data)
            fits = (
                (not kind or event["type"] == kind)
                and (not who or who in json.dumps(event["actor"], ensure_ascii=False))
                and (not about or about in json.dumps(event["details"], ensure_ascii=False))
            )
            if fits:
                shown.append(event | _shown(each.index, event))
                if len(shown) == _SHOWN:
                    return shown, each.index
        before = first
    return shown, lowest


def _shown(index: int, event: Mapping[str, Any]) -> dict[str, object]:
    """What a line of the list says of an event: its plain details, those that name something first."""
    details = event["details"]
    plain = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in details.items()
        if name not in _LONG and isinstance(value, str | int) and value not in ("", 0)
    }
    order = [*(name for name in _FIRST if name in plain), *sorted(plain.keys() - set(_FIRST))]
    about = " · ".join(f"{name} {plain[name]}" for name in order)
    return {"index": index, "who": _who(event["actor"]), "about": about}


def _who(actor: Mapping[str, object]) -> str:
    """The person or application, else whatever is named of who did it."""
    found = actor.get("principal") or next(iter(actor.values()), "")
    return str(found)
