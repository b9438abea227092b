"""What may be asked, what may be opened, what leaves: the rules of the query flow, without I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from ragward.domain.access import KNOWING_ACTIONS, STEWARDING_ACTIONS, Action, Grant, Permit
from ragward.domain.corpus import DocumentState, IndexScope, Pending, StoredChunk, View
from ragward.domain.errors import InvalidRequestError
from ragward.domain.findings import Verdict
from ragward.domain.funnel import Fate
from ragward.domain.labels import is_honey
from ragward.domain.marking import NOBODY_VOUCHES, SourceTrust
from ragward.domain.passages import (
    Admitted,
    AuthorizedChunk,
    MinimalText,
    Passage,
    RedactedText,
    RetrievalRequest,
)
from ragward.domain.words import fused

MAX_QUERY_CHARACTERS: Final = 4_000
MAX_LIMIT: Final = 50


def checked_query(untrusted: str) -> str:
    """The query in NFKC with single spaces. Raises `query.*`."""
    if len(untrusted) > MAX_QUERY_CHARACTERS:
        raise InvalidRequestError(
            f"a query has at most {MAX_QUERY_CHARACTERS} characters", code="query.too_long"
        )
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in untrusted):
        raise InvalidRequestError(code="query.control_characters")
    query = " ".join(unicodedata.normalize("NFKC", untrusted).split())
    if not query or not any(character.isalnum() for character in query):
        raise InvalidRequestError(code="query.empty")
    return query[:MAX_QUERY_CHARACTERS]


def check_bounds(request: RetrievalRequest) -> None:
    """Raises `request.invalid`."""
    if not 1 <= request.limit <= MAX_LIMIT:
        raise InvalidRequestError(f"limit is between 1 and {MAX_LIMIT}")
    if not 1 <= request.max_passages_per_document <= MAX_LIMIT:
        raise InvalidRequestError(f"max_passages_per_document is between 1 and {MAX_LIMIT}")


def knowing_actions(state: DocumentState) -> tuple[Action, ...]:
    """One of these a subject must be permitted to learn that a document in this state exists: readers do not know of what
    waits for a steward or is held back, and nobody of what is deleted."""
    if state is DocumentState.ACTIVE:
        return KNOWING_ACTIONS
    held = (DocumentState.QUARANTINED, DocumentState.GONE)
    return STEWARDING_ACTIONS if state in held else ()


def matches_view(permit: Permit, scope: IndexScope) -> bool:
    """Whether a point of this scope answers this permit's holder."""
    grant = permit.grant_of(scope.label_id)
    return grant is not None and _is_its_view(grant, scope)


def _is_its_view(grant: Grant, of: IndexScope | StoredChunk) -> bool:
    """Full for who is entitled to every type in it, and redacted for everybody else."""
    entitled = of.entity_types <= grant.revealed
    return entitled if of.view is View.FULL else not entitled


def drop_reason(
    permit: Permit, request: RetrievalRequest, stored: StoredChunk | None
) -> Fate | None:
    """Why a candidate may not be opened, judged on the catalog's row alone; None if it may."""
    if stored is None:
        return Fate.ABSENT
    if is_honey(stored.label):
        return Fate.LABEL  # whatever the policy says
    if stored.state is not DocumentState.ACTIVE:
        return Fate.STATE
    grant = permit.grant_of(stored.label_id)
    if grant is None:
        return Fate.LABEL
    if stored.document_id in permit.quarantined:
        return Fate.QUARANTINED
    if stored.pending is Pending.REWRAP:
        return Fate.REWRAP_PENDING
    if request.corpora and stored.corpus not in request.corpora:
        return Fate.CORPUS
    if not _is_its_view(grant, stored):
        return Fate.VIEW
    if stored.verdict == Verdict.QUARANTINE:
        return Fate.QUARANTINED
    return None


def joined(rankings: Sequence[Sequence[Admitted]]) -> list[Admitted]:
    """Several rankings as one, by rank. Only what was admitted has one: what was not moves nobody's."""
    scores = fused([[chunk.stored.point_id for chunk in ranking] for ranking in rankings])
    chunks = {chunk.stored.point_id: chunk for ranking in reversed(rankings) for chunk in ranking}
    best = sorted(scores, key=lambda name: (-scores[name], name))
    return [replace(chunks[name], score=scores[name]) for name in best]


def capped_per_document(chunks: Iterable[AuthorizedChunk], limit: int) -> Iterator[AuthorizedChunk]:
    """At most `limit` chunks of one document, in order; each is taken when it is asked for."""
    counts: dict[str, int] = {}
    for chunk in chunks:
        document = chunk.stored.document_id
        counts[document] = counts.get(document, 0) + 1
        if counts[document] <= limit:
            yield chunk


def passage(
    rank: int,
    chunk: AuthorizedChunk,
    redacted: RedactedText,
    kept: MinimalText,
    *,
    raw_score: bool,
    trust: SourceTrust = NOBODY_VOUCHES,
) -> Passage:
    """What leaves of one chunk; with `raw_score` what it scored in the search, otherwise a score made of the rank."""
    stored = chunk.stored
    flagged = stored.verdict == Verdict.FLAG
    return Passage(
        document_id=stored.document_id,
        chunk_id=stored.chunk_id,
        corpus=stored.corpus,
        source=stored.source,
        title=stored.title,
        classification=stored.label.classification,
        text=kept.text,
        rank=rank,
        score=round(chunk.score if raw_score else 1 / rank, 4),
        share=kept.share,
        cut=kept.cut,
        removed=redacted.removed,
        altered=redacted.altered,
        flagged=flagged,
        trust=trust.of(stored.label.tenant, stored.corpus, stored.source, flagged=flagged),
        attributes=stored.attributes,
    )
