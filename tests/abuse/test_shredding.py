"""T25: what was shredded opens nowhere: not here, not from a backup once the KEK is rolled; and a receipt never says more than is so."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import struct

import pytest

from ragward import installation
from ragward.domain.corpus import SourceDocument
from ragward.domain.envelope import KeyPurpose
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.handling import Mode
from ragward.domain.keys import Reading
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.pseudonyms import TypedValue
from ragward.domain.shredding import Copies, Obstacle, ShredKind, ShredLevel, ShredRequest
from ragward.relabelling import Relabelling
from tests import company
from tests.abuse.test_rotation import stranger_of
from tests.copies import copied, found_in
from tests.installation import asked_by, initialised, opened, settings_in

STEWARD = company.subject("steward")
WHY = "the person asked for it in writing"
RESTRICTED, PUBLIC = Classification.RESTRICTED, Classification.PUBLIC
SENTENCES = [
    f"Known sentence {n} says that the {company.WORDS[n % len(company.WORDS)]} of case {n} is void."
    for n in range(400)
]


BOTH = ("user:acme/ann", "user:acme/ben")


def source(n, level=RESTRICTED, *, folder="plans", attributes=None, granted=BOTH):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset(granted)
    )
    text = " ".join(SENTENCES[n * 10 : n * 10 + 10])
    return SourceDocument(
        source=f"{folder}/plan-{n}.txt",
        filename=f"plan-{n}.txt",
        data=text.encode(),
        label=label,
        attributes=attributes or {},
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """RESTRICTED 0-9 below plans/, PUBLIC 20 below open/, ann's own 30-32."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with opened(initialised(home)) as ragward:
        for n in range(10):
            ragward.ingestion.ingest(STEWARD, source(n))
        ragward.ingestion.ingest(STEWARD, source(20, PUBLIC, folder="open"))
        ragward.ingestion.ingest(STEWARD, source(30, attributes={"data_subject": "ann"}))
        ragward.ingestion.ingest(STEWARD, source(31, attributes={"owner": "user:acme/ann"}))
        ragward.ingestion.ingest(STEWARD, source(32, granted=("user:acme/ann",)))
        ragward.ingestion.ingest(STEWARD, source(33, attributes={"owner": "annabel"}))
    return home


@pytest.fixture
def home(filled, tmp_path):
    copied(filled, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def ragward(home):
    with opened(settings_in(home)) as ragward:
        yield ragward


def id_of(ragward, n, folder="plans"):
    return ragward.catalog.find_document("acme", "hr", f"{folder}/plan-{n}.txt").document_id


def names(ragward):
    return sorted(r.source.rpartition("-")[2][:-4] for r in ragward.catalog.documents("acme"))


def asked(kind, target, **given):
    return ShredRequest(kind=ShredKind(kind), target=target, reason=WHY, **given)


def shred(ragward, kind, target, by=STEWARD, **given):
    return ragward.shredding.shredded(by, asked(kind, target, **given))


def finish(ragward, receipt, gone=(), *, wait=True):
    """As the command line does."""
    ragward.shredding.finish(STEWARD, receipt.receipt_id, WHY, gone)
    if wait:
        ragward.clock.seconds += 31
    return ragward.shredding.finish(STEWARD, receipt.receipt_id, WHY)


def texts(ragward, name="ann"):
    request = RetrievalRequest(
        query="known sentence case", limit=50, max_passages_per_document=50, minimize=Mode.OFF
    )
    return " ".join(p.text for p in ragward.retrieve(asked_by(name), request).passages)


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


def legible(directory, needles):
    return found_in(needles, directory)


# Who may. -------------------------------------------------------------------------------------------------------------


def test_another_tenants_steward_finds_nothing_to_shred(ragward):
    from ragward.domain.policy import PolicyRow

    rows = [
        PolicyRow("user:globex/root", action, "globex/*", "PUBLIC..RESTRICTED", "*", "allow")
        for action in ("document:delete", "key:rotate", "document:relabel")
    ]
    ragward.catalog.replace_policy("globex", rows, [], "test")
    stranger, document = stranger_of("globex"), id_of(ragward, 0)
    receipt = shred(ragward, "document", id_of(ragward, 1)).receipt
    for call in (
        lambda: shred(ragward, "document", document, by=stranger),
        lambda: shred(ragward, "document", "no-such-document", by=stranger),
        lambda: shred(ragward, "source", "hr:plans/", by=stranger),
        lambda: shred(ragward, "tenant", "acme", by=stranger),
        lambda: ragward.shredding.show(stranger, receipt.receipt_id),
        lambda: ragward.shredding.finish(stranger, receipt.receipt_id, WHY),
    ):
        assert code_of(call) == "access.not_found"

    def wrong():
        return shred(ragward, "subject", "user:acme/ann", by=stranger)

    assert code_of(wrong) == "principal.invalid"
    assert "0" in names(ragward)


def test_a_reader_may_not_shred_and_who_may_not_know_finds_nothing(ragward):
    document = id_of(ragward, 0)

    def call(name):
        return lambda: shred(ragward, "document", document, by=company.subject(name))

    assert code_of(call("ann")) == "access.denied"
    assert code_of(call("dot")) == "access.not_found"

    def tenant():
        return shred(ragward, "tenant", "acme", by=company.subject("ann"))

    assert code_of(tenant) == "access.denied"
    receipt = shred(ragward, "document", document).receipt
    ann = company.subject("ann")
    assert code_of(lambda: ragward.shredding.show(ann, receipt.receipt_id)) == "access.not_found"
    assert code_of(lambda: ragward.shredding.receipts(ann)) == "access.denied"


def test_what_cannot_be_recorded_is_not_shredded(ragward):
    class Full:
        def append(self, event, *, durable):
            raise UnavailableError(code="unavailable.audit")

    ports = ragward.shredding._ports
    recorder = dataclasses.replace(ports.recorder, audit=Full())
    ragward.shredding._ports = dataclasses.replace(ports, recorder=recorder)

    def call():
        return shred(ragward, "document", id_of(ragward, 0))

    assert code_of(call) == "unavailable.audit"
    assert SENTENCES[0] in texts(ragward)


@pytest.mark.parametrize(
    ("kind", "target"),
    [("source", "plans/"), ("source", "hr:plans"), ("subject", "group:acme/staff")],
)
def test_malformed_targets_are_refused(ragward, kind, target):
    assert code_of(lambda: shred(ragward, kind, target)) in ("request.invalid", "principal.invalid")


def test_a_dry_run_changes_nothing(ragward):
    before = ragward.catalog.epoch("acme"), names(ragward)
    evidence = shred(ragward, "source", "hr:plans/", dry_run=True)
    assert evidence.receipt.counts["documents"] == 14
    assert (ragward.catalog.epoch("acme"), names(ragward)) == before
    assert ragward.shredding.receipts(STEWARD) == []


# What goes. -----------------------------------------------------------------------------------------------------------


def test_a_document_is_gone_at_once_and_so_are_its_names_and_points(ragward):
    points, epoch = len(_points(ragward)), ragward.catalog.epoch("acme")
    document = id_of(ragward, 0)
    evidence = shred(ragward, "document", document)
    assert evidence.level is ShredLevel.LOGICAL
    assert evidence.recorded
    assert evidence.keys_gone
    counts = evidence.receipt.counts
    assert counts["documents"] == counts["versions"] == 1
    assert counts["points"] > 0
    assert len(_points(ragward)) == points - counts["points"]
    assert ragward.catalog.epoch("acme") > epoch
    assert SENTENCES[0] not in texts(ragward)
    assert SENTENCES[10] in texts(ragward)
    assert code_of(lambda: ragward.stewardship.document(STEWARD, document)) == "access.not_found"
    assert ragward.catalog.find_document("acme", "hr", "plans/plan-0.txt") is None
    assert code_of(lambda: shred(ragward, "document", document)) == "access.not_found"


def test_a_source_is_everything_below_a_folder(ragward):
    evidence = shred(ragward, "source", "hr:plans/")
    assert names(ragward) == ["20"]
    assert evidence.receipt.everything is False  # of what the steward may know
    assert evidence.receipt.counts["documents"] == 14


def test_a_subject_is_what_is_recorded_as_theirs_and_no_more(ragward):
    evidence = shred(ragward, "subject", "user:acme/ann")
    assert evidence.receipt.counts["documents"] == 3
    assert set(names(ragward)) & {"30", "31", "32"} == set()
    assert "33" in names(ragward)


def test_earlier_versions_and_names_in_jobs_go_too(ragward):
    changed = dataclasses.replace(source(0), data=b"Another text of the known plan for the case.")
    ragward.ingestion.ingest(STEWARD, changed)
    shred(ragward, "document", id_of(ragward, 0))
    assert b"plan-0.txt" not in b"".join(
        p.read_bytes() for p in ragward.settings.data_dir.glob("catalog.db*")
    )


def test_a_tenant_is_everything_and_its_keys(ragward):
    evidence = shred(ragward, "tenant", "acme")
    assert names(ragward) == []
    assert ragward.index.count() == 0
    states = {r.status.state.value for r in ragward.rotation.keys(STEWARD)}
    assert states == {"destroyed"}
    assert evidence.obstacles == (
        Obstacle.PLAIN_TEXT,
        Obstacle.INDEX_COPIES,
        Obstacle.KEYRING_COPIES,
    )
    ragward.ingestion.ingest(STEWARD, source(0))  # and it goes on, under new keys
    assert SENTENCES[0] in texts(ragward)
    assert ragward.shredding.show(STEWARD, evidence.receipt.receipt_id).keys_gone


def test_a_tenants_vault_of_pseudonyms_goes_with_it(ragward):
    vault, value = ragward.disclosure.vault, TypedValue("PERSON", "Ann Weber")
    token = vault.tokens("acme", "", [value])[value]
    shred(ragward, "tenant", "acme")
    assert ragward.catalog.find_pseudonym("acme", token) is None
    again = vault.tokens("acme", "", [value])[value]
    assert again != token
    assert vault.read("acme", "", again, Reading(subject=STEWARD)).value == "Ann Weber"


def test_the_vaults_key_holds_no_document_and_is_in_no_receipt_of_one(ragward):
    vault, value = ragward.disclosure.vault, TypedValue("PERSON", "Ann Weber")
    vault.tokens("acme", "", [value])
    with contextlib.closing(sqlite3.connect(ragward.settings.data_dir / "catalog.db")) as database:
        database.execute("UPDATE versions SET earlier_keks = NULL")  # nobody knows: all of them
        database.commit()
    receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    purposes = {status.kek_id: status.purpose for status in ragward.keyring.status()}
    assert KeyPurpose.PSEUDONYM in purposes.values()
    assert {purposes[kek.kek_id] for kek in receipt.keks} == {KeyPurpose.CONTENT}


def test_an_ingest_under_way_does_not_bring_a_shredded_document_back(ragward):
    catalog = ragward.ingestion._ports.catalog
    document = id_of(ragward, 0)

    class Between:
        def __getattr__(self, name):
            if name == "commit_version":
                shred(ragward, "document", document)
            return getattr(catalog, name)

    ragward.ingestion._ports = dataclasses.replace(ragward.ingestion._ports, catalog=Between())
    changed = dataclasses.replace(source(0), data=b"Another text of the known plan for the case.")
    assert code_of(lambda: ragward.ingestion.ingest(STEWARD, changed)) == "catalog.exists"
    assert "0" not in names(ragward)


# Legible. -------------------------------------------------------------------------------------------------------------


def test_nothing_legible_is_left_in_any_file(home, tmp_path):
    """PUBLIC text lies in clear until it is shredded: that the search finds it before shows that it would find it after."""
    settings = settings_in(home)
    with sqlite3.connect(settings.data_dir / "catalog.db") as database:
        wrapped = [row[0] for row in database.execute("SELECT wrapped_dek FROM versions")]
        blobs = [row[0][24:104] for row in database.execute("SELECT vector_blob FROM points")]
    database.close()
    sentences = [s.encode() for s in SENTENCES]
    assert legible(home, sentences)
    assert len(legible(home, wrapped)) == len(wrapped)
    with opened(settings) as ragward:
        vectors = [
            r.vector[""]
            for r in ragward.index.plain._shard.retrieve(
                _points(ragward), with_payload=False, with_vector=True
            )
        ]
        packed = [struct.pack(f"<{len(v)}f", *v)[:64] for v in vectors]
        assert legible(settings.data_dir / "index", packed)
        shred(ragward, "source", "hr:plans/")
        shred(ragward, "source", "hr:open/")
        assert legible(home, [*sentences, *wrapped, *blobs]) == []  # the WAL included
        assert legible(settings.data_dir / "index", packed) == []
        backup = tmp_path / "dump"
        installation.backup(ragward, backup)
        assert legible(backup, [*sentences, *wrapped]) == []
    assert legible(home, [*sentences, *wrapped, *blobs, *packed]) == []


def _points(ragward):
    with ragward.catalog._database.read("acme") as connection:
        return list(connection.exec_driver_sql("SELECT point_id FROM points").scalars())


# Backups. -------------------------------------------------------------------------------------------------------------


def restored(home, tmp_path, backup, *, keyring=None):
    """How much of the backup opens with the keys of now, or with a keyring of then."""
    target = tmp_path / "restored"
    shutil.rmtree(target, ignore_errors=True)
    settings = settings_in(home)
    other = {
        "keyring": keyring,
        "policy_key": settings.keyring.with_name("policy-signing.key"),
    }
    settings = settings.model_copy(update={"data_dir": target} | (other if keyring else {}))
    installation.restore(settings, backup)
    with opened(settings) as ragward:
        ragward.index_sync.rebuild()
        return texts(ragward)


def test_a_backup_from_before_opens_until_the_kek_is_rolled_and_never_after(home, tmp_path):
    backup, then = tmp_path / "backup", tmp_path / "then.json"
    with opened(settings_in(home)) as ragward:
        installation.backup(ragward, backup)
        receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    assert SENTENCES[0] in restored(home, tmp_path, backup)  # logical, as the receipt says
    shutil.copy(settings_in(home).keyring, then)
    then.chmod(0o600)
    with opened(settings_in(home)) as ragward:
        # Its vectors were sealed: no copy of the index holds them.
        assert finish(ragward, receipt).obstacles == (Obstacle.KEYRING_COPIES,)
        assert SENTENCES[10] in texts(ragward)  # what was not shredded is there
    after = restored(home, tmp_path, backup)
    assert not [s for s in SENTENCES[:100] if s in after]  # nor anything else under that version
    assert SENTENCES[0] in restored(home, tmp_path, backup, keyring=then)  # why it is not promised


def test_a_rotation_alone_does_not_kill_backups(ragward):
    receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    ragward.rotation.rotate(STEWARD, RESTRICTED)
    assert Obstacle.KEK_ALIVE in ragward.shredding.show(STEWARD, receipt.receipt_id).obstacles
    ragward.clock.seconds += 31
    old = next(k for k in receipt.keks if k.version == 1)
    ragward.rotation.destroy(STEWARD, old.kek_id, 1, WHY)
    shown = ragward.shredding.show(STEWARD, receipt.receipt_id)  # by itself, when it is destroyed
    assert Obstacle.KEK_ALIVE not in shown.obstacles


def test_every_version_that_wrapped_a_key_has_to_go_not_only_the_last(ragward):
    ragward.rotation.rotate(STEWARD, RESTRICTED)
    receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    assert {kek.version for kek in receipt.keks} == {1, 2}
    assert Obstacle.KEK_ALIVE in finish(ragward, receipt, wait=False).obstacles
    assert Obstacle.KEK_ALIVE not in finish(ragward, receipt).obstacles


def test_a_document_that_was_lowered_is_under_two_keks_in_backups(ragward):
    record = ragward.catalog.get_document("acme", id_of(ragward, 0))
    lower = dataclasses.replace(record.label, classification=Classification.INTERNAL)
    alone = Relabelling(dataclasses.replace(ragward.relabelling._ports, four_eyes=False))
    alone.relabel(STEWARD, record.document_id, lower, WHY)
    receipt = shred(ragward, "document", record.document_id).receipt
    levels = {kek.classification for kek in receipt.keks}
    assert levels == {Classification.INTERNAL, RESTRICTED}


def test_a_document_from_before_this_was_kept_may_be_under_any_kek(ragward):
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql("UPDATE versions SET earlier_keks = NULL")
    receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    assert {kek.classification for kek in receipt.keks} == {PUBLIC, RESTRICTED}
    assert receipt.plain_text


# Levels. --------------------------------------------------------------------------------------------------------------


def test_backup_proof_needs_statements_and_says_who_made_them(ragward):
    receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    assert finish(ragward, receipt, [Copies.INDEX]).level is ShredLevel.LOGICAL
    done = finish(ragward, receipt, [Copies.KEYRING])
    assert done.level is ShredLevel.BACKUP_PROOF
    assert done.recorded
    stated = {(s.gone, s.by, s.reason) for s in done.receipt.statements}
    assert stated == {(c, "user:acme/steward", WHY) for c in Copies}


@pytest.mark.parametrize("raised_later", [False, True])
def test_text_that_ever_lay_in_clear_is_never_backup_proof(ragward, raised_later):
    document = id_of(ragward, 20, "open")
    if raised_later:
        record = ragward.catalog.get_document("acme", document)
        higher = dataclasses.replace(record.label, classification=RESTRICTED)
        ragward.relabelling.relabel(STEWARD, document, higher, WHY)
    receipt = shred(ragward, "document", document).receipt
    done = finish(ragward, receipt, list(Copies))
    assert done.obstacles == (Obstacle.PLAIN_TEXT,)
    assert done.level is ShredLevel.LOGICAL


def test_an_edited_receipt_is_found_out(ragward):
    receipt = shred(ragward, "document", id_of(ragward, 20, "open")).receipt
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql(
            """UPDATE shreddings SET body = replace(body, '"plain_text": true', '"plain_text": false')"""
        )
    assert not ragward.shredding.show(STEWARD, receipt.receipt_id).recorded
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql("UPDATE shreddings SET body = '{}'")

    def show():
        return ragward.shredding.show(STEWARD, receipt.receipt_id)

    assert code_of(show) == "integrity.envelope"


def test_a_document_that_came_back_is_found_out(ragward, home, tmp_path):
    backup = tmp_path / "backup"
    installation.backup(ragward, backup)
    receipt = shred(ragward, "document", id_of(ragward, 0)).receipt
    with sqlite3.connect(backup / "catalog.db") as old:
        (key,) = old.execute(
            "SELECT wrapped_dek FROM versions WHERE document_id = ?", receipt.documents
        ).fetchone()
    old.close()
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql(
            "UPDATE versions SET wrapped_dek = ? WHERE document_id = ?", (key, *receipt.documents)
        )
    assert not ragward.shredding.show(STEWARD, receipt.receipt_id).keys_gone


# Crashes. -------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """kill -9, as far as one process can play it."""


STEPS = ("save_receipt", "shred", "scrub")


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *(pytest.param("source", step, marks=pytest.mark.prove) for step in STEPS),
        *(("tenant", step) for step in (*STEPS, "close_tenant_keys")),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_and_finished(ragward, step, after, kind):
    ports = ragward.shredding._ports
    kept = ports.ledger

    class Dying:
        def __getattr__(self, name):
            def dying(*given):
                if after:
                    getattr(kept, name)(*given)
                raise Killed

            return dying if name == step else getattr(kept, name)

    ragward.shredding._ports = dataclasses.replace(ports, ledger=Dying())
    target = "hr:plans/" if kind == "source" else "acme"
    with pytest.raises(Killed):
        shred(ragward, kind, target)
    ragward.shredding._ports = ports
    found = ragward.shredding.receipts(STEWARD)
    if not found:  # nothing was promised
        assert (step, after) == ("save_receipt", False)
        assert len(names(ragward)) == 15
        return
    assert found[0].level is ShredLevel.BEGUN
    assert ragward.shredding.resume() == (kind == "source")
    if kind == "tenant":
        ragward.shredding.finish(STEWARD, found[0].receipt.receipt_id, WHY)
    ended = ragward.shredding.show(STEWARD, found[0].receipt.receipt_id)
    assert ended.level is ShredLevel.LOGICAL
    assert ended.recorded
    assert ended.keys_gone
    assert ended.receipt.counts["documents"] == (14 if kind == "source" else 15)
    assert names(ragward) == (["20"] if kind == "source" else [])
    assert not any(s in texts(ragward) for s in SENTENCES[10:]) or kind == "source"


def test_the_log_names_no_content(ragward):
    shred(ragward, "source", "hr:plans/")
    events = [json.loads(e.data) for e in ragward.audit.entries(limit=1000)]
    mine = [e for e in events if e["type"] == "content.shredded"]
    assert [e["details"]["act"] for e in mine] == ["begin", "end"]
    assert "plan" not in json.dumps(mine)
