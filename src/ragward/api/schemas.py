"""What goes over the wire: bounds are here, so that the OpenAPI document states them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ragward.domain.assurance import StepUp
from ragward.domain.corpus import DocumentRecord
from ragward.domain.explanation import Term
from ragward.domain.handling import Mode
from ragward.domain.jobs import ItemResult
from ragward.domain.labels import AccessLabel, Classification, LabelChange
from ragward.domain.marking import NOTICE
from ragward.domain.passages import Answer, Cut, Passage

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["hr"])]
Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4000,
        examples=["How long is parental leave?"],
        description="Needs a letter or a digit; no control characters.",
    ),
]
Principal = Annotated[str, Field(min_length=3, max_length=300, examples=["group:aurora/staff"])]
Text = Annotated[str, Field(min_length=1, max_length=300)]
Level = Literal["PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED"]
State = Literal["active", "quarantined", "gone"]
Attribute = str | int | float | bool
Whole = Annotated[int, BeforeValidator(lambda v: int(v) if type(v) is float and v == v // 1 else v)]
"""JSON has one kind of number: 15.0 is an integer, "15" and true are not."""
Seconds = Annotated[Whole, Field(ge=0, le=2**50)]


class Strict(BaseModel):
    """Unknown fields and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


MinimizeMode = Literal["off", "balanced", "strict"]
MINIMIZE: Any = Field(
    None,
    description="How much is left of a passage: all, what is near the question, only what answers it. Left out, as the "
    "handling of its classification says; that may also ask for more than this.",
)


def mode_of(requested: MinimizeMode | None) -> Mode | None:
    """The domain's."""
    return None if requested is None else Mode(requested)


def _set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


class RetrieveRequest(Strict):
    """A question."""

    query: Query
    corpora: list[Name] = Field(default=[], max_length=50)
    document_id: str | None = Field(
        None,
        pattern=r"^[!-~]{1,100}$",
        description="Only of this document, its best passages in the order they have there. Nothing, absent or not readable.",
    )
    limit: Whole = Field(10, ge=1, le=50)
    max_passages_per_document: Whole = Field(3, ge=1, le=50)
    filters: dict[str, Any] | None = Field(
        None, description="OpenAI's attribute filter; it can only narrow."
    )
    minimize: MinimizeMode | None = MINIMIZE
    min_epoch: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The `Ragward-Epoch-Token` of a write that the answer must take into account.",
    )
    purpose: str = Field(
        "",
        pattern=r"^([a-z][a-z0-9_-]{0,31})?$",
        description="What the answer is for; with the label it decides how personal data is shown.",
    )
    search: Literal["vector", "lexical", "hybrid"] = Field(
        "vector",
        description="By meaning, by words (identifiers, part numbers, names), or by both, joined by rank.",
    )


class CutModel(BaseModel):
    """What was cut from a passage."""

    sentences: int
    tokens: int = Field(description="About how many: a quarter of the characters.")
    ranges: list[tuple[int, int]] = Field(
        description="Where: [start, end) in characters of the chunk as this asker may see it."
    )

    @classmethod
    def of(cls, cut: Cut) -> CutModel:
        """From the domain's."""
        return cls(sentences=cut.sentences, tokens=cut.tokens, ranges=list(cut.ranges))


class PassageModel(BaseModel):
    """One passage."""

    document_id: str
    chunk_id: str
    corpus: str
    source: str
    title: str
    classification: Level
    text: str
    rank: int
    score: float
    share: float = Field(description="Share of the chunk that is shown.")
    cut: CutModel
    removed: dict[str, int] = Field(description="Personal data taken out, by type.")
    altered: dict[str, int] = Field(
        {}, description="Personal data made less exact or a pseudonym, by type."
    )
    flagged: bool = Field(description="The text holds what looks like instructions to a model.")
    trust: Literal["curated", "untrusted", "suspect"] = Field(
        description="How far the source is vouched for; none makes its text an instruction."
    )
    marked_text: str = Field(
        description="The text for a model: between lines with this answer's delimiter."
    )
    attributes: dict[str, Attribute]

    @classmethod
    def of(cls, passage: Passage, answer: Answer) -> PassageModel:
        """From the domain's."""
        return cls(
            document_id=passage.document_id,
            chunk_id=passage.chunk_id,
            corpus=passage.corpus,
            source=passage.source,
            title=passage.title,
            classification=level_of(passage.classification),
            text=passage.text,
            rank=passage.rank,
            score=passage.score,
            share=passage.share,
            cut=CutModel.of(passage.cut),
            removed=dict(passage.removed),
            altered=dict(passage.altered),
            flagged=passage.flagged,
            trust=passage.trust.value,
            marked_text=answer.marked_text(passage),
            attributes=dict(passage.attributes),
        )


class StepUpModel(BaseModel):
    """What is missing (RFC 9470): acr values that would do, the oldest authentication in seconds, and what exactly."""

    acr_values: list[str]
    max_age: int | None
    lacks: list[str] = Field(
        description="Of: age, assurance, device, hours, sender-bound, task, zone."
    )

    @classmethod
    def of(cls, wanted: StepUp) -> StepUpModel:
        """From the domain's."""
        return cls(
            acr_values=list(wanted.acr_values),
            max_age=wanted.max_age,
            lacks=sorted(wanted.lacks),
        )


class ReceiptModel(BaseModel):
    """Evidence of an answer."""

    receipt_id: str = Field(description="The id of the event in the audit log.")
    recorded_at: int = Field(description="Unix milliseconds.")
    audit_hash: str = Field(description="The hash of the event's leaf in the log.")
    epoch_token: str
    salt: str = Field(
        description="Hex: with it the receipt's digests of the passages can be checked."
    )
    receipt_hash: str = Field(
        description="The hash of the leaf that `GET /v1/receipts/{receipt_id}` shows."
    )


class RetrieveResponse(BaseModel):
    """An answer."""

    passages: list[PassageModel]
    classification: Level
    receipt: ReceiptModel
    near_duplicates_removed: int
    not_answering_removed: int = Field(
        description="Passages left out because no sentence in them is near the question."
    )
    query_flags: list[str]
    delimiter: str = Field(description="Random in every answer: no document can hold it.")
    notice: str = Field(description="For the model's instructions: what the marks mean.")
    step_up: StepUpModel | None = Field(
        None, description="There is more that this asker may read, with better proof of who asks."
    )

    @classmethod
    def of(cls, answer: Answer) -> RetrieveResponse:
        """From the domain's."""
        receipt = answer.receipt
        return cls(
            passages=[PassageModel.of(passage, answer) for passage in answer.passages],
            classification=level_of(answer.classification),
            receipt=ReceiptModel(
                receipt_id=receipt.receipt_id,
                recorded_at=receipt.recorded_at,
                audit_hash=receipt.audit_hash,
                epoch_token=receipt.epoch_token,
                salt=receipt.salt,
                receipt_hash=receipt.receipt_hash,
            ),
            near_duplicates_removed=answer.near_duplicates_removed,
            not_answering_removed=answer.not_answering_removed,
            query_flags=list(answer.query_flags),
            delimiter=answer.delimiter,
            notice=NOTICE,
            step_up=StepUpModel.of(answer.step_up) if answer.step_up else None,
        )


class SearchRequest(BaseModel):
    """OpenAI's vector store search; fields we have no use for are accepted."""

    model_config = ConfigDict(frozen=True, strict=True)

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=16)] = Field(
        examples=["parental leave"]
    )
    filters: dict[str, Any] | None = None
    max_num_results: Whole = Field(10, ge=1, le=50)
    ranking_options: dict[str, Any] | None = None
    rewrite_query: bool | None = None


class SearchContent(BaseModel):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class SearchHit(BaseModel):
    """One result in OpenAI's shape."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, Attribute]
    content: list[SearchContent]


class SearchResponse(BaseModel):
    """A page of results in OpenAI's shape."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchHit]
    has_more: bool = False
    next_page: str | None = None


class LabelFields(Strict):
    """The parts of a label a caller gives."""

    classification: Level | None = None
    compartments: list[Name] = Field(default=[], max_length=32)
    granted: list[Principal] = Field(default=[], max_length=1000)
    denied: list[Principal] = Field(default=[], max_length=1000)
    valid_from: Seconds | None = None
    valid_until: Seconds | None = None

    def label(self, tenant: str, corpus: str, default: Classification) -> AccessLabel:
        """The label, validated by the domain."""
        level = Classification.parse(self.classification) if self.classification else default
        return AccessLabel(
            tenant=tenant,
            corpus=corpus,
            classification=level,
            compartments=frozenset(self.compartments),
            granted=frozenset(self.granted),
            denied=frozenset(self.denied),
            valid_from=self.valid_from,
            valid_until=self.valid_until,
        )


class DocumentRequest(LabelFields):
    """A document to ingest: text in `content`, or bytes in `content_base64`."""

    corpus: Name
    source: str = Field(min_length=1, max_length=1024, examples=["handbook/leave.md"])
    filename: str = Field(min_length=1, max_length=255, examples=["leave.md"])
    content: str | None = None
    content_base64: str | None = None
    attributes: dict[str, Attribute] = Field(default={}, max_length=16)
    signature_base64: str = Field("", max_length=88, description="The source's own (Ed25519).")


class ItemModel(BaseModel):
    """What became of a document."""

    source: str
    outcome: str
    document_id: str | None
    classification: Level | None
    chunks: int
    entity_counts: dict[str, int]
    code: str | None
    detail: str
    confidence: float | None = Field(description="Of the trained classifier, if one judged it.")

    @classmethod
    def of(cls, item: ItemResult) -> ItemModel:
        """From the domain's."""
        return cls(
            source=item.source,
            outcome=item.outcome.value,
            document_id=item.document_id,
            classification=level_of(Classification.parse(item.classification))
            if item.classification
            else None,
            chunks=item.chunks,
            entity_counts=dict(item.entity_counts),
            code=item.code,
            detail=item.detail,
            confidence=item.confidence,
        )


class DocumentModel(BaseModel):
    """What the catalog says of a document."""

    document_id: str
    version: int
    corpus: str
    source: str
    title: str
    state: str
    media_type: str
    classification: Level
    compartments: list[str]
    attributes: dict[str, Attribute]
    chunks: int
    created_at: int
    gone_since: int | None = Field(
        description="Since when its source is without it; it is removed after the grace period."
    )

    @classmethod
    def of(cls, record: DocumentRecord) -> DocumentModel:
        """From the domain's."""
        return cls(
            document_id=record.document_id,
            version=record.version,
            corpus=record.corpus,
            source=record.source,
            title=record.title,
            state=record.state.value,
            media_type=record.media_type,
            classification=level_of(record.label.classification),
            compartments=sorted(record.label.compartments),
            attributes=dict(record.attributes),
            chunks=record.chunk_count,
            created_at=record.created_at,
            gone_since=record.gone_since,
        )


class DocumentPage(BaseModel):
    """Documents, and where to go on."""

    documents: list[DocumentModel]
    next_page_token: str | None = Field(description="Send it as `page_token`; null at the end.")


class RelabelRequest(LabelFields):
    """What of a label is to be different, and why. A field that is not sent stays as it is; `null` takes a bound off."""

    reason: str = Field(min_length=8, max_length=500)

    def changed(self, before: AccessLabel) -> AccessLabel:
        """The label afterwards, validated by the domain."""
        sent = self.model_fields_set
        given = self.label(before.tenant, before.corpus, before.classification)
        names = ("compartments", "granted", "denied", "valid_from", "valid_until")
        kept = {name: getattr(before, name) for name in names if name not in sent}
        return replace(given, **kept)


class FolderRelabelRequest(Strict):
    """What of the labels below a source folder is to be different; what is left out stays as it is."""

    corpus: Name
    folder: str = Field(max_length=1024, description="Sources that begin so; empty: the corpus.")
    classification: Level | None = None
    compartments: list[Name] | None = Field(None, max_length=32)
    granted: list[Principal] | None = Field(None, max_length=1000)
    denied: list[Principal] | None = Field(None, max_length=1000)
    valid_from: Seconds | None = None
    valid_until: Seconds | None = None
    unbounded: bool = Field(False, description="Takes both ends off the validity first.")
    reason: str = Field(min_length=8, max_length=500)
    dry_run: bool = False

    def change(self) -> LabelChange:
        """The change, validated by the domain when it is applied."""
        level = Classification.parse(self.classification) if self.classification else None
        return LabelChange(
            classification=level,
            compartments=_set(self.compartments),
            granted=_set(self.granted),
            denied=_set(self.denied),
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            unbounded=self.unbounded,
        )


class FolderRelabelResponse(BaseModel):
    """What became, or with a dry run would become, of a folder."""

    documents: int
    changed: int
    raised: int = Field(description="Classified higher: encrypted and embedded anew.")
    rewrap_pending: int = Field(description="In force, and unreadable until their key is back.")
    classifications: list[list[str | int]] = Field(description="[before, after, documents]")
    dry_run: bool


class ReasonRequest(Strict):
    """Why."""

    reason: str = Field(min_length=8, max_length=500)


class ApplicationRequest(Strict):
    """An application and what may pass through it."""

    principal: Principal
    client_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")
    corpora: list[str] = Field(max_length=100)
    ceiling: Level
    public_client: bool = False
    owner: Principal
    purpose: Text
    expires_at: Seconds
    with_key: bool = True
    replace_keys: bool = Field(
        False, description="Earlier keys end with this call, not a day later."
    )


class ApplicationModel(BaseModel):
    """The application's API key, shown this once."""

    principal: str
    api_key: str | None


class TermModel(BaseModel):
    """One term of a decision, and whom it is about."""

    who: str
    term: str
    holds: bool
    because: str

    @classmethod
    def of(cls, term: Term) -> TermModel:
        """From the domain's."""
        return cls(who=term.who, term=term.term, holds=term.holds, because=term.because)


def level_of(level: Classification) -> Level:
    """A classification as it goes over the wire."""
    names: dict[Classification, Level] = {
        Classification.PUBLIC: "PUBLIC",
        Classification.INTERNAL: "INTERNAL",
        Classification.CONFIDENTIAL: "CONFIDENTIAL",
        Classification.RESTRICTED: "RESTRICTED",
    }
    return names[level]
