"""The key broker decides for itself: a worker that lies, or is somebody else's by now, gets no key that the policy does not give."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ragward.adapters import broker_wire, owner_wire
from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.broker_client import BrokerKeyring
from ragward.adapters.broker_server import BrokerServer
from ragward.brokering import BrokerPorts, KeyBroker
from ragward.domain.access import Action, Credentials, Grant, Permit
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import (
    ConfigurationError,
    InvalidRequestError,
    LimitExceededError,
    RagwardError,
    UnauthenticatedError,
    UnavailableError,
)
from ragward.domain.keys import KeyRole, Reading, WrappedDEK
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import PolicyRow
from ragward.evidence import Recorder
from ragward.opening import development_token, open_catalog, open_keyring, open_pdp, resource
from tests import company
from tests.fakes.identity_jwt import FakeIdentityVerifier
from tests.installation import asked_by, initialised, opened

HERS, STAFFS = "hers.txt", "staffs.txt"


def document(source, level, *granted):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset(granted)
    )
    text = f"The pension plan {source} of the laboratory names the voltage of {source}."
    return SourceDocument(
        source=source, filename=source, data=text.encode(), label=label, attributes={}
    )


class Running:
    """A broker over an installation, and ways to it."""

    def __init__(self, settings, directory, stack, **limits):
        self.settings, self.directory, self.clock = settings, directory, company.SetClock()
        self.catalog = open_catalog(settings, stack)
        self.keyring = open_keyring(settings)
        self.log = SQLiteAuditLog.open(settings.broker_log, self.keyring.mac_key("audit-chain"))
        stack.callback(self.log.close)
        self.broker = KeyBroker(
            BrokerPorts(
                identity=FakeIdentityVerifier(),
                pdp=open_pdp(self.catalog, resource("policies")),
                labels=self.catalog,
                keyring=self.keyring,
                recorder=Recorder(audit=self.log, clock=self.clock),
                clock=self.clock,
                **limits,
            )
        )
        self.stack = stack
        self.start()

    def start(self):
        self.server = BrokerServer(self.directory, self.broker, self.keyring)
        self.stack.callback(self.server.close)

    def client(self, role=KeyRole.SERVICE):
        made = BrokerKeyring.connect(self.directory / broker_wire.SOCKETS[role])
        self.stack.callback(made.close)
        return made

    def used(self):
        events = [json.loads(entry.data) for entry in self.log.entries(limit=10_000)]
        return [event for event in events if event["type"] == "key.used"]

    def wrap_of(self, source):
        record = self.catalog.find_document("acme", "hr", source)
        (stored, *_) = self.catalog.document_chunks("acme", record.document_id)
        return WrappedDEK(wrapped=stored.key.wrapped_dek, context=stored.wrapping_context())


@contextmanager
def broker_in(tmp_path, **limits):
    settings = initialised(tmp_path / "home")
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o700)
    with ExitStack() as stack:
        yield Running(settings, sockets, stack, **limits)


@pytest.fixture
def broker(tmp_path):
    with broker_in(tmp_path) as running:
        yield filled(running)


def filled(running):
    with opened(running.settings, keyring=running.client()) as ragward:
        steward = company.subject("steward")
        ragward.ingestion.ingest(
            steward, document(HERS, Classification.RESTRICTED, "user:acme/ann")
        )
        staff = document(STAFFS, Classification.INTERNAL, "group:acme/staff")
        ragward.ingestion.ingest(steward, staff)
    return running


def reading(name, action=Action.CORPUS_RETRIEVE):
    subject = dataclasses.replace(company.subject(name), credentials=asked_by(name))
    return Reading(subject=subject, action=action)


def given(keyring, who, *items, **kwargs):
    found = keyring.unwrap_all(items, reading(who, **kwargs))
    return [value if isinstance(value, bytes) else value.code for value in found]


def asked(ragward, who):
    request = RetrievalRequest(query="pension laboratory voltage", limit=20)
    return " ".join(p.text for p in ragward.retrieve(asked_by(who), request).passages)


def test_what_the_policy_gives_is_answered_through_the_broker(broker):
    with opened(broker.settings, keyring=broker.client()) as worker:
        assert HERS in asked(worker, "ann")
        assert STAFFS in asked(worker, "ann")
        assert HERS not in asked(worker, "ben")
        assert STAFFS in asked(worker, "ben")
    assert {event["actor"].get("principal") for event in broker.used()} >= {
        "user:acme/ann",
        "user:acme/ben",
    }
    assert broker.log.verify().consistent


def test_every_socket_is_its_owners_alone(broker):
    for name in broker_wire.SOCKETS.values():
        assert stat.S_IMODE((broker.directory / name).stat().st_mode) == 0o600


def test_a_process_of_another_user_gets_no_word(broker, monkeypatch):
    for name in broker_wire.SOCKETS.values():
        os.chown(broker.directory / name, os.geteuid(), -1)
    own = os.geteuid()
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    real = owner_wire.require_same_user

    def as_if_broker_were_another(connection, or_user=None):
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        try:
            real(connection, or_user=None if or_user == own else or_user)
        finally:
            monkeypatch.setattr(os, "geteuid", lambda: own)

    monkeypatch.setattr(owner_wire, "require_same_user", as_if_broker_were_another)
    with client, owner_wire.short_path(broker.directory, "query.sock") as path:
        client.connect(path)
        assert client.recv(1) == b""


def test_a_subject_gets_no_key_of_what_they_may_not_read(broker):
    ring = broker.client()
    hers, staffs = broker.wrap_of(HERS), broker.wrap_of(STAFFS)
    dek, other = given(ring, "ann", hers, staffs)
    assert isinstance(dek, bytes)
    assert isinstance(other, bytes)
    assert given(ring, "ben", hers, staffs) == ["access.not_found", other]
    assert given(ring, "stranger", hers, staffs) == ["access.not_found"] * 2


def test_a_claimed_label_opens_nothing(broker):
    """The worker says the DEK is bound to a label that ben may read: then it is not the one the key opens under."""
    ring, hers, staffs = broker.client(), broker.wrap_of(HERS), broker.wrap_of(STAFFS)

    def claimed(**changes):
        return dataclasses.replace(hers, context=dataclasses.replace(hers.context, **changes))

    lie = claimed(label_digest=staffs.context.label_digest)
    assert given(ring, "ben", lie) == ["integrity.wrapped_key"]
    for change in ({"label_digest": bytes(32)}, {"tenant": "globex"}):
        assert given(ring, "ann", claimed(**change)) == ["access.not_found"]
    for change in ({"document_id": "x"}, {"document_version": 2}, {"dek_id": "x"}):
        assert given(ring, "ann", claimed(**change)) == ["integrity.wrapped_key"]
    assert given(ring, "ann", claimed(kek_id="x")) == ["unavailable.keys"]


def test_without_a_credential_that_verifies_nothing_is_unwrapped(broker):
    ring, hers = broker.client(), broker.wrap_of(HERS)
    (away,) = ring.unwrap_all([hers], None)
    assert away.code == "unavailable.keys"
    (away,) = ring.unwrap_all([hers], Reading(subject=company.subject("ann")))
    assert away.code == "unavailable.keys"
    nobody = dataclasses.replace(company.subject("ann"), credentials=Credentials())
    with pytest.raises(UnauthenticatedError):
        ring.unwrap_all([hers], Reading(subject=nobody))


def test_a_worker_that_permits_everything_still_answers_nothing_more(broker):
    class EverythingGoes:
        def __init__(self, pdp):
            self._pdp = pdp

        def decide_labels(self, subject, context):
            real = self._pdp.decide_labels(
                dataclasses.replace(subject, principal="user:acme/ann"), context
            )
            labels = frozenset(broker.catalog.labels("acme"))
            everything = (Grant(labels=labels, revealed=frozenset()),)
            return Permit(
                head=real.head,
                not_after=2**40,
                grants=everything,
                policy_digest="",
                reason="",
            )

        def __getattr__(self, name):
            return getattr(self._pdp, name)

    pdp = EverythingGoes(open_pdp(broker.catalog, resource("policies")))
    with opened(broker.settings, pdp=pdp) as worker:
        assert HERS in asked(worker, "ben")  # without a broker the worker's word is all there is
    with opened(broker.settings, keyring=broker.client(), pdp=pdp) as worker:
        assert HERS not in asked(worker, "ben")
        assert STAFFS in asked(worker, "ben")
    refused = [event["details"]["refused"] for event in broker.used() if event["actor"]]
    assert sum(refused) > 0


@pytest.mark.parametrize("role", [KeyRole.QUERY, KeyRole.INGEST])
def test_a_socket_is_good_for_its_role_only(broker, role):
    ring, hers = broker.client(role), broker.wrap_of(HERS)
    makes = (
        lambda: ring.active_kek("acme", Classification.RESTRICTED),
        lambda: ring.wrap(bytes(32), hers.context),
        lambda: ring.vector_keys([hers]),
    )
    reads = (lambda: given(ring, "ann", hers),)
    for allowed in makes if role is KeyRole.INGEST else reads:
        assert allowed()
    never = (
        ring.status,
        lambda: ring.stage("acme", Classification.RESTRICTED),
        lambda: ring.activate(hers.context.kek_id, 1),
        lambda: ring.destroy(hers.context.kek_id, 1),
        lambda: ring.rewrap_all([(hers, hers.context)]),
    )
    for refused in (*never, *(makes if role is KeyRole.QUERY else reads)):
        with pytest.raises(UnavailableError) as caught:
            refused()
        assert caught.value.code == "unavailable.keys"
    assert ring.mac_key("query-tag") == broker.keyring.mac_key("query-tag")


def test_the_index_gets_keys_that_open_no_text(broker):
    (found,) = broker.client(KeyRole.INGEST).vector_keys([broker.wrap_of(HERS)])
    (dek,) = given(broker.client(), "ann", broker.wrap_of(HERS))
    assert found.key != dek


def test_too_many_keys_are_refused_by_subject_and_by_classification(tmp_path):
    limits = dict.fromkeys(Classification, 100) | {Classification.RESTRICTED: 3}
    with broker_in(tmp_path, deks_per_minute=limits) as running:
        filled(running)
        hers, staffs = running.wrap_of(HERS), running.wrap_of(STAFFS)
        for _ in range(3):
            assert given(running.client(), "ann", hers)
        with pytest.raises(LimitExceededError) as caught:
            given(running.client(), "ann", hers)
        assert caught.value.code == "limit.rate"
        assert caught.value.retry_after_seconds > 1
        assert running.used()[-1]["decision"] == "refused"
        assert isinstance(given(running.client(), "ann", staffs)[0], bytes)
        running.clock.seconds += 60
        assert isinstance(given(running.client(), "ann", hers)[0], bytes)


def test_it_records_before_it_unwraps_or_does_not_unwrap(broker):
    hers = broker.wrap_of(HERS)
    given(broker.client(), "ann", hers)
    event = broker.used()[-1]
    assert event["actor"]["principal"] == "user:acme/ann"
    assert event["details"]["documents"] == [hers.context.document_id]
    assert (event["details"]["use"], event["details"]["deks"]) == ("unwrap", 1)
    broker.log.close()
    with pytest.raises(RagwardError) as caught:
        given(broker.client(), "ann", hers)
    assert caught.value.code == "unavailable.audit"


def test_what_is_taken_away_reaches_the_broker_within_seconds(broker):
    hers = broker.wrap_of(HERS)
    assert isinstance(given(broker.client(), "ann", hers)[0], bytes)
    policy = broker.catalog.policy("acme")
    deny = PolicyRow(
        "user:acme/ann", "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "deny"
    )
    broker.catalog.replace_policy(
        "acme", [*policy.rows, deny], policy.memberships, "operator", reason="taken away"
    )
    broker.clock.seconds += 5
    assert given(broker.client(), "ann", hers) == ["access.not_found"]


def test_a_new_label_is_known_at_once(broker):
    given(broker.client(), "ann", broker.wrap_of(HERS))
    with opened(broker.settings, keyring=broker.client()) as ragward:
        new = document("new.txt", Classification.CONFIDENTIAL, "user:acme/ann", "user:acme/dot")
        ragward.ingestion.ingest(company.subject("steward"), new)
    assert isinstance(given(broker.client(), "ann", broker.wrap_of("new.txt"))[0], bytes)


def test_while_the_broker_is_away_nothing_is_answered_and_then_it_is_again(broker):
    ring = broker.client()
    with opened(broker.settings, keyring=ring) as worker:
        assert HERS in asked(worker, "ann")
        broker.server.close()
        ring.forget()
        with pytest.raises(UnavailableError) as caught:
            asked(worker, "ann")
        assert caught.value.code == "unavailable.keys"
        with pytest.raises(UnavailableError):
            broker.client()
        broker.start()
        assert HERS in asked(worker, "ann")


def test_stewards_relabel_and_release_through_it(broker):
    with opened(broker.settings, keyring=broker.client()) as ragward:
        steward = dataclasses.replace(company.subject("steward"), credentials=asked_by("steward"))
        record = ragward.catalog.find_document("acme", "hr", STAFFS)
        raised = dataclasses.replace(
            record.label,
            classification=Classification.RESTRICTED,
            granted=frozenset({"user:acme/ann"}),
        )
        ragward.relabelling.relabel(steward, record.document_id, raised, "it became secret")
        after = ragward.catalog.find_document("acme", "hr", STAFFS)
        assert after.version == record.version + 1  # encrypted anew
        assert STAFFS in asked(ragward, "ann")
        assert STAFFS not in asked(ragward, "ben")
        done = ragward.rotation.rotate(steward, Classification.RESTRICTED)
        assert done.rewrapped > 0
        assert done.complete
        assert HERS in asked(ragward, "ann")


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"call": "unwrap"},
        {"call": "unwrap", "with": {"credentials": None, "action": "corpus:retrieve", "wraps": []}},
        {"call": "unwrap", "with": {"credentials": ["ann", 1], "action": "x", "wraps": []}},
        {"call": "unwrap", "with": {"credentials": ["ann", None], "action": "x", "wraps": [["!"]]}},
        {"call": "wrap", "with": {"dek": "AA==", "context": ["acme", "k", -1, "d", "d", 1, ""]}},
        {
            "call": "active",
            "with": {"tenant": "acme", "classification": "SECRET", "purpose": "content"},
        },
        {"call": "mac", "with": {"purpose": "kek"}},
        {"call": "__init__", "with": {}},
        {"call": ["unwrap"], "with": {}},
    ],
)
def test_what_is_malformed_is_refused_and_the_broker_lives_on(broker, message):
    answer = broker.client()._connections.call(message)
    assert answer["code"] in ("request.invalid", "unavailable.keys")
    assert isinstance(given(broker.client(), "ann", broker.wrap_of(HERS))[0], bytes)


def test_a_dek_cannot_be_moved_under_a_label_that_somebody_else_may_read(broker):
    """Else a worker would have the broker bind ann's document to the staff's label, and read it with ben's token."""
    ring, hers, staffs = broker.client(), broker.wrap_of(HERS), broker.wrap_of(STAFFS)
    theirs = dataclasses.replace(hers.context, label_digest=staffs.context.label_digest)
    for who in (None, reading("ben"), reading("ann")):
        (refused,) = ring.rewrap_all([(hers, theirs)], who)
        assert refused.code == "access.not_found"
    (moved,) = ring.rewrap_all([(hers, theirs)], reading("steward"))  # may relabel, and so read it
    assert isinstance(moved, bytes)
    (rotated,) = ring.rewrap_all([(hers, hers.context)])  # the same label: nobody reads more by it
    again = dataclasses.replace(hers, wrapped=rotated)
    assert given(ring, "ben", again) == ["access.not_found"]


def test_too_large_a_batch_and_another_action_are_refused(broker):
    hers = broker.wrap_of(HERS)
    with pytest.raises(InvalidRequestError):
        broker.broker.unwrap_all(asked_by("ann"), "corpus:retrieve", [hers] * 5000)
    with pytest.raises(InvalidRequestError):
        broker.broker.unwrap_all(asked_by("ann"), "policy:write", [hers])


def test_a_broker_is_not_made_over_a_broker(tmp_path):
    from ragward.opening import open_broker

    settings = initialised(tmp_path)
    behind = settings.model_copy(update={"keys_uri": f"broker:{tmp_path}/service.sock"})
    with pytest.raises(ConfigurationError):
        open_broker(behind, tmp_path / "sockets")


def test_ragward_keys_broker_in_a_process_of_its_own(tmp_path):
    """The command, real tokens, and a process whose memory others of its user may not read."""
    settings = initialised(tmp_path / "home")
    file = tmp_path / "ragward.toml"
    file.write_text(
        "\n".join(
            f"{name} = {json.dumps(value)}"
            for name, value in settings.model_dump(mode="json", exclude_defaults=True).items()
            if value is not None
        )
    )
    sockets = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "ragward", "--settings", str(file), "keys", "broker", str(sockets)],
        stderr=subprocess.PIPE,
    )
    try:
        assert b"sockets in" in process.stderr.readline()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert "Max core file size        0" in limits
        uri = f"broker:{sockets}/service.sock"
        worker = settings.model_copy(
            update={
                "keys_uri": uri,
                "passphrase": "prompt:",
                "keyring": tmp_path / "none",
                "policy_key": settings.policy_key_file,
            }
        )
        with opened(worker, identity=None, clock=None) as ragward:
            ragward.ingestion.ingest(
                company.subject("steward"),
                document(HERS, Classification.RESTRICTED, "user:acme/ann"),
            )
            request = RetrievalRequest(query="pension laboratory voltage")
            for name, found in (("ann", True), ("ben", False)):
                token = development_token(settings, name, tenant="acme")
                answer = ragward.retrieve(Credentials(untrusted_authorization=token), request)
                assert bool(answer.passages) is found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stderr.close()
    assert process.returncode == 0
    assert list(sockets.iterdir()) == []
