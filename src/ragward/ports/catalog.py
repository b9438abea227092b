"""The catalog: documents, what the index is owed, jobs, reviews, pseudonyms, and its side of keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from ragward.domain.corpus import (
    CatalogSnapshot,
    DocumentRecord,
    DocumentState,
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
from ragward.domain.fingerprints import FingerprintMatch
from ragward.domain.generations import FIRST
from ragward.domain.jobs import ItemResult, JobRecord, JobState, SourceRequest
from ragward.domain.labels import Classification
from ragward.domain.presence import GoneMark
from ragward.domain.pseudonyms import VaultedPseudonym
from ragward.domain.review import ReviewDecision, ReviewItem, ReviewKind, ReviewState
from ragward.domain.rotation import HeldDEK, Ledger, Rewrapped
from ragward.domain.shredding import ShredReceipt, Traces
from ragward.domain.tallies import Tally
from ragward.ports.elevation import ElevationStore
from ragward.ports.generations import GenerationStore
from ragward.ports.holds import HoldStore
from ragward.ports.identities import IdentityStore
from ragward.ports.lineage import LineageStore
from ragward.ports.policy import (
    ApplicationStore,
    DirectoryStore,
    LabelStore,
    PolicyHistory,
    PolicyStore,
)
from ragward.ports.restrictions import AccountStore, BudgetStore, RateStore, RestrictionStore
from ragward.ports.task_grants import TaskGrantStore


class DocumentStore(Protocol):
    """Documents, versions, chunks and the outbox. Short transactions; the truth."""

    def find_document(self, tenant: str, corpus: str, source: str) -> DocumentRecord | None:
        """The current version by source."""

    def get_document(self, tenant: str, document_id: str) -> DocumentRecord:
        """The current version by id. Raises `access.not_found`."""

    def documents(
        self,
        tenant: str,
        *,
        corpus: str | None = None,
        limit: int = 1000,
        after: tuple[str, str] | None = None,
    ) -> Sequence[DocumentRecord]:
        """Current versions, ordered by corpus and source, from after such a pair on."""

    def documents_under(
        self,
        tenant: str,
        label_ids: Collection[int],
        *,
        states: Collection[DocumentState],
        after: str = "",
        limit: int,
    ) -> Sequence[DocumentRecord]:
        """Current versions under any of these labels and in any of these states, by id, from after an id on."""

    def documents_per_label(self, tenant: str) -> Mapping[int, int]:
        """Label id -> active documents whose current version has it; labels without any are left out."""

    def tallies(self, tenant: str) -> Sequence[Tally]:
        """How many documents there are of which kind."""

    def count_gone(self, tenant: str) -> int:
        """How many documents are no longer at their source."""

    def personal_data(self, tenant: str) -> Mapping[str, int]:
        """Type of personal data -> stored chunks that have it."""

    def commit_version(self, staged: StagedVersion) -> int:
        """Stores a whole version, supersedes the one before, queues the index work; all or nothing.

        Returns the epoch, which moved only if something readable may have become unreadable (ADR 2)."""

    def relabel(self, tenant: str, moves: Sequence[LabelMove]) -> int:
        """Puts documents under other labels, all at once or none; returns the new epoch."""

    def pending_versions(self, *, limit: int) -> Sequence[PendingVersion]:
        """Versions of all tenants that something is still to be done to, oldest first."""

    def count_pending(self) -> Mapping[Pending, int]:
        """How many versions of all tenants wait for what."""

    def finish_rewrap(self, done: PendingVersion, key: KeyReference, then: Pending) -> bool:
        """Records that a DEK was wrapped for the label in force, and what comes next; False if that is another one by now."""

    def set_state(self, tenant: str, document_id: str, state: DocumentState) -> int:
        """Deletes, quarantines or releases the current version; returns the new epoch."""

    def rescreen(self, tenant: str, found: NewScreening) -> int:
        """Stores what newer rules say of a document; returns the epoch, which moves with the state.

        Raises `access.not_found`, and `catalog.exists` when it was changed meanwhile."""

    def stored_chunks(self, tenant: str, point_ids: Collection[str]) -> CatalogSnapshot:
        """The one authoritative read of a query: label, state, key and ciphertext by point, and the epoch."""

    def document_chunks(self, tenant: str, document_id: str) -> Sequence[StoredChunk]:
        """One stored chunk per point of the current version, in order, for rebuild, explain and relabel."""

    def vector_blobs(
        self, tenant: str, document_id: str, *, generation: int = FIRST
    ) -> Mapping[str, bytes]:
        """point id -> encrypted vector of a generation, of the current version."""

    def chunks_sharing(self, tenant: str, wanted: Collection[int]) -> Sequence[FingerprintMatch]:
        """Chunks of current versions, active or quarantined, that have any of these fingerprints, by id."""

    def count_evident(self, tenant: str, corpus: str, folder: str, line: str, *, since: int) -> int:
        """How many documents of a folder have this line in the evidence of a current version that came at `since` or later."""

    def points_with_attributes(
        self,
        tenant: str,
        filters: Mapping[str, object],
        *,
        admits: Callable[[int], bool],
        limit: int,
    ) -> Sequence[str]:
        """Point ids of active documents whose label id is admitted and whose attributes match.

        Raises `request.invalid`, and `request.filter_too_broad` for more than `limit` chunks; what is not admitted does not count."""

    def recover(self) -> int:
        """Clears up after a killed process: its unfinished versions are removed (returns how many), its jobs interrupted.

        For the one process that has an installation open, before it begins to work."""


class Outbox(Protocol):
    """Work the catalog owes the index."""

    def pending_points(self, tenant: str, *, limit: int) -> Mapping[str, int]:
        """point id -> authoritative scope id, for points whose place in the index is out of date."""

    def owed_points(self, tenant: str, *, limit: int) -> Collection[str]:
        """All points that are owed to the index, those to be taken out included."""

    def next_work(self, *, limit: int) -> Sequence[OutboxItem]:
        """The oldest unfinished entries."""

    def finish_work(self, entries: Sequence[OutboxItem]) -> None:
        """Marks entries done that have been carried out. A point that belongs somewhere else by now is queued again."""

    def requeue_all(self) -> int:
        """Queues every point of every active document again (index rebuild); returns how many."""


class VectorStore(Protocol):
    """Encrypted vectors, as whoever holds some of them opened follows them."""

    def tenant_of_scope(self, scope_id: int) -> str | None:
        """Whose index scope this is; None if there is none."""

    def vector_mark(self, tenant: str) -> int:
        """Moves with every write that changes where one of the tenant's points belongs."""

    def documents_moved(self, tenant: str, *, since: int) -> tuple[int, Sequence[str]]:
        """The mark, and the documents that moved after the mark `since`."""

    def documents_answering(self, tenant: str, label_ids: Collection[int]) -> Sequence[str]:
        """Active documents under any of these labels whose key is wrapped for it."""

    def vectors_of(
        self,
        tenant: str,
        document_ids: Collection[str],
        label_ids: Collection[int],
        *,
        generation: int = FIRST,
    ) -> Sequence[StoredVector]:
        """The vectors of a generation of those of these documents that are under one of these labels, as far as they are answered from."""

    def vectors_named(
        self, point_ids: Collection[str], *, generation: int = FIRST
    ) -> Sequence[StoredVector]:
        """The vectors of a generation of these points, as far as they are answered from."""


class JobStore(Protocol):
    """Ingest jobs."""

    def create_job(
        self, tenant: str, requested_by: str, total: int, *, request: SourceRequest | None = None
    ) -> JobRecord:
        """A new job, not started. `request` is kept with it: what it reads."""

    def jobs(
        self, tenant: str, *, requested_by: str | None = None, limit: int
    ) -> Sequence[JobRecord]:
        """Newest first; of one requester, or of all. Without what failed in each."""

    def items_of_job(
        self, tenant: str, job_id: str, *, after: int = 0, limit: int
    ) -> tuple[Sequence[ItemResult], int]:
        """(outcomes in order, from after a place on; the place of the last). Nothing of a job that is not there."""

    def ask_cancel(self, tenant: str, job_id: str) -> None:
        """Whoever works on the job is to end it. Raises `access.not_found`, `job.not_cancellable`."""

    def cancel_asked(self, tenant: str, job_id: str) -> bool:
        """Whether somebody asked; False also for a job that is not there."""

    def record_item(self, tenant: str, job_id: str, result: ItemResult) -> None:
        """Adds one file's outcome; its source lists the document from then on. Raises `access.not_found`."""

    def set_job_state(
        self, tenant: str, job_id: str, state: JobState, *, total: int | None = None
    ) -> None:
        """Moves the job. Raises `access.not_found`, `job.not_cancellable`."""

    def get_job(self, tenant: str, job_id: str) -> JobRecord:
        """Raises `access.not_found`."""


class PresenceStore(Protocol):
    """Which source lists a document, and which of its documents it no longer has."""

    def documents_of_origin(
        self, tenant: str, origin: str, *, after: str = "", limit: int
    ) -> Sequence[DocumentRecord]:
        """Current versions, not deleted, of what a source listed, by id, from after an id on."""

    def mark_gone(self, tenant: str, marks: Sequence[GoneMark]) -> Sequence[str]:
        """Applies marks whose documents are still as expected, all at once; returns the ids of those. The epoch moves with a
        state."""


class ReviewStore(Protocol):
    """What waits for a person. Questions about labels and quarantines open and close with the versions they are about."""

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
        """Oldest first, from after a (time, id) on; of any state, kind or document where none is named."""

    def review(self, tenant: str, item_id: str) -> ReviewItem:
        """Raises `access.not_found`."""

    def add_review(self, item: ReviewItem) -> None:
        """Raises `access.not_found`, and `catalog.exists` for a second open one of its kind about a document, or when that was
        changed meanwhile."""

    def decide_review(self, tenant: str, decision: ReviewDecision) -> None:
        """Closes one that needs nothing else done. Raises `access.not_found`, `review.closed`."""

    def reviewed_levels(self, tenant: str) -> Mapping[str, tuple[int, Classification]]:
        """Document id -> (version, classification) of the last decision about its label."""


class PseudonymStore(Protocol):
    """Random pseudonyms and what they stand for, encrypted. One per (tenant, tag)."""

    def pseudonym_tokens(self, tenant: str, tags: Collection[bytes]) -> Mapping[bytes, str]:
        """tag -> token, of those that are there."""

    def add_pseudonyms(self, tenant: str, new: Sequence[VaultedPseudonym]) -> Mapping[bytes, str]:
        """Adds those whose tag is not there yet, in one transaction; returns tag -> token of all: whoever was first counts."""

    def find_pseudonym(self, tenant: str, token: str) -> VaultedPseudonym | None:
        """By its token; None also for another tenant's."""

    def pseudonym_kinds(self, tenant: str) -> Collection[tuple[str, str]]:
        """The (purpose, type) of which there are any."""

    def erase_pseudonyms(self, tenant: str, tokens: Collection[str]) -> int:
        """Removes them, with their keys; returns how many there were."""


class Catalog(
    PolicyStore,
    PolicyHistory,
    LabelStore,
    ApplicationStore,
    DirectoryStore,
    DocumentStore,
    Outbox,
    VectorStore,
    JobStore,
    PresenceStore,
    ReviewStore,
    PseudonymStore,
    HoldStore,
    TaskGrantStore,
    IdentityStore,
    LineageStore,
    GenerationStore,
    ElevationStore,
    RestrictionStore,
    AccountStore,
    BudgetStore,
    RateStore,
    Protocol,
):
    """The system of record."""

    def check_ready(self) -> None:
        """Raises `unavailable.catalog`, `config.newer_version` or `config.not_initialised`."""

    def meta(self, key: str) -> str | None:
        """A deployment-wide fact, such as the index's model digest."""

    def set_meta(self, key: str, value: str) -> None:
        """Records such a fact."""

    def separation(self) -> tuple[bool, str]:
        """(whether nothing takes it away, in words) how the database itself keeps tenants apart."""

    def close(self) -> None:
        """Releases connections."""


class KeyLedger(Protocol):
    """Which DEKs lie under which KEK version, and what is left of shredded documents: the catalog's side of keys."""

    def ledger(self, tenant: str) -> Ledger:
        """What is held and what is retired."""

    def all_retired(self) -> Collection[tuple[str, int]]:
        """Every retired KEK version, of all tenants."""

    def held_under(
        self, tenant: str, kek_id: str, below: int, *, after: tuple[str, int], limit: int
    ) -> Sequence[HeldDEK]:
        """DEKs wrapped under versions below, by document and version, from after such a pair on."""

    def store_rewrapped(self, tenant: str, kek_id: str, moved: Sequence[Rewrapped]) -> int:
        """Stores each unless its row was changed meanwhile; returns how many. Raises `key.state` for a retired version."""

    def retire(self, tenant: str, kek_id: str, below: int) -> int:
        """Once nothing is wrapped under versions below, nothing may be stored under them again; returns how many DEKs are
        still in the way, and retires none if there are any."""

    def traces(self, tenant: str, document_ids: Sequence[str]) -> Traces:
        """What is there of these documents, and where keys of theirs are or were, deleted ones included."""

    def all_documents(self, tenant: str) -> Sequence[str]:
        """The ids of everything the tenant has or had."""

    def shred(self, tenant: str, document_ids: Sequence[str]) -> Collection[str]:
        """Removes keys, contents, vectors, names and whatever was derived, and moves the epoch. Again is
        fine. What is left of a document is that there was one of this id. Returns those that a legal hold kept."""

    def forget_names(
        self, tenant: str, names: Callable[[str], bool], *, dry_run: bool
    ) -> Mapping[str, int]:
        """Removes texts in clear that `names` says yes to, beside those of documents that are there: earlier versions,
        tombstones, results of jobs, reasons of reviews. Returns how many of each; what a legal hold keeps stays."""

    def close_tenant_keys(self, tenant: str) -> None:
        """Retires every KEK version that holds DEKs, in use or not, and drops those DEKs: for shredding a tenant.
        Raises `hold.active`."""

    def keys_left(self, tenant: str, document_ids: Sequence[str]) -> int:
        """How many of these documents' versions still have a key."""

    def save_receipt(self, receipt: ShredReceipt) -> None:
        """Creates or replaces."""

    def receipt(self, tenant: str, receipt_id: str) -> ShredReceipt:
        """Raises `access.not_found`, `integrity.envelope`."""

    def receipts(self, tenant: str, *, limit: int) -> Sequence[ShredReceipt]:
        """Newest first."""

    def unfinished_receipts(self) -> Sequence[ShredReceipt]:
        """Of all tenants, oldest first."""

    def scrub(self) -> None:
        """Sees to it that what was removed is not legible in the database's files, as far as the database can."""

    def close(self) -> None:
        """Releases connections."""
