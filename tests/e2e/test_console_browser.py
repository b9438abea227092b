"""The console in a real browser: each page's task done by keyboard and mouse, no accessibility violation, none of the policy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests import company

CHROMIUM = shutil.which("chromium")
PICTURES = os.environ.get("RAGWARD_PICTURES")  # a directory: pictures of each page are left there

playwright_api = pytest.importorskip("playwright.sync_api")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page on which nothing may go wrong unseen."""

    def __init__(self, context, url):
        self.page, self.url, self.problems = context.new_page(), url, []
        self.page.on("console", lambda message: self._said(message))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("requestfailed", lambda request: self.problems.append(request.url))
        self.page.on("request", self._asked)

    def _said(self, message):
        if "Content Security Policy" in message.text or message.type == "error":
            self.problems.append(message.text)

    def _asked(self, request):
        if not request.url.startswith(self.url):
            self.problems.append(f"asked {request.url}")

    def sign_in(self, name):
        self.page.goto(f"{self.url}/console/")
        self.page.get_by_label("Name").fill(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}/console/")

    def check(self, name):
        """No violation of WCAG that axe finds, nothing wider than the window, a picture."""
        found = axe_api.Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()
        wide = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, name
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.fixture
def opened(chromium, served):
    made = []

    def open_page(name=None, **settings):
        context = chromium.new_context(**settings)
        made.append(Watched(context, served.url))
        if name:
            made[-1].sign_in(name)
        return made[-1]

    yield open_page
    for watched in made:
        assert watched.problems == []
        watched.page.context.close()


def first_document(served):
    return served.ragward.stewardship.documents(company.subject("steward"), limit=1)[0][0]


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_every_page_is_readable_and_breaks_no_rule(opened, served, look):
    settings = {"color_scheme": "dark" if look == "dark" else "light"}
    if look == "narrow":
        settings["viewport"] = {"width": 360, "height": 740}
    signing = opened(**settings)
    signing.page.goto(f"{served.url}/console/")
    signing.check(f"{look}-sign-in")
    watched = opened("steward", **settings)
    document = first_document(served).document_id
    for name, path in {
        "home": "",
        "reviews": "reviews",
        "documents": "documents",
        "document": f"documents/{document}",
        "text": f"documents/{document}/text",
        "access": "access",
        "access-who": "access?principal=user:acme/ann",
        "access-why": f"access?principal=user:acme/ben&document={document}",
        "audit": "audit",
    }.items():
        watched.page.goto(f"{served.url}/console/{path}")
        watched.check(f"{look}-{name}")


def test_the_review_queue_with_the_keyboard_alone(opened, served):
    steward = company.subject("steward")
    waiting = len(served.ragward.reviewing.items(steward, _open())[0])
    assert waiting >= 2
    watched = opened("steward")
    page = watched.page
    page.goto(f"{served.url}/console/reviews")
    for key in ("j", "x", "j", "x", "a", "/"):
        page.keyboard.press(key)
    page.keyboard.type("looked at both of them")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/reviews?*")
    watched.check("light-reviews-decided")
    assert "2 decided." in page.get_by_role("status").inner_text()
    assert len(served.ragward.reviewing.items(steward, _open())[0]) == waiting - 2


def test_what_a_policy_change_would_do_and_the_log(opened, served):
    watched = opened("steward")
    page = watched.page
    page.goto(f"{served.url}/console/access")
    page.get_by_label("Lines to add").fill("+ g, user:acme/new, group:acme/hr")
    page.get_by_role("button", name="Try it").click()
    page.get_by_text("It would change what").wait_for()
    watched.check("light-access-policy")
    page.get_by_role("link", name="Audit log").click()
    page.get_by_text("Verify the log").click()
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("The log is consistent").wait_for()
    watched.check("light-audit-verified")


def test_it_works_without_scripts(opened, served):
    watched = opened("steward", java_script_enabled=False)
    watched.page.goto(f"{served.url}/console/reviews")
    assert watched.page.get_by_role("heading", name="Reviews").is_visible()
    watched.page.get_by_role("button", name="Sign out").click()
    assert watched.page.get_by_role("heading", name="Sign in").is_visible()


def _open():
    from ragward.reviewing import Queue

    return Queue()
