"""Personal data looked for again, document by document, after the detector or `redaction.toml` has changed.

What was found before stays found; classifications can rise and never fall. Vectors are kept where a view's text stays as it
was. A document is done or not: what a killed run left undone, the next run does, and what is up to date it skips.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.disclosure import merged
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.content import ChunkContent
from ragward.domain.corpus import (
    Chunk,
    DocumentRecord,
    DocumentState,
    Pending,
    ScannedChunk,
    StagedVersion,
    StoredChunk,
    Vector,
    View,
)
from ragward.domain.errors import InvalidRequestError
from ragward.domain.findings import Screening, Verdict
from ragward.domain.keys import Reading
from ragward.domain.labels import AccessLabel, Classification, join
from ragward.domain.lineage import Tool
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.older import page_of
from ragward.ports import Catalog, Classifier, Clock, Finder, PolicyDecisionPoint
from ragward.protection import Protection, contents

MAX_DOCUMENTS: Final = 500
_JOINT: Final = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanningPorts:
    """Everything this flow talks to."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    finder: Finder
    classifier: Classifier
    protection: Protection
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescanned:
    """One run: documents looked at, those that were brought up to date, vectors that were made anew, and where to go on."""

    looked_at: int
    changed: int
    embedded: int
    raised: int
    next_after: tuple[str, str] | None


class Rescanning:
    """Brings the stored findings up to date."""

    def __init__(self, ports: RescanningPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def run(
        self,
        subject: Subject,
        *,
        limit: int = MAX_DOCUMENTS,
        after: tuple[str, str] | None = None,
        older_than: str = "",
    ) -> Rescanned:
        """The next `limit` documents, by corpus and source; with `older_than` only those that were scanned by a detector which
        was in use before that version. The subject must be permitted to relabel in the whole tenant.

        Raises `access.denied`, `request.invalid`, `integrity.*`, every `UnavailableError`."""
        if not 1 <= limit <= MAX_DOCUMENTS:
            raise InvalidRequestError(f"limit is between 1 and {MAX_DOCUMENTS}")
        self._acts.require_on_tenant(subject, Action.DOCUMENT_RELABEL)
        page = page_of(
            self._ports.catalog,
            subject.tenant,
            Tool.FINDER,
            older_than,
            in_force=self._ports.finder.version,
            limit=limit,
            after=after,
        )
        done = [result for record in page if (result := self._rescan(subject, record)) is not None]
        if done:
            self._ports.index_sync.run()
        full = len(page) == limit
        return Rescanned(
            looked_at=len(page),
            changed=len(done),
            embedded=sum(embedded for embedded, _ in done),
            raised=sum(raised for _, raised in done),
            next_after=(page[-1].corpus, page[-1].source) if full else None,
        )

    def _rescan(self, subject: Subject, record: DocumentRecord) -> tuple[int, bool] | None:
        """(vectors made, whether the classification rose); None for a document that is up to date, gone or cannot be opened yet."""
        ports = self._ports
        if record.state is DocumentState.DELETED or record.pending is not Pending.NOTHING:
            return None
        points = ports.catalog.document_chunks(record.tenant, record.document_id)
        stored = [point for point in points if point.view is View.FULL]
        reading = Reading(subject=subject, action=Action.DOCUMENT_RELABEL)
        opened = contents(ports.protection.opened(stored, reading))
        if all(content.detector_version == ports.finder.version for content in opened):
            return None
        scanned = self._scanned(stored, opened)
        label = self._label(record, opened, scanned)
        encryption = ports.protection.new_version(record.document_id, record.version + 1, label)
        kept = self._kept(record, points, opened, scanned, reading)
        staged = encryption.staged_chunks(scanned, ports.finder.version, kept=kept)
        raised = label.classification > record.label.classification
        self._record(subject, record, label, scanned)
        ports.catalog.commit_version(
            StagedVersion(
                document_id=record.document_id,
                version=record.version + 1,
                tenant=record.tenant,
                corpus=record.corpus,
                source=record.source,
                source_digest=record.source_digest,
                state=record.state,
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
                evidence=(*record.evidence, f"scanned again by {ports.finder.version}"),
                model_digest=ports.protection.embedder.model_digest,
                job_id=None,
                chunks=staged,
                finder=ports.finder.version,
            )
        )
        points_made = sum(len(chunk.points) for chunk in staged)
        return points_made * len(kept) - sum(map(len, kept.values())), raised

    def _scanned(
        self, stored: Sequence[StoredChunk], opened: Sequence[ChunkContent]
    ) -> list[ScannedChunk]:
        """Found over all chunks together, so that a name found once is found everywhere."""
        text = _JOINT.join(content.text for content in opened)
        found = self._ports.finder.find(text)
        scanned = []
        start = 0
        for point, content in zip(stored, opened, strict=True):
            end = start + len(content.text)
            new = [
                dataclasses.replace(
                    s, start=max(s.start, start) - start, end=min(s.end, end) - start
                )
                for s in found
                if s.start < end and s.end > start
            ]
            scanned.append(
                ScannedChunk(
                    chunk=Chunk(ordinal=point.ordinal, start=0, end=end - start, text=content.text),
                    spans=merged((*content.spans, *new)),
                    screening=Screening(
                        verdict=Verdict(point.verdict), rules=point.rules, rule_set=point.rule_set
                    ),
                )
            )
            start = end + len(_JOINT)
        return scanned

    def _label(
        self,
        record: DocumentRecord,
        opened: Sequence[ChunkContent],
        scanned: Sequence[ScannedChunk],
    ) -> AccessLabel:
        """The machine raises, by the rules over what is found now."""
        counts = Counter(span.entity_type for item in scanned for span in item.spans)
        text = _JOINT.join(content.text for content in opened)
        by_rules, _ = self._ports.classifier.classify(
            record.source, record.title, text, record.attributes, counts
        )
        level = join([record.label.classification, by_rules])
        return dataclasses.replace(record.label, classification=level)

    def _kept(
        self,
        record: DocumentRecord,
        points: Sequence[StoredChunk],
        opened: Sequence[ChunkContent],
        scanned: Sequence[ScannedChunk],
        reading: Reading,
    ) -> Mapping[str, Mapping[tuple[int, View], Vector]]:
        """By model the vectors of views whose text stays as it was: every full one, and redacted ones that read the
        same."""
        protection = self._ports.protection
        same: set[int] = set()
        for content, item in zip(opened, scanned, strict=True):
            before = protection.redactor.redact(content.text, content.spans, frozenset())
            now = protection.redactor.redact(content.text, item.spans, frozenset())
            if before.text == now.text:
                same.add(item.chunk.ordinal)
        kept: dict[str, dict[tuple[int, View], Vector]] = {}
        for generation, embedder in protection.live().items():
            blobs = self._ports.catalog.vector_blobs(
                record.tenant, record.document_id, generation=generation
            )
            kept[embedder.model_digest] = {
                (point.ordinal, point.view): protection.open_vector(
                    point, blobs[point.point_id], reading, generation
                )
                for point in points
                if point.point_id in blobs and (point.view is View.FULL or point.ordinal in same)
            }
        return kept

    def _record(
        self,
        subject: Subject,
        record: DocumentRecord,
        label: AccessLabel,
        scanned: Sequence[ScannedChunk],
    ) -> None:
        details = {
            "document": record.document_id,
            "version": record.version + 1,
            "classification": [record.label.classification.name, label.classification.name],
            "detector": self._ports.finder.version,
            "found": dict(Counter(span.entity_type for item in scanned for span in item.spans)),
        }
        self._ports.recorder.record(EventType.DOCUMENT_RESCANNED, subject, "permit", details)
