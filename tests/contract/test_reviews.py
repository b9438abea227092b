"""What waits for a person, as the catalog keeps it: in memory, on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql.connection import Database, parse_url
from ragward.domain.corpus import DocumentState, LabelMove, NewScreening
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.labels import Classification
from ragward.domain.review import Doubt, ReviewDecision, ReviewItem, ReviewKind, ReviewState
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import label, next_version, rewrapped, version
from tests.contract.conftest import MIGRATIONS
from tests.fakes.catalog_sql import FakeCatalog

DOUBT = Doubt(kind=ReviewKind.DOUBT, proposed=Classification.INTERNAL, confidence=0.6124)


@pytest.fixture(params=["fake", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def catalog(request, tmp_path):
    if request.param == "fake":
        yield FakeCatalog(now=lambda: NOW)
        return
    url = f"sqlite:///{tmp_path}/catalog.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_databases")()
    else:
        SQLCatalog.migrate(url, migrations_dir=MIGRATIONS)
    made = SQLCatalog.open(url, now=lambda: NOW)
    yield made
    made.close()


def of(catalog, staged, *states):
    found = catalog.reviews("acme", document_id=staged.document_id, states=states, limit=99)
    return [(item.kind.value, item.state.value, item.version) for item in found]


def decision(item, state=ReviewState.ACCEPTED, level=Classification.INTERNAL):
    return ReviewDecision(
        item_id=item.item_id, state=state, decided_by="user:acme/a", reason="seen", level=level
    )


def asked(catalog, **fields):
    """A document with a doubt, and the doubt."""
    staged = version(doubts=(DOUBT,), **fields)
    catalog.commit_version(staged)
    [item] = catalog.reviews("acme", document_id=staged.document_id, limit=9)
    return staged, item


def test_a_doubt_comes_and_goes_with_its_version(catalog):
    staged, item = asked(catalog)
    assert item == ReviewItem(
        item_id=item.item_id,
        tenant="acme",
        document_id=staged.document_id,
        version=1,
        kind=ReviewKind.DOUBT,
        proposed=Classification.INTERNAL,
        confidence=0.612,
        created_at=NOW,
    )
    same = next_version(staged)
    catalog.commit_version(same)
    assert of(catalog, staged) == [("doubt", "open", 2)]
    catalog.commit_version(next_version(same, doubts=()))
    assert of(catalog, staged) == [("doubt", "superseded", 2)]


def test_a_version_that_fails_opens_and_closes_nothing(catalog):
    staged, item = asked(catalog)
    wrong = dataclasses.replace(next_version(staged, doubts=(DOUBT,)), replaces_label_id=999)
    with pytest.raises(ConflictError):
        catalog.commit_version(wrong)
    late = next_version(staged, decided=decision(dataclasses.replace(item, item_id="none")))
    with pytest.raises(NotFoundError):
        catalog.commit_version(late)
    assert of(catalog, staged) == [("doubt", "open", 1)]
    assert catalog.get_document("acme", staged.document_id).version == 1


def test_quarantine_follows_the_state(catalog):
    staged = version(state=DocumentState.QUARANTINED, doubts=())
    catalog.commit_version(staged)
    [item] = catalog.reviews("acme", document_id=staged.document_id, limit=9)
    assert item.kind is ReviewKind.QUARANTINE
    catalog.decide_review("acme", decision(item, ReviewState.REJECTED))
    catalog.commit_version(next_version(staged, state=DocumentState.QUARANTINED))
    assert of(catalog, staged, ReviewState.OPEN) == []
    new = next_version(next_version(staged), state=DocumentState.QUARANTINED, doubts=())
    catalog.commit_version(new)
    assert of(catalog, staged, ReviewState.OPEN) == [("quarantine", "open", 3)]
    catalog.set_state("acme", staged.document_id, DocumentState.DELETED)
    assert of(catalog, staged, ReviewState.OPEN) == []


def test_screening_again_opens_one(catalog):
    staged = version()
    catalog.commit_version(staged)
    found = NewScreening(
        document_id=staged.document_id,
        version=1,
        expected_state=DocumentState.ACTIVE,
        state=DocumentState.QUARANTINED,
        chunks={},
    )
    catalog.rescreen("acme", found)
    assert of(catalog, staged) == [("quarantine", "open", 1)]


def test_an_item_is_decided_once(catalog):
    _, item = asked(catalog)
    catalog.decide_review("acme", decision(item))
    assert catalog.review("acme", item.item_id).decided_at == NOW
    with pytest.raises(ConflictError) as caught:
        catalog.decide_review("acme", decision(item, ReviewState.REJECTED))
    assert caught.value.code == "review.closed"
    assert catalog.review("acme", item.item_id).state is ReviewState.ACCEPTED
    for tenant, name in (("globex", item.item_id), ("acme", "none"), ("acme", "\0")):
        with pytest.raises((NotFoundError, ConflictError)):
            catalog.decide_review(tenant, decision(dataclasses.replace(item, item_id=name)))
        with pytest.raises(NotFoundError):
            catalog.review(tenant, name)


@pytest.mark.parametrize("reclassifies", [True, False])
def test_a_relabelling_answers_what_is_asked_about_the_classification(catalog, reclassifies):
    staged, _ = asked(catalog)
    record = catalog.get_document("acme", staged.document_id)
    move = LabelMove(
        document_id=staged.document_id,
        version=1,
        expected_label_id=record.label_id,
        label=label(granted=("eng",)),
        key=rewrapped(staged),
        note="steward",
        by="user:acme/a",
        reclassifies=reclassifies,
    )
    catalog.relabel("acme", [move])
    state = "changed" if reclassifies else "open"
    assert of(catalog, staged) == [("doubt", state, 1)]
    levels = catalog.reviewed_levels("acme")
    assert levels == ({staged.document_id: (1, Classification.INTERNAL)} if reclassifies else {})


def test_an_unasked_relabelling_is_kept_as_a_decision(catalog):
    staged = version()
    catalog.commit_version(staged)
    record = catalog.get_document("acme", staged.document_id)
    move = LabelMove(
        document_id=staged.document_id,
        version=1,
        expected_label_id=record.label_id,
        label=label(granted=("eng",), classification=Classification.CONFIDENTIAL),
        key=rewrapped(staged),
        note="steward",
        by="user:acme/a",
        reclassifies=True,
    )
    catalog.relabel("acme", [move])
    assert of(catalog, staged) == [("relabelling", "changed", 1)]
    assert catalog.reviewed_levels("acme") == {staged.document_id: (1, Classification.CONFIDENTIAL)}
    catalog.commit_version(next_version(staged, doubts=()))
    assert catalog.reviewed_levels("acme")[staged.document_id][0] == 1  # of the text before


def test_lists_are_in_order_and_go_on(catalog):
    for _ in range(5):
        asked(catalog, source=f"{_}.md")
    every = catalog.reviews("acme", limit=99)
    assert [i.item_id for i in every] == sorted(i.item_id for i in every)
    first = catalog.reviews("acme", limit=2)
    rest = catalog.reviews("acme", limit=99, after=(first[-1].created_at, first[-1].item_id))
    assert [*first, *rest] == list(every)
    assert catalog.reviews("acme", kinds=[ReviewKind.DOWNGRADE], limit=9) == []
    assert catalog.reviews("globex", limit=9) == []


def test_what_was_quarantined_before_there_was_a_queue_waits_in_it(empty_database):
    """Migration 0004, on a catalog of 0003."""
    database = Database(parse_url(empty_database))
    with database.write_across_tenants() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            text(
                "INSERT INTO labels (label_id, tenant, digest, fields) VALUES (1, 'acme', :d, '{}')"
            ),
            {"d": b"d"},
        )
        for name, version_, state in (("a", 2, "quarantined"), ("b", 1, "active")):
            connection.execute(
                text(
                    "INSERT INTO documents (document_id, tenant, corpus, source, current_version)"
                    " VALUES (:n, 'acme', 'hr', :n, :v)"
                ),
                {"n": name, "v": version_},
            )
            for number in range(1, version_ + 1):
                connection.execute(
                    text(
                        "INSERT INTO versions (document_id, version, tenant, state, source_digest,"
                        " label_id, dek_id, kek_id, kek_version, title, media_type, attributes,"
                        " evidence, model_digest, chunk_count, created_at) VALUES (:n, :v, 'acme',"
                        " :s, :d, 1, 'd', 'k', 1, '', '', '{}', '[]', '', 0, 7)"
                    ),
                    {"n": name, "v": number, "s": state, "d": b"d"},
                )
    database.close()
    SQLCatalog.migrate(empty_database, migrations_dir=MIGRATIONS)
    catalog = SQLCatalog.open(empty_database)
    [item] = catalog.reviews("acme", limit=9)
    catalog.close()
    assert (item.document_id, item.version, item.kind) == ("a", 2, ReviewKind.QUARANTINE)
