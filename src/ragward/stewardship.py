"""What stewards do: list, delete. Labels are `relabelling`'s, keys `rotation`'s, applications `identities`'.

Every act is decided by the same PDP as a retrieval, recorded before it takes effect, and by-id reads pass the same
check as an answer: what a subject may not read does not exist for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import STEWARDING_ACTIONS, Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import (
    DocumentRecord,
    DocumentState,
    StoredChunk,
)
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.evaluation import digest_of
from ragward.domain.jobs import JobRecord
from ragward.domain.labels import AccessLabel, administrative
from ragward.domain.tallies import Tally
from ragward.domain.tokens import PageToken, bearer_of
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import Catalog, Clock, Keyring, PolicyDecisionPoint

_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StewardshipPorts:
    """Everything the acts touch."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    keyring: Keyring
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock


class Stewardship:
    """Acts on documents and jobs. Policy is `policy_administration`'s."""

    def __init__(self, ports: StewardshipPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)
        self._record = ports.recorder.record

    # Documents. -----------------------------------------------------------------------------------------------------

    def document(self, subject: Subject, document_id: str) -> DocumentRecord:
        """The document, if the subject may read it or act on it. Raises `access.not_found` otherwise, absent or not."""
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        self._acts.noticed(subject, record, "document")
        if not self._acts.may_know(subject, record):
            raise self._acts.unknown(subject, record)
        return record

    def documents(
        self,
        subject: Subject,
        *,
        corpus: str | None = None,
        state: DocumentState | None = None,
        untrusted_page_token: str | None = None,
        limit: int = 100,
    ) -> tuple[list[DocumentRecord], str | None]:
        """(documents the subject may know of, by corpus and source; the token to go on with, None at the end).

        A page ends with the last document given and says only whether the subject may know of another: what lies between
        is not counted. Raises `request.invalid` for a token of another list or another subject.
        """
        key, bearer = self._ports.keyring.mac_key("page-token"), bearer_of(subject)
        query = digest_of("documents", corpus, state.value if state else None)
        after: tuple[str, str] | None = None
        if untrusted_page_token:
            token = PageToken.verified(untrusted_page_token, key, bearer)
            if token.query != query:
                raise InvalidRequestError("the page token is of another list")
            after = _place(token.after)
        known = self._known_documents(subject, corpus, state, after)
        found = list(islice(known, limit + 1))
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        place = json.dumps([last.corpus, last.source])
        return found[:limit], PageToken(query=query, after=place, limit=limit).signed(key, bearer)

    def tallies(self, subject: Subject) -> list[tuple[AccessLabel, Tally]]:
        """How many documents there are of which kind, under each label that the subject is a steward of."""
        pdp = self._ports.pdp
        mine = pdp.labels_for(subject, Action.DOCUMENT_RELABEL, self._acts.context())
        found = [
            each for each in self._ports.catalog.tallies(subject.tenant) if each.label_id in mine
        ]
        labels = pdp.described(subject.tenant, {each.label_id for each in found})
        return [(labels[each.label_id], each) for each in found if each.label_id in labels]

    def count_gone(self, subject: Subject) -> int:
        """How many documents are no longer at their source, for a steward of the whole tenant. Raises `access.denied`."""
        self._acts.require_on_tenant(subject, Action.DOCUMENT_RELABEL)
        return self._ports.catalog.count_gone(subject.tenant)

    def personal_data(self, subject: Subject) -> Mapping[str, int]:
        """Type of personal data -> chunks that have it, for a steward of the whole tenant. Raises `access.denied`."""
        self._acts.require_on_tenant(subject, Action.DOCUMENT_RELABEL)
        return self._ports.catalog.personal_data(subject.tenant)

    def chunks(self, subject: Subject, document_id: str) -> list[StoredChunk]:
        """Each chunk of a document's current version once, in order and still encrypted; for its stewards. Raises
        `access.not_found`."""
        record = self.document(subject, document_id)
        if not any(self._acts.may(subject, action, record.label) for action in STEWARDING_ACTIONS):
            raise NotFoundError
        points = self._ports.catalog.document_chunks(subject.tenant, document_id)
        return list({point.chunk_id: point for point in points}.values())

    def delete(self, subject: Subject, document_id: str) -> int:
        """Deletes a document: no request begun after this returned sees it. Returns the epoch. Raises `hold.active`."""
        record = self.document(subject, document_id)
        self._acts.require(subject, Action.DOCUMENT_DELETE, record.label)
        if self._ports.catalog.held(subject.tenant, [document_id]):
            refused = {"action": Action.DOCUMENT_DELETE.value, "code": "hold.active"}
            self._record(EventType.REQUEST_REFUSED, subject, "deny", refused)
            raise ConflictError(code="hold.active")
        return self._deleted(subject, record)

    def withdraw(self, subject: Subject, document_id: str) -> int:
        """`delete` of what its source no longer has: what a legal hold keeps is answered from no more, and stays."""
        record = self.document(subject, document_id)
        self._acts.require(subject, Action.DOCUMENT_DELETE, record.label)
        return self._deleted(subject, record)

    def _deleted(self, subject: Subject, record: DocumentRecord) -> int:
        document_id = record.document_id
        details = {"document": document_id, "version": record.version, "corpus": record.corpus}
        self._record(EventType.DOCUMENT_DELETED, subject, "permit", details, durable=True)
        epoch = self._ports.catalog.set_state(subject.tenant, document_id, DocumentState.DELETED)
        self._ports.index_sync.run()
        return epoch

    # Jobs. ----------------------------------------------------------------------------------------------------------

    def job(self, subject: Subject, job_id: str) -> JobRecord:
        """A job of one's own or, for whoever may read jobs, of anybody. Raises `access.not_found`."""
        job = self._ports.catalog.get_job(subject.tenant, job_id)
        if job.requested_by != subject.principal and not self._may_read_jobs(subject):
            raise NotFoundError
        return job

    def jobs(self, subject: Subject, *, limit: int) -> Sequence[JobRecord]:
        """The newest of those."""
        mine = None if self._may_read_jobs(subject) else subject.principal
        return self._ports.catalog.jobs(subject.tenant, requested_by=mine, limit=limit)

    # How. -----------------------------------------------------------------------------------------------------------

    def _known_documents(
        self,
        subject: Subject,
        corpus: str | None,
        state: DocumentState | None,
        after: tuple[str, str] | None,
    ) -> Iterator[DocumentRecord]:
        """Documents of which the subject may know, by corpus and source; each label and state is decided on once."""
        known: dict[tuple[int, DocumentState], bool] = {}
        while page := self._ports.catalog.documents(
            subject.tenant, corpus=corpus, limit=_PAGE, after=after
        ):
            for record in page:
                kind = (record.label_id, record.state)
                if kind not in known:
                    known[kind] = self._acts.may_know(subject, record)
                if known[kind] and state in (None, record.state):
                    yield record
            after = (page[-1].corpus, page[-1].source)

    def _may_read_jobs(self, subject: Subject) -> bool:
        return self._acts.may(subject, Action.JOB_READ, administrative(subject.tenant))


def _place(text: str) -> tuple[str, str]:
    corpus, source = json.loads(text)
    return corpus, source
