"""What subjects and agents do, and what is done about it.

count      an answer, a refusal or a touched honey document, in the accounts of the person and of every agent: in memory
alarm      where a count goes over the day's limit: on record
respond    by policy: a restriction that ends by itself, placed before the next request
write      accounts now and then, merged with what other workers counted: a sweep spread over workers is seen whole,
           a restart forgets what was counted since the last write at most
"""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.access import Context, Subject
from ragward.domain.audit import EventType
from ragward.domain.behaviour import (
    Account,
    Alarm,
    BehaviourRules,
    Seen,
    document_tag,
    is_machine,
    query_tags,
    set_drift,
)
from ragward.domain.errors import IntegrityError, RagwardError
from ragward.domain.fingerprints import tenant_key
from ragward.domain.labels import Classification
from ragward.domain.minimization import tokens_of
from ragward.domain.passages import Passage
from ragward.domain.restrictions import Restriction, RestrictionKind
from ragward.evidence import Recorder
from ragward.exposure import Exposure
from ragward.ports import AccountStore, Baselines, Clock, Keyring, RestrictionStore

_MAX_ACCOUNTS: Final = 10_000
_WRITE_SECONDS: Final = 5.0
_WRITE_AT: Final = 64
_PROBES: Final = ("access.",)


@dataclass(slots=True)
class _Held:
    """An account in memory, and what of it is not written yet."""

    account: Account
    pending: list[Seen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm, and whose account it is about."""

    tenant: str
    principal: str
    alarm: Alarm


class Accounts:
    """Everybody's accounts, in this process's memory and in the store. Thread-safe."""

    def __init__(
        self,
        store: AccountStore,
        baselines: Baselines,
        rules: BehaviourRules,
        on_damage: Callable[[str, str], None] = lambda _tenant, _principal: None,
    ) -> None:
        self._store, self._baselines, self._rules = store, baselines, rules
        self._on_damage = on_damage
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()
        self._lock = threading.Lock()
        self.waiting = 0
        """How much is not written yet."""

    def add(self, tenant: str, principal: str, seen: Seen) -> list[Raised]:
        """Counts it in. Raises `unavailable.catalog` where an account cannot be read."""
        key = (tenant, principal)
        with self._lock:
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = _Held(self._read(key, self._store.account(*key)))
            self._count(principal, held.account, seen)
            held.pending.append(seen)
            self.waiting += 1
            return [Raised(tenant, principal, alarm) for alarm in held.account.alarms()]

    def write(self) -> list[Raised]:
        """Merges what is pending into the store; returns the alarms that only the whole shows. Raises `unavailable.catalog`."""
        with self._lock:
            dirty = [key for key, held in self._held.items() if held.pending]
        found: list[Raised] = []
        for key in dirty:
            found += self._written(key)
        with self._lock:
            for key in [key for key, held in self._held.items() if not held.pending]:
                if len(self._held) <= _MAX_ACCOUNTS:
                    break
                del self._held[key]
        return found

    def account(self, tenant: str, principal: str) -> Account:
        """As it is stored."""
        key = (tenant, principal)
        return self._read(key, self._store.account(*key))

    def _written(self, key: tuple[str, str]) -> list[Raised]:
        with self._lock:
            held = self._held[key]
            pending, held.pending = held.pending, []
            raised = dict(held.account.raised)
            self.waiting -= len(pending)
        made: list[Account] = []

        def change(state: str | None) -> str:
            account = self._read(key, state)
            for seen in pending:
                self._count(key[1], account, seen)
            if account.day == held.account.day:
                for name, level in raised.items():
                    account.raised[name] = max(level, account.raised.get(name, -1))
            made[:] = [account]
            return account.to_json()

        try:
            self._store.change_account(*key, change)
        except BaseException:
            with self._lock:
                held.pending = pending + held.pending
                self.waiting += len(pending)
            raise
        with self._lock:
            held.account = made[0]
            for seen in held.pending:  # what came in meanwhile
                self._count(key[1], held.account, seen)
            return [Raised(*key, alarm) for alarm in held.account.alarms()]

    def _read(self, key: tuple[str, str], state: str | None) -> Account:
        if state is None:
            return Account()
        try:
            return Account.from_json(state)
        except IntegrityError:
            self._on_damage(*key)
            return Account()

    def _count(self, principal: str, account: Account, seen: Seen) -> None:
        if account.is_behind(seen.at):
            account.close_day(seen.at)
            days = tuple(account.history)
            machine = is_machine(principal)
            scales = self._rules.scales(machine=machine)
            usual = self._baselines.usual(days, scales)
            account.limits = self._rules.limits(usual, machine=machine)
            set_drift(account, drifting=self._baselines.is_drifting(days, scales))
        account.add(seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourPorts:
    """Everything behaviour touches. `administrators` are those who may write a tenant's policy."""

    store: RestrictionStore
    keyring: Keyring
    recorder: Recorder
    clock: Clock
    administrators: Callable[[str, Context], frozenset[str]]


class Behaviour:
    """`ports.Watch`. Thread-safe; a thread of its own writes accounts."""

    def __init__(
        self,
        ports: BehaviourPorts,
        accounts: Accounts,
        exposure: Exposure,
        rules: BehaviourRules,
    ) -> None:
        self._ports, self.accounts, self._exposure, self._rules = ports, accounts, exposure, rules
        self._unplaced: list[Raised] = []
        self._keys: dict[str, bytes] = {}
        self._wake, self._closed = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def spend(self, subject: Subject, passages: Sequence[Passage], *, counted: bool) -> None:
        """Takes what is about to leave out of the day's budgets. Raises `limit.exposure`, `unavailable.limiter`."""
        if passages:
            self._exposure.spend(subject, passages, counted=counted)

    def answered(
        self, subject: Subject, query: str, passages: Sequence[Passage], flags: Sequence[str]
    ) -> None:
        """Counts an answer that is on record."""
        tokens = sum(
            tokens_of(passage.text)
            for passage in passages
            if passage.classification >= Classification.CONFIDENTIAL
        )
        seen = Seen(
            at=self._ports.clock.now(),
            documents=tuple({document_tag(passage.document_id) for passage in passages}),
            words=query_tags(query, self._key(subject.tenant)),
            protected_tokens=tokens,
            empty=not passages,
            flagged=bool(flags),
        )
        self._add(subject, seen)

    def noticed(self, event: EventType, subject: Subject | None, code: str) -> None:
        """Counts honey documents that were touched, and what was refused because it is not theirs."""
        if subject is None:
            return
        if event is EventType.HONEY_TOUCHED:
            self._add(subject, Seen(at=self._ports.clock.now(), honey=True))
        elif event is EventType.REQUEST_REFUSED and code.startswith(_PROBES):
            self._add(subject, Seen(at=self._ports.clock.now(), empty=True))

    def write(self) -> None:
        """Writes accounts and places what could not be placed before. Raises `unavailable.*`."""
        with self._lock:
            waiting, self._unplaced = self._unplaced, []
        self._respond([*waiting, *self.accounts.write()])

    def close(self) -> None:
        """Writes what is left; a catalog that is away keeps nobody from closing."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
        self._try_to_write()

    # How. -----------------------------------------------------------------------------------------------------------

    def _add(self, subject: Subject, seen: Seen) -> None:
        agents = subject.agents
        partner = agents[0] if agents else ""
        try:
            add = self.accounts.add
            found = add(subject.tenant, subject.principal, seen.through(partner))
            if agents:
                of_agent = seen.through(subject.principal)
                for agent in agents:
                    found += add(subject.tenant, agent, of_agent)
        except RagwardError:
            return  # the catalog is away: the next answer needs it, and is refused
        if found:
            self._respond(found)
        if self._thread is None:
            self._start()
        if self.accounts.waiting >= _WRITE_AT:
            self._wake.set()

    def _key(self, tenant: str) -> bytes:
        found = self._keys.get(tenant)
        if found is None:
            key = self._ports.keyring.mac_key("behaviour")
            found = self._keys[tenant] = tenant_key(key, tenant)
        return found

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                run = threading.Thread(target=self._run, name="ragward-behaviour", daemon=True)
                self._thread = run
                run.start()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(_WRITE_SECONDS)
            self._wake.clear()
            if not self._closed:
                self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except RagwardError:
            return  # it stays pending

    def _respond(self, found: Sequence[Raised]) -> None:
        for raised in found:
            try:
                self._place(raised)
            except RagwardError:
                with self._lock:
                    self._unplaced.append(raised)

    def _place(self, raised: Raised) -> None:
        """Records the alarm, and places what the policy says. Raises `unavailable.*`."""
        alarm, tenant = raised.alarm, raised.tenant
        limit = self._rules.features[alarm.feature]
        evidence = {
            "feature": alarm.feature.value,
            "count": alarm.count,
            "limit": alarm.limit,
            "account": raised.principal,
        }
        record = self._ports.recorder.record
        record(EventType.BEHAVIOUR_ALARM, None, "alarm", evidence, tenant=tenant)
        if not limit.respond:
            return
        kind = RestrictionKind(limit.respond[min(alarm.level, len(limit.respond) - 1)])
        target, through = _about(raised)
        if kind is RestrictionKind.STEP_UP and not through and is_machine(target):
            kind = RestrictionKind.CEILING
        now = self._ports.clock.now()
        restriction = Restriction(
            restriction_id=str(uuid.uuid4()),
            tenant=tenant,
            target=target,
            through=through,
            kind=kind,
            ceiling=self._rules.ceiling if kind is RestrictionKind.CEILING else None,
            begins_at=now,
            until=now + limit.minutes * 60,
            reason=f"{alarm.feature.value}: {alarm.count} of at most {alarm.limit}",
            evidence=evidence,
        )
        self._put(restriction, now)

    def _put(self, restriction: Restriction, now: int) -> None:
        """A suspension that would leave no administrator is a demand to authenticate afresh."""
        spare = None
        if restriction.kind is RestrictionKind.SUSPEND and not restriction.through:
            spare = self._ports.administrators(restriction.tenant, Context(now=now))
            if restriction.target not in spare:
                spare = None
        self._record(restriction)
        if not self._ports.store.add_restriction(restriction, spare=spare):
            milder = dataclasses.replace(restriction, kind=RestrictionKind.STEP_UP)
            self._record(milder)
            self._ports.store.add_restriction(milder)

    def _record(self, restriction: Restriction) -> None:
        self._ports.recorder.record(
            EventType.RESTRICTION_PLACED,
            None,
            "restricted",
            described(restriction),
            tenant=restriction.tenant,
            durable=True,
        )


def described(restriction: Restriction) -> dict[str, object]:
    """A restriction as the log has it."""
    return {
        "restriction": restriction.restriction_id,
        "target": restriction.target,
        "through": restriction.through,
        "kind": restriction.kind.value,
        "until": restriction.until,
        "reason": restriction.reason,
        "evidence": dict(restriction.evidence),
    }


def _about(raised: Raised) -> tuple[str, str]:
    """(whom to restrict, through which agent only): who has most of the account's requests together with it, or it alone."""
    partner = raised.alarm.partner
    if not partner:
        return raised.principal, ""
    if raised.principal.startswith("agent:"):
        return partner, raised.principal
    return raised.principal, partner
