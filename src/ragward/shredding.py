"""Crypto-shredding: a document, a source folder, a person's documents or a tenant, with a receipt.

    find        what the steward may know of; they must be permitted to delete all of it
    record      before it takes effect, with the receipt's digest
    keys        wrapped DEKs go first: from here on nothing opens; the epoch moves
    contents    texts, vectors, points, names, fingerprints, counts in jobs
    files       freed pages overwritten, WAL cut, index vacuumed
    receipt     "logical"; "backup-proof" once every KEK version that ever wrapped one of the DEKs is destroyed and
                nothing lay in clear, or the operator has stated that such copies are gone

What was killed half-way is finished by the next one: the receipt names what was to go before anything went.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.envelope import KeyPurpose
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.handling import Handling
from ragward.domain.keys import KEKState, KEKStatus
from ragward.domain.labels import Classification, administrative
from ragward.domain.shredding import (
    Copies,
    ShredEvidence,
    ShredKind,
    ShredReceipt,
    ShredRequest,
    Statement,
    is_about,
    of_kek,
    require_subject,
)
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import (
    AuditLog,
    Catalog,
    Clock,
    KeyLedger,
    Keyring,
    PolicyDecisionPoint,
)
from ragward.rotation import Rotation

MAX_DOCUMENTS: Final = 10_000
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ShreddingPorts:
    """Everything a shredding touches. `indexed_in_clear`: the classifications whose vectors lie in the index as they are."""

    catalog: Catalog
    ledger: KeyLedger
    keyring: Keyring
    rotation: Rotation
    index_sync: IndexSync
    pdp: PolicyDecisionPoint
    recorder: Recorder
    audit: AuditLog
    clock: Clock
    handling: Handling
    indexed_in_clear: AbstractSet[Classification]


class Shredding:
    """Shreds, and says what that is worth."""

    def __init__(self, ports: ShreddingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def shred(self, subject: Subject, request: ShredRequest) -> ShredReceipt:
        """What was shredded or, in a dry run, would be. Raises `access.not_found`, `access.denied`, `request.invalid`,
        `principal.invalid`."""
        require_reason(request.reason)
        documents = self._found(subject, request)
        receipt = ShredReceipt(
            receipt_id=str(uuid.uuid4()),
            tenant=subject.tenant,
            kind=request.kind,
            target=request.target,
            reason=request.reason,
            requested_by=subject.principal,
            at=self._ports.clock.now(),
            documents=tuple(documents),
            counts=self._ports.ledger.traces(subject.tenant, documents).counts,
            everything=request.kind in (ShredKind.DOCUMENT, ShredKind.TENANT),
        )
        if request.dry_run:
            return receipt
        receipt = self._recorded(subject, receipt)
        self._ports.ledger.save_receipt(receipt)
        return self._carried_out(receipt, subject)

    def shredded(self, subject: Subject, request: ShredRequest) -> ShredEvidence:
        """`shred`, with what holds of its receipt."""
        return self._evidence(self.shred(subject, request))

    def show(self, subject: Subject, receipt_id: str) -> ShredEvidence:
        """A receipt, checked against the log, the catalog and the keyring as they are. Raises `access.not_found`."""
        return self._evidence(self._readable(subject, receipt_id))

    def receipts(self, subject: Subject, *, limit: int = 100) -> list[ShredEvidence]:
        """The tenant's, newest first."""
        self._acts.require_on_tenant(subject, Action.KEY_ROTATE)
        found = self._ports.ledger.receipts(subject.tenant, limit=limit)
        return [self._evidence(receipt) for receipt in found]

    def finish(
        self,
        subject: Subject,
        receipt_id: str,
        reason: str,
        gone: Sequence[Copies] = (),
        *,
        roll: bool = True,
    ) -> ShredEvidence:
        """Rolls the KEKs that had wrapped what was shredded, destroys the versions from before as far as it may by now, and
        takes down what the operator states. Again is fine: after the time that destroying has to wait.

        Raises `access.not_found`, `access.denied`, `request.invalid`, `unavailable.keys`.
        """
        receipt = self._readable(subject, receipt_id)
        require_reason(reason)
        for level in {kek.classification for kek in receipt.keks} or set(Classification):
            self._acts.require(subject, Action.KEY_ROTATE, administrative(subject.tenant, level))
        if not receipt.done:
            receipt = self._carried_out(receipt, subject)
        if gone:
            receipt = self._stated(subject, receipt, gone, reason)
        if roll:
            self._roll(subject, receipt, reason)
        evidence = self._evidence(receipt)
        details = {
            "act": "finish",
            "receipt": receipt_id,
            "level": evidence.level.value,
            "obstacles": [obstacle.value for obstacle in evidence.obstacles],
        }
        self._ports.recorder.record(
            EventType.CONTENT_SHREDDED, subject, "permit", details, durable=True
        )
        return evidence

    def resume(self) -> int:
        """Carries out what was recorded and not finished; returns how many. A tenant's needs whoever may destroy its keys."""
        done = 0
        for receipt in self._ports.ledger.unfinished_receipts():
            if receipt.kind is not ShredKind.TENANT:
                self._carried_out(receipt, None)
                done += 1
        return done

    # Finding. -------------------------------------------------------------------------------------------------------

    def _found(self, subject: Subject, request: ShredRequest) -> list[str]:
        if request.kind is ShredKind.TENANT:
            if request.target != subject.tenant:
                raise NotFoundError
            for level in Classification:
                label = administrative(subject.tenant, level)
                self._acts.require(subject, Action.DOCUMENT_DELETE, label)
                self._acts.require(subject, Action.KEY_ROTATE, label)
            return list(self._ports.ledger.all_documents(subject.tenant))
        if request.kind is ShredKind.DOCUMENT:
            records = [self._ports.catalog.get_document(subject.tenant, request.target)]
        elif request.kind is ShredKind.SOURCE:
            records = self._below(subject, request.target)
        else:
            principal = require_subject(request.target, subject.tenant)
            records = [
                record
                for record in self._known(subject, None)
                if is_about(principal, record.label.granted, record.attributes)
            ]
        records = [record for record in records if self._acts.may_know(subject, record)]
        if not records:
            raise NotFoundError
        if len(records) > MAX_DOCUMENTS:
            raise InvalidRequestError(f"at most {MAX_DOCUMENTS} documents at once")
        for label in {record.label for record in records}:
            self._acts.require(subject, Action.DOCUMENT_DELETE, label)
        return [record.document_id for record in records]

    def _below(self, subject: Subject, target: str) -> list[DocumentRecord]:
        corpus, colon, folder = target.partition(":")
        if not colon or (folder and not folder.endswith("/")):
            raise InvalidRequestError("a source is CORPUS:FOLDER/, or CORPUS: for all of it")
        known = self._known(subject, corpus)
        return [record for record in known if record.source.startswith(folder)]

    def _known(self, subject: Subject, corpus: str | None) -> Iterator[DocumentRecord]:
        knowable: dict[tuple[int, DocumentState], bool] = {}
        after: tuple[str, str] | None = None
        while page := self._ports.catalog.documents(
            subject.tenant, corpus=corpus, limit=_PAGE, after=after
        ):
            after = (page[-1].corpus, page[-1].source)
            for record in page:
                kind = (record.label_id, record.state)
                if kind not in knowable:
                    knowable[kind] = self._acts.may_know(subject, record)
                if knowable[kind]:
                    yield record

    def _readable(self, subject: Subject, receipt_id: str) -> ShredReceipt:
        """Receipts name people: they are for who asked for them, and who may destroy keys."""
        receipt = self._ports.ledger.receipt(subject.tenant, receipt_id)
        if receipt.requested_by != subject.principal and not self._acts.may(
            subject, Action.KEY_ROTATE, administrative(subject.tenant)
        ):
            raise NotFoundError
        return receipt

    # Carrying out. --------------------------------------------------------------------------------------------------

    def _recorded(self, subject: Subject | None, receipt: ShredReceipt) -> ShredReceipt:
        details = {
            "act": "end" if receipt.done else "begin",
            "receipt": receipt.receipt_id,
            "digest": receipt.digest(),
            "kind": receipt.kind.value,
            "documents": len(receipt.documents),
            "counts": dict(receipt.counts),
            "requested_by": receipt.requested_by,
        }
        recorded = self._ports.recorder.record(
            EventType.CONTENT_SHREDDED,
            subject,
            "permit",
            details,
            tenant=receipt.tenant,
            durable=True,
        )
        return dataclasses.replace(receipt, event_id=recorded.event_id)

    def _carried_out(self, receipt: ShredReceipt, subject: Subject | None) -> ShredReceipt:
        ports, tenant = self._ports, receipt.tenant
        documents: Sequence[str] = receipt.documents
        traces = ports.ledger.traces(tenant, documents)
        if receipt.kind is ShredKind.TENANT:
            ports.ledger.close_tenant_keys(tenant)
            documents = tuple({*documents, *ports.ledger.all_documents(tenant)})
            traces = dataclasses.replace(traces, complete=False)  # all of them
        ports.ledger.shred(tenant, documents)
        # Only now: a rotation may have moved a key until it was gone.
        versions = [
            status
            for status in ports.keyring.status()
            if status.tenant == tenant
            and status.state is not KEKState.PENDING
            and (status.kek_id in traces.kek_ids or not traces.complete)
            and (status.purpose is KeyPurpose.CONTENT or receipt.kind is ShredKind.TENANT)
        ]
        if receipt.kind is ShredKind.TENANT:
            if subject is None:
                raise UnavailableError("a person has to finish this", code="unavailable.keys")
            ports.rotation.destroy_all(subject, receipt.reason)
        ports.index_sync.vacuum()
        ports.ledger.scrub()
        levels = traces.classifications | {status.classification for status in versions}
        ended = dataclasses.replace(
            receipt,
            documents=tuple(sorted(documents)),
            done=True,
            keks=tuple(
                of_kek(status) for status in versions if status.state is not KEKState.DESTROYED
            ),
            plain_text=any(not ports.handling[level].encrypt for level in levels),
            plain_vectors=bool(levels & ports.indexed_in_clear),
        )
        ended = self._recorded(subject, ended)
        ports.ledger.save_receipt(ended)
        return ended

    def _stated(
        self, subject: Subject, receipt: ShredReceipt, gone: Sequence[Copies], reason: str
    ) -> ShredReceipt:
        now = self._ports.clock.now()
        made = tuple(
            Statement(gone=copies, by=subject.principal, at=now, reason=reason)
            for copies in dict.fromkeys(gone)
        )
        details = {
            "act": "state",
            "receipt": receipt.receipt_id,
            "gone": [statement.gone.value for statement in made],
            "reason": reason,
        }
        self._ports.recorder.record(
            EventType.CONTENT_SHREDDED, subject, "permit", details, durable=True
        )
        receipt = dataclasses.replace(receipt, statements=(*receipt.statements, *made))
        self._ports.ledger.save_receipt(receipt)
        return receipt

    def _roll(self, subject: Subject, receipt: ShredReceipt, reason: str) -> None:
        named = {(kek.kek_id, kek.version) for kek in receipt.keks}
        for status in self._named(named):
            if status.state is KEKState.ACTIVE:
                self._ports.rotation.rotate(subject, status.classification)
                if (status.kek_id, status.version) in self._active():  # an earlier one was finished
                    self._ports.rotation.rotate(subject, status.classification)
        for status in self._named(named):
            if status.state is KEKState.DECRYPT_ONLY:
                try:
                    self._ports.rotation.destroy(subject, status.kek_id, status.version, reason)
                except ConflictError:
                    continue  # not yet, and the receipt says so

    def _named(self, versions: AbstractSet[tuple[str, int]]) -> list[KEKStatus]:
        found = self._ports.keyring.status()
        return [status for status in found if (status.kek_id, status.version) in versions]

    def _active(self) -> set[tuple[str, int]]:
        found = self._ports.keyring.status()
        return {(s.kek_id, s.version) for s in found if s.state is KEKState.ACTIVE}

    def _evidence(self, receipt: ShredReceipt) -> ShredEvidence:
        statuses = self._ports.keyring.status()
        entry = self._ports.audit.find(receipt.event_id)
        event = json.loads(entry.data) if entry is not None else {}
        details = event.get("details", {})
        recorded = (
            event.get("tenant") == receipt.tenant
            and event.get("type") == EventType.CONTENT_SHREDDED.value
            and details.get("digest") == receipt.digest()
        )
        left = self._ports.ledger.keys_left(receipt.tenant, receipt.documents)
        return ShredEvidence(
            receipt=receipt,
            level=receipt.level(statuses),
            obstacles=receipt.obstacles(statuses),
            recorded=recorded,
            keys_gone=left == 0,
        )
