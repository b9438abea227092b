"""What `explain`, `who-can-see`, `what-can-see` and `my-access` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import typer
from pydantic import BaseModel

from ragward.api.schemas_explain import (
    AccessResponse,
    ExplainResponse,
    OwnAccessResponse,
    ReadersResponse,
)
from ragward.bootstrap import Ragward
from ragward.cli import render_explain
from ragward.cli.commands import Caller, document_id, opened
from ragward.domain.access import Subject
from ragward.domain.errors import InvalidRequestError
from ragward.domain.explanation import Asked, ChunkId, DocumentId, Target
from ragward.domain.funnel import Fate
from ragward.domain.passages import RetrievalRequest
from ragward.settings import Settings

#: The answer is "not permitted".
DENIED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An explanation as the command line takes it."""

    principal: str
    document: str | None
    chunk: str | None
    query: str | None
    application: str | None
    agents: Sequence[str]
    corpora: Sequence[str]
    limit: int

    def asked(self) -> Asked:
        """About whom."""
        return Asked(
            principal=self.principal, application=self.application, agents=tuple(self.agents)
        )

    def target(self, ragward: Ragward, steward: Subject) -> Target | None:
        """About what. Raises `request.invalid` unless one thing is asked."""
        if self.document is not None and self.chunk is not None:
            raise InvalidRequestError("name a document or a --chunk, not both")
        if self.document is not None:
            return DocumentId(document_id(ragward, steward, self.document))
        if self.chunk is not None:
            return ChunkId(self.chunk)
        if self.query is None:
            raise InvalidRequestError("name a document, a --chunk or a --query")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """When, and which part of a list."""

    at: str | None
    after: str
    limit: int

    def instant(self) -> int | None:
        """Unix seconds; None for now. Raises `request.invalid`."""
        if self.at is None:
            return None
        try:
            if self.at.isascii() and self.at.isdigit():
                return int(self.at)
            found = datetime.fromisoformat(self.at)
        except ValueError:
            raise InvalidRequestError(
                "--at is a date, a time with its zone, or Unix seconds"
            ) from None
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def explain(settings: Settings, wanted: Wanted, caller: Caller, *, as_json: bool) -> int:
    """`ragward explain`; 3 when a document is not permitted."""
    with opened(settings, caller) as (ragward, steward):
        target = wanted.target(ragward, steward)
        if wanted.query is not None:
            request = RetrievalRequest(
                query=wanted.query, corpora=tuple(wanted.corpora), limit=wanted.limit
            )
            told = ragward.explainer.query(steward, wanted.asked(), request, target)
            _print(ExplainResponse.of_query(told), as_json=as_json)
            if not as_json:
                render_explain.funnel(told)
            return DENIED if told.denied is not None or told.fate is Fate.LABEL else 0
        assert target is not None  # or there was a query
        decision = ragward.explainer.document(steward, wanted.asked(), target)
    _print(ExplainResponse.of_document(decision), as_json=as_json)
    if not as_json:
        render_explain.decision(decision)
    return 0 if decision.permitted else DENIED


def who_can_see(
    settings: Settings, document: str, page: Page, caller: Caller, *, as_json: bool
) -> int:
    """`ragward who-can-see`; 3 when nobody can."""
    with opened(settings, caller) as (ragward, steward):
        target: Target = DocumentId(document_id(ragward, steward, document))
        if document.startswith("chunk:"):
            target = ChunkId(document.removeprefix("chunk:"))
        found = ragward.explainer.readers(
            steward, target, at=page.instant(), after=page.after, limit=page.limit
        )
    _print(ReadersResponse.of(found), as_json=as_json)
    if not as_json:
        render_explain.readers(found)
    return 0 if found.total else DENIED


def what_can_see(
    settings: Settings, principal: str, page: Page, caller: Caller, *, as_json: bool
) -> int:
    """`ragward what-can-see`; 3 when there is nothing to read."""
    with opened(settings, caller) as (ragward, steward):
        found = ragward.explainer.access(
            steward, principal, at=page.instant(), after=page.after, limit=page.limit
        )
    _print(AccessResponse.of(found), as_json=as_json)
    if not as_json:
        render_explain.access(found)
    return 0 if found.areas else DENIED


def my_access(settings: Settings, caller: Caller, *, as_json: bool) -> None:
    """`ragward my-access`."""
    with opened(settings, caller) as (ragward, subject):
        areas = ragward.explainer.own_access(subject)
    own = OwnAccessResponse.of(areas)
    _print(own, as_json=as_json)
    if not as_json:
        render_explain.own_access(own)


def _print(body: BaseModel, *, as_json: bool) -> None:
    if as_json:
        typer.echo(body.model_dump_json())
