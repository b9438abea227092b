"""The stages an answer passes. A step that is skipped does not type-check: Candidate -> AuthorizedChunk -> Passage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ragward.domain.assurance import StepUp
from ragward.domain.corpus import AttributeValue, StoredChunk
from ragward.domain.findings import Span
from ragward.domain.handling import Mode
from ragward.domain.labels import Classification
from ragward.domain.marking import Trust, delimiter_of, marked
from ragward.domain.rates import Rate


class SearchMode(StrEnum):
    """By meaning, by words (identifiers, part numbers, names: nothing is embedded), or by both, joined by rank."""

    VECTOR = "vector"
    LEXICAL = "lexical"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Found by the index, which is not trusted: an opaque point id and its similarity (cosine, -1..1), or what its words
    score."""

    point_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A stored chunk whose authoritative label was decided on, and that may be opened.

    `similarity` is None where only its words were found, as far as it is not looked up."""

    stored: StoredChunk
    score: float
    similarity: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedChunk:
    """A stored chunk whose authoritative label was decided on, with its decrypted, verified text.

    `revealed` are the personal-data types this subject may see here.
    """

    stored: StoredChunk
    score: float
    text: str = field(repr=False)
    spans: tuple[Span, ...] = field(repr=False)
    revealed: frozenset[str]
    similarity: float = 0.0
    """To the question; 0 where only words were searched."""
    shown_as: Mapping[str, Callable[[str], str | None]] = field(default_factory=dict, repr=False)
    """How values of other types are shown; what has no entry is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedText:
    """A text as a subject may see it; `removed` counts by personal-data type what was taken out, `altered` what was made
    less exact or a pseudonym."""

    text: str = field(repr=False)
    removed: Mapping[str, int]
    altered: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was cut from a text: sentences, about how many tokens, and where: [start, end) in characters of the text as the
    subject may see it."""

    sentences: int = 0
    tokens: int = 0
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimalText:
    """The part of a redacted text that the question needs; `share` is kept characters over all (0..1]."""

    text: str = field(repr=False)
    share: float
    cut: Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What may leave: minimal, redacted text with its provenance."""

    document_id: str
    chunk_id: str
    corpus: str
    source: str
    title: str
    classification: Classification
    text: str = field(repr=False)
    rank: int
    score: float
    share: float
    removed: Mapping[str, int]
    altered: Mapping[str, int] = field(default_factory=dict)
    cut: Cut = field(default_factory=Cut)
    flagged: bool
    """The text contains what looks like instructions to a model."""
    trust: Trust = Trust.UNTRUSTED
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalRequest:
    """A question: `query` as the asker wrote it, where to look, how much to return.

    `filters` narrow by public document attributes (OpenAI's filter shape); they can never widen. `min_epoch` is the token
    of a write that the answer must take into account. `minimize` says how much to leave of a passage; None is what the
    handling of its classification says, which may also ask for more than the request does. `purpose` is what the answer is for: with the label it decides how
    personal data is shown. `search` is by what is searched.
    """

    query: str = field(repr=False)
    corpora: tuple[str, ...] = ()
    document_id: str | None = None
    """Only of this document, its best passages in the order they have there."""
    limit: int = 10
    max_passages_per_document: int = 3
    filters: Mapping[str, object] | None = None
    minimize: Mode | None = None
    min_epoch: str | None = None
    purpose: str = ""
    search: SearchMode = SearchMode.VECTOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Evidence of one answer: the id of its event in the log, when, its leaf hash there, and an opaque epoch token.

    `receipt_hash` is the hash of the leaf that holds the passages' digests under `salt` (hex; `domain.receipts`).

    Who reads the log finds the event by its id and verifies it by the hash. Where it stands is not said: positions count
    what others ask.
    """

    receipt_id: str
    recorded_at: int
    audit_hash: str
    epoch_token: str
    salt: str = field(default="", repr=False)
    receipt_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Passages, best first, and the receipt. `complete` is False when fewer than asked were found within the permission."""

    passages: tuple[Passage, ...]
    receipt: Receipt
    classification: Classification
    """The join of the passages' classifications; PUBLIC for none."""
    near_duplicates_removed: int
    query_flags: tuple[str, ...]
    stage_seconds: Mapping[str, float]
    not_answering_removed: int = 0
    """Passages of which no sentence was near enough to the question."""
    step_up: StepUp | None = None
    """What proof is missing for content that the policy permits the asker."""
    rates: tuple[Rate, ...] = ()
    """How many more requests the asker may make."""

    @property
    def delimiter(self) -> str:
        """What surrounds this answer's passages where they become text for a model."""
        return delimiter_of(self.receipt.receipt_id)

    def marked_text(self, passage: Passage) -> str:
        """One of its passages, marked as quoted."""
        return marked(passage.text, self.delimiter, passage.trust.value, passage.document_id)
