"""What an operator does with policy roots: sign what is there, look at it, verify it. Needs no token, but the key's file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from ragward.domain.audit import AuditEvent, EventType
from ragward.domain.errors import ConflictError
from ragward.domain.policy_roots import PolicyRoot, RootState
from ragward.opening import open_audit, open_authority, open_keyring, open_policy_keeper
from ragward.settings import Settings


def sign(settings: Settings, tenant: str, *, accept: bool) -> PolicyRoot:
    """Signs a tenant's authority rows as they are; creates the key of an installation that has none.

    Recorded first. Raises `policy.conflict` where the tenant has a root that the rows are not those of, unless the operator
    accepts what is there; `unavailable.policy_key`.
    """
    from ragward.adapters.clock_system import SystemClock
    from ragward.adapters.policy_keys_ed25519 import create_policy_key

    create_policy_key(settings.policy_key_file)
    open_policy_keeper(settings).require_key()
    authority = open_authority(settings)
    audit = open_audit(settings, open_keyring(settings))
    try:
        state = authority.state(tenant)
        if state.is_wrong and not accept:
            raise ConflictError(state.problem, code="policy.conflict")
        event = AuditEvent(
            event_id=str(uuid.uuid4()),
            at=SystemClock().now_milliseconds(),
            type=EventType.ADMIN_ACT,
            tenant=tenant,
            actor={"principal": "operator"},
            decision="permit",
            details={"act": "sign_policy", "target": tenant, "problem": state.problem},
        )
        audit.append(event, durable=True)
        return authority.sign(tenant)
    finally:
        audit.close()
        authority.close()


def states(settings: Settings, tenant: str | None) -> Sequence[RootState]:
    """Roots and whether the rows are theirs, of one tenant or all. Raises `config.policy_key`."""
    authority = open_authority(settings)
    try:
        wanted = authority.tenants() if tenant is None else [tenant]
        return [authority.state(each) for each in wanted]
    finally:
        authority.close()
