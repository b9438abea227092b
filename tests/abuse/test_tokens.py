"""Every way of getting a token past the verifier that we know of, and that each is refused with one code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ragward.adapters.identity_jwt import JWTIdentityVerifier, TrustedIssuer
from ragward.adapters.identity_keys import JWKSURL, JWKSFile, new_api_key, parse_jwks
from ragward.domain.access import Application, Credentials
from ragward.domain.errors import ConfigurationError, UnauthenticatedError, UnavailableError
from ragward.domain.identities import ApplicationKey
from ragward.domain.labels import Classification
from tests.company import SetClock

ISSUER, OTHER_ISSUER, AUDIENCE = (
    "https://id.example",
    "https://other.example",
    "https://api.example",
)
NOW = 1_800_000_000
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = ec.generate_private_key(ec.SECP256R1())
ALGORITHMS = {"ec": ("ES256", EC_KEY), "ed": ("EdDSA", ED_KEY), "rsa": ("RS256", RSA_KEY)}


def jwk(kid, key, algorithm):
    maker = {
        "ES256": jwt.algorithms.ECAlgorithm,
        "EdDSA": jwt.algorithms.OKPAlgorithm,
        "RS256": jwt.algorithms.RSAAlgorithm,
    }[algorithm]
    return json.loads(maker.to_jwk(key.public_key())) | {"kid": kid, "use": "sig", "alg": algorithm}


JWKS = {"keys": [jwk(kid, key, algorithm) for kid, (algorithm, key) in ALGORITHMS.items()]}


def application(client_id, *, public=False, expires_at=None, tenant="acme"):
    return Application(
        principal=f"app:{tenant}/{client_id}",
        tenant=tenant,
        client_id=client_id,
        corpora=frozenset({"*"}),
        ceiling=Classification.RESTRICTED,
        public_client=public,
        expires_at=expires_at,
    )


KEY_TEXT, KEY_PREFIX, KEY_DIGEST = new_api_key()


class Applications:
    """The part of the catalog that the verifier asks."""

    def __init__(self):
        self.by_client = {
            ("acme", "portal"): application("portal"),
            ("acme", "spa"): application("spa", public=True),
            ("acme", "old"): application("old", public=True, expires_at=NOW),
            ("other", "spa"): application("spa", public=True, tenant="other"),
        }

    def find_application(self, tenant, client_id):
        return self.by_client.get((tenant, client_id))

    def find_application_by_key(self, prefix):
        if prefix != KEY_PREFIX:
            return None
        return ApplicationKey(sha256=KEY_DIGEST, application=self.by_client["acme", "portal"])

    def is_disabled(self, tenant, principal):
        return (tenant, principal) == ("acme", "user:acme/gone")


@pytest.fixture
def verifier(tmp_path):
    own, foreign = tmp_path / "own.json", tmp_path / "foreign.json"
    own.write_text(json.dumps(JWKS))
    foreign.write_text(json.dumps({"keys": [jwk("f", STRANGER, "ES256")]}))
    issuers = [
        TrustedIssuer(
            issuer=ISSUER, tenants=frozenset({"acme"}), audience=AUDIENCE, keys=JWKSFile(own)
        ),
        TrustedIssuer(
            issuer=OTHER_ISSUER,
            tenants=frozenset({"other"}),
            audience=AUDIENCE,
            keys=JWKSFile(foreign),
        ),
    ]
    return JWTIdentityVerifier(
        issuers,
        Applications(),
        SetClock(NOW),
        allowed_pairs=frozenset({("portal", "mobile")}),
    )


def claims(**changes):
    body = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "azp": "spa",
        "iat": NOW - 10,
        "exp": NOW + 600,
        "jti": "1",
    } | changes
    return {name: value for name, value in body.items() if value is not None}


def signed(body=None, *, kid="ec", headers=None, **changes):
    algorithm, key = ALGORITHMS[kid]
    head = {"typ": "at+jwt", "kid": kid} | (headers or {})
    head = {name: value for name, value in head.items() if value is not None}
    payload = json.dumps(body or claims(**changes)).encode()  # whatever it is: we play the issuer
    return jwt.api_jws.PyJWS().encode(payload, key, algorithm=algorithm, headers=head)


def raw(header, body, signature=b""):
    pieces = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in pieces)


def verified(verifier, first, second=None):
    return verifier.verify(
        Credentials(untrusted_authorization=first, untrusted_user_authorization=second)
    )


def refused(verifier, first, second=None, code="auth.invalid"):
    with pytest.raises(UnauthenticatedError) as caught:
        verified(verifier, first, second)
    assert caught.value.code == code


@pytest.mark.parametrize("kid", ALGORITHMS)
def test_a_good_token_of_each_family_is_the_person(verifier, kid):
    subject = verified(verifier, signed(kid=kid, acr="mfa", auth_time=NOW - 5, purpose="audit"))
    assert subject.principal == "user:acme/ann"
    assert subject.application.client_id == "spa"
    assert (subject.acr, subject.auth_time, subject.purpose) == ("mfa", NOW - 5, "audit")
    assert subject.not_after == NOW + 600


def test_a_person_the_directory_has_deactivated_is_refused_whoever_brings_the_token(verifier):
    code = "auth.subject_disabled"
    refused(verifier, signed(sub="gone"), code=code)
    refused(verifier, signed(sub="gone", act={"sub": "bot"}), code=code)
    refused(verifier, KEY_TEXT, signed(sub="gone", azp="portal"), code=code)
    assert verified(verifier, signed(sub="gone2")).principal == "user:acme/gone2"
    # who cannot prove to be that person does not learn it
    refused(verifier, signed(sub="gone")[:-4] + "AAAA")
    refused(verifier, signed(sub="gone", exp=NOW - 60), code="auth.expired")


def test_no_signature_no_algorithm(verifier):
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, 0, ["ES256"]):
        refused(verifier, raw({"typ": "at+jwt", "alg": algorithm, "kid": "ec"}, claims(), b"x"))
    pieces = signed().split(".")
    refused(verifier, ".".join(pieces[:2]) + ".")
    refused(verifier, ".".join(pieces[:2]))


def test_a_public_key_is_no_shared_secret(verifier):
    """HS256 over the RSA or EC public key, in every form somebody may have published it."""
    for key in (RSA_KEY, EC_KEY):
        public = key.public_key()
        secrets = [
            public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
            for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
        ]
        for secret in [*secrets, json.dumps(JWKS).encode()]:
            for kid in ("rsa", "ec"):
                unsigned = raw({"typ": "at+jwt", "alg": "HS256", "kid": kid}, claims())[:-1]
                mac = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
                tag = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
                refused(verifier, f"{unsigned}.{tag}")


def test_a_token_cannot_choose_the_family_of_a_key(verifier):
    for kid, (algorithm, key) in ALGORITHMS.items():
        for other in set(ALGORITHMS) - {kid}:
            token = jwt.encode(
                claims(), key, algorithm=algorithm, headers={"typ": "at+jwt", "kid": other}
            )
            refused(verifier, token)
    for algorithm in ("RS384", "RS512", "PS256"):
        token = jwt.encode(
            claims(), RSA_KEY, algorithm=algorithm, headers={"typ": "at+jwt", "kid": "rsa"}
        )
        refused(verifier, token)


@pytest.mark.parametrize("field", ["jku", "jwk", "x5u", "x5c", "crit", "b64"])
def test_a_token_brings_no_key_of_its_own(verifier, field):
    own = jwk("evil", STRANGER, "ES256")
    value = {
        "jwk": own,
        "x5c": ["MII="],
        "crit": ["exp"],
        "b64": True,
    }.get(field, "https://evil.example/jwks.json")
    head = {"typ": "at+jwt", "alg": "ES256", "kid": "ec", field: value}
    body = raw(head, claims()).rstrip(".")
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(
        body.encode(), EC_KEY
    )  # even with the right key behind it
    refused(verifier, f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@pytest.mark.parametrize("kid", ["unknown", "", "../../etc/passwd", "' OR 1=1 --", None])
def test_unknown_key_ids(verifier, kid):
    refused(verifier, signed(headers={"kid": kid}))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "id_token", "", "at+jwt+x", None])
def test_other_kinds_of_token(verifier, kind):
    """An ID token has the same issuer and key, and is not an access token (RFC 9068)."""
    refused(verifier, signed(headers={"typ": kind}))


def test_the_registered_media_type_is_the_same_kind(verifier):
    assert verified(verifier, signed(headers={"typ": "application/at+jwt"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": OTHER_ISSUER},
        {"iss": ISSUER + "/"},
        {"iss": ISSUER.upper()},
        {"iss": [ISSUER]},
        {"iss": None},
        {"aud": "https://else.example"},
        {"aud": AUDIENCE + "/"},
        {"aud": [AUDIENCE, "https://else.example"]},
        {"aud": [AUDIENCE]},
        {"aud": None},
        {"exp": None},
        {"exp": "2100-01-01"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"iat": None},
        {"iat": NOW + 60},
        {"nbf": NOW + 60},
        {"nbf": "soon"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["ann"]},
        {"jti": None},
        {"jti": ""},
        {"azp": None},
        {"azp": "nobody"},
        {"azp": ["spa"]},
        {"azp": "portal"},
        {"azp": "old"},
    ],
    ids=str,
)
def test_wrong_claims(verifier, changes):
    refused(verifier, signed(**changes))


def test_expiry_has_a_code_of_its_own(verifier):
    for changes in ({"exp": NOW - 11}, {"iat": NOW - 43_201, "exp": NOW + 600}):
        refused(verifier, signed(**changes), code="auth.expired")
    assert verified(verifier, signed(exp=NOW - 9))  # clocks differ by a few seconds


@pytest.mark.parametrize(
    "name",
    [
        "ann,user:acme/root",
        "ann root",
        "ann\n",
        "a/b",
        "ann\u200b",
        "\uff41nn",
        "a" * 300,
        "ann\u202e",
    ],
)
def test_a_signed_name_that_is_no_principal(verifier, name):
    refused(verifier, signed(sub=name))


def test_a_signature_of_somebody_else(verifier):
    stolen = signed().split(".")
    other = signed(sub="root").split(".")
    refused(verifier, ".".join([other[0], other[1], stolen[2]]))
    refused(
        verifier,
        jwt.encode(claims(), STRANGER, algorithm="ES256", headers={"typ": "at+jwt", "kid": "ec"}),
    )


def test_an_issuer_speaks_for_its_own_tenant_only(verifier):
    token = jwt.encode(
        claims(iss=OTHER_ISSUER, tenant="acme"),
        STRANGER,
        algorithm="ES256",
        headers={"typ": "at+jwt", "kid": "f"},
    )
    assert verified(verifier, token).tenant == "other"


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "..",
        "a.b.c",
        "e30.e30.e30",
        "." * 8000,
        "x" * 9000,
        "\ud800.a.b",
        "W10.W10.AA",
        "rgw_",
        "rgw_x_y",
        "é.é.é",
    ],
    ids=lambda t: ascii(t[:12]),
)
def test_things_that_are_no_token(verifier, text):
    refused(verifier, text)


def test_a_general_json_serialisation_is_no_token(verifier):
    head, body, signature = signed().split(".")
    general = {"payload": body, "signatures": [{"protected": head, "signature": signature}]}
    refused(verifier, json.dumps(general))


def test_nothing_at_all(verifier):
    for nothing in (None, ""):
        refused(verifier, nothing, code="auth.missing")
    refused(verifier, None, signed(), code="auth.missing")


def test_agents_come_from_the_act_chain(verifier):
    chain = {"sub": "planner", "act": {"sub": "scribe"}}
    assert verified(verifier, signed(act=chain)).agents == (
        "agent:acme/planner",
        "agent:acme/scribe",
    )
    deep = {"sub": "d", "act": {"sub": "c", "act": {"sub": "b", "act": {"sub": "a"}}}}
    for wrong in (deep, {"sub": 1}, {}, "bot", [], {"sub": "a b"}, {"sub": "x", "act": "y"}, False):
        refused(verifier, signed(act=wrong))


def test_claims_give_no_membership(verifier):
    subject = verified(verifier, signed(groups=["group:acme/hr"], roles=["admin"], scope="*"))
    assert subject == verified(verifier, signed())


# Applications. ------------------------------------------------------------------------------------------------------


def test_an_api_key_alone_is_the_application(verifier):
    subject = verified(verifier, KEY_TEXT)
    assert subject.is_application_alone
    assert subject.principal == "app:acme/portal"


def test_an_api_key_with_a_persons_token(verifier):
    assert verified(verifier, KEY_TEXT, signed(azp="portal")).principal == "user:acme/ann"
    assert verified(verifier, KEY_TEXT, signed(azp="mobile")).principal == "user:acme/ann"
    refused(verifier, KEY_TEXT, signed(azp="spa"), code="auth.application_mismatch")
    refused(verifier, KEY_TEXT, "not a token")
    foreign = jwt.encode(
        claims(iss=OTHER_ISSUER, azp="portal"),
        STRANGER,
        algorithm="ES256",
        headers={"typ": "at+jwt", "kid": "f"},
    )
    refused(verifier, KEY_TEXT, foreign)


def test_wrong_api_keys(verifier):
    for text in (KEY_TEXT[:-1], KEY_TEXT + "a", KEY_TEXT.upper(), f"rgw_{KEY_PREFIX}_", "rgw_a_b"):
        refused(verifier, text)
    assert len({new_api_key()[0] for _ in range(100)}) == 100
    assert KEY_TEXT.encode() not in KEY_DIGEST


def test_a_confidential_clients_user_token_alone_is_not_enough(verifier):
    refused(verifier, signed(azp="portal"))


def test_a_public_client_takes_no_second_token(verifier):
    refused(verifier, signed(), signed(sub="root"))


def test_an_applications_own_token(verifier):
    assert verified(verifier, signed(sub="portal", azp="portal")).is_application_alone
    subject = verified(verifier, signed(sub="portal", azp="portal"), signed(azp="portal"))
    assert subject.principal == "user:acme/ann"


# Keys. --------------------------------------------------------------------------------------------------------------


def test_symmetric_weak_and_foreign_keys_are_left_out():
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    items = [
        {"kty": "oct", "kid": "o", "k": "c2VjcmV0", "alg": "HS256"},
        jwk("weak", weak, "RS256"),
        jwk("enc", EC_KEY, "ES256") | {"use": "enc"},
        jwk("lie", RSA_KEY, "RS256") | {"alg": "HS256"},
        jwk("good", EC_KEY, "ES256"),
    ]
    found = parse_jwks(json.dumps({"keys": items}).encode())
    assert list(found) == ["good"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b"\xff"])
def test_a_broken_key_file_is_unavailable(tmp_path, content):
    path = tmp_path / "jwks.json"
    path.write_bytes(content)
    with pytest.raises(UnavailableError) as caught:
        JWKSFile(path).find("ec")
    assert caught.value.code == "unavailable.identity"


def test_a_malformed_key_is_left_out_and_the_rest_hold():
    good = jwk("good", EC_KEY, "ES256")
    items = [good | {"kid": "bad", "x": "!!"}, good | {"kid": ["a"]}, good | {"kty": []}, good]
    assert list(parse_jwks(json.dumps({"keys": items}).encode())) == ["good"]


class _KeyServer(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked += 1
        self.send_response(server.status)
        if server.status == 302:
            self.send_header("Location", server.elsewhere)
        self.end_headers()
        self.wfile.write(server.content)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def key_server():
    server = HTTPServer(("127.0.0.1", 0), _KeyServer)
    server.asked, server.status, server.content = 0, 200, json.dumps(JWKS).encode()
    server.elsewhere = "/elsewhere"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def url_of(server):
    return f"http://127.0.0.1:{server.server_port}/jwks.json"


def test_keys_by_url_are_cached_and_survive_an_outage_for_an_hour(key_server):
    clock = SetClock(NOW)
    keys = JWKSURL(url_of(key_server), clock)
    for _ in range(5):
        assert keys.find("ec") is not None
    assert key_server.asked == 1
    for _ in range(5):
        assert keys.find("unknown") is None
    assert key_server.asked == 1  # an unknown id is not a way to make us fetch
    clock.seconds += 31
    assert keys.find("unknown") is None
    assert key_server.asked == 2
    key_server.status = 500
    clock.seconds += 3000
    assert keys.find("ec") is not None
    clock.seconds += 3700
    with pytest.raises(UnavailableError):
        keys.find("ec")
    key_server.status = 200
    clock.seconds += 10
    assert keys.find("ec") is not None


@pytest.mark.parametrize(
    ("status", "content"),
    [(302, b""), (200, b"{}"), (200, b"x" * 300_000), (404, b"")],
    ids=["redirect", "not a key set", "endless", "missing"],
)
def test_a_key_url_that_answers_something_else(key_server, status, content):
    key_server.status, key_server.content = status, content
    with pytest.raises(UnavailableError):
        JWKSURL(url_of(key_server), SetClock(NOW)).find("ec")
    assert key_server.asked == 1


@pytest.mark.parametrize(
    "url", ["http://id.example/jwks", "ftp://x/y", "file:///etc/passwd", "jwks"]
)
def test_key_urls_are_https(url):
    with pytest.raises(ConfigurationError):
        JWKSURL(url, SetClock(NOW))


def test_a_key_that_was_rotated_out_of_the_set_verifies_nothing(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(JWKS))
    issuer = TrustedIssuer(
        issuer=ISSUER, tenants=frozenset({"acme"}), audience=AUDIENCE, keys=JWKSFile(path)
    )
    rotating = JWTIdentityVerifier([issuer], Applications(), SetClock(NOW))
    token = signed(kid="ec")
    assert verified(rotating, token)
    path.write_text(
        json.dumps({"keys": [jwk("ed", ED_KEY, "EdDSA"), jwk("ec", STRANGER, "ES256")]})
    )
    os.utime(path, ns=(1, 1))  # whatever the clock of the file system resolves
    refused(rotating, token)  # its key id is another key's now
    assert verified(rotating, signed(kid="ed"))


# Tokens whose signature was verified before. ------------------------------------------------------------------------


def later(verifier, tmp_path, token):
    verifier._clock.seconds = NOW + 700


def withdrawn(verifier, tmp_path, token):
    replaced(tmp_path, [key for key in JWKS["keys"] if key["kid"] != "ec"])


def under_the_same_name(verifier, tmp_path, token):
    replaced(tmp_path, [jwk("ec", STRANGER, "ES256")])


def deactivated(verifier, tmp_path, token):
    verifier._catalog.is_disabled = lambda *_: True


def application_gone(verifier, tmp_path, token):
    verifier._catalog.by_client.clear()


def replaced(tmp_path, keys):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"keys": keys}))
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    "change", [later, withdrawn, under_the_same_name, deactivated, application_gone]
)
def test_a_token_that_was_good_before_is_refused_as_soon_as_it_is_not(verifier, tmp_path, change):
    token = signed()
    for _ in range(2):
        assert verified(verifier, token).principal == "user:acme/ann"
    assert len(verifier._signed._known) == 1
    change(verifier, tmp_path, token)
    with pytest.raises(UnauthenticatedError):
        verified(verifier, token)


def test_nothing_is_believed_for_being_like_a_token_that_was_good(verifier):
    token = signed()
    verified(verifier, token)
    head, body, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(sub="bob")).encode()).rstrip(b"=").decode()
    none = (
        base64.urlsafe_b64encode(b'{"typ":"at+jwt","kid":"ec","alg":"none"}').rstrip(b"=").decode()
    )
    for wrong in (
        f"{head}.{other}.{signature}",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.{signature}?",
        f"{head}.{body}.{signature}\udcff",
    ):
        with pytest.raises(UnauthenticatedError):
            verified(verifier, wrong)
    assert len(verifier._signed._known) == 1


def test_what_is_remembered_of_tokens_is_bounded_and_is_not_the_token(verifier, monkeypatch):
    monkeypatch.setattr("ragward.adapters.identity_jwt._MAX_SIGNED", 3)
    tokens = [signed(jti=str(n)) for n in range(9)]
    for token in tokens:
        verified(verifier, token)
    assert len(verifier._signed._known) == 3
    assert not any(token in repr(vars(verifier._signed)) for token in tokens)
    assert verified(verifier, tokens[0]).principal == "user:acme/ann"
