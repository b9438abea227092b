"""The console in a real browser: each page's task done by a steward and an officer and refused to others, by keyboard and mouse.

Under the mark `prove`, where a missing browser fails the tests: `make prove` installs Debian's Chromium.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ragward.domain.jobs import ItemOutcome, ItemResult, JobState
from ragward.reviewing import Queue
from tests import company
from tests.e2e.console_world import ROLE, serve_world

PICTURES = os.environ.get("RAGWARD_PICTURES")  # a directory: pictures of each page are left there
WHY = "looked at it with somebody"
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}
HIDDEN = {
    "steward": (),
    "officer": (),
    "lee": ("access", "audit", "keys", "anomalies", "jobs", "grants"),
    "ann": ("reviews", "documents", "access", "audit", "keys", "anomalies", "jobs"),
    "stranger": (
        "reviews",
        "documents",
        "access",
        "audit",
        "keys",
        "anomalies",
        "jobs",
        "grants",
    ),
}

pytestmark = pytest.mark.prove


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve_world(tmp_path_factory.mktemp("browser")) as world:
        yield world


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    assert path, "no chromium: apt-get install chromium"
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page on which nothing may go wrong unseen."""

    def __init__(self, context, url):
        self.page, self.url, self.problems = context.new_page(), url, []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", self._asked_back)
        self.page.on("request", self._asked)
        self.absent = False
        """whether the next page is expected not to be there"""

    def _said(self, message):
        is_refusal = self.absent and "404" in message.text
        if message.type in ("error", "warning") and not is_refusal:
            self.problems.append(message.text)

    def _asked_back(self, dialog):
        self.problems.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request):
        if not request.url.startswith(self.url):
            self.problems.append(f"asked {request.url}")

    def go(self, path):
        """The answer to opening a page of the console."""
        return self.page.goto(f"{self.url}/console/{path}")

    def sign_in(self, name):
        self.go("")
        self.page.get_by_label("Name").fill(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}/console/")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def type_reason(self):
        self.page.locator("input[name=reason]:visible").first.fill(WHY)

    def told(self):
        return self.page.locator(".told").all_inner_texts()

    def check(self, name):
        """No violation that axe finds, nothing wider than the window, a picture."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        wide = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, name
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.fixture
def opened(chromium, served):
    made = []

    def open_page(name=None, look="light", **settings):
        context = chromium.new_context(**(LOOKS[look] | settings))
        made.append(Watched(context, served.url))
        if name:
            made[-1].sign_in(name)
        return made[-1]

    yield open_page
    for watched in made:
        assert watched.problems == []
        watched.page.context.close()


def documents(served):
    return served.ragward.stewardship.documents(company.subject("steward"), limit=1000)[0]


def waiting(served):
    return served.ragward.reviewing.items(company.subject("steward"), Queue(), limit=100)[0]


# Reading. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["steward", "officer"])
def test_every_page_is_readable_and_breaks_no_rule(opened, served, look, name):
    signing = opened(look=look)
    signing.go("")
    signing.check(f"{look}-sign-in")
    watched = opened(name, look)
    nasty = next(each for each in documents(served) if "script" in each.source).document_id
    chunk = served.ragward.stewardship.chunks(company.subject("steward"), nasty)[0].chunk_id
    for page, path in {
        "home": "",
        "reviews": "reviews",
        "documents": "documents",
        "document": f"documents/{nasty}",
        "text": f"documents/{nasty}/text",
        "chunk": f"chunks/{chunk}",
        "access": "access",
        "access-who": "access?principal=user:acme/ann",
        "access-document": f"access?document={nasty}",
        "access-why": f"access?principal=user:acme/cai&document={nasty}",
        "audit": "audit",
        "keys": "keys",
        "anomalies": "anomalies",
        "jobs": "jobs",
        "grants": "grants",
    }.items():
        answer = watched.go(path)
        assert answer.status == 200, page
        watched.check(f"{look}-{name}-{page}")
    watched.go("audit")
    watched.page.locator("tbody a").first.click()
    watched.page.get_by_label("The event as it is stored").wait_for()
    watched.check(f"{look}-{name}-event")


@pytest.mark.parametrize("name", HIDDEN)
def test_pages_are_refused_to_others_and_named_to_nobody_else(opened, name):
    watched = opened(name)
    watched.absent = True
    for path in HIDDEN["stranger"]:
        watched.go("")
        named = watched.page.locator(f"nav a[href='/console/{path}']").count()
        status = watched.go(path).status
        expected = (0, 404) if path in HIDDEN[name] else (1, 200)
        assert (named, status) == expected, path
        if status == 404:
            assert watched.page.get_by_role("heading", name="Not found").is_visible()
            watched.check(f"light-{name}-not-found")


def test_a_page_prints_as_a_report(opened):
    watched = opened("steward")
    watched.go("reviews")
    watched.page.emulate_media(media="print")
    assert not watched.page.locator("nav").is_visible()
    assert not watched.page.locator(".decide").is_visible()
    assert watched.page.get_by_role("table").is_visible()
    watched.go("")
    assert watched.page.get_by_role("table").first.is_visible()
    if PICTURES:
        watched.page.pdf(path=Path(PICTURES) / "overview.pdf")


# The steward's tasks. -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["steward", "officer"])
def test_the_review_queue_with_the_keyboard_alone(opened, served, name):
    before = len(waiting(served))
    assert before >= 2
    watched = opened(name)
    watched.go("reviews")
    watched.press("j", "x", "j", "x", "a", "/")
    watched.page.keyboard.type(WHY)
    watched.press("Enter")
    watched.page.wait_for_url("**/console/reviews?*")
    assert watched.told() == ["2 decided."]
    assert len(waiting(served)) == before - 2
    watched.check(f"light-{name}-reviews-decided")


def test_a_review_by_tabs_and_on_a_small_screen(opened, served):
    """Without our keys: what a keyboard or a switch does everywhere."""
    before = len(waiting(served))
    watched = opened("steward", "narrow")
    watched.go("reviews")
    watched.page.locator("input[name=review]").first.focus()
    watched.press("Space")
    for _ in range(200):
        watched.press("Tab")
        if watched.page.evaluate("document.activeElement.name") == "decision":
            break
    watched.press("Space", "Tab")
    while watched.page.evaluate("document.activeElement.name") != "reason":
        watched.press("Tab")
    watched.page.keyboard.type(WHY)
    watched.press("Tab", "Enter")
    watched.page.wait_for_url("**/console/reviews?*")
    assert len(waiting(served)) == before - 1


def test_a_downgrade_is_asked_for_on_the_document(opened, served):
    record = next(
        each for each in documents(served) if each.label.classification.name == "INTERNAL"
    )
    watched = opened("steward")
    watched.go(f"documents/{record.document_id}")
    watched.page.get_by_text("Ask for a lower classification").click()
    watched.page.get_by_label("Classification").select_option("PUBLIC")
    watched.type_reason()
    watched.page.get_by_role("button", name="Ask").click()
    watched.page.wait_for_load_state()
    assert watched.told() == ["Asked for PUBLIC. It waits in the review queue."]
    assert "downgrade" in {each.item.kind.value for each in waiting(served)}


def test_a_job_that_runs_renews_itself(opened, served):
    catalog = served.ragward.catalog
    job = catalog.create_job("acme", "user:acme/steward", 2).job_id
    catalog.set_job_state("acme", job, JobState.IN_PROGRESS)
    watched = opened("steward")
    watched.go(f"jobs/{job}")
    progress = watched.page.get_by_label("Progress")
    assert "0 of 2" in progress.inner_text()
    for number in (1, 2):
        result = ItemResult(source=f"{number}.txt", outcome=ItemOutcome.INGESTED)
        catalog.record_item("acme", job, result)
        progress.get_by_text(f"{number} of 2").wait_for(timeout=20_000)
    catalog.set_job_state("acme", job, JobState.SUCCESS)
    progress.get_by_text("success").wait_for(timeout=20_000)
    watched.check("light-steward-job")


def test_what_a_policy_change_would_do(opened):
    watched = opened("steward")
    watched.go("access")
    watched.page.get_by_label("Lines to add").fill("+ g, user:acme/new, group:acme/hr")
    watched.page.get_by_role("button", name="Try it").click()
    watched.page.get_by_text("It would change what").wait_for()
    watched.check("light-steward-access-policy")


# The officer's. -----------------------------------------------------------------------------------------------------


def test_the_log_is_filtered_verified_and_exported(opened):
    watched = opened("officer")
    page = watched.page
    watched.go("audit")
    page.get_by_label("Type").select_option("access.explained")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**type=access.explained**")
    assert set(page.locator("tbody a").all_inner_texts()) <= {"access.explained"}
    page.get_by_text("Verify the log").click()
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("The log is consistent").wait_for()
    watched.check("light-officer-audit-verified")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert Path(download.value.path()).read_text().count("\n") > 10


def test_somebody_is_released(opened, served):
    watched = opened("steward", "narrow")
    watched.go("anomalies")
    assert watched.page.get_by_text("400 questions in an hour").is_visible()
    watched.type_reason()
    watched.page.get_by_role("button", name="Release").click()
    watched.page.wait_for_load_state()
    assert watched.told() == ["Released. It holds nobody from now on."]
    assert not served.ragward.restricting.restrictions(company.subject("officer"))


def test_a_role_is_asked_for_by_one_and_approved_by_another(opened):
    asker, approver = opened("ann", "narrow"), opened("officer")
    asker.go("grants")
    asker.page.get_by_label("Role").fill(ROLE)
    asker.type_reason()
    asker.page.get_by_role("button", name="Ask").click()
    asker.page.wait_for_load_state()
    assert asker.told() == ["Asked for. Somebody else decides."]
    asker.check("narrow-ann-grants-asked")
    assert asker.page.get_by_role("button", name="Approve").count() == 0
    approver.go("grants")
    approver.type_reason()
    approver.check("light-officer-grants-asked")
    approver.page.get_by_role("button", name="Approve").click()
    approver.page.wait_for_load_state()
    assert approver.told() == ["Done, and in force."]


# Attacks. -----------------------------------------------------------------------------------------------------------


def test_a_page_of_another_origin_gets_nothing_done(opened, served, chromium):
    """A form elsewhere that submits itself into a signed-in browser."""
    watched = opened("steward")
    before = len(waiting(served))
    elsewhere = served.url.replace("127.0.0.1", "localhost")
    page = watched.page.context.new_page()
    for target in ("/console/sign-out", "/console/reviews/decide"):
        page.set_content(
            f'<form method="post" action="{served.url}{target}"><input name="csrf" value="x"></form>'
        )
        with page.expect_navigation():
            page.evaluate("document.forms[0].submit()")
        assert page.url.startswith(served.url)
        assert page.get_by_text("That did not work").is_visible() or "sign-in" in page.url
    assert elsewhere != served.url
    assert watched.go("reviews").status == 200
    assert len(waiting(served)) == before


def test_no_other_page_frames_the_console(opened, served):
    watched = opened("steward")
    page = watched.page.context.new_page()
    page.set_content(f'<iframe src="{served.url}/console/reviews"></iframe>')
    page.wait_for_timeout(500)
    assert all("Reviews" not in frame.content() for frame in page.frames[1:])


def test_it_works_without_scripts(opened, served):
    before = len(waiting(served))
    watched = opened("steward", java_script_enabled=False)
    watched.go("reviews")
    watched.page.locator("input[name=review]").first.check()
    watched.page.get_by_role("radio", name="Accept").check()
    watched.type_reason()
    watched.page.get_by_role("button", name="Decide").click()
    watched.page.wait_for_url("**/console/reviews?*")
    assert len(waiting(served)) == before - 1
    watched.page.get_by_role("button", name="Sign out").click()
    assert watched.page.get_by_role("heading", name="Sign in").is_visible()
