"""What an access audit found, and the name of what it proposes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from ragward.domain.access import Application
from ragward.domain.access_audit import ApplicationUse, PrincipalUse, RoleUse, Unused
from ragward.domain.access_posture import Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessAudit:
    """What was found. Times are Unix seconds. `gaps` counts where the log lacks events: then nothing is proposed."""

    tenant: str
    begin: int
    end: int
    policy_version: int
    answers: int
    gaps: int
    evaluations: int
    """Questions of other enforcement points that were permitted: the log does not say whose use they were"""
    principals: tuple[PrincipalUse, ...]
    roles: tuple[RoleUse, ...]
    applications: tuple[ApplicationUse, ...]
    unused: Unused
    posture: Posture

    @property
    def narrowed(self) -> tuple[Application, ...]:
        """Applications as they would suffice."""
        return tuple(use.narrowed for use in self.applications if use.narrowed is not None)

    def digest(self) -> str:
        """SHA-256 (hex) of what is proposed, and the version it is about: what somebody agrees to when they apply it."""
        narrowed = [[a.principal, sorted(a.corpora), a.ceiling.name] for a in self.narrowed]
        body = [self.tenant, self.policy_version, self.unused.lines(), narrowed]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()
