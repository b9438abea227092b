"""Vectors above INTERNAL never lie in the index, and nothing is lost by it: raising, lowering, restarts, keys away, workers."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import time

import pytest

from ragward.domain.errors import ConfigurationError, UnavailableError
from ragward.domain.labels import Classification
from ragward.opening import resource
from ragward.settings import Settings
from tests import company
from tests.conformance.test_no_leak import ASKERS, World, _Paused, check
from tests.copies import contents
from tests.installation import asked_by, initialised, opened

QUERIES = ("budget travel", "vpn incident audit", "salary contract")
STEWARD = company.subject("steward")


def ingest(ragward, count=40):
    for document in company.documents(count):
        ragward.ingestion.ingest(STEWARD, document)


@pytest.fixture
def world(tmp_path):
    with opened(initialised(tmp_path)) as ragward:
        ingest(ragward)
        yield World(ragward)


def check_all(world):
    for asker in ASKERS[:-1]:
        for query in QUERIES:
            check(world, asker, query, 8)


def records(ragward, *levels):
    found = ragward.catalog.documents("acme", limit=10_000)
    return [r for r in found if r.label.classification in levels]


def points_of(ragward, record):
    return [s.point_id for s in ragward.catalog.document_chunks("acme", record.document_id)]


def in_plain(ragward, names):
    return {c.point_id for c in ragward.index.plain.score_points([1.0] * 64, names)}


def require_right_places(ragward, sealed=Classification.CONFIDENTIAL):
    """What is sealed is nowhere in the index, what is not is there; nothing else is in it."""
    wanted = set()
    for record in records(ragward, *Classification):
        names = points_of(ragward, record)
        if record.label.classification < sealed and record.state == "active":
            wanted |= set(names)
        else:
            assert not in_plain(ragward, names)
    assert in_plain(ragward, wanted) == wanted
    assert ragward.index.plain.count() == len(wanted) > 0


def legible(directory, vectors):
    """How many of these vectors can be found in the files below, as floats of 4, 2 or 8 bytes; part of one is enough."""
    files = contents(directory)
    found = 0
    for vector in vectors:
        needles = [struct.pack(f"<8{kind}", *vector[8:16]) for kind in "fed"]
        found += any(needle in content for needle in needles for content in files)
    return found


def vectors_of(ragward, record):
    stored = ragward.catalog.vectors_of("acme", [record.document_id], [record.label_id])
    opened_vectors = ragward.index_sync.opener.opened(stored)
    return [struct.unpack("<64f", packed[-256:]) for packed in opened_vectors]


def relabel(ragward, record, **changes):
    label = dataclasses.replace(record.label, **changes)
    ragward.relabelling.relabel(STEWARD, record.document_id, label, "a test of vectors")


def purged(ragward):
    for _ in range(500):
        if not ragward.index.plain._files.purge_is_due:
            return True
        time.sleep(0.01)
    return False


def test_the_index_holds_public_and_internal_vectors_only(world):
    ragward = world.ragward
    require_right_places(ragward)
    check_all(world)
    assert {k.classification for k in ragward.sealed.held()} == set(Classification) - {0, 1}


@pytest.mark.parametrize(
    "paused",
    [pytest.param(False, marks=pytest.mark.prove, id=""), pytest.param(True, id="outbox paused")],
)
def test_raising_seals_and_lowering_opens_at_once_and_nothing_is_lost(world, paused):
    ragward = world.ragward
    sync = ragward.index_sync
    check_all(world)  # segments are in memory
    ports = dataclasses.replace(ragward.relabelling._ports, four_eyes=False)
    if paused:
        ports = dataclasses.replace(ports, index_sync=_Paused())
    ragward.relabelling._ports = ports
    raised = records(ragward, Classification.PUBLIC, Classification.INTERNAL)[:4]
    lowered = records(ragward, Classification.CONFIDENTIAL, Classification.RESTRICTED)[:4]
    seen = [v for record in raised for v in vectors_of(ragward, record)]
    assert legible(ragward.settings.data_dir, seen) == len(seen) > 5
    for number, record in enumerate(raised):
        level = Classification.CONFIDENTIAL if number % 2 else Classification.RESTRICTED
        relabel(ragward, record, classification=level, granted=frozenset({"group:acme/staff"}))
        check(world, "ann", "budget travel", 8)
    for record in lowered:
        relabel(
            ragward,
            record,
            classification=Classification.INTERNAL,
            compartments=frozenset(),
            granted=frozenset({"group:acme/staff"}),
        )
        check(world, "ben", "salary contract", 8)
    assert bool(ragward.catalog.pending_points("acme", limit=1)) is paused
    check_all(world)
    sync.run()
    check_all(world)
    require_right_places(ragward)
    assert purged(ragward)
    data = ragward.settings.data_dir
    assert legible(data / "index", seen) == 0
    ragward.close()  # PUBLIC content was not encrypted: SQLite's log has it until it is written back
    assert legible(data, seen) == 0


def test_after_a_restart_nothing_is_in_memory_until_somebody_asks(world, tmp_path):
    ragward = world.ragward
    passages = {n: ragward.retrieve(asked_by(n), QUERIES[0]).passages for n in ("ann", "ben")}
    ragward.close()
    with opened(ragward.settings) as again:
        assert again.sealed.count() == 0
        assert again.retrieve(asked_by("nobody"), QUERIES[0]).passages == ()
        assert again.retrieve(asked_by("cai"), QUERIES[0]).passages
        assert again.sealed.held() == []  # an intern may read nothing above INTERNAL
        for name, before in passages.items():
            assert again.retrieve(asked_by(name), QUERIES[0]).passages == before
        assert again.sealed.count() > 0


class Partly:
    """A keyring whose KEKs of some classifications are away."""

    def __init__(self, keyring):
        self._keyring, self.away = keyring, set()

    def __getattr__(self, name):
        return getattr(self._keyring, name)

    def unwrap_all(self, wraps, reading):
        return self._some(wraps, self._keyring.unwrap_all(wraps, reading))

    def vector_keys(self, wraps):
        return self._some(wraps, self._keyring.vector_keys(wraps))

    def rewrap_all(self, moves, reading=None):
        return self._some([w for w, _ in moves], self._keyring.rewrap_all(moves, reading))

    def _some(self, wraps, given):
        return [
            UnavailableError(code="unavailable.keys") if w.context.kek_id in self.away else key
            for w, key in zip(wraps, given, strict=True)
        ]


def test_with_the_keys_of_sealed_vectors_away_others_go_on(tmp_path):
    from ragward.adapters.keyring_file import FileKeyring
    from tests.installation import PASSPHRASE

    settings = initialised(tmp_path)
    keyring = Partly(FileKeyring.open(settings.keyring, PASSPHRASE))
    with opened(settings, keyring=keyring) as ragward:
        ingest(ragward)
        sealed = {r.key.kek_id for r in records(ragward, *list(Classification)[2:])}
        keyring.away = sealed
        answer = ragward.retrieve(asked_by("cai"), QUERIES[0])
        assert answer.passages
        for asker in ("ann", "ben", "ben+bot"):
            with pytest.raises(UnavailableError) as caught:
                ragward.retrieve(asked_by(asker), QUERIES[0])
            assert caught.value.code == "unavailable.keys"
        keyring.away = set()
        for asker in ("ann", "ben", "ben+bot"):
            assert ragward.retrieve(asked_by(asker), QUERIES[0]).passages


def with_vectors(settings, tmp_path, **modes):
    policies = tmp_path / "policies"
    shutil.rmtree(policies, ignore_errors=True)
    shutil.copytree(resource("policies"), policies)
    text = (policies / "handling.toml").read_text()
    for level, mode in modes.items():
        head, name, rest = text.partition(f"\n[{level}]\n")
        block, mark, others = rest.partition("\n\n[")
        lines = [line for line in block.splitlines() if not line.startswith("vectors")]
        text = head + name + "\n".join([*lines, f'vectors = "{mode}"']) + "\n" + mark + others
    (policies / "handling.toml").write_text(text)
    kept = {n: getattr(settings, n) for n in ("data_dir", "keyring", "passphrase")}
    return Settings.load(**kept, policies_dir=policies)


@pytest.mark.prove
def test_another_choice_works_the_index_over_when_it_is_next_opened(world, tmp_path):
    ragward = world.ragward
    confidential = records(ragward, Classification.CONFIDENTIAL)
    seen = [v for record in confidential for v in vectors_of(ragward, record)]
    data = ragward.settings.data_dir
    assert legible(data, seen) == 0
    ragward.close()
    plain = with_vectors(ragward.settings, tmp_path, CONFIDENTIAL="plain")
    with opened(plain) as again:
        require_right_places(again, sealed=Classification.RESTRICTED)
        check_all(World(again))
        again.index.plain._shard.flush()
        assert legible(data, seen) == len(seen) > 5
    more = with_vectors(ragward.settings, tmp_path, INTERNAL="sealed")
    with opened(more) as again:
        require_right_places(again, sealed=Classification.INTERNAL)
        assert purged(again)
        check_all(World(again))
    assert legible(data, seen) == 0


def test_an_index_of_an_older_version_is_worked_over(world):
    ragward = world.ragward
    ragward.catalog.set_meta("sealed-vectors", "")  # it knew nothing of it
    confidential = records(ragward, Classification.CONFIDENTIAL)[0]
    from ragward.domain.corpus import IndexPoint

    names, vectors = points_of(ragward, confidential), vectors_of(ragward, confidential)
    ragward.index.plain.upsert(
        [
            IndexPoint(point_id=name, scope_id=1, vector=list(vector))
            for name, vector in zip(names, vectors, strict=True)
        ]
    )
    assert in_plain(ragward, names)
    ragward.close()
    with opened(ragward.settings) as again:
        require_right_places(again)
        assert purged(again)
    assert legible(ragward.settings.data_dir, vectors) == 0


@pytest.mark.parametrize("wrong", ["rotated", "", "PLAIN"])
def test_modes_are_plain_and_sealed(tmp_path, wrong):
    settings = initialised(tmp_path)
    with pytest.raises(ConfigurationError):
        opened(with_vectors(settings, tmp_path, CONFIDENTIAL=wrong))


def test_sealed_means_encrypted(tmp_path):
    """PUBLIC content is only authenticated: its blobs would show the vectors."""
    settings = initialised(tmp_path)
    with pytest.raises(ConfigurationError, match="encrypt"):
        opened(with_vectors(settings, tmp_path, PUBLIC="sealed"))


def test_restricted_vectors_are_never_plain(tmp_path):
    settings = initialised(tmp_path)
    with pytest.raises(ConfigurationError, match="RESTRICTED"):
        opened(with_vectors(settings, tmp_path, RESTRICTED="plain"))


def test_workers_ask_the_owner_who_alone_has_vectors_in_memory(world):
    owner = world.ragward
    owner.share()
    with opened(owner.settings) as worker:
        check_all(World(worker))
        assert worker.sealed.count() == owner.sealed.count() > 0
        record = records(owner, Classification.INTERNAL)[0]
        relabel(worker, record, classification=Classification.RESTRICTED)
        require_right_places(owner)
        assert purged(owner)
        check_all(World(worker))
        check_all(world)
        worker.sealed.clear()
        assert owner.sealed.count() == 0


def test_a_document_that_waits_for_its_key_is_in_no_memory(world):
    """Its vector is bound to the label it had."""
    ragward = world.ragward
    check_all(world)
    record = records(ragward, Classification.CONFIDENTIAL)[0]
    names = set(points_of(ragward, record))
    ports = ragward.relabelling._ports
    keyring = Partly(ports.protection.keyring)
    keyring.away = {k.kek_id for k in ragward.keyring.status()}
    gone = dataclasses.replace(ports.protection, keyring=keyring)
    ragward.relabelling._ports = dataclasses.replace(ports, protection=gone)
    relabel(ragward, record, granted=frozenset({"group:acme/hr"}))
    ragward.relabelling._ports = ports
    assert ragward.degraded() == ["rewrap_pending"]
    for asker in ("ann", "ben"):
        found = ragward.retrieve(asked_by(asker), QUERIES[0]).passages
        assert record.document_id not in {p.document_id for p in found}
    held = {n for s in ragward.sealed._slots.values() for n in (s.segment._block.row_of)}
    assert held
    assert not names & held
    assert not any(e for e in _failures(ragward))
    ragward.relabelling.resume()
    check_all(world)


def _failures(ragward):
    return [e for e in ragward.audit.entries(limit=10_000) if b"integrity.failure" in e.data]
