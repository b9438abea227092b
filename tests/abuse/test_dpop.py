"""Tokens that are bound to their sender (RFC 9449, RFC 8705), in the hands of somebody else."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ragward.adapters.dpop import DPoPProofs, Replays, thumbprint_of
from ragward.adapters.identity_jwt import JWTIdentityVerifier, TrustedIssuer
from ragward.adapters.identity_keys import JWKSFile
from ragward.domain.access import Credentials
from ragward.domain.errors import UnauthenticatedError, UnavailableError
from ragward.domain.proof import Connection
from tests.abuse.test_tokens import (
    AUDIENCE,
    ISSUER,
    JWKS,
    KEY_TEXT,
    NOW,
    Applications,
    raw,
    signed,
)
from tests.company import SetClock

HOLDER = ec.generate_private_key(ec.SECP256R1())
THIEF = ec.generate_private_key(ec.SECP256R1())
URL = "https://rag.example/v1/retrieve"
CERTIFICATE = b"a certificate"
X5T = base64.urlsafe_b64encode(hashlib.sha256(CERTIFICATE).digest()).rstrip(b"=").decode()


def public(key):
    maker = {
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    }[
        next(
            kind
            for kind in (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)
            if isinstance(key, kind)
        )
    ]
    found = json.loads(maker.to_jwk(key.public_key()))
    return {name: found[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in found}


JKT = thumbprint_of(public(HOLDER))


def ath(token):
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def proof(token, key=HOLDER, *, headers=None, algorithm="ES256", **changes):
    claims = {
        "htm": "POST",
        "htu": URL,
        "iat": NOW,
        "jti": base64.b64encode(hashlib.sha256(repr(changes).encode()).digest()).decode()[:20],
        "ath": ath(token),
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    head = {"typ": "dpop+jwt", "jwk": public(key)} | (headers or {})
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.api_jws.PyJWS().encode(
        json.dumps(claims).encode(), key, algorithm=algorithm, headers=head
    )


@pytest.fixture
def verifier(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(JWKS))
    issuer = TrustedIssuer(
        issuer=ISSUER, tenants=frozenset({"acme"}), audience=AUDIENCE, keys=JWKSFile(keys)
    )
    return JWTIdentityVerifier([issuer], Applications(), SetClock(NOW))


BOUND = signed(cnf={"jkt": JKT})


def asked(verifier, token, *proofs, by_dpop=(True, False), second=None, request_id="r1", **changes):
    connection = Connection(
        method="POST", url=URL, untrusted_dpop=proofs, by_dpop=by_dpop, request_id=request_id
    )
    return verifier.verify(
        Credentials(
            untrusted_authorization=token,
            untrusted_user_authorization=second,
            connection=dataclasses.replace(connection, **changes),
        )
    )


def refused(verifier, *given, **named):
    with pytest.raises(UnauthenticatedError) as caught:
        asked(verifier, *given, **named)
    assert caught.value.code == "auth.unbound"


def test_the_holder_of_the_key_is_the_subject_and_known_to_be(verifier):
    subject = asked(verifier, BOUND, proof(BOUND))
    assert subject.principal == "user:acme/ann"
    assert subject.proof.sender_bound
    assert not asked(verifier, signed(), by_dpop=(False, False)).proof.sender_bound


@pytest.mark.parametrize("kind", ["ed", "rsa"])
def test_other_families_of_keys_prove_too(verifier, kind):
    key = ed25519.Ed25519PrivateKey.generate()
    if kind == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = signed(cnf={"jkt": thumbprint_of(public(key))})
    algorithm = {"ed": "EdDSA", "rsa": "RS256"}[kind]
    assert asked(verifier, token, proof(token, key, algorithm=algorithm)).proof.sender_bound


def test_a_bound_token_without_its_proof(verifier):
    refused(verifier, BOUND)
    refused(verifier, BOUND, "", "")
    with pytest.raises(UnauthenticatedError, match=r"auth\.unbound"):
        verifier.verify(
            Credentials(untrusted_authorization=BOUND)
        )  # from within, without a request


def test_a_bound_token_as_a_bearer_token_is_a_downgrade(verifier):
    refused(verifier, BOUND, by_dpop=(False, False))
    refused(verifier, BOUND, proof(BOUND), by_dpop=(False, False))
    refused(verifier, signed(), proof(signed()))  # and an unbound one is none under DPoP


def test_a_proof_that_was_seen(verifier):
    one = proof(BOUND)
    assert asked(verifier, BOUND, one, request_id="r1")
    assert asked(verifier, BOUND, one, request_id="r1")  # the same request looks twice
    refused(verifier, BOUND, one, request_id="r2")
    refused(verifier, BOUND, one, request_id="")
    assert asked(verifier, BOUND, proof(BOUND, jti="another"), request_id="r2")


@pytest.mark.parametrize(
    "changes",
    [
        {"htu": "https://evil.example/v1/retrieve"},
        {"htu": "http://rag.example/v1/retrieve"},
        {"htu": "https://rag.example/v1/documents"},
        {"htu": "https://rag.example:444/v1/retrieve"},
        {"htu": "https://rag.example@evil.example/v1/retrieve"},
        {"htu": "https://x@rag.example/v1/retrieve"},
        {"htu": "https://rag.example:x/v1/retrieve"},
        {"htu": None},
        {"htu": [URL]},
        {"htm": "GET"},
        {"htm": "post"},
        {"htm": None},
        {"ath": ath("another token")},
        {"ath": None},
        {"ath": ""},
        {"iat": NOW - 61},
        {"iat": NOW + 11},
        {"iat": float(NOW)},
        {"iat": str(NOW)},
        {"iat": None},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 129},
        {"jti": 7},
    ],
    ids=str,
)
def test_proofs_about_something_else(verifier, changes):
    refused(verifier, BOUND, proof(BOUND, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"htu": URL.upper().replace("/V1/RETRIEVE", "/v1/retrieve")},
        {"htu": f"{URL}?q=1#x"},
        {"htu": URL.replace("example/", "example:443/")},
        {"iat": NOW - 60},
        {"iat": NOW + 10},
    ],
)
def test_what_a_clock_and_a_url_may_differ_by(verifier, changes):
    assert asked(verifier, BOUND, proof(BOUND, **changes))


def test_a_proof_by_another_key(verifier):
    refused(verifier, BOUND, proof(BOUND, THIEF))
    refused(
        verifier, BOUND, proof(BOUND, THIEF, headers={"jwk": public(HOLDER)})
    )  # signed by another than it names


def test_a_proof_brings_its_public_key_and_nothing_else(verifier):
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(HOLDER))
    assert "d" in private
    for headers in (
        {"jwk": private},
        {"jwk": None},
        {"jwk": "key"},
        {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"jwk": public(HOLDER) | {"crv": "P-384"}},
        {"kid": "ec"},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": None},
    ):
        refused(verifier, BOUND, proof(BOUND, headers=headers))


def test_no_algorithm_and_shared_secrets(verifier):
    body = {"htm": "POST", "htu": URL, "iat": NOW, "jti": "1", "ath": ath(BOUND)}
    for algorithm in ("none", "None", "", None, 0):
        head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public(HOLDER)}
        refused(verifier, BOUND, raw(head, body, b"x"))
        refused(verifier, BOUND, raw(head, body))
    pem = HOLDER.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for secret in (pem, json.dumps(public(HOLDER)).encode()):
        head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": public(HOLDER)}
        unsigned = raw(head, body)[:-1]
        mac = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
        refused(
            verifier, BOUND, f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        )


@pytest.mark.parametrize(
    "text", ["", "a", "..", "a.b.c", "e30.e30.e30", "x" * 5000, "é.é.é"], ids=ascii
)
def test_things_that_are_no_proof(verifier, text):
    refused(verifier, BOUND, text)


def test_one_proof_a_request(verifier):
    refused(verifier, BOUND, proof(BOUND), proof(BOUND, jti="two"))


@pytest.mark.parametrize(
    "cnf",
    [
        {},
        [],
        "x",
        None,
        7,
        {"jkt": ""},
        {"jkt": 1},
        {"jwk": {}},
        {"kid": "k"},
        {"jkt": JKT, "jwk": {}},
        {"x5t": X5T},
    ],
    ids=str,
)
def test_confirmations_that_we_do_not_know_are_none(verifier, cnf):
    body = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "azp": "spa",
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "1",
        "cnf": cnf,
    }
    token = signed(body)
    for by_dpop in (True, False):
        refused(verifier, token, proof(token), by_dpop=(by_dpop, False), certificate_sha256=X5T)


def test_a_token_bound_to_a_certificate(verifier):
    token = signed(cnf={"x5t#S256": X5T})
    seen = asked(verifier, token, by_dpop=(False, False), certificate_sha256=X5T)
    assert seen.proof.sender_bound
    for other in ("", X5T[:-1], X5T + "=", "é"):
        refused(verifier, token, by_dpop=(False, False), certificate_sha256=other)
    both = signed(cnf={"x5t#S256": X5T, "jkt": JKT})
    refused(verifier, both, proof(both))
    refused(verifier, both, by_dpop=(False, False), certificate_sha256=X5T)
    assert asked(verifier, both, proof(both), certificate_sha256=X5T)


def test_a_bound_token_of_a_person_beside_an_applications_key(verifier):
    token = signed(azp="portal", cnf={"jkt": JKT})
    assert asked(
        verifier, KEY_TEXT, proof(token), second=token, by_dpop=(False, True)
    ).proof.sender_bound
    refused(verifier, KEY_TEXT, proof(token, jti="2"), second=token, by_dpop=(False, False))
    refused(verifier, KEY_TEXT, second=token, by_dpop=(False, True))
    refused(verifier, KEY_TEXT, proof(KEY_TEXT), by_dpop=(True, False))  # a key is bound to nobody


def test_a_proof_for_the_applications_token_does_not_serve_the_persons(verifier):
    first = signed(sub="portal", azp="portal", cnf={"jkt": JKT})
    second = signed(azp="portal", cnf={"jkt": JKT})
    refused(verifier, first, proof(first), second=second, by_dpop=(True, True))
    assert asked(
        verifier, first, proof(first, jti="2"), second=signed(azp="portal"), by_dpop=(True, False)
    ).proof.sender_bound


def test_a_full_memory_refuses_rather_than_forgets():
    clock = SetClock(NOW)
    replays = Replays(clock, limit=2)
    for name in (b"a", b"b"):
        replays.require_first(name, name.decode())
    with pytest.raises(UnavailableError, match=r"unavailable\.identity"):
        replays.require_first(b"c", "c")
    with pytest.raises(UnauthenticatedError):
        replays.require_first(b"a", "other")
    clock.seconds += 72  # longer than any proof is good for
    replays.require_first(b"c", "c")
    assert len(replays._seen) == 1


def test_a_thumbprint_is_rfc_7638s():
    """The example of its section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W"
        "-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08q"
        "NLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint_of(
        {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    ) == ("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")


def test_a_brokers_verifier_sees_a_proof_more_than_once():
    proofs = DPoPProofs(SetClock(NOW), None)
    connection = Connection(method="POST", url=URL, untrusted_dpop=(proof(BOUND),), request_id="r1")
    for request in ("r1", "r2"):
        proofs.require(dataclasses.replace(connection, request_id=request), BOUND, JKT)
