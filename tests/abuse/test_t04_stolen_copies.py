"""T04: copies of the data directory, of the keyring, of a backup; a flipped byte in each kind of record; and the way back.

What a thief gets of each, and what the owner gets after backup, restore and rebuild.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
import tempfile

import pytest

from ragward import installation
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import ConfigurationError, RagwardError
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.settings import Settings
from tests import company
from tests.copies import contents, copied, found_in
from tests.installation import PASSPHRASE, asked_by, initialised, opened

SENTENCES = [
    f"Sentence {n} of the restricted plan names the {word} of quarter {n}."
    for n, word in enumerate(company.WORDS * 4)
][:100]
TEXT = " ".join(SENTENCES[:50])
OPEN = "An open sentence that whoever looks for it finds in every copy."
QUERY = "restricted plan quarter"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where this process puts temporary files."""
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def home(tmp_path, temporary):
    settings = initialised(tmp_path / "home")
    label = AccessLabel(
        tenant="acme",
        corpus="hr",
        classification=Classification.RESTRICTED,
        granted=frozenset({"user:acme/ann"}),
    )
    with opened(settings) as ragward:
        ragward.ingestion.ingest(
            company.subject("steward"),
            SourceDocument(
                source="plan.txt",
                filename="plan.txt",
                data=TEXT.encode(),
                label=label,
                attributes={},
            ),
        )
        for document in company.documents(5):
            ragward.ingestion.ingest(company.subject("steward"), document)
        assert answer(ragward)
    return settings


def answer(ragward):
    request = RetrievalRequest(
        query=QUERY, limit=50, max_passages_per_document=50, minimize=Mode.OFF
    )
    return " ".join(p.text for p in ragward.retrieve(asked_by("ann"), request).passages)


def code_of(settings):
    with pytest.raises(RagwardError) as caught, opened(settings) as ragward:
        answer(ragward)
    return caught.value.code


def with_files(settings, **changes):
    kept = {name: getattr(settings, name) for name in ("data_dir", "keyring", "passphrase")}
    return Settings.load(**(kept | changes))


def legible(*directories):
    """Known sentences found in any file below."""
    return found_in([sentence.encode() for sentence in SENTENCES], *directories)


def test_the_data_directory_alone_opens_nothing(home, tmp_path):
    stolen = tmp_path / "stolen"
    copied(home.data_dir, stolen)
    assert legible(stolen) == []
    assert code_of(with_files(home, data_dir=stolen, keyring=tmp_path / "none")) == "config.invalid"
    thief = tmp_path / "thief.json"
    from ragward.adapters.keyring_file import FileKeyring

    FileKeyring.create(thief, PASSPHRASE)  # a keyring of the thief's own, even with our passphrase
    assert code_of(with_files(home, data_dir=stolen, keyring=thief)) == "config.policy_key"
    public = home.keyring.with_name("policy-signing.pub")
    shutil.copy(public, thief.with_name(public.name))  # that is no secret
    assert code_of(with_files(home, data_dir=stolen, keyring=thief)) == "integrity.audit"
    for leftover in stolen.glob("audit.db*"):
        leftover.unlink()
    assert code_of(with_files(home, data_dir=stolen, keyring=thief)) == "unavailable.keys"


def dumped(settings):
    """The database as text, the way `pg_dump` and `.dump` write it."""
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    lines = "\n".join(database.iterdump())
    database.close()
    return lines


@pytest.mark.prove
def test_no_copy_has_a_hundred_sentences_or_the_vectors_of_a_hundred_chunks_above_internal(
    home, tmp_path, temporary
):
    """Not the data directory, a dump of the database, a backup or temporary files: neither whole nor in part, whatever width."""
    backup = tmp_path / "backup"
    with opened(home) as ragward:
        for number in range(60):
            level = Classification.CONFIDENTIAL if number % 2 else Classification.RESTRICTED
            label = AccessLabel(
                tenant="acme",
                corpus="hr",
                classification=level,
                granted=frozenset({"user:acme/ann"}),
            )
            text = " ".join(f"{word}{number}" for word in company.WORDS) + f" a{number}@example.com"
            text += f". {SENTENCES[50 + number % 50]}"
            ragward.ingestion.ingest(
                company.subject("steward"),
                SourceDocument(
                    source=f"n{number}", filename="n.txt", data=text.encode(), label=label
                ),
            )
        assert answer(ragward)
        assert ragward.sealed.count() > 100
        public = AccessLabel(tenant="acme", corpus="hr", classification=Classification.PUBLIC)
        ragward.ingestion.ingest(
            company.subject("steward"),
            SourceDocument(source="open", filename="o.txt", data=OPEN.encode(), label=public),
        )
        ragward.index.plain._shard.flush()
        installation.backup(ragward, backup)
        records = ragward.catalog.documents("acme", limit=1000)
        vectors = {0: [], 1: []}
        for record in records:
            stored = ragward.catalog.vectors_of("acme", [record.document_id], [record.label_id])
            sealed = record.label.classification >= Classification.CONFIDENTIAL
            vectors[sealed] += [v[-256:] for v in ragward.index_sync.opener.opened(stored)]
        assert len(vectors[1]) >= 100
        files = contents(home.data_dir, backup, temporary)
    copies = [*files, dumped(home).lower().encode()]

    def found(packed):
        floats = struct.unpack("<64f", packed)
        needles = [struct.pack(f"{end}6{kind}", *floats[20:26]) for kind in "fed" for end in "<>"]
        needles += [needle.hex().encode() for needle in needles]
        needles.append(str(list(floats[20:23])).strip("[]").encode())
        return any(needle in copy for needle in needles for copy in copies)

    assert [s for s in SENTENCES if any(s.lower().encode() in c.lower() for c in copies)] == []
    assert any(OPEN.lower().encode() in copy.lower() for copy in copies)
    assert sum(map(found, vectors[1])) == 0
    assert sum(map(found, vectors[0])) == len(vectors[0]) > 0  # the search can find


def test_data_directory_and_keyring_file_without_the_passphrase_open_nothing(home, tmp_path):
    stolen, keyring = tmp_path / "stolen", tmp_path / "keyring.json"
    copied(home.data_dir, stolen)
    shutil.copy(home.keyring, keyring)
    guess = tmp_path / "guess"
    guess.write_text("123456789012")
    guess.chmod(0o400)
    taken = with_files(home, data_dir=stolen, keyring=keyring, passphrase=f"file:{guess}")
    assert code_of(taken) == "config.passphrase"
    assert legible(stolen, tmp_path / "keyring.json") == []


def test_a_backup_holds_no_key_and_no_text_and_can_be_restored(home, tmp_path):
    backup = tmp_path / "backup"
    with opened(home) as ragward:
        installation.backup(ragward, backup)
        before = answer(ragward)
    assert sorted(p.name for p in backup.iterdir()) == ["audit.db", "catalog.db"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in backup.iterdir())
    assert legible(backup) == []
    shutil.rmtree(home.data_dir)
    installation.restore(home, backup)
    with opened(home) as ragward:
        assert ragward.index.plain.count() == 0  # the index is not in a backup
        assert answer(ragward)  # what is sealed is searched in the catalog itself
        assert ragward.index_sync.rebuild() > 0
        assert answer(ragward) == before
        assert ragward.audit.verify().consistent
    with pytest.raises(ConfigurationError):
        installation.restore(home, backup)  # never over something


def test_a_stolen_backup_opens_nothing(home, tmp_path):
    backup, target = tmp_path / "backup", tmp_path / "target"
    with opened(home) as ragward:
        installation.backup(ragward, backup)
    taken = with_files(home, data_dir=target, keyring=tmp_path / "none")
    installation.restore(taken, backup)
    assert code_of(taken) == "config.invalid"


def flipped(settings, table, column, where="1"):
    """One bit in the middle of one stored value."""
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    with database:
        key, value = database.execute(
            f"SELECT rowid, {column} FROM {table} WHERE {where} AND {column} IS NOT NULL LIMIT 1"
        ).fetchone()
        changed = bytearray(value if isinstance(value, bytes) else value.encode())
        changed[len(changed) // 2] ^= 1
        stored = bytes(changed) if isinstance(value, bytes) else changed.decode()
        database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (stored, key))
    database.close()


def failures(ragward):
    events = [json.loads(e.data) for e in ragward.audit.entries(limit=10_000)]
    return {e["details"]["code"] for e in events if e["type"] == "integrity.failure"}


PLAN = "document_id = (SELECT document_id FROM documents WHERE source = 'plan.txt')"
FIRST = f"{PLAN} AND ordinal = 0"


@pytest.mark.parametrize(
    ("column", "table", "where", "code"),
    [
        ("blob", "chunks", FIRST, "integrity.envelope"),
        ("wrapped_dek", "versions", PLAN, "integrity.wrapped_key"),
    ],
)
def test_a_flipped_bit_in_a_text_or_a_key_drops_it_and_is_recorded(
    home, column, table, where, code
):
    with opened(home) as ragward:
        assert "Sentence 0 of" in answer(ragward)
    flipped(home, table, column, where)
    with opened(home) as ragward:
        assert "Sentence 0 of" not in answer(ragward)
        assert failures(ragward) == {code}


def points_of(level):
    return (
        "chunk_id IN (SELECT chunk_id FROM chunks JOIN versions USING (document_id, version) "
        f"JOIN labels USING (label_id) WHERE fields LIKE '%\"classification\": {int(level)}%')"
    )


def test_a_flipped_bit_in_a_vector_keeps_it_out_of_the_index_and_is_recorded(home):
    with opened(home) as ragward:
        all_points = ragward.index.plain.count()
    assert all_points
    flipped(home, "points", "vector_blob", points_of(Classification.INTERNAL))
    with opened(home) as ragward:
        ragward.index_sync.rebuild()
        assert ragward.index.plain.count() == all_points - 1
        assert failures(ragward) == {"integrity.envelope"}


def test_a_flipped_bit_in_a_sealed_vector_keeps_it_out_of_memory_and_is_recorded_once(home):
    with opened(home) as ragward:
        answer(ragward)
        all_points = ragward.sealed.count()
    flipped(home, "points", "vector_blob", points_of(Classification.RESTRICTED))
    with opened(home) as ragward:
        for _ in range(2):
            assert answer(ragward)
            assert ragward.sealed.count() == all_points - 1
            ragward.sealed.clear()
        events = [json.loads(e.data) for e in ragward.audit.entries(limit=10_000)]
        assert [e["type"] for e in events].count("integrity.failure") == 1
        assert failures(ragward) == {"integrity.envelope"}


@pytest.mark.parametrize("column", ["fields", "digest"])
def test_a_flipped_bit_in_a_label_refuses_every_answer(home, column):
    flipped(home, "labels", column)
    assert code_of(home) == "integrity.envelope"


def test_a_flipped_bit_in_a_policy_row_refuses_every_answer(home):
    flipped(home, "casbin_rule", "v3", "ptype = 'p'")
    assert code_of(home) == "integrity.policy_root"


def test_a_flipped_bit_in_the_keyring_is_told_from_a_wrong_passphrase(home):
    outer = json.loads(home.keyring.read_text())
    body = outer["body"]
    middle = len(body) // 2
    outer["body"] = body[:middle] + ("A" if body[middle] != "A" else "B") + body[middle + 1 :]
    home.keyring.write_text(json.dumps(outer))
    assert code_of(home) == "integrity.keyring"


def test_a_flipped_bit_in_the_log_stops_the_writer_and_fails_the_check(home):
    database = sqlite3.connect(home.data_dir / "audit.db")
    with database:
        database.execute(
            "UPDATE entries SET event = CAST(replace(event, 'permit', 'qermit') AS BLOB) WHERE position = 3"
        )
    database.close()
    assert code_of(home) == "integrity.audit"


def test_a_damaged_index_is_refused_and_rebuilt(home):
    (home.data_dir / "index" / "ragward-index.json").write_text("{}")
    assert code_of(home) == "unavailable.index"
    shutil.rmtree(home.data_dir / "index")
    with opened(home) as ragward:
        ragward.index_sync.rebuild()
        assert answer(ragward)


def test_a_catalog_of_a_newer_version_is_refused(home):
    database = sqlite3.connect(home.data_dir / "catalog.db")
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert code_of(home) == "config.newer_version"


def test_a_catalog_that_is_not_a_database_is_unavailable(home):
    for leftover in home.data_dir.glob("catalog.db*"):
        leftover.unlink()
    (home.data_dir / "catalog.db").write_bytes(b"no database" * 1000)
    assert code_of(home) == "unavailable.catalog"


def test_a_wrong_key_is_never_mistaken_for_an_empty_answer(home):
    """Losing a KEK is an outage, not silence."""
    from ragward.adapters.keyring_file import FileKeyring

    keyring = FileKeyring.open(home.keyring, PASSPHRASE)
    with keyring._changing():
        keyring._body["keks"] = []
    assert code_of(home) == "unavailable.keys"
