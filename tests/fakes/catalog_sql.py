"""A catalog in memory: the same contract, nothing kept. For tests of flows that should not wait for a disk."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace

from ragward.adapters.catalog_sql.applications import require_acceptable as require_application
from ragward.adapters.catalog_sql.connection import is_storable
from ragward.adapters.catalog_sql.filters import parse_filter
from ragward.adapters.catalog_sql.labels import types_to_text
from ragward.adapters.catalog_sql.policy import valid_policy
from ragward.adapters.catalog_sql.versions import require_acceptable as require_version
from ragward.domain.access import TenantHead
from ragward.domain.corpus import (
    CatalogSnapshot,
    DocumentRecord,
    DocumentState,
    IndexScope,
    KeyReference,
    OutboxItem,
    Pending,
    PendingVersion,
    StoredChunk,
    StoredVector,
)
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.fingerprints import FingerprintMatch
from ragward.domain.identities import ApplicationKey
from ragward.domain.jobs import SEEN, ItemOutcome, JobRecord, JobState
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_change import PolicyEdit, PolicyVersion, ProposalState
from ragward.domain.tallies import Tally
from tests.fakes.generations import FakeGenerations
from tests.fakes.lineage import FakeLineage
from tests.fakes.reviews import FakeReviews
from tests.fakes.task_grants import FakeTaskGrants

_FINAL = {JobState.CANCELED, JobState.FAILED, JobState.COMPLETED_WITH_ERRORS, JobState.SUCCESS}
_NO_KEY = KeyReference(dek_id="", kek_id="", kek_version=0, wrapped_dek=b"")


@dataclass
class _Document:
    record: DocumentRecord
    key: KeyReference
    chunks: tuple
    bound: AccessLabel | None = None
    origin: str | None = None


@dataclass
class _Point:
    document: _Document
    chunk: object
    point: object


@dataclass
class _Job:
    record: JobRecord
    items: list = field(default_factory=list)
    canceled: bool = False


class FakeCatalog(FakeReviews, FakeTaskGrants, FakeLineage, FakeGenerations):
    """`ragward.ports.Catalog` in dictionaries, one lock over all. `now` is Unix seconds."""

    def __init__(self, now=lambda: 1_700_000_000):
        self._now = now
        self._lock = threading.RLock()
        self._epochs = Counter()
        self._policy_epochs = Counter()
        self._policies = {}
        self._versions = []  # (version, policy)
        self._proposals = {}
        self._labels = {}  # label -> id
        self._scopes = {}  # (label id, view, entity types) -> id
        self._applications = {}
        self._keys = {}
        self._documents = {}
        self._points = {}
        self._outbox = {}  # point id -> (sequence, action, tenant, document id, version)
        self._sequence = 0
        self._marks = {}  # document id -> (tenant, mark)
        self._tenant_marks = {}
        self._jobs = {}
        self._pseudonyms = {}  # (tenant, tag) -> the row
        self._reviews = {}
        self._task_grants = {}
        self._meta = {}
        self._begin_lineage()

    def check_ready(self):
        """Always."""

    def separation(self):
        return True, "in memory"

    def close(self):
        """Nothing to release."""

    def meta(self, key):
        return self._meta.get(key)

    def set_meta(self, key, value):
        self._meta[key] = value

    # Policy

    def epoch(self, tenant):
        return self._epochs[tenant]

    def head(self, tenant):
        with self._lock:
            return TenantHead(
                epoch=self._epochs[tenant],
                policy_epoch=self._policy_epochs[tenant],
                last_label_id=max(self.labels(tenant), default=0),
                last_scope_id=max((s.scope_id for s in self.scopes(tenant)), default=0),
                has_pending=any(item.tenant == tenant for item in self._work()),
            )

    def policy(self, tenant):
        with self._lock:
            found = self._policies.get(tenant, PolicySnapshot(tenant, 0, (), ()))
            return replace(found, epoch=self._epochs[tenant])

    def replace_policy(
        self, tenant, rows, memberships, author, *, reason="", expected_version=None
    ):
        with self._lock:
            wanted = valid_policy(tenant, rows, memberships)
            self._require_version(tenant, expected_version)
            return self._write_policy(wanted, author, reason, None)

    def change_policy(self, tenant, *, author, reason="", **change):
        with self._lock:
            edit = PolicyEdit(**{name: frozenset(items) for name, items in change.items()})
            after = edit.applied_to(self.policy(tenant))
            return self.replace_policy(tenant, after.rows, after.memberships, author, reason=reason)

    def policy_versions(self, tenant, *, before=None, limit=100):
        found = [v for v, policy in self._versions if policy.tenant == tenant]
        return [v for v in reversed(found) if before is None or v.number < before][:limit]

    def policy_version(self, tenant, number):
        for version, policy in self._versions:
            if (policy.tenant, version.number) == (tenant, number):
                return version, policy
        raise NotFoundError

    def add_proposal(self, proposal):
        with self._lock:
            self._require_version(proposal.tenant, proposal.base_version)
            self._proposals[proposal.proposal_id] = proposal

    def proposals(self, tenant, *, limit=100):
        found = [each for each in self._proposals.values() if each.tenant == tenant]
        return sorted(found, key=lambda each: (-each.at, each.proposal_id))[:limit]

    def proposal(self, tenant, proposal_id):
        found = self._proposals.get(proposal_id)
        if found is None or found.tenant != tenant:
            raise NotFoundError
        return found

    def approve_proposal(self, tenant, proposal_id, *, decided_by, reason):
        with self._lock:
            proposal = self.proposal(tenant, proposal_id)
            self._decide(proposal, ProposalState.APPROVED, decided_by, reason)
            wanted = valid_policy(tenant, proposal.rows, proposal.memberships)
            return self._write_policy(wanted, proposal.author, proposal.reason, decided_by)

    def reject_proposal(self, tenant, proposal_id, *, decided_by, reason):
        with self._lock:
            proposal = self.proposal(tenant, proposal_id)
            self._decide(proposal, ProposalState.REJECTED, decided_by, reason)

    def _require_version(self, tenant, expected):
        if expected not in (None, self.policy(tenant).version):
            raise ConflictError(code="policy.conflict")

    def _decide(self, proposal, state, decided_by, reason):
        if proposal.state_at(self._now()) is not ProposalState.PENDING:
            raise ConflictError(code="policy.conflict")
        self._proposals[proposal.proposal_id] = replace(
            proposal,
            state=state,
            decided_by=decided_by,
            decided_at=self._now(),
            decision_reason=reason,
        )

    def _write_policy(self, wanted, author, reason, approved_by):
        number = self._policy_epochs[wanted.tenant] = self._move(wanted.tenant)
        wanted = replace(wanted, epoch=number, version=number)
        self._policies[wanted.tenant] = wanted
        version = PolicyVersion(
            number=number,
            author=author,
            at=self._now(),
            reason=reason,
            approved_by=approved_by,
            digest=wanted.digest(),
        )
        self._versions.append((version, wanted))
        for each in self.proposals(wanted.tenant):
            if each.state is ProposalState.PENDING:
                superseded = replace(each, state=ProposalState.SUPERSEDED, decided_at=self._now())
                self._proposals[each.proposal_id] = superseded
        return number

    # Labels and scopes

    def labels(self, tenant, *, after=0):
        with self._lock:
            return {
                i: each for each, i in self._labels.items() if each.tenant == tenant and i > after
            }

    def scopes(self, tenant, *, after=0):
        with self._lock:
            known = self.labels(tenant)
            return [
                IndexScope(
                    scope_id=i,
                    label_id=label_id,
                    corpus=known[label_id].corpus,
                    view=view,
                    entity_types=types,
                )
                for (label_id, view, types), i in self._scopes.items()
                if label_id in known and i > after
            ]

    # Applications

    def find_application(self, tenant, client_id):
        return self._live(self._applications.get((tenant, client_id)))

    def find_application_by_key(self, prefix):
        key = self._keys.get(prefix)
        found = None if key is None else self._live(self._applications.get(key[1]))
        if found is None or (key[2] is not None and key[2] <= self._now()):
            return None
        return ApplicationKey(sha256=key[0], application=found, not_after=key[2])

    def save_application(
        self,
        application,
        *,
        key_prefix,
        key_sha256,
        replace_keys=False,
        custody=None,
        key_expires_at=None,
        earlier_keys_end_at=None,
    ):
        require_application(application, key_prefix, key_sha256)
        with self._lock:
            name = (application.tenant, application.client_id)
            if replace_keys:
                self._keys = {p: key for p, key in self._keys.items() if key[1] != name}
            if key_prefix is not None:
                if key_prefix in self._keys:
                    raise ConflictError
                soon = earlier_keys_end_at
                for prefix, (digest, of, ends) in list(self._keys.items()):
                    if of == name and soon is not None:
                        self._keys[prefix] = (digest, of, min(soon, ends or soon))
                self._keys[key_prefix] = (key_sha256, name, key_expires_at)
            self._applications[name] = application
            self._move(application.tenant)

    def applications(self, tenant):
        return [each for (owner, _), each in sorted(self._applications.items()) if owner == tenant]

    # Documents

    def find_document(self, tenant, corpus, source):
        for document in self._documents.values():
            record = document.record
            if (record.tenant, record.corpus, record.source) == (tenant, corpus, source):
                return record
        return None

    def get_document(self, tenant, document_id):
        return self._current(tenant, document_id).record

    def documents(self, tenant, *, corpus=None, limit=1000, after=None):
        if limit < 0:
            raise InvalidRequestError
        found = [
            each.record
            for each in self._documents.values()
            if each.record.tenant == tenant
            and each.record.state is not DocumentState.DELETED
            and corpus in (None, each.record.corpus)
            and (after is None or (each.record.corpus, each.record.source) > after)
        ]
        return sorted(found, key=lambda record: (record.corpus, record.source))[:limit]

    def documents_under(self, tenant, label_ids, *, states, after="", limit):
        if limit < 0 or not is_storable(after):
            raise InvalidRequestError
        found = [
            each.record
            for each in self._documents.values()
            if each.record.tenant == tenant
            and each.record.label_id in label_ids
            and each.record.state in states
            and each.record.document_id > after
        ]
        return sorted(found, key=lambda record: record.document_id)[:limit]

    def documents_per_label(self, tenant):
        return dict(
            Counter(
                each.record.label_id
                for each in self._documents.values()
                if each.record.tenant == tenant and each.record.state is DocumentState.ACTIVE
            )
        )

    def tallies(self, tenant):
        counted = Counter(
            (each.record.label_id, each.record.state, bool(each.record.pending.value))
            for each in self._documents.values()
            if each.record.tenant == tenant
            and each.record.state in (DocumentState.ACTIVE, DocumentState.GONE)
        )
        return [
            Tally(
                label_id=label_id,
                is_active=state is DocumentState.ACTIVE,
                is_pending=pending,
                documents=number,
            )
            for (label_id, state, pending), number in counted.items()
        ]

    def count_gone(self, tenant):
        return sum(
            each.record.tenant == tenant and each.record.gone_since is not None
            for each in self._documents.values()
        )

    def personal_data(self, tenant):
        return dict(
            Counter(
                name
                for each in self._documents.values()
                if each.record.tenant == tenant
                for chunk in each.chunks
                for name in chunk.entity_types
            )
        )

    def commit_version(self, staged):
        require_version(staged)
        for chunk in staged.chunks:
            types_to_text(chunk.entity_types)
        new = [(point.point_id, chunk, point) for chunk in staged.chunks for point in chunk.points]
        with self._lock:
            self._require_open(staged.tenant, staged.decided)
            before = self._predecessor(staged)
            self._require_live(staged)
            if any(point_id in self._points for point_id, _, _ in new):
                raise ConflictError
            label_id = self._intern(staged.label, staged.chunks)
            document = self._document(staged, label_id)
            self._list(document, before, staged)
            self._documents[staged.document_id] = document
            if before is not None:
                self._retire(before)
            for point_id, chunk, point in new:
                self._points[point_id] = _Point(document, chunk, point)
            if staged.state is DocumentState.ACTIVE:
                self._queue(document, "upsert")
            self._follow_version(staged)
            self._follow_lineage(staged)
            was_active = before is not None and before.record.state is DocumentState.ACTIVE
            if was_active and (
                before.record.label_id != label_id or staged.state is not DocumentState.ACTIVE
            ):
                return self._move(staged.tenant)
            return self._epochs[staged.tenant]

    def relabel(self, tenant, moves):
        with self._lock:
            found = [self._movable(tenant, move) for move in moves]
            for move in moves:
                self._require_open(tenant, move.decided)
            for document, move in zip(found, moves, strict=True):
                record = document.record
                label_id = self._intern(move.label, document.chunks)
                rewrap = move.pending is Pending.REWRAP
                document.bound = (document.bound or record.label) if rewrap else None
                if label_id != record.label_id and record.state is DocumentState.ACTIVE:
                    self._queue(document, "upsert")
                nameless = move.label.classification > Classification.INTERNAL
                document.key = move.key
                document.record = replace(
                    record,
                    label=move.label,
                    label_id=label_id,
                    key=move.key,
                    pending=move.pending,
                    title="" if nameless else record.title,
                    evidence=(*record.evidence, move.note),
                    claimed=record.claimed if move.claimed is None else move.claimed,
                )
                self._follow_label(tenant, move)
            return self._move(tenant)

    def _movable(self, tenant, move):
        document = self._current(tenant, move.document_id)
        record = document.record
        if (move.label.tenant, move.label.corpus) != (tenant, record.corpus):
            raise InvalidRequestError(code="label.invalid")
        expected = (move.version, move.expected_label_id, move.key.dek_id)
        if expected != (record.version, record.label_id, record.key.dek_id):
            raise ConflictError
        return document

    def finish_rewrap(self, done, key, then):
        with self._lock:
            document = self._current(done.tenant, done.document_id)
            record = document.record
            if (record.version, record.label, record.pending) != (
                done.version,
                done.label,
                Pending.REWRAP,
            ):
                return False
            document.key, document.bound = key, None
            document.record = replace(record, key=key, pending=then)
            self._mark(document.record)
            return True

    def pending_versions(self, *, limit):
        with self._lock:
            waiting = [each for each in self._documents.values() if self._waits(each.record)]
            return [
                PendingVersion(
                    tenant=each.record.tenant,
                    document_id=each.record.document_id,
                    version=each.record.version,
                    pending=each.record.pending,
                    label=each.record.label,
                    bound_label=each.bound or each.record.label,
                    key=each.record.key,
                )
                for each in waiting[:limit]
            ]

    def count_pending(self):
        with self._lock:
            waiting = [each.record for each in self._documents.values()]
            return dict(Counter(record.pending for record in waiting if self._waits(record)))

    @staticmethod
    def _waits(record):
        return record.pending and record.state is not DocumentState.DELETED

    def set_state(self, tenant, document_id, state):
        if state in {DocumentState.STAGED, DocumentState.SUPERSEDED}:
            raise InvalidRequestError
        with self._lock:
            document = self._current(tenant, document_id)
            if document.record.state is state:
                return self._epochs[tenant]
            if state is DocumentState.DELETED:
                self._retire(document)
                document.record = replace(
                    document.record, state=state, source_digest=b"", title="", attributes={}
                )
            else:
                document.record = replace(document.record, state=state)
                self._queue(document, "upsert" if state is DocumentState.ACTIVE else "delete")
            self._follow_state(document.record, document.record.version, state)
            return self._move(tenant)

    def rescreen(self, tenant, found):
        with self._lock:
            document = self._current(tenant, found.document_id)
            record = document.record
            if (record.version, record.state) != (found.version, found.expected_state):
                raise ConflictError
            for at in self._points_of(document):
                if now := found.chunks.get(at.chunk.chunk_id):
                    at.chunk = replace(
                        at.chunk,
                        verdict=now.verdict.value,
                        rules=now.rules,
                        rule_set=now.rule_set,
                    )
            self._judge_lineage(tenant, found.chunks)
            if found.note:
                document.record = replace(record, evidence=(*record.evidence, found.note))
            if found.state is record.state:
                return self._epochs[tenant]
            return self.set_state(tenant, found.document_id, found.state)

    def stored_chunks(self, tenant, point_ids):
        with self._lock:
            found = {
                point_id: self._stored(self._points[point_id])
                for point_id in point_ids
                if point_id in self._points
                and self._points[point_id].document.record.tenant == tenant
            }
            return CatalogSnapshot(epoch=self._epochs[tenant], chunks=found)

    def document_chunks(self, tenant, document_id):
        with self._lock:
            document = self._current(tenant, document_id)
            return [self._stored(each) for each in self._points_of(document)]

    def chunks_sharing(self, tenant, wanted):
        with self._lock:
            held = (DocumentState.ACTIVE, DocumentState.QUARANTINED, DocumentState.GONE)
            found = {
                at.chunk.chunk_id: FingerprintMatch(
                    chunk_id=at.chunk.chunk_id,
                    document_id=at.document.record.document_id,
                    label_id=at.document.record.label_id,
                    is_active=at.document.record.state is DocumentState.ACTIVE,
                    shared=at.chunk.fingerprints & set(wanted),
                )
                for at in self._points.values()
                if at.document.record.tenant == tenant and at.document.record.state in held
            }
            return [found[chunk_id] for chunk_id in sorted(found) if found[chunk_id].shared]

    def points_with_attributes(self, tenant, filters, *, admits, limit):
        wanted = parse_filter(filters)
        with self._lock:
            found = [
                point
                for document in self._documents.values()
                if document.record.tenant == tenant
                and document.record.state is DocumentState.ACTIVE
                and admits(document.record.label_id)
                and wanted.matches(document.record.attributes)
                for point in self._points_of(document)
            ]
        if len({point.chunk.chunk_id for point in found}) > limit:
            raise InvalidRequestError(code="request.filter_too_broad")
        return sorted(point.point.point_id for point in found)

    # Pseudonyms

    def pseudonym_tokens(self, tenant, tags):
        with self._lock:
            rows = ((tag, self._pseudonyms.get((tenant, tag))) for tag in tags)
            return {tag: row.token for tag, row in rows if row}

    def add_pseudonyms(self, tenant, new):
        with self._lock:
            for each in new:
                self._pseudonyms.setdefault((tenant, each.tag), each)
            return self.pseudonym_tokens(tenant, [each.tag for each in new])

    def find_pseudonym(self, tenant, token):
        with self._lock:
            found = [
                row
                for (of, _), row in self._pseudonyms.items()
                if (of, row.token) == (tenant, token)
            ]
            return found[0] if found else None

    def pseudonym_kinds(self, tenant):
        with self._lock:
            return {
                (row.purpose, row.entity_type)
                for (of, _), row in self._pseudonyms.items()
                if of == tenant
            }

    def erase_pseudonyms(self, tenant, tokens):
        with self._lock:
            gone = [
                name
                for name, row in self._pseudonyms.items()
                if name[0] == tenant and row.token in tokens
            ]
            for name in gone:
                del self._pseudonyms[name]
            return len(gone)

    def recover(self):
        running = {JobState.NOT_STARTED, JobState.IN_PROGRESS}
        for job in self._jobs.values():
            if job.record.state in running:
                job.record = replace(job.record, state=JobState.INTERRUPTED)
        return 0  # a version is stored in one step here

    # Outbox

    def pending_points(self, tenant, *, limit):
        with self._lock:
            waiting = [
                (item.point_id, item.scope_id)
                for item in self._work()
                if item.tenant == tenant and item.scope_id is not None
            ]
            return dict(waiting[:limit])

    def owed_points(self, tenant, *, limit):
        with self._lock:
            owed = dict.fromkeys(i.point_id for i in self._work() if i.tenant == tenant)
            return frozenset(list(owed)[:limit])

    def next_work(self, *, limit):
        with self._lock:
            ready = [item for item in self._work() if not self._is_locked(item)]
            return ready[:limit]

    def _is_locked(self, item):
        at = self._points.get(item.point_id)
        return at is not None and at.document.record.pending is Pending.REWRAP

    def finish_work(self, entries):
        with self._lock:
            for entry in entries:
                name = entry.point_id
                if self._outbox.get(name, (entry.sequence + 1,))[0] <= entry.sequence:
                    del self._outbox[name]
                facts = entry.tenant, entry.document_id, entry.version
                if self._item(name, 0, "upsert", *facts).scope_id != entry.scope_id:
                    self._sequence += 1
                    self._outbox[name] = (self._sequence, "upsert", *facts)

    def requeue_all(self):
        with self._lock:
            active = [
                each
                for each in self._documents.values()
                if each.record.state is DocumentState.ACTIVE
            ]
            return sum(self._queue(each, "upsert") for each in active)

    # Jobs

    def create_job(self, tenant, requested_by, total, *, request=None):
        record = JobRecord(
            job_id=str(uuid.uuid4()),
            tenant=tenant,
            state=JobState.NOT_STARTED,
            requested_by=requested_by,
            total=total,
            done=0,
            counts={},
            errors=(),
            created_at=self._now(),
            updated_at=self._now(),
            request=None if request is None else type(request).from_json(request.to_json()),
        )
        self._jobs[record.job_id] = _Job(record)
        return record

    def jobs(self, tenant, *, requested_by=None, limit):
        found = [
            replace(job.record, errors=(), notes=())
            for job in self._jobs.values()
            if job.record.tenant == tenant and requested_by in (None, job.record.requested_by)
        ]
        return sorted(found, key=lambda each: (-each.created_at, each.job_id))[:limit]

    def items_of_job(self, tenant, job_id, *, after=0, limit):
        job = self._jobs.get(job_id)
        mine = job.items if job and job.record.tenant == tenant else []
        page = mine[after : after + limit]
        return page, after + len(page)

    def ask_cancel(self, tenant, job_id):
        with self._lock:
            job = self._job(tenant, job_id)
            if not job.record.state.is_running:
                raise ConflictError(code="job.not_cancellable")
            job.canceled = True

    def cancel_asked(self, tenant, job_id):
        job = self._jobs.get(job_id)
        return bool(job and job.record.tenant == tenant and job.canceled)

    # Presence

    def documents_of_origin(self, tenant, origin, *, after="", limit):
        found = [
            each.record
            for name, each in sorted(self._documents.items())
            if each.record.tenant == tenant
            and each.origin == origin
            and name > after
            and each.record.state is not DocumentState.DELETED
        ]
        return found[:limit]

    def mark_gone(self, tenant, marks):
        held = (DocumentState.ACTIVE, DocumentState.QUARANTINED, DocumentState.GONE)
        if not all(mark.state in held for mark in marks):
            raise InvalidRequestError
        with self._lock:
            done = []
            for mark in marks:
                document = self._documents.get(mark.document_id)
                record = document and document.record
                as_expected = (tenant, mark.version, mark.expected_state)
                if not record or (record.tenant, record.version, record.state) != as_expected:
                    continue
                document.record = replace(record, state=mark.state, gone_since=mark.since)
                done.append(mark)
                if mark.state is not mark.expected_state:
                    there = mark.state is DocumentState.ACTIVE
                    self._queue(document, "upsert" if there else "delete")
            if any(mark.state is not mark.expected_state for mark in done):
                self._move(tenant)
            return [mark.document_id for mark in done]

    def record_item(self, tenant, job_id, result):
        with self._lock:
            job = self._job(tenant, job_id)
            job.items.append(result)
            origin = job.record.request and job.record.request.origin
            if origin and result.document_id in self._documents and result.outcome in SEEN:
                self._documents[result.document_id].origin = origin
            bad = {ItemOutcome.FAILED, ItemOutcome.QUARANTINED}
            job.record = replace(
                job.record,
                done=len(job.items),
                counts=dict(Counter(item.outcome.value for item in job.items)),
                errors=tuple(item for item in job.items if item.outcome in bad)[:1000],
                updated_at=self._now(),
            )

    def set_job_state(self, tenant, job_id, state, *, total=None):
        with self._lock:
            job = self._job(tenant, job_id)
            if job.record.state in _FINAL and job.record.state is not state:
                raise ConflictError(code="job.not_cancellable")
            kept = job.record.total if total is None else total
            job.record = replace(job.record, state=state, total=kept, updated_at=self._now())

    def get_job(self, tenant, job_id):
        return self._job(tenant, job_id).record

    # What the methods above are made of

    def _move(self, tenant):
        self._epochs[tenant] += 1
        return self._epochs[tenant]

    def _live(self, application):
        if application is None:
            return None
        expires = application.expires_at
        return application if expires is None or expires > self._now() else None

    def _job(self, tenant, job_id):
        job = self._jobs.get(job_id)
        if job is None or job.record.tenant != tenant:
            raise NotFoundError
        return job

    def _current(self, tenant, document_id):
        document = self._documents.get(document_id)
        if (
            document is None
            or document.record.tenant != tenant
            or document.record.state is DocumentState.DELETED
        ):
            raise NotFoundError
        return document

    def _predecessor(self, staged):
        before = self._documents.get(staged.document_id)
        name = (staged.tenant, staged.corpus, staged.source)
        if before is None:
            if self.find_document(*name) is not None:
                raise ConflictError
        elif (before.record.tenant, before.record.corpus, before.record.source) != name:
            raise ConflictError
        if staged.version != (before.record.version if before else 0) + 1:
            raise ConflictError
        if before and staged.replaces_label_id not in (None, before.record.label_id):
            raise ConflictError
        return before

    def _document(self, staged, label_id):
        key = KeyReference(
            dek_id=staged.dek_id,
            kek_id=staged.kek_id,
            kek_version=staged.kek_version,
            wrapped_dek=staged.wrapped_dek,
        )
        record = DocumentRecord(
            document_id=staged.document_id,
            version=staged.version,
            tenant=staged.tenant,
            corpus=staged.corpus,
            source=staged.source,
            source_digest=staged.source_digest,
            state=staged.state,
            title=staged.title,
            media_type=staged.media_type,
            label_id=label_id,
            label=staged.label,
            attributes=dict(staged.attributes),
            claimed=staged.claimed,
            evidence=tuple(staged.evidence),
            chunk_count=len(staged.chunks),
            created_at=self._now(),
            key=key,
        )
        return _Document(record, key, tuple(staged.chunks))

    def _list(self, document, before, staged):
        if staged.doubts is not None:
            job = self._jobs.get(staged.job_id)
            request = job.record.request if job else None
            document.origin = request.origin if request else None
        elif before is not None:
            document.origin = before.origin
            document.record = replace(document.record, gone_since=before.record.gone_since)

    def _intern(self, label, chunks):
        label_id = self._labels.setdefault(label, len(self._labels) + 1)
        for chunk in chunks:
            for point in chunk.points:
                name = (label_id, point.view, chunk.entity_types)
                self._scopes.setdefault(name, len(self._scopes) + 1)
        return label_id

    def _points_of(self, document):
        found = [each for each in self._points.values() if each.document is document]
        return sorted(found, key=lambda each: (each.chunk.ordinal, each.point.view))

    def _retire(self, document):
        self._queue(document, "delete")
        for each in self._points_of(document):
            del self._points[each.point.point_id]

    def _queue(self, document, action):
        record = document.record
        self._mark(record)
        found = self._points_of(document)
        for each in found:
            self._sequence += 1
            self._outbox[each.point.point_id] = (
                self._sequence,
                action,
                record.tenant,
                record.document_id,
                record.version,
            )
        return len(found)

    # Vectors

    def tenant_of_scope(self, scope_id):
        with self._lock:
            for (label_id, _, _), known in self._scopes.items():
                if known == scope_id:
                    return next(of.tenant for of, n in self._labels.items() if n == label_id)
            return None

    def vector_mark(self, tenant):
        with self._lock:
            return self._tenant_marks.get(tenant, 0)

    def documents_moved(self, tenant, *, since):
        with self._lock:
            moved = [d for d, (of, mark) in self._marks.items() if of == tenant and mark > since]
            return self.vector_mark(tenant), moved

    def documents_answering(self, tenant, label_ids):
        with self._lock:
            return sorted(
                each.record.document_id
                for each in self._documents.values()
                if each.record.tenant == tenant
                and each.record.label_id in label_ids
                and each.record.state is DocumentState.ACTIVE
                and each.record.pending is not Pending.REWRAP
            )

    def vectors_of(self, tenant, document_ids, label_ids, *, generation=1):
        with self._lock:
            return [
                self._vector(at, generation)
                for at in self._points.values()
                if at.document.record.tenant == tenant
                and at.document.record.document_id in document_ids
                and at.document.record.label_id in label_ids
                and self._answers(at)
                and self._has(at, generation)
            ]

    def vectors_named(self, point_ids, *, generation=1):
        with self._lock:
            named = [self._points[name] for name in set(point_ids) if name in self._points]
            return [
                self._vector(at, generation)
                for at in named
                if self._answers(at) and self._has(at, generation)
            ]

    def vector_blobs(self, tenant, document_id, *, generation=1):
        with self._lock:
            points = self._points_of(self._current(tenant, document_id))
            return {
                at.point.point_id: self._blob(at, generation)
                for at in points
                if self._has(at, generation)
            }

    @staticmethod
    def _blob(at, generation):
        return at.point.further.get(generation, at.point.vector_blob)

    @staticmethod
    def _answers(at):
        record = at.document.record
        return record.state is DocumentState.ACTIVE and record.pending is not Pending.REWRAP

    def _vector(self, at, generation):
        record = at.document.record
        return StoredVector(
            point_id=at.point.point_id,
            scope_id=self._scope(at),
            tenant=record.tenant,
            document_id=record.document_id,
            version=record.version,
            label_digest=record.label.digest(),
            key=at.document.key,
            vector_blob=self._blob(at, generation),
            generation=generation,
        )

    def _mark(self, record):
        mark = self._tenant_marks.get(record.tenant, 0) + 1
        self._tenant_marks[record.tenant] = mark
        self._marks[record.document_id] = (record.tenant, mark)

    def _work(self):
        ordered = sorted(self._outbox.items(), key=lambda entry: entry[1][0])
        return [self._item(point_id, *entry) for point_id, entry in ordered]

    def _item(self, point_id, sequence, action, tenant, document_id, version):
        at = self._points.get(point_id)
        active = at is not None and at.document.record.state is DocumentState.ACTIVE
        put = action == "upsert" and active
        return OutboxItem(
            sequence=sequence,
            point_id=point_id,
            scope_id=self._scope(at) if put else None,
            tenant=tenant,
            document_id=document_id,
            version=version,
            label_digest=at.document.record.label.digest() if put else b"",
            classification=self._documents[document_id].record.label.classification,
            key=at.document.key if put else _NO_KEY,
            vector_blob=at.point.vector_blob if put else b"",
            further=at.point.further if put else {},
        )

    def _scope(self, at):
        return self._scopes[at.document.record.label_id, at.point.view, at.chunk.entity_types]

    def _stored(self, at):
        record = at.document.record
        return StoredChunk(
            point_id=at.point.point_id,
            chunk_id=at.chunk.chunk_id,
            document_id=record.document_id,
            version=record.version,
            corpus=record.corpus,
            source=record.source,
            title=record.title,
            ordinal=at.chunk.ordinal,
            state=record.state,
            label_id=record.label_id,
            label=record.label,
            view=at.point.view,
            entity_types=at.chunk.entity_types,
            verdict=at.chunk.verdict,
            key=at.document.key,
            blob=at.chunk.blob,
            attributes=record.attributes,
            pending=record.pending,
            rules=at.chunk.rules,
            rule_set=at.chunk.rule_set,
        )
