"""No request begun after a revocation returned contains what was revoked, however requests and revocations interleave."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import ConflictError, InvalidRequestError, UnavailableError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import Membership
from ragward.domain.policy_change import PolicyEdit
from ragward.retrieval import Retrieval
from tests import company
from tests.conftest import PROVE
from tests.installation import asked_by, initialised, opened

ROUNDS = 200 if PROVE else 10
QUERY = "voltage laboratory"
LABEL = AccessLabel(
    tenant="acme",
    corpus="eng",
    classification=Classification.CONFIDENTIAL,
    granted=frozenset({"group:acme/eng"}),
)


class Gate:
    """Whether access is certainly gone, and how often that changed."""

    def __init__(self):
        self.lock, self.revoked, self.changes = threading.Lock(), False, 0

    def turn(self, revoked):
        with self.lock:
            self.revoked, self.changes = revoked, self.changes + 1

    def look(self):
        with self.lock:
            return self.revoked, self.changes


@pytest.fixture
def ragward(tmp_path):
    with opened(initialised(tmp_path)) as made:
        made.ingestion.ingest(
            company.subject("steward"),
            SourceDocument(
                source="v.txt",
                filename="v.txt",
                data=b"The voltage laboratory.",
                label=LABEL,
                attributes={},
            ),
        )
        for document in company.documents(8):
            made.ingestion.ingest(company.subject("steward"), document)
        yield made


def by_label(ragward):
    """Takes the grant off the document, and gives it back."""
    record = ragward.catalog.find_document("acme", "eng", "v.txt")
    without = dataclasses.replace(LABEL, granted=frozenset({"user:acme/ann"}))
    steward = company.subject("steward")
    return (
        lambda: ragward.relabelling.relabel(steward, record.document_id, without, "a revocation"),
        lambda: ragward.relabelling.relabel(steward, record.document_id, LABEL, "given back"),
    )


def by_membership(ragward):
    """Takes the person out of the group, and puts them back: that needs a second person."""
    row = frozenset({Membership("user:acme/ben", "group:acme/eng")})
    administration = ragward.policy_administration
    first, second = company.subject("steward"), company.subject("root")

    def revoke():
        outcome = administration.write(
            first, PolicyEdit(remove_memberships=row), reason="a revocation"
        )
        assert outcome.proposal is None

    def give_back():
        outcome = administration.write(first, PolicyEdit(add_memberships=row), reason="given back")
        administration.approve(second, outcome.proposal.proposal_id, reason="given back")

    return revoke, give_back


class Askers:
    """Three threads that ask without pause, and what they saw."""

    def __init__(self, ragward, gate):
        self._ragward, self._gate = ragward, gate
        self.leaks, self.seen = [], {"with": 0, "revoked": 0}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def see_another(self, what):
        """Returns after two more such answers: one may have begun before."""
        until, enough = time.monotonic() + 20, self.seen[what] + 2
        while self.seen[what] < enough:
            assert time.monotonic() < until, f"no answer {what}: {self.seen}"
            time.sleep(0.001)

    def _ask(self):
        while not self._stop.is_set():
            before = self._gate.look()
            try:
                answer = self._ragward.retrieve(asked_by("ben"), QUERY)
            except UnavailableError:  # permissions moved under it three times: refused, not leaked
                continue
            has = any(p.source == "v.txt" for p in answer.passages)
            self.seen["with"] += has
            if before == self._gate.look() and before[0]:  # revoked the whole time
                self.seen["revoked"] += 1
                if has:
                    self.leaks.append(before)


@pytest.mark.parametrize("way", [by_label, by_membership])
def test_what_was_revoked_is_not_answered(ragward, way):
    revoke, give_back = way(ragward)
    gate = Gate()
    with Askers(ragward, gate) as askers:
        for _ in range(ROUNDS):
            askers.see_another("with")
            revoke()
            gate.turn(True)
            askers.see_another("revoked")
            gate.turn(False)
            give_back()
    assert askers.leaks == []


# Epoch tokens. ------------------------------------------------------------------------------------------------------


class LateCatalog:
    """A catalog whose epoch is read from a replica that has stopped, until it goes on."""

    def __init__(self, catalog):
        self._catalog, self.stopped_at = catalog, None

    def epoch(self, tenant):
        return self._catalog.epoch(tenant) if self.stopped_at is None else self.stopped_at

    def __getattr__(self, name):
        return getattr(self._catalog, name)


def asking(query=QUERY, **more):
    return RetrievalRequest(query=query, **more)


def test_an_answer_can_be_made_to_wait_for_a_write(ragward):
    revoke, _ = by_label(ragward)
    revoke()
    token = ragward.epoch_token("acme")
    answer = ragward.retrieve(asked_by("ben"), asking(min_epoch=token))
    assert all(p.source != "v.txt" for p in answer.passages)
    assert ragward.epoch_tokens.read("acme", answer.receipt.epoch_token) >= (
        ragward.epoch_tokens.read("acme", token)
    )


def test_an_epoch_that_does_not_come_is_a_conflict_after_a_bounded_wait(ragward):
    token = ragward.epoch_tokens.issue("acme", ragward.catalog.epoch("acme") + 1)
    before = ragward.clock.monotonic()
    with pytest.raises(ConflictError) as caught:
        ragward.retrieve(asked_by("ben"), asking(min_epoch=token))
    assert caught.value.code == "access.epoch_not_reached"
    assert 2 <= ragward.clock.monotonic() - before < 10


def test_an_epoch_that_comes_meanwhile_is_waited_for(ragward):
    late = LateCatalog(ragward.catalog)
    late.stopped_at = ragward.catalog.epoch("acme")
    token = ragward.epoch_tokens.issue("acme", late.stopped_at + 1)
    ragward.catalog.change_policy(
        "acme", author="user:acme/root"
    )  # moves the epoch, changes nothing

    class Going:
        """The replica goes on during the second wait."""

        waits = 0

        def sleep(self, seconds):
            self.waits += 1
            if self.waits == 2:
                late.stopped_at = None

        def __getattr__(self, name):
            return getattr(ragward.clock, name)

    going = Going()
    ports = dataclasses.replace(ragward.retrieval._ports, catalog=late, clock=going)
    answer = Retrieval(ports).retrieve(asked_by("ben"), asking(min_epoch=token))
    assert going.waits == 2
    assert answer.passages


@pytest.mark.parametrize("junk", ["x", "", "A" * 43, "é" * 43])
def test_what_is_no_token_of_the_tenant_is_refused(ragward, junk):
    with pytest.raises(InvalidRequestError):
        ragward.retrieve(asked_by("ben"), asking(min_epoch=junk))
    other = ragward.epoch_tokens.issue("other", 0)
    with pytest.raises(InvalidRequestError):
        ragward.retrieve(asked_by("ben"), asking(min_epoch=other))
