"""T03: editing an access label, a key or a text in the database opens nothing: keys are bound to labels and places."""

from __future__ import annotations

import dataclasses
import json
import sqlite3

import pytest

from ragward import installation
from ragward.adapters.catalog_sql.labels import label_to_json
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import RagwardError
from ragward.domain.labels import AccessLabel, Classification
from tests import company
from tests.installation import asked_by, initialised, opened

SECRET = "The board will sell the calibration laboratory in March."
PUBLIC = "The calibration laboratory opens at nine every morning."
QUERY = "calibration laboratory"


def document(source, text, level, granted):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset({granted})
    )
    return SourceDocument(
        source=source, filename=source, data=text.encode(), label=label, attributes={}
    )


SECRET_DOCUMENT = document("secret.txt", SECRET, Classification.RESTRICTED, "user:acme/ann")
PUBLIC_DOCUMENT = document("public.txt", PUBLIC, Classification.PUBLIC, "group:acme/staff")


@pytest.fixture
def home(tmp_path):
    settings = initialised(tmp_path)
    with opened(settings) as ragward:
        for one in (SECRET_DOCUMENT, PUBLIC_DOCUMENT):
            ragward.ingestion.ingest(company.subject("steward"), one)
        assert texts(ragward, "ann") == {SECRET, PUBLIC}
        assert texts(ragward, "ben") == {PUBLIC}
    return settings


def texts(ragward, name):
    return {p.text for p in ragward.retrieve(asked_by(name), QUERY).passages}


def edited(settings, *statements):
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    with database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement
    database.close()


def failures(ragward):
    events = [json.loads(e.data) for e in ragward.audit.entries(limit=10_000)]
    return [e["details"]["code"] for e in events if e["type"] == "integrity.failure"]


def ids(settings):
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    rows = database.execute(
        "SELECT d.source, d.document_id, v.label_id FROM documents d JOIN versions v USING (document_id)"
    ).fetchall()
    database.close()
    return {source: (document_id, label_id) for source, document_id, label_id in rows}


def test_a_document_moved_under_another_label_does_not_open(home):
    found = ids(home)
    edited(
        home,
        f"UPDATE versions SET label_id = {found['public.txt'][1]} WHERE document_id = '{found['secret.txt'][0]}'",
    )
    with opened(home) as ragward:
        ragward.index_sync.rebuild()
        assert texts(ragward, "ben") == {PUBLIC}
        assert "integrity.wrapped_key" in failures(ragward)


def test_a_label_row_rewritten_is_refused(home):
    """The digest of a label is what names it: fields that do not give it are no label."""
    edited(home, "UPDATE labels SET fields = replace(fields, 'user:acme/ann', 'group:acme/staff')")
    with opened(home) as ragward:
        with pytest.raises(RagwardError) as caught:
            texts(ragward, "ben")
        assert caught.value.code in ("integrity.envelope", "integrity.wrapped_key")


def test_a_label_row_rewritten_with_its_digest_does_not_open_the_key(home):
    found = ids(home)
    forged = dataclasses.replace(SECRET_DOCUMENT.label, granted=frozenset({"group:acme/staff"}))
    edited(
        home,
        f"UPDATE labels SET fields = replace(fields, 'user:acme/ann', 'group:acme/staff'), digest = x'{forged.digest().hex()}' WHERE label_id = {found['secret.txt'][1]}",
    )
    with opened(home) as ragward:
        ragward.index_sync.rebuild()
        assert SECRET not in texts(ragward, "ben")
        assert SECRET not in texts(ragward, "ann")  # cleared for RESTRICTED: her permit holds it
        assert "integrity.wrapped_key" in failures(ragward)


def test_a_lowered_classification_with_a_right_digest_does_not_open_the_key(home):
    """The strongest edit there is: the row is exactly what ragward itself would have written for that label."""
    forged = dataclasses.replace(
        SECRET_DOCUMENT.label,
        granted=frozenset({"user:acme/ben"}),
        classification=Classification.PUBLIC,
    )
    label_id = ids(home)["secret.txt"][1]
    edited(
        home,
        f"UPDATE labels SET fields = '{label_to_json(forged)}', digest = x'{forged.digest().hex()}' WHERE label_id = {label_id}",
    )
    with opened(home) as ragward:
        assert ragward.pdp.decide_labels(company.subject("ben"), ragward.clock.context()).admits(
            label_id
        )  # the policy is satisfied; the key is not
        assert texts(ragward, "ben") == {PUBLIC}
        ragward.index_sync.rebuild()  # its vector was sealed; this would put it into the index of PUBLIC ones
        assert texts(ragward, "ben") == {PUBLIC}
        assert failures(ragward) == ["integrity.wrapped_key"]


def test_texts_cannot_be_swapped_between_documents(home):
    found = ids(home)
    secret, public = found["secret.txt"][0], found["public.txt"][0]
    edited(
        home,
        f"UPDATE chunks SET blob = (SELECT blob FROM chunks WHERE document_id = '{secret}') WHERE document_id = '{public}'",
    )
    with opened(home) as ragward:
        assert texts(ragward, "ben") == set()
        assert failures(ragward) == ["integrity.envelope"]


def test_keys_cannot_be_swapped_between_documents(home):
    found = ids(home)
    secret, public = found["secret.txt"][0], found["public.txt"][0]
    edited(
        home,
        f"UPDATE versions SET (wrapped_dek, dek_id, kek_id, kek_version) = (SELECT wrapped_dek, dek_id, kek_id, kek_version FROM versions WHERE document_id = '{secret}') WHERE document_id = '{public}'",
    )
    with opened(home) as ragward:
        assert texts(ragward, "ben") == set()
        assert failures(ragward) == ["integrity.wrapped_key"]


def test_text_and_key_swapped_together_do_not_open_either(home):
    found = ids(home)
    secret, public = found["secret.txt"][0], found["public.txt"][0]
    edited(
        home,
        f"UPDATE versions SET (wrapped_dek, dek_id, kek_id, kek_version) = (SELECT wrapped_dek, dek_id, kek_id, kek_version FROM versions WHERE document_id = '{secret}') WHERE document_id = '{public}'",
        f"UPDATE chunks SET blob = (SELECT blob FROM chunks WHERE document_id = '{secret}') WHERE document_id = '{public}'",
    )
    with opened(home) as ragward:
        assert texts(ragward, "ben") == set()
        assert failures(ragward) == ["integrity.wrapped_key"]


def test_personal_data_types_edited_away_reveal_nothing(home, tmp_path):
    """The spans are inside the encrypted text; the column only decides which vector is matched."""
    with opened(home) as ragward:
        text = "Write to root.admin@example.com about the calibration laboratory."
        ragward.ingestion.ingest(
            company.subject("steward"),
            document("mail.txt", text, Classification.CONFIDENTIAL, "user:acme/ben"),
        )
    edited(home, "UPDATE chunks SET entity_types = '' WHERE entity_types <> ''")
    with opened(home) as ragward:
        assert not any("root.admin" in found for found in texts(ragward, "ben"))


def test_a_deleted_document_cannot_be_revived(home):
    with opened(home) as ragward:
        record = ragward.catalog.find_document("acme", "hr", "secret.txt")
        ragward.stewardship.delete(company.subject("steward"), record.document_id)
    database = sqlite3.connect(home.data_dir / "catalog.db")
    left = database.execute(
        "SELECT count(*) FROM versions WHERE document_id = ? AND wrapped_dek IS NOT NULL",
        (record.document_id,),
    ).fetchone()
    database.close()
    assert left == (0,)  # without its key a copy of the text is noise


def test_a_policy_edited_into_nonsense_decides_nothing_until_the_operator_puts_a_version_back(home):
    edited(home, "UPDATE casbin_rule SET v5 = 'perhaps' WHERE ptype = 'p'")
    with opened(home) as ragward:
        with pytest.raises(RagwardError) as refused:
            texts(ragward, "ann")
        assert refused.value.code == "integrity.policy_root"
        newest = ragward.catalog.policy_versions("acme")[0].number
        assert installation.repair_policy(ragward, tenant="acme") == newest
        assert texts(ragward, "ann") == {SECRET, PUBLIC}
        put_back = ragward.catalog.policy_versions("acme")[0]
        assert (put_back.author, put_back.number > newest) == ("operator", True)
        assert "repair_policy" in [
            json.loads(e.data)["details"].get("act") for e in ragward.audit.entries(limit=10_000)
        ]
        with pytest.raises(RagwardError) as valid:  # it is no way around four eyes
            installation.repair_policy(ragward, tenant="acme")
        assert valid.value.code == "policy.conflict"


def test_an_edited_version_is_not_put_back(home):
    edited(
        home,
        "UPDATE casbin_rule SET v5 = 'perhaps' WHERE ptype = 'p'",
        "UPDATE policy_versions SET memberships = replace(memberships, 'staff', 'stuff')",
    )
    with opened(home) as ragward, pytest.raises(RagwardError) as refused:
        installation.repair_policy(ragward, tenant="acme")
    assert refused.value.code == "access.not_found"
