"""What stewards and administrators do: list, delete, register applications, rotate, explain. Labels are `relabelling`'s.

Every act is decided by the same PDP as a retrieval, recorded before it takes effect, and by-id reads pass the same
check as an answer: what a subject may not read does not exist for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import KNOWING_ACTIONS, Action, Application, Explanation, Subject
from ragward.domain.audit import AuditEntry, AuditVerification, EventType
from ragward.domain.corpus import (
    DocumentRecord,
    DocumentState,
)
from ragward.domain.envelope import KEKStatus
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.labels import (
    AccessLabel,
    Classification,
    administrative,
    require_principal,
    tenant_of,
)
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import AuditLog, Catalog, Clock, Keyring, PolicyDecisionPoint

_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StewardshipPorts:
    """Everything the acts touch. `new_key` makes an API key: (text, lookup prefix, SHA-256)."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    keyring: Keyring
    index_sync: IndexSync
    recorder: Recorder
    audit: AuditLog
    clock: Clock
    new_key: Callable[[], tuple[str, str, bytes]]


class Stewardship:
    """Acts on documents, applications, keys and the log. Policy is `policy_administration`'s."""

    def __init__(self, ports: StewardshipPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)
        self._record = ports.recorder.record

    # Documents. -----------------------------------------------------------------------------------------------------

    def document(self, subject: Subject, document_id: str) -> DocumentRecord:
        """The document, if the subject may read it or act on it. Raises `access.not_found` otherwise, absent or not."""
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        if record.state is DocumentState.DELETED or not self._may_know(subject, record.label):
            raise NotFoundError
        return record

    def documents(
        self,
        subject: Subject,
        *,
        corpus: str | None = None,
        state: DocumentState | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[list[DocumentRecord], int | None]:
        """(documents the subject may know of, by corpus and source; the offset to go on from, None at the end).

        Only those are counted: an offset must not tell how many others there are.
        """
        known: dict[int, bool] = {}
        found: list[DocumentRecord] = []
        passed = 0
        for record in self._every_document(subject.tenant, corpus):
            if record.label_id not in known:
                known[record.label_id] = self._may_know(subject, record.label)
            if not known[record.label_id] or state not in (None, record.state):
                continue
            if passed < offset:
                passed += 1
            elif len(found) < limit:
                found.append(record)
            else:
                return found, offset + limit
        return found, None

    def delete(self, subject: Subject, document_id: str) -> int:
        """Deletes a document: no request begun after this returned sees it. Returns the epoch."""
        record = self.document(subject, document_id)
        self._acts.require(subject, Action.DOCUMENT_DELETE, record.label)
        details = {"document": document_id, "version": record.version, "corpus": record.corpus}
        self._record(EventType.DOCUMENT_DELETED, subject, "permit", details, durable=True)
        epoch = self._ports.catalog.set_state(subject.tenant, document_id, DocumentState.DELETED)
        self._ports.index_sync.run()
        return epoch

    # Applications, keys. --------------------------------------------------------------------------------------------

    def register_application(
        self,
        subject: Subject,
        application: Application,
        *,
        with_key: bool,
        replace_keys: bool = False,
    ) -> str | None:
        """Creates or replaces an application; returns its new API key, which is shown this once.

        Earlier keys stay good beside it unless `replace_keys`: for a leaked one.
        """
        self._acts.require_on_tenant(subject, Action.APPLICATION_WRITE)
        require_principal(application.principal)
        if (
            tenant_of(application.principal) != subject.tenant
            or application.tenant != subject.tenant
        ):
            raise InvalidRequestError("an application belongs to your tenant")
        text, prefix, digest = self._ports.new_key() if with_key else (None, None, None)
        self._record_act(subject, "register_application", application.principal)
        self._ports.catalog.save_application(
            application, key_prefix=prefix, key_sha256=digest, replace_keys=replace_keys
        )
        return text

    def rotate_key(self, subject: Subject, classification: Classification) -> tuple[str, int]:
        """A new KEK version for what is written from now on; earlier versions still open what they wrapped."""
        self._acts.require(
            subject, Action.KEY_ROTATE, administrative(subject.tenant, classification)
        )
        kek_id, version = self._ports.keyring.rotate(subject.tenant, classification)
        details = {"kek": kek_id, "version": version, "classification": classification.name}
        self._record(EventType.KEY_ROTATED, subject, "permit", details, durable=True)
        return kek_id, version

    def keys(self, subject: Subject) -> Sequence[KEKStatus]:
        """The tenant's KEK versions, without key material."""
        self._acts.require_on_tenant(subject, Action.KEY_ROTATE)
        status = self._ports.keyring.status()
        return [key for key in status if key.tenant in ("", subject.tenant)]

    # Questions. -----------------------------------------------------------------------------------------------------

    def explain(self, subject: Subject, principal: str, document_id: str) -> Explanation:
        """Why `principal` may or may not read a document; for those who may ask about any document of that corpus."""
        require_principal(principal)
        if tenant_of(principal) != subject.tenant:
            raise NotFoundError
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        if not self._acts.may(subject, Action.ACCESS_EXPLAIN, record.label):
            raise NotFoundError
        return self._ports.pdp.explain(
            subject.tenant, principal, record.label, self._acts.context()
        )

    def audit_entries(self, subject: Subject, *, start: int, limit: int) -> Sequence[AuditEntry]:
        """This tenant's entries among the `limit` from index `start` on. Raises `access.denied`."""
        self._acts.require_on_tenant(subject, Action.AUDIT_READ)
        found = self._ports.audit.entries(start=start, limit=min(limit, 1000))
        return [entry for entry in found if json.loads(entry.data)["tenant"] == subject.tenant]

    def verify_audit(
        self, subject: Subject, anchor: tuple[int, str] | None = None
    ) -> AuditVerification:
        """Checks the log, against an anchor if the caller kept one."""
        self._acts.require_on_tenant(subject, Action.AUDIT_READ)
        return self._ports.audit.verify(anchor=anchor)

    # How. -----------------------------------------------------------------------------------------------------------

    def _every_document(self, tenant: str, corpus: str | None) -> Iterator[DocumentRecord]:
        offset = 0
        while page := self._ports.catalog.documents(
            tenant, corpus=corpus, limit=_PAGE, offset=offset
        ):
            yield from page
            offset += len(page)

    def _may_know(self, subject: Subject, label: AccessLabel) -> bool:
        """Whether a subject may learn that something under this label exists."""
        return any(self._acts.may(subject, action, label) for action in KNOWING_ACTIONS)

    def _record_act(self, subject: Subject, act: str, target: str, reason: str = "") -> None:
        details = {"act": act, "target": target, "reason": reason}
        self._record(EventType.ADMIN_ACT, subject, "permit", details, durable=True)
