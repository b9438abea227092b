"""Every door between the flows and the outside, on one page. Adapters implement these; `tests/fakes` too.

Nothing an adapter's library raises passes through a port: adapters raise the errors of `domain.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ragward.domain.access import (
    Application,
    Context,
    Credentials,
    Decision,
    IdSet,
    Permit,
    Subject,
    TenantHead,
)
from ragward.domain.audit import AuditEntry, AuditEvent, AuditVerification
from ragward.domain.classification import Prediction
from ragward.domain.corpus import (
    ArchiveMember,
    CatalogSnapshot,
    Chunk,
    DocumentRecord,
    DocumentState,
    ExtractedText,
    IndexPoint,
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
    Vector,
)
from ragward.domain.directory import (
    Condition,
    DirectoryGroup,
    DirectoryUser,
    GroupProfile,
    UserProfile,
)
from ragward.domain.envelope import (
    EncryptionContext,
    KeyPurpose,
    PurposeKey,
    Suite,
    WrappingContext,
)
from ragward.domain.errors import RagwardError
from ragward.domain.explanation import AskedAbout, Explanation, Reader
from ragward.domain.findings import Screening, Span
from ragward.domain.fingerprints import FingerprintMatch
from ragward.domain.jobs import ItemResult, JobRecord, JobState
from ragward.domain.keys import KEKStatus, Reading, WrappedDEK
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import Candidate, RedactedText
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_change import PolicyProposal, PolicyVersion
from ragward.domain.pseudonyms import FoundToken, Payload, VaultedPseudonym
from ragward.domain.review import ReviewDecision, ReviewItem, ReviewKind, ReviewState
from ragward.domain.rotation import HeldDEK, Ledger, Rewrapped
from ragward.domain.scans import Scan
from ragward.domain.shredding import ShredReceipt, Traces
from ragward.domain.words import WordCounts, WordWeights


class Clock(Protocol):
    """Time, so that tests can set it."""

    def now(self) -> int:
        """Unix seconds."""

    def now_milliseconds(self) -> int:
        """Unix milliseconds."""

    def monotonic(self) -> float:
        """Seconds for measuring durations."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class IdentityVerifier(Protocol):
    """Turns unverified credentials into a subject."""

    def verify(self, credentials: Credentials) -> Subject:
        """The subject. Raises `auth.*`, `unavailable.identity`, `unavailable.catalog`."""


class PolicyDecisionPoint(Protocol):
    """Decides under the tenant's policy. A failure inside it is a Deny or an error, never a Permit."""

    def decide_labels(self, subject: Subject, context: Context) -> Decision:
        """The labels `subject` may read now, with what is revealed under each. Raises `unavailable.catalog`."""

    def decide(self, subject: Subject, action: str, label: AccessLabel, context: Context) -> bool:
        """Whether `subject` may do `action` (an `Action`, or `reveal:<TYPE>`) on things under `label`."""

    def decide_for(
        self, tenant: str, principal: str, action: str, label: AccessLabel, context: Context
    ) -> bool:
        """Whether `principal` by itself, through no application or agent, may do `action` under `label`."""

    def decide_about(self, about: AskedAbout, context: Context) -> Decision:
        """What `decide_labels` would answer them; for stewards."""

    def labels_for(self, subject: Subject, action: str, context: Context) -> IdSet:
        """The ids of the labels under which `subject` may do an administrative action: `decide`, for all of them."""

    def described(self, tenant: str, label_ids: Iterable[int]) -> Mapping[int, AccessLabel]:
        """The labels of these ids, which came out of a decision."""

    def explain(
        self,
        about: AskedAbout,
        label: AccessLabel,
        context: Context,
        policy: PolicySnapshot | None = None,
    ) -> Explanation:
        """Whether they may read under `label`, interned or not, and why, term by term; for stewards.

        Under the policy in force, or under `policy` if it were. Raises `policy.invalid`, `unavailable.catalog`."""

    def readers(
        self, tenant: str, label: AccessLabel, context: Context, *, after: str = ""
    ) -> Iterator[Reader]:
        """Everybody the policy names who may read under `label` by themselves, ordered by name, from after one on.

        People as if they asked directly, applications alone, agents as far as they may act for somebody."""

    def permitted_under(
        self, snapshot: PolicySnapshot, about: AskedAbout, context: Context
    ) -> frozenset[int]:
        """The ids of the tenant's labels that somebody may read if `snapshot` were in force. Raises `policy.invalid`,
        `unavailable.catalog`."""

    def check(self, snapshot: PolicySnapshot) -> None:
        """Raises `policy.invalid` unless the snapshot is valid and this model can decide it."""


class PolicyStore(Protocol):
    """Policy rows and memberships; every write moves the tenant's epoch in the same transaction."""

    def epoch(self, tenant: str) -> int:
        """The tenant's current epoch; 0 for a tenant nobody wrote to."""

    def head(self, tenant: str) -> TenantHead:
        """Epochs, newest label and scope ids, and whether the index is behind, read together."""

    def policy(self, tenant: str) -> PolicySnapshot:
        """Rows, memberships, epoch and version, read together."""

    def replace_policy(
        self,
        tenant: str,
        rows: Iterable[PolicyRow],
        memberships: Iterable[Membership],
        author: str,
        *,
        reason: str = "",
        expected_version: int | None = None,
    ) -> int:
        """Replaces a tenant's policy by a checked one; returns the new epoch, which is the version's number.

        Raises `policy.conflict` when the version in force is not `expected_version`."""

    def change_policy(
        self,
        tenant: str,
        *,
        add_rows: Iterable[PolicyRow] = (),
        remove_rows: Iterable[PolicyRow] = (),
        add_memberships: Iterable[Membership] = (),
        remove_memberships: Iterable[Membership] = (),
        author: str,
        reason: str = "",
    ) -> int:
        """Adds and removes single rows, refusing a result that is not valid; returns the new epoch."""


class PolicyHistory(Protocol):
    """Every policy that was in force, and those that wait for a second person. A policy write supersedes pending proposals."""

    def policy_versions(
        self, tenant: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[PolicyVersion]:
        """Newest first, those numbered below `before`."""

    def policy_version(self, tenant: str, number: int) -> tuple[PolicyVersion, PolicySnapshot]:
        """A version and its policy. Raises `access.not_found`, `integrity.policy`."""

    def add_proposal(self, proposal: PolicyProposal) -> None:
        """Raises `policy.conflict` when its base is not in force."""

    def proposals(self, tenant: str, *, limit: int = 100) -> Sequence[PolicyProposal]:
        """Newest first, whatever became of them. Raises `integrity.policy`."""

    def proposal(self, tenant: str, proposal_id: str) -> PolicyProposal:
        """Raises `access.not_found`, `integrity.policy`."""

    def approve_proposal(
        self, tenant: str, proposal_id: str, *, decided_by: str, reason: str
    ) -> int:
        """Puts it in force in the same transaction; returns the new epoch.

        Raises `access.not_found`, and `policy.conflict` unless it is pending and its base in force."""

    def reject_proposal(
        self, tenant: str, proposal_id: str, *, decided_by: str, reason: str
    ) -> None:
        """Raises `access.not_found`, and `policy.conflict` unless it is pending."""


class LabelStore(Protocol):
    """Interned labels and index scopes; rows are immutable and only ever added."""

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        """Labels of the tenant with an id above `after`."""

    def scopes(self, tenant: str, *, after: int = 0) -> Sequence[IndexScope]:
        """Index scopes of the tenant with an id above `after`."""


class ApplicationStore(Protocol):
    """Registered applications and their keys (only SHA-256 digests are stored)."""

    def find_application(self, tenant: str, client_id: str) -> Application | None:
        """The application a token was issued to, if registered."""

    def find_application_by_key(self, prefix: str) -> tuple[bytes, Application] | None:
        """(SHA-256 of the key, application) for a key's lookup prefix."""

    def save_application(
        self,
        application: Application,
        *,
        key_prefix: str | None,
        key_sha256: bytes | None,
        replace_keys: bool = False,
    ) -> None:
        """Creates or replaces an application; a key is added beside earlier ones, or takes their place."""

    def applications(self, tenant: str) -> Sequence[Application]:
        """All applications of a tenant."""


class DirectoryStore(Protocol):
    """A tenant's people and groups. A write and the memberships that follow from it are one transaction.

    `before` is what the caller read: a write raises `directory.version` when it is no longer what is stored, and
    `access.not_found` when it is gone. Writes raise `catalog.exists` for a name or external id that is taken,
    `request.invalid` for a member that is not there, `policy.invalid` for a cycle or too deep a nesting.
    """

    def is_disabled(self, tenant: str, principal: str) -> bool:
        """Whether the directory has deactivated or deleted this person; False for whom it never knew."""

    def disabled(self, tenant: str) -> frozenset[str]:
        """Everybody of whom `is_disabled` is true."""

    def create_user(self, tenant: str, profile: UserProfile, author: str) -> DirectoryUser:
        """A new person; an external id that was used and deleted is theirs from now on, without what it had."""

    def get_user(self, tenant: str, user_id: str) -> DirectoryUser:
        """Raises `access.not_found`."""

    def replace_user(
        self, before: DirectoryUser, profile: UserProfile, author: str
    ) -> DirectoryUser:
        """The person with another profile; not active means disabled when this returns."""

    def delete_user(self, before: DirectoryUser, author: str) -> None:
        """Removes the person from every group; their principal stays disabled until it is created again."""

    def list_users(
        self, tenant: str, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryUser]]:
        """(how many match, those from `offset` on), ordered by id."""

    def create_group(self, tenant: str, profile: GroupProfile, author: str) -> DirectoryGroup:
        """A new group with its members."""

    def get_group(self, tenant: str, group_id: str) -> DirectoryGroup:
        """Raises `access.not_found`."""

    def replace_group(
        self, before: DirectoryGroup, profile: GroupProfile, author: str
    ) -> DirectoryGroup:
        """The group with another profile: its memberships are exactly the ones given."""

    def delete_group(self, before: DirectoryGroup, author: str) -> None:
        """Removes the group, everybody from it, and it from others."""

    def list_groups(
        self, tenant: str, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryGroup]]:
        """(how many match, those from `offset` on), ordered by id."""


class ApplicationsAndDirectory(ApplicationStore, DirectoryStore, Protocol):
    """What an asker is verified against."""


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

    def vector_blobs(self, tenant: str, document_id: str) -> Mapping[str, bytes]:
        """point id -> encrypted vector, of the current version."""

    def chunks_sharing(self, tenant: str, wanted: Collection[int]) -> Sequence[FingerprintMatch]:
        """Chunks of current versions, active or quarantined, that have any of these fingerprints, by id."""

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
        self, tenant: str, document_ids: Collection[str], label_ids: Collection[int]
    ) -> Sequence[StoredVector]:
        """The vectors of those of these documents that are under one of these labels, as far as they are answered from."""

    def vectors_named(self, point_ids: Collection[str]) -> Sequence[StoredVector]:
        """The vectors of these points, as far as they are answered from."""


class JobStore(Protocol):
    """Ingest jobs."""

    def create_job(self, tenant: str, requested_by: str, total: int) -> JobRecord:
        """A new job, not started."""

    def record_item(self, tenant: str, job_id: str, result: ItemResult) -> None:
        """Adds one file's outcome. Raises `access.not_found`."""

    def set_job_state(
        self, tenant: str, job_id: str, state: JobState, *, total: int | None = None
    ) -> None:
        """Moves the job. Raises `access.not_found`, `job.not_cancellable`."""

    def get_job(self, tenant: str, job_id: str) -> JobRecord:
        """Raises `access.not_found`."""


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
    ReviewStore,
    PseudonymStore,
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

    def shred(self, tenant: str, document_ids: Sequence[str]) -> None:
        """Removes keys, contents, vectors, names and whatever was derived, and moves the epoch. Again is
        fine. What is left of a document is that there was one of this id."""

    def close_tenant_keys(self, tenant: str) -> None:
        """Retires every KEK version that holds DEKs, in use or not, and drops those DEKs: for shredding a tenant."""

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


class ChunkSearch(Protocol):
    """Vectors, scope ids and opaque point ids, to be searched. Its answers are candidates, never truth."""

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best `limit` points whose scope is one of `scopes`, best first, ties by point id. No scopes, no result.

        `only_points` narrows further to those points. Exact, except where an index says that it uses a graph.
        Raises `unavailable.index`, and `unavailable.keys` where vectors lie encrypted.
        """

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points whatever scope the index believes they have; absent points are left out."""

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """How many points there are in these scopes and how many of them have each word; exact, and of nothing else."""

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """As `search`, by `domain.words.score`; what has none of the words is no result. Always exact."""

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """What named points have of these words, whatever scope the index believes they have; absent points are left out."""

    def count(self) -> int:
        """Points held."""

    def clear(self) -> None:
        """Removes everything it holds."""

    def close(self) -> None:
        """Releases what it holds."""


class ChunkIndex(ChunkSearch, Protocol):
    """An index that is filled through the outbox."""

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points. Raises `unavailable.index`, `config.model_mismatch`."""

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points; absent ones are fine."""

    def expel(self, point_ids: Sequence[str]) -> None:
        """Removes points that may not lie here in plain: `maintain` takes them out of the files too, as far as it can."""

    def maintain(self) -> None:
        """Sets off, in the background, what keeps searches fast and what takes expelled vectors out of the files."""

    def vacuum(self) -> None:
        """Sees to it that deleted points are in no file of the index any more, as far as it has files of its own."""


class ScopeDirectory(Protocol):
    """Which index scopes a permit may match."""

    def permitted(self, tenant: str, permit: Permit, corpora: Collection[str]) -> IdSet:
        """Scope ids, an immutable set, of these corpora (all if none): `domain.admission.matches_view` for every scope of the tenant.

        Knows every scope up to the permit's head. Raises `unavailable.catalog`."""


class Embedder(Protocol):
    """Text to vectors with one pinned model."""

    @property
    def model_digest(self) -> str:
        """SHA-256 (hex) over the model's manifest: weights, tokenizer, pooling."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One unit-length vector per text."""


class Chunker(Protocol):
    """Cuts a document's text."""

    def chunk(self, text: str) -> list[Chunk]:
        """Token-bounded pieces with exact offsets."""

    def count_tokens(self, text: str) -> int:
        """Tokens of the embedding model's tokenizer."""


class TextExtractor(Protocol):
    """Reads text out of a file, away from this process."""

    def extract(self, filename: str, data: bytes, *, tenant: str) -> ExtractedText:
        """Raises `document.*`. What read a file of one tenant never reads another's."""

    def is_archive(self, filename: str) -> bool:
        """Whether a file is a container of documents: `members` reads it, not `extract`."""

    def members(self, filename: str, data: bytes, *, tenant: str) -> Sequence[ArchiveMember]:
        """Every file in an archive. Raises `document.*` where it is refused as a whole."""


class Loader(Protocol):
    """A reader of one more format, brought as an entry point of `ragward.loaders`; called in a process of its own."""

    def load(self, filename: str, data: bytes) -> ExtractedText:
        """May raise `InvalidRequestError` with a `document.*` code; everything else is `document.loader`."""


class Finder(Protocol):
    """Finds personal data."""

    @property
    def version(self) -> str:
        """Detector and configuration version, stored with the spans."""

    def find(self, text: str) -> tuple[Span, ...]:
        """Non-overlapping spans, sorted by start."""

    def scan(self, text: str, chunks: Sequence[Chunk]) -> Scan:
        """The same of a document cut into chunks, and their vectors if the same pass makes them."""


class Redactor(Protocol):
    """Takes personal data out."""

    def redact(
        self,
        text: str,
        spans: Sequence[Span],
        revealed: frozenset[str],
        shown_as: Mapping[str, Callable[[str], str | None]] | None = None,
    ) -> RedactedText:
        """`text` with every span whose type is not in `revealed` replaced: by what `shown_as` of its type makes of it, or by
        `<TYPE>`."""


class PseudonymTokens(Protocol):
    """Self-delimiting tokens that stand for values."""

    def issue(self, tenant: str, purpose: str, entity_type: str, payload: Payload) -> str:
        """The same for the same. Raises `unavailable.keys`."""

    def found(self, text: str) -> Iterator[FoundToken]:
        """What looks like a token, wherever it stands."""

    def read(self, tenant: str, purpose: str, token: str) -> Payload:
        """Raises `pseudonym.invalid` for what was changed, or was issued elsewhere."""


class Screener(Protocol):
    """Recognises text that tries to give orders to a model."""

    @property
    def rule_set(self) -> str:
        """The version of the rules, stored with what they said."""

    def screen(self, text: str) -> Screening:
        """Normalises, then applies the rules, sentence by sentence."""

    def neutralise(self, text: str) -> str:
        """`text` without invisible characters, and with image and link exfiltration made inert."""


class Classifier(Protocol):
    """A steward's rules."""

    def classify(
        self,
        source: str,
        title: str,
        text: str,
        attributes: Mapping[str, object],
        entity_counts: Mapping[str, int],
        properties: Mapping[str, object] | None = None,
    ) -> tuple[Classification, tuple[str, ...]]:
        """The highest classification any rule demands (PUBLIC if none) and the evidence; `attributes` are the source's words,
        `properties` the file's own."""


class TrainedClassifier(Protocol):
    """What was learnt from labels that people reviewed."""

    @property
    def version(self) -> str:
        """The beginning of the artefact's digest."""

    def predict(self, vectors: Sequence[Vector]) -> Prediction:
        """Of a document, by the vectors of its chunks."""


class Cipher(Protocol):
    """Encrypts and decrypts blobs under a DEK."""

    def encrypt(
        self, plaintext: bytes, *, dek: bytes, dek_id: str, context: EncryptionContext, suite: Suite
    ) -> bytes:
        """A blob of the format of `domain.envelope`."""

    def decrypt(
        self, blob: bytes, *, dek: bytes | PurposeKey, dek_id: str, context: EncryptionContext
    ) -> bytes:
        """The plaintext, verified. Raises `integrity.envelope`."""

    def new_dek(self) -> bytes:
        """32 random bytes."""


class Keyring(Protocol):
    """KEKs, one per (tenant, classification, purpose) in versions; they never leave it. All raise `unavailable.keys`, also
    for what the process or flow that holds it may not do with keys."""

    def active_kek(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """(kek_id, version) to wrap with; created on first use."""

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """The wrapped DEK, under the active version. Raises `key.state` for any other."""

    def unwrap_all(
        self, wraps: Sequence[WrappedDEK], reading: Reading | None
    ) -> Sequence[bytes | RagwardError]:
        """Per item the DEK, or why not: `integrity.*`, `unavailable.keys`, or `access.not_found` from a broker that decided
        otherwise. No reading means the installation's own work; a broker refuses it."""

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """Per item the key of its vectors, for whoever keeps the index: it opens no text."""

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        reading: Reading | None = None,
    ) -> Sequence[bytes | RagwardError]:
        """Per item the same DEK wrapped for another label or KEK version. Raises `request.invalid` for another document or DEK.

        A broker gives another label only for a reading by somebody who may relabel under the one it has."""

    def stage(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """A new version, pending: nothing is wrapped with it yet."""

    def activate(self, kek_id: str, version: int) -> None:
        """Makes a pending version the active one; the one before only unwraps from now on. Raises `key.state`."""

    def destroy(self, kek_id: str, version: int) -> None:
        """Erases a version for good. What is wrapped under it is lost. The caller sees to it that nothing needed is."""

    def mac_key(self, purpose: str) -> bytes:
        """A 32-byte key for `audit-chain`, `query-tag`, `epoch-token`, `page-token`, `fingerprint`, `pseudonym`, `pseudonym-tag` or `words`, separate from every KEK."""

    def status(self) -> Sequence[KEKStatus]:
        """All versions, without key material."""

    def forget(self) -> None:
        """Drops what is remembered of unwrapped DEKs."""

    def close(self) -> None:
        """Forgets, and releases sessions and connections."""


class EpochTokens(Protocol):
    """Epochs as callers hold them."""

    def issue(self, tenant: str, epoch: int) -> str:
        """An opaque token; two of one epoch differ. Raises `unavailable.keys`."""

    def read(self, tenant: str, token: str) -> int:
        """The epoch of a token of this tenant. Raises `request.invalid`, `unavailable.keys`."""


class AuditLog(Protocol):
    """Append-only, chained, one writer."""

    def append(self, event: AuditEvent, *, durable: bool) -> AuditEntry:
        """Records; with `durable` it is on disk when this returns. Raises `unavailable.audit`."""

    def entries(self, *, start: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Entries from an index on."""

    def find(self, event_id: str) -> AuditEntry | None:
        """The entry of an event, as the log says; `verify` tells whether it is so. Raises `unavailable.audit`."""

    def verify(self, *, anchor: tuple[int, str] | None = None) -> AuditVerification:
        """Checks the chain, and against an anchor (index, hex hash) kept elsewhere."""

    def close(self) -> None:
        """Flushes and releases the file."""


class Limiter(Protocol):
    """Rates and concurrency per subject."""

    def acquire(self, subject: Subject) -> None:
        """Counts one request in. Raises `limit.rate` or `limit.concurrency`."""

    def release(self, subject: Subject) -> None:
        """Counts it out."""
