"""Attacks on the console: sessions, forms, sign-in, what documents call themselves, who may open what."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from ragward.adapters.identity_dev import DEVELOPMENT_ISSUER
from ragward.api.app import create_app
from ragward.api.connection import connection_of
from ragward.api.hosts import allowed_hosts, require_own_name
from ragward.api.problems import status_of
from ragward.console import guard, places
from ragward.console.app import POLICY, create_console
from ragward.console.sessions import IDLE_SECONDS, Sessions
from ragward.console.surroundings import Surroundings
from ragward.domain.corpus import SourceDocument
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.opening import development_token
from tests import company
from tests.e2e.conftest import open_served
from tests.fakes.signin_oidc import FakeProvider

HERE = "https://127.0.0.1"
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}${7*7}"
GROUP = "group:acme/<svg><script>alert(3)"
SESSION, SIGN_IN = guard.SESSION_COOKIE, guard.SIGN_IN_COOKIE
ROWS = (
    PolicyRow("user:acme/officer", "audit:read", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
    PolicyRow("user:acme/officer", "access:explain", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
    *(
        PolicyRow("user:acme/officer", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
        for action in ("key:rotate", "restriction:*", "access:request", "access:approve")
    ),
    PolicyRow("user:acme/lee", "document:relabel", "acme/hr", "PUBLIC..INTERNAL", "*", "allow"),
    PolicyRow("user:acme/steward", "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
)


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    opened, _ = open_served(
        tmp_path_factory.mktemp("console"), development_tenants=("acme", "other")
    )
    with opened:
        steward = company.subject("steward")
        opened.catalog.change_policy(
            "acme",
            add_rows=ROWS,
            add_memberships=[Membership("user:acme/steward", GROUP)],
            author="test",
        )
        label = AccessLabel(
            tenant="acme",
            corpus="hr",
            classification=Classification.INTERNAL,
            granted=frozenset({GROUP, "group:acme/staff"}),
        )
        for name in (NASTY, "quiet"):
            opened.ingestion.ingest(
                steward,
                SourceDocument(
                    source=f"hr/{name}.txt",
                    filename=f"{name}.txt".replace("/", "_"),
                    data=f"{name}\n\nThe text says {NASTY} about leave and salaries.".encode(),
                    label=label,
                    attributes={},
                ),
            )
        yield opened


@pytest.fixture(scope="module")
def app(ragward):
    with TestClient(create_app(ragward)) as started:
        yield started.app


@pytest.fixture
def browser(app):
    return partial(browser_of, app)


def browser_of(app, name=None, tenant="acme", client=("127.0.0.1", 5000)):
    made = TestClient(app, base_url=HERE, client=client, follow_redirects=False)
    if name:
        assert signed_in(made, name, tenant).status_code == 303
    return made


def csrf_of(response):
    return re.search(r'name="csrf" value="([^"]+)"', response.text)[1]


def signed_in(client, name, tenant="acme", next_path="/console/"):
    shown = client.get("/console/sign-in", params={"next": next_path})
    form = {"csrf": csrf_of(shown), "tenant": tenant, "name": name}
    return post(client, "/console/sign-in/development", form)


def post(client, path, form, **headers):
    given = {"origin": HERE, "sec-fetch-site": "same-origin"} | headers
    return client.post(
        path,
        content=urlencode(form, doseq=True),
        headers={"content-type": "application/x-www-form-urlencoded"}
        | {name.replace("_", "-"): value for name, value in given.items() if value is not None},
    )


def routes(app):
    listed = mounted(app).routes
    inner = [route for each in listed for route in included(each)]
    return [
        (f"/console{route.path}", method)
        for route in inner
        for method in sorted(route.methods - {"HEAD"})
    ]


def included(route):
    """A route, or those of an included router."""
    router = getattr(route, "original_router", None)
    return router.routes if router else [route]


OPEN = {
    "/console/sign-in",
    "/console/sign-in/development",
    "/console/sign-in/start",
    "/console/callback",
    "/console/static/{name}",
}


# Sessions. ----------------------------------------------------------------------------------------------------------


def test_without_a_session_every_page_leads_to_the_sign_in_and_no_form_does_anything(app, browser):
    found = routes(app)
    assert len(found) > 15
    for path, method in found:
        if path in OPEN:
            continue
        for cookie in ("", f"{SESSION}=made-up"):
            client = browser()
            answer = client.request(
                method,
                re.sub(r"\{\w+\}", "x", path),
                headers={"cookie": cookie, "origin": HERE}
                | {"content-type": "application/x-www-form-urlencoded"},
            )
            assert answer.status_code == 303, (path, method)
            assert answer.headers["location"].startswith("/console/sign-in?next=")
            assert "set-cookie" not in answer.headers


def test_the_cookie_is_for_this_host_over_tls_and_not_for_scripts(browser):
    client = browser()
    answer = signed_in(client, "steward")
    cookies = answer.headers.get_list("set-cookie")
    session = next(each for each in cookies if each.startswith(SESSION))
    assert SESSION.startswith("__Host-")
    for part in ("secure", "httponly", "samesite=lax", "path=/"):
        assert part in session.lower()
    assert "domain" not in session.lower()
    plain = TestClient(client.app, base_url="http://127.0.0.1", follow_redirects=False)
    plain.cookies.update(client.cookies)
    assert plain.get("/console/").status_code == 303  # a secure cookie does not travel in the clear


def test_an_id_that_was_there_before_the_sign_in_is_never_a_session(browser):
    client = browser()
    client.cookies.set(SESSION, "chosen-by-somebody", domain="127.0.0.1")
    shown = client.get("/console/sign-in")
    answer = post(
        client,
        "/console/sign-in/development",
        {"csrf": csrf_of(shown), "tenant": "acme", "name": "steward"},
    )
    given = re.search(f"{SESSION}=([^;]+)", " ".join(answer.headers.get_list("set-cookie")))[1]
    assert given != "chosen-by-somebody"
    thief = browser()
    assert (
        thief.get("/console/", headers={"cookie": f"{SESSION}=chosen-by-somebody"}).status_code
        == 303
    )
    assert thief.get("/console/", headers={"cookie": f"{SESSION}={given}"}).status_code == 200


def test_a_new_sign_in_ends_the_session_before(browser):
    client = browser("ann")
    before = client.cookies[SESSION]
    assert signed_in(client, "steward").status_code == 303
    assert client.cookies[SESSION] != before
    assert browser().get("/console/", headers={"cookie": f"{SESSION}={before}"}).status_code == 303


def test_after_signing_out_neither_cookie_nor_form_is_worth_anything(browser):
    client = browser("steward")
    kept, csrf = client.cookies[SESSION], csrf_of(client.get("/console/reviews"))
    assert post(client, "/console/sign-out", {"csrf": csrf}).status_code == 303
    replayed = browser()
    replayed.cookies.set(SESSION, kept, domain="127.0.0.1")
    assert replayed.get("/console/reviews").status_code == 303
    answer = post(replayed, "/console/reviews/decide", {"csrf": csrf, "decision": "accept"})
    assert answer.headers["location"].startswith("/console/sign-in")


def test_a_session_ends_when_nobody_uses_it_and_with_its_token(ragward):
    clock = company.SetClock()
    sessions = Sessions(clock)
    idle = sessions.begin("token", clock.now() + 10**6)
    used = sessions.begin("token", clock.now() + 4 * 1700)
    for _ in range(3):
        clock.seconds += 1700
        assert sessions.find(used)
    assert IDLE_SECONDS < 3 * 1700
    assert sessions.find(idle) is None
    clock.seconds += 1700
    assert sessions.find(used) is None


def test_the_token_is_on_no_page_and_in_no_cookie(browser, ragward):
    client = browser("steward")
    pages = [client.get(path).text for path in ("/console/", "/console/reviews", "/console/audit")]
    assert all("eyJ" not in text for text in [*pages, *client.cookies.values()])


def test_a_token_that_verifies_no_more_ends_the_session(browser, ragward):
    client = browser("cai")
    assert client.get("/console/").status_code == 200
    session = session_of(client)
    session.token = development_token(ragward.settings, "cai", tenant="acme", lifetime_seconds=-60)
    assert client.get("/console/").status_code == 303
    assert session_of(client) is None


def session_of(client):
    return mounted(client.app).state.around.sessions.find(client.cookies[SESSION])


def mounted(app):
    return next(each.app for each in app.routes if getattr(each, "path", "") == "/console")


# Forms. -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": None},
        {"origin": "https://127.0.0.1:8443"},
        {"origin": "http://localhost"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
)
def test_a_form_of_another_origin_is_refused_with_a_good_token(browser, headers):
    client = browser("steward")
    csrf = csrf_of(client.get("/console/reviews"))
    answer = post(client, "/console/sign-out", {"csrf": csrf}, **headers)
    assert answer.status_code == 403
    assert "access.origin" in answer.text
    assert client.get("/console/").status_code == 200


def test_a_form_without_this_sessions_token_is_refused(app, browser):
    client, other = browser("steward"), browser("officer")
    foreign = csrf_of(other.get("/console/"))
    before_sign_in = csrf_of(browser().get("/console/sign-in"))
    own = csrf_of(client.get("/console/"))
    bad = ({}, {"csrf": ""}, {"csrf": foreign}, {"csrf": before_sign_in}, {"csrf": [own, own]})
    for path, method in routes(app):
        if method != "POST" or path in OPEN:
            continue
        for form in bad:
            answer = post(client, re.sub(r"\{\w+\}", "x", path), form)
            assert answer.status_code == 403, path
    assert post(
        client, "/console/sign-out", {"csrf": own}, content_type="text/plain"
    ).status_code in (403, 422)
    assert client.get("/console/").status_code == 200


def test_a_page_of_another_name_reaches_nothing(browser):
    client = browser("steward")
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/console/", headers={"host": host}).status_code == 403
        assert client.get("/console/sign-in", headers={"host": host}).status_code == 403


# Sign-in. -----------------------------------------------------------------------------------------------------------


def test_the_development_sign_in_is_for_this_machine_only(app, browser, ragward):
    far = browser(client=("192.0.2.7", 5000))
    assert 'name="tenant"' not in far.get("/console/sign-in").text
    shown = browser()
    csrf = csrf_of(shown.get("/console/sign-in"))
    form = {"csrf": csrf, "tenant": "acme", "name": "steward"}
    far.cookies.update(shown.cookies)
    assert post(far, "/console/sign-in/development", form).status_code == 404
    for header in ("x-forwarded-for", "forwarded", "via"):
        near = browser()
        assert 'name="tenant"' not in near.get("/console/sign-in", headers={header: "x"}).text
        assert post(near, "/console/sign-in/development", form, **{header: "x"}).status_code == 404
    around = mounted(app).state.around
    named = ragward.settings.model_copy(update={"public_url": "https://rag.example"})
    behind = replace(around, ragward=replace(ragward, settings=named))
    assert around.tenants_for_development == ("acme", "other")
    assert behind.tenants_for_development == ()


def test_nobody_is_signed_in_by_a_form_of_another_page(browser):
    """Login CSRF: the form needs what this browser was given."""
    attacker, victim = browser(), browser()
    csrf = csrf_of(attacker.get("/console/sign-in"))
    form = {"csrf": csrf, "tenant": "acme", "name": "steward"}
    assert SESSION not in post(victim, "/console/sign-in/development", form).cookies
    victim.get("/console/sign-in")
    assert post(victim, "/console/sign-in/development", form).status_code == 403
    own = browser()
    good = {"csrf": csrf_of(own.get("/console/sign-in")), "tenant": "acme", "name": "steward"}
    answer = post(own, "/console/sign-in/development", good, origin="https://evil.example")
    assert answer.status_code == 403


def test_a_tenant_that_nobody_speaks_for_is_refused(browser):
    for name, tenant in (
        ("steward", "globex"),
        ("", "acme"),
        ("../root", "acme"),
        ("x" * 201, "acme"),
    ):
        client = browser()
        assert signed_in(client, name, tenant).status_code == 401
        assert SESSION not in client.cookies


@pytest.mark.parametrize(
    "untrusted",
    [
        "https://evil.example/console/",
        "//evil.example/console",
        "/\\evil.example",
        "/console/\\evil.example",
        "/console//evil.example",
        "javascript:alert(1)",
        "/console/../v1/reviews",
        "/console/%2e%2e/v1",
        "/console/x\r\nset-cookie: a=b",
        "/consoles",
        "/v1/openapi.json",
        "console/",
        "/console/@evil.example//x",
        "",
    ],
)
def test_after_signing_in_one_stays_in_the_console(browser, untrusted):
    client = browser()
    assert signed_in(client, "steward", next_path=untrusted).headers["location"] == "/console/"


def test_after_signing_in_one_is_where_one_wanted_to_be(browser):
    wanted = "/console/access?principal=user:acme/ann&document="
    client = browser()
    location = client.get(wanted).headers["location"]
    shown = client.get(location)
    form = {"csrf": csrf_of(shown), "tenant": "acme", "name": "steward"}
    assert post(client, "/console/sign-in/development", form).headers["location"] == wanted


# Sign-in at an issuer. ----------------------------------------------------------------------------------------------


@pytest.fixture
def provider(ragward):
    return FakeProvider(ragward)


@pytest.fixture
def openid(ragward, provider):
    settings = ragward.settings
    outer = FastAPI()
    around = Surroundings(
        ragward=ragward,
        sessions=Sessions(ragward.clock),
        openid=provider.sign_in(),
        connection_of=lambda request: connection_of(request, settings, (False, False)),
        require_own_name=partial(require_own_name, allowed=allowed_hosts(settings)),
        status_of=status_of,
    )
    outer.mount("/console", create_console(around))
    return partial(TestClient, outer, base_url=HERE, follow_redirects=False)


def test_the_code_flow_signs_in_and_asks_for_pkce(openid, provider):
    client = openid()
    answer = client.get("/console/sign-in/start", params={"next": "/console/reviews"})
    code, query = provider.code(answer.headers["location"], "steward")
    assert query["code_challenge_method"] == "S256"
    assert len(query["state"]) >= 43 <= len(query["nonce"])
    back = client.get("/console/callback", params={"code": code, "state": query["state"]})
    assert (back.status_code, back.headers["location"]) == (303, "/console/reviews")
    assert client.get("/console/reviews").status_code == 200
    again = client.get("/console/callback", params={"code": code, "state": query["state"]})
    assert again.status_code == 400  # a sign-in ends once


def begun(client, provider, name="steward"):
    answer = client.get("/console/sign-in/start")
    return provider.code(answer.headers["location"], name)


def refused(client, **params):
    answer = client.get("/console/callback", params=params)
    assert answer.status_code in (400, 401), answer.text
    assert SESSION not in client.cookies
    return answer


def test_a_callback_that_this_browser_did_not_begin_is_refused(openid, provider):
    attacker, victim = openid(), openid()
    code, query = begun(attacker, provider, "officer")
    refused(victim, code=code, state=query["state"])
    begun(victim, provider)
    refused(victim, code=code, state=query["state"])
    begun(victim, provider)
    refused(victim, code=code)
    assert provider.asked == []  # the code was not even shown


def test_a_stolen_code_in_ones_own_sign_in_is_refused(openid, provider):
    """Code injection: PKCE and nonce tie a code to the browser that asked for it (RFC 9700, 4.5)."""
    victim, attacker = openid(), openid()
    stolen, _ = begun(victim, provider, "officer")
    _, query = begun(attacker, provider)
    refused(attacker, code=stolen, state=query["state"])


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": ""},
        {"aud": "somebody-else"},
        {"aud": ["console", "somebody-else"]},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": float("nan")},
        {"iat": 2**40},
        {"sub": "officer"},
    ],
)
def test_an_id_token_that_does_not_fit_signs_nobody_in(openid, provider, claims):
    client = openid()
    code, query = begun(client, provider)
    provider.spoil = claims
    refused(client, code=code, state=query["state"])


def test_somebody_elses_access_token_beside_the_id_token_is_refused(openid, provider):
    client = openid()
    code, query = begun(client, provider)
    provider.access_of = "root"
    refused(client, code=code, state=query["state"])


def test_another_issuers_answer_is_refused(openid, provider):
    client = openid()
    code, query = begun(client, provider)
    refused(client, code=code, state=query["state"], iss="https://evil.example")
    code, query = begun(client, provider)
    params = {"code": code, "state": query["state"], "iss": DEVELOPMENT_ISSUER}
    assert client.get("/console/callback", params=params).status_code == 303


# What documents say. ------------------------------------------------------------------------------------------------


def test_markup_in_titles_text_names_and_reasons_stays_text(browser, ragward):
    client = browser("steward")
    record = next(
        each
        for each in ragward.stewardship.documents(company.subject("steward"), limit=1000)[0]
        if "script" in each.source
    )
    csrf = csrf_of(client.get("/console/"))
    asked = {"csrf": csrf, "classification": "PUBLIC", "reason": f"because {NASTY}"}
    here = f"/console/documents/{record.document_id}"
    assert post(client, f"{here}/downgrade", asked).status_code == 303
    chunk = ragward.stewardship.chunks(company.subject("steward"), record.document_id)[0].chunk_id
    lines = f"+ g, user:acme/new, {GROUP}\n- g, user:acme/steward, {GROUP}"
    shown = {
        "document": client.get(here),
        "documents": client.get("/console/documents?corpus=hr"),
        "text": client.get(f"{here}/text"),
        "chunk": client.get(f"/console/chunks/{chunk}"),
        "reviews": client.get("/console/reviews"),
        "readers": client.get("/console/access", params={"document": record.document_id}),
        "why": client.get(
            "/console/access", params={"document": record.document_id, "principal": "user:acme/ben"}
        ),
        "asked": client.get("/console/access", params={"principal": f"user:acme/{NASTY}"}),
        "echoed": client.get("/console/access", params={"document": NASTY}),
        "policy": post(client, "/console/access/policy", {"csrf": csrf, "lines": lines}),
        "wrong": post(client, "/console/access/policy", {"csrf": csrf, "lines": f"+ p, {NASTY}"}),
        "audit": client.get("/console/audit", params={"who": NASTY, "about": NASTY}),
        "log": client.get("/console/audit?type=review.requested"),
        "filter": client.get("/console/reviews", params={"corpus": NASTY}),
        "sign in": browser().get("/console/sign-in", params={"next": NASTY}),
        "absent": client.get("/console/documents/" + "%3Cscript%3E"),
    }
    event = re.search(r"/console/audit/entries/[^\"]+", shown["log"].text)[0]
    shown["event"] = client.get(event)
    for name, page in shown.items():
        assert page.status_code in (200, 404), (name, page.text)
        text = page.text
        for raw in ("<script>alert", "<img src=x", "<svg>"):
            assert raw not in text, name
        assert not re.search(r"\son\w+\s*=", re.sub(r"&\w+;|&#\d+;", "", tags_of(text))), name
        assert len(re.findall(r"<script\b", text)) == 1, name  # our own
        assert "style=" not in tags_of(text), name
    for name in ("document", "text", "reviews", "event"):
        assert (
            "&lt;script&gt;alert(1)" in shown[name].text or "\\u003cscript" in shown[name].text
        ), name
    assert "&lt;svg&gt;&lt;script&gt;alert(3)" in shown["document"].text
    assert "&lt;svg&gt;&lt;script&gt;alert(3)" in shown["policy"].text


def tags_of(text):
    """The insides of tags, without what attributes hold in quotes."""
    return " ".join(re.sub(r'"[^"]*"', '""', tag) for tag in re.findall(r"<[^>]*>", text))


def test_a_title_does_not_turn_the_line_around(ragward):
    from ragward.console.rendering import environment

    render = environment().from_string("{{ title | line }}").render
    assert render(title="in\u202enocent\u2066.pdf\n\x00<b>") == "in nocent .pdf &lt;b&gt;"


# Headers. -----------------------------------------------------------------------------------------------------------


def test_every_answer_is_framed_by_nobody_kept_by_nobody_and_runs_nothing_else(browser):
    client = browser("steward")
    paths = ("/console/", "/console/reviews", "/console/nothing", "/console/static/console.js")
    answers = [client.get(path) for path in paths]
    answers += [browser().get("/console/"), browser().get("/console/sign-in")]
    answers.append(post(client, "/console/sign-out", {"csrf": "no"}))
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == POLICY
        assert "unsafe" not in POLICY
        assert "frame-ancestors 'none'" in POLICY
        assert POLICY.startswith("default-src 'none'")
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


# Who may open what. -------------------------------------------------------------------------------------------------

PAGES = {place.path for place in places.PLACES}
MAY = {
    "steward": PAGES - {places.ANOMALIES.path, places.GRANTS.path},
    "officer": PAGES - {place.path for place in (places.REVIEWS, places.DOCUMENTS, places.JOBS)},
    "lee": {places.REVIEWS.path, places.DOCUMENTS.path},
    "ann": set(),
    "stranger": set(),
}


@pytest.mark.parametrize("name", MAY)
def test_each_page_is_for_whom_the_policy_says_and_named_to_nobody_else(browser, name):
    client = browser(name)
    absent = client.get("/console/nothing").text
    for path in sorted(PAGES):
        answer = client.get(path)
        assert answer.status_code == (200 if path in MAY[name] else 404), path
        if path not in MAY[name]:
            assert answer.text == absent  # denied is not found, to the letter
    home = client.get("/console/").text
    assert {path for path in PAGES if f'href="{path}"' in home} == MAY[name]


@pytest.mark.parametrize("name", ["ann", "officer", "stranger"])
def test_what_is_behind_a_page_is_behind_its_permission(browser, ragward, name):
    client = browser(name)
    record = ragward.stewardship.documents(company.subject("steward"), limit=1)[0][0]
    csrf = csrf_of(client.get("/console/"))
    for path in (
        f"/console/documents/{record.document_id}",
        f"/console/documents/{record.document_id}/text",
        "/console/chunks/x",
    ):
        assert client.get(path).status_code == 404
    form = {"csrf": csrf, "decision": "accept", "reason": "because I say so", "review": "x"}
    assert post(client, "/console/reviews/decide", form).status_code == 404
    if name != "officer":
        for path in ("/console/audit/export", "/console/audit/entries/x"):
            assert client.get(path).status_code == 404
        assert post(client, "/console/audit/verify", {"csrf": csrf}).status_code == 404
        assert (
            post(client, "/console/access/policy", {"csrf": csrf, "lines": "+"}).status_code == 404
        )


def test_another_tenants_ids_are_nobodys(browser, ragward):
    record = ragward.stewardship.documents(company.subject("steward"), limit=1)[0][0]
    signed = browser()
    answer = signed_in(signed, "steward", tenant="other")
    assert answer.status_code in (303, 401)
    if answer.status_code == 303:
        assert signed.get(f"/console/documents/{record.document_id}").status_code == 404


def test_a_steward_of_one_corpus_sees_that_of_the_queue_and_of_the_documents(browser, ragward):
    client = browser("lee")
    listed = client.get("/console/documents").text
    assert "hr/" in listed
    ours = {
        each.document_id: each
        for each in ragward.stewardship.documents(company.subject("steward"), limit=1000)[0]
    }
    for document_id in re.findall(r"/console/documents/([0-9a-f-]{36})", listed):
        assert ours[document_id].corpus == "hr"
        assert ours[document_id].label.classification <= Classification.INTERNAL
    other = next(each for each in ours.values() if each.corpus == "eng")
    assert client.get(f"/console/documents/{other.document_id}").status_code == 404


def test_too_old_a_sign_in_is_asked_for_again(browser, ragward):
    client = browser("officer")
    session = session_of(client)
    session.token = development_token(
        ragward.settings, "officer", tenant="acme", auth_age_seconds=7200
    )
    answer = client.get("/console/audit")
    assert answer.status_code == 401
    assert "more recent" in answer.text
    assert "/console/sign-in?next=%2Fconsole%2Faudit" in answer.text
    assert session.wanted.max_age == 3600
    assert 'href="/console/audit"' in client.get("/console/").text  # it is named: they could
    csrf = csrf_of(client.get("/console/"))
    assert post(client, "/console/audit/verify", {"csrf": csrf}).status_code == 401
    assert signed_in(client, "officer", next_path="/console/audit").status_code == 303
    assert client.get("/console/audit").status_code == 200


def test_the_issuer_is_asked_for_the_proof_that_was_missing(openid, provider, ragward):
    client = openid()
    code, query = begun(client, provider, "officer")
    client.get("/console/callback", params={"code": code, "state": query["state"]})
    session = session_of(client)
    session.token = development_token(
        ragward.settings, "officer", tenant="acme", acr="pwd", auth_age_seconds=7200
    )
    assert "/console/sign-in/start?next=" in client.get("/console/audit").text
    _, query = begun(client, provider, "officer")
    assert query["max_age"] == "3600"
    assert "phr" in query["acr_values"]
