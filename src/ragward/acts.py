"""What every administrative act begins with: may this subject do it, is there a reason, is it on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ragward.domain.access import Action, Context, Subject
from ragward.domain.admission import knowing_actions
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord
from ragward.domain.errors import DeniedError, InvalidRequestError
from ragward.domain.labels import AccessLabel, administrative
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.ports import Clock, PolicyDecisionPoint

MIN_REASON_CHARACTERS: Final = 8
MAX_REASON_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """Decides by the same PDP as a retrieval, and records refusals."""

    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock

    def context(self) -> Context:
        """The circumstances of a decision made now."""
        return Context(now=self.clock.now())

    def may(self, subject: Subject, action: Action, label: AccessLabel) -> bool:
        """Whether the subject may do this on things under `label`."""
        return self.pdp.decide(subject, action, label, self.context())

    def may_know(self, subject: Subject, record: DocumentRecord) -> bool:
        """Whether the subject may learn that the document exists."""
        actions = knowing_actions(record.state)
        return any(self.may(subject, action, record.label) for action in actions)

    def noticed(self, subject: Subject, record: DocumentRecord, door: str) -> DocumentRecord:
        """`record`, which somebody named by its id; of a honey document that is an alarm."""
        notice(self.recorder, subject, record.label, record.document_id, door)
        return record

    def require(self, subject: Subject, action: Action, label: AccessLabel) -> None:
        """Raises `access.denied`, recorded, unless the subject may."""
        if not self.may(subject, action, label):
            raise self.refused(subject, action, DeniedError())

    def require_on_tenant(self, subject: Subject, action: Action) -> None:
        """The same for an act on the subject's tenant as a whole."""
        self.require(subject, action, administrative(subject.tenant))

    def refused(self, subject: Subject, action: Action, error: DeniedError) -> DeniedError:
        """`error`, after it was recorded."""
        details = {"action": action.value, "code": error.code}
        self.recorder.record(EventType.REQUEST_REFUSED, subject, "deny", details)
        return error


def require_reason(reason: str) -> str:
    """`reason`. Raises `request.invalid` unless a person could understand it later."""
    enough = len(reason.strip()) >= MIN_REASON_CHARACTERS and len(reason) <= MAX_REASON_CHARACTERS
    if not enough or not reason.isprintable():
        raise InvalidRequestError("a reason has 8 to 500 printable characters")
    return reason
