"""A token issuer for demos and tests on this machine; settings refuse it where others can connect."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ragward.domain.errors import ConfigurationError

DEVELOPMENT_ISSUER: Final = "https://dev.ragward.invalid"
_KEY_FILE: Final = "signing-key.pem"
JWKS_FILE: Final = "jwks.json"


class DevelopmentIssuer:
    """Signs access tokens for names it is given."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, kid: str) -> None:
        self._key, self._kid = key, kid

    @classmethod
    def create(cls, directory: Path) -> DevelopmentIssuer:
        """A new key (P-256, mode 0600) and its key set in `directory`."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        descriptor = os.open(directory / _KEY_FILE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        public: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
        kid = str(uuid.uuid4())
        public |= {"kid": kid, "use": "sig", "alg": "ES256"}
        (directory / JWKS_FILE).write_text(json.dumps({"keys": [public]}), encoding="utf-8")
        return cls(key, kid)

    @classmethod
    def open(cls, directory: Path) -> DevelopmentIssuer:
        """The issuer made before. Raises `config.invalid`."""
        try:
            key = serialization.load_pem_private_key((directory / _KEY_FILE).read_bytes(), None)
            kid = json.loads((directory / JWKS_FILE).read_text(encoding="utf-8"))["keys"][0]["kid"]
        except (OSError, ValueError, KeyError):
            raise ConfigurationError("there is no development issuer here") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigurationError("the development issuer's key is of another kind")
        return cls(key, kid)

    def token(
        self,
        subject: str,
        *,
        tenant: str,
        audience: str,
        client_id: str,
        now: int,
        agent: str | None = None,
        lifetime_seconds: int = 3600,
        acr: str | None = None,
        device: str | None = None,
        auth_age_seconds: int | None = None,
        key_thumbprint: str | None = None,
    ) -> str:
        """An access token (RFC 9068) for `subject`, through `client_id`, with `agent` acting for them, who authenticated so
        long ago; bound to the key of that thumbprint (RFC 9449)."""
        claims: dict[str, Any] = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": audience,
            "sub": subject,
            "tenant": tenant,
            "azp": client_id,
            "iat": now,
            "exp": now + lifetime_seconds,
            "jti": str(uuid.uuid4()),
        }
        if agent is not None:
            claims["act"] = {"sub": agent}
        if acr is not None:
            claims["acr"] = acr
        if device is not None:
            claims["device"] = device
        if auth_age_seconds is not None:
            claims["auth_time"] = now - auth_age_seconds
        if key_thumbprint is not None:
            claims["cnf"] = {"jkt": key_thumbprint}
        return jwt.encode(
            claims, self._key, algorithm="ES256", headers={"typ": "at+jwt", "kid": self._kid}
        )
