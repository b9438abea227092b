"""Honey: documents that nobody may read, so that whoever touches one is where nobody should be.

It is what a label carries (`domain.labels.HONEY`): nobody can be cleared for it, it grants nobody, and the query flow refuses it
whatever the policy says. To an asker one that is touched looks like one that is not there.
"""

from __future__ import annotations

from ragward.domain.access import Subject
from ragward.domain.audit import EventType
from ragward.domain.labels import AccessLabel, is_honey
from ragward.evidence import Recorder


def notice(
    recorder: Recorder, subject: Subject, label: AccessLabel, document_id: str, door: str
) -> None:
    """The alarm, before anything is decided, so that it is the same for everybody. Nothing for any other document.

    Not waited for on disk: how long a refusal takes must not tell what it was about. Raises `unavailable.audit`."""
    if is_honey(label):
        details = {"document": document_id, "door": door}
        recorder.record(EventType.HONEY_TOUCHED, subject, "alarm", details)
