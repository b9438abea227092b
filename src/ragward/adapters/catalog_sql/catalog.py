"""SQLCatalog: the system of record. Each method is one transaction unless it says otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from sqlalchemy import select, update

from ragward.adapters.catalog_sql import (
    applications,
    documents,
    fingerprints,
    hold_rows,
    jobs,
    labels,
    migration,
    outbox,
    presence,
    pseudonyms,
    relabelling,
    reviews,
    row_security,
    screenings,
    stored_chunks,
    stored_vectors,
    tallies,
    versions,
)
from ragward.adapters.catalog_sql.authority import RootKeeper, changing
from ragward.adapters.catalog_sql.authority_rows import APPLICATIONS, KEYS
from ragward.adapters.catalog_sql.connection import (
    NO_TENANT,
    Database,
    batches,
    insert_or_ignore,
    parse_url,
    sqlite_file,
)
from ragward.adapters.catalog_sql.directory import SQLDirectory
from ragward.adapters.catalog_sql.elevations import SQLElevations
from ragward.adapters.catalog_sql.filters import parse_filter
from ragward.adapters.catalog_sql.generations import SQLGenerations
from ragward.adapters.catalog_sql.holds import SQLHolds
from ragward.adapters.catalog_sql.identities import SQLIdentities
from ragward.adapters.catalog_sql.lineage import SQLLineage
from ragward.adapters.catalog_sql.policy_store import SQLPolicyStore
from ragward.adapters.catalog_sql.restrictions import SQLRestrictions
from ragward.adapters.catalog_sql.schema import meta
from ragward.adapters.catalog_sql.task_grants import SQLTaskGrants
from ragward.adapters.catalog_sql.tenants import lock_tenant
from ragward.domain.access import Application
from ragward.domain.corpus import (
    CatalogSnapshot,
    DocumentRecord,
    DocumentState,
    IndexScope,
    KeyReference,
    LabelMove,
    NewScreening,
    OutboxItem,
    Pending,
    PendingVersion,
    StagedVersion,
    StoredChunk,
    StoredVector,
)
from ragward.domain.errors import ConfigurationError, ConflictError
from ragward.domain.fingerprints import FingerprintMatch
from ragward.domain.generations import FIRST
from ragward.domain.identities import ApplicationKey, Custody, NewKey
from ragward.domain.jobs import ItemResult, JobRecord, JobState, SourceRequest
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.presence import GoneMark
from ragward.domain.pseudonyms import VaultedPseudonym
from ragward.domain.review import ReviewDecision, ReviewItem, ReviewKind, ReviewState
from ragward.domain.tallies import Tally

_DOCUMENTS_PER_REQUEUE: Final = 50


def _system_time() -> int:
    return int(time.time())


class SQLCatalog(
    SQLPolicyStore,
    SQLDirectory,
    SQLHolds,
    SQLTaskGrants,
    SQLIdentities,
    SQLElevations,
    SQLLineage,
    SQLGenerations,
    SQLRestrictions,
):
    """`ragward.ports.Catalog` on SQLite or PostgreSQL. Threads may share it; a forked process must open its own.

    Every method raises `unavailable.catalog` when the database cannot be read or written.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], int] = _system_time,
        keeper: RootKeeper | None = None,
    ) -> None:
        super().__init__(database, now=now, keeper=keeper)

    @classmethod
    def open(
        cls,
        database_url: str,
        *,
        now: Callable[[], int] = _system_time,
        keeper: RootKeeper | None = None,
    ) -> Self:
        """The catalog at `sqlite:///<file>` or `postgresql+psycopg://...`, its schema checked.

        `now` is Unix seconds; `keeper` signs what authority rows become. Raises `config.invalid`, `config.not_initialised`, `config.newer_version`,
        `unavailable.catalog`.
        """
        url = parse_url(database_url)
        path = sqlite_file(url)
        if path is not None and not path.is_file():  # connecting would create it
            raise ConfigurationError(
                "there is no catalog yet: run `ragward init`", code="config.not_initialised"
            )
        catalog = cls(Database(url), now=now, keeper=keeper)
        try:
            catalog.check_ready()
        except BaseException:
            catalog.close()
            raise
        return catalog

    @staticmethod
    def migrate(database_url: str, *, migrations_dir: Path) -> None:
        """Creates or upgrades the schema from the Alembic scripts in `migrations_dir`; up to date is fine.

        Raises `config.invalid`, `config.newer_version`, `unavailable.catalog`.
        """
        migration.migrate(database_url, migrations_dir)

    def check_ready(self) -> None:
        with self._database.read(NO_TENANT) as connection:
            migration.check_revision(connection)

    def separation(self) -> tuple[bool, str]:
        with self._database.read(NO_TENANT) as connection:
            return row_security.separation(connection)

    def close(self) -> None:
        self._database.close()

    def meta(self, key: str) -> str | None:
        with self._database.read(NO_TENANT) as connection:
            value = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
            return None if value is None else str(value)

    def set_meta(self, key: str, value: str) -> None:
        with self._database.write(NO_TENANT) as connection:
            connection.execute(insert_or_ignore(connection, meta).values(key=key, value=value))
            connection.execute(update(meta).where(meta.c.key == key).values(value=value))

    # Labels and scopes

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        with self._database.read(tenant) as connection:
            return labels.read_labels(connection, tenant, after)

    def scopes(self, tenant: str, *, after: int = 0) -> Sequence[IndexScope]:
        with self._database.read(tenant) as connection:
            return labels.read_scopes(connection, tenant, after)

    # Applications

    def find_application(self, tenant: str, client_id: str) -> Application | None:
        """None also for an application that has expired."""
        return applications.find_application(self._database, tenant, client_id, self._now())

    def find_application_by_key(self, prefix: str) -> ApplicationKey | None:
        with self._database.read_across_tenants() as connection:
            return applications.find_application_by_key(connection, prefix, self._now())

    def save_application(
        self,
        application: Application,
        *,
        key_prefix: str | None,
        key_sha256: bytes | None,
        replace_keys: bool = False,
        custody: Custody | None = None,
        key_expires_at: int | None = None,
        earlier_keys_end_at: int | None = None,
    ) -> None:
        applications.require_acceptable(application, key_prefix, key_sha256)
        key = None
        if key_prefix is not None and key_sha256 is not None:
            key = NewKey(key_id=key_prefix, sha256=key_sha256, expires_at=key_expires_at)
        with changing(
            self._database, self._keeper, application.tenant, APPLICATIONS, KEYS
        ) as connection:
            if replace_keys:
                applications.remove_keys(connection, application)
            applications.save_application(
                connection, application, key, custody, earlier_keys_end_at, self._now()
            )

    def applications(self, tenant: str) -> Sequence[Application]:
        """Expired ones too."""
        with self._database.read(tenant) as connection:
            return applications.read_applications(connection, tenant)

    # Documents

    def find_document(self, tenant: str, corpus: str, source: str) -> DocumentRecord | None:
        """A deleted document is found too, in state DELETED: the next version of its source follows on it."""
        with self._database.read(tenant) as connection:
            return documents.find_document(connection, tenant, corpus, source)

    def get_document(self, tenant: str, document_id: str) -> DocumentRecord:
        with self._database.read(tenant) as connection:
            return documents.get_document(connection, tenant, document_id)

    def documents(
        self,
        tenant: str,
        *,
        corpus: str | None = None,
        limit: int = 1000,
        after: tuple[str, str] | None = None,
    ) -> Sequence[DocumentRecord]:
        with self._database.read(tenant) as connection:
            return documents.list_documents(connection, tenant, corpus, limit, after)

    def documents_under(
        self,
        tenant: str,
        label_ids: Collection[int],
        *,
        states: Collection[DocumentState],
        after: str = "",
        limit: int,
    ) -> Sequence[DocumentRecord]:
        """One statement per 500 labels, in one snapshot."""
        with self._database.read(tenant) as connection:
            return documents.documents_under(connection, tenant, label_ids, states, after, limit)

    def documents_per_label(self, tenant: str) -> Mapping[int, int]:
        with self._database.read(tenant) as connection:
            return documents.count_per_label(connection, tenant)

    def tallies(self, tenant: str) -> Sequence[Tally]:
        with self._database.read(tenant) as connection:
            return tallies.tallies(connection, tenant)

    def count_gone(self, tenant: str) -> int:
        with self._database.read(tenant) as connection:
            return tallies.gone(connection, tenant)

    def personal_data(self, tenant: str) -> Mapping[str, int]:
        with self._database.read(tenant) as connection:
            return tallies.personal_data(connection, tenant)

    def commit_version(self, staged: StagedVersion) -> int:
        """A long document is staged in several transactions, unseen, and becomes current in one.

        Raises `catalog.exists` when the version does not follow on the current one, or one of its ids is taken.
        """
        versions.require_acceptable(staged)
        if len(staged.chunks) <= versions.SLICE:
            with self._database.write(staged.tenant) as connection:
                lock_tenant(connection, staged.tenant)
                token = versions.begin(connection, staged, self._now())
                versions.add_chunks(connection, staged, token, staged.chunks)
                epoch = versions.activate(connection, staged, token, self._now())
        else:
            epoch = self._commit_in_slices(staged)
        self._remove_content(staged.tenant, staged.document_id, staged.version - 1)
        return epoch

    def _commit_in_slices(self, staged: StagedVersion) -> int:
        with self._database.write(staged.tenant) as connection:
            lock_tenant(connection, staged.tenant)
            token = versions.begin(connection, staged, self._now())
        for part in batches(staged.chunks, versions.SLICE):
            with self._database.write(staged.tenant) as connection:
                lock_tenant(connection, staged.tenant)
                versions.add_chunks(connection, staged, token, part)
        with self._database.write(staged.tenant) as connection:
            lock_tenant(connection, staged.tenant)
            return versions.activate(connection, staged, token, self._now())

    def _remove_content(self, tenant: str, document_id: str, version: int) -> None:
        """What was too much for the transaction that retired it; `recover` does it if we are killed here."""
        with self._database.read(tenant) as connection:
            left = versions.has_content(
                connection, document_id, version
            ) and not hold_rows.preserves(connection, tenant, document_id, version)
        while left:
            with self._database.write(tenant) as connection:
                lock_tenant(connection, tenant)
                left = versions.remove_content(connection, document_id, version)

    def relabel(self, tenant: str, moves: Sequence[LabelMove]) -> int:
        """Raises `access.not_found`, `label.invalid`, and `catalog.exists` when a version, label or key is not the current one."""
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            return relabelling.relabel(connection, tenant, moves, self._now())

    def finish_rewrap(self, done: PendingVersion, key: KeyReference, then: Pending) -> bool:
        with self._database.write(done.tenant) as connection:
            lock_tenant(connection, done.tenant)
            return relabelling.finish_rewrap(connection, done, key, then)

    def pending_versions(self, *, limit: int) -> Sequence[PendingVersion]:
        with self._database.read_across_tenants() as connection:
            return relabelling.pending_versions(connection, limit)

    def count_pending(self) -> Mapping[Pending, int]:
        with self._database.read_across_tenants() as connection:
            return relabelling.count_pending(connection)

    def set_state(self, tenant: str, document_id: str, state: DocumentState) -> int:
        """Raises `access.not_found`, also for a document that is deleted already."""
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            version, epoch = versions.set_state(connection, tenant, document_id, state, self._now())
        if state is DocumentState.DELETED:
            self._remove_content(tenant, document_id, version)
        return epoch

    def rescreen(self, tenant: str, found: NewScreening) -> int:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            return screenings.rescreen(connection, tenant, found, self._now())

    def stored_chunks(self, tenant: str, point_ids: Collection[str]) -> CatalogSnapshot:
        return stored_chunks.read_stored_chunks(self._database, tenant, point_ids)

    def vector_blobs(
        self, tenant: str, document_id: str, *, generation: int = FIRST
    ) -> dict[str, bytes]:
        """Encrypted vectors of the current version by point."""
        with self._database.read(tenant) as connection:
            return documents.read_vector_blobs(connection, tenant, document_id, generation)

    def document_chunks(self, tenant: str, document_id: str) -> Sequence[StoredChunk]:
        """Raises `access.not_found`."""
        with self._database.read(tenant) as connection:
            documents.get_document(connection, tenant, document_id)
            return stored_chunks.read_document_chunks(connection, document_id, tenant)

    def chunks_sharing(self, tenant: str, wanted: Collection[int]) -> Sequence[FingerprintMatch]:
        with self._database.read(tenant) as connection:
            return fingerprints.chunks_sharing(connection, tenant, wanted)

    def count_evident(self, tenant: str, corpus: str, folder: str, line: str, *, since: int) -> int:
        with self._database.read(tenant) as connection:
            return fingerprints.count_evident(connection, tenant, (corpus, folder), line, since)

    def points_with_attributes(
        self,
        tenant: str,
        filters: Mapping[str, object],
        *,
        admits: Callable[[int], bool],
        limit: int,
    ) -> Sequence[str]:
        wanted = parse_filter(filters)
        with self._database.read(tenant) as connection:
            return documents.find_points(connection, tenant, wanted, admits, limit)

    def recover(self) -> int:
        """Several transactions. A version that a living process is staging is removed too; that one gets `catalog.exists`."""
        with self._database.read_across_tenants() as connection:
            staged = versions.staged_versions(connection)
            leftovers = versions.versions_with_leftovers(connection)
        removed = 0
        for tenant, document_id, version in staged:
            removed += self._remove_staged(tenant, document_id, version)
        for tenant, document_id, version in leftovers:
            self._remove_content(tenant, document_id, version)
        with self._database.write_across_tenants() as connection:
            jobs.interrupt_all(connection, self._now())
        return removed

    def _remove_staged(self, tenant: str, document_id: str, version: int) -> bool:
        left = True
        while left:
            with self._database.write(tenant) as connection:
                lock_tenant(connection, tenant)
                if not versions.disown(connection, document_id, version):
                    return False
                left = versions.remove_content(connection, document_id, version)
                if not left:
                    versions.remove_staged(connection, document_id, version)
        return True

    # Vectors

    def tenant_of_scope(self, scope_id: int) -> str | None:
        with self._database.read_across_tenants() as connection:
            return stored_vectors.tenant_of_scope(connection, scope_id)

    def vector_mark(self, tenant: str) -> int:
        return stored_vectors.mark_of(self._database, tenant)

    def documents_moved(self, tenant: str, *, since: int) -> tuple[int, Sequence[str]]:
        with self._database.read(tenant) as connection:
            return stored_vectors.documents_moved(connection, tenant, since)

    def documents_answering(self, tenant: str, label_ids: Collection[int]) -> Sequence[str]:
        with self._database.read(tenant) as connection:
            return stored_vectors.documents_answering(connection, tenant, label_ids)

    def vectors_of(
        self,
        tenant: str,
        document_ids: Collection[str],
        label_ids: Collection[int],
        *,
        generation: int = FIRST,
    ) -> Sequence[StoredVector]:
        with self._database.read(tenant) as connection:
            return stored_vectors.vectors_of(
                connection, tenant, document_ids, label_ids, generation
            )

    def vectors_named(
        self, point_ids: Collection[str], *, generation: int = FIRST
    ) -> Sequence[StoredVector]:
        with self._database.read_across_tenants() as connection:
            return stored_vectors.vectors_named(connection, point_ids, generation)

    # Outbox

    def pending_points(self, tenant: str, *, limit: int) -> Mapping[str, int]:
        with self._database.read(tenant) as connection:
            return outbox.pending_points(connection, tenant, limit)

    def owed_points(self, tenant: str, *, limit: int) -> Collection[str]:
        with self._database.read(tenant) as connection:
            return outbox.owed_points(connection, tenant, limit)

    def next_work(self, *, limit: int) -> Sequence[OutboxItem]:
        with self._database.read_across_tenants() as connection:
            return outbox.next_work(connection, limit)

    def finish_work(self, entries: Sequence[OutboxItem]) -> None:
        """Two transactions when something was overtaken: what is queued again is so before anything is marked done."""
        with self._database.read_across_tenants() as connection:
            again = outbox.overtaken(connection, entries)
        if again:
            with self._database.write_across_tenants() as connection:
                for tenant in sorted({entry.tenant for entry in again}):
                    lock_tenant(connection, tenant)
                outbox.queue_again(connection, again)
        with self._database.write_across_tenants() as connection:
            outbox.finish_work(connection, entries)

    def requeue_all(self) -> int:
        """Several transactions, a few documents each."""
        with self._database.read_across_tenants() as connection:
            active = outbox.active_documents(connection)
        queued = 0
        for tenant, names in active.items():
            for batch in batches(names, _DOCUMENTS_PER_REQUEUE):
                with self._database.write(tenant) as connection:
                    lock_tenant(connection, tenant)
                    for document_id, version in batch:
                        queued += outbox.queue(connection, document_id, version, outbox.UPSERT)
        return queued

    # Reviews

    def reviews(
        self,
        tenant: str,
        *,
        states: Collection[ReviewState] = (),
        kinds: Collection[ReviewKind] = (),
        document_id: str | None = None,
        after: tuple[int, str] | None = None,
        limit: int,
    ) -> Sequence[ReviewItem]:
        with self._database.read(tenant) as connection:
            return reviews.list_items(
                connection,
                tenant,
                states=states,
                kinds=kinds,
                document_id=document_id,
                after=after,
                limit=limit,
            )

    def review(self, tenant: str, item_id: str) -> ReviewItem:
        with self._database.read(tenant) as connection:
            return reviews.get_item(connection, tenant, item_id)

    def add_review(self, item: ReviewItem) -> None:
        with self._database.write(item.tenant) as connection:
            lock_tenant(connection, item.tenant)
            record = documents.get_document(connection, item.tenant, item.document_id)
            if record.version != item.version:
                raise ConflictError("the document was changed meanwhile")
            reviews.add_item(connection, item)

    def decide_review(self, tenant: str, decision: ReviewDecision) -> None:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            reviews.decide(connection, tenant, decision, self._now())

    def reviewed_levels(self, tenant: str) -> Mapping[str, tuple[int, Classification]]:
        with self._database.read(tenant) as connection:
            return reviews.decided_levels(connection, tenant)

    # Pseudonyms

    def pseudonym_tokens(self, tenant: str, tags: Collection[bytes]) -> dict[bytes, str]:
        with self._database.read(tenant) as connection:
            return pseudonyms.tokens_of(connection, tenant, tags)

    def add_pseudonyms(self, tenant: str, new: Sequence[VaultedPseudonym]) -> dict[bytes, str]:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)  # so that no rotation retires their KEK meanwhile
            return pseudonyms.add(connection, tenant, new)

    def find_pseudonym(self, tenant: str, token: str) -> VaultedPseudonym | None:
        with self._database.read(tenant) as connection:
            return pseudonyms.find(connection, tenant, token)

    def pseudonym_kinds(self, tenant: str) -> set[tuple[str, str]]:
        with self._database.read(tenant) as connection:
            return pseudonyms.kinds(connection, tenant)

    def erase_pseudonyms(self, tenant: str, tokens: Collection[str]) -> int:
        with self._database.write(tenant) as connection:
            return pseudonyms.erase(connection, tenant, tokens)

    # Jobs

    def create_job(
        self, tenant: str, requested_by: str, total: int, *, request: SourceRequest | None = None
    ) -> JobRecord:
        with self._database.write(tenant) as connection:
            return jobs.create_job(connection, tenant, requested_by, total, request, self._now())

    def jobs(
        self, tenant: str, *, requested_by: str | None = None, limit: int
    ) -> Sequence[JobRecord]:
        with self._database.read(tenant) as connection:
            return jobs.list_jobs(connection, tenant, requested_by, limit)

    def items_of_job(
        self, tenant: str, job_id: str, *, after: int = 0, limit: int
    ) -> tuple[Sequence[ItemResult], int]:
        with self._database.read(tenant) as connection:
            return jobs.items_of_job(connection, tenant, job_id, after, limit)

    def ask_cancel(self, tenant: str, job_id: str) -> None:
        """Raises `access.not_found`, `job.not_cancellable`."""
        with self._database.write(tenant) as connection:
            jobs.ask_cancel(connection, tenant, job_id, self._now())

    def cancel_asked(self, tenant: str, job_id: str) -> bool:
        with self._database.read(tenant) as connection:
            return jobs.cancel_asked(connection, tenant, job_id)

    # Presence

    def documents_of_origin(
        self, tenant: str, origin: str, *, after: str = "", limit: int
    ) -> Sequence[DocumentRecord]:
        with self._database.read(tenant) as connection:
            return presence.documents_of_origin(connection, tenant, origin, after, limit)

    def mark_gone(self, tenant: str, marks: Sequence[GoneMark]) -> Sequence[str]:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            return presence.mark_gone(connection, tenant, marks)

    def record_item(self, tenant: str, job_id: str, result: ItemResult) -> None:
        """Raises `access.not_found`."""
        with self._database.write(tenant) as connection:
            jobs.record_item(connection, tenant, job_id, result, self._now())

    def set_job_state(
        self, tenant: str, job_id: str, state: JobState, *, total: int | None = None
    ) -> None:
        """Raises `access.not_found`, and `job.not_cancellable` for a job that has ended in another state."""
        with self._database.write(tenant) as connection:
            jobs.set_job_state(connection, tenant, job_id, state, total, self._now())

    def get_job(self, tenant: str, job_id: str) -> JobRecord:
        with self._database.read(tenant) as connection:
            return jobs.get_job(connection, tenant, job_id)
