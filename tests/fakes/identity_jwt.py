"""Believes names: the credential "ann" is the person ann, "ann+bot" is bot acting for ann."""

from __future__ import annotations

from ragward.domain.errors import UnauthenticatedError
from tests.company import subject


class FakeIdentityVerifier:
    """`ports.IdentityVerifier` over tests.company."""

    def verify(self, credentials):
        name = credentials.untrusted_authorization
        if not name:
            raise UnauthenticatedError(code="auth.missing")
        person, _, agent = name.partition("+")
        return subject(person, agents=(f"agent:acme/{agent}",) if agent else ())
