"""T45: a person who was erased is in no file any more: not by what texts call them, not by names in clear; and the receipt names
every store and nobody."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial

import pytest

from ragward import installation
from ragward.adapters.catalog_sql.schema import metadata
from ragward.domain.corpus import SourceDocument
from ragward.domain.erasure import TABLES, Outcome
from ragward.domain.errors import InvalidRequestError, RagwardError
from ragward.domain.jobs import JobItem
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.pseudonyms import TypedValue
from ragward.domain.review import ReviewItem, ReviewKind
from ragward.domain.shredding import ShredKind, ShredRequest
from tests import company
from tests.conftest import PROVE
from tests.copies import copied, found_in
from tests.installation import initialised, opened, settings_in

STEWARD = company.subject("steward")
WHY = "the person asked for it in writing"
PUBLIC, INTERNAL, RESTRICTED = (
    Classification.PUBLIC,
    Classification.INTERNAL,
    Classification.RESTRICTED,
)
ANNA = ("Anna Meier", "anna.meier@example.com", "078-05-1120", "Jörg-Anna Müßig")
#: As files hold them: with separators, in other orders, cases and encodings.
NEEDLES = [
    text.encode()
    for name in (
        "Anna Meier",
        "anna meier",
        "Meier, Anna",
        "anna-meier",
        "anna_meier",
        "MEIER, ANNA",
    )
    for text in (name,)
] + [
    b"anna.meier@example.com",
    b"078-05-1120",
    b"078051120",
    "Müßig".encode(),
    json.dumps("Müßig").strip('"').encode(),
]
TEXTS = {
    "a.txt": (RESTRICTED, "The appeal of Anna Meier was heard. Write to anna.meier@example.com."),
    "b.txt": (PUBLIC, "Present: MEIER, ANNA and others. The board met again in spring."),
    "c.txt": (PUBLIC, "Her number is 078-05-1120 and she was paid twice in that year."),
    "d.txt": (PUBLIC, "A line ends with Anna\n  Meier and goes on about other things."),
    "e.txt": (INTERNAL, "Nobody is named here, but see the attributes of this document."),
    "people/anna-meier.txt": (
        PUBLIC,
        "Nobody is named in this text at all, only in its file name.",
    ),
    "stays.txt": (PUBLIC, "Annabel Meierson wrote 1078.05.11204 and Anna met Ben; Meier left."),
    "other.txt": (RESTRICTED, "A known sentence about pensions that concerns nobody by name."),
}


def source(name, level, text, **attributes):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset({"group:acme/hr"})
    )
    return SourceDocument(
        source=name,
        filename=name.rpartition("/")[2],
        data=text.encode(),
        label=label,
        attributes=attributes,
    )


def broken():
    raise InvalidRequestError("Anna Meier's file has no text", code="document.empty")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    home = tmp_path_factory.mktemp("filled") / "home"
    with opened(initialised(home)) as ragward:
        for name, (level, text) in TEXTS.items():
            attributes = {"contact": "Jörg-Anna Müßig"} if name == "e.txt" else {}
            ragward.ingestion.ingest(STEWARD, source(name, level, text, **attributes))
        # In clear, and in no document that is there: a tombstone, an earlier version, a job's result, a review.
        ragward.ingestion.ingest(STEWARD, source("old/anna-meier.txt", PUBLIC, "Long gone text."))
        ragward.stewardship.delete(STEWARD, id_of(ragward, "old/anna-meier.txt"))
        earlier = source("other.txt", RESTRICTED, "An earlier text about it.", contact="Anna Meier")
        ragward.ingestion.ingest(STEWARD, earlier)
        ragward.ingestion.ingest(STEWARD, source("other.txt", *TEXTS["other.txt"]))
        ragward.ingestion.run_job(STEWARD, [JobItem(source="bad/anna-meier.bin", load=broken)])
        ragward.catalog.add_review(
            ReviewItem(
                item_id="asked",
                tenant="acme",
                document_id=id_of(ragward, "stays.txt"),
                version=1,
                kind=ReviewKind.DOWNGRADE,
                proposed=PUBLIC,
                request_reason="Anna Meier wants it so",
                created_at=1,
            )
        )
        vault = ragward.disclosure.vault
        vault.tokens("acme", "support", [TypedValue("EMAIL_ADDRESS", "anna.meier@example.com")])
        vault.tokens("acme", "", [TypedValue("EMAIL_ADDRESS", "ben@example.com")])
    return home


@pytest.fixture
def home(filled, tmp_path):
    copied(filled, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def ragward(home):
    with opened(settings_in(home)) as ragward:
        yield ragward


def id_of(ragward, name):
    return ragward.catalog.find_document("acme", "hr", name).document_id


def names(ragward):
    return {record.source for record in ragward.catalog.documents("acme")}


def erase(ragward, *identifiers, target="", by=STEWARD, **given):
    request = ShredRequest(
        kind=ShredKind.SUBJECT, target=target, identifiers=identifiers, reason=WHY, **given
    )
    return ragward.shredding.shredded(by, request)


def in_databases(home, tmp_path):
    """Only those, because the files of the index take seconds to read."""
    (tmp_path / "seen").mkdir()
    for path in (home / "data").glob("*.db*"):
        shutil.copy(path, tmp_path / "seen")
    return tmp_path / "seen"


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


def vaulted(ragward):
    with ragward.catalog._database.read("acme") as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM pseudonyms").scalar_one()


# What is left. --------------------------------------------------------------------------------------------------------


def test_the_person_is_in_no_file_of_the_installation_nor_in_a_dump_of_it(home, tmp_path):
    assert set(found_in(NEEDLES, home)) >= {
        b"anna-meier",
        b"MEIER, ANNA",
        b"Anna Meier",
        json.dumps("Müßig").strip('"').encode(),
    }  # so the search finds what is there
    with opened(settings_in(home)) as ragward:
        evidence = erase(ragward, *ANNA)
        assert names(ragward) == {"stays.txt", "other.txt"}
        assert found_in(NEEDLES, home) == []  # the WAL included
        installation.backup(ragward, tmp_path / "dump")
        assert found_in(NEEDLES, tmp_path / "dump") == []
        counts = evidence.receipt.counts
        assert counts["documents"] == 6
        assert counts["tombstones"] == counts["other_job_items"] == counts["other_reviews"] == 1
        assert counts["earlier_versions"] == 1
        assert counts["pseudonyms"] == 1
        assert vaulted(ragward) == 1
        assert ragward.catalog.review("acme", "asked").request_reason == ""
    assert found_in(NEEDLES, home) == []
    assert found_in([b"Annabel Meierson"], home)


def test_the_receipt_and_the_log_name_nobody_and_every_store(ragward):
    evidence = erase(ragward, *ANNA, target="user:acme/ann")
    receipt = evidence.receipt
    assert evidence.recorded
    assert evidence.keys_gone
    assert receipt.everything
    log = "".join(entry.data.decode() for entry in ragward.audit.entries(limit=1000))
    for text in (json.dumps(receipt.to_fields()), log[log.index("subject.searched") :]):
        # Ids are hexadecimal: three digits of the number alone would be found in one by chance.
        for name in (*ANNA, "Meier", "meier", "user:acme/ann", "078-05-", "078051120", "people/"):
            assert name not in text
    assert set(metadata.tables) | {"alembic_version"} == TABLES
    assert {store.outcome for store in receipt.stores} == set(Outcome)
    of = {store.store: store for store in receipt.stores}
    assert of["vault of pseudonyms"].outcome is Outcome.REMOVED
    assert of["texts and spans"].items == receipt.counts["chunks"] > 0
    assert all(store.note for store in receipt.stores if store.outcome is not Outcome.REMOVED)


def test_the_same_person_has_the_same_tag_and_another_another(ragward):
    seen = {
        erase(ragward, *given, dry_run=True).receipt.target
        for given in (ANNA, ANNA[::-1], (*ANNA[:2], "078 05 1120", "JÖRG-ANNA  MÜSSIG"))
    }
    assert len(seen) == 1
    assert erase(ragward, "Annabel Meierson", dry_run=True).receipt.target not in seen


def test_names_in_the_reason_do_not_get_into_the_receipt(ragward):
    request = ShredRequest(
        kind=ShredKind.SUBJECT,
        target="",
        identifiers=("Anna Meier",),
        reason="letter of ANNA MEIER, boss@example.com",
    )
    kept = ragward.shredding.shredded(STEWARD, request).receipt.reason
    assert "meier" not in kept.lower()
    assert "boss" not in kept


def test_a_folder_is_not_named_in_a_receipt(ragward):
    request = ShredRequest(kind=ShredKind.SOURCE, target="hr:people/", reason=WHY)
    receipt = ragward.shredding.shred(STEWARD, request)
    assert receipt.target.startswith("hr:")
    assert "people/" not in json.dumps(receipt.to_fields())


def test_a_person_of_whom_only_the_vault_knows_is_erased_from_it(ragward):
    evidence = erase(ragward, "ben@example.com")
    assert evidence.receipt.counts["pseudonyms"] == 1
    assert vaulted(ragward) == 1
    assert code_of(lambda: erase(ragward, "ben@example.com")) == "access.not_found"


# Dry runs, and who may. -----------------------------------------------------------------------------------------------


def test_a_dry_run_shows_what_would_go_and_changes_nothing_but_the_log(home, ragward):
    before = names(ragward), vaulted(ragward), ragward.catalog.epoch("acme")
    entries = len(ragward.audit.entries(limit=1000))
    receipt = erase(ragward, *ANNA, dry_run=True).receipt
    assert receipt.counts["documents"] == len(receipt.documents) == 6
    assert receipt.counts["tombstones"] == 1
    assert (names(ragward), vaulted(ragward), ragward.catalog.epoch("acme")) == before
    assert ragward.shredding.receipts(STEWARD) == []
    assert found_in(NEEDLES, home)
    new = [json.loads(e.data) for e in ragward.audit.entries(start=entries)]
    assert [event["type"] for event in new] == ["subject.searched"]


def test_whoever_may_not_delete_and_open_in_the_whole_tenant_learns_nothing(ragward):
    from ragward.domain.policy import PolicyRow

    rows = [
        PolicyRow(
            "user:acme/half", "document:delete", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
        ),
        PolicyRow("user:acme/part", "document:*", "acme/hr", "PUBLIC..RESTRICTED", "*", "allow"),
    ]
    ragward.catalog.change_policy("acme", add_rows=rows, author="test")
    for name in ("ann", "half", "part"):
        for who in (ANNA, ("Nobody At All",)):
            call = partial(erase, ragward, *who, by=company.subject(name), dry_run=True)
            assert code_of(call) == "access.denied"
    assert len(names(ragward)) == 8


@pytest.mark.parametrize(
    "identifiers", [("",), ("Bo",), ("...",), ("x" * 300,), ("Anna Meier",) * 21]
)
def test_identifiers_that_name_nobody_are_refused(ragward, identifiers):
    assert code_of(lambda: erase(ragward, *identifiers)) == "request.invalid"


def test_identifiers_go_with_a_person_only(ragward):
    request = ShredRequest(
        kind=ShredKind.SOURCE, target="hr:", identifiers=("Anna Meier",), reason=WHY
    )
    assert code_of(lambda: ragward.shredding.shred(STEWARD, request)) == "request.invalid"
    assert len(names(ragward)) == 8


def test_what_does_not_open_is_counted_and_the_receipt_does_not_say_everything(ragward):
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql(
            "UPDATE chunks SET blob = zeroblob(length(blob)) WHERE document_id = ?",
            (id_of(ragward, "a.txt"),),
        )
    receipt = erase(ragward, *ANNA).receipt
    assert receipt.counts["unread"] == 1
    assert not receipt.everything
    assert "a.txt" in names(ragward)


class Killed(BaseException):
    pass


CRASHES = [
    ("forget_names", True),
    ("save_receipt", False),
    ("shred", True),
    *(
        [("forget_names", False), ("save_receipt", True), ("shred", False), ("scrub", False)]
        if PROVE
        else []
    ),
]


@pytest.mark.parametrize(("step", "after"), CRASHES)
def test_killed_anywhere_and_asked_again_nothing_is_left(home, ragward, tmp_path, step, after):
    ports = ragward.shredding._ports
    kept = ports.ledger

    class Dying:
        def __getattr__(self, name):
            def dying(*given, **named):
                if named.get("dry_run"):
                    return getattr(kept, name)(*given, **named)
                if after:
                    getattr(kept, name)(*given, **named)
                raise Killed

            return dying if name == step else getattr(kept, name)

    ragward.shredding._ports = dataclasses.replace(ports, ledger=Dying())
    with pytest.raises(Killed):
        erase(ragward, *ANNA)
    ragward.shredding._ports = ports
    begun = bool(ragward.shredding.receipts(STEWARD))
    assert begun == (step in ("shred", "scrub") or (step, after) == ("save_receipt", True))
    if begun:
        ragward.shredding.resume()  # needs nobody's name
    else:
        erase(ragward, *ANNA)
    assert found_in(NEEDLES, in_databases(home, tmp_path)) == []
    (done,) = ragward.shredding.receipts(STEWARD)
    assert done.recorded
    assert done.receipt.stores
