"""Signing people in at an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9700).

What comes back is believed only where it fits what this browser began: the state in the address, the nonce in the ID token,
the verifier at the token endpoint. The access token is verified again, like anybody's, on every request that is made with it.
"""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import jwt

from ragward.adapters.identity_keys import KeySource
from ragward.domain.errors import StepUpRequiredError, UnauthenticatedError, UnavailableError
from ragward.ports import Clock

_SECONDS: Final = 10
_LARGEST: Final = 65_536
_LEEWAY_SECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who signs people in, and as which client we are known there. Without a secret we are a public client."""

    issuer: str
    keys: KeySource
    client_id: str
    client_secret: str | None
    authorization_endpoint: str
    token_endpoint: str
    scopes: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What a browser's sign-in began with."""

    state: str
    nonce: str
    verifier: str


class OpenIDSignIn:
    """Makes the address to send a browser to, and tokens of the code that comes back."""

    def __init__(
        self,
        provider: Provider,
        redirect_uri: str,
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._provider, self._redirect_uri, self._clock = provider, redirect_uri, clock
        self._transport = transport

    @property
    def issuer(self) -> str:
        """Who signs people in, for them to read."""
        return self._provider.issuer

    def address(self, begun: Begun, wanted: StepUpRequiredError | None) -> str:
        """Where the browser goes; with a challenge, the issuer is asked for that proof (RFC 9470)."""
        challenge = hashlib.sha256(begun.verifier.encode()).digest()
        query: dict[str, str] = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._provider.scopes,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "resource": self._provider.audience,  # RFC 8707
        }
        if wanted is not None and wanted.acr_values:
            query["acr_values"] = " ".join(wanted.acr_values)
        if wanted is not None and wanted.max_age is not None:
            query["max_age"] = str(wanted.max_age)
        joiner = "&" if "?" in self._provider.authorization_endpoint else "?"
        return f"{self._provider.authorization_endpoint}{joiner}{urlencode(query)}"

    def access_token(self, code: str, begun: Begun) -> str:
        """The access token for a code. Raises `auth.invalid`, `unavailable.identity`."""
        answer = self._exchanged(code, begun.verifier)
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise UnauthenticatedError
        claims = self._verified(id_token, begun.nonce)
        if _unverified_subject(access_token) != claims["sub"]:
            raise UnauthenticatedError  # somebody's sign-in with somebody else's token
        return access_token

    def _exchanged(self, code: str, verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._provider.client_id,
            "code_verifier": verifier,
        }
        if self._provider.client_secret is not None:
            form["client_secret"] = self._provider.client_secret
        try:
            with httpx.Client(
                timeout=_SECONDS, follow_redirects=False, trust_env=False, transport=self._transport
            ) as client:
                response = client.post(self._provider.token_endpoint, data=form)
            if response.status_code in (400, 401, 403):
                raise UnauthenticatedError
            if response.status_code != 200 or len(response.content) > _LARGEST:
                raise UnavailableError(code="unavailable.identity")
            answer = response.json()
        except (httpx.HTTPError, ValueError):
            raise UnavailableError(code="unavailable.identity") from None
        if not isinstance(answer, dict):
            raise UnavailableError(code="unavailable.identity")
        return answer

    def _verified(self, id_token: str, nonce: str) -> dict[str, Any]:
        """The ID token's claims (OpenID Connect Core 1.0, 3.1.3.7)."""
        try:
            kid = jwt.get_unverified_header(id_token).get("kid")
            key = self._provider.keys.find(kid if isinstance(kid, str) else None)
            if key is None:
                raise UnauthenticatedError
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key[0],
                algorithms=[key[1]],
                audience=self._provider.client_id,
                issuer=self._provider.issuer,
                options={
                    "require": ["iss", "aud", "exp", "iat", "sub", "nonce"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise UnauthenticatedError from None
        times = [claims["exp"], claims["iat"]]
        if any(type(at) not in (int, float) or not math.isfinite(at) for at in times):
            raise UnauthenticatedError
        now = self._clock.now()
        is_now = claims["exp"] > now - _LEEWAY_SECONDS and claims["iat"] <= now + _LEEWAY_SECONDS
        others = isinstance(claims["aud"], list) and claims.get("azp") != self._provider.client_id
        if claims["nonce"] != nonce or not is_now or (others and len(claims["aud"]) > 1):
            raise UnauthenticatedError
        return claims


def _unverified_subject(token: str) -> object:
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        raise UnauthenticatedError from None
    return claims.get("sub")
