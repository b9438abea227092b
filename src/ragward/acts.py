"""What every administrative act begins with: may this subject do it, is there a reason, is it on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from ragward.domain.access import Action, Context, Subject
from ragward.domain.admission import knowing_actions
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.errors import (
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    RequestRefusedError,
    StepUpRequiredError,
)
from ragward.domain.labels import AccessLabel, administrative
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.ports import Clock, PolicyDecisionPoint

MIN_REASON_CHARACTERS: Final = 8
MAX_REASON_CHARACTERS: Final = 500
_Refusal = TypeVar("_Refusal", bound=RequestRefusedError)


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
        """Raises `access.denied`, or `auth.step_up` where only proof is missing, recorded, unless the subject may."""
        if not self.may(subject, action, label):
            raise self.refused(subject, action, self.proof_missing(subject, action, label))

    def proof_missing(
        self, subject: Subject, action: Action, label: AccessLabel
    ) -> RequestRefusedError:
        """The refusal of what the subject may not do: a challenge if they could with better proof."""
        try:
            require_proof(self.pdp, subject, action, label, self.context())
        except StepUpRequiredError as challenge:
            return challenge
        return DeniedError()

    def unknown(self, subject: Subject, record: DocumentRecord) -> RequestRefusedError:
        """The refusal of a document that somebody named and may not know of: a challenge if they could with better proof."""
        missing = self.proof_missing(subject, Action.CORPUS_RETRIEVE, record.label)
        is_active = record.state is DocumentState.ACTIVE
        if is_active and isinstance(missing, StepUpRequiredError):
            return self.refused(subject, Action.CORPUS_RETRIEVE, missing)
        return NotFoundError()

    def require_on_tenant(self, subject: Subject, action: Action) -> None:
        """The same for an act on the subject's tenant as a whole."""
        self.require(subject, action, administrative(subject.tenant))

    def refused(self, subject: Subject, action: Action, error: _Refusal) -> _Refusal:
        """`error`, after it was recorded."""
        details = {"action": action.value, "code": error.code}
        self.recorder.record(EventType.REQUEST_REFUSED, subject, "deny", details)
        return error


def require_proof(
    pdp: PolicyDecisionPoint, subject: Subject, action: str, label: AccessLabel, context: Context
) -> None:
    """After a no. Raises `auth.step_up` if better proof would make it a yes."""
    wanted = pdp.step_up(subject, action, label, context)
    if wanted is not None and wanted.is_curable:
        raise wanted.error()


def require_reason(reason: str) -> str:
    """`reason`. Raises `request.invalid` unless a person could understand it later."""
    enough = len(reason.strip()) >= MIN_REASON_CHARACTERS and len(reason) <= MAX_REASON_CHARACTERS
    if not enough or not reason.isprintable():
        raise InvalidRequestError("a reason has 8 to 500 printable characters")
    return reason
