"""T24: rotating keys: who may, what a crash or somebody else at the same time does to it, and that nobody's reading ever fails."""

from __future__ import annotations

import dataclasses
import json
import threading

import pytest

from ragward.domain.access import Application
from ragward.domain.corpus import DocumentState, Pending, SourceDocument
from ragward.domain.envelope import KeyPurpose
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.handling import Mode
from ragward.domain.keys import KEKState
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.rotation import Due
from tests import company
from tests.copies import copied
from tests.installation import asked_by, initialised, opened, settings_in

LEVEL = Classification.CONFIDENTIAL
WHY = "the keyring was read by somebody who left"


def label(level=LEVEL, **given):
    return AccessLabel(
        tenant="acme",
        corpus="hr",
        classification=level,
        **({"granted": frozenset({"user:acme/ann"})} | given),
    )


def document(n, level=LEVEL, **given):
    return SourceDocument(
        source=f"plans/plan-{n}.txt",
        filename=f"plan-{n}.txt",
        data=f"Plan {n} for the laboratory. The calibration of sensor {n} is due.".encode(),
        label=label(level, **given),
    )


STEWARD = company.subject("steward")


def stranger_of(tenant):
    """Who may do everything there."""
    return dataclasses.replace(
        STEWARD,
        tenant=tenant,
        principal=f"user:{tenant}/root",
        application=Application(
            principal=f"app:{tenant}/ragward-cli",
            tenant=tenant,
            client_id="ragward-cli",
            corpora=frozenset({"*"}),
            ceiling=Classification.RESTRICTED,
            public_client=True,
        ),
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An installation with 12 documents, to be copied."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with opened(initialised(home)) as ragward:
        for n in range(12):
            ragward.ingestion.ingest(STEWARD, document(n))
    return home


@pytest.fixture
def ragward(filled, tmp_path):
    copied(filled, tmp_path / "home")
    with opened(settings_in(tmp_path / "home")) as ragward:
        yield ragward


def readable(ragward):
    request = RetrievalRequest(
        query="calibration of the sensor", limit=50, max_passages_per_document=5, minimize=Mode.OFF
    )
    return len({p.document_id for p in ragward.retrieve(asked_by("ann"), request).passages})


def versions(ragward, level=LEVEL):
    """version -> (state, DEKs under it)."""
    found = ragward.rotation.keys(STEWARD)
    return {
        r.status.version: (r.status.state.value, r.held)
        for r in found
        if r.status.classification is level
    }


def kek(ragward, level=LEVEL):
    found = ragward.rotation.keys(STEWARD)
    return next(r.status.kek_id for r in found if r.status.classification is level)


def ledger(ragward):
    return ragward.rotation._ports.ledger


def instead(ragward, **ports):
    """The rotation with other ports."""
    ragward.rotation._ports = dataclasses.replace(ragward.rotation._ports, **ports)


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


def wait(ragward, seconds=31):
    ragward.clock.seconds += seconds


def events(ragward, kind):
    found = [json.loads(e.data) for e in ragward.audit.entries(limit=10_000)]
    return [e for e in found if e["type"] == kind]


def blobs(ragward):
    with ragward.catalog._database.read("acme") as connection:
        rows = connection.exec_driver_sql("SELECT chunk_id, blob FROM chunks ORDER BY 1").all()
        vectors = connection.exec_driver_sql("SELECT point_id, vector_blob FROM points ORDER BY 1")
        return rows + vectors.all()


# Who may. -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann", "ben"])
def test_who_may_not_rotate_changes_nothing(ragward, name):
    before = versions(ragward)
    other = company.subject(name)
    for call in (
        lambda: ragward.rotation.rotate(other, LEVEL),
        lambda: ragward.rotation.keys(other),
        lambda: ragward.rotation.destroy(other, kek(ragward), 1, WHY),
        lambda: ragward.rotation.destroy(other, "no such", 1, WHY),
        lambda: ragward.rotation.destroy_all(other, WHY),
    ):
        assert code_of(call) == "access.denied"
    assert versions(ragward) == before
    assert not events(ragward, "key.rotated")


def test_somebody_of_another_tenant_finds_no_such_key(ragward):
    mine = kek(ragward)
    from ragward.domain.policy import PolicyRow

    ragward.catalog.replace_policy(
        "globex",
        [
            PolicyRow(
                "user:globex/root", "key:rotate", "globex/*", "PUBLIC..RESTRICTED", "*", "allow"
            )
        ],
        [],
        "test",
    )
    stranger = stranger_of("globex")
    assert code_of(lambda: ragward.rotation.destroy(stranger, mine, 1, WHY)) == "access.not_found"
    assert ragward.rotation.keys(stranger) == []
    theirs = ragward.rotation.rotate(stranger, LEVEL)
    assert theirs.kek_id != mine
    assert versions(ragward) == {1: ("active", 12)}


def test_a_rotation_that_cannot_be_recorded_does_not_begin(ragward):
    class Full:
        def append(self, event, *, durable):
            raise UnavailableError(code="unavailable.audit")

    recorder = dataclasses.replace(ragward.rotation._ports.recorder, audit=Full())
    instead(ragward, recorder=recorder)
    assert code_of(lambda: ragward.rotation.rotate(STEWARD, LEVEL)) == "unavailable.audit"
    assert versions(ragward) == {1: ("active", 12), 2: ("pending", 0)}


def test_keys_of_vectors_have_no_kek(ragward):
    def call():
        return ragward.rotation.rotate(STEWARD, LEVEL, KeyPurpose.VECTOR)

    assert code_of(call) == "request.invalid"


# What it does. --------------------------------------------------------------------------------------------------------


def test_everything_is_moved_and_no_content_is_touched(ragward):
    content, seen = blobs(ragward), []
    done = ragward.rotation.rotate(STEWARD, LEVEL, progress=lambda *at: seen.append(at))
    assert (done.version, done.rewrapped, done.remaining, done.resumed) == (2, 12, 0, False)
    assert seen[-1] == (12, 12)
    assert versions(ragward) == {1: ("decrypt_only", 0), 2: ("active", 12)}
    assert blobs(ragward) == content
    assert readable(ragward) == 12
    acts = [e["details"]["act"] for e in events(ragward, "key.rotated")]
    assert acts == ["activate", "rewrap"]


def test_other_classifications_are_left_alone(ragward):
    ragward.ingestion.ingest(STEWARD, document(90, Classification.RESTRICTED))
    ragward.rotation.rotate(STEWARD, LEVEL)
    assert versions(ragward, Classification.RESTRICTED) == {1: ("active", 1)}


def test_a_version_is_destroyed_only_when_nothing_needs_it(ragward):
    name = kek(ragward)

    def destroy(version=1):
        return ragward.rotation.destroy(STEWARD, name, version, WHY)

    assert code_of(destroy) == "key.state"  # active
    ragward.rotation.begin(STEWARD, LEVEL)
    assert code_of(destroy) == "key.state"  # 12 are wrapped under it
    ragward.rotation.finish("acme", name)
    assert code_of(destroy) == "key.state"  # a request may have read one
    wait(ragward)
    assert code_of(lambda: ragward.rotation.destroy(STEWARD, name, 1, "why")) == "request.invalid"
    destroy()
    destroy()  # again is fine
    assert versions(ragward)[1] == ("destroyed", 0)
    assert readable(ragward) == 12
    assert [e["details"]["reason"] for e in events(ragward, "key.destroyed")] == [WHY, WHY]
    assert code_of(lambda: destroy(2)) == "key.state"
    assert code_of(lambda: destroy(3)) == "access.not_found"


def test_a_damaged_key_is_reported_and_keeps_its_version(ragward):
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql(
            "UPDATE versions SET wrapped_dek = zeroblob(60) WHERE document_id ="
            " (SELECT document_id FROM documents WHERE source = 'plans/plan-3.txt')"
        )
    done = ragward.rotation.rotate(STEWARD, LEVEL)
    assert (done.rewrapped, done.remaining, done.damaged) == (11, 1, 1)
    wait(ragward)

    def destroy():
        return ragward.rotation.destroy(STEWARD, kek(ragward), 1, WHY)

    assert code_of(destroy) == "key.state"
    assert events(ragward, "integrity.failure")[0]["details"]["code"] == "integrity.wrapped_key"
    assert readable(ragward) == 11


def test_what_is_due_is_said(ragward):
    def due():
        found = ragward.rotation.keys(STEWARD)
        return {r.status.version: r.due for r in found if r.status.classification is LEVEL}

    created = ragward.rotation.keys(STEWARD)[0].status.created_at
    ragward.clock.seconds = created + 364 * 86_400
    assert due() == {1: ()}
    ragward.clock.seconds += 86_400
    assert due() == {1: (Due.ROTATE_AGE,)}
    ragward.rotation.begin(STEWARD, LEVEL)
    assert due()[1] == (Due.REWRAP,)
    ragward.rotation.resume()
    assert due()[1] == (Due.DESTROY,)


# Crashes. -------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """kill -9, as far as one process can play it."""


@pytest.mark.parametrize("step", ["stage", "activate", "rewrap_all"])
def test_killed_at_the_keyring_and_run_again(ragward, step):
    keyring = ragward.rotation._ports.keyring

    class Dying:
        def __getattr__(self, name):
            def dying(*given):
                getattr(keyring, name)(*given)
                raise Killed

            return dying if name == step else getattr(keyring, name)

    instead(ragward, keyring=Dying())
    with pytest.raises(Killed):
        ragward.rotation.rotate(STEWARD, LEVEL)
    assert readable(ragward) == 12
    instead(ragward, keyring=keyring)
    done = ragward.rotation.rotate(STEWARD, LEVEL)
    assert done.remaining == 0
    assert versions(ragward) == {1: ("decrypt_only", 0), 2: ("active", 12)}
    assert readable(ragward) == 12


@pytest.mark.parametrize("step", ["store_rewrapped", "retire"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_the_catalog_and_run_again(ragward, step, after, monkeypatch):
    monkeypatch.setattr("ragward.rotation.BATCH", 5)
    kept = ledger(ragward)

    class Dying:
        def __getattr__(self, name):
            def dying(*given):
                if after:
                    getattr(kept, name)(*given)
                raise Killed

            return dying if name == step else getattr(kept, name)

    instead(ragward, ledger=Dying())
    with pytest.raises(Killed):
        ragward.rotation.rotate(STEWARD, LEVEL)
    assert readable(ragward) == 12
    instead(ragward, ledger=kept)
    assert ragward.degraded() == ([] if (step, after) == ("retire", True) else ["rotation_pending"])
    ragward.rotation.resume()
    assert ragward.degraded() == []
    assert versions(ragward) == {1: ("decrypt_only", 0), 2: ("active", 12)}
    assert readable(ragward) == 12


def test_an_unfinished_rotation_goes_on_before_a_new_one(ragward):
    ragward.rotation.begin(STEWARD, LEVEL)
    again = ragward.rotation.rotate(STEWARD, LEVEL)
    assert (again.resumed, again.version, again.rewrapped) == (True, 2, 12)
    assert ragward.rotation.rotate(STEWARD, LEVEL).version == 3


# At the same time. ----------------------------------------------------------------------------------------------------


class Between:
    """A port in which something happens before one of its calls, once."""

    def __init__(self, port, name, happens):
        self._port, self._name, self._happens = port, name, happens

    def __getattr__(self, name):
        if name == self._name and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()
        return getattr(self._port, name)


def test_a_document_relabelled_between_read_and_write_is_not_overwritten(ragward):
    record = ragward.catalog.documents("acme")[0]

    def relabelled():
        ragward.relabelling.relabel(
            STEWARD, record.document_id, label(denied=frozenset({"user:acme/dot"})), WHY
        )

    kept = ledger(ragward)
    instead(ragward, ledger=Between(kept, "store_rewrapped", relabelled))
    assert ragward.rotation.rotate(STEWARD, LEVEL).remaining == 0
    assert ragward.catalog.get_document("acme", record.document_id).label.denied
    assert readable(ragward) == 12


@pytest.mark.parametrize("level", [Classification.INTERNAL, Classification.RESTRICTED])
def test_a_document_that_changes_its_kek_meanwhile(ragward, level):
    record = ragward.catalog.documents("acme")[0]

    def moved():
        return ragward.relabelling.relabel(STEWARD, record.document_id, label(level), WHY)

    instead(ragward, ledger=Between(ledger(ragward), "store_rewrapped", moved))
    assert ragward.rotation.rotate(STEWARD, LEVEL).remaining == 0
    assert versions(ragward)[2] == ("active", 11)
    assert versions(ragward, level)[1] == ("active", 1)
    assert readable(ragward) == 12


def test_a_document_that_waits_for_its_key_is_moved_under_the_label_it_is_bound_to(ragward):
    record = ragward.catalog.documents("acme")[0]
    relabelling = ragward.relabelling
    kept = relabelling._ports

    class Away:
        def __getattr__(self, name):
            raise UnavailableError(code="unavailable.keys")

    relabelling._ports = dataclasses.replace(
        kept, protection=dataclasses.replace(kept.protection, keyring=Away())
    )
    narrower = label(denied=frozenset({"user:acme/dot"}))
    relabelling.relabel(STEWARD, record.document_id, narrower, WHY)
    assert ragward.catalog.get_document("acme", record.document_id).pending is Pending.REWRAP
    assert ragward.rotation.rotate(STEWARD, LEVEL).remaining == 0
    wait(ragward)
    ragward.rotation.destroy(STEWARD, kek(ragward), 1, WHY)
    relabelling._ports = kept
    assert relabelling.resume() == 1
    assert readable(ragward) == 12


def test_an_ingest_that_wrapped_under_the_old_version_is_made_again(ragward):
    catalog = ragward.ingestion._ports.catalog

    def rotated():
        return ragward.rotation.rotate(STEWARD, LEVEL)

    ragward.ingestion._ports = dataclasses.replace(
        ragward.ingestion._ports, catalog=Between(catalog, "commit_version", rotated)
    )
    ragward.ingestion.ingest(STEWARD, document(50))
    assert versions(ragward) == {1: ("decrypt_only", 0), 2: ("active", 13)}
    wait(ragward)
    ragward.rotation.destroy(STEWARD, kek(ragward), 1, WHY)
    assert readable(ragward) == 13


def test_nothing_is_stored_under_a_retired_version_by_any_way(ragward):
    """Else destroying it would take that along."""
    record = ragward.catalog.documents("acme")[0]
    ragward.rotation.rotate(STEWARD, LEVEL)
    catalog = ragward.relabelling._ports.catalog
    from ragward.domain.corpus import LabelMove

    stale = LabelMove(
        document_id=record.document_id,
        version=record.version,
        expected_label_id=record.label_id,
        label=label(denied=frozenset({"user:acme/dot"})),
        key=record.key,  # as it was read before the rotation
        note="x",
    )
    assert code_of(lambda: catalog.relabel("acme", [stale])) == "key.state"
    waiting = dataclasses.replace(stale, pending=Pending.REWRAP)
    assert code_of(lambda: catalog.relabel("acme", [waiting])) == "key.state"
    from ragward.domain.rotation import Rewrapped

    back = Rewrapped(
        document_id=record.document_id,
        version=record.version,
        from_version=2,
        before=ragward.catalog.get_document("acme", record.document_id).key.wrapped_dek,
        to_version=1,
        after=record.key.wrapped_dek,
    )

    def call():
        return ledger(ragward).store_rewrapped("acme", kek(ragward), [back])

    assert code_of(call) == "key.state"
    assert readable(ragward) == 12


def test_a_long_document_begun_under_the_old_version_is_moved_while_it_is_staged(ragward):
    """Its row is there before it can be read."""
    catalog = ragward.catalog
    long = SourceDocument(
        source="long.txt",
        filename="long.txt",
        data=" ".join(f"The calibration of part {n} is due." for n in range(4000)).encode(),
        label=label(),
    )
    ragward.ingestion.ingest(STEWARD, long)
    with catalog._database.write("acme") as connection:
        connection.exec_driver_sql(
            "UPDATE versions SET state = 'staged' WHERE document_id ="
            " (SELECT document_id FROM documents WHERE source = 'long.txt')"
        )
    assert ragward.rotation.rotate(STEWARD, LEVEL).rewrapped == 13
    assert versions(ragward) == {1: ("decrypt_only", 0), 2: ("active", 13)}


def test_two_rotations_at_once_end_with_everything_under_one_version(ragward):
    def further():
        return (ragward.rotation._ports.keyring.stage("acme", LEVEL), activate())

    def activate():
        ring = ragward.rotation._ports.keyring
        ring.activate(kek(ragward), 3)

    instead(ragward, ledger=Between(ledger(ragward), "store_rewrapped", further))
    done = ragward.rotation.rotate(STEWARD, LEVEL)
    assert (done.version, done.remaining) == (3, 0)
    assert versions(ragward) == {
        1: ("decrypt_only", 0),
        2: ("decrypt_only", 0),
        3: ("active", 12),
    }
    assert readable(ragward) == 12


def test_several_threads_rotate_while_others_read_and_write(ragward, monkeypatch):
    monkeypatch.setattr("ragward.rotation.BATCH", 2)
    problems, stop = [], threading.Event()

    def guarded(work):
        try:
            work()
        except RagwardError as error:
            problems.append(error.code)

    def read():
        while not stop.is_set():
            found = readable(ragward)
            if found < 12:
                problems.append(found)

    def rotate():
        for _ in range(3):
            ragward.rotation.rotate(STEWARD, LEVEL)

    def write():
        for n in range(100, 106):
            ragward.ingestion.ingest(STEWARD, document(n))

    reader = threading.Thread(target=guarded, args=(read,))
    workers = [threading.Thread(target=guarded, args=(w,)) for w in (rotate, rotate, write)]
    for thread in (reader, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    reader.join()
    assert problems == []
    ragward.rotation.resume()
    held = [number for _, number in versions(ragward).values()]
    assert held[-1] == 18
    assert sum(held[:-1]) == 0
    assert readable(ragward) == 18


def test_a_request_that_read_before_the_move_is_answered_after_it(ragward):
    """The old version still opens what was read under it, for as long as a request may take."""
    from ragward.retrieval import Retrieval

    catalog = ragward.retrieval._ports.catalog

    class Slow:
        def __getattr__(self, name):
            def read(*given, **named):
                found = catalog.stored_chunks(*given, **named)
                ragward.rotation.rotate(STEWARD, LEVEL)
                return found

            return read if name == "stored_chunks" else getattr(catalog, name)

    slow = Retrieval(dataclasses.replace(ragward.retrieval._ports, catalog=Slow()))
    answer = slow.retrieve(asked_by("ann"), RetrievalRequest(query="calibration", limit=5))
    assert answer.passages

    def destroy():
        return ragward.rotation.destroy(STEWARD, kek(ragward), 1, WHY)

    assert code_of(destroy) == "key.state"


def test_a_quarantined_document_is_moved_too(ragward):
    record = ragward.catalog.documents("acme")[0]
    ragward.catalog.set_state("acme", record.document_id, DocumentState.QUARANTINED)
    assert ragward.rotation.rotate(STEWARD, LEVEL).rewrapped == 12
    assert KEKState.ACTIVE.value == versions(ragward)[2][0]
