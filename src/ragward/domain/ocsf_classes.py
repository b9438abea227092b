"""Which class of the Open Cybersecurity Schema Framework (OCSF 1.x) each type of event is exported as.

Numbers are those of github.com/ocsf/ocsf-schema: Datastore Activity 6005, User Access Management 3005, Entity Management 3004,
Authorize Session 3003, Detection Finding 2004, Data Security Finding 2006. A new type of event needs a line here: a test walks
over `EventType`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ragward.domain.audit import EventType


class OcsfClass(IntEnum):
    """`class_uid`; the category is its thousands."""

    BASE_EVENT = 0
    DETECTION_FINDING = 2004
    DATA_SECURITY_FINDING = 2006
    AUTHORIZE_SESSION = 3003
    ENTITY_MANAGEMENT = 3004
    USER_ACCESS_MANAGEMENT = 3005
    DATASTORE_ACTIVITY = 6005

    @property
    def title(self) -> str:
        """`class_name`."""
        return self.name.replace("_", " ").title()

    @property
    def category(self) -> int:
        """`category_uid`."""
        return self.value // 1000


class Severity(IntEnum):
    """`severity_id`."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


@dataclass(frozen=True, slots=True)
class Mapped:
    """A class, its `activity_id`, how bad it is, and what is managed or found in words."""

    ocsf: OcsfClass
    activity: int
    severity: Severity = Severity.INFORMATIONAL
    what: str = ""


_CREATE, _READ, _UPDATE, _DELETE, _ENABLE, _DISABLE = 1, 2, 3, 4, 8, 9
_OTHER: Final = 99


def _data(activity: int, severity: Severity = Severity.INFORMATIONAL) -> Mapped:
    """1 Read, 2 Update, 4 Query, 5 Write, 6 Create, 7 Delete, 9 Encrypt, 10 Decrypt."""
    return Mapped(OcsfClass.DATASTORE_ACTIVITY, activity, severity)


def _entity(activity: int, what: str, severity: Severity = Severity.INFORMATIONAL) -> Mapped:
    return Mapped(OcsfClass.ENTITY_MANAGEMENT, activity, severity, what)


def _session(severity: Severity = Severity.INFORMATIONAL) -> Mapped:
    return Mapped(OcsfClass.AUTHORIZE_SESSION, 1, severity)


def _found(title: str, severity: Severity) -> Mapped:
    return Mapped(OcsfClass.DETECTION_FINDING, 1, severity, title)


def _personal(title: str, severity: Severity = Severity.INFORMATIONAL) -> Mapped:
    return Mapped(OcsfClass.DATA_SECURITY_FINDING, 1, severity, title)


def _access(activity: int) -> Mapped:
    """Rights given (1) or taken away (2)."""
    return Mapped(OcsfClass.USER_ACCESS_MANAGEMENT, activity, Severity.LOW)


#: What is not of a type that this version knows: a newer version wrote it.
UNKNOWN: Final = Mapped(OcsfClass.BASE_EVENT, _OTHER)
#: What the log holds in an event's place and cannot be read as one.
UNREADABLE: Final = _found("An entry of the audit log is not an event", Severity.CRITICAL)

CLASSES: Final[Mapping[str, Mapped]] = {
    EventType.ACCESS_AUDITED: _entity(_READ, "Policy"),
    EventType.ACCESS_EVALUATED: _session(),
    EventType.ACCESS_EXPLAINED: _entity(_READ, "Policy"),
    EventType.ADMIN_ACT: _entity(_UPDATE, "Other", Severity.LOW),
    EventType.AGENT_ACTED: _data(1),
    EventType.BEHAVIOUR_ALARM: _found("Behaviour over a limit", Severity.MEDIUM),
    EventType.CLASSIFIER_TRAINED: _entity(_CREATE, "Classifier"),
    EventType.CONTENT_SHREDDED: _data(7, Severity.LOW),
    EventType.DIRECTORY_GROUP_CHANGED: _entity(_UPDATE, "Group"),
    EventType.DIRECTORY_GROUP_CREATED: _entity(_CREATE, "Group"),
    EventType.DIRECTORY_GROUP_DELETED: _entity(_DELETE, "Group"),
    EventType.DIRECTORY_USER_CHANGED: _entity(_UPDATE, "User"),
    EventType.DIRECTORY_USER_CREATED: _entity(_CREATE, "User"),
    EventType.DIRECTORY_USER_DELETED: _entity(_DELETE, "User"),
    EventType.DIRECTORY_USER_DISABLED: _entity(_DISABLE, "User"),
    EventType.DIRECTORY_USER_ENABLED: _entity(_ENABLE, "User"),
    EventType.DOCUMENT_DELETED: _data(7),
    EventType.DOCUMENT_GONE: _data(7),
    EventType.DOCUMENT_INGESTED: _data(5),
    EventType.DOCUMENT_RELABELLED: _entity(_UPDATE, "Label", Severity.LOW),
    EventType.DOCUMENT_RESCANNED: _personal("A document was scanned again for personal data"),
    EventType.DOCUMENT_RESCREENED: _found("A document was screened again", Severity.LOW),
    EventType.DOCUMENT_RETURNED: _data(2),
    EventType.ELEVATION_CHANGED: _access(1),
    EventType.GENERATION_CHANGED: _entity(_UPDATE, "Model"),
    EventType.HOLD_CHANGED: _entity(_UPDATE, "Legal hold", Severity.LOW),
    EventType.HONEY_TOUCHED: _found("A honey document was touched", Severity.CRITICAL),
    EventType.IDENTITY_REFUSED: _session(Severity.LOW),
    EventType.INGEST_REFUSED: _data(5, Severity.LOW),
    EventType.INTEGRITY_FAILURE: _found("Something that was stored did not verify", Severity.HIGH),
    EventType.KEY_CREATED: _entity(_CREATE, "Key", Severity.LOW),
    EventType.KEY_DESTROYED: _entity(_DELETE, "Key", Severity.MEDIUM),
    EventType.KEY_ROTATED: _entity(_UPDATE, "Key", Severity.LOW),
    EventType.KEY_USED: _data(10),
    EventType.LINEAGE_EXPORTED: _data(1),
    EventType.LINEAGE_READ: _data(1),
    EventType.LOG_GAP: _found("The audit log lacks events", Severity.CRITICAL),
    EventType.MODEL_ACCEPTED: _entity(_UPDATE, "Model"),
    EventType.MODEL_REFUSED: _found("A model is not the one that was recorded", Severity.HIGH),
    EventType.OUTPUT_INSPECTED: _personal("A model's answer was inspected"),
    EventType.POLICY_APPROVED: _entity(_UPDATE, "Policy", Severity.LOW),
    EventType.POLICY_CHANGED: _entity(_UPDATE, "Policy", Severity.LOW),
    EventType.POLICY_PROPOSED: _entity(_CREATE, "Policy", Severity.LOW),
    EventType.POLICY_REJECTED: _entity(_DELETE, "Policy", Severity.LOW),
    EventType.POLICY_ROLLED_BACK: _entity(_UPDATE, "Policy", Severity.LOW),
    EventType.PSEUDONYM_ERASED: _data(7),
    EventType.PSEUDONYM_REVEALED: _data(10, Severity.LOW),
    EventType.RECEIPT_ISSUED: _entity(_CREATE, "Receipt"),
    EventType.RECEIPT_OPENED: _data(1),
    EventType.REQUEST_REFUSED: _session(Severity.LOW),
    EventType.RESTRICTION_PLACED: _access(2),
    EventType.RESTRICTION_RELEASED: _access(1),
    EventType.RETRIEVAL_ANSWERED: _data(4),
    EventType.RETRIEVAL_DENIED: _data(4, Severity.LOW),
    EventType.REVIEW_DECIDED: _entity(_UPDATE, "Review", Severity.LOW),
    EventType.REVIEW_REQUESTED: _entity(_CREATE, "Review"),
    EventType.SUBJECT_SEARCHED: _data(4, Severity.LOW),
    EventType.TASK_GRANT_MINTED: _access(1),
    EventType.TASK_GRANT_REVOKED: _access(2),
}

#: Administrative acts that give somebody rights (3005, Assign Privileges).
_GRANTING_ACTS: Final = frozenset({"register_application"})


def class_of(event_type: str, details: Mapping[str, object]) -> Mapped:
    """The class of one event; a few types are of another one by what was done."""
    if event_type == EventType.ADMIN_ACT and details.get("act") in _GRANTING_ACTS:
        return _access(1)
    if event_type == EventType.KEY_USED and details.get("use") == "wrap":
        return _data(9)
    return CLASSES.get(event_type, UNKNOWN)
