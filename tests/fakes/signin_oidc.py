"""An OpenID provider: hands out codes, checks PKCE, signs ID tokens with the development issuer's key."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives import serialization

from ragward.adapters.identity_dev import DEVELOPMENT_ISSUER, JWKS_FILE
from ragward.adapters.identity_keys import JWKSFile
from ragward.adapters.signin_oidc import OpenIDSignIn, Provider
from ragward.opening import development_token

CLIENT = "console"


class FakeProvider:
    """`code(address, name)` is what it sends the browser back with; `spoil` changes the ID token's claims."""

    def __init__(self, ragward):
        self.settings, self.clock = ragward.settings, ragward.clock
        self.folder = ragward.settings.development_issuer
        development_token(self.settings, "nobody", tenant="acme")  # makes the key
        self.pending = {}
        self.spoil = {}
        self.access_of = None
        self.asked = []

    def sign_in(self):
        """Our side of it."""
        provider = Provider(
            issuer=DEVELOPMENT_ISSUER,
            keys=JWKSFile(self.folder / JWKS_FILE),
            client_id=CLIENT,
            client_secret=None,
            authorization_endpoint="https://idp.example/authorize",
            token_endpoint="https://idp.example/token",
            scopes="openid",
            audience=self.settings.audience,
        )
        return OpenIDSignIn(
            provider,
            "https://127.0.0.1/console/callback",
            self.clock,
            transport=httpx.MockTransport(self._token),
        )

    def code(self, address, name):
        """As if `name` had signed in at the address that a browser was sent to."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        code = secrets.token_urlsafe(8)
        self.pending[code] = (query, name)
        return code, query

    def _token(self, request):
        form = dict(parse_qsl(request.content.decode()))
        self.asked.append(form)
        query, name = self.pending.pop(form["code"], (None, None))
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if query is None or query["code_challenge"] != challenge:
            return httpx.Response(400, json={"error": "invalid_grant"})
        claims = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": CLIENT,
            "sub": name,
            "iat": self.clock.now(),
            "exp": self.clock.now() + 300,
            "nonce": query["nonce"],
        }
        key = serialization.load_pem_private_key(
            (self.folder / "signing-key.pem").read_bytes(), None
        )
        kid = json.loads((self.folder / JWKS_FILE).read_text())["keys"][0]["kid"]
        id_token = jwt.encode(claims | self.spoil, key, algorithm="ES256", headers={"kid": kid})
        access = development_token(self.settings, self.access_of or name, tenant="acme")
        return httpx.Response(200, json={"id_token": id_token, "access_token": access})
