"""READ SECOND. The ingest flow: from a source's bytes to labelled, scanned, encrypted, indexed chunks.

    source            -> text               a loader in another process; hidden text kept apart
    text              -> Chunks             token-bounded, exact offsets
    Chunks            -> Findings           personal data, injection, hidden text
    Findings + rules  -> label              join(source label, steward's rules, findings, what it had): machine raises,
                                            person lowers
    label             -> permission         may this subject put this under that label?
    Chunks            -> vectors            one view, or two where there is something to hide
    Chunks            -> ciphertext         a new DEK per version, wrapped for the label
    catalog first, index second             the commit is the truth; the outbox brings the index up to date

A document is complete or absent: nothing of it shows before `commit_version`, and what a killed process left is swept when the next one opens.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from urllib.parse import quote

from ragward.acts import Acts
from ragward.defences import Defences
from ragward.domain.access import Action, Subject
from ragward.domain.analysis import Analysed
from ragward.domain.audit import EventType
from ragward.domain.classification import Example
from ragward.domain.corpus import (
    ArchiveMember,
    DocumentRecord,
    DocumentState,
    SourceDocument,
    StagedVersion,
)
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidRequestError,
    RequestRefusedError,
)
from ragward.domain.jobs import ItemOutcome, ItemResult, JobItem, JobRecord, SourceRequest
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.lineage import Origin
from ragward.domain.presence import Listing
from ragward.domain.reading import ReadSource, content_sha256, source_digest
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.labelling import Labelled, Labelling, Opinion
from ragward.ports import (
    Analyser,
    Catalog,
    Clock,
    PolicyDecisionPoint,
    TextExtractor,
)
from ragward.presence import Presence
from ragward.protection import Protection
from ragward.reading_ahead import ReadAhead
from ragward.running import More, Progress, never, nobody_looks, run_job
from ragward.standing import StandingHolds

#: A sensitivity label of Microsoft Purview in a file: its id, and what is said of it.
_MSIP_LABEL: Final = re.compile(r"MSIP_Label_[0-9A-Fa-f-]{36}_[A-Za-z]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionPorts:
    """Everything the ingest flow talks to."""

    extractor: TextExtractor
    analyser: Analyser
    labelling: Labelling
    pdp: PolicyDecisionPoint
    catalog: Catalog
    standing: StandingHolds
    defences: Defences
    protection: Protection
    index_sync: IndexSync
    presence: Presence
    read_ahead: ReadAhead
    recorder: Recorder
    clock: Clock


class Ingestion:
    """Puts documents in. One writer at a time per document; safe to run again after any interruption."""

    def __init__(self, ports: IngestionPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def begin(
        self, subject: Subject, items: Sequence[JobItem], source: SourceRequest | None = None
    ) -> JobRecord:
        """A new job, not started. Raises `source.many_gone`."""
        if source is not None:
            self._ports.presence.require_plausible(subject, source, items)
        return self._ports.catalog.create_job(
            subject.tenant, subject.principal, len(items), request=source
        )

    def run_job(
        self,
        subject: Subject,
        items: Sequence[JobItem],
        *,
        job: JobRecord | None = None,
        source: SourceRequest | None = None,
        progress: Progress = nobody_looks,
        is_canceled: Callable[[], bool] = never,
    ) -> JobRecord:
        """Ingests every item, as `running.run_job` does; then looks for what `source` no longer has. Raises `source.many_gone`."""
        job = job or self.begin(subject, items, source)
        outcomes = self._outcomes(subject, job.job_id, items, source)
        catalog = self._ports.catalog
        return run_job(catalog, job, outcomes, progress=progress, is_canceled=is_canceled)

    def _outcomes(
        self,
        subject: Subject,
        job_id: str,
        items: Sequence[JobItem],
        source: SourceRequest | None,
    ) -> Iterator[ItemResult | More]:
        listing = Listing(items)
        for item in self._ports.read_ahead.over(subject, items):
            documents = self._documents(subject, item)
            if len(documents) > 1:
                yield More(len(documents) - 1)
            for document in documents:
                result = self._ingest_item(subject, document, job_id)
                listing.add(document, result)
                yield result
        self._ports.index_sync.run()
        if source is not None:
            for result in self._ports.presence.followed(subject, source, listing):
                yield More(1)
                yield result

    def ingest(
        self, subject: Subject, source: SourceDocument, *, job_id: str | None = None
    ) -> ItemResult:
        """Ingests one document. Raises `document.*`, `access.denied`, `label.*` and every `UnavailableError`.

        Who may not know of the document that has the source is told what they would be told if it were new.
        """
        require_bounded(source)
        self._ports.defences.require_signed(source)
        digest = self._source_digest(source)
        before = self._ports.catalog.find_document(
            subject.tenant, source.label.corpus, source.source
        )
        known = before is not None and self._acts.may_know(subject, before)
        same = (
            before is not None
            and before.source_digest == digest
            and before.claimed == source.label
            and before.state is not DocumentState.DELETED
            and (known or before.gone_since is None)  # what is held back has to come back
        )
        if before and known and same:
            self._require_permission(subject, before.label)
            self._ports.presence.returned(subject, before)
            return _unchanged(source, before)
        if isinstance(source, ReadSource) and source.read.analysed is None:
            return self.ingest(subject, source.again(), job_id=job_id)
        analysed = self._analysed(source)
        opinion = self._ports.labelling.opinion(source, analysed)
        labelled = self._labelled(source, opinion, analysed, before)
        label = labelled.label
        told = label if known else Labelling.label(source.label, opinion).label
        needed = [told, label]
        if before is not None and before.state is not DocumentState.DELETED:
            needed.append(before.label)  # it is theirs to replace
        for each in needed:
            self._require_permission(subject, each)
        make = partial(self._staged, source, before, analysed, labelled, digest, job_id)
        if same:
            staged = make()
        else:
            meet = partial(
                self._ports.standing.meet, subject, source=source, scanned=analysed.chunks
            )
            staged = self._committed(subject, make, analysed.counts, meet)
        result = _result(source, staged, told, analysed.counts, updated=known)
        judged = opinion.judgement
        return result if judged is None else replace(result, confidence=judged.confidence)

    def assess(self, subject: Subject, source: SourceDocument) -> Labelled:
        """What a new document would be labelled as, and why; nothing is stored. The subject must be permitted to ingest under
        the label that it claims. Raises as `ingest` does."""
        require_bounded(source)
        self._acts.require(subject, Action.DOCUMENT_INGEST, source.label)
        analysed = self._analysed(source)
        return self._labelled(source, self._ports.labelling.opinion(source, analysed), analysed)

    def example(self, subject: Subject, source: SourceDocument) -> Example:
        """What a document teaches a classifier whose claimed classification somebody vouches for; nothing is stored.

        Raises as `assess`."""
        require_bounded(source)
        self._acts.require(subject, Action.DOCUMENT_INGEST, source.label)
        return Example(
            group=f"{source.label.corpus}:{source.source.rpartition('/')[0]}",
            level=source.label.classification,
            vectors=self._analysed(source).full_vectors,
        )

    def _committed(
        self,
        subject: Subject,
        make: Callable[[], StagedVersion],
        counts: Mapping[str, int],
        meet: Callable[[str], None],
    ) -> StagedVersion:
        """Recorded, stored and indexed; made once more where its KEK was rotated away, or another generation of vectors begun,
        meanwhile."""
        try:
            staged = self._stored(subject, make(), counts, meet)
        except ConflictError as error:
            if error.code not in ("key.state", "config.generation"):
                raise
            staged = self._stored(subject, make(), counts, meet)
        self._ports.index_sync.run()
        return staged

    def _stored(
        self,
        subject: Subject,
        staged: StagedVersion,
        counts: Mapping[str, int],
        meet: Callable[[str], None],
    ) -> StagedVersion:
        staged = self._ports.defences.judged(subject, staged)
        meet(staged.document_id)
        self._record(subject, staged, counts)
        self._ports.catalog.commit_version(staged)
        return staged

    # The flow. ------------------------------------------------------------------------------------------------------

    def _documents(self, subject: Subject, item: JobItem) -> Sequence[JobItem]:
        """What an item stands for: itself, or an archive's members, each under the archive's label."""
        extractor = self._ports.extractor
        if not extractor.is_archive(item.source):
            return (item,)
        try:
            archive = item.load()
            members = extractor.members(archive.filename, archive.data, tenant=subject.tenant)
        except (RequestRefusedError, IntegrityError) as error:
            return (replace(item, load=partial(_refuse, error)),)
        return [_of_archive(archive, member) for member in members]

    def _ingest_item(self, subject: Subject, item: JobItem, job_id: str) -> ItemResult:
        try:
            return self.ingest(subject, item.load(), job_id=job_id)
        except (RequestRefusedError, IntegrityError) as error:
            details = {
                "source_sha256": hashlib.sha256(item.source.encode()).hexdigest(),
                "code": error.code,
            }
            self._ports.recorder.record(EventType.INGEST_REFUSED, subject, "refused", details)
            return ItemResult(
                source=item.source,
                outcome=ItemOutcome.FAILED,
                code=error.code,
                detail=error.detail,
            )

    def _source_digest(self, source: SourceDocument) -> bytes:
        """What "the same document" means: bytes, attributes, and everything that shapes the result; but for the claimed label,
        which may change without them."""
        shape = self._ports.read_ahead.shape(source.attributes)
        return source_digest(content_sha256(source), shape)

    def _analysed(self, source: SourceDocument) -> Analysed:
        if isinstance(source, ReadSource) and source.read.analysed is not None:
            return source.read.analysed
        return self._ports.analyser.analyse(
            source.filename, source.data, tenant=source.label.tenant
        )

    def _labelled(
        self,
        source: SourceDocument,
        opinion: Opinion,
        analysed: Analysed,
        before: DocumentRecord | None = None,
    ) -> Labelled:
        """The label, and with the evidence for it what else was noticed."""
        extracted = analysed.extracted
        labelled = self._ports.labelling.label(source.label, opinion, before)
        lines = list(labelled.evidence)
        if source.notes:
            lines.append(f"source access: {len(source.notes)} remarks in the job")
        if extracted.loader:
            lines.append(f"loader: {extracted.loader}")
        lines += [f"file property: {name}" for name in _labelling(extracted.properties)]
        if extracted.hidden:
            lines.append(f"hidden text: {len(extracted.hidden)} pieces left out")
        rules = sorted({rule for item in analysed.chunks for rule in item.screening.rules})
        if rules:
            lines.append(f"injection: {', '.join(rules)}")
        lines += [f"warning: {warning}" for warning in extracted.warnings[:20]]
        lines += [f"found: {name} x{count}" for name, count in sorted(analysed.counts.items())]
        return replace(labelled, evidence=tuple(lines))

    def _require_permission(self, subject: Subject, label: AccessLabel) -> None:
        if not self._acts.may(subject, Action.DOCUMENT_INGEST, label):
            raise DeniedError

    def _staged(
        self,
        source: SourceDocument,
        before: DocumentRecord | None,
        analysed: Analysed,
        labelled: Labelled,
        digest: bytes,
        job_id: str | None,
    ) -> StagedVersion:
        """The whole version, encrypted, in memory."""
        ports, label = self._ports, labelled.label
        document_id = before.document_id if before else str(uuid.uuid4())
        version = before.version + 1 if before else 1
        encryption = ports.protection.new_version(document_id, version, label)
        return StagedVersion(
            document_id=document_id,
            version=version,
            tenant=label.tenant,
            corpus=label.corpus,
            source=source.source,
            source_digest=digest,
            state=DocumentState.QUARANTINED if analysed.suspicious else DocumentState.ACTIVE,
            # In clear: above INTERNAL it says nothing at all.
            title=analysed.title if label.classification <= Classification.INTERNAL else "",
            media_type=analysed.extracted.media_type,
            label=label,
            claimed=source.label,
            replaces_label_id=before.label_id if before else None,
            dek_id=encryption.key.dek_id,
            kek_id=encryption.key.kek_id,
            kek_version=encryption.key.kek_version,
            wrapped_dek=encryption.key.wrapped_dek,
            attributes=dict(source.attributes),
            evidence=labelled.evidence,
            doubts=labelled.doubts,
            model_digest=analysed.model_digest,
            job_id=job_id,
            chunks=encryption.staged_chunks(
                analysed.chunks,
                analysed.detector,
                kept={analysed.model_digest: analysed.vectors},
            ),
            origin=self._origin(source, analysed),
            finder=analysed.detector,
        )

    def _origin(self, source: SourceDocument, analysed: Analysed) -> Origin:
        rules, classifier = self._ports.labelling.versions(source.label.tenant)
        return Origin(
            uri=source.uri,
            bytes_sha256=content_sha256(source).hex(),
            loader=analysed.extracted.loader,
            chunker=analysed.chunker,
            rules=rules,
            classifier=classifier,
        )

    def _record(self, subject: Subject, staged: StagedVersion, counts: Mapping[str, int]) -> None:
        """Before the commit: what cannot be recorded does not happen."""
        details = {
            "document": staged.document_id,
            "version": staged.version,
            "corpus": staged.corpus,
            "classification": staged.label.classification.name,
            "state": staged.state.value,
            "chunks": len(staged.chunks),
            "found": dict(counts),
            "model": staged.model_digest,
            "key": f"{staged.kek_id}/{staged.kek_version}",
            "toolchains": [digest.hex() for digest in staged.toolchains()],
        }
        self._ports.recorder.record(EventType.DOCUMENT_INGESTED, subject, "permit", details)


# Pure steps. --------------------------------------------------------------------------------------------------------


def _of_archive(archive: SourceDocument, member: ArchiveMember) -> JobItem:
    """A member as a document of its own. The archive's name and the path in it are joined as in `jar:` URLs."""
    name = f"{archive.source}!/{member.path}"
    if member.code is not None:
        refused = partial(_refuse, InvalidRequestError(code=member.code))
        return JobItem(source=name, load=refused, corpus=archive.label.corpus)
    filename = member.path.rpartition("/")[2]
    uri = f"{archive.uri}!/{quote(member.path)}" if archive.uri else ""
    document = replace(archive, source=name, filename=filename, data=member.data, uri=uri)
    return JobItem(source=name, load=lambda: document, corpus=archive.label.corpus)


def _refuse(error: Exception) -> SourceDocument:
    raise error


def _labelling(properties: Mapping[str, str]) -> list[str]:
    """The file properties that are somebody's label, by name; what they say is left to the rules."""
    return [name for name in sorted(properties) if _MSIP_LABEL.fullmatch(name)]


def require_bounded(source: SourceDocument) -> None:
    """Raises `request.invalid` for a source name or attributes out of bounds."""
    if not 1 <= len(source.source) <= 1024 or not source.source.isprintable():
        raise InvalidRequestError("a source name has 1 to 1024 printable characters")
    if len(source.attributes) > 16:
        raise InvalidRequestError("a document has at most 16 attributes")
    attributes: Mapping[str, object] = source.attributes  # typed only as far as JSON was
    for key, value in attributes.items():
        if not 1 <= len(key) <= 64 or key.startswith("rw_"):
            raise InvalidRequestError(
                "attribute names have 1 to 64 characters and do not begin with rw_"
            )
        if len(str(value)) > 512:
            raise InvalidRequestError("attribute values have at most 512 characters")


def _unchanged(source: SourceDocument, before: DocumentRecord) -> ItemResult:
    return ItemResult(
        source=source.source,
        outcome=ItemOutcome.UNCHANGED,
        detail="; ".join(source.notes),
        document_id=before.document_id,
        classification=before.label.classification.name,
        chunks=before.chunk_count,
    )


def _result(
    source: SourceDocument,
    staged: StagedVersion,
    told: AccessLabel,
    counts: Mapping[str, int],
    *,
    updated: bool,
) -> ItemResult:
    quarantined = staged.state is DocumentState.QUARANTINED
    outcome = ItemOutcome.UPDATED if updated else ItemOutcome.INGESTED
    return ItemResult(
        source=source.source,
        outcome=ItemOutcome.QUARANTINED if quarantined else outcome,
        document_id=staged.document_id,
        classification=told.classification.name,
        chunks=len(staged.chunks),
        entity_counts=dict(counts),
        code="document.quarantined" if quarantined else None,
        detail="; ".join(source.notes),
    )
