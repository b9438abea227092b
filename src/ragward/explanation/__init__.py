"""Why, for two audiences: stewards see the whole of it, askers nothing that reveals existence.

A steward needs `access:explain` on the label of everything shown; what they may not explain does not exist for them, nor
does it move any count, rank or list. Every question is recorded, with whom it is about, before it is answered. Verdicts
are the decision point's; nothing is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from ragward.domain.access import (
    CONTENT_ACTIONS,
    REVEAL_PREFIX,
    Action,
    Context,
    Deny,
    Permit,
    Subject,
)
from ragward.domain.audit import EventType, query_tag
from ragward.domain.corpus import DocumentState, View
from ragward.domain.explanation import (
    Act,
    Alternatives,
    Area,
    Asked,
    AskedAbout,
    DocumentExplanation,
    DocumentNamed,
    Explanation,
    Hurdle,
    QueryExplanation,
    Reader,
    Readers,
    SubjectAccess,
    Supposition,
    Target,
    ViewTold,
)
from ragward.domain.labels import AccessLabel, administrative
from ragward.domain.passages import RetrievalRequest
from ragward.evidence import Recorder
from ragward.explanation.alternatives import AlternativeSearch
from ragward.explanation.asked import Named, Somebody, StewardQuestion
from ragward.explanation.funnel import Rehearsing
from ragward.ports import Catalog, ChunkIndex, Clock, Keyring, Limiter, PolicyDecisionPoint
from ragward.retrieval import Retrieval

MAX_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainerPorts:
    """Everything an explanation looks at."""

    pdp: PolicyDecisionPoint
    catalog: Catalog
    index: ChunkIndex
    retrieval: Retrieval
    keyring: Keyring
    limiter: Limiter
    recorder: Recorder
    clock: Clock


class Explainer:
    """Answers stewards' questions about access, and everybody's about their own. Thread-safe."""

    def __init__(self, ports: ExplainerPorts) -> None:
        self._ports = ports

    # For stewards. --------------------------------------------------------------------------------------------------

    def document(self, steward: Subject, asked: Asked, target: Target) -> DocumentExplanation:
        """Whether somebody may read a document or chunk, on what it rests, and the smallest changes that would permit it.

        Raises `principal.invalid`, `access.not_found`."""
        question = self._question(steward)
        somebody, named = question.somebody(asked), question.named(target)
        told = self._decided(question, somebody, named)
        details = {**_of(named.document), "permitted": told.permitted}
        self._record(steward, "document", somebody.about, details)
        return self._explained(question, somebody, named, told)

    def query(
        self,
        steward: Subject,
        asked: Asked,
        request: RetrievalRequest,
        target: Target | None = None,
    ) -> QueryExplanation:
        """What a question of somebody's would come to, stage by stage, and how far a named document comes; no text.

        Raises what a retrieval raises, `principal.invalid` and `access.not_found`."""
        question = self._question(steward)
        somebody = question.somebody(asked)
        question.require_steward()
        named = question.named(target) if target is not None else None
        tag = query_tag(self._ports.keyring.mac_key("query-tag"), steward.tenant, request.query)
        about = {} if named is None else _of(named.document)
        self._record(steward, "query", somebody.about, {**about, "query_tag": tag})
        ports = self._ports
        rehearsing = Rehearsing(
            question=question, retrieval=ports.retrieval, index=ports.index, request=request
        )
        found = rehearsing.run(somebody.about, named, refused=bool(somebody.refused))
        if named is None:
            return found
        told = self._decided(question, somebody, named)
        if told.permitted:
            return found
        return replace(found, denied=self._explained(question, somebody, named, told))

    def readers(
        self,
        steward: Subject,
        target: Target,
        *,
        at: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Readers:
        """Who may read a document by themselves, and the way each has to it; by name, from after one on."""
        question = self._question(steward, at)
        named = question.named(target)
        self._record(steward, "readers", None, {**_of(named.document), "at": question.context.now})
        answered = named.answered()
        found = list(self._readers(question, named.label)) if answered.holds else []
        rest = [reader for reader in found if reader.principal > after]
        page = tuple(rest[: min(limit, MAX_PAGE)])
        return Readers(
            document=named.document,
            at=question.context.now,
            total=len(found),
            readers=page,
            next_after=page[-1].principal if len(rest) > len(page) else None,
            because="" if answered.holds else answered.because,
        )

    def access(
        self,
        steward: Subject,
        principal: str,
        *,
        at: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> SubjectAccess:
        """What somebody may read and do by themselves, as far as the steward may explain it. Raises `principal.invalid`,
        `access.not_found`."""
        question = self._question(steward, at)
        somebody = question.somebody(Asked(principal=principal))
        question.require_steward()
        about = somebody.about
        self._record(steward, "subject", about, {"at": question.context.now})
        because = "; ".join(term.because for term in somebody.refused)
        decision = self._ports.pdp.decide_about(about, question.context)
        explainable = question.explainable()
        mine: dict[int, frozenset[str]] = {}
        if isinstance(decision, Permit) and not because:
            mine = {i: decision.revealed_under(i) for i in decision.label_ids() if i in explainable}
        documents, more = self._documents(steward.tenant, mine, after, min(limit, MAX_PAGE))
        return SubjectAccess(
            about=about,
            at=question.context.now,
            because=because,
            areas=self._areas(steward.tenant, mine),
            documents=documents,
            next_after=more,
            acts=() if because else self._acts(question, about),
        )

    # For everybody. -------------------------------------------------------------------------------------------------

    def own_access(self, subject: Subject) -> tuple[Area, ...]:
        """Where the asker can read something already, as it asks now: through its application and agents."""
        self._ports.limiter.acquire(subject)
        try:
            context = Context(now=self._ports.clock.now())
            decision = self._ports.pdp.decide_labels(subject, context)
            self._record(subject, "self", None, {})
            if isinstance(decision, Deny):
                return ()
            mine = dict.fromkeys(decision.label_ids(), frozenset[str]())
            return self._areas(subject.tenant, mine)
        finally:
            self._ports.limiter.release(subject)

    # Documents. -----------------------------------------------------------------------------------------------------

    def _question(self, steward: Subject, at: int | None = None) -> StewardQuestion:
        now = self._ports.clock.now() if at is None else at
        return StewardQuestion(
            pdp=self._ports.pdp,
            catalog=self._ports.catalog,
            recorder=self._ports.recorder,
            steward=steward,
            context=Context(now=now),
        )

    def _decided(self, question: StewardQuestion, somebody: Somebody, named: Named) -> Explanation:
        """The decision point's verdict, and what the directory and the document's state add to it."""
        told = self._ports.pdp.explain(somebody.about, named.label, question.context)
        return Explanation(
            principal=told.principal,
            permitted=told.permitted and named.is_answered_from and not somebody.refused,
            terms=(*somebody.refused, *told.terms, named.answered()),
        )

    def _explained(
        self, question: StewardQuestion, somebody: Somebody, named: Named, told: Explanation
    ) -> DocumentExplanation:
        alternatives = Alternatives()
        hopeless = any(each.hurdle is Hurdle.REFUSED for each in told.obstacles())
        if not told.permitted and not hopeless:
            alternatives = self._alternatives(question, somebody.about, named)
        return DocumentExplanation(
            document=named.document,
            about=somebody.about,
            permitted=told.permitted,
            terms=told.terms,
            view=self._view(question, somebody.about, named) if told.permitted else None,
            alternatives=alternatives,
        )

    def _alternatives(
        self, question: StewardQuestion, about: AskedAbout, named: Named
    ) -> Alternatives:
        documents = self._ports.catalog.documents_per_label(about.tenant)
        explainable = question.explainable()

        def count(gained: frozenset[int]) -> int:
            further = sum(documents.get(i, 0) for i in gained if i in explainable)
            return further - (named.label_id in gained and named.is_answered_from)

        policy = self._ports.catalog.policy(about.tenant)
        start = Supposition(about=about, label=named.label, released=named.is_answered_from)
        search = AlternativeSearch(self._ports.pdp, policy, question.context, start)
        return search.run(count)

    def _view(self, question: StewardQuestion, about: AskedAbout, named: Named) -> ViewTold:
        """Which personal data would be shown in the chunks, and who of those asking lets none of it be."""
        decision = self._ports.pdp.decide_about(about, question.context)
        revealed = frozenset[str]()
        if isinstance(decision, Permit):
            revealed = decision.revealed_under(named.label_id)
        full = [chunk for chunk in named.chunks if chunk.view is View.FULL]
        types = frozenset(kind for chunk in full for kind in chunk.entity_types)
        whole = sum(chunk.entity_types <= revealed for chunk in full)
        return ViewTold(
            full=whole,
            redacted=len(full) - whole,
            shown=types & revealed,
            hidden={
                kind: self._why_hidden(question, about, named, kind)
                for kind in sorted(types - revealed)
            },
        )

    def _why_hidden(
        self, question: StewardQuestion, about: AskedAbout, named: Named, kind: str
    ) -> str:
        action = f"{REVEAL_PREFIX}{kind}"
        lacking = [
            who
            for who in (about.principal, *about.agents)
            if not self._ports.pdp.decide_for(
                about.tenant, who, action, named.label, question.context
            )
        ]
        return f"no row lets {' and '.join(lacking)} see it here" if lacking else "not shown here"

    # Readers and access. --------------------------------------------------------------------------------------------

    def _readers(self, question: StewardQuestion, label: AccessLabel) -> Iterable[Reader]:
        """Whom the policy lets read, less those whom directory or registration refuse."""
        tenant, now = label.tenant, question.context.now
        disabled = self._ports.catalog.disabled(tenant)
        registered = {
            each.principal
            for each in self._ports.catalog.applications(tenant)
            if each.admits(label) and (each.expires_at is None or each.expires_at > now)
        }
        for reader in self._ports.pdp.readers(tenant, label, question.context):
            is_application = reader.principal.startswith("app:")
            if reader.principal in disabled or (
                is_application and reader.principal not in registered
            ):
                continue
            yield reader

    def _areas(self, tenant: str, revealed: Mapping[int, frozenset[str]]) -> tuple[Area, ...]:
        """Labels that active documents have, by what is alike in them."""
        counts = self._ports.catalog.documents_per_label(tenant)
        labels: Counter[tuple[object, ...]] = Counter()
        documents: Counter[tuple[object, ...]] = Counter()
        areas: dict[tuple[object, ...], Area] = {}
        used = revealed.keys() & counts.keys()
        for label_id, label in self._ports.pdp.described(tenant, used).items():
            shown = revealed[label_id]
            key = (label.corpus, label.classification, label.compartments, shown)
            labels[key] += 1
            documents[key] += counts[label_id]
            areas[key] = Area(
                corpus=label.corpus,
                classification=label.classification,
                compartments=label.compartments,
                revealed=shown,
                labels=labels[key],
                documents=documents[key],
            )
        return tuple(sorted(areas.values(), key=_area_key))

    def _documents(
        self, tenant: str, labels: Mapping[int, frozenset[str]], after: str, limit: int
    ) -> tuple[tuple[DocumentNamed, ...], str | None]:
        found = self._ports.catalog.documents_under(
            tenant, labels.keys(), states={DocumentState.ACTIVE}, after=after, limit=limit + 1
        )
        page = tuple(
            DocumentNamed(
                document_id=record.document_id,
                corpus=record.corpus,
                source=record.source,
                classification=record.label.classification,
                state=record.state,
            )
            for record in found[:limit]
        )
        return page, page[-1].document_id if len(found) > limit else None

    def _acts(self, question: StewardQuestion, about: AskedAbout) -> tuple[Act, ...]:
        """Administrative actions, corpus by corpus where the steward may explain; on the tenant for whom may explain it."""
        pdp, tenant = self._ports.pdp, about.tenant
        labels = pdp.described(tenant, question.explainable()).values()
        places = sorted({(label.corpus, label.classification) for label in labels})
        acts = []
        for action in sorted(set(Action) - CONTENT_ACTIONS):
            if question.explains_tenant() and pdp.decide_for(
                tenant, about.principal, action, administrative(tenant), question.context
            ):
                acts.append(Act(action=action.value, corpus=None, classifications=()))
            for corpus, group in groupby(places, key=lambda place: place[0]):
                levels = tuple(
                    level
                    for _, level in group
                    if pdp.decide_for(
                        tenant,
                        about.principal,
                        action,
                        AccessLabel(tenant=tenant, corpus=corpus, classification=level),
                        question.context,
                    )
                )
                if levels:
                    acts.append(Act(action=action.value, corpus=corpus, classifications=levels))
        return tuple(acts)

    def _record(
        self,
        asker: Subject,
        kind: str,
        about: AskedAbout | None,
        details: Mapping[str, object],
    ) -> None:
        """Who asked about whom or what, before it is answered."""
        named: dict[str, object] = {"kind": kind}
        if about is not None:
            through = about.application.principal if about.application else None
            named |= {
                "about": about.principal,
                "application": through,
                "agents": list(about.agents),
            }
        self._ports.recorder.record(
            EventType.ACCESS_EXPLAINED, asker, "permit", {**named, **details}
        )


def _of(document: DocumentNamed) -> dict[str, object]:
    return {"document": document.document_id, "chunk": document.chunk_id}


def _area_key(area: Area) -> tuple[object, ...]:
    return (
        area.corpus,
        area.classification,
        sorted(area.compartments),
        sorted(area.revealed),
    )
