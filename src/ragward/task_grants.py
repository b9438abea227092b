"""Task grants: a person lends an agent less than they have, for one task, until soon.

person        -> in person        no agent, no other grant, no application alone
request       -> within the minter's own permission, decided by the PDP corpus by corpus
grant         -> secret           shown once; only a digest over it and every term is kept
use           -> intersection     by `identity_tasks` (whose it is) and the PDP (what of it holds now)
answer        -> budget           `task_budgets`: reserved before the answer is recorded and given
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Permit, Subject
from ragward.domain.audit import EventType
from ragward.domain.disclosure import Treatment
from ragward.domain.errors import (
    DeniedError,
    InvalidRequestError,
    NotFoundError,
)
from ragward.domain.labels import (
    AccessLabel,
    Classification,
    administrative,
    require_name,
    require_principal,
    tenant_of,
)
from ragward.domain.task_grants import (
    LENDABLE,
    LENDABLE_VERBS,
    MAX_BUDGET_TOKENS,
    MAX_CORPORA,
    PREFIX,
    TaskGrant,
    TaskGrantRecord,
    TaskGrantRequest,
)
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, PolicyDecisionPoint

_LISTED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrantsPorts:
    """Everything this flow talks to. `stepped_up` says whether somebody proved who they are as RESTRICTED demands;
    `most_for` raises `request.invalid` for a purpose that is not known."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock
    max_minutes: int
    entity_types: frozenset[str]
    stepped_up: Callable[[Subject], bool]
    most_for: Callable[[str], Treatment]


class TaskGrants:
    """Minting, listing, revoking."""

    def __init__(self, ports: TaskGrantsPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def mint(self, subject: Subject, request: TaskGrantRequest) -> tuple[TaskGrantRecord, str]:
        """(the grant, its secret, which is shown this once). On record before it is in force.

        Raises `access.denied` for whoever is not there in person or wants to lend more than they have, `request.invalid`.
        """
        self._require_in_person(subject)
        grant = self._grant(subject, request)
        self._require_own(subject, grant)
        secret = f"{PREFIX}{grant.grant_id}_{secrets.token_urlsafe(32)}"
        record = TaskGrantRecord(
            grant=grant,
            reason=request.reason,
            minted_at=grant.not_before,
            secret_sha256=grant.digest(secret),
        )
        self._ports.recorder.record(
            EventType.TASK_GRANT_MINTED, subject, "permit", _told(grant), durable=True
        )
        self._ports.catalog.add_task_grant(record)
        return record, secret

    def show(self, subject: Subject, grant_id: str) -> TaskGrantRecord:
        """One's own, or for whoever may read policy anybody's. Raises `access.not_found`."""
        return self._known(subject, grant_id, Action.POLICY_READ)

    def grants(self, subject: Subject, *, limit: int = 100) -> Sequence[TaskGrantRecord]:
        """The newest of those."""
        mine = None if self._may_on_tenant(subject, Action.POLICY_READ) else subject.principal
        found = self._ports.catalog.task_grants(
            subject.tenant, minted_by=mine, limit=min(limit, _LISTED)
        )
        return [] if mine is not None and _acts_for_another(subject) else found

    def revoke(self, subject: Subject, grant_id: str) -> TaskGrantRecord:
        """Worth nothing for the next answer: by who minted it, or whoever may write policy. Raises `access.not_found`."""
        record = self._known(subject, grant_id, Action.POLICY_WRITE)
        self._ports.recorder.record(
            EventType.TASK_GRANT_REVOKED, subject, "permit", {"grant": grant_id}, durable=True
        )
        self._ports.catalog.revoke_task_grant(subject.tenant, grant_id, by=subject.principal)
        return self._ports.catalog.task_grant(subject.tenant, record.grant.grant_id)

    # How. -----------------------------------------------------------------------------------------------------------

    def _require_in_person(self, subject: Subject) -> None:
        if _acts_for_another(subject) or subject.is_application_alone:
            raise self._refused(subject, DeniedError("a task is lent in person"))

    def _grant(self, subject: Subject, request: TaskGrantRequest) -> TaskGrant:
        require_reason(request.reason)
        self._require_bounds(request)
        require_principal(request.agent)
        if not request.agent.startswith("agent:") or tenant_of(request.agent) != subject.tenant:
            raise InvalidRequestError(
                "a task is lent to an agent of your tenant: agent:TENANT/NAME",
                code="principal.invalid",
            )
        self._ports.most_for(request.purpose)
        if subject.purpose and request.purpose != subject.purpose:
            raise InvalidRequestError("the purpose is not the one the credentials are for")
        now = self._ports.clock.now()
        return TaskGrant(
            grant_id=uuid.uuid4().hex,
            tenant=subject.tenant,
            minted_by=subject.principal,
            agent=request.agent,
            application=self._application(subject, request),
            purpose=request.purpose,
            corpora=request.corpora,
            ceiling=request.ceiling,
            actions=request.actions,
            budget_tokens=request.budget_tokens,
            not_before=now,
            not_after=now + 60 * request.minutes,
            stepped_up=self._ports.stepped_up(subject),
        )

    def _require_bounds(self, request: TaskGrantRequest) -> None:
        if not 1 <= request.minutes <= self._ports.max_minutes:
            raise InvalidRequestError(
                f"a task grant holds for 1 to {self._ports.max_minutes} minutes"
            )
        if not 1 <= request.budget_tokens <= MAX_BUDGET_TOKENS:
            raise InvalidRequestError(f"a budget is 1 to {MAX_BUDGET_TOKENS} tokens")
        if not 1 <= len(request.corpora) <= MAX_CORPORA:
            raise InvalidRequestError(f"a task grant names 1 to {MAX_CORPORA} corpora")
        for corpus in request.corpora:
            require_name(corpus, "corpus")
        if not request.actions:
            raise InvalidRequestError("a task grant names what may be done")
        for action in request.actions:
            verb, _, entity_type = action.partition(":")
            shows = f"{verb}:" in LENDABLE_VERBS and entity_type in self._ports.entity_types
            if action not in LENDABLE and not shows:
                raise InvalidRequestError(
                    f"only these can be lent: {', '.join(sorted(LENDABLE))}, reveal:TYPE, "
                    "generalise:TYPE, pseudonymise:TYPE"
                )

    def _application(self, subject: Subject, request: TaskGrantRequest) -> str:
        """The application that the agent comes through. Raises `request.invalid` for one that is not registered."""
        catalog = self._ports.catalog
        known = {app.principal: app for app in catalog.applications(subject.tenant)}
        agent = catalog.find_agent(subject.tenant, request.agent)
        registered = None
        if agent is not None:
            registered = next(
                (name for name, app in known.items() if app.client_id == agent.client_id), None
            )
        wanted = request.application or registered or subject.application.principal
        if wanted not in known:
            raise InvalidRequestError("the application is not registered")
        return wanted

    def _require_own(self, subject: Subject, grant: TaskGrant) -> None:
        """Every action in every corpus up to the ceiling is the minter's own now. Raises `access.denied`, recorded."""
        context = self._acts.context()
        decision = self._ports.pdp.decide_labels(subject, context)
        ids = decision.label_ids() if isinstance(decision, Permit) else frozenset()
        seen = {
            (label.corpus, label.classification, label.compartments)
            for label in self._ports.pdp.described(subject.tenant, ids).values()
        }
        for corpus in sorted(grant.corpora):
            for action in sorted(grant.actions):
                labels = [_probe(subject, corpus, grant.ceiling, frozenset())]
                labels += [
                    _probe(subject, corpus, level, compartments)
                    for name, level, compartments in seen
                    if name == corpus and level >= grant.ceiling
                ]
                if not any(
                    self._ports.pdp.decide(subject, action, label, context) for label in labels
                ):
                    error = DeniedError("more than you have cannot be lent")
                    raise self._refused(subject, error)

    def _refused(self, subject: Subject, error: DeniedError) -> DeniedError:
        details = {"action": "task_grant:mint", "code": error.code}
        self._ports.recorder.record(EventType.REQUEST_REFUSED, subject, "deny", details)
        return error

    def _known(self, subject: Subject, grant_id: str, others: Action) -> TaskGrantRecord:
        record = self._ports.catalog.task_grant(subject.tenant, grant_id)
        mine = record.grant.minted_by == subject.principal and not _acts_for_another(subject)
        if not mine and not self._may_on_tenant(subject, others):
            raise NotFoundError
        return record

    def _may_on_tenant(self, subject: Subject, action: Action) -> bool:
        return self._acts.may(subject, action, administrative(subject.tenant))


def _acts_for_another(subject: Subject) -> bool:
    """Whether somebody acts for the person, or under what they lent."""
    return bool(subject.agents) or subject.task is not None


def _probe(
    subject: Subject, corpus: str, level: Classification, compartments: frozenset[str]
) -> AccessLabel:
    """Content that grants the subject: what is left to decide is theirs by the rows."""
    return AccessLabel(
        tenant=subject.tenant,
        corpus=corpus,
        classification=level,
        compartments=compartments,
        granted=frozenset({subject.principal}),
    )


def _told(grant: TaskGrant) -> dict[str, object]:
    return {
        "grant": grant.grant_id,
        "agent": grant.agent,
        "application": grant.application,
        "corpora": sorted(grant.corpora),
        "ceiling": grant.ceiling.name,
        "actions": sorted(grant.actions),
        "budget_tokens": grant.budget_tokens,
        "not_after": grant.not_after,
        "purpose": grant.purpose,
        "stepped_up": grant.stepped_up,
    }
