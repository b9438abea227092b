"""Who asks: application credentials and people's tokens, verified strictly.

Tokens are compact JWS access tokens (RFC 9068: `typ` at+jwt) with asymmetric signatures; issuer, audience, expiry, issue
time, subject and id are required (RFC 8725). The unverified issuer selects a key set and nothing else; each key has one
algorithm. Agents come from the `act` chain (RFC 8693). Group and role claims are ignored: memberships are the catalog's.
A person whom the directory has deactivated is refused here, on every request, whoever brings their token.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt

from ragward.adapters.identity_keys import KEY_PREFIX, KeySource
from ragward.domain.access import Application, Credentials, Subject
from ragward.domain.errors import RequestRefusedError, UnauthenticatedError
from ragward.domain.labels import require_principal
from ragward.ports import Clock

_MAX_TOKEN_CHARACTERS: Final = 8192
_MAX_AGENTS: Final = 3
_LEEWAY_SECONDS: Final = 10
_REQUIRED: Final = ["iss", "aud", "exp", "iat", "sub", "jti"]
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_NO_DIGEST: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer that may speak for people of one tenant, or, for a development issuer, of a few (`tenant_claim`)."""

    issuer: str
    tenants: frozenset[str]
    audience: str
    keys: KeySource
    subject_claim: str = "sub"
    subject_prefix: str = ""
    max_token_age_seconds: int = 43_200

    def tenant_of(self, claims: Mapping[str, Any]) -> str:
        """The tenant a token speaks for: the one, or the one its `tenant` claim names among several."""
        if len(self.tenants) == 1:
            return next(iter(self.tenants))
        tenant = claims.get("tenant")
        if not isinstance(tenant, str) or tenant not in self.tenants:
            raise UnauthenticatedError
        return tenant


@dataclass(frozen=True, slots=True)
class _Token:
    issuer: TrustedIssuer
    tenant: str
    claims: Mapping[str, Any]

    @property
    def client_id(self) -> str:
        value = self.claims.get("azp", self.claims.get("client_id"))
        return value if isinstance(value, str) else ""


class Askers(Protocol):
    """What an asker is verified against, as `ApplicationStore` and `DirectoryStore` have it."""

    def find_application(self, tenant: str, client_id: str) -> Application | None: ...
    def find_application_by_key(self, prefix: str) -> tuple[bytes, Application] | None: ...
    def is_disabled(self, tenant: str, principal: str) -> bool: ...


class JWTIdentityVerifier:
    """`ports.IdentityVerifier`.

    `allowed_pairs` are (application's client id, token's client id) for tokens that were issued to another client.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        catalog: Askers,
        clock: Clock,
        *,
        allowed_pairs: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._catalog = catalog
        self._clock = clock
        self._allowed_pairs = allowed_pairs

    def verify(self, credentials: Credentials) -> Subject:
        """The subject. Raises `auth.*`, `unavailable.identity`."""
        first = credentials.untrusted_authorization
        if not first:
            raise UnauthenticatedError(code="auth.missing")
        try:
            return self._verified(first, credentials.untrusted_user_authorization)
        except UnauthenticatedError:
            raise
        except (
            RequestRefusedError
        ) as error:  # a malformed name in a signed token tells the caller nothing
            raise UnauthenticatedError from error

    def _verified(self, first: str, second: str | None) -> Subject:
        if first.startswith(KEY_PREFIX):
            application = self._by_key(first)
            return (
                self._with_person(application, second) if second else self._alone(application, None)
            )
        token = self._token(first)
        application = self._application(token)
        if token.claims["sub"] == application.client_id:
            return (
                self._with_person(application, second)
                if second
                else self._alone(application, token)
            )
        if second or not application.public_client:
            raise UnauthenticatedError
        return self._person(application, token)

    def _by_key(self, key: str) -> Application:
        prefix, _, _ = key.removeprefix(KEY_PREFIX).partition("_")
        found = self._catalog.find_application_by_key(prefix[:64])
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        if not hmac.compare_digest(found[0] if found else _NO_DIGEST, digest) or found is None:
            raise UnauthenticatedError
        return self._live(found[1])

    def _application(self, token: _Token) -> Application:
        found = self._catalog.find_application(token.tenant, token.client_id)
        if found is None:
            raise UnauthenticatedError
        return self._live(found)

    def _live(self, application: Application) -> Application:
        if application.expires_at is not None and application.expires_at <= self._clock.now():
            raise UnauthenticatedError
        return application

    def _with_person(self, application: Application, untrusted: str) -> Subject:
        token = self._token(untrusted)
        if token.tenant != application.tenant:
            raise UnauthenticatedError
        same = token.client_id == application.client_id
        if not same and (application.client_id, token.client_id) not in self._allowed_pairs:
            raise UnauthenticatedError(code="auth.application_mismatch")
        return self._person(application, token)

    def _alone(self, application: Application, token: _Token | None) -> Subject:
        ends = [application.expires_at or self._clock.now() + 86_400]
        if token is not None:
            ends.append(int(token.claims["exp"]))
        return Subject(
            tenant=application.tenant,
            principal=application.principal,
            application=application,
            not_after=min(ends),
        )

    def _person(self, application: Application, token: _Token) -> Subject:
        claims, issuer = token.claims, token.issuer
        name = claims.get(issuer.subject_claim)
        if not isinstance(name, str) or not name:
            raise UnauthenticatedError
        principal = require_principal(f"user:{token.tenant}/{issuer.subject_prefix}{name}")
        if self._catalog.is_disabled(token.tenant, principal):
            raise UnauthenticatedError(code="auth.subject_disabled")
        ends = [int(claims["exp"])]
        if application.expires_at is not None:
            ends.append(application.expires_at)
        acr, auth_time, purpose = (claims.get(k) for k in ("acr", "auth_time", "purpose"))
        return Subject(
            tenant=token.tenant,
            principal=principal,
            application=application,
            agents=_agents(claims, token.tenant),
            not_after=min(ends),
            acr=acr if isinstance(acr, str) else None,
            auth_time=auth_time if type(auth_time) is int else None,
            purpose=purpose if isinstance(purpose, str) else None,
        )

    def _token(self, untrusted: str) -> _Token:
        header, unverified = _parts(untrusted)
        issuer_name = unverified.get("iss")
        issuer = self._issuers.get(issuer_name) if isinstance(issuer_name, str) else None
        kind = str(header.get("typ", "")).lower().removeprefix("application/")
        kid = header.get("kid")
        if issuer is None or kind != "at+jwt" or _REFUSED_HEADERS & header.keys():
            raise UnauthenticatedError
        key = issuer.keys.find(kid if isinstance(kid, str) else None)
        if key is None or header.get("alg") != key[1]:
            raise UnauthenticatedError
        claims = self._claims(untrusted, issuer, key)
        return _Token(issuer, issuer.tenant_of(claims), claims)

    def _claims(
        self, untrusted: str, issuer: TrustedIssuer, key: tuple[Any, str]
    ) -> Mapping[str, Any]:
        try:
            claims = jwt.decode(
                untrusted,
                key[0],
                algorithms=[key[1]],
                audience=issuer.audience,
                issuer=issuer.issuer,
                options={
                    "require": _REQUIRED,
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise UnauthenticatedError from error
        self._check_times(claims, issuer)
        for name in ("sub", "jti"):
            if not isinstance(claims[name], str) or not claims[name]:
                raise UnauthenticatedError
        return claims

    def _check_times(self, claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
        """By our own clock, whole or fractional seconds only."""
        now = self._clock.now()
        times = [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
        if any(type(v) not in (int, float) or not math.isfinite(v) for v in times):
            raise UnauthenticatedError  # NaN is never "expired"
        if (
            claims["exp"] <= now - _LEEWAY_SECONDS
            or claims["iat"] < now - issuer.max_token_age_seconds
        ):
            raise UnauthenticatedError(code="auth.expired")
        if max(claims["iat"], claims.get("nbf", now)) > now + _LEEWAY_SECONDS:
            raise UnauthenticatedError


def _parts(untrusted: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a compact JWS, unverified: enough to find the issuer's keys."""
    pieces = untrusted.split(".")
    if len(untrusted) > _MAX_TOKEN_CHARACTERS or len(pieces) != 3 or not all(pieces):
        raise UnauthenticatedError
    try:
        header, claims = (
            json.loads(urlsafe_b64decode(piece + "=" * (-len(piece) % 4))) for piece in pieces[:2]
        )
    except (ValueError, RecursionError):
        raise UnauthenticatedError from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise UnauthenticatedError
    return header, claims


def _agents(claims: Mapping[str, Any], tenant: str) -> tuple[str, ...]:
    """The `act` chain as principals, the one that sent the request first."""
    agents: list[str] = []
    actor = claims.get("act")
    while actor is not None:
        if (
            not isinstance(actor, dict)
            or not isinstance(actor.get("sub"), str)
            or len(agents) >= _MAX_AGENTS
        ):
            raise UnauthenticatedError
        agents.append(require_principal(f"agent:{tenant}/{actor['sub']}"))
        actor = actor.get("act")
    return tuple(agents)
