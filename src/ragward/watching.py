"""What looks at answers and slows who is throttled, opened for an installation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ragward.behaviour import Accounts, Behaviour, BehaviourPorts
from ragward.domain.access import Context
from ragward.domain.audit import EventType
from ragward.domain.handling import Handling
from ragward.evidence import Recorder
from ragward.exposure import Exposure
from ragward.opening import Doubles, closing
from ragward.ports import (
    AuditLog,
    Catalog,
    Clock,
    Keyring,
    Limiter,
    PolicyDecisionPoint,
    Watch,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What the watch is opened with."""

    catalog: Catalog
    keyring: Keyring
    audit: AuditLog
    limiter: Limiter
    pdp: PolicyDecisionPoint
    policies: Path
    clock: Clock
    handling: Handling


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The watch, and what is given to flows in its place of the plain ones."""

    watch: Watch
    recorder: Recorder
    limiter: Limiter


def administrators_of(pdp: PolicyDecisionPoint) -> Callable[[str, Context], frozenset[str]]:
    """Who may write a tenant's policy; of a decision point of a test's own, nobody is known."""
    from ragward.adapters.pdp_restricted import RestrictedPolicyDecisionPoint

    if isinstance(pdp, RestrictedPolicyDecisionPoint):
        return pdp.administrators
    return lambda _tenant, _context: frozenset()


def open_watch(opened: Watching, given: Doubles, stack: ExitStack) -> Watched:
    """Raises `config.invalid`."""
    plain = Recorder(audit=opened.audit, clock=opened.clock)
    watch = given.watch or closing(_behaviour(opened, plain), stack)
    return Watched(
        watch=watch,
        recorder=Recorder(audit=opened.audit, clock=opened.clock, watch=watch),
        limiter=_limiter(opened),
    )


def _behaviour(opened: Watching, recorder: Recorder) -> Behaviour:
    from ragward.adapters.behaviour_river import RiverBaselines
    from ragward.adapters.behaviour_toml import load_behaviour

    rules = load_behaviour(opened.policies / "behaviour.toml")

    def damaged(tenant: str, principal: str) -> None:
        details = {"code": "integrity.behaviour", "account": principal}
        recorder.record(EventType.INTEGRITY_FAILURE, None, "dropped", details, tenant=tenant)

    accounts = Accounts(
        opened.catalog, RiverBaselines(rules.deviations, rules.least_spread), rules, damaged
    )
    ports = BehaviourPorts(
        store=opened.catalog,
        keyring=opened.keyring,
        recorder=recorder,
        clock=opened.clock,
        administrators=administrators_of(opened.pdp),
    )
    exposure = Exposure(opened.catalog, opened.handling, opened.clock)
    return Behaviour(ports, accounts, exposure, rules)


def _limiter(opened: Watching) -> Limiter:
    from ragward.adapters.behaviour_toml import load_behaviour
    from ragward.adapters.limiter_throttled import ThrottledLimiter
    from ragward.adapters.pdp_restricted import RestrictedPolicyDecisionPoint

    if not isinstance(opened.pdp, RestrictedPolicyDecisionPoint):
        return opened.limiter
    return ThrottledLimiter(
        opened.limiter,
        opened.pdp.recent_standing,
        opened.catalog,
        opened.clock,
        load_behaviour(opened.policies / "behaviour.toml").throttle_per_minute,
    )
