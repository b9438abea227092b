"""An entry of the audit log as a line of OCSF: what a SIEM may know of it, and nothing else.

What leaves is on a list, field by field and form by form: ids, counts, codes, digests under a key. Reasons that people wrote,
names from directories, digests that could be guessed back, and whatever a later version adds, stay in the log: the line names
what it withheld. The same entry always gives the same line, so that what is sent twice can be told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ragward.domain.audit import AuditEntry
from ragward.domain.labels import Classification
from ragward.domain.merkle import leaf_hash
from ragward.domain.ocsf_classes import UNREADABLE, Mapped, OcsfClass, Severity, class_of

OCSF_VERSION: Final = "1.9.0-dev"  # the first with the record integrity profile
MAX_LINE: Final = 60_000
_MAX_LISTED: Final = 50
_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32,128}"
)
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:*-]{0,63}")
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_EVENT_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TYPE: Final = re.compile(r"[a-z_]{1,32}\.[a-z_]{1,48}")
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PRINCIPAL: Final = re.compile(
    r"(user|group|role|app|agent|compartment):[^\x00-\x20\x7f\ud800-\udfff]{1,300}"
)

#: What the details of an event may say outside, by the form it must have.
_IDS: Final = frozenset(
    [
        "document",
        "documents",
        "chunk",
        "point",
        "review",
        "proposal",
        "receipt",
        "hold",
        "digest",
        "from",
        "to",
        "policy",
        "model",
        "rule_set",
        "question",
        "query_tag",
        "toolchains",
        "user",
        "group",
        "added",
        "removed",
    ]
)
_CODES: Final = frozenset(
    [
        "code",
        "action",
        "act",
        "kind",
        "of",
        "state",
        "use",
        "level",
        "search",
        "door",
        "by",
        "obstacles",
        "query_flags",
        "flags",
        "rules",
        "type",
        "corpus",
    ]
)
_NUMBERS: Final = frozenset(
    [
        "version",
        "generation",
        "epoch",
        "base",
        "searches",
        "near_duplicates",
        "not_answering",
        "leaking_chunks",
        "unknown_citations",
        "chunks",
        "count",
        "counts",
        "dropped",
        "removed",
        "revealed",
        "found",
        "verdicts",
        "members",
        "questions",
        "permitted",
        "rewrapped",
        "remaining",
        "deks",
        "held",
        "unread",
        "expected",
        "next",
        "since",
        "rows",
        "memberships",
        "documents",
        "further",
        "renamed",
        "steward",
        "four_eyes",
    ]
)
_LEVELS: Final = frozenset({"classification"})
_KEYS: Final = frozenset({"key", "kek", "detector"})
_PRINCIPALS: Final = frozenset({"target", "group", "user", "requested_by", "author", "principal"})

Names = Callable[[str], str]
"""How a principal is called outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far an export has come: the next entry, and what the line before it was."""

    next_index: int = 0
    leaf: str = ""
    """Hash (hex) of the entry before; empty at the beginning"""
    line_uid: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedLine:
    """One line, ASCII without a line break, and what a transport says of it."""

    text: str
    event_type: str
    severity: Severity
    at: int
    """Unix milliseconds"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMaker:
    """Makes lines of one log's entries. `origin` is the log's name, `version` this software's."""

    origin: str
    version: str
    names: Names

    def line(self, entry: AuditEntry, place: Place) -> tuple[ExportedLine, Place]:
        """The line of the entry at `place`, and the place after it."""
        event, mapped = _opened(entry.data)
        body = self._body(entry, event, mapped)
        leaf = leaf_hash(entry.data).hex()
        body["unmapped"] |= {"leaf_hash": leaf}
        uid = body["metadata"]["uid"]
        digest = _attest(body, self.origin, entry.index, place)
        text = _text(body)
        if len(text) > MAX_LINE:  # only an edited event is that long: a datagram holds every line
            body["unmapped"] = {"leaf_hash": leaf, "withheld": ["details"]}
            digest = _attest(body, self.origin, entry.index, place)
            text = _text(body)
        line = ExportedLine(
            text=text,
            event_type=body["metadata"]["event_code"],
            severity=Severity(body["severity_id"]),
            at=body["time"],
        )
        after = Place(next_index=entry.index + 1, leaf=leaf, line_uid=uid, fingerprint=digest)
        return line, after

    def _body(self, entry: AuditEntry, event: Mapping[str, Any], mapped: Mapped) -> dict[str, Any]:
        details = event["details"]
        told, withheld = _told(details, self.names)
        body: dict[str, Any] = {
            "activity_id": mapped.activity,
            "category_uid": mapped.ocsf.category,
            "class_uid": mapped.ocsf.value,
            "class_name": mapped.ocsf.title,
            "type_uid": mapped.ocsf.value * 100 + mapped.activity,
            "severity_id": mapped.severity.value,
            "time": event["ts"],
            "metadata": {
                "version": OCSF_VERSION,
                "product": {"name": "ragward", "vendor_name": "ragward", "version": self.version},
                "profiles": ["record_integrity", "security_control"],
                "uid": event["id"] or f"entry-{entry.index}",
                "event_code": event["type"],
                "sequence": entry.index,
                "log_name": self.origin,
                "tenant_uid": event["tenant"],
            },
            **_outcome(event["decision"], details),
            "actor": _actor(event["actor"], self.names),
            "unmapped": {**told, "withheld": withheld},
        }
        body |= _of_class(mapped, event, body, self.names)
        return body


def _opened(data: bytes) -> tuple[dict[str, Any], Mapped]:
    """The event in the forms it must have, whatever the log holds: a line is made of everything."""
    empty: dict[str, Any] = {
        "id": "",
        "ts": 0,
        "type": "log.unreadable",
        "tenant": "",
        "actor": {},
        "decision": "",
        "details": {},
    }
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return empty, UNREADABLE
    if not isinstance(found, dict) or not _is(_TYPE, found.get("type")):
        return empty, UNREADABLE
    event = empty | {"type": found["type"]}
    for name, pattern in (("id", _EVENT_ID), ("tenant", _TENANT), ("decision", _CODE)):
        if _is(pattern, found.get(name)):
            event[name] = found[name]
    if _is_number(found.get("ts")):
        event["ts"] = found["ts"]
    for name in ("actor", "details"):
        if isinstance(found.get(name), dict):
            event[name] = found[name]
    return event, class_of(event["type"], event["details"])


def _outcome(decision: str, details: Mapping[str, object]) -> dict[str, object]:
    """Status, and the security control profile: 1 Allowed, 2 Denied, 3 Observed, 4 Modified."""
    code = details.get("code")
    status: dict[str, object] = {"status_code": code} if _is(_CODE, code) else {}
    if decision == "permit":
        passages = details.get("passages")
        changed = isinstance(passages, list) and any(
            isinstance(item, dict) and (item.get("removed") or item.get("altered"))
            for item in passages
        )
        action, disposition = (4, 11) if changed else (1, 1)
        return status | {"status_id": 1, "action_id": action, "disposition_id": disposition}
    if decision in ("deny", "refused", "withheld"):
        return status | {"status_id": 2, "action_id": 2, "disposition_id": 2}
    if decision == "dropped":
        return status | {"status_id": 2, "action_id": 2, "disposition_id": 6}
    if decision == "alarm":
        return status | {"status_id": 2, "action_id": 2, "disposition_id": 19}
    return status | {"status_id": 1, "action_id": 3, "disposition_id": 17}


def _actor(actor: Mapping[str, object], names: Names) -> dict[str, Any]:
    told: dict[str, Any] = {"user": _user(actor.get("principal"), names)}
    application = actor.get("application")
    if _is(_PRINCIPAL, application):
        told["app_uid"] = names(str(application))
    agents = actor.get("agents")
    if isinstance(agents, list) and agents:
        shown = [names(item) for item in agents[:_MAX_LISTED] if _is(_PRINCIPAL, item)]
        told["invoked_by"] = ", ".join(shown)
    return told


def _user(principal: object, names: Names) -> dict[str, object]:
    """1 User, 3 System, 4 Service."""
    if not _is(_PRINCIPAL, principal):
        return {"uid": "ragward", "type_id": 3}
    kind = 1 if str(principal).startswith("user:") else 4
    return {"uid": names(str(principal)), "type_id": kind}


def _of_class(
    mapped: Mapped, event: Mapping[str, Any], body: Mapping[str, Any], names: Names
) -> dict[str, Any]:
    """The attributes that the class requires."""
    details, tenant = event["details"], event["tenant"] or "none"
    application = body["actor"].get("app_uid", "ragward")
    if mapped.ocsf is OcsfClass.DATASTORE_ACTIVITY:
        tag = details.get("query_tag")
        query = {"query_info": {"query_string": f"hmac-sha256:{tag}"}} if _is(_ID, tag) else {}
        store = {"name": "ragward", "uid": tenant, "type_id": 7}
        return {"src_endpoint": {"svc_name": application}, "database": store, **query}
    if mapped.ocsf is OcsfClass.ENTITY_MANAGEMENT:
        named = next((body["unmapped"][n] for n in _ENTITY_IDS if n in body["unmapped"]), tenant)
        kind = _ENTITY_TYPES.get(mapped.what, 99)
        return {"entity": {"type": mapped.what, "type_id": kind, "uid": str(named)}}
    if mapped.ocsf is OcsfClass.USER_ACCESS_MANAGEMENT:
        whom = next((details[name] for name in _CONCERNED if name in details), None)
        return {"user": _user(whom, names), "privileges": ["corpus:retrieve"]}
    if mapped.ocsf is OcsfClass.AUTHORIZE_SESSION:
        wanted = details.get("action") if _is(_CODE, details.get("action")) else "request"
        return {"user": body["actor"]["user"], "privileges": [wanted]}
    if mapped.ocsf in (OcsfClass.DETECTION_FINDING, OcsfClass.DATA_SECURITY_FINDING):
        return _finding(mapped, body)
    return {}


#: Where an event that gives or takes rights says whose.
_CONCERNED: Final = ("target", "member", "agent")
_ENTITY_TYPES: Final = {"User": 2, "Group": 3, "Policy": 5}
_ENTITY_IDS: Final = (
    "document",
    "kek",
    "group",
    "user",
    "target",
    "review",
    "proposal",
    "hold",
    "model",
    "policy",
)


def _finding(mapped: Mapped, body: Mapping[str, Any]) -> dict[str, Any]:
    """Detection Finding, Data Security Finding (10 Application-Level DLP, category 1 Personal)."""
    metadata, told = body["metadata"], body["unmapped"]
    analytic = {"name": metadata["event_code"], "type_id": 1}
    info = {"uid": metadata["uid"], "title": mapped.what, "analytic": analytic}
    more: dict[str, Any] = {"finding_info": info, "is_alert": mapped.severity >= Severity.HIGH}
    if "document" in told:
        more["resources"] = [{"uid": told["document"], "type": "document"}]
    if mapped.ocsf is OcsfClass.DATA_SECURITY_FINDING:
        more["data_security"] = {"detection_system_id": 10, "category_id": 1}
    return more


def _told(details: Mapping[str, object], names: Names) -> tuple[dict[str, Any], list[str]]:
    """(what of the details may leave, the names of what does not)."""
    told: dict[str, Any] = {}
    withheld: list[str] = []
    for name, value in details.items():
        shown = _passages(value) if name == "passages" else _shown(name, value, names)
        if shown is not None:
            told[name] = shown
        elif _is(_CODE, name):
            withheld.append(name)
    return told, sorted(withheld)[:_MAX_LISTED]


def _shown(name: str, value: object, names: Names) -> Any:
    """A value in one of the forms that its name may have; None withholds it."""
    if name in _PRINCIPALS and _is(_PRINCIPAL, value):
        return names(str(value))
    for allowed, pattern in ((_IDS, _ID), (_CODES, _CODE), (_KEYS, _KEY)):
        if name in allowed and (found := _texts(value, pattern)) is not None:
            return found
    if name in _LEVELS and (found := _texts(value, _LEVEL)) is not None:
        return found
    return _numbers(value) if name in _NUMBERS else None


_LEVEL: Final = re.compile("|".join(Classification.__members__))


def _texts(value: object, pattern: re.Pattern[str]) -> Any:
    if _is(pattern, value):
        return value
    if isinstance(value, list) and all(_is(pattern, item) for item in value):
        return value[:_MAX_LISTED]
    return None


def _numbers(value: object) -> Any:
    if _is_number(value) or isinstance(value, bool):
        return value
    if isinstance(value, list) and all(map(_is_number, value)):
        return value[:_MAX_LISTED]
    if isinstance(value, dict) and all(
        _is(_CODE, key) and _is_number(number) for key, number in value.items()
    ):
        return dict(list(value.items())[:_MAX_LISTED])
    return None


def _passages(value: object) -> list[dict[str, Any]] | None:
    """Which chunks of which documents, their classification, and how much personal data of which type was (not) shown."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    forms = {"document": _ID, "chunk": _ID, "classification": _LEVEL}
    found = []
    for item in value[:_MAX_LISTED]:
        told = {n: item[n] for n, pattern in forms.items() if _is(pattern, item.get(n))}
        for name in ("removed", "altered", "shown"):
            if (numbers := _numbers(item.get(name))) is not None:
                told[name] = numbers
        found.append(told)
    return found


def _attest(body: dict[str, Any], origin: str, index: int, place: Place) -> str:
    """The record integrity profile: a chain over the lines themselves. A fingerprint is SHA-256 of the line in the form of
    RFC 8785 without the fingerprint; the log's own tree is behind `unmapped.leaf_hash`."""
    attestation: dict[str, Any] = {"uid": str(index), "authority_uid": origin, "chain_uid": origin}
    if place.fingerprint:
        attestation["prev_event"] = {
            "uid": place.line_uid,
            "fingerprint": _fingerprint(place.fingerprint),
        }
    body["attestation_list"] = [attestation]
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    attestation["fingerprint"] = _fingerprint(digest)
    return digest


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _fingerprint(digest: str) -> dict[str, object]:
    """3 SHA-256, in 1 hex, over 2 JCS."""
    return {"algorithm_id": 3, "encoding_id": 1, "serialization_id": 2, "value": digest}


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return type(value) is int and abs(value) < 2**53
