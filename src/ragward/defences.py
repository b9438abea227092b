"""Against poisoned sources: signatures before a document is read, floods before it is answered from.

signature   a source with keys takes in only what one of them verifies
flood       more near-duplicates from one folder in a short time than its limit: they wait for a person, like any quarantine
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Subject
from ragward.domain.corpus import DocumentRecord, DocumentState, SourceDocument, StagedVersion
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.sources import SIGNATURE_BYTES, Demands, FloodLimit, folder_of, signed_message
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, PolicyDecisionPoint, SignatureVerifier

NEAR_DUPLICATE: Final = "near-duplicate: of another document"
"""The line of evidence by which a folder's near-duplicates are counted."""
_FLOOD: Final = "flood: too many near-duplicates from its folder"
_COMPARED: Final = 64
_MIN_FINGERPRINTS: Final = 4
_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Defences:
    """What ingestion asks before it takes in, and before it stores."""

    demands: Demands
    verifier: SignatureVerifier
    catalog: Catalog
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock

    def require_signed(self, source: SourceDocument) -> None:
        """Raises `document.signature` where a signature is demanded, and there is none that verifies."""
        label = source.label
        keys = self.demands.keys_for(label.tenant, label.corpus, source.source)
        if keys is None:
            return
        message = signed_message(source)
        if len(source.signature) == SIGNATURE_BYTES and any(
            self.verifier.verifies(key, source.signature, message) for key in sorted(keys)
        ):
            return
        raise InvalidRequestError(code="document.signature")

    def require_unsigned(self, record: DocumentRecord) -> None:
        """For who brings an access list without the text: what a source signs is both, so this has to come with it.

        Raises `document.signature`."""
        if self.demands.keys_for(record.tenant, record.corpus, record.source) is not None:
            raise InvalidRequestError(code="document.signature")

    def judged(self, subject: Subject, staged: StagedVersion) -> StagedVersion:
        """The version as it is to be stored: marked as a near-duplicate, held back where there are too many."""
        limit = self.demands.flood
        if limit is None or not self._repeats(subject, staged, limit):
            return staged
        evidence = (*staged.evidence, NEAR_DUPLICATE)
        since = self.clock.now() - limit.hours * _SECONDS
        before = self.catalog.count_evident(
            staged.tenant,
            staged.corpus,
            folder_of(staged.source),
            NEAR_DUPLICATE,
            since=since,
        )
        if before < limit.most:
            return dataclasses.replace(staged, evidence=evidence)
        return dataclasses.replace(
            staged, evidence=(*evidence, _FLOOD), state=DocumentState.QUARANTINED
        )

    def _repeats(self, subject: Subject, staged: StagedVersion, limit: FloodLimit) -> bool:
        """Whether it nearly repeats another document of its folder, or one that the subject may know of: nobody learns by
        ingesting what others have."""
        every = sorted({print_ for chunk in staged.chunks for print_ in chunk.fingerprints})
        if len(every) < _MIN_FINGERPRINTS:
            return False
        compared = every[:: max(1, len(every) // _COMPARED)][:_COMPARED]
        shared: defaultdict[str, set[int]] = defaultdict(set)
        for match in self.catalog.chunks_sharing(staged.tenant, compared):
            shared[match.document_id] |= match.shared
        acts = Acts(pdp=self.pdp, recorder=self.recorder, clock=self.clock)
        for document_id, those in sorted(shared.items()):
            if document_id == staged.document_id or len(those) < limit.share * len(compared):
                continue
            try:
                record = self.catalog.get_document(staged.tenant, document_id)
            except NotFoundError:
                continue
            if _same_folder(record, staged) or acts.may_know(subject, record):
                return True
        return False


def _same_folder(record: DocumentRecord, staged: StagedVersion) -> bool:
    return record.corpus == staged.corpus and folder_of(record.source) == folder_of(staged.source)
