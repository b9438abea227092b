"""The policy decision point: who may do what, remembered for as long as nothing it depends on has changed.

A remembered permit is used again while the policy version, the labels and the validity windows are those it was decided
on. Whether they are is asked of the catalog once per request (`head`); an answer that was begun on an older head is
caught by the epoch that comes with its one catalog read.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from pyroaring import BitMap, FrozenBitMap

from ragward.adapters.pdp_casbin.compiler import compile_matcher
from ragward.adapters.pdp_casbin.exact import ExactPolicy
from ragward.adapters.pdp_casbin.explain import reader, terms
from ragward.adapters.pdp_casbin.fast import FastPolicy
from ragward.adapters.pdp_casbin.label_index import FAR_FUTURE, LabelIndex
from ragward.adapters.pdp_casbin.model import Ctx, enforcer, load_model
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.adapters.pdp_casbin.verdicts import (
    Policy,
    admitted,
    asking,
    contexts,
    contexts_about,
    may_read,
    permits,
    readable,
)
from ragward.domain.access import (
    Action,
    Context,
    Decision,
    Deny,
    Grant,
    Permit,
    Subject,
    TenantHead,
    Withheld,
    entitling_action,
)
from ragward.domain.assurance import Assuring, StepUp
from ragward.domain.disclosure import VERBS, Treatment
from ragward.domain.errors import InvalidRequestError, NotFoundError, UnavailableError
from ragward.domain.explanation import AskedAbout, Explanation, Reader
from ragward.domain.labels import AccessLabel, Classification, administrative
from ragward.domain.policy import PolicySnapshot
from ragward.domain.task_grants import TaskGrant
from ragward.ports import LabelStore, PolicyStore, TaskGrantStore

_MAX_TENANTS: Final = 256
_MAX_PERMITS_PER_TENANT: Final = 4096
_READERS_AT_ONCE: Final = 256
_Shown = tuple[Treatment, str]


class PolicyAndLabels(PolicyStore, LabelStore, TaskGrantStore, Protocol):
    """What decisions are made from."""


class _Tried(NamedTuple):
    """A policy that is not in force."""

    snapshot: PolicySnapshot
    rules: RuleIndex
    policy: Policy


@dataclass(slots=True)
class _Remembered:
    """A decision, the labels it was made over, and the instants it holds for."""

    decision: Decision
    last_label_id: int
    decided_at: int
    not_after: int

    def as_of(self, head: TenantHead, token_not_after: int) -> Decision:
        """The decision with the head it is now good for, and no longer than the token it is given for."""
        if isinstance(self.decision, Deny):
            if self.decision.epoch != head.epoch:
                self.decision = dataclasses.replace(self.decision, epoch=head.epoch)
            return self.decision
        not_after = min(self.not_after, token_not_after)
        if self.decision.not_after != not_after or self.decision.head != head:
            self.decision = dataclasses.replace(self.decision, head=head, not_after=not_after)
        return self.decision


class _Tenant:
    """What is known of one tenant: its labels, its policy at some epoch, and the permits decided under it."""

    def __init__(self, tenant: str) -> None:
        self.lock = threading.RLock()
        self.index = LabelIndex(tenant)
        self.epoch = -1
        self.snapshot: PolicySnapshot
        self.span = (0, 0)
        """From when until when `rules` are those of the snapshot."""
        self.rules: RuleIndex
        self.policy: Policy
        self.permits: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()
        self.tasks: OrderedDict[TaskGrant, bool] = OrderedDict()

    def next_boundary(self, now: int) -> int:
        """The first instant after `now` at which a label or a membership begins or ceases to be valid."""
        return min(self.span[1], self.index.validity.next_boundary(now))


class CasbinPolicyDecisionPoint:
    """`ports.PolicyDecisionPoint` under a Casbin model. Thread-safe.

    `entity_types` are the personal-data types that can be revealed, `most_for` the most that a purpose may be shown, `assuring`
    what must be proven; without it, nothing. A model made of the shipped terms is decided for all
    labels at once; any other by `enforce`, label by label, up to a limit.
    """

    def __init__(
        self,
        store: PolicyAndLabels,
        *,
        model_text: str,
        entity_types: frozenset[str],
        most_for: Callable[[str], Treatment] = lambda _purpose: Treatment.SHOWN,
        assuring: Assuring | None = None,
    ) -> None:
        self._store = store
        self._model_text = model_text
        self._matcher = compile_matcher(load_model(model_text))
        self._entity_types = sorted(entity_types)
        self._most_for = most_for
        self._assuring = assuring or Assuring()
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self._last_tried: tuple[_Tried, ...] = ()
        self._lock = threading.Lock()

    def decide_labels(self, subject: Subject, context: Context) -> Decision:
        """The labels `subject` may read, through its application and every agent, with what is revealed under each."""
        head = self._store.head(subject.tenant)
        known = self._tenant(subject.tenant)
        with known.lock:
            head = self._catch_up(known, subject.tenant, head, context.now)
            standing = self._assuring.standing(subject, context.now)
            ends = min(subject.not_after, standing.until)
            return self._remembered(known, subject, context, standing.unmet).as_of(head, ends)

    def decide(self, subject: Subject, action: str, label: AccessLabel, context: Context) -> bool:
        """Whether `subject`, through its application and agents, may do `action` on things under `label`."""
        if self._assuring.step_up(subject, action, label, context.now) is not None:
            return False
        return self._permits(subject, action, label, context)

    def step_up(
        self, subject: Subject, action: str, label: AccessLabel, context: Context
    ) -> StepUp | None:
        """What proof is missing, of a subject whom the policy permits it."""
        wanted = self._assuring.step_up(subject, action, label, context.now)
        if wanted is None or not self._permits(subject, action, label, context):
            return None
        return wanted

    def _permits(self, subject: Subject, action: str, label: AccessLabel, context: Context) -> bool:
        if label.tenant != subject.tenant:
            return False
        known = self._current(subject.tenant, context.now)
        with known.lock:
            ctx = contexts(action, context)
            return self._task_holds(known, subject.task) and permits(
                known.policy, known.rules, asking(subject), action, label, ctx
            )

    def decide_for(
        self, tenant: str, principal: str, action: str, label: AccessLabel, context: Context
    ) -> bool:
        """Whether a principal by itself may do `action` under `label`; an agent as the delegate it always is."""
        known = self._current(tenant, context.now)
        own, acting = contexts(action, context)
        ctx = acting if principal.startswith("agent:") else own
        with known.lock:
            return label.tenant == tenant and known.policy.permits(principal, action, label, ctx)

    def decide_about(self, about: AskedAbout, context: Context) -> Decision:
        """What `decide_labels` would say if they asked; not remembered."""
        known = self._tenant(about.tenant)
        head = self._store.head(about.tenant)
        with known.lock:
            head = self._catch_up(known, about.tenant, head, context.now)
            decision = self._decided(known, about, contexts_about(about, context), context.purpose)
            made = _Remembered(
                decision, known.index.last_id, context.now, known.next_boundary(context.now)
            )
            return made.as_of(head, FAR_FUTURE)

    def labels_for(self, subject: Subject, action: str, context: Context) -> FrozenBitMap:
        """Labels under which the subject may do an administrative action, which is the business of rows and the task alone."""
        if self._assuring.step_up(subject, action, administrative(subject.tenant), context.now):
            return FrozenBitMap()
        known = self._current(subject.tenant, context.now)
        with known.lock:
            if not self._task_holds(known, subject.task):
                return FrozenBitMap()
            signatures = admitted(known.index, asking(subject), action, context.now)
            for principal in (subject.principal, *subject.agents):
                signatures &= known.policy.signatures(principal, action, known.index)
            return FrozenBitMap(known.index.labels_of(signatures))

    def described(self, tenant: str, label_ids: Iterable[int]) -> dict[int, AccessLabel]:
        """Labels by id, as they were taken in."""
        known = self._tenant(tenant)
        with known.lock:
            labels = known.index.labels
            return {label_id: labels[label_id] for label_id in label_ids if label_id in labels}

    def permitted_under(
        self, snapshot: PolicySnapshot, about: AskedAbout, context: Context
    ) -> frozenset[int]:
        """Labels that somebody could read if `snapshot` were the policy."""
        known = self._current(snapshot.tenant, context.now)
        tried = self._tried(snapshot)
        with known.lock:
            ctx = contexts_about(about, context)
            return frozenset(readable(tried.policy, tried.rules, known.index, about, ctx))

    def explain(
        self,
        about: AskedAbout,
        label: AccessLabel,
        context: Context,
        policy: PolicySnapshot | None = None,
    ) -> Explanation:
        """The model's terms one by one, beside the decision."""
        known = self._tenant(about.tenant)
        if policy is None:
            known = self._current(about.tenant, context.now)
        tried = None if policy is None else self._tried(policy)
        own, acting = contexts_about(about, context)
        with known.lock:
            rules, decides = (known.rules, known.policy) if tried is None else tried[1:]
            permitted = may_read(decides, rules, about, label, context)
            told = terms(
                rules,
                about,
                label,
                context.now,
                lambda who: own if who == about.principal else acting,
            )
        return Explanation(principal=about.principal, permitted=permitted, terms=told)

    def readers(
        self, tenant: str, label: AccessLabel, context: Context, *, after: str = ""
    ) -> Iterator[Reader]:
        """Everybody the policy names who may read by themselves, with the way each has to it; by name, from after one on."""
        known = self._current(tenant, context.now)
        with known.lock:  # one policy for the whole list
            policy, rules = known.policy, known.rules
        names = [name for name in rules.asking() if name > after]
        for first in range(0, len(names), _READERS_AT_ONCE):
            with known.lock:  # not for long: answers wait for it
                found = [
                    reader(rules, name, label)
                    for name in names[first : first + _READERS_AT_ONCE]
                    if may_read(policy, rules, AskedAbout(principal=name), label, context)
                ]
            yield from found

    def _tried(self, snapshot: PolicySnapshot) -> _Tried:
        """A policy that is not in force. The last two are kept: a dry run asks of one before and one after, by turns."""
        for tried in self._last_tried:
            if tried.snapshot is snapshot:
                return tried
        snapshot.validate()
        rules = RuleIndex(snapshot)
        made = _Tried(snapshot, rules, self._policy(rules))
        self._last_tried = (*self._last_tried[-1:], made)
        return made

    def check(self, snapshot: PolicySnapshot) -> None:
        """Raises `policy.invalid` unless Casbin itself takes these rows and can decide by them."""
        snapshot.validate()
        made = enforcer(snapshot, self._model_text)
        probe = AccessLabel(
            tenant=snapshot.tenant, corpus="probe", classification=Classification.PUBLIC
        )
        ctx = Ctx(0, delegate=False, administrative=False)
        sub = RuleIndex(snapshot).sub(snapshot.rows[0].subject)
        try:
            made.enforce(sub, Action.CORPUS_RETRIEVE.value, probe, ctx)
        except Exception as error:
            raise InvalidRequestError(
                f"the model cannot decide this policy: {type(error).__name__}",
                code="policy.invalid",
            ) from error

    # What is remembered. --------------------------------------------------------------------------------------------

    def _tenant(self, tenant: str) -> _Tenant:
        with self._lock:
            known = self._tenants.get(tenant)
            if known is None:
                known = self._tenants[tenant] = _Tenant(tenant)
            self._tenants.move_to_end(tenant)
            while len(self._tenants) > _MAX_TENANTS:
                self._tenants.popitem(last=False)
            return known

    def _current(self, tenant: str, now: int) -> _Tenant:
        """The tenant's state, as of now."""
        known = self._tenant(tenant)
        head = self._store.head(tenant)
        with known.lock:
            self._catch_up(known, tenant, head, now)
        return known

    def _catch_up(self, known: _Tenant, tenant: str, head: TenantHead, now: int) -> TenantHead:
        """Takes in what was written since, and memberships that began or ended: new labels extend, a new policy replaces.
        Returns the head to answer for."""
        if head.epoch < known.epoch or head.last_label_id < known.index.last_id:
            # Another thread was quicker; or, if it still looks so, an older catalog was put in this one's place.
            head = self._store.head(tenant)
            if head.epoch < known.epoch or head.last_label_id < known.index.last_id:
                known.index, known.epoch = LabelIndex(tenant), -1
        if head.policy_epoch > known.epoch or known.epoch < 0:
            known.snapshot = self._read(tenant)
            self._put_in_force(known, now)
            known.epoch = known.snapshot.epoch
            known.tasks.clear()
        elif not known.span[0] <= now < known.span[1]:
            self._put_in_force(known, now)
        if head.last_label_id > known.index.last_id:
            known.index.add(self._store.labels(tenant, after=known.index.last_id))
        return head

    def _put_in_force(self, known: _Tenant, now: int) -> None:
        """The policy with the memberships for a time that hold now, for as long as those are the ones."""
        rules = RuleIndex(known.snapshot.at(now), digest=known.snapshot.digest())
        known.policy = self._policy(rules)
        known.rules, known.span = rules, known.snapshot.span(now)
        known.permits.clear()

    def _read(self, tenant: str) -> PolicySnapshot:
        """The stored policy, validated again: what was edited in the database since it was written is refused here."""
        try:
            snapshot = self._store.policy(tenant)
            snapshot.validate()
        except InvalidRequestError as error:  # what is stored is wrong, not what was asked
            raise UnavailableError(code="unavailable.policy") from error
        return snapshot

    def _policy(self, rules: RuleIndex) -> Policy:
        if self._matcher is not None:
            return FastPolicy(rules, self._matcher)
        try:
            return ExactPolicy(rules, self._model_text)
        except InvalidRequestError as error:
            raise UnavailableError(code="unavailable.policy") from error

    def _remembered(
        self,
        known: _Tenant,
        subject: Subject,
        context: Context,
        unmet: frozenset[Classification],
    ) -> _Remembered:
        if not known.rules.knows(
            subject.principal
        ):  # strangers get no place in the memory of others
            denied = Deny(epoch=known.epoch, reason="no rule or membership names the subject")
            return _Remembered(denied, known.index.last_id, context.now, FAR_FUTURE)
        # The key holds every attribute of the subject that the model or this adapter reads.
        # What it has proven is in it as what that is not enough for, judged anew on every request.
        task = subject.task
        key = (subject.principal, subject.agents, subject.application, task, context.purpose, unmet)
        found = known.permits.get(key)
        if (
            found is not None
            and found.last_label_id == known.index.last_id
            and found.decided_at <= context.now < found.not_after
        ):
            known.permits.move_to_end(key)
            return found
        ends = known.next_boundary(context.now)
        decision: Decision = Deny(epoch=known.epoch, reason="the task grant does not hold")
        if self._task_holds(known, task):
            ctx = contexts(Action.CORPUS_RETRIEVE, context)
            decision = self._decided(known, asking(subject), ctx, context.purpose, unmet)
        made = _Remembered(
            decision=decision,
            last_label_id=known.index.last_id,
            decided_at=context.now,
            not_after=ends if task is None else min(ends, task.next_boundary(context.now)),
        )
        known.permits[key] = made
        while len(known.permits) > _MAX_PERMITS_PER_TENANT:
            known.permits.popitem(last=False)
        return made

    def _task_holds(self, known: _Tenant, task: TaskGrant | None) -> bool:
        """Whether the grant is kept as it is brought and not revoked; asked once under each policy epoch, which a
        revocation moves."""
        if task is None:
            return True
        if task not in known.tasks:
            try:
                record = self._store.task_grant(task.tenant, task.grant_id)
                holds = record.grant == task and record.revoked_at is None
            except NotFoundError:
                holds = False
            known.tasks[task] = holds
            while len(known.tasks) > _MAX_PERMITS_PER_TENANT:
                known.tasks.popitem(last=False)
        return known.tasks[task]

    # Deciding. ------------------------------------------------------------------------------------------------------

    def _decided(
        self,
        known: _Tenant,
        about: AskedAbout,
        ctx: tuple[Ctx, Ctx],
        purpose: str,
        unmet: frozenset[Classification] = frozenset(),
    ) -> Decision:
        """user ∩ application ∩ every agent ∩ task grant ∩ what was proven."""
        labels = readable(known.policy, known.rules, known.index, about, ctx)
        withheld = None
        if unmet and (lacking := labels & known.index.classified(unmet)):
            labels = labels - lacking
            withheld = _withheld(known.index, labels, lacking)
        if not labels:
            reason = "no label is permitted" + (" on what was proven" if withheld else "")
            return Deny(epoch=known.epoch, reason=reason, withheld=withheld)
        return Permit(
            head=TenantHead(epoch=known.epoch),
            not_after=0,
            grants=self._grants(known, about, labels, purpose, ctx[0].now),
            policy_digest=known.rules.digest,
            reason=f"{len(labels)} of {len(known.index.labels)} labels",
            withheld=withheld,
        )

    def _grants(
        self, known: _Tenant, about: AskedAbout, labels: BitMap, purpose: str, now: int
    ) -> tuple[Grant, ...]:
        """The labels parted by what is shown of personal data under them, which rows decide by signature. A task grant
        that does not lend an action shows nothing by it."""
        parts: list[tuple[frozenset[_Shown], BitMap]] = [
            (frozenset(), known.index.all_signatures())
        ]
        principals = (about.principal, *about.agents)
        most = self._most_for(purpose)
        for treatment, verb in VERBS.items():
            if treatment > most or not all(
                known.rules.has_action(known.rules.sub(p), f"{verb}:") for p in principals
            ):
                continue
            for entity_type in self._entity_types:
                action = entitling_action(treatment, entity_type, purpose)
                if about.task is not None and not about.task.lends(action, now):
                    continue
                shown = self._permitting(known, principals, action)
                parts = list(_split(parts, (treatment, entity_type), shown))
        parts.sort(key=lambda part: len(part[1]))  # the largest is what the others leave over
        grants = []
        for types, signatures in parts[:-1]:
            mine = labels & known.index.labels_of(signatures)
            labels = labels - mine
            grants.append(_grant(mine, types))
        grants.append(_grant(labels, parts[-1][0]))
        return tuple(grant for grant in grants if grant.labels)

    @staticmethod
    def _permitting(known: _Tenant, principals: tuple[str, ...], action: str) -> BitMap:
        found = known.index.all_signatures()
        for principal in principals:
            found &= known.policy.signatures(principal, action, known.index)
        return found


def _withheld(index: LabelIndex, left: BitMap, lacking: BitMap) -> Withheld:
    levels: dict[str, set[Classification]] = {}
    for label_id in lacking:
        label = index.labels[label_id]
        levels.setdefault(label.corpus, set()).add(label.classification)
    return Withheld(
        levels={corpus: frozenset(found) for corpus, found in levels.items()},
        open_corpora=frozenset(index.labels[label_id].corpus for label_id in left),
    )


def _grant(labels: BitMap, shown: frozenset[_Shown]) -> Grant:
    by = {
        treatment: frozenset(kind for each, kind in shown if each is treatment)
        for treatment in VERBS
    }
    return Grant(
        labels=FrozenBitMap(labels),
        revealed=by[Treatment.SHOWN],
        generalised=by[Treatment.GENERALISED],
        pseudonymised=by[Treatment.PSEUDONYMISED],
    )


def _split(
    parts: list[tuple[frozenset[_Shown], BitMap]], shown: _Shown, showing: BitMap
) -> list[tuple[frozenset[_Shown], BitMap]]:
    """Each part in two where something is shown for only some of it."""
    out = []
    for types, part in parts:
        inside, outside = part & showing, part - showing
        if inside:
            out.append((types | {shown}, inside))
        if outside:
            out.append((types, outside))
    return out
