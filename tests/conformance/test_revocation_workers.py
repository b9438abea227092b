"""Revocation across processes: an owner that revokes, two workers that answer, on SQLite and on PostgreSQL.

No request that was begun after a revocation returned contains what was revoked: whatever kind it was, with the index up
to date or held back, and with everything that the workers remember.
"""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import time

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.domain.access import Application
from ragward.domain.corpus import SourceDocument
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.installation import Policy, initialise
from ragward.opening import open_policy_keeper
from tests import company
from tests.conformance.asking_driver import SOURCE
from tests.conftest import PROVE
from tests.contract.conftest import postgres_databases  # noqa: F401 - a fixture
from tests.installation import opened, settings_in

REVOCATIONS = 1_000 if PROVE else 8
WORKERS, THREADS = 2, 4
LABEL = AccessLabel(
    tenant="acme",
    corpus="eng",
    classification=Classification.CONFIDENTIAL,
    granted=frozenset({"group:acme/eng"}),
)
STEWARD = company.subject("steward")
DENIED = PolicyRow("group:acme/eng", "corpus:retrieve", "acme/eng", "CONFIDENTIAL", "*", "deny")


class HeldBack:
    """A catalog whose outbox can be held back."""

    def __init__(self, catalog):
        self._catalog, self.is_paused = catalog, False

    def next_work(self, *, limit):
        return [] if self.is_paused else self._catalog.next_work(limit=limit)

    def __getattr__(self, name):
        return getattr(self._catalog, name)


class Company:
    """The owner's installation, and the ways in which ben loses the document and gets it back."""

    def __init__(self, ragward):
        self.ragward = ragward
        self.ways = {
            "label": (self._relabel(granted=frozenset({"user:acme/ann"})), self._relabel()),
            "denial": (self._relabel(denied=frozenset({"user:acme/ben"})), self._relabel()),
            "compartment": (self._relabel(compartments=frozenset({"x"})), self._relabel()),
            "validity": (self._expire, self._relabel()),
            "membership": (
                lambda: self._policy(remove_memberships=[MEMBERSHIP]),
                lambda: self._policy(add_memberships=[MEMBERSHIP]),
            ),
            "policy row": (
                lambda: self._policy(add_rows=[DENIED]),
                lambda: self._policy(remove_rows=[DENIED]),
            ),
            "deletion": (self._delete, self.ingest),
        }

    def ingest(self):
        self.ragward.ingestion.ingest(
            STEWARD,
            SourceDocument(
                source=SOURCE,
                filename=SOURCE,
                data=b"The voltage laboratory.",
                label=LABEL,
                attributes={},
            ),
        )

    def _policy(self, **change):
        self.ragward.catalog.change_policy("acme", author="user:acme/root", **change)

    def _relabel(self, **changes):
        label = dataclasses.replace(LABEL, **changes)
        return lambda: self.ragward.relabelling.relabel(STEWARD, self._id(), label, "a revocation")

    def _expire(self):
        end = int(time.time()) + 1
        label = dataclasses.replace(LABEL, valid_until=end)
        self.ragward.relabelling.relabel(STEWARD, self._id(), label, "for a moment")
        while time.time() < end:
            time.sleep(0.005)

    def _delete(self):
        self.ragward.stewardship.delete(STEWARD, self._id())

    def _id(self):
        return self.ragward.catalog.find_document("acme", "eng", SOURCE).document_id


MEMBERSHIP = Membership("user:acme/ben", "group:acme/eng")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/catalog.db"
    return request.getfixturevalue("postgres_databases")(empty=True)


def worker(home, database):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.asking_driver", home, database, str(THREADS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.prove
def test_nothing_revoked_is_answered_by_any_worker(tmp_path, database):
    settings = settings_in(tmp_path).model_copy(update={"database_url": database})
    initialise(
        settings,
        tenant="acme",
        administrator="user:acme/root",
        policy=Policy(rows=company.ROWS, memberships=company.MEMBERSHIPS),
    )
    keeper = open_policy_keeper(settings)
    catalog = HeldBack(SQLCatalog.open(database, keeper=keeper))
    with opened(settings, catalog=catalog, clock=None) as ragward:
        world = Company(ragward)
        world.ingest()
        for document in company.documents(8):
            ragward.ingestion.ingest(STEWARD, document)
        ragward.share()
        workers = [worker(tmp_path, database) for _ in range(WORKERS)]
        for process in workers:
            assert process.stdout.readline().strip() == "OwnerChunkIndex"
        windows, seconds = revocations(world, catalog)
        answers = [line.split() for process in workers for line in ended(process)]
    leaks, revoked, late = judged(windows, answers)
    kinds = {kind for kind, _, _ in windows}
    print(
        f"\n{len(windows)} revocations, {len(answers)} answers by {WORKERS * THREADS} readers, "
        f"{len(revoked)} begun while revoked, {late} refused, {len(leaks)} leaks; "
        f"revoke returns after p50 {1000 * statistics.median(seconds):.1f} ms, "
        f"p99 {1000 * sorted(seconds)[int(len(seconds) * 0.99)]:.1f} ms"
    )
    assert leaks == []
    assert kinds == set(world.ways)
    assert set(revoked) == kinds, "a kind of revocation was never looked at"
    assert sum(verdict == "with" for _, _, verdict in answers) > REVOCATIONS / 4
    catalog.close()


def revocations(world, catalog):
    """(kind, when it had returned, when it was about to be given back) of each, and how long each took."""
    windows, seconds = [], []
    for number in range(REVOCATIONS):
        kind = list(world.ways)[number % len(world.ways)]
        revoke, give_back = world.ways[kind]
        catalog.is_paused = number % 3 == 0
        begin = time.monotonic()
        revoke()
        returned = time.monotonic_ns()
        if kind != "validity":  # it waits for the clock
            seconds.append(time.monotonic() - begin)
        time.sleep(0.15)
        windows.append((kind, returned, time.monotonic_ns()))
        catalog.is_paused = False
        give_back()
        time.sleep(0.04)
    return windows, seconds


def ended(process):
    output, _ = process.communicate("", timeout=60)
    assert process.returncode == 0
    return output.splitlines()


def judged(windows, answers):
    """(answers that hold what was revoked all the while, kinds of revocation that were looked at, refusals)."""
    leaks, looked, late = [], [], 0
    spans = sorted((int(begin), int(end), verdict) for begin, end, verdict in answers)
    for kind, returned, given_back in windows:
        for begin, end, verdict in spans:
            if begin < returned or end > given_back:
                continue
            looked.append(kind)
            late += verdict == "late"
            if verdict == "with":
                leaks.append((kind, begin - returned))
    return leaks, looked, late


def test_an_application_that_is_narrowed_is_narrow_at_every_worker(tmp_path):
    """Applications are read on every request: there is nothing to go stale."""
    settings = settings_in(tmp_path)
    initialise(
        settings,
        tenant="acme",
        administrator="user:acme/root",
        policy=Policy(rows=company.ROWS, memberships=company.MEMBERSHIPS),
    )
    application = Application(
        principal="app:acme/portal",
        tenant="acme",
        client_id="portal",
        corpora=frozenset({"*"}),
        ceiling=Classification.RESTRICTED,
    )
    with opened(settings) as owner:
        owner.share()
        with opened(settings) as other:
            for ceiling in (Classification.RESTRICTED, Classification.PUBLIC):
                owner.catalog.save_application(
                    dataclasses.replace(application, ceiling=ceiling),
                    key_prefix=None,
                    key_sha256=None,
                )
                assert other.catalog.find_application("acme", "portal").ceiling is ceiling
