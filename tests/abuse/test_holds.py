"""T46: what a legal hold keeps, nobody destroys: not by deleting, shredding, retention, replacing or at the source; and nobody
alone lifts it."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.domain.corpus import DocumentState, SourceDocument
from ragward.domain.errors import RagwardError
from ragward.domain.handling import Mode
from ragward.domain.holds import HoldKind, HoldRequest, HoldState
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import PolicyRow
from ragward.domain.pseudonyms import TypedValue
from ragward.domain.retention import RetentionRule
from ragward.domain.shredding import ShredKind, ShredRequest
from ragward.holding import Holding
from tests import company
from tests.abuse.test_rotation import stranger_of
from tests.copies import copied
from tests.installation import asked_by, initialised, opened, settings_in

STEWARD, OFFICER = company.subject("steward"), company.subject("officer")
WHY = "ordered by the court on the third"
DAY = 86_400


def source(name, text, level=Classification.RESTRICTED, **attributes):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset({"user:acme/ann"})
    )
    return SourceDocument(
        source=name,
        filename=name.rpartition("/")[2],
        data=text.encode(),
        label=label,
        attributes=attributes,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    home = tmp_path_factory.mktemp("filled") / "home"
    with opened(initialised(home)) as ragward:
        row = PolicyRow(
            "user:acme/officer", "document:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
        )
        ragward.catalog.change_policy("acme", add_rows=[row], author="test")
        for n in range(4):
            text = f"The first text of file {n} is about the contract and the warranty."
            ragward.ingestion.ingest(STEWARD, source(f"case/{n}.txt", text))
        ragward.ingestion.ingest(STEWARD, source("free/9.txt", "A text that nobody wants to keep."))
        mail = source("mail/1.txt", "Write to dora@example.com about the invoice of last year.")
        ragward.ingestion.ingest(STEWARD, mail)
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


def hold(ragward, kind, target="", identifiers=(), by=STEWARD):
    request = HoldRequest(kind=HoldKind(kind), target=target, identifiers=identifiers, reason=WHY)
    return ragward.holding.place(by, request)


def lifted(ragward, report):
    ragward.holding.lift(STEWARD, report.hold.hold_id, WHY)
    return ragward.holding.lift(OFFICER, report.hold.hold_id, WHY)


def shred(ragward, kind, target="", identifiers=(), **given):
    request = ShredRequest(
        kind=ShredKind(kind), target=target, identifiers=identifiers, reason=WHY, **given
    )
    return ragward.shredding.shred(STEWARD, request)


def retain(ragward, days, **given):
    ports = ragward.retention._ports
    rules = (RetentionRule(name="all of it", days=days),)
    ragward.retention._ports = dataclasses.replace(ports, rules=rules)
    return ragward.retention.run(STEWARD, **given)


def kept(ragward, document_id):
    """(version, has a key, chunks) of each of its versions."""
    with ragward.catalog._database.read("acme") as connection:
        rows = connection.exec_driver_sql(
            "SELECT v.version, v.wrapped_dek IS NOT NULL, (SELECT count(*) FROM chunks c"
            " WHERE c.document_id = v.document_id AND c.version = v.version)"
            f" FROM versions v WHERE v.document_id = '{document_id}' ORDER BY 1"
        )
        return [(row[0], bool(row[1]), bool(row[2])) for row in rows]


def texts(ragward):
    request = RetrievalRequest(
        query="the contract", limit=50, max_passages_per_document=50, minimize=Mode.OFF
    )
    return " ".join(p.text for p in ragward.retrieve(asked_by("ann"), request).passages)


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


# What a hold wins over. -----------------------------------------------------------------------------------------------


def test_a_held_document_is_neither_deleted_nor_shredded_nor_due(ragward):
    document = id_of(ragward, "case/0.txt")
    report = hold(ragward, "document", document)
    assert report.documents == 1
    for call in (
        lambda: ragward.stewardship.delete(STEWARD, document),
        lambda: shred(ragward, "document", document),
        lambda: shred(ragward, "tenant", "acme"),
    ):
        assert code_of(call) == "hold.active"
    ragward.clock.seconds += 100 * DAY
    run = retain(ragward, 30)
    assert run.held == 1
    assert sum(count for _, count in run.due) == 6
    assert kept(ragward, document) == [(1, True, True)]
    assert "first text of file 0" in texts(ragward)
    assert "file 1" not in texts(ragward)  # which nothing held


def test_what_is_held_stays_and_the_rest_goes_and_the_receipt_says_so(ragward):
    held = id_of(ragward, "case/0.txt")
    hold(ragward, "document", held)
    receipt = shred(ragward, "source", "hr:case/")
    assert receipt.held == (held,)
    assert len(receipt.documents) == 3
    assert held not in receipt.documents
    assert [s.items for s in receipt.stores if s.store == "documents under legal hold"] == [1]
    assert "file 0" in texts(ragward)
    assert "file 1" not in texts(ragward)


def test_a_hold_that_is_placed_while_a_shredding_begins_wins(ragward):
    document = id_of(ragward, "case/0.txt")
    ports = ragward.shredding._ports

    class Late:
        def __getattr__(self, name):
            return getattr(ports.ledger, name)

        def save_receipt(self, receipt):
            if not receipt.done:
                hold(ragward, "document", document)
            ports.ledger.save_receipt(receipt)

    ragward.shredding._ports = dataclasses.replace(ports, ledger=Late())
    receipt = shred(ragward, "source", "hr:case/")
    assert receipt.held == (document,)
    assert document not in receipt.documents
    assert kept(ragward, document) == [(1, True, True)]


def test_a_replaced_text_stays_while_it_is_held_and_goes_when_nothing_holds_it(home):
    with opened(settings_in(home)) as ragward:
        document = id_of(ragward, "case/0.txt")
        report = hold(ragward, "document", document)
        ragward.ingestion.ingest(STEWARD, source("case/0.txt", "The second text says otherwise."))
        assert kept(ragward, document) == [(1, True, True), (2, True, True)]
        assert "second text" in texts(ragward)
        assert "first text of file 0" not in texts(ragward)
        free = id_of(ragward, "case/1.txt")
        ragward.ingestion.ingest(STEWARD, source("case/1.txt", "The second text of another."))
        assert kept(ragward, free) == [(1, False, False), (2, True, True)]
    with opened(settings_in(home)) as ragward:  # which sweeps what is left over
        assert kept(ragward, document) == [(1, True, True), (2, True, True)]
        lifted(ragward, report)
        assert kept(ragward, document) == [(1, False, False), (2, True, True)]
        assert "second text" in texts(ragward)


def test_what_is_gone_at_its_source_is_answered_from_no_more_and_kept(home):
    with opened(settings_in(home)) as ragward:
        document = id_of(ragward, "case/0.txt")
        report = hold(ragward, "source", "hr:case/")
        ragward.stewardship.withdraw(STEWARD, document)  # as a job does after the grace period
        assert "file 0" not in texts(ragward)
        assert kept(ragward, document) == [(1, True, True)]
    with opened(settings_in(home)) as ragward:
        assert kept(ragward, document) == [(1, True, True)]
        other = hold(ragward, "document", id_of(ragward, "case/1.txt"))
        lifted(ragward, other)
        assert kept(ragward, document) == [(1, True, True)]  # another hold than the one on it
        lifted(ragward, report)
        assert kept(ragward, document) == [(1, False, False)]


def test_a_rotation_does_not_lose_what_is_held(ragward):
    document = id_of(ragward, "case/0.txt")
    hold(ragward, "document", document)
    ragward.catalog.set_state("acme", document, DocumentState.DELETED)
    done = ragward.rotation.rotate(STEWARD, Classification.RESTRICTED)
    assert done.complete
    with ragward.catalog._database.read("acme") as connection:
        version = connection.exec_driver_sql(
            f"SELECT kek_version FROM versions WHERE document_id = '{document}'"
        ).scalar_one()
    assert version == done.version


def test_another_label_for_the_same_text_keeps_no_copy(ragward):
    document = id_of(ragward, "case/0.txt")
    record = ragward.catalog.get_document("acme", document)
    hold(ragward, "document", document)
    wider = dataclasses.replace(record.label, granted=frozenset({"user:acme/ann", "user:acme/ben"}))
    ragward.relabelling.relabel(STEWARD, document, wider, WHY)
    assert [has_key for _, has_key, _ in kept(ragward, document)].count(True) == 1


# On what. -------------------------------------------------------------------------------------------------------------


def test_a_source_holds_what_comes_later_and_nothing_beside_it(ragward):
    report = hold(ragward, "source", "hr:case/")
    assert report.documents == 4
    later = ragward.ingestion.ingest(STEWARD, source("case/7.txt", "A text that came afterwards."))
    assert code_of(lambda: shred(ragward, "document", later.document_id)) == "hold.active"
    assert shred(ragward, "document", id_of(ragward, "free/9.txt")).done
    assert code_of(lambda: hold(ragward, "source", "hr:case")) == "request.invalid"


def test_a_person_is_held_by_what_texts_say_and_by_what_comes_later(ragward):
    vault = ragward.disclosure.vault
    vault.tokens("acme", "", [TypedValue("EMAIL_ADDRESS", "dora@example.com")])
    report = hold(ragward, "subject", identifiers=("dora@example.com", "Dora Diaz"))
    assert report.documents == 1
    assert "dora" not in report.hold.target
    ragward.ingestion.ingest(STEWARD, source("x/1.txt", "Ask Dora@Example.com for the invoice."))
    ragward.ingestion.ingest(STEWARD, source("x/2.txt", "Ask ben@example.com for the invoice."))
    assert ragward.holding.holds(STEWARD)[0].documents == 2

    def erase(**given):
        return shred(ragward, "subject", identifiers=("dora@example.com",), **given)

    assert len(erase(dry_run=True).held) == 2
    assert code_of(erase) == "hold.active"
    assert vault.store.pseudonym_kinds("acme")  # its values are kept with the documents
    assert shred(ragward, "document", id_of(ragward, "x/2.txt")).done
    lifted(ragward, report)
    assert len(erase().documents) == 2
    assert not vault.store.pseudonym_kinds("acme")


def test_a_principal_is_held_by_what_is_recorded_as_theirs(ragward):
    plain = source("own/1.txt", "Nobody is named in this text.", data_subject="dot")
    ragward.ingestion.ingest(STEWARD, plain)
    assert hold(ragward, "subject", "user:acme/dot").documents == 1
    later = source("own/2.txt", "Nor is anybody named in this one.", owner="user:acme/dot")
    ragward.ingestion.ingest(STEWARD, later)
    for name in ("own/1.txt", "own/2.txt"):
        document = id_of(ragward, name)
        assert code_of(lambda d=document: shred(ragward, "document", d)) == "hold.active"


def test_no_hold_names_anybody(ragward):
    hold(ragward, "subject", "user:acme/dot", ("Dora Diaz",))
    with ragward.catalog._database.read("acme") as connection:
        rows = connection.exec_driver_sql("SELECT target, tags, reason FROM holds").all()
    log = "".join(entry.data.decode() for entry in ragward.audit.entries(limit=1000))
    text = repr(rows) + log[log.index("subject.searched") :]
    for name in ("Dora", "dora", "Diaz", "diaz", "acme/dot"):
        assert name not in text


# Who may. -------------------------------------------------------------------------------------------------------------


def test_a_reader_and_another_tenants_steward_place_list_and_lift_nothing(ragward):
    document = id_of(ragward, "case/0.txt")
    report = hold(ragward, "document", document)
    row = PolicyRow(
        "user:globex/root", "document:*", "globex/*", "PUBLIC..RESTRICTED", "*", "allow"
    )
    ragward.catalog.replace_policy("globex", [row], [], "test")
    ann, stranger = company.subject("ann"), stranger_of("globex")
    for by, code in ((ann, "access.denied"), (stranger, "access.not_found")):
        assert code_of(lambda by=by: hold(ragward, "document", document, by=by)) == code
        assert code_of(lambda by=by: ragward.holding.lift(by, report.hold.hold_id, WHY)) == code
    assert code_of(lambda: ragward.holding.holds(ann)) == "access.denied"
    assert ragward.holding.holds(stranger) == []
    assert ragward.holding.holds(STEWARD)[0].hold.state is HoldState.ACTIVE


def test_nobody_lifts_a_hold_alone(ragward):
    report = hold(ragward, "document", id_of(ragward, "case/0.txt"))
    name = report.hold.hold_id

    def lift(by, reason=WHY):
        return ragward.holding.lift(by, name, reason).hold.state

    assert code_of(lambda: lift(STEWARD, "short")) == "request.invalid"
    assert lift(STEWARD) is HoldState.LIFT_REQUESTED
    assert code_of(lambda: lift(STEWARD)) == "hold.second_person"
    agent = company.subject("officer", agents=("agent:acme/bot",))
    row = PolicyRow("agent:acme/bot", "document:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    ragward.catalog.change_policy("acme", add_rows=[row], author="test")
    assert code_of(lambda: lift(agent)) == "hold.second_person"
    shred_it = lambda: shred(ragward, "document", id_of(ragward, "case/0.txt"))  # noqa: E731
    assert code_of(shred_it) == "hold.active"  # asked for is not lifted
    assert lift(OFFICER) is HoldState.LIFTED
    assert code_of(lambda: lift(OFFICER)) == "hold.state"
    assert shred_it().done


def test_without_four_eyes_one_person_lifts_and_the_log_says_so(ragward):
    report = hold(ragward, "document", id_of(ragward, "case/0.txt"))
    alone = Holding(dataclasses.replace(ragward.holding._ports, four_eyes=False))
    assert alone.lift(STEWARD, report.hold.hold_id, WHY).hold.state is HoldState.LIFTED
    last = ragward.audit.entries(limit=1000)[-1].data
    assert b'"four_eyes":false' in last


# Retention. -----------------------------------------------------------------------------------------------------------


def test_a_dry_run_of_retention_changes_nothing_and_a_run_leaves_receipts(ragward):
    assert retain(ragward, 36_500).due == ()
    ragward.clock.seconds += 100 * DAY
    dry = retain(ragward, 30, dry_run=True)
    assert dry.due == (("all of it", 6),)
    assert dry.receipts == ()
    assert "first text of file 0" in texts(ragward)
    run = retain(ragward, 30, limit=4)
    assert run.next_after is not None
    rest = retain(ragward, 30, limit=4)
    assert rest.next_after is None
    assert texts(ragward) == ""
    shown = ragward.shredding.show(STEWARD, run.receipts[0])
    assert shown.receipt.kind is ShredKind.RETENTION
    assert shown.receipt.target == "all of it"
    assert shown.recorded
    assert len(shown.receipt.documents) == 4


def test_another_label_does_not_make_content_younger_and_another_text_does(ragward):
    document = id_of(ragward, "free/9.txt")
    with ragward.catalog._database.write("acme") as connection:
        connection.exec_driver_sql("UPDATE versions SET created_at = 1000")
    record = ragward.catalog.get_document("acme", document)
    ragward.catalog.commit_version(ragward.relabelling._restaged(record, "encrypted anew", None))
    assert ragward.catalog.content_since("acme", [document]) == {document: 1000}
    ragward.ingestion.ingest(STEWARD, source("free/9.txt", "Another text altogether."))
    assert ragward.catalog.content_since("acme", [document])[document] > 1000


def test_a_reader_runs_no_retention(ragward):
    call = lambda: ragward.retention.run(company.subject("ann"), dry_run=True)  # noqa: E731
    assert code_of(call) == "access.denied"
