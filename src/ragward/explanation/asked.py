"""What a steward asks about: checked, looked up, and hidden where the steward may not explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragward.domain.access import Action, Application, Context, IdSet, Subject
from ragward.domain.corpus import DocumentRecord, DocumentState, Pending, StoredChunk, View
from ragward.domain.errors import NotFoundError
from ragward.domain.explanation import (
    Asked,
    AskedAbout,
    ChunkId,
    DocumentNamed,
    Hurdle,
    Obstacle,
    Target,
    Term,
)
from ragward.domain.findings import Verdict
from ragward.domain.labels import AccessLabel, administrative, require_principal, tenant_of
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.ports import Catalog, PolicyDecisionPoint
from ragward.protection import point_id_of

ASKING = ("user:", "app:", "agent:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A document, or one of its chunks, that the steward may explain."""

    document: DocumentNamed
    label: AccessLabel
    label_id: int
    chunks: tuple[StoredChunk, ...]
    """One for each point of the chunks in question."""
    pending: Pending

    @property
    def is_answered_from(self) -> bool:
        """Whether answers are made from it."""
        return self.document.state is DocumentState.ACTIVE and self.pending is not Pending.REWRAP

    def answered(self) -> Term:
        """The same as a term of the decision."""
        state, because = self.document.state, f"it is {self.document.state.value}"
        if self.pending is Pending.REWRAP:
            because += ", its key is still to be wrapped for the new label"
        hurdle = Hurdle.QUARANTINED if state is DocumentState.QUARANTINED else Hurdle.REFUSED
        held = self.is_answered_from
        obstacles = () if held else (Obstacle(hurdle, "document"),)
        return Term("document", "answered from", held, because, obstacles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """Whose access is looked at, and what refuses them whatever the policy says."""

    about: AskedAbout
    refused: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StewardQuestion:
    """One question of a steward's, at an instant. What may not be explained is absent: `access.not_found`."""

    pdp: PolicyDecisionPoint
    catalog: Catalog
    recorder: Recorder
    steward: Subject
    context: Context

    def explainable(self) -> IdSet:
        """Labels under which the steward may explain."""
        return self.pdp.labels_for(self.steward, Action.ACCESS_EXPLAIN, self.context)

    def may_explain(self, label: AccessLabel) -> bool:
        """Whether the steward may explain under one label."""
        return self.pdp.decide(self.steward, Action.ACCESS_EXPLAIN, label, self.context)

    def explains_tenant(self) -> bool:
        """Whether the steward may explain in the tenant as a whole."""
        return self.may_explain(administrative(self.steward.tenant))

    def require_steward(self) -> None:
        """Raises `access.not_found` for whoever may explain nothing at all."""
        if not (self.explainable() or self.explains_tenant()):
            raise NotFoundError

    def somebody(self, asked: Asked) -> Somebody:
        """Raises `principal.invalid`, and `access.not_found` for another tenant's or an application nobody registered."""
        for name in (asked.principal, *asked.agents, *filter(None, [asked.application])):
            require_principal(name)
            if tenant_of(name) != self.steward.tenant:
                raise NotFoundError
        if not asked.principal.startswith(ASKING) or not all(
            agent.startswith("agent:") for agent in asked.agents
        ):
            raise NotFoundError
        own = asked.principal if asked.principal.startswith("app:") else None
        application = self._application(asked.application or own)
        if asked.application is not None and application is None:
            raise NotFoundError
        about = AskedAbout(principal=asked.principal, application=application, agents=asked.agents)
        return Somebody(about=about, refused=self._refused(about))

    def named(self, target: Target) -> Named:
        """Raises `access.not_found`: absent, deleted, another tenant's and not for this steward look the same."""
        if isinstance(target, ChunkId):
            return self._explainable(self._chunk(target.id))
        record = self.catalog.get_document(self.steward.tenant, target.id)
        return self._explainable(record)

    # How. -----------------------------------------------------------------------------------------------------------

    def _chunk(self, chunk_id: str) -> StoredChunk:
        point = point_id_of(chunk_id, View.FULL)
        found = self.catalog.stored_chunks(self.steward.tenant, [point]).chunks.get(point)
        if found is None or found.state is DocumentState.DELETED:
            raise NotFoundError
        return found

    def _explainable(self, found: DocumentRecord | StoredChunk) -> Named:
        notice(self.recorder, self.steward, found.label, found.document_id, "explain")
        if not self.may_explain(found.label):
            raise NotFoundError
        chunks: Sequence[StoredChunk]
        chunk_id = None
        state = found.state
        if isinstance(found, StoredChunk):
            chunk_id = found.chunk_id
            points = [point_id_of(chunk_id, view) for view in View]
            stored = self.catalog.stored_chunks(self.steward.tenant, points).chunks
            chunks = list(stored.values())
            if found.verdict == Verdict.QUARANTINE and state is DocumentState.ACTIVE:
                state = DocumentState.QUARANTINED
        else:
            chunks = self.catalog.document_chunks(self.steward.tenant, found.document_id)
        document = DocumentNamed(
            document_id=found.document_id,
            corpus=found.corpus,
            source=found.source,
            classification=found.label.classification,
            state=state,
            chunk_id=chunk_id,
        )
        return Named(
            document=document,
            label=found.label,
            label_id=found.label_id,
            chunks=tuple(chunks),
            pending=found.pending,
        )

    def _application(self, principal: str | None) -> Application | None:
        if principal is None:
            return None
        found = self.catalog.applications(self.steward.tenant)
        return next((each for each in found if each.principal == principal), None)

    def _refused(self, about: AskedAbout) -> tuple[Term, ...]:
        told = []
        who, application = about.principal, about.application
        if self.catalog.is_disabled(about.tenant, who):
            told.append(_refusal(who, "enabled", "the directory has deactivated or deleted them"))
        if who.startswith("app:") and application is None:
            told.append(_refusal(who, "registered", "no application of this name is registered"))
        ends = None if application is None else application.expires_at
        if application is not None and ends is not None and ends <= self.context.now:
            told.append(_refusal(application.principal, "registered", "its registration has ended"))
        return tuple(told)


def _refusal(who: str, term: str, because: str) -> Term:
    return Term(who, term, False, because, (Obstacle(Hurdle.REFUSED, who),))
