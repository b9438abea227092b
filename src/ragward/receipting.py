"""Making receipts: a leaf of the log for each answer, that its asker may be shown whole."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ragward.domain.access import Subject
from ragward.domain.audit import EventType
from ragward.domain.labels import AccessLabel
from ragward.domain.passages import Passage
from ragward.domain.receipts import passage_digest, receipt_event
from ragward.evidence import Recorder
from ragward.ports import ReceiptSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What was decided about an answer: for officers alone."""

    policy: str
    purpose: str
    labels: Mapping[str, tuple[int, AccessLabel]] = field(default_factory=dict)
    """by chunk"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReceipt:
    """The salt, the digests of the passages in their order, and the leaf's hash."""

    salt: str
    digests: Sequence[str]
    receipt_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipting:
    """Puts receipts on record, before the answer's own event: whoever waits for that has both."""

    recorder: Recorder
    secrets: ReceiptSecrets

    def issue(
        self,
        subject: Subject,
        receipt_id: str,
        epoch_token: str,
        passages: Sequence[Passage],
        released: Released,
    ) -> MadeReceipt:
        """On record, spooled. Raises `unavailable.audit`, `unavailable.keys`."""
        salt = self.secrets.salt(subject.tenant, receipt_id)
        digests = [passage_digest(salt, p.rank, p.chunk_id, p.text) for p in passages]
        officer = _officers_part(subject, passages, released)
        sealed = self.secrets.encrypt(subject.tenant, receipt_id, officer)
        details = {
            "answer": receipt_id,
            "epoch": epoch_token,
            "passages": digests,
            "officer": b64encode(sealed).decode(),
        }
        recorded = self.recorder.record(
            EventType.RECEIPT_ISSUED,
            subject,
            "permit",
            details,
            event_id=receipt_event(receipt_id),
        )
        return MadeReceipt(salt=salt.hex(), digests=digests, receipt_hash=recorded.leaf_hash.hex())


def _officers_part(
    subject: Subject, passages: Sequence[Passage], released: Released
) -> dict[str, object]:
    """What the answer can be decided again from."""
    application = subject.application
    return {
        "policy": released.policy,
        "purpose": released.purpose,
        "application": {
            "client_id": application.client_id,
            "corpora": sorted(application.corpora),
            "ceiling": application.ceiling.name,
        },
        "chunks": [
            {
                "chunk": p.chunk_id,
                "document": p.document_id,
                "label": released.labels[p.chunk_id][0],
                "digest": released.labels[p.chunk_id][1].digest().hex(),
                "removed": dict(p.removed),
                "altered": dict(p.altered),
            }
            for p in passages
        ],
    }
