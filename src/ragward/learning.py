"""Training a tenant's classifier from the labels that its people reviewed.

What is learnt from is what a person decided, asked or unasked, about the text that a document has now. Vectors are opened
 with the steward's own permission, and the artefact is the tenant's own: nothing of it is used for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.classification import Example, Training
from ragward.domain.corpus import DocumentRecord, DocumentState, Pending, Vector, View
from ragward.domain.errors import ConfigurationError, NotFoundError
from ragward.domain.keys import Reading
from ragward.domain.labels import Classification
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, PolicyDecisionPoint
from ragward.protection import Protection

_PAGE: Final = 500


class ClassifierTrainer(Protocol):
    """Makes a classifier of examples."""

    def train(self, tenant: str, examples: Sequence[Example]) -> Training:
        """Raises `request.invalid` for too few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningPorts:
    """Everything training touches."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    protection: Protection
    trainer: ClassifierTrainer
    recorder: Recorder
    clock: Clock


class Learning:
    """Trains; the artefact takes effect once the settings name it with its digest."""

    def __init__(self, ports: LearningPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def train(self, subject: Subject, further: Sequence[Example] = ()) -> Training:
        """A classifier of the tenant's reviewed documents, and of `further` examples. The subject must be permitted to relabel
        in the whole tenant. Raises `access.denied`, `request.invalid` for too few, `integrity.*`, `unavailable.*`."""
        self._acts.require_on_tenant(subject, Action.DOCUMENT_RELABEL)
        examples = [*self._reviewed(subject), *further]
        training = self._ports.trainer.train(subject.tenant, examples)
        details = {
            "sha256": training.sha256,
            "documents": dict(training.documents),
            "further": len(further),
            "model": self._ports.protection.embedder.model_digest,
        }
        self._ports.recorder.record(
            EventType.CLASSIFIER_TRAINED, subject, "permit", details, durable=True
        )
        return training

    def _reviewed(self, subject: Subject) -> Iterator[Example]:
        levels = self._ports.catalog.reviewed_levels(subject.tenant)
        after: tuple[str, str] | None = None
        while page := self._ports.catalog.documents(subject.tenant, limit=_PAGE, after=after):
            after = (page[-1].corpus, page[-1].source)
            for record in page:
                level = _vouched(record, levels.get(record.document_id))
                if level is not None and (vectors := self._vectors(subject, record)):
                    folder = record.source.rpartition("/")[0]
                    yield Example(group=f"{record.corpus}:{folder}", level=level, vectors=vectors)

    def _vectors(self, subject: Subject, record: DocumentRecord) -> list[Vector]:
        """Of the full view of every chunk."""
        ports = self._ports
        reading = Reading(subject=subject, action=Action.DOCUMENT_RELABEL)
        try:
            points = ports.catalog.document_chunks(record.tenant, record.document_id)
        except NotFoundError:
            return []
        generation = self._generation()
        blobs = ports.catalog.vector_blobs(record.tenant, record.document_id, generation=generation)
        return [
            ports.protection.open_vector(point, blobs[point.point_id], reading, generation)
            for point in points
            if point.view is View.FULL and point.point_id in blobs
        ]

    def _generation(self) -> int:
        """Whose vectors are those of the classifier's own model. Raises `config.model_mismatch` where there are none any more."""
        protection = self._ports.protection
        for generation, embedder in protection.live().items():
            if embedder.model_digest == protection.embedder.model_digest:
                return generation
        raise ConfigurationError(
            "vectors of model_dir are not kept any more: a classifier cannot be trained on them",
            code="config.model_mismatch",
        )


def _vouched(
    record: DocumentRecord, reviewed: tuple[int, Classification] | None
) -> Classification | None:
    """The level that a person decided on for this very text; None where nobody did. A label that outlived the text that it was
    given to would let whoever replaces texts teach the classifier."""
    if record.state is not DocumentState.ACTIVE or record.pending is not Pending.NOTHING:
        return None
    return reviewed[1] if reviewed is not None and reviewed[0] == record.version else None
