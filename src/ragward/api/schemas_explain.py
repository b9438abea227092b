"""Explanations over the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from ragward.api.schemas import (
    MINIMIZE,
    Level,
    MinimizeMode,
    Name,
    Principal,
    Query,
    Strict,
    TermModel,
    Whole,
    level_of,
    mode_of,
)
from ragward.domain.errors import InvalidRequestError
from ragward.domain.explanation import (
    Act,
    Alternatives,
    Area,
    Asked,
    AskedAbout,
    Change,
    ChunkId,
    DocumentExplanation,
    DocumentId,
    DocumentNamed,
    QueryExplanation,
    Reader,
    Readers,
    ReturnedTold,
    SubjectAccess,
    Target,
    ViewTold,
)
from ragward.domain.funnel import ChunkTold, StageTold
from ragward.domain.passages import RetrievalRequest

_Id = Field(None, min_length=1, max_length=100)


class ExplainRequest(Strict):
    """Whose access to which document or chunk; with a query, how far it would come in their answer."""

    principal: Principal
    document_id: str | None = _Id
    chunk_id: str | None = _Id
    query: Query | None = None
    application: Principal | None = Field(None, description="Through it, as `app:tenant/name`.")
    agents: list[Principal] = Field(default=[], max_length=8)
    corpora: list[Name] = Field(default=[], max_length=50)
    limit: Whole = Field(10, ge=1, le=50)
    max_passages_per_document: Whole = Field(3, ge=1, le=50)
    filters: dict[str, Any] | None = None
    minimize: MinimizeMode | None = MINIMIZE

    def asked(self) -> Asked:
        """About whom."""
        return Asked(
            principal=self.principal, application=self.application, agents=tuple(self.agents)
        )

    def target(self) -> Target | None:
        """About what. Raises `request.invalid` for two of them, or for none and no query."""
        if self.document_id is not None and self.chunk_id is not None:
            raise InvalidRequestError("give a document_id or a chunk_id, not both")
        if self.document_id is not None:
            return DocumentId(self.document_id)
        if self.chunk_id is not None:
            return ChunkId(self.chunk_id)
        if self.query is None:
            raise InvalidRequestError("give a document_id, a chunk_id or a query")
        return None

    def retrieval(self) -> RetrievalRequest | None:
        """The question, if one is asked."""
        if self.query is None:
            return None
        return RetrievalRequest(
            query=self.query,
            corpora=tuple(self.corpora),
            limit=self.limit,
            max_passages_per_document=self.max_passages_per_document,
            filters=self.filters,
            minimize=mode_of(self.minimize),
        )


class DocumentNameModel(BaseModel):
    """A document, without its content or title."""

    document_id: str
    chunk_id: str | None
    corpus: str
    source: str
    classification: Level
    state: str

    @classmethod
    def of(cls, document: DocumentNamed) -> DocumentNameModel:
        """From the domain's."""
        return cls(
            document_id=document.document_id,
            chunk_id=document.chunk_id,
            corpus=document.corpus,
            source=document.source,
            classification=level_of(document.classification),
            state=document.state.value,
        )


class AboutModel(BaseModel):
    """Whose access it is."""

    principal: str
    application: str | None
    agents: list[str]

    @classmethod
    def of(cls, about: AskedAbout) -> AboutModel:
        """From the domain's."""
        return cls(
            principal=about.principal,
            application=about.application.principal if about.application else None,
            agents=list(about.agents),
        )


class ChangeModel(BaseModel):
    """One edit; policy edits as the line to add or remove."""

    kind: str
    text: str
    line: str | None

    @classmethod
    def of(cls, change: Change) -> ChangeModel:
        """From the domain's."""
        return cls(kind=change.kind.value, text=change.text, line=change.line)


class AlternativeModel(BaseModel):
    """Changes that together permit it, and what else the principal would then read."""

    changes: list[ChangeModel]
    further_documents: int = Field(description="Of those that the steward may explain.")


class AlternativesModel(BaseModel):
    """The smallest sets of changes, the one that gives away least first."""

    found: list[AlternativeModel]
    more: int = Field(description="As many again of the same size are not shown.")
    complete: bool = Field(description="False when the search was cut short.")

    @classmethod
    def of(cls, given: Alternatives) -> AlternativesModel:
        """From the domain's."""
        found = [
            AlternativeModel(
                changes=[ChangeModel.of(change) for change in each.changes],
                further_documents=each.gains,
            )
            for each in given.found
        ]
        return cls(found=found, more=given.more, complete=given.complete)


class ViewModel(BaseModel):
    """In which view the chunks are shown."""

    full_chunks: int
    redacted_chunks: int
    shown: list[str] = Field(description="Personal-data types in it that are shown.")
    hidden: dict[str, str] = Field(description="Types in it that are not, each with the reason.")

    @classmethod
    def of(cls, view: ViewTold) -> ViewModel:
        """From the domain's."""
        return cls(
            full_chunks=view.full,
            redacted_chunks=view.redacted,
            shown=sorted(view.shown),
            hidden=dict(view.hidden),
        )


class DecisionTold(BaseModel):
    """Whether somebody may read a document, and on what it rests."""

    document: DocumentNameModel
    about: AboutModel
    permitted: bool
    terms: list[TermModel]
    view: ViewModel | None
    alternatives: AlternativesModel

    @classmethod
    def of(cls, given: DocumentExplanation) -> DecisionTold:
        """From the domain's."""
        return cls(
            document=DocumentNameModel.of(given.document),
            about=AboutModel.of(given.about),
            permitted=given.permitted,
            terms=[TermModel.of(term) for term in given.terms],
            view=None if given.view is None else ViewModel.of(given.view),
            alternatives=AlternativesModel.of(given.alternatives),
        )


class StageModel(BaseModel):
    """How many came into a stage, how many went on, and what took the others."""

    stage: str
    unit: str
    entered: int
    left: int
    lost: dict[str, int]

    @classmethod
    def of(cls, stage: StageTold) -> StageModel:
        """From the domain's."""
        return cls(
            stage=stage.stage,
            unit=stage.unit,
            entered=stage.entered,
            left=stage.left,
            lost=stage.lost,
        )


class ChunkModel(BaseModel):
    """What became of one chunk of the named document."""

    chunk_id: str
    ordinal: int
    view: str
    fate: str
    rank: int | None = Field(description="In the answer, or among the nearest.")
    considered: int | None
    score: float | None = Field(description="Only for a steward who may read the chunk.")
    cut: float | None
    duplicate_of: str | None
    share: float | None

    @classmethod
    def of(cls, chunk: ChunkTold) -> ChunkModel:
        """From the domain's."""
        return cls(
            chunk_id=chunk.chunk_id,
            ordinal=chunk.ordinal,
            view=chunk.view.name.lower(),
            fate=chunk.fate.value,
            rank=chunk.rank,
            considered=chunk.considered,
            score=chunk.score,
            cut=chunk.cut,
            duplicate_of=chunk.duplicate_of,
            share=chunk.share,
        )


class ReturnedModel(BaseModel):
    """One passage of the answer, without its text."""

    rank: int
    document: DocumentNameModel
    share: float
    removed: dict[str, int]

    @classmethod
    def of(cls, returned: ReturnedTold) -> ReturnedModel:
        """From the domain's."""
        return cls(
            rank=returned.rank,
            document=DocumentNameModel.of(returned.document),
            share=returned.share,
            removed=dict(returned.removed),
        )


class FunnelModel(BaseModel):
    """What a question would come to, over the documents that the steward may explain."""

    about: AboutModel
    stages: list[StageModel]
    returned: list[ReturnedModel]
    document: DocumentNameModel | None
    fate: str | None = Field(description="How far the named document came.")
    chunks: list[ChunkModel]

    @classmethod
    def of(cls, given: QueryExplanation) -> FunnelModel:
        """From the domain's."""
        return cls(
            about=AboutModel.of(given.about),
            stages=[StageModel.of(stage) for stage in given.stages],
            returned=[ReturnedModel.of(each) for each in given.returned],
            document=None if given.named is None else DocumentNameModel.of(given.named),
            fate=None if given.fate is None else given.fate.value,
            chunks=[ChunkModel.of(chunk) for chunk in given.chunks],
        )


class ExplainResponse(BaseModel):
    """The decision on a document, or the way of a question; with both, the decision where it stopped the document."""

    decision: DecisionTold | None = None
    funnel: FunnelModel | None = None

    @classmethod
    def of_document(cls, given: DocumentExplanation) -> ExplainResponse:
        """From the domain's."""
        return cls(decision=DecisionTold.of(given))

    @classmethod
    def of_query(cls, given: QueryExplanation) -> ExplainResponse:
        """From the domain's."""
        decision = None if given.denied is None else DecisionTold.of(given.denied)
        return cls(decision=decision, funnel=FunnelModel.of(given))


class ReaderModel(BaseModel):
    """Somebody who may read, and how."""

    principal: str
    row: str | None = Field(description="An allow row: corpus, levels, compartment.")
    allowed: list[str] = Field(
        description="The memberships from the principal to the row's subject."
    )
    granted: list[str] = Field(description="And to whom the label grants; empty for agents.")

    @classmethod
    def of(cls, reader: Reader) -> ReaderModel:
        """From the domain's."""
        row = reader.row
        return cls(
            principal=reader.principal,
            row=None if row is None else ", ".join(row.fields()[2:5]),
            allowed=list(reader.allowed),
            granted=list(reader.granted),
        )


class ReadersResponse(BaseModel):
    """Who may read a document, one page by name."""

    document: DocumentNameModel
    at: int
    total: int
    readers: list[ReaderModel]
    next_after: str | None
    because: str = Field(description="Why it is nobody, whatever the policy says.")

    @classmethod
    def of(cls, given: Readers) -> ReadersResponse:
        """From the domain's."""
        return cls(
            document=DocumentNameModel.of(given.document),
            at=given.at,
            total=given.total,
            readers=[ReaderModel.of(reader) for reader in given.readers],
            next_after=given.next_after,
            because=given.because,
        )


class AreaModel(BaseModel):
    """Documents that are alike to a decision."""

    corpus: str
    classification: Level
    compartments: list[str]
    revealed: list[str]
    labels: int
    documents: int

    @classmethod
    def of(cls, area: Area) -> AreaModel:
        """From the domain's."""
        return cls(
            corpus=area.corpus,
            classification=level_of(area.classification),
            compartments=sorted(area.compartments),
            revealed=sorted(area.revealed),
            labels=area.labels,
            documents=area.documents,
        )


class ActModel(BaseModel):
    """An administrative action, in a corpus or, without one, on the tenant as a whole."""

    action: str
    corpus: str | None
    classifications: list[Level]

    @classmethod
    def of(cls, act: Act) -> ActModel:
        """From the domain's."""
        return cls(
            action=act.action,
            corpus=act.corpus,
            classifications=[level_of(level) for level in act.classifications],
        )


class AccessResponse(BaseModel):
    """What somebody may read and do, as far as the steward may explain it."""

    about: AboutModel
    at: int
    because: str = Field(description="Why it is nothing, whatever the policy says.")
    areas: list[AreaModel]
    documents: list[DocumentNameModel]
    next_after: str | None
    acts: list[ActModel]

    @classmethod
    def of(cls, given: SubjectAccess) -> AccessResponse:
        """From the domain's."""
        return cls(
            about=AboutModel.of(given.about),
            at=given.at,
            because=given.because,
            areas=[AreaModel.of(area) for area in given.areas],
            documents=[DocumentNameModel.of(document) for document in given.documents],
            next_after=given.next_after,
            acts=[ActModel.of(act) for act in given.acts],
        )


class OwnAreaModel(BaseModel):
    """A corpus, and the classifications in which something can be read."""

    corpus: str
    classifications: list[Level]


class OwnAccessResponse(BaseModel):
    """Where the asker can read something, and nothing else."""

    corpora: list[OwnAreaModel]

    @classmethod
    def of(cls, areas: tuple[Area, ...]) -> OwnAccessResponse:
        """From the domain's."""
        levels: dict[str, set[Any]] = {}
        for area in areas:
            levels.setdefault(area.corpus, set()).add(area.classification)
        return cls(
            corpora=[
                OwnAreaModel(corpus=corpus, classifications=[level_of(x) for x in sorted(found)])
                for corpus, found in sorted(levels.items())
            ]
        )
