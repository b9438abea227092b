"""The access audit: rights against their use over a window, what can be taken away, and how the installation stands.

Use is what the log says was answered. So the log is verified first, and where it lacks events nothing is proposed: whoever can
make use disappear must not be able to take rights away with it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ragward.acts import Acts
from ragward.domain.access import Action, Application, Subject
from ragward.domain.access_audit import (
    ApplicationUse,
    Exercise,
    Left,
    PrincipalUse,
    Unused,
    Why,
    application_use,
    exercised,
    narrower,
    role_uses,
    unused,
)
from ragward.domain.access_posture import (
    ALARMS,
    RESTRICTING,
    Posture,
    contained,
    factors_of,
    posture,
)
from ragward.domain.access_report import AccessAudit
from ragward.domain.audit import EventType
from ragward.domain.errors import (
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.explanation import AskedAbout
from ragward.domain.keys import KEKState, KEKStatus
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_change import PolicyEdit, PolicyOutcome, asking_principals
from ragward.domain.rotation import Due, report
from ragward.evidence import Recorder
from ragward.identities import Identities
from ragward.policy_administration import PolicyAdministration
from ragward.ports import AuditLog, Catalog, Clock, KeyLedger, PolicyDecisionPoint

MAX_DAYS: Final = 3660
_DAY: Final = 86_400
_PAGE: Final = 1000
_MARGIN_MILLISECONDS: Final = (
    60_000  # spooled events stand a little behind those that were waited for
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessAuditingPorts:
    """Everything this flow talks to."""

    catalog: Catalog
    audit: AuditLog
    pdp: PolicyDecisionPoint
    key_statuses: Callable[[], Sequence[KEKStatus]]
    ledger: KeyLedger
    policies: PolicyAdministration
    identities: Identities
    recorder: Recorder
    clock: Clock
    rotate_after_days: Mapping[Classification, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a proposal."""

    policy: PolicyOutcome
    narrowed: tuple[Application, ...]


@dataclass(slots=True)
class _Seen:
    """What the log says of a tenant and a window."""

    answers: int = 0
    gaps: int = 0
    evaluations: int = 0
    documents: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """by who read"""
    through: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """documents by application"""
    count: Counter[str] = field(default_factory=Counter)
    last: dict[str, int] = field(default_factory=dict)
    factors: Counter[str] = field(default_factory=Counter)
    earlier: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """digests of labels that a document had"""
    registered: set[str] = field(default_factory=set)
    acting: set[str] = field(default_factory=set)
    """applications through which more was done than asking"""
    alarms: list[Mapping[str, Any]] = field(default_factory=list)
    restrictions: list[Mapping[str, Any]] = field(default_factory=list)

    def take(self, event: Mapping[str, Any]) -> None:
        kind, details = event["type"], event["details"]
        if kind == EventType.RETRIEVAL_ANSWERED:
            self._answered(event)
        elif kind == EventType.LINEAGE_READ:
            for who in {event["actor"]["principal"], *event["actor"]["agents"]}:
                self.documents[who].add(details["document"])
        elif kind == EventType.ACCESS_EVALUATED:
            self.evaluations += event["decision"] == "permit"
        elif kind == EventType.DOCUMENT_RELABELLED:
            self.earlier[details["document"]].add(details["from"])
        elif kind == EventType.ADMIN_ACT and details.get("act") == "register_application":
            self.registered.add(details["target"])
        if kind != EventType.RETRIEVAL_ANSWERED and event["decision"] == "permit":
            self.acting.add(event["actor"].get("application", ""))
        if kind in ALARMS:
            self.alarms.append(event)
        if kind in RESTRICTING:
            self.restrictions.append(event)

    def _answered(self, event: Mapping[str, Any]) -> None:
        actor = event["actor"]
        application = actor["application"]
        documents = {passage["document"] for passage in event["details"]["passages"]}
        self.answers += 1
        for who in {actor["principal"], *actor["agents"]}:
            self.documents[who] |= documents
            self.count[who] += 1
            self.last[who] = event["ts"] // 1000
        self.through[application] |= documents
        if actor["principal"] != application:
            self.count[application] += 1
        if actor["principal"].startswith("user:"):
            self.factors[factors_of(actor)] += 1


class AccessAuditing:
    """For whoever may read the log and the policy; applying needs the right to write the policy."""

    def __init__(self, ports: AccessAuditingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def audit(self, subject: Subject, *, days: int, max_events: int | None = None) -> AccessAudit:
        """The last so many days of the subject's tenant. Raises `access.denied`, `request.invalid`, also for more than
        `max_events`, `integrity.audit`."""
        self._acts.require_on_tenant(subject, Action.AUDIT_READ)
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        if not 1 <= days <= MAX_DAYS:
            raise InvalidRequestError(f"1 to {MAX_DAYS} days")
        end = self._ports.clock.now()
        begin = end - days * _DAY
        seen = self._seen(subject.tenant, begin, max_events)
        seen.acting.add(subject.application.principal)  # nobody narrows what they act through
        found = self._judged(subject.tenant, begin, end, seen)
        details = {"since": begin, "questions": found.answers, "policy": found.digest()}
        self._ports.recorder.record(EventType.ACCESS_AUDITED, subject, "permit", details)
        return found

    def apply(
        self, subject: Subject, *, days: int, digest: str, reason: str, applications: bool = False
    ) -> Applied:
        """Takes away what an audit proposed, if it still proposes the same: `digest` is that of what somebody looked at.
        Applications are narrowed only if that is asked for.

        Raises as `audit`, `PolicyAdministration.write` and `Identities.narrow_application`, and `policy.conflict`."""
        found = self.audit(subject, days=days)
        if found.digest() != digest:
            raise ConflictError("the audit proposes something else by now", code="policy.conflict")
        outcome = self._ports.policies.write(
            subject, found.unused.edit, reason=reason, expected_version=found.policy_version
        )
        narrowed = found.narrowed if applications else ()
        for application in narrowed:
            self._ports.identities.narrow_application(subject, application)
        return Applied(policy=outcome, narrowed=narrowed)

    # How. -----------------------------------------------------------------------------------------------------------

    def _judged(self, tenant: str, begin: int, end: int, seen: _Seen) -> AccessAudit:
        catalog = self._ports.catalog
        policy, labels = catalog.policy(tenant), catalog.labels(tenant)
        of = self._labels_of(tenant, seen, labels)
        reads = {
            (who, label)
            for who, documents in seen.documents.items()
            for document in documents
            for label in of[document]
        }
        used = exercised(policy, labels, reads)
        uses = self._uses(policy, seen, reads)
        proposed = unused(policy, labels, used.values(), self._policy_at(tenant, begin))
        applications = [
            application_use(
                application,
                seen.count[application.principal],
                [labels[n] for d in seen.through[application.principal] for n in of[d]],
                untouched=application.principal in seen.registered | seen.acting or bool(seen.gaps),
            )
            for application in catalog.applications(tenant)
        ]
        return AccessAudit(
            tenant=tenant,
            begin=begin,
            end=end,
            policy_version=policy.version,
            answers=seen.answers,
            gaps=seen.gaps,
            evaluations=seen.evaluations,
            principals=tuple(uses),
            roles=tuple(role_uses(policy, used)),
            applications=tuple(map(_safely, applications)),
            unused=self._kept(policy, proposed, used, reads, gaps=seen.gaps),
            posture=self._posture(tenant, end, uses, seen),
        )

    def _kept(
        self,
        policy: PolicySnapshot,
        proposed: Unused,
        used: Mapping[str, Exercise],
        reads: set[tuple[str, int]],
        *,
        gaps: int,
    ) -> Unused:
        """What is proposed, if the decision point agrees that it takes nothing away that was used."""
        edit = proposed.edit
        if not edit.remove_rows and not edit.remove_memberships:
            return proposed
        if not gaps and self._keeps(policy, edit.applied_to(policy), used, reads):
            return proposed
        refused = [Left(line=line, why=Why.NEEDED) for line in proposed.lines()]
        return Unused(edit=PolicyEdit(), left=(*proposed.left, *refused))

    def _keeps(
        self,
        policy: PolicySnapshot,
        after: PolicySnapshot,
        used: Mapping[str, Exercise],
        reads: set[tuple[str, int]],
    ) -> bool:
        pdp, context = self._ports.pdp, self._acts.context()
        read = defaultdict[str, set[int]](set)
        for who, label in reads:
            read[who].add(label)
        try:
            after.validate()
            for who in used:
                about = AskedAbout(principal=who)
                could = read[who] & pdp.permitted_under(policy, about, context)
                if not could <= pdp.permitted_under(after, about, context):
                    return False
        except InvalidRequestError:
            return False
        return True

    def _uses(
        self, policy: PolicySnapshot, seen: _Seen, reads: set[tuple[str, int]]
    ) -> list[PrincipalUse]:
        pdp, context = self._ports.pdp, self._acts.context()
        documents = self._ports.catalog.documents_per_label(policy.tenant)
        labels_of = Counter(who for who, _ in reads)
        names = {*asking_principals(policy), *seen.documents}
        found = []
        for name in sorted(names):
            reachable = pdp.permitted_under(policy, AskedAbout(principal=name), context)
            found.append(
                PrincipalUse(
                    principal=name,
                    reachable_labels=len(reachable),
                    reachable_documents=sum(documents.get(label, 0) for label in reachable),
                    used_labels=labels_of[name],
                    used_documents=len(seen.documents.get(name, ())),
                    answers=seen.count[name],
                    last_used=seen.last.get(name, 0),
                )
            )
        return found

    def _posture(self, tenant: str, now: int, uses: Sequence[PrincipalUse], seen: _Seen) -> Posture:
        statuses: list[KEKStatus] = []
        with suppress(UnavailableError):  # of a process that may not look at keys
            statuses = [each for each in self._ports.key_statuses() if each.tenant == tenant]
        lines = report(
            statuses, self._ports.ledger.ledger(tenant), self._ports.rotate_after_days, now
        )
        active = [line for line in lines if line.status.state is KEKState.ACTIVE]
        due = [bool({Due.ROTATE_AGE, Due.ROTATE_WRAPS} & set(line.due)) for line in active]
        ids = {str(each["details"].get("user")) for each in seen.restrictions}
        people = {name: who for name in ids if (who := self._person(tenant, name))}
        return posture(uses, seen.factors, due, contained(seen.alarms, seen.restrictions, people))

    def _person(self, tenant: str, user_id: str) -> str | None:
        try:
            return self._ports.catalog.get_user(tenant, user_id).principal
        except NotFoundError:
            return None

    def _labels_of(
        self, tenant: str, seen: _Seen, labels: Mapping[int, AccessLabel]
    ) -> dict[str, set[int]]:
        """The label that each document has, and those that it had in the window."""
        by_digest = {label.digest().hex(): label_id for label_id, label in labels.items()}
        found: dict[str, set[int]] = {}
        for document in {d for documents in seen.documents.values() for d in documents}:
            earlier = seen.earlier.get(document, set())
            ids = {by_digest[digest] for digest in earlier if digest in by_digest}
            with suppress(NotFoundError):  # erased since: what it was under is no longer known
                ids.add(self._ports.catalog.get_document(tenant, document).label_id)
            found[document] = ids & labels.keys()
        return found

    def _policy_at(self, tenant: str, begin: int) -> PolicySnapshot | None:
        """The policy in force then; None if there was none yet."""
        before: int | None = None
        while versions := self._ports.catalog.policy_versions(tenant, before=before):
            for version in versions:
                if version.at <= begin:
                    return self._ports.catalog.policy_version(tenant, version.number)[1]
            before = versions[-1].number
        return None

    def _seen(self, tenant: str, begin: int, max_events: int | None) -> _Seen:
        outcome = self._ports.audit.verify()
        if not outcome.consistent:
            raise IntegrityError(outcome.problem, code="integrity.audit")
        start = self._first_since(begin * 1000 - _MARGIN_MILLISECONDS, outcome.entries)
        if max_events is not None and outcome.entries - start > max_events:
            raise InvalidRequestError(
                f"more than {max_events} events: fewer days, or `ragward access audit`"
            )
        seen = _Seen()
        for event in self._events(start):
            if event["ts"] < begin * 1000:
                continue
            if event["type"] == EventType.LOG_GAP:
                seen.gaps += 1
            elif event["tenant"] == tenant:
                seen.take(event)
        return seen

    def _events(self, start: int) -> Iterator[Mapping[str, Any]]:
        while page := self._ports.audit.entries(start=start, limit=_PAGE):
            for entry in page:
                event: dict[str, Any] = json.loads(entry.data)
                yield event
            start = page[-1].index + 1

    def _first_since(self, moment: int, size: int) -> int:
        """By bisection: the log is in order but for the margin."""
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            entry = self._ports.audit.entries(start=middle, limit=1)[0]
            if json.loads(entry.data)["ts"] < moment:
                low = middle + 1
            else:
                high = middle
        return low


def _safely(use: ApplicationUse) -> ApplicationUse:
    """Without a proposal that would open anything: it was read through the application under a label it may not pass now."""
    if use.narrowed is not None and not narrower(use.application, use.narrowed):
        return replace(use, narrowed=None)
    return use
