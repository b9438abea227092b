"""A passage as frameworks hold documents: a text, an id, and flat metadata."""

from __future__ import annotations

from dataclasses import dataclass

from ragward.domain.passages import Answer, Passage, RetrievalRequest

Flat = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a retriever asks for each time, beside the question."""

    corpora: tuple[str, ...] = ()
    limit: int = 4
    purpose: str = ""

    def request(self, query: str, limit: int | None = None) -> RetrievalRequest:
        """The request for one question."""
        return RetrievalRequest(
            query=query,
            corpora=self.corpora,
            limit=self.limit if limit is None else limit,
            purpose=self.purpose,
        )


def text_of(answer: Answer, passage: Passage, *, marked: bool) -> str:
    """The text for a model: between the answer's marks, unless the application marks it itself."""
    return answer.marked_text(passage) if marked else passage.text


def metadata_of(answer: Answer, passage: Passage) -> dict[str, Flat]:
    """Where it comes from and how far it is trusted. A document's own attributes never take one of our names."""
    ours: dict[str, Flat] = {
        "document_id": passage.document_id,
        "corpus": passage.corpus,
        "source": passage.source,
        "title": passage.title,
        "classification": passage.classification.name,
        "score": passage.score,
        "rank": passage.rank,
        "trust": passage.trust.value,
        "flagged": passage.flagged,
        "receipt_id": answer.receipt.receipt_id,
    }
    return dict(passage.attributes) | ours
