"""How an installation stands: too many rights, second factors, keys in time, how long an alarm stood.

A figure that the log does not record is None, and said so; nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from ragward.domain.access_audit import PrincipalUse
from ragward.domain.audit import EventType

ALARMS: Final = frozenset({EventType.HONEY_TOUCHED.value, EventType.INTEGRITY_FAILURE.value})
_OF_PEOPLE: Final = frozenset(
    {EventType.DIRECTORY_USER_DISABLED.value, EventType.DIRECTORY_USER_DELETED.value}
)
_OF_POLICY: Final = frozenset({EventType.POLICY_CHANGED.value, EventType.POLICY_ROLLED_BACK.value})
_OF_DOCUMENTS: Final = frozenset(
    {
        EventType.CONTENT_SHREDDED.value,
        EventType.DOCUMENT_DELETED.value,
        EventType.DOCUMENT_RELABELLED.value,
        EventType.DOCUMENT_RESCREENED.value,
    }
)
#: What can end an alarm.
RESTRICTING: Final = _OF_PEOPLE | _OF_POLICY | _OF_DOCUMENTS
#: Methods of RFC 8176 that are, or belong to, a second factor.
_FACTORS: Final = frozenset({"mfa", "otp", "hwk", "swk", "sc", "fpt", "face", "pop"})
#: Levels of OpenID's Enhanced Authentication Profile, and of NIST SP 800-63.
_LEVELS: Final = frozenset({"phr", "phrh", "mfa", "aal2", "aal3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that somebody had to look at, and when it was first answered by a restriction. Unix seconds."""

    event_id: str
    type: str
    at: int
    contained_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """Shares are of 1; None is not recorded, or there was nothing to count."""

    over_privilege: float | None
    """Of the labels that people, applications and agents could read under, how many nobody of them did"""
    mfa_coverage: float | None
    """Of the answers to people whose events say, how many after more than one factor"""
    mfa_unrecorded: int
    """Answers to people whose events do not say"""
    keys_in_time: float | None
    """Of the keys in use, how many are not due for rotation"""
    alarms: tuple[Alarm, ...]
    seconds_to_contain: float | None
    """The median over alarms that were"""


def posture(
    uses: Iterable[PrincipalUse],
    factors: Mapping[str, int],
    keys_due: Sequence[bool],
    alarms: Sequence[Alarm],
) -> Posture:
    """`factors` counts answers to people: `many`, `one`, and those of which it is not recorded."""
    could, did = 0, 0
    for use in uses:
        could += use.reachable_labels
        did += min(use.used_labels, use.reachable_labels)
    recorded = factors.get("many", 0) + factors.get("one", 0)
    times = [alarm.contained_at - alarm.at for alarm in alarms if alarm.contained_at is not None]
    return Posture(
        over_privilege=1 - did / could if could else None,
        mfa_coverage=factors.get("many", 0) / recorded if recorded else None,
        mfa_unrecorded=factors.get("unknown", 0),
        keys_in_time=keys_due.count(False) / len(keys_due) if keys_due else None,
        alarms=tuple(alarms),
        seconds_to_contain=median(times) if times else None,
    )


def factors_of(actor: Mapping[str, Any]) -> str:
    """`many` or `one` factors, or `unknown` where the event does not say."""
    methods, level = actor.get("amr"), actor.get("acr")
    if not methods and not level:
        return "unknown"
    named = {str(each) for each in methods} if isinstance(methods, list) else set[str]()
    return "many" if named & _FACTORS or str(level).rpartition(":")[2] in _LEVELS else "one"


def contained(
    alarms: Sequence[Mapping[str, Any]],
    restrictions: Sequence[Mapping[str, Any]],
    people: Mapping[str, str],
) -> list[Alarm]:
    """Each alarm with the first restriction after it that concerns whom or what it was about. `people` are principals by
    the directory's id; a change of the policy counts if it takes something away."""
    found: list[Alarm] = []
    for alarm in alarms:
        who, document = alarm["actor"].get("principal"), alarm["details"].get("document")
        ends = (
            event["ts"] // 1000
            for event in restrictions
            if event["ts"] >= alarm["ts"] and _concerns(event, who, document, people)
        )
        found.append(
            Alarm(
                event_id=str(alarm["id"]),
                type=str(alarm["type"]),
                at=alarm["ts"] // 1000,
                contained_at=next(ends, None),
            )
        )
    return found


def _concerns(
    event: Mapping[str, Any], who: object, document: object, people: Mapping[str, str]
) -> bool:
    kind, details = event["type"], event["details"]
    if kind in _OF_DOCUMENTS:
        return document is not None and details.get("document") == document
    if kind in _OF_PEOPLE:
        named = details.get("principal") or people.get(str(details.get("user")))
        return who is not None and named == who
    removed = [details.get("rows"), details.get("memberships")]
    return any(isinstance(counts, list) and counts[1:] and counts[1] for counts in removed)
