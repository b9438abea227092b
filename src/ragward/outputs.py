"""The output flow: a model's answer, before a person gets it.

receipt    -> passages, purpose   only whoever got the receipt may use it, and for its purpose
passages   -> labels              as they are now: what was revoked meanwhile counts as not seen
answer     -> withheld or not     fingerprints of what the subject may not see
answer     -> redacted            personal data found in it now, by the strictest entitlement of the passages' labels
redacted   -> revealed            pseudonyms turned back for who may, each recorded; redaction cut none
revealed   -> neutralised         links that carry data out made inert, signs of injected instructions flagged
all of it  -> recorded            under the receipt, before anything is answered
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.disclosure import Disclosure, RevealedText
from ragward.domain.access import Context, Permit, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.errors import (
    InvalidRequestError,
    NotFoundError,
    RequestRefusedError,
    UnavailableError,
)
from ragward.domain.fingerprints import FingerprintMatch, fingerprints
from ragward.domain.labels import Classification
from ragward.domain.outputs import (
    InspectedOutput,
    Outcome,
    OutputToInspect,
    ReceiptedAnswer,
    ReceiptedPassage,
    beside_tokens,
    leaks,
    receipted_answer,
    unknown_citations,
)
from ragward.domain.passages import RedactedText
from ragward.evidence import Recorder
from ragward.ports import (
    AuditLog,
    Catalog,
    Clock,
    Finder,
    Limiter,
    PolicyDecisionPoint,
    Screener,
)
from ragward.protection import Protection

_REDECISIONS: Final = 2
_REMEMBERED: Final = 10_000
_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsPorts:
    """Everything the output flow talks to."""

    pdp: PolicyDecisionPoint
    catalog: Catalog
    finder: Finder
    screener: Screener
    protection: Protection
    disclosure: Disclosure
    audit: AuditLog
    limiter: Limiter
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What an answer is judged by: its passages as they are now, and what it repeats that it should not."""

    answer: ReceiptedAnswer
    classification: Classification
    revealed: frozenset[str]
    leaked: Sequence[FingerprintMatch]


class Outputs:
    """Inspects answers. Thread-safe."""

    def __init__(self, ports: OutputsPorts) -> None:
        self._ports = ports
        self._spent = _Spent()

    def inspect(self, subject: Subject, output: OutputToInspect) -> InspectedOutput:
        """What of a model's answer may be shown to `subject`.

        Raises `access.not_found` for a receipt that is not theirs or not there, `request.invalid`, `limit.*` and every
        `UnavailableError`: what cannot be judged or recorded is not answered.
        """
        self._ports.limiter.acquire(subject)
        try:
            output.check()
            entry = self._ports.audit.find(output.receipt_id)
            answer = receipted_answer(entry, subject)
            if self._ports.disclosure.purpose_of(subject, answer.purpose) != answer.purpose:
                raise InvalidRequestError("the receipt is for another purpose than the credentials")
            return self._inspected(subject, output, self._judged(subject, output, answer))
        except RequestRefusedError as refused:
            details = {"code": refused.code}
            self._ports.recorder.record(EventType.REQUEST_REFUSED, subject, "refused", details)
            raise
        finally:
            self._ports.limiter.release(subject)

    def _judged(
        self, subject: Subject, output: OutputToInspect, answer: ReceiptedAnswer
    ) -> _Judged:
        """Everything read under one epoch. Raises `unavailable.consistency` while permissions keep moving."""
        ports = self._ports
        key = ports.protection.fingerprint_key(subject.tenant)
        wanted = fingerprints(output.answer, key)
        for _ in range(1 + _REDECISIONS):
            context = Context(now=ports.clock.now(), purpose=answer.purpose)
            decision = ports.pdp.decide_labels(subject, context)
            permit = decision if isinstance(decision, Permit) else None
            records = [self._record_of(subject, passage) for passage in answer.passages]
            matches = ports.catalog.chunks_sharing(subject.tenant, wanted) if wanted else ()
            if ports.catalog.epoch(subject.tenant) == decision.epoch:
                return _Judged(
                    answer=answer,
                    classification=_join(answer.passages, records),
                    revealed=_revealed(records, permit),
                    leaked=leaks(matches, permit),
                )
        raise UnavailableError(code="unavailable.consistency")

    def _record_of(self, subject: Subject, passage: ReceiptedPassage) -> DocumentRecord | None:
        try:
            return self._ports.catalog.get_document(subject.tenant, passage.document_id)
        except NotFoundError:
            return None  # deleted meanwhile

    def _inspected(
        self, subject: Subject, output: OutputToInspect, judged: _Judged
    ) -> InspectedOutput:
        """Withheld as a whole, or redacted and neutralised; recorded either way."""
        if self._spent.withholds(output.receipt_id, leaking=bool(judged.leaked)):
            details = {"leaks": _named(judged.leaked), "leaking_chunks": len(judged.leaked)}
            inspection_id = self._recorded(subject, output, judged, Outcome.WITHHELD, details)
            return InspectedOutput(
                inspection_id=inspection_id,
                outcome=Outcome.WITHHELD,
                text=None,
                removed={},
                revealed={},
                flags=(),
                unknown_citations=(),
                classification=judged.classification,
            )
        redacted, revealed = self._shown(subject, output, judged)
        flags = self._ports.screener.screen(output.answer).rules
        text = self._ports.screener.neutralise(revealed.text)
        unknown = unknown_citations(output.cited(), judged.answer.passages)
        outcome = Outcome.UNCHANGED if text == output.answer else Outcome.CHANGED
        details = {
            "removed": dict(redacted.removed),
            "revealed": dict(revealed.revealed),
            "flags": list(flags),
            "unknown_citations": len(unknown),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        return InspectedOutput(
            inspection_id=self._recorded(subject, output, judged, outcome, details),
            outcome=outcome,
            text=text,
            removed=redacted.removed,
            revealed=revealed.revealed,
            flags=flags,
            unknown_citations=unknown,
            classification=judged.classification,
        )

    def _shown(
        self, subject: Subject, output: OutputToInspect, judged: _Judged
    ) -> tuple[RedactedText, RevealedText]:
        """What is found in it now is out before pseudonyms are turned back: their values are decided on by themselves."""
        disclosure = self._ports.disclosure
        found = self._ports.finder.find(output.answer)
        spans = beside_tokens(found, list(disclosure.tokens.found(output.answer)))
        redacted = self._ports.protection.redactor.redact(output.answer, spans, judged.revealed)
        reason = f"an inspected answer, receipt {output.receipt_id}"
        purpose = judged.answer.purpose
        return redacted, disclosure.reveal(subject, redacted.text, purpose=purpose, reason=reason)

    def _recorded(
        self,
        subject: Subject,
        output: OutputToInspect,
        judged: _Judged,
        outcome: Outcome,
        details: Mapping[str, object],
    ) -> str:
        known = {
            "receipt": output.receipt_id,
            "classification": judged.classification.name,
            "model": self._ports.protection.embedder.model_digest,
            "finder": self._ports.finder.version,
        }
        recorded = self._ports.recorder.record(
            EventType.OUTPUT_INSPECTED,
            subject,
            outcome.value,
            known | dict(details),
            durable=self._ports.protection.handling[judged.classification].durable_audit,
        )
        return recorded.event_id


class _Spent:
    """Receipts whose answer leaked: every later answer under them is withheld, so one guess a retrieval is all that can be
    tried. The youngest are kept, by this process."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def withholds(self, receipt_id: str, *, leaking: bool) -> bool:
        with self._lock:
            if leaking:
                self._ids[receipt_id] = None
                if len(self._ids) > _REMEMBERED:
                    self._ids.popitem(last=False)
            return leaking or receipt_id in self._ids


def _join(
    passages: Sequence[ReceiptedPassage], records: Sequence[DocumentRecord | None]
) -> Classification:
    """The highest of what was given and of what it is by now."""
    levels = [passage.classification for passage in passages]
    levels += [record.label.classification for record in records if record is not None]
    return max(levels, default=Classification.PUBLIC)


def _revealed(records: Sequence[DocumentRecord | None], permit: Permit | None) -> frozenset[str]:
    """The types the subject may see in every one of them; none where one is gone or no longer theirs."""
    if not records or permit is None:
        return frozenset()
    return frozenset.intersection(
        *(
            permit.revealed_under(record.label_id)
            if record is not None
            and record.state is DocumentState.ACTIVE
            and permit.admits(record.label_id)
            else frozenset()
            for record in records
        )
    )


def _named(leaked: Sequence[FingerprintMatch]) -> list[dict[str, object]]:
    """For the steward: which chunks, under which label, and how much of them."""
    worst = sorted(leaked, key=lambda match: (-len(match.shared), match.chunk_id))
    return [
        {
            "document": match.document_id,
            "chunk": match.chunk_id,
            "label": match.label_id,
            "shared": len(match.shared),
        }
        for match in worst[:_NAMED]
    ]
