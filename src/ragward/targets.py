"""What somebody means to have destroyed or held: a document, a folder, a person's, found among what the steward may know of.

A person is found in three ways: documents that are recorded as theirs (attribute, or granted to nobody else); names in clear;
and, given identifiers, by opening every text and looking for them (ADR 18: nothing is kept that says who is named where).
That is an act on the tenant as a whole, and every such search is on record, by a keyed tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState, Pending, View
from ragward.domain.errors import IntegrityError, InvalidRequestError, NotFoundError, RagwardError
from ragward.domain.keys import Reading
from ragward.domain.labels import Classification, administrative
from ragward.domain.mentions import Mentions, form_of, subject_tag
from ragward.domain.shredding import ShredKind, ShredRequest, is_about, require_subject
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, Finder, KeyLedger, PolicyDecisionPoint
from ragward.protection import Protection

MAX_DOCUMENTS: Final = 10_000
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsPorts:
    """Everything a search touches."""

    catalog: Catalog
    ledger: KeyLedger
    pdp: PolicyDecisionPoint
    protection: Protection
    finder: Finder
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """Documents, by id; `target` as evidence may name it. `values`: what texts call the person, for the vault. `unread`:
    documents that did not open."""

    documents: tuple[str, ...]
    target: str
    everything: bool
    mentions: Mentions | None = None
    values: frozenset[str] = field(default=frozenset(), repr=False)
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Whether a text names the person, and what its spans call them."""

    named: bool
    values: frozenset[str] = frozenset()


class Targets:
    """Finds them. Of anything but a person, nothing is not found."""

    def __init__(self, ports: TargetsPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def meant(self, subject: Subject, request: ShredRequest) -> Meant:
        """What a shredding is about; the subject may delete all of it. Raises `access.not_found`, `access.denied`,
        `request.invalid`, `principal.invalid`, `unavailable.*`."""
        if request.identifiers and request.kind is not ShredKind.SUBJECT:
            raise InvalidRequestError("identifiers name a person: the kind is subject")
        if request.kind is ShredKind.TENANT:
            return self._tenant(subject, request.target)
        if request.identifiers:
            return self.person(subject, request.target, request.identifiers)
        target, everything = request.target, False
        if request.kind is ShredKind.DOCUMENT:
            record = self._ports.catalog.get_document(subject.tenant, request.target)
            records = [self._acts.noticed(subject, record, "shred")]
            everything = True
        elif request.kind is ShredKind.RETENTION:
            records = [
                self._ports.catalog.get_document(subject.tenant, document_id)
                for document_id in request.documents
            ]
        elif request.kind is ShredKind.SOURCE:
            records = self.below(subject, request.target)
            target = self.source_as_evidence(subject.tenant, request.target)
        else:
            principal = require_subject(request.target, subject.tenant)
            records = self._recorded_as(subject, principal)
            target = self.tag(subject.tenant, frozenset({form_of(principal)}))
        records = [record for record in records if self._acts.may_know(subject, record)]
        if not records:
            raise NotFoundError
        _require_few(records)
        for label in {record.label for record in records}:
            self._acts.require(subject, Action.DOCUMENT_DELETE, label)
        return Meant(
            documents=tuple(record.document_id for record in records),
            target=target,
            everything=everything,
        )

    def person(
        self,
        subject: Subject,
        principal: str,
        identifiers: tuple[str, ...],
        action: Action = Action.DOCUMENT_DELETE,
    ) -> Meant:
        """Everything that names a person, or is recorded as theirs. Needs `action`, and, because every text is opened,
        `document:relabel` on the whole tenant. Raises as `meant`."""
        mentions = Mentions(identifiers)
        if principal:
            require_subject(principal, subject.tenant)
        needed = (action, Action.DOCUMENT_RELABEL)
        for each in needed:
            self._acts.require_on_tenant(subject, each)
        records: list[DocumentRecord] = []
        values, unread, all_of_it = set(identifiers), 0, True
        may: dict[int, bool] = {}
        for record in self._all(subject.tenant):
            if record.label_id not in may:
                may[record.label_id] = all(
                    self._acts.may(subject, each, record.label) for each in needed
                )
            if not may[record.label_id]:
                all_of_it = False
                continue
            theirs = bool(principal) and is_about(
                principal, record.label.granted, record.attributes
            )
            read = self._read(subject, record, mentions)
            unread += read is None
            named = (read is not None and read.named) or mentions.found_in(_in_clear(record))
            if theirs or named:
                records.append(record)
            values |= read.values if read is not None else frozenset()
        forms = mentions.forms | ({form_of(principal)} if principal else frozenset())
        target = self.tag(subject.tenant, forms)
        details = {"subject": target, "documents": len(records), "unread": unread}
        self._ports.recorder.record(
            EventType.SUBJECT_SEARCHED, subject, "permit", details, durable=True
        )
        _require_few(records)
        return Meant(
            documents=tuple(record.document_id for record in records),
            target=target,
            everything=all_of_it and not unread,
            mentions=mentions,
            values=frozenset(values),
            unread=unread,
        )

    def below(self, subject: Subject, target: str) -> list[DocumentRecord]:
        """Documents below CORPUS:FOLDER/ that the subject may know of. Raises `request.invalid`."""
        corpus, colon, folder = target.partition(":")
        if not colon or (folder and not folder.endswith("/")):
            raise InvalidRequestError("a source is CORPUS:FOLDER/, or CORPUS: for all of it")
        known = self._known(subject, corpus)
        return [record for record in known if record.source.startswith(folder)]

    def tag(self, tenant: str, forms: frozenset[str]) -> str:
        """How evidence names a person: the same for the same identifiers. Raises `unavailable.keys`."""
        return subject_tag(self._ports.protection.keyring.mac_key("subject-tag"), tenant, forms)

    def source_as_evidence(self, tenant: str, target: str) -> str:
        """CORPUS: and, where there is a folder, a tag of it: its name may be a person's."""
        corpus, _, folder = target.partition(":")
        return f"{corpus}:" + (self.tag(tenant, frozenset({folder})) if folder else "")

    def nameless(self, reason: str, mentions: Mentions | None) -> str:
        """A reason without the personal data that is found in it."""
        spans = self._ports.finder.find(reason)
        plain = self._ports.protection.redactor.redact(reason, spans, frozenset()).text
        return mentions.removed_from(plain) if mentions is not None else plain

    # How. -----------------------------------------------------------------------------------------------------------

    def _tenant(self, subject: Subject, target: str) -> Meant:
        if target != subject.tenant:
            raise NotFoundError
        for level in Classification:
            label = administrative(subject.tenant, level)
            self._acts.require(subject, Action.DOCUMENT_DELETE, label)
            self._acts.require(subject, Action.KEY_ROTATE, label)
        documents = tuple(self._ports.ledger.all_documents(subject.tenant))
        return Meant(documents=documents, target=target, everything=True)

    def _recorded_as(self, subject: Subject, principal: str) -> list[DocumentRecord]:
        return [
            record
            for record in self._known(subject, None)
            if is_about(principal, record.label.granted, record.attributes)
        ]

    def _known(self, subject: Subject, corpus: str | None) -> Iterator[DocumentRecord]:
        knowable: dict[tuple[int, DocumentState], bool] = {}
        for record in self._all(subject.tenant, corpus):
            kind = (record.label_id, record.state)
            if kind not in knowable:
                knowable[kind] = self._acts.may_know(subject, record)
            if knowable[kind]:
                yield record

    def _all(self, tenant: str, corpus: str | None = None) -> Iterator[DocumentRecord]:
        after: tuple[str, str] | None = None
        while page := self._ports.catalog.documents(
            tenant, corpus=corpus, limit=_PAGE, after=after
        ):
            after = (page[-1].corpus, page[-1].source)
            yield from page

    def _read(self, subject: Subject, record: DocumentRecord, mentions: Mentions) -> _Read | None:
        """What its text says of the person; None for one that does not open."""
        if record.pending is Pending.REWRAP:
            return None
        try:
            points = self._ports.catalog.document_chunks(record.tenant, record.document_id)
        except NotFoundError:
            return _Read(named=False)  # gone meanwhile
        chunks = [point for point in points if point.view is View.FULL]
        reading = Reading(subject=subject, action=Action.DOCUMENT_RELABEL)
        texts: list[str] = []
        values: set[str] = set()
        for content in self._ports.protection.opened(chunks, reading):
            if isinstance(content, IntegrityError | NotFoundError):
                return None
            if isinstance(content, RagwardError):
                raise content
            texts.append(content.text)
            values |= {content.text[span.start : span.end] for span in content.spans}
        called = frozenset(value for value in values if mentions.found_in(value))
        # Joined, so that a name which two chunks share is found.
        named = any(mentions.found_in(joint.join(texts)) for joint in ("", " "))
        return _Read(named=named or bool(called), values=called)


def _in_clear(record: DocumentRecord) -> str:
    attributes = json.dumps(dict(record.attributes), ensure_ascii=False)
    return "\n".join((record.source, record.title, *record.evidence, attributes))


def _require_few(records: list[DocumentRecord]) -> None:
    if len(records) > MAX_DOCUMENTS:
        raise InvalidRequestError(f"at most {MAX_DOCUMENTS} documents at once")
