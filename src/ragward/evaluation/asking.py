"""One request about access: who asks, what a resource is to them, and what is decided for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ragward.domain.access import (
    CONTENT_ACTIONS,
    KNOWING_ACTIONS,
    REVEAL_PREFIX,
    STEWARDING_ACTIONS,
    Action,
    Context,
    Subject,
)
from ragward.domain.admission import knowing_actions
from ragward.domain.assurance import StepUp
from ragward.domain.corpus import DocumentState, View
from ragward.domain.errors import DeniedError, NotFoundError
from ragward.domain.evaluation import SUBJECT_TYPES, ResourceName, ResourceType, SubjectName
from ragward.domain.explanation import AskedAbout, Explanation, Term
from ragward.domain.handling import Handling
from ragward.domain.labels import AccessLabel
from ragward.evidence import Recorder
from ragward.honey import notice
from ragward.ports import Catalog, Clock, EpochTokens, Keyring, Limiter, PolicyDecisionPoint
from ragward.protection import point_id_of

_ANSWERED: Final = frozenset({DocumentState.ACTIVE})
_STEWARDED: Final = _ANSWERED | {DocumentState.QUARANTINED, DocumentState.GONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPorts:
    """Everything a question touches. `entity_types` are the personal-data types that can be revealed."""

    limiter: Limiter
    pdp: PolicyDecisionPoint
    catalog: Catalog
    keyring: Keyring
    epoch_tokens: EpochTokens
    handling: Handling
    recorder: Recorder
    clock: Clock
    entity_types: frozenset[str]

    @property
    def actions(self) -> frozenset[str]:
        """Every action that exists: a name that only matches a row's pattern is none."""
        return frozenset(Action) | {f"{REVEAL_PREFIX}{kind}" for kind in self.entity_types}


@dataclass(frozen=True, slots=True)
class Target:
    """A document, a chunk, or a label that nothing needs to be under."""

    label: AccessLabel
    state: DocumentState


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus: the labels in it that the asker may know of, whether or not anything is under them."""

    labels: Mapping[int, AccessLabel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A request of `caller`; `unrestricted` who may ask about everybody and everything in the tenant."""

    ports: EvaluationPorts
    caller: Subject
    context: Context
    unrestricted: bool
    epoch: int
    _decided: dict[tuple[str, str, AccessLabel], bool] = field(default_factory=dict)
    _applications: dict[str, Subject] = field(default_factory=dict)

    # Who. -----------------------------------------------------------------------------------------------------------

    def require_about(self, subject: SubjectName) -> None:
        """Raises `access.denied` unless the caller may ask about this subject."""
        itself = subject.principal(self.caller.tenant) == self.caller.principal
        if not (self.unrestricted or itself):
            raise DeniedError

    def known_ids(self, subject_type: str) -> list[str]:
        """Ids of this type that the policy names, sorted: nobody else is permitted anything."""
        if subject_type not in SUBJECT_TYPES:
            return []
        prefix = f"{subject_type}:{self.caller.tenant}/"
        policy = self.ports.catalog.policy(self.caller.tenant)
        names = {row.subject for row in policy.rows} | {m.member for m in policy.memberships}
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    # What. ----------------------------------------------------------------------------------------------------------

    def resolve(self, resource: ResourceName) -> Target | Corpus | None:
        """The resource, None for one that does not exist or that the caller may not know of.

        Raises `request.invalid`, `label.*` and `principal.invalid` for a label that is none.
        """
        tenant, catalog = self.caller.tenant, self.ports.catalog
        match resource.type:
            case ResourceType.LABEL:
                return Target(resource.label(tenant), DocumentState.ACTIVE)
            case ResourceType.CORPUS:
                labels = catalog.labels(tenant).items()
                own = {i: label for i, label in labels if label.corpus == resource.id}
                return Corpus({i: label for i, label in own.items() if self._may_know(label)})
            case ResourceType.DOCUMENT:
                try:
                    record = catalog.get_document(tenant, resource.id)
                except NotFoundError:
                    return None
                notice(self.ports.recorder, self.caller, record.label, resource.id, "evaluate")
                target = Target(record.label, record.state)
            case ResourceType.CHUNK:
                point = point_id_of(resource.id, View.FULL)
                stored = catalog.stored_chunks(tenant, [point]).chunks.get(point)
                if stored is None:
                    return None
                notice(
                    self.ports.recorder, self.caller, stored.label, stored.document_id, "evaluate"
                )
                target = Target(stored.label, stored.state)
            case _:
                return None
        return target if self._may_know(target.label, knowing_actions(target.state)) else None

    def document_ids(
        self, labels: Collection[int], action: str, *, after: str = "", limit: int = 1
    ) -> Iterator[str]:
        """Ids of documents under these labels that the action can be about and the caller may know of, in order."""
        states = _states(action)
        waiting = self._stewarded(labels) if states != _ANSWERED else frozenset()
        found: list[str] = []
        for under, seen in ((waiting, states), (frozenset(labels) - waiting, _ANSWERED)):
            records = self.ports.catalog.documents_under(
                self.caller.tenant, under, states=seen, after=after, limit=limit
            )
            found += [record.document_id for record in records]
        return iter(sorted(found)[:limit])

    # Decisions. -----------------------------------------------------------------------------------------------------

    def permits(self, principal: str | None, action: str, found: Target | Corpus | None) -> bool:
        """Whether the principal may do it; on a corpus, on anything that is in it."""
        if principal is None or found is None or action not in self.ports.actions:
            return False
        if isinstance(found, Corpus):
            labels = self.permitted(principal, action, found.labels)
            return any(self.document_ids(labels.keys(), action))
        return found.state in _states(action) and self.may(principal, action, found.label)

    def permitted_labels(self, principal: str | None, action: str) -> dict[int, AccessLabel]:
        """The tenant's labels under which the principal may do it and of which the caller may know."""
        if principal is None or action not in self.ports.actions:
            return {}
        labels = self.ports.catalog.labels(self.caller.tenant)
        permitted = self.permitted(principal, action, labels)
        return {i: label for i, label in permitted.items() if self._may_know(label)}

    def permitted(
        self, principal: str, action: str, labels: Mapping[int, AccessLabel]
    ) -> dict[int, AccessLabel]:
        """Those of `labels` under which the principal may do it."""
        return {i: label for i, label in labels.items() if self.may(principal, action, label)}

    def may(self, principal: str, action: str, label: AccessLabel) -> bool:
        """By the principal alone; where the caller asks about itself without the right to ask about others, also by all
        that it asks through: an agent learns nothing about its user that it could not find out by acting."""
        key = (principal, action, label)
        if key not in self._decided:
            # What is revealed is revealed in what may be read.
            reads = (Action.CORPUS_RETRIEVE,) if action.startswith(REVEAL_PREFIX) else ()
            self._decided[key] = all(
                self._alone(principal, each, label)
                and (self.unrestricted or self.caller_may(each, label))
                for each in (*reads, action)
            )
        return self._decided[key]

    def caller_may(self, action: str, label: AccessLabel) -> bool:
        """Whether the caller itself, through its application and agents, may do it."""
        return self.ports.pdp.decide(self.caller, action, label, self.context)

    def explained(
        self, principal: str | None, action: str, found: Target | Corpus | None
    ) -> Explanation | None:
        """Why the principal may not read it, for a caller who could have asked `explain`."""
        if not isinstance(found, Target) or principal is None or action != Action.CORPUS_RETRIEVE:
            return None
        if not self.caller_may(Action.ACCESS_EXPLAIN, found.label):
            return None
        about = AskedAbout(principal=principal)
        explanation = self.ports.pdp.explain(about, found.label, self.context)
        active = found.state in _ANSWERED
        state = Term("document", "answered from", active, f"it is {found.state.value}")
        return replace(explanation, permitted=False, terms=(*explanation.terms, state))

    def _may_know(self, label: AccessLabel, by: tuple[Action, ...] = KNOWING_ACTIONS) -> bool:
        """`access:evaluate` is the right to know what exists; others know of what they may read, relabel or delete."""
        return self.unrestricted or any(
            self.caller_may(action, label) or self._with_proof(action, label) for action in by
        )

    def _with_proof(self, action: str, label: AccessLabel) -> bool:
        """What one may know with better proof is no secret: that it is missing is said."""
        return self.ports.pdp.step_up(self.caller, action, label, self.context) is not None

    def step_up(
        self, principal: str | None, action: str, found: Target | Corpus | None
    ) -> StepUp | None:
        """What the caller, asking about itself, would need to prove for a yes."""
        if principal != self.caller.principal or not isinstance(found, Target):
            return None
        if action not in self.ports.actions or found.state not in _states(action):
            return None
        return self.ports.pdp.step_up(self.caller, action, found.label, self.context)

    def _stewarded(self, label_ids: Collection[int]) -> frozenset[int]:
        """Those of the labels under which the caller may know of what waits for a steward."""
        labels = self.ports.catalog.labels(self.caller.tenant)
        known = (i for i in label_ids if self._may_know(labels[i], STEWARDING_ACTIONS))
        return frozenset(known)

    def _alone(self, principal: str, action: str, label: AccessLabel) -> bool:
        pdp, tenant = self.ports.pdp, self.caller.tenant
        if not principal.startswith("app:"):
            return pdp.decide_for(tenant, principal, action, label, self.context)
        application = self._application(principal)  # narrowed by its own registration
        return application is not None and pdp.decide(application, action, label, self.context)

    def _application(self, principal: str) -> Subject | None:
        """A registered application asking alone; None for one that is not, or no longer, registered."""
        now, tenant = self.context.now, self.caller.tenant
        if not self._applications:
            for application in self.ports.catalog.applications(tenant):
                ends = now + 1 if application.expires_at is None else application.expires_at
                if ends > now:
                    self._applications[application.principal] = Subject(
                        tenant=tenant,
                        principal=application.principal,
                        application=application,
                        not_after=ends,
                    )
        return self._applications.get(principal)


def is_about_content(action: str) -> bool:
    """Whether content passes when the action is done, so that its handling binds."""
    return action in CONTENT_ACTIONS or action.startswith(REVEAL_PREFIX)


def _states(action: str) -> frozenset[DocumentState]:
    """Nothing is answered from a document that waits for a steward; it can be acted on."""
    return _ANSWERED if is_about_content(action) else _STEWARDED
