"""Decisions and identities from rows that were signed: stands between them and the catalog.

What decides reads policy, applications and deactivations here. They are verified when they are read in, and what is read in
each request is compared with what was verified: a row that is not what was signed is not used, and is an alarm.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from ragward.domain.access import Application, TenantHead
from ragward.domain.audit import EventType
from ragward.domain.directory import user_principal
from ragward.domain.errors import IntegrityError, RagwardError
from ragward.domain.identities import Agent, ApplicationKey
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_roots import Authority, PolicyRoot, root_error
from ragward.domain.task_grants import TaskGrantRecord
from ragward.evidence import Recorder
from ragward.ports import Clock

_TOLD_AGAIN_SECONDS: Final = 60
_READINGS: Final = 3
Found = TypeVar("Found")


class Stored(Protocol):
    """What the catalog has, as it is now."""

    def epoch(self, tenant: str) -> int: ...
    def head(self, tenant: str) -> TenantHead: ...
    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]: ...
    def find_application(self, tenant: str, client_id: str) -> Application | None: ...
    def find_application_by_key(self, prefix: str) -> ApplicationKey | None: ...
    def find_agent(self, tenant: str, principal: str) -> Agent | None: ...
    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord: ...
    def is_disabled(self, tenant: str, principal: str) -> bool: ...


class Verified(Protocol):
    """Rows that were signed."""

    def verified(self, tenant: str, known: Authority | None = None) -> Authority: ...


class Witness(Protocol):
    """The newest root that was seen outside the database."""

    def newest(self, tenant: str) -> PolicyRoot | None: ...


class SignedAuthority:
    """What `pdp_casbin` and `identity_jwt` read. Thread-safe. Everything raises `integrity.policy_root`, recorded."""

    def __init__(
        self, stored: Stored, verified: Verified, witness: Witness, recorder: Recorder, clock: Clock
    ) -> None:
        self._stored, self._verified, self._witness = stored, verified, witness
        self._recorder, self._clock = recorder, clock
        self._known: dict[str, Authority] = {}
        self._told: dict[tuple[str, str], float] = {}
        self._failing: set[str] = set()
        self._lock = threading.Lock()

    def epoch(self, tenant: str) -> int:
        return self._stored.epoch(tenant)

    def head(self, tenant: str) -> TenantHead:
        """Not of a database that is older than what was signed."""
        head = self._stored.head(tenant)
        if self._is_older(tenant, head):
            head = self._stored.head(tenant)  # a write may have come between the two
            if self._is_older(tenant, head):
                raise self._alarm(tenant, root_error("the database is older than what was signed"))
        return head

    def policy(self, tenant: str) -> PolicySnapshot:
        """As it was signed. Raises `policy.invalid`, too."""
        return self._load(tenant, self._known.get(tenant)).policy()

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        """Not signed here: their digests bind the keys of what lies under them."""
        return self._stored.labels(tenant, after=after)

    def find_application(self, tenant: str, client_id: str) -> Application | None:
        return self._agreed(
            tenant,
            lambda: self._stored.find_application(tenant, client_id),
            lambda known, found: known.applications.get(client_id) == found,
        )

    def find_application_by_key(self, prefix: str) -> ApplicationKey | None:
        first = self._stored.find_application_by_key(prefix)
        if first is None:
            return None
        return self._agreed(
            first.application.tenant,
            lambda: self._stored.find_application_by_key(prefix),
            lambda known, found: known.signed_key(prefix) == found,
        )

    def find_agent(self, tenant: str, principal: str) -> Agent | None:
        """One that is not registered is nothing to rely on."""
        return self._agreed(
            tenant,
            lambda: self._stored.find_agent(tenant, principal),
            lambda known, found: known.agents.get(principal) == found,
        )

    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord:
        """Not signed here: a digest binds its terms to its secret, and it can only take away."""
        return self._stored.task_grant(tenant, grant_id)

    def is_disabled(self, tenant: str, principal: str) -> bool:
        name = principal.removeprefix(user_principal(tenant, ""))
        enabled = self._agreed(
            tenant,
            lambda: None if self._stored.is_disabled(tenant, principal) else principal,
            lambda known, _: name not in known.disabled,
        )
        return enabled is None

    def require_signed(self, tenant: str) -> None:
        """That everything that is decided from is what was signed, now."""
        self._load(tenant)

    def check(self) -> None:
        """Raises `integrity.policy_root` while a tenant's rows, of those that were asked for, are not what was signed."""
        for tenant in sorted(self._failing):
            self._load(tenant)

    # How. -----------------------------------------------------------------------------------------------------------

    def _is_older(self, tenant: str, head: TenantHead) -> bool:
        try:
            newest = self._witness.newest(tenant)
        except IntegrityError as error:
            raise self._alarm(tenant, error) from None
        return newest is not None and newest.epoch > head.policy_epoch

    def _agreed(
        self,
        tenant: str,
        read: Callable[[], Found | None],
        is_signed: Callable[[Authority, Found], bool],
    ) -> Found | None:
        """What the catalog has, if it is what was signed; both are read again where not, as a write may have come between.
        Nothing is always believed: it permits nothing."""
        known = self._known.get(tenant)
        for _ in range(_READINGS):
            found = read()
            if found is None:
                return None
            if known is not None and self._is_newest(tenant, known) and is_signed(known, found):
                return found
            known = self._load(tenant)
        raise self._alarm(tenant, root_error("an application or a person is not what was signed"))

    def _is_newest(self, tenant: str, known: Authority) -> bool:
        newest = self._witness.newest(tenant)
        return newest is None or (known.root is not None and known.root.serial >= newest.serial)

    def _load(self, tenant: str, known: Authority | None = None) -> Authority:
        """All of it, or only that `known` is still what was signed."""
        try:
            known = self._verified.verified(tenant, known)
        except IntegrityError as error:
            raise self._alarm(tenant, error) from None
        with self._lock:
            self._known[tenant] = known
            self._failing.discard(tenant)
        return known

    def _alarm(self, tenant: str, error: RagwardError) -> RagwardError:
        """`error`, on record: each of its kind once a minute, so that asking again does not fill the log."""
        now = self._clock.monotonic()
        with self._lock:
            self._known.pop(tenant, None)
            self._failing.add(tenant)
            last = self._told.get((tenant, error.detail))
            is_new = last is None or now - last >= _TOLD_AGAIN_SECONDS
            if is_new:
                self._told[tenant, error.detail] = now
        if is_new:
            details = {"code": error.code, "problem": error.detail}
            self._recorder.record(
                EventType.INTEGRITY_FAILURE, None, "refused", details, tenant=tenant, durable=True
            )
        return error
