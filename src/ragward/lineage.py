"""Where chunks came from, for who may know of them: one chunk, the versions in use, and exports as OpenLineage events.

Absent, deleted and not yours are the same 404. What would confirm a guess at hidden text, or tells of the machine that a
source lies on, is shown to stewards of the label only (`domain.lineage.ShownLineage`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import STEWARDING_ACTIONS, Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.errors import NotFoundError
from ragward.domain.findings import Verdict
from ragward.domain.jobs import JobRecord
from ragward.domain.labels import administrative
from ragward.domain.lineage import (
    ChunkLineage,
    DocumentLineage,
    ShownLineage,
    Tool,
    Toolchain,
    VersionInUse,
)
from ragward.domain.openlineage import Event, ExportedVersion, job_events, version_events
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, LiveModels, PolicyDecisionPoint

_PAGE: Final = 200
_STEWARDS: Final = (*STEWARDING_ACTIONS, Action.DOCUMENT_INGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineagePorts:
    """Everything this flow talks to."""

    catalog: Catalog
    models: LiveModels
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock
    release: str
    """Of ragward, as the producer of exports."""


class Lineage:
    """Answers where things came from."""

    def __init__(self, ports: LineagePorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def of_chunk(self, subject: Subject, chunk_id: str) -> ShownLineage:
        """Recorded before it is told. Raises `access.not_found`, recorded as well; `integrity.envelope`."""
        try:
            found = self._ports.catalog.chunk_lineage(subject.tenant, chunk_id)
            record = self._known(subject, found.document_id)
            steward = self._is_steward(subject, record)
            held_back = found.verdict == Verdict.QUARANTINE
            if record.version != found.version or (held_back and not steward):
                raise NotFoundError
        except NotFoundError:
            details: dict[str, object] = {"action": "lineage", "code": "access.not_found"}
            self._ports.recorder.record(EventType.REQUEST_REFUSED, subject, "deny", details)
            raise
        details = {"chunk": chunk_id, "document": record.document_id, "steward": steward}
        self._ports.recorder.record(EventType.LINEAGE_READ, subject, "permit", details)
        answering = found.toolchain and self._answering(found.toolchain)
        return _shown(replace(found, toolchain=answering), record, steward=steward)

    def versions(self, subject: Subject) -> Sequence[VersionInUse]:
        """What made the tenant's chunks, oldest first. The subject must be permitted to relabel in the whole tenant.

        Raises `access.denied`."""
        self._acts.require_on_tenant(subject, Action.DOCUMENT_RELABEL)
        return self._ports.catalog.versions_in_use(subject.tenant)

    def export_document(self, subject: Subject, document_id: str) -> list[Event]:
        """The run that made a document's current version. Raises `access.not_found`."""
        record = self._known(subject, document_id)
        self._record_export(subject, "document", document_id)
        return version_events(self._exported(subject, record), release=self._ports.release)

    def export_job(self, subject: Subject, job_id: str) -> Iterator[Event]:
        """The run of a job, and within it one for each document that holds what it read, as far as the subject may know of
        them. Raises `access.not_found` for a job that is neither theirs nor one they may read."""
        job = self._ports.catalog.get_job(subject.tenant, job_id)
        if job.requested_by != subject.principal and not self._may_read_jobs(subject):
            raise NotFoundError
        self._record_export(subject, "job", job_id)
        return self._events_of(subject, job)

    # How. -----------------------------------------------------------------------------------------------------------

    def _events_of(self, subject: Subject, job: JobRecord) -> Iterator[Event]:
        first, last = job_events(job, release=self._ports.release)
        yield first
        after = ""
        while page := self._ports.catalog.documents_of_job(
            subject.tenant, job.job_id, after=after, limit=_PAGE
        ):
            for document_id in page:
                try:
                    record = self._known(subject, document_id)
                    exported = self._exported(subject, record)
                except NotFoundError:
                    continue  # not theirs, or gone meanwhile
                yield from version_events(exported, release=self._ports.release, job=job)
            after = page[-1]
        if last is not None:
            yield last

    def _exported(self, subject: Subject, record: DocumentRecord) -> ExportedVersion:
        lineage = self._ports.catalog.document_lineage(subject.tenant, record.document_id)
        if lineage.version != record.version:
            raise NotFoundError
        made = tuple((chain and self._answering(chain), n) for chain, n in lineage.toolchains)
        shown = replace(lineage, toolchains=made)
        return _exported(shown, record, steward=self._is_steward(subject, record))

    def _answering(self, made: Toolchain) -> Toolchain:
        """With the model whose vectors answer now: another may have taken the place of the one there was."""
        if self._ports.catalog.generations() is None:
            return made
        return replace(made, model=self._ports.models.read().serving.model)

    def _known(self, subject: Subject, document_id: str) -> DocumentRecord:
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        may_know = self._acts.may_know(subject, record)
        ingests = record.state is not DocumentState.DELETED and self._acts.may(
            subject, Action.DOCUMENT_INGEST, record.label
        )
        if not (may_know or ingests):
            raise NotFoundError
        return record

    def _is_steward(self, subject: Subject, record: DocumentRecord) -> bool:
        return any(self._acts.may(subject, action, record.label) for action in _STEWARDS)

    def _may_read_jobs(self, subject: Subject) -> bool:
        return self._acts.may(subject, Action.JOB_READ, administrative(subject.tenant))

    def _record_export(self, subject: Subject, kind: str, name: str) -> None:
        details = {"of": kind, "id": name}
        self._ports.recorder.record(EventType.LINEAGE_EXPORTED, subject, "permit", details)


def _shown(found: ChunkLineage, record: DocumentRecord, *, steward: bool) -> ShownLineage:
    made = found.toolchain
    return ShownLineage(
        chunk_id=found.chunk_id,
        ordinal=found.ordinal,
        document_id=record.document_id,
        version=record.version,
        corpus=record.corpus,
        source=record.source,
        state=record.state.value,
        media_type=record.media_type,
        created_at=record.created_at,
        tools={} if made is None else {tool.value: getattr(made, tool.value) for tool in Tool},
        uri=found.uri if steward else None,
        bytes_sha256=found.bytes_sha256 if steward else None,
        job_id=found.job_id if steward else None,
    )


def _exported(
    lineage: DocumentLineage, record: DocumentRecord, *, steward: bool
) -> ExportedVersion:
    return ExportedVersion(
        tenant=record.tenant,
        document_id=record.document_id,
        version=record.version,
        corpus=record.corpus,
        source=record.source,
        media_type=record.media_type,
        classification=record.label.classification.name,
        created_at=record.created_at,
        chunks=record.chunk_count,
        uri=lineage.uri if steward else "",
        bytes_sha256=lineage.bytes_sha256 if steward else "",
        toolchains=lineage.toolchains,
    )
