"""Who asks, under which task grant: what is lent is bound to its tenant, person, agent and application here.

Also notes which identities and keys are used, in memory: `flush` writes it down, once per name and hour at most.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Final, Protocol

from ragward.adapters.identity_keys import KEY_PREFIX, key_id_in
from ragward.domain.access import Credentials, Subject
from ragward.domain.errors import NotFoundError, RagwardError, UnauthenticatedError
from ragward.domain.identities import Agent
from ragward.domain.task_grants import TaskGrant, TaskGrantRecord, grant_id_in
from ragward.ports import Clock, IdentityStore, IdentityVerifier, TaskGrantStore

_MAX_SECRET_CHARACTERS: Final = 256
_HOUR: Final = 3600
_REMEMBERED: Final = 10_000
_MAX_PROVEN: Final = 1024


class _Store(TaskGrantStore, IdentityStore, Protocol):
    """What this asks of the catalog."""


class _Agents(Protocol):
    """What is known of agents, as `IdentityStore` has it."""

    def find_agent(self, tenant: str, principal: str) -> Agent | None: ...


class TaskGrantVerifier:
    """`ports.IdentityVerifier` over another one. Thread-safe.

    `required`: a subject with agents and no task grant is refused.
    """

    def __init__(
        self,
        inner: IdentityVerifier,
        store: _Store,
        clock: Clock,
        *,
        agents: _Agents,
        required: bool,
    ) -> None:
        self._inner, self._store, self._clock = inner, store, clock
        self._agents, self._required = agents, required
        self._uses = _Uses()
        self._proven: OrderedDict[bytes, TaskGrantRecord] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, credentials: Credentials) -> Subject:
        """The subject, its task grant with it. Raises `auth.*`, `unavailable.identity`, `unavailable.catalog`."""
        subject = self._inner.verify(credentials)
        now, ends = self._clock.now(), subject.not_after
        for agent in subject.agents:
            known = self._agents.find_agent(subject.tenant, agent)
            if known is not None:
                if known.expires_at <= now:
                    raise UnauthenticatedError
                ends = min(ends, known.expires_at)
        secret = credentials.untrusted_task_grant
        if secret is not None:
            subject = _under(subject, self._grant(subject, secret, now), ends)
        elif self._required and subject.agents:
            raise UnauthenticatedError(code="auth.task_grant")
        elif ends != subject.not_after:
            subject = dataclasses.replace(subject, not_after=ends)
        self._uses.note(subject, credentials, now)
        return subject

    def flush(self) -> int:
        """Writes down what was used since; returns how many names. Raises `unavailable.catalog`."""
        return self._uses.flush(self._store)

    def close(self) -> None:
        """Writes down what it can; what it cannot is noted again when it is used again."""
        with suppress(RagwardError):
            self.flush()

    def _grant(self, subject: Subject, secret: str, now: int) -> TaskGrant:
        """The grant, if it is good for exactly this subject. All that can be wrong looks the same."""
        if len(secret) > _MAX_SECRET_CHARACTERS:
            raise UnauthenticatedError(code="auth.task_grant")
        try:
            record = self._store.task_grant(subject.tenant, grant_id_in(secret))
        except NotFoundError:
            raise UnauthenticatedError(code="auth.task_grant") from None
        grant = record.grant
        good = (
            self._is_its_secret(record, secret)
            and record.revoked_at is None
            and grant.not_before <= now < grant.not_after
            and grant.minted_by == subject.principal
            and grant.application == subject.application.principal
            and subject.agents[:1] == (grant.agent,)
            and (not grant.purpose or subject.purpose in (None, "", grant.purpose))
        )
        if not good:
            raise UnauthenticatedError(code="auth.task_grant")
        return grant

    def _is_its_secret(self, record: TaskGrantRecord, secret: str) -> bool:
        """Whether the terms as they are stored now are those that the secret was made with. Nothing is hashed again for the very
        record, which the store read anew and found unchanged; what is remembered is no secret."""
        name = hashlib.sha256(secret.encode(errors="replace")).digest()
        with self._lock:
            if self._proven.get(name) is record:
                return True
        if not hmac.compare_digest(record.secret_sha256, record.grant.digest(secret)):
            return False
        with self._lock:
            self._proven[name] = record
            self._proven.move_to_end(name)
            while len(self._proven) > _MAX_PROVEN:
                self._proven.popitem(last=False)
        return True


def _under(subject: Subject, grant: TaskGrant, ends: int) -> Subject:
    return dataclasses.replace(
        subject,
        task=grant,
        purpose=grant.purpose or subject.purpose,
        not_after=min(ends, grant.not_after),
    )


class _Uses:
    """Names that were used, by tenant; the youngest are remembered, so that each is written once an hour."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hours: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._waiting: dict[tuple[str, str], int] = {}

    def note(self, subject: Subject, credentials: Credentials, now: int) -> None:
        names = [subject.application.principal, *subject.agents]
        first = credentials.untrusted_authorization or ""
        if first.startswith(KEY_PREFIX):
            names.append(f"key:{key_id_in(first)}")
        hour = now - now % _HOUR
        with self._lock:
            for name in names:
                place = subject.tenant, name
                if self._hours.get(place) == hour:
                    continue
                self._hours[place] = self._waiting[place] = hour
                self._hours.move_to_end(place)
                for kept in (self._hours, self._waiting):
                    if len(kept) > _REMEMBERED:
                        kept.pop(next(iter(kept)))

    def flush(self, store: IdentityStore) -> int:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        by_tenant: dict[str, dict[str, int]] = {}
        for (tenant, name), hour in waiting.items():
            by_tenant.setdefault(tenant, {})[name] = hour
        try:
            for tenant, uses in by_tenant.items():
                store.note_uses(tenant, uses)
        except BaseException:
            with self._lock:
                self._waiting = waiting | self._waiting
            raise
        return len(waiting)
