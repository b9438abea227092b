"""What a token is bound to, and whether this request proves it: a key by DPoP (RFC 9449), a certificate by mutual TLS
(RFC 8705)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from ragward.adapters.dpop import DPoPProofs
from ragward.domain.errors import UnauthenticatedError
from ragward.domain.proof import Connection

_KEY, _CERTIFICATE = "jkt", "x5t#S256"
_KNOWN: Final = frozenset({_KEY, _CERTIFICATE})
_NO_CONNECTION: Final = Connection()


def proven_binding(
    claims: Mapping[str, Any],
    token: str,
    connection: Connection | None,
    proofs: DPoPProofs,
    *,
    by_dpop: bool,
) -> bool:
    """Whether the token is bound to its sender, and that is them; False for one that is bound to nobody.

    Raises `auth.unbound` for a bound token without the proof, whatever scheme it came under, and for a token under the
    scheme DPoP that is bound to no key."""
    if "cnf" not in claims:
        if by_dpop:
            raise UnauthenticatedError(code="auth.unbound")
        return False
    bound = claims["cnf"]
    ours = connection or _NO_CONNECTION
    if not isinstance(bound, dict) or not bound or bound.keys() - _KNOWN:
        raise UnauthenticatedError(code="auth.unbound")
    if not all(isinstance(value, str) and value for value in bound.values()):
        raise UnauthenticatedError(code="auth.unbound")
    if (_KEY in bound) is not by_dpop:
        raise UnauthenticatedError(code="auth.unbound")
    if _CERTIFICATE in bound:
        seen = ours.certificate_sha256
        if not seen or not hmac.compare_digest(seen.encode(), bound[_CERTIFICATE].encode()):
            raise UnauthenticatedError(code="auth.unbound")
    if _KEY in bound:
        proofs.require(ours, token, bound[_KEY])
    return True
