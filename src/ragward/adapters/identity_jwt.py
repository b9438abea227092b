"""Who asks: application credentials and people's tokens, verified strictly.

Tokens are compact JWS access tokens (RFC 9068: `typ` at+jwt) with asymmetric signatures; issuer, audience, expiry, issue
time, subject and id are required (RFC 8725). The unverified issuer selects a key set and nothing else; each key has one
algorithm. Agents come from the `act` chain (RFC 8693), or bring a key of their own. Group and role claims are ignored: memberships are the catalog's.
A person whom the directory has deactivated is refused here, on every request, whoever brings their token; and so is a token
that is bound to somebody else than its sender.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import math
import threading
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

import jwt

from ragward.adapters.assurance_claims import AssuranceClaims
from ragward.adapters.dpop import DPoPProofs, Replays
from ragward.adapters.identity_keys import KEY_PREFIX, KeySource, key_id_in
from ragward.adapters.networks import Networks
from ragward.adapters.token_binding import proven_binding
from ragward.domain.access import Application, Credentials, Subject
from ragward.domain.errors import RequestRefusedError, UnauthenticatedError
from ragward.domain.identities import ApplicationKey
from ragward.domain.labels import require_principal
from ragward.domain.proof import Connection, Proof
from ragward.ports import Clock

_MAX_TOKEN_CHARACTERS: Final = 8192
MAX_AGENTS: Final = 3
_LEEWAY_SECONDS: Final = 10
_REQUIRED: Final = ["iss", "aud", "exp", "iat", "sub", "jti"]
_REFUSED_HEADERS: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_NO_DIGEST: Final = bytes(32)
_MAX_SIGNED: Final = 2_048


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
    says: AssuranceClaims = field(default_factory=AssuranceClaims)

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
    sender_bound: bool

    @property
    def client_id(self) -> str:
        value = self.claims.get("azp", self.claims.get("client_id"))
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A token's claims, and the key of its issuer that signed them."""

    issuer: TrustedIssuer
    kid: str | None
    key: Any
    algorithm: str
    claims: Mapping[str, Any] = field(repr=False)

    def holds(self) -> bool:
        """Whether that is still the issuer's key."""
        found = self.issuer.keys.find(self.kid)
        return found is not None and found[0] is self.key and found[1] == self.algorithm


class Askers(Protocol):
    """What an asker is verified against, as `ApplicationStore` and `DirectoryStore` have it."""

    def find_application(self, tenant: str, client_id: str) -> Application | None: ...
    def find_application_by_key(self, prefix: str) -> ApplicationKey | None: ...
    def is_disabled(self, tenant: str, principal: str) -> bool: ...


class JWTIdentityVerifier:
    """`ports.IdentityVerifier`.

    `allowed_pairs` are (application's client id, token's client id) for tokens that were issued to another client. `zones` are
    the networks that have a name. A key broker, which is shown the same proof several times, does without `sees_replays`.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        catalog: Askers,
        clock: Clock,
        *,
        allowed_pairs: frozenset[tuple[str, str]] = frozenset(),
        max_agents: int = MAX_AGENTS,
        zones: Networks | None = None,
        sees_replays: bool = True,
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._catalog = catalog
        self._clock = clock
        self._allowed_pairs = allowed_pairs
        self._max_agents = max_agents
        self._zones = zones or Networks({})
        self._signed = _SignedTokens()
        self._proofs = DPoPProofs(clock, Replays(clock) if sees_replays else None)

    def verify(self, credentials: Credentials) -> Subject:
        """The subject. Raises `auth.*`, `unavailable.identity`."""
        first = credentials.untrusted_authorization
        if not first:
            raise UnauthenticatedError(code="auth.missing")
        try:
            return self._verified(first, credentials)
        except UnauthenticatedError:
            raise
        except (
            RequestRefusedError
        ) as error:  # a malformed name in a signed token tells the caller nothing
            raise UnauthenticatedError from error

    def _verified(self, first: str, credentials: Credentials) -> Subject:
        connection, second = credentials.connection, credentials.untrusted_user_authorization
        by_dpop = connection.by_dpop if connection else (False, False)
        token: _Token | None = None
        if first.startswith(KEY_PREFIX):
            if by_dpop[0]:
                raise UnauthenticatedError(code="auth.unbound")
            return self._with_key(first, credentials)
        token = self._token(first, connection, by_dpop=by_dpop[0])
        application = self._application(token)
        proof = Proof(zones=self._zones_of(connection), sender_bound=token.sender_bound)
        if token.claims["sub"] != application.client_id:
            if second or not application.public_client:
                raise UnauthenticatedError
            return self._person(application, token, proof)
        if not second:
            return self._alone(application, token, proof)
        brought = self._token(second, connection, by_dpop=by_dpop[1])
        return self._with_person(application, brought, proof)

    def _zones_of(self, connection: Connection | None) -> frozenset[str]:
        return self._zones.of(connection.address) if connection else frozenset()

    def _with_key(self, first: str, credentials: Credentials) -> Subject:
        """An application's key, or an agent's: then the agent is who sends the request, whoever else acts behind it."""
        connection, second = credentials.connection, credentials.untrusted_user_authorization
        key = self._by_key(first)
        application, proof = self._live(key.application), Proof(zones=self._zones_of(connection))
        if second:
            by_dpop = connection is not None and connection.by_dpop[1]
            token = self._token(second, connection, by_dpop=by_dpop)
            subject = self._with_person(application, token, proof)
        else:
            subject = self._alone(application, None, proof)
        agents = subject.agents
        if key.agent is not None and agents[:1] != (key.agent,):
            agents = (key.agent, *agents)
            self._require_few(agents)
        ends = subject.not_after if key.not_after is None else min(subject.not_after, key.not_after)
        return dataclasses.replace(subject, agents=agents, not_after=ends)

    def _by_key(self, key: str) -> ApplicationKey:
        found = self._catalog.find_application_by_key(key_id_in(key))
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        if not hmac.compare_digest(found.sha256 if found else _NO_DIGEST, digest) or found is None:
            raise UnauthenticatedError
        if found.not_after is not None and found.not_after <= self._clock.now():
            raise UnauthenticatedError
        return found

    def _application(self, token: _Token) -> Application:
        found = self._catalog.find_application(token.tenant, token.client_id)
        if found is None:
            raise UnauthenticatedError
        return self._live(found)

    def _live(self, application: Application) -> Application:
        if application.expires_at is not None and application.expires_at <= self._clock.now():
            raise UnauthenticatedError
        return application

    def _with_person(self, application: Application, token: _Token, proof: Proof) -> Subject:
        if token.tenant != application.tenant:
            raise UnauthenticatedError
        same = token.client_id == application.client_id
        if not same and (application.client_id, token.client_id) not in self._allowed_pairs:
            raise UnauthenticatedError(code="auth.application_mismatch")
        return self._person(application, token, proof)

    def _alone(self, application: Application, token: _Token | None, proof: Proof) -> Subject:
        ends = [application.expires_at or self._clock.now() + 86_400]
        if token is not None:
            ends.append(int(token.claims["exp"]))
        return Subject(
            tenant=application.tenant,
            principal=application.principal,
            application=application,
            not_after=min(ends),
            proof=proof,
        )

    def _person(self, application: Application, token: _Token, proof: Proof) -> Subject:
        """`proof` is what the way they came proves: whoever stole a person's token could not use it where it, or the
        application's own beside it, is bound."""
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
        acr, purpose = claims.get(issuer.says.acr), claims.get("purpose")
        bound = proof.sender_bound or token.sender_bound
        return Subject(
            tenant=token.tenant,
            principal=principal,
            application=application,
            agents=self._agents(claims, token.tenant),
            not_after=min(ends),
            acr=acr if isinstance(acr, str) else None,
            auth_time=issuer.says.auth_time_in(claims, self._clock.now() + _LEEWAY_SECONDS),
            proof=issuer.says.proof_in(claims, zones=proof.zones, sender_bound=bound),
            purpose=purpose if isinstance(purpose, str) else None,
        )

    def _agents(self, claims: Mapping[str, Any], tenant: str) -> tuple[str, ...]:
        """The `act` chain as principals, the one that sent the request first."""
        agents: list[str] = []
        actor = claims.get("act")
        while actor is not None:
            if not isinstance(actor, dict) or not isinstance(actor.get("sub"), str):
                raise UnauthenticatedError
            agents.append(require_principal(f"agent:{tenant}/{actor['sub']}"))
            self._require_few(agents)
            actor = actor.get("act")
        return tuple(agents)

    def _require_few(self, agents: Sequence[str]) -> None:
        if len(agents) > self._max_agents:
            raise UnauthenticatedError

    def _token(self, untrusted: str, connection: Connection | None, *, by_dpop: bool) -> _Token:
        known = self._signed.of(untrusted)
        if known is None or not known.holds():
            known = self._signed.keep(untrusted, self._read(untrusted))
        issuer, claims = known.issuer, known.claims
        self._check_times(claims, issuer)
        bound = proven_binding(claims, untrusted, connection, self._proofs, by_dpop=by_dpop)
        return _Token(issuer, issuer.tenant_of(claims), claims, bound)

    def _read(self, untrusted: str) -> _Signed:
        """A token whose signature holds, and whose claims are all there."""
        header, unverified = _parts(untrusted)
        issuer_name = unverified.get("iss")
        issuer = self._issuers.get(issuer_name) if isinstance(issuer_name, str) else None
        kind = str(header.get("typ", "")).lower().removeprefix("application/")
        if issuer is None or kind != "at+jwt" or _REFUSED_HEADERS & header.keys():
            raise UnauthenticatedError
        kid = header.get("kid") if isinstance(header.get("kid"), str) else None
        found = issuer.keys.find(kid)
        if found is None or header.get("alg") != found[1]:
            raise UnauthenticatedError
        key, algorithm = found
        try:
            claims: dict[str, Any] = jwt.decode(
                untrusted,
                key,
                algorithms=[algorithm],
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
        for name in ("sub", "jti"):
            if not isinstance(claims[name], str) or not claims[name]:
                raise UnauthenticatedError
        return _Signed(issuer, kid, key, algorithm, MappingProxyType(claims))

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


class _SignedTokens:
    """Tokens whose signature was found to hold, by their digest.

    A signature does not change: who brings the same token again is spared the arithmetic and nothing else. Times, binding,
    application and person are looked at in every request, and the key is asked for again: one that its issuer has withdrawn
    proves nothing."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Signed] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, untrusted: str) -> _Signed | None:
        return self._known.get(_digest(untrusted))

    def keep(self, untrusted: str, signed: _Signed) -> _Signed:
        with self._lock:
            self._known[_digest(untrusted)] = signed
            if len(self._known) > _MAX_SIGNED:
                self._known.popitem(last=False)
        return signed


def _digest(untrusted: str) -> bytes:
    return hashlib.sha256(untrusted.encode(errors="surrogatepass")).digest()


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
