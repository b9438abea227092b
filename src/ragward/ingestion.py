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

import dataclasses
import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.classification import Example
from ragward.domain.corpus import (
    ArchiveMember,
    Chunk,
    DocumentRecord,
    DocumentState,
    ExtractedText,
    ScannedChunk,
    SourceDocument,
    StagedVersion,
    Vector,
)
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidRequestError,
    RequestRefusedError,
)
from ragward.domain.findings import Span, Verdict
from ragward.domain.jobs import ItemOutcome, ItemResult, JobItem, JobRecord, JobState
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.lineage import Origin
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.labelling import Labelled, Labelling, Opinion
from ragward.ports import (
    Catalog,
    Chunker,
    Clock,
    Finder,
    PolicyDecisionPoint,
    Screener,
    TextExtractor,
)
from ragward.protection import Protection

MAX_CHUNKS: Final = 5_000
#: A sensitivity label of Microsoft Purview in a file: its id, and what is said of it.
_MSIP_LABEL: Final = re.compile(r"MSIP_Label_[0-9A-Fa-f-]{36}_[A-Za-z]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionPorts:
    """Everything the ingest flow talks to."""

    extractor: TextExtractor
    chunker: Chunker
    finder: Finder
    screener: Screener
    labelling: Labelling
    pdp: PolicyDecisionPoint
    catalog: Catalog
    protection: Protection
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock


Progress = Callable[[JobRecord, ItemResult], None]


class Ingestion:
    """Puts documents in. One writer at a time per document; safe to run again after any interruption."""

    def __init__(self, ports: IngestionPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def run_job(
        self,
        subject: Subject,
        items: Sequence[JobItem],
        *,
        job: JobRecord | None = None,
        progress: Progress = lambda _job, _item: None,
        is_canceled: Callable[[], bool] = lambda: False,
    ) -> JobRecord:
        """Ingests every item; a bad one is recorded with its code and the job goes on.

        Raises only what makes going on pointless: catalog, keys or audit log unavailable. The job is then `interrupted`.
        """
        catalog = self._ports.catalog
        job = job or catalog.create_job(subject.tenant, subject.principal, len(items))
        catalog.set_job_state(job.tenant, job.job_id, JobState.IN_PROGRESS, total=len(items))
        failed, total = 0, len(items)
        try:
            for item in items:
                documents = self._documents(subject, item)
                if len(documents) > 1:
                    total += len(documents) - 1
                    catalog.set_job_state(job.tenant, job.job_id, JobState.IN_PROGRESS, total=total)
                for document in documents:
                    if is_canceled():
                        catalog.set_job_state(job.tenant, job.job_id, JobState.CANCELED)
                        return catalog.get_job(subject.tenant, job.job_id)
                    result = self._ingest_item(subject, document, job.job_id)
                    failed += result.outcome is ItemOutcome.FAILED
                    catalog.record_item(job.tenant, job.job_id, result)
                    progress(job, result)
            self._ports.index_sync.run()
        except BaseException:
            catalog.set_job_state(job.tenant, job.job_id, JobState.INTERRUPTED)
            raise
        final = JobState.COMPLETED_WITH_ERRORS if failed else JobState.SUCCESS
        if total and failed == total:
            final = JobState.FAILED
        catalog.set_job_state(job.tenant, job.job_id, final)
        return catalog.get_job(subject.tenant, job.job_id)

    def ingest(
        self, subject: Subject, source: SourceDocument, *, job_id: str | None = None
    ) -> ItemResult:
        """Ingests one document. Raises `document.*`, `access.denied`, `label.*` and every `UnavailableError`.

        Who may not know of the document that has the source is told what they would be told if it were new.
        """
        require_bounded(source)
        digest = self._source_digest(source)
        before = self._ports.catalog.find_document(
            subject.tenant, source.label.corpus, source.source
        )
        known = before is not None and self._acts.may_know(subject, before)
        same = (
            before is not None
            and before.source_digest == digest
            and before.state is not DocumentState.DELETED
        )
        if before and known and same:
            self._require_permission(subject, before.label)
            return _unchanged(source, before)
        extracted = self._ports.extractor.extract(
            source.filename, source.data, tenant=subject.tenant
        )
        scanned, vectors, counts, opinion = self._judged(source, extracted)
        labelled = self._labelled(source, opinion, extracted, scanned, counts, before)
        label = labelled.label
        told = label if known else Labelling.label(source, opinion).label
        needed = [told, label]
        if before is not None and before.state is not DocumentState.DELETED:
            needed.append(before.label)  # it is theirs to replace
        for each in needed:
            self._require_permission(subject, each)
        make = partial(
            self._staged,
            source,
            before,
            extracted,
            scanned,
            vectors,
            labelled,
            digest,
            job_id,
        )
        staged = make() if same else self._committed(subject, make, counts)
        return _result(source, staged, told, counts, updated=known)

    def assess(self, subject: Subject, source: SourceDocument) -> Labelled:
        """What a new document would be labelled as, and why; nothing is stored. The subject must be permitted to ingest under
        the label that it claims. Raises as `ingest` does."""
        require_bounded(source)
        self._acts.require(subject, Action.DOCUMENT_INGEST, source.label)
        extracted = self._ports.extractor.extract(
            source.filename, source.data, tenant=subject.tenant
        )
        scanned, _, counts, opinion = self._judged(source, extracted)
        return self._labelled(source, opinion, extracted, scanned, counts)

    def example(self, subject: Subject, source: SourceDocument) -> Example:
        """What a document teaches a classifier whose claimed classification somebody vouches for; nothing is stored.

        Raises as `assess`."""
        require_bounded(source)
        self._acts.require(subject, Action.DOCUMENT_INGEST, source.label)
        extracted = self._ports.extractor.extract(
            source.filename, source.data, tenant=subject.tenant
        )
        texts = [chunk.text for chunk in self._ports.chunker.chunk(extracted.text)]
        return Example(
            group=f"{source.label.corpus}:{source.source.rpartition('/')[0]}",
            level=source.label.classification,
            vectors=self._ports.protection.embedder.embed(texts) if texts else [],
        )

    def _committed(
        self, subject: Subject, make: Callable[[], StagedVersion], counts: Mapping[str, int]
    ) -> StagedVersion:
        """Recorded, stored and indexed; made once more where its KEK was rotated away, or another generation of vectors begun,
        meanwhile."""
        staged = make()
        self._record(subject, staged, counts)
        try:
            self._ports.catalog.commit_version(staged)
        except ConflictError as error:
            if error.code not in ("key.state", "config.generation"):
                raise
            staged = make()
            self._record(subject, staged, counts)
            self._ports.catalog.commit_version(staged)
        self._ports.index_sync.run()
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
            return (JobItem(source=item.source, load=partial(_refuse, error)),)
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
        """What "the same document" means: bytes, claimed label, attributes, and everything that shapes the result."""
        ports = self._ports
        parts = (
            hashlib.sha256(source.data).digest(),
            source.label.digest(),
            json.dumps(dict(source.attributes), sort_keys=True).encode(),
            ports.protection.embedder.model_digest.encode(),
            ports.finder.version.encode(),
        )
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()

    def _scanned(
        self, extracted: ExtractedText
    ) -> tuple[list[ScannedChunk], Sequence[Vector] | None]:
        """Chunks with their personal data (found over the whole text, so that a name found once is found everywhere)
        and what the screener says of each; and their vectors, where the finder's pass made them."""
        chunks = self._ports.chunker.chunk(extracted.text)
        if not chunks:
            raise InvalidRequestError(code="document.empty")
        if len(chunks) > MAX_CHUNKS:
            raise InvalidRequestError(code="document.too_large")
        scan = self._ports.finder.scan(extracted.text, chunks)
        scanned = [
            ScannedChunk(
                chunk=chunk,
                spans=spans_within(scan.spans, chunk),
                screening=self._ports.screener.screen(chunk.text),
            )
            for chunk in chunks
        ]
        return scanned, scan.vectors

    def _judged(
        self, source: SourceDocument, extracted: ExtractedText
    ) -> tuple[list[ScannedChunk], Sequence[Vector] | None, Mapping[str, int], Opinion]:
        """(chunks with their findings, their vectors where those are made by now, counts by type, the machines' opinion)."""
        scanned, vectors = self._scanned(extracted)
        counts = Counter(span.entity_type for item in scanned for span in item.spans)
        labelling = self._ports.labelling
        if vectors is None and labelling.needs_vectors(source.label.tenant):
            vectors = self._ports.protection.embedder.embed([item.chunk.text for item in scanned])
        return scanned, vectors, counts, labelling.opinion(source, extracted, counts, vectors)

    def _labelled(
        self,
        source: SourceDocument,
        opinion: Opinion,
        extracted: ExtractedText,
        scanned: Sequence[ScannedChunk],
        counts: Mapping[str, int],
        before: DocumentRecord | None = None,
    ) -> Labelled:
        """The label, and with the evidence for it what else was noticed."""
        labelled = self._ports.labelling.label(source, opinion, before)
        lines = list(labelled.evidence)
        if source.notes:
            lines.append(f"source access: {len(source.notes)} remarks in the job")
        if extracted.loader:
            lines.append(f"loader: {extracted.loader}")
        lines += [f"file property: {name}" for name in _labelling(extracted.properties)]
        if extracted.hidden:
            lines.append(f"hidden text: {len(extracted.hidden)} pieces left out")
        rules = sorted({rule for item in scanned for rule in item.screening.rules})
        if rules:
            lines.append(f"injection: {', '.join(rules)}")
        lines += [f"warning: {warning}" for warning in extracted.warnings[:20]]
        lines += [f"found: {name} x{count}" for name, count in sorted(counts.items())]
        return dataclasses.replace(labelled, evidence=tuple(lines))

    def _require_permission(self, subject: Subject, label: AccessLabel) -> None:
        if not self._acts.may(subject, Action.DOCUMENT_INGEST, label):
            raise DeniedError

    def _staged(
        self,
        source: SourceDocument,
        before: DocumentRecord | None,
        extracted: ExtractedText,
        scanned: Sequence[ScannedChunk],
        vectors: Sequence[Vector] | None,
        labelled: Labelled,
        digest: bytes,
        job_id: str | None,
    ) -> StagedVersion:
        """The whole version, encrypted, in memory."""
        ports, label = self._ports, labelled.label
        document_id = before.document_id if before else str(uuid.uuid4())
        version = before.version + 1 if before else 1
        encryption = ports.protection.new_version(document_id, version, label)
        hidden = any(
            ports.screener.screen(text).verdict is Verdict.QUARANTINE for text in extracted.hidden
        )
        quarantined = hidden or any(
            item.screening.verdict is Verdict.QUARANTINE for item in scanned
        )
        return StagedVersion(
            document_id=document_id,
            version=version,
            tenant=label.tenant,
            corpus=label.corpus,
            source=source.source,
            source_digest=digest,
            state=DocumentState.QUARANTINED if quarantined else DocumentState.ACTIVE,
            title=self._title(extracted.title or source.filename, label),
            media_type=extracted.media_type,
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
            model_digest=ports.protection.embedder.model_digest,
            job_id=job_id,
            chunks=encryption.staged_chunks(scanned, ports.finder.version, vectors),
            origin=self._origin(source, extracted),
            finder=ports.finder.version,
        )

    def _origin(self, source: SourceDocument, extracted: ExtractedText) -> Origin:
        rules, classifier = self._ports.labelling.versions(source.label.tenant)
        return Origin(
            uri=source.uri,
            bytes_sha256=hashlib.sha256(source.data).hexdigest(),
            loader=extracted.loader,
            chunker=self._ports.chunker.version,
            rules=rules,
            classifier=classifier,
        )

    def _title(self, title: str, label: AccessLabel) -> str:
        """Titles are stored in clear, so they show no personal data, and above INTERNAL nothing at all."""
        if label.classification > Classification.INTERNAL:
            return ""
        spans = self._ports.finder.find(title) if title else ()
        return self._ports.protection.redactor.redact(
            title[:300], clipped(spans, 0, 300), frozenset()
        ).text

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
        return JobItem(source=name, load=partial(_refuse, InvalidRequestError(code=member.code)))
    filename = member.path.rpartition("/")[2]
    uri = f"{archive.uri}!/{quote(member.path)}" if archive.uri else ""
    document = dataclasses.replace(
        archive, source=name, filename=filename, data=member.data, uri=uri
    )
    return JobItem(source=name, load=lambda: document)


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


def clipped(spans: Iterable[Span], start: int, end: int) -> tuple[Span, ...]:
    """Spans within [start, end), cut to it and moved to begin at 0."""
    return tuple(
        dataclasses.replace(
            span, start=max(span.start, start) - start, end=min(span.end, end) - start
        )
        for span in spans
        if span.start < end and span.end > start
    )


def spans_within(spans: Iterable[Span], chunk: Chunk) -> tuple[Span, ...]:
    """A document's spans as they fall into one chunk."""
    return clipped(spans, chunk.start, chunk.end)


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
