"""Other access labels for documents that are there: one, or all of a source folder, in force when the call returns.

    find         what the steward may know of; they must be permitted to relabel all of it, under both labels
    record       before it takes effect
    commit       every label at once; where a key is away the document is unreadable (`rewrap_pending`), never readable by mistake
    follow up    index payloads through the outbox; what was classified higher is encrypted and embedded anew

An access change or a lower classification wraps the same DEK for the new label; no text is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import (
    Chunk,
    DocumentRecord,
    DocumentState,
    KeyReference,
    LabelMove,
    Pending,
    PendingVersion,
    ScannedChunk,
    StagedVersion,
    StoredChunk,
    View,
)
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.findings import RELEASED, Screening, Span, Verdict
from ragward.domain.keys import Reading
from ragward.domain.labels import AccessLabel, Classification, LabelChange
from ragward.domain.review import (
    ReviewDecision,
    ReviewKind,
    ReviewState,
    needs_second_person,
)
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import Catalog, Clock, PolicyDecisionPoint
from ragward.protection import Protection, contents

MAX_DOCUMENTS: Final = 10_000
_PAGE: Final = 500
_RESUMED_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RelabellingPorts:
    """Everything a relabelling touches."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    protection: Protection
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock
    four_eyes: bool = True
    """Without it one person alone may lower RESTRICTED, and the log says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRelabelling:
    """What became, or with a dry run would become, of a folder."""

    documents: int
    changed: int
    raised: int
    """classified higher: encrypted and embedded anew"""
    rewrap_pending: int
    """in force, and unreadable until their key is there again"""
    classifications: tuple[tuple[str, str, int], ...]
    """(classification before, after, documents)"""


class Relabelling:
    """Relabels and releases documents, and finishes what was left to do."""

    def __init__(self, ports: RelabellingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)
        self._record = ports.recorder.record

    def relabel(
        self,
        subject: Subject,
        document_id: str,
        label: AccessLabel,
        reason: str,
        *,
        decided: ReviewDecision | None = None,
    ) -> DocumentRecord:
        """Gives a document another label. Needs the permission under the old label and under the new one, and a reason.

        `decided` is the review that this comes from, which saw to the second person. Raises `access.not_found`,
        `access.denied`, `review.second_person`, `label.invalid`, `request.invalid`, `review.closed`, and `catalog.exists` when
        it changed meanwhile.
        """
        record = self._known(subject, document_id)
        require_reason(reason)
        if label.tenant != record.tenant or label.corpus != record.corpus:
            raise InvalidRequestError("a relabelling keeps tenant and corpus", code="label.invalid")
        self._require(subject, [(record, label)])
        if decided is None:
            self._require_one_is_enough(subject, [(record, label)])
        self._apply(subject, [(record, label)], reason, decided)
        return self._ports.catalog.get_document(subject.tenant, document_id)

    def relabel_folder(
        self,
        subject: Subject,
        corpus: str,
        folder: str,
        change: LabelChange,
        reason: str,
        *,
        dry_run: bool = False,
    ) -> FolderRelabelling:
        """Changes the labels of all documents whose source lies below `folder`, at once or not at all.

        Of documents that the subject may not know of, nothing is changed or said. Raises as `relabel` does.
        """
        require_reason(reason)
        prefix = folder if folder.endswith("/") or not folder else f"{folder}/"
        records = self._below(subject, corpus, prefix)
        pairs = [(record, change.of(record.label)) for record in records]
        self._require(subject, pairs)
        self._require_one_is_enough(subject, pairs)
        pairs = [(record, label) for record, label in pairs if label != record.label]
        pending = 0 if dry_run or not pairs else self._apply(subject, pairs, reason)
        counts: dict[tuple[str, str], int] = {}
        for record, label in pairs:
            names = record.label.classification.name, label.classification.name
            counts[names] = counts.get(names, 0) + 1
        return FolderRelabelling(
            documents=len(records),
            changed=len(pairs),
            raised=sum(_raises(record, label) for record, label in pairs),
            rewrap_pending=pending,
            classifications=tuple((*names, count) for names, count in sorted(counts.items())),
        )

    def follow_source(
        self, subject: Subject, found: Sequence[tuple[DocumentRecord, AccessLabel, AccessLabel]]
    ) -> int:
        """Gives documents the labels that follow from what their source claims by now, all at once: (document, label, claim).

        No decision of a person: nothing is lowered, and questions stay open. Needs the same permissions and returns how many
        wait for their key. Raises as `relabel` does.
        """
        pairs = [(record, label) for record, label, _ in found]
        self._require(subject, pairs)
        if any(label.classification < record.label.classification for record, label in pairs):
            raise InvalidRequestError("a source lowers nothing", code="label.invalid")
        moves = []
        for record, label, claim in found:
            move = self._move(subject, record, label, "")
            note = f"source: {claim.classification.name}: access list read again"
            moves.append(replace(move, note=note, claimed=claim, by="", reclassifies=False))
        return self._carried_out(subject, pairs, moves, "access list of the source", None)

    def release(
        self,
        subject: Subject,
        document_id: str,
        reason: str,
        *,
        decided: ReviewDecision | None = None,
    ) -> int:
        """Lets a quarantined document be answered from. Returns the epoch."""
        record = self._known(subject, document_id)
        self._acts.require(subject, Action.DOCUMENT_RELABEL, record.label)
        require_reason(reason)
        if record.state is not DocumentState.QUARANTINED:
            raise ConflictError("only a quarantined document can be released")
        details = {"act": "release", "target": document_id, "reason": reason}
        self._record(EventType.ADMIN_ACT, subject, "permit", details, durable=True)
        note = f"steward: released: {reason}"
        released = replace(
            self._restaged(record, note, _as(subject), release=True),
            decided=decided or self._open_quarantine(subject, record, reason),
        )
        epoch = self._ports.catalog.commit_version(released)
        self._ports.index_sync.run()
        return epoch

    def resume(self) -> int:
        """Finishes relabellings that were left half done by a missing key or a killed process; returns how many.

        What still cannot be done is left for the next time.
        """
        done = 0
        for item in self._ports.catalog.pending_versions(limit=_RESUMED_AT_ONCE):
            try:
                done += self._resumed(item)
            except (UnavailableError, ConflictError, NotFoundError):
                continue  # not yet, or overtaken by somebody else's change
            except IntegrityError as damaged:
                details = {"code": damaged.code, "document": item.document_id}
                self._record(
                    EventType.INTEGRITY_FAILURE, None, "dropped", details, tenant=item.tenant
                )
        if done:
            self._ports.index_sync.run()
        return done

    # Finding. -------------------------------------------------------------------------------------------------------

    def _known(self, subject: Subject, document_id: str) -> DocumentRecord:
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        self._acts.noticed(subject, record, "relabel")
        if not self._acts.may_know(subject, record):
            raise self._acts.unknown(subject, record)
        return record

    def _below(self, subject: Subject, corpus: str, prefix: str) -> list[DocumentRecord]:
        found: list[DocumentRecord] = []
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
                if record.source.startswith(prefix) and knowable[kind]:
                    found.append(record)
            if len(found) > MAX_DOCUMENTS:
                raise InvalidRequestError(
                    f"a folder of more than {MAX_DOCUMENTS} documents is relabelled in parts"
                )
        return found

    def _require(
        self, subject: Subject, pairs: Sequence[tuple[DocumentRecord, AccessLabel]]
    ) -> None:
        for label in {label for record, after in pairs for label in (record.label, after)}:
            self._acts.require(subject, Action.DOCUMENT_RELABEL, label)

    def _require_one_is_enough(
        self, subject: Subject, pairs: Sequence[tuple[DocumentRecord, AccessLabel]]
    ) -> None:
        """Raises `review.second_person`, recorded, where RESTRICTED would be lowered."""
        lowers = any(
            needs_second_person(record.label.classification, label.classification)
            for record, label in pairs
        )
        if lowers and self._ports.four_eyes:
            error = DeniedError(code="review.second_person")
            raise self._acts.refused(subject, Action.DOCUMENT_RELABEL, error)

    def _open_quarantine(
        self, subject: Subject, record: DocumentRecord, reason: str
    ) -> ReviewDecision | None:
        """The question that a release answers, however it is asked for."""
        for item in self._ports.catalog.reviews(
            record.tenant,
            states=(ReviewState.OPEN,),
            kinds=(ReviewKind.QUARANTINE,),
            document_id=record.document_id,
            limit=1,
        ):
            return ReviewDecision(
                item_id=item.item_id,
                state=ReviewState.ACCEPTED,
                decided_by=subject.principal,
                reason=reason,
                level=record.label.classification,
            )
        return None

    # Applying. ------------------------------------------------------------------------------------------------------

    def _apply(
        self,
        subject: Subject,
        pairs: Sequence[tuple[DocumentRecord, AccessLabel]],
        reason: str,
        decided: ReviewDecision | None = None,
    ) -> int:
        """Records, commits, follows up; returns how many wait for their key."""
        moves = [
            replace(self._move(subject, record, label, reason), decided=decided)
            for record, label in pairs
        ]
        return self._carried_out(subject, pairs, moves, reason, decided)

    def _carried_out(
        self,
        subject: Subject,
        pairs: Sequence[tuple[DocumentRecord, AccessLabel]],
        moves: Sequence[LabelMove],
        reason: str,
        decided: ReviewDecision | None,
    ) -> int:
        last = len(pairs) - 1
        for position, (record, label) in enumerate(pairs):
            details = {
                "document": record.document_id,
                "from": record.label.digest().hex(),
                "to": label.digest().hex(),
                "classification": [record.label.classification.name, label.classification.name],
                "reason": reason,
                "review": decided.item_id if decided else None,
            }
            self._record(
                EventType.DOCUMENT_RELABELLED,
                subject,
                "permit",
                details,
                durable=position == last,  # what is on disk then includes all before it
            )
        self._ports.catalog.relabel(subject.tenant, moves)
        for move in moves:
            if move.pending is Pending.REENCRYPT:
                try:
                    self._reencrypt(subject.tenant, move.document_id, _as(subject))
                except (ConflictError, NotFoundError, UnavailableError):
                    continue  # the label is in force; `resume` does it when the key is back, or rotated
        self._ports.index_sync.run()
        return sum(move.pending is Pending.REWRAP for move in moves)

    def _move(
        self, subject: Subject, record: DocumentRecord, label: AccessLabel, reason: str
    ) -> LabelMove:
        key, pending = record.key, Pending.REWRAP
        if label == record.label:
            pending = record.pending  # only what the source claims is another
        elif record.pending is not Pending.REWRAP:
            try:
                key = self._rewrapped(record, record.label, label, _as(subject))
                again = record.pending is Pending.REENCRYPT or _raises(record, label)
                pending = Pending.REENCRYPT if again else Pending.NOTHING
            except (UnavailableError, NotFoundError):
                pass  # the label is in force at once all the same, and the text unreadable until the key is back
        return LabelMove(
            document_id=record.document_id,
            version=record.version,
            expected_label_id=record.label_id,
            label=label,
            key=key,
            note=f"steward: {label.classification.name}: {reason}",
            pending=pending,
            by=subject.principal,
            reclassifies=label.classification is not record.label.classification,
        )

    def _rewrapped(
        self,
        version: DocumentRecord | PendingVersion,
        bound: AccessLabel,
        label: AccessLabel,
        reading: Reading | None,
    ) -> KeyReference:
        """The same DEK under the new label."""
        return self._ports.protection.rewrap(
            version.key,
            version.document_id,
            version.version,
            bound=bound,
            label=label,
            reading=reading,
        )

    def _resumed(self, item: PendingVersion) -> bool:
        if item.pending is Pending.REWRAP:
            key = self._rewrapped(item, item.bound_label, item.label, None)
            raised = item.label.classification > item.bound_label.classification
            then = Pending.REENCRYPT if raised else Pending.NOTHING
            if not self._ports.catalog.finish_rewrap(item, key, then):
                return False
        self._reencrypt(item.tenant, item.document_id, None)
        return True

    def _reencrypt(self, tenant: str, document_id: str, reading: Reading | None) -> None:
        """New DEK, ciphertext and vectors for a document that was classified higher; the old ones go with the old version."""
        record = self._ports.catalog.get_document(tenant, document_id)
        if record.pending is Pending.REENCRYPT:
            note = f"encrypted anew as {record.label.classification.name}"
            self._ports.catalog.commit_version(self._restaged(record, note, reading))

    def _restaged(
        self, record: DocumentRecord, note: str, reading: Reading | None, *, release: bool = False
    ) -> StagedVersion:
        """The same texts and findings as a new version under a new DEK."""
        protection, label = self._ports.protection, record.label
        points = self._ports.catalog.document_chunks(record.tenant, record.document_id)
        stored = [point for point in points if point.view is View.FULL]
        opened = contents(protection.opened(stored, reading))
        chunks = [
            _rescanned(point, content.text, content.spans, release)
            for point, content in zip(stored, opened, strict=True)
        ]
        encryption = protection.new_version(record.document_id, record.version + 1, label)
        return StagedVersion(
            document_id=record.document_id,
            version=record.version + 1,
            tenant=record.tenant,
            corpus=record.corpus,
            source=record.source,
            source_digest=record.source_digest,
            state=DocumentState.ACTIVE if release else record.state,
            title=record.title if label.classification <= Classification.INTERNAL else "",
            media_type=record.media_type,
            label=label,
            claimed=record.claimed,
            replaces_label_id=record.label_id,
            dek_id=encryption.key.dek_id,
            kek_id=encryption.key.kek_id,
            kek_version=encryption.key.kek_version,
            wrapped_dek=encryption.key.wrapped_dek,
            attributes=record.attributes,
            evidence=(*record.evidence, note),
            model_digest=protection.embedder.model_digest,
            job_id=None,
            chunks=encryption.staged_chunks(chunks, opened[0].detector_version),
            finder=opened[0].detector_version,
        )


def _as(steward: Subject) -> Reading:
    return Reading(subject=steward, action=Action.DOCUMENT_RELABEL)


def _raises(record: DocumentRecord, label: AccessLabel) -> bool:
    return label.classification > record.label.classification


def _rescanned(
    stored: StoredChunk, text: str, spans: tuple[Span, ...], release: bool
) -> ScannedChunk:
    verdict = Verdict(stored.verdict)
    rules = stored.rules
    if release and verdict is Verdict.QUARANTINE:
        verdict = Verdict.FLAG  # a person read it; it stays marked
        rules = (*dict.fromkeys((*rules, RELEASED)),)
    chunk = Chunk(ordinal=stored.ordinal, start=0, end=len(text), text=text)
    screening = Screening(verdict=verdict, rules=rules, rule_set=stored.rule_set)
    return ScannedChunk(chunk=chunk, spans=spans, screening=screening)
