"""Corpus > Document > Chunk, and where each came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from ragward.domain.envelope import EncryptionContext, Kind, WrappingContext
from ragward.domain.findings import Screening, Span
from ragward.domain.generations import FIRST, vector_name
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.lineage import Origin
from ragward.domain.review import Doubt, ReviewDecision


class DocumentState(StrEnum):
    """The life of a document version. Only ACTIVE is ever answered from."""

    STAGED = "staged"
    ACTIVE = "active"
    QUARANTINED = "quarantined"
    GONE = "gone"
    """no longer at its source, and of a classification that is held back then; active again if it reappears"""
    SUPERSEDED = "superseded"
    DELETED = "deleted"


class View(IntEnum):
    """Which text a vector was made from. A chunk without personal data has the FULL view only.

    Who is entitled to every type in a chunk is matched on FULL, everybody else on REDACTED, so what is hidden from a
    subject cannot rank.
    """

    FULL = 0
    REDACTED = 1


AttributeValue = str | int | float | bool
Vector = list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlace:
    """Where another process finds a document's bytes: a folder's URL, and the name in it."""

    location: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument:
    """A document as a source hands it over: bytes and what the source says of it.

    `source` names it within (tenant, corpus), usually a relative path. `label` is the source's own claim of who may
    read it; rules and findings can only raise its classification.
    """

    source: str
    filename: str
    data: bytes = field(repr=False)
    label: AccessLabel
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), repr=False)
    """What the steward should know of its access list, such as names that nobody has; goes into the item's result."""
    signature: bytes = field(default=b"", repr=False)
    """The source's own, over `domain.sources.signed_message`; empty where it does not sign."""
    uri: str = ""
    """Its full address, where it has one: for lineage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedText:
    """What a loader read out of a file; `hidden` is text a person would not have seen (kept out of `text`)."""

    text: str = field(repr=False)
    title: str = ""
    media_type: str
    hidden: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the file says of itself beside its text, such as labels of Purview (`MSIP_Label_*`): for rules, not for answers."""
    loader: str = ""
    """What read it, with its version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A file in an archive: its path there, and its bytes or the `document.*` code it was refused with."""

    path: str
    data: bytes = field(default=b"", repr=False)
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document: `text` is document_text[start:end], exactly."""

    ordinal: int
    start: int
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedChunk:
    """A chunk with what was found in it."""

    chunk: Chunk
    spans: tuple[Span, ...] = field(repr=False)
    screening: Screening

    @property
    def entity_types(self) -> frozenset[str]:
        """The personal-data types present."""
        return frozenset(span.entity_type for span in self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedPoint:
    """One index point of a chunk: its view and the encrypted vectors (the index's own copies are made from them)."""

    point_id: str
    view: View
    vector: Vector = field(repr=False)
    vector_blob: bytes = field(repr=False)
    """of the first generation; empty where that was dropped"""
    further: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    """of later generations"""

    def generations(self) -> set[int]:
        """Those whose vector it has."""
        return ({FIRST} if self.vector_blob else set()) | self.further.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedChunk:
    """A chunk ready to be stored: the content blob and its points. `entity_types` decide which view answers whom."""

    chunk_id: str
    ordinal: int
    blob: bytes = field(repr=False)
    entity_types: frozenset[str]
    verdict: str
    points: tuple[StagedPoint, ...] = field(repr=False)
    rules: tuple[str, ...] = ()
    rule_set: str = ""
    fingerprints: frozenset[int] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedVersion:
    """One version of a document, complete, before it becomes the active one."""

    document_id: str
    version: int
    tenant: str
    corpus: str
    source: str
    source_digest: bytes
    state: DocumentState
    title: str
    media_type: str
    label: AccessLabel
    claimed: AccessLabel | None = None
    """What the source itself claimed, before rules and people: what its next claim is compared with."""
    replaces_label_id: int | None = None
    """The label of the version before, as it was when this one was made: if it has changed since, this is not committed."""
    dek_id: str
    kek_id: str
    kek_version: int
    wrapped_dek: bytes = field(repr=False)
    attributes: Mapping[str, AttributeValue]
    evidence: tuple[str, ...]
    """Why the classification is what it is, and what was noticed, one line each; holds no content."""
    model_digest: str
    job_id: str | None
    chunks: tuple[StagedChunk, ...] = field(repr=False)
    doubts: tuple[Doubt, ...] | None = None
    """What a person is asked about its label; None leaves open questions as they are, because the text is the same."""
    decided: ReviewDecision | None = None
    """The review that this version comes from, closed with it."""
    origin: Origin | None = None
    """What it was read from; None keeps that of the version before, and its job: the text is the same."""
    finder: str = ""
    """The version of what looked for personal data."""

    def toolchains(self) -> list[bytes]:
        """The digests of what made its chunks, as far as this version itself says so."""
        if self.origin is None:
            return []
        made = {
            self.origin.toolchain(finder=self.finder, screener=rule_set, model=self.model_digest)
            for rule_set in {chunk.rule_set for chunk in self.chunks}
        }
        return sorted(each.digest() for each in made)


class Pending(StrEnum):
    """What is still to be done to a version whose label was changed; the label itself is in force already."""

    NOTHING = ""
    REWRAP = "rewrap"
    """Its DEK is still wrapped for an earlier label, because the key was away: it cannot be opened."""
    REENCRYPT = "reencrypt"
    """It was classified higher: a new DEK, new ciphertext and vectors are due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """What the catalog says about a document's current version; holds no content."""

    document_id: str
    version: int
    tenant: str
    corpus: str
    source: str
    source_digest: bytes
    state: DocumentState
    title: str
    media_type: str
    label_id: int
    label: AccessLabel
    claimed: AccessLabel | None = None
    """What the source claimed of this version; None if that was not kept."""
    attributes: Mapping[str, AttributeValue]
    evidence: tuple[str, ...]
    chunk_count: int
    created_at: int
    key: KeyReference = field(repr=False)
    pending: Pending = Pending.NOTHING
    gone_since: int | None = None
    """When its source was first found without it; None while it is there, or nobody looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReference:
    """Which KEK wrapped a DEK, and the wrapped DEK."""

    dek_id: str
    kek_id: str
    kek_version: int
    wrapped_dek: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """What one catalog read returns for a candidate: the authoritative label and state, the wrapped key, ciphertext."""

    point_id: str
    chunk_id: str
    document_id: str
    version: int
    corpus: str
    source: str
    title: str
    ordinal: int
    state: DocumentState
    label_id: int
    label: AccessLabel
    view: View
    entity_types: frozenset[str]
    verdict: str
    key: KeyReference
    blob: bytes = field(repr=False)
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    pending: Pending = Pending.NOTHING
    rules: tuple[str, ...] = ()
    rule_set: str = ""

    def content_context(self) -> EncryptionContext:
        """What the content blob is bound to."""
        return EncryptionContext(
            tenant=self.label.tenant,
            document_id=self.document_id,
            chunk_id=self.chunk_id,
            kind=Kind.TEXT,
            revision=self.version,
        )

    def wrapping_context(self) -> WrappingContext:
        """What the wrapped DEK is bound to, by the authoritative label."""
        return wrapping_context(
            self.key, self.label.tenant, self.document_id, self.version, self.label.digest()
        )


def wrapping_context(
    key: KeyReference, tenant: str, document_id: str, version: int, label_digest: bytes
) -> WrappingContext:
    """The wrapping context of a document version's DEK."""
    return WrappingContext(
        tenant=tenant,
        kek_id=key.kek_id,
        kek_version=key.kek_version,
        dek_id=key.dek_id,
        document_id=document_id,
        document_version=version,
        label_digest=label_digest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPoint:
    """What the index may hold: an opaque id, one integer, a vector, keyed hashes of words. No text, no names."""

    point_id: str
    scope_id: int
    vector: Vector = field(repr=False)
    words: Mapping[int, float] = field(default_factory=dict, repr=False)
    generation: int = FIRST
    """whose vector it is: which part of the index it belongs into"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVector:
    """A point's encrypted vector and what opens it, with the scope it belongs to; None means to none."""

    point_id: str
    scope_id: int | None
    tenant: str
    document_id: str
    version: int
    label_digest: bytes
    key: KeyReference
    vector_blob: bytes = field(repr=False)
    generation: int = FIRST

    def vector_context(self) -> EncryptionContext:
        """What the vector blob is bound to."""
        return EncryptionContext(
            tenant=self.tenant,
            document_id=self.document_id,
            chunk_id=vector_name(self.point_id, self.generation),
            kind=Kind.VECTOR,
            revision=self.version,
        )

    def wrapping_context(self) -> WrappingContext:
        """What the wrapped DEK is bound to."""
        return wrapping_context(
            self.key, self.tenant, self.document_id, self.version, self.label_digest
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem(StoredVector):
    """One point the catalog owes the index: to put in under `scope_id`, or to take out when that is None.

    To put in, the vector blob and what opens it come along.
    """

    sequence: int
    classification: Classification | None
    """Of the document's current version, also for points of an earlier one; None where it has no label that verifies."""
    further: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    """Encrypted vectors of later generations; `vector_blob` is the first one's, or empty."""

    def vectors(self) -> list[StoredVector]:
        """One for each generation that has made it."""
        blobs = {FIRST: self.vector_blob} if self.vector_blob else {}
        return [
            replace(self, vector_blob=blob, generation=generation)
            for generation, blob in (blobs | dict(self.further)).items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMove:
    """A document's current version under another label.

    `key` is its DEK wrapped for the new label or, with `Pending.REWRAP`, as it was. The move is refused if the version or
    its label are no longer the expected ones.
    """

    document_id: str
    version: int
    expected_label_id: int
    label: AccessLabel
    key: KeyReference
    note: str
    pending: Pending = Pending.NOTHING
    decided: ReviewDecision | None = None
    """The review that this comes from, closed with it."""
    by: str = ""
    """Whose decision it is."""
    reclassifies: bool = False
    """The classification is another one: that answers every open question about it."""
    claimed: AccessLabel | None = None
    """What the source claims by now, where the source is why it moves; None keeps what it claimed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScreening:
    """What newer rules say of a document's current version, by chunk id, and the state that follows.

    Refused if version or state are no longer the expected ones. A `note` is added to the evidence."""

    document_id: str
    version: int
    expected_state: DocumentState
    state: DocumentState
    chunks: Mapping[str, Screening]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingVersion:
    """A version something is still to be done to. `bound_label` is the one its DEK is wrapped for."""

    tenant: str
    document_id: str
    version: int
    pending: Pending
    label: AccessLabel
    bound_label: AccessLabel
    key: KeyReference


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSnapshot:
    """Stored chunks and the tenant's epoch, read together."""

    epoch: int
    chunks: Mapping[str, StoredChunk]
    """by point id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexScope:
    """The one integer an index point carries: a label, a view, and the personal-data types of the chunk."""

    scope_id: int
    label_id: int
    corpus: str
    view: View
    entity_types: frozenset[str]
