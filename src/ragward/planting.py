"""Planting honey documents, and listing them. For who reads the log: a document that is touched shows there and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState, SourceDocument
from ragward.domain.errors import ConflictError
from ragward.domain.jobs import ItemResult
from ragward.domain.labels import HONEY, AccessLabel, Classification, is_honey
from ragward.evidence import Recorder
from ragward.ingestion import Ingestion
from ragward.ports import Catalog, Clock, PolicyDecisionPoint

_MOST: Final = 1000
_THERE: Final = (DocumentState.ACTIVE, DocumentState.QUARANTINED, DocumentState.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantingPorts:
    """Everything it touches."""

    ingestion: Ingestion
    catalog: Catalog
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock


class Planting:
    """Plants and lists; needs `audit:read` on the whole tenant, and to plant also `document:ingest`."""

    def __init__(self, ports: PlantingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def plant(
        self, subject: Subject, corpus: str, source: str, data: bytes, level: Classification
    ) -> ItemResult:
        """Takes the text in as any other, under a label that nobody reads. Raises `access.denied`, `document.*`, `label.*`, and
        `catalog.exists` where a document has that name."""
        for action in (Action.AUDIT_READ, Action.DOCUMENT_INGEST):
            self._acts.require_on_tenant(subject, action)
        label = AccessLabel(
            tenant=subject.tenant,
            corpus=corpus,
            classification=level,
            compartments=frozenset({HONEY}),
        )
        before = self._ports.catalog.find_document(subject.tenant, corpus, source)
        if before is not None and before.state in _THERE and not is_honey(before.label):
            raise ConflictError("a document has that name already")
        planted = self._ports.ingestion.ingest(
            subject,
            SourceDocument(
                source=source, filename=source.rpartition("/")[2], data=data, label=label
            ),
        )
        details = {"act": "plant_honey", "target": planted.document_id}
        self._ports.recorder.record(EventType.ADMIN_ACT, subject, "permit", details, durable=True)
        return planted

    def planted(self, subject: Subject) -> Sequence[DocumentRecord]:
        """Those that are there, by id."""
        self._acts.require_on_tenant(subject, Action.AUDIT_READ)
        labels = self._ports.catalog.labels(subject.tenant)
        ids = [label_id for label_id, label in labels.items() if is_honey(label)]
        return self._ports.catalog.documents_under(subject.tenant, ids, states=_THERE, limit=_MOST)
