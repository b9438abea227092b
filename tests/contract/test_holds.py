"""Legal holds and names in clear, on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql.key_ledger import SQLKeyLedger
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.holds import Hold, HoldKind, HoldState
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import version


@pytest.fixture
def stores(database_url):
    catalog = SQLCatalog.open(database_url, now=lambda: NOW)
    ledger = SQLKeyLedger.open(database_url, now=lambda: NOW)
    yield catalog, ledger
    ledger.close()
    catalog.close()


def hold(staged, kind=HoldKind.DOCUMENT, target="", **given):
    return Hold(
        hold_id=given.pop("hold_id", "h1"),
        tenant=staged.tenant,
        kind=kind,
        target=target,
        reason="because of the case",
        placed_by="user:acme/steward",
        placed_at=NOW,
        **given,
    )


def test_a_hold_keeps_keys_and_chunks_until_it_is_lifted(stores):
    catalog, ledger = stores
    staged = version()
    tenant, name = staged.tenant, staged.document_id
    catalog.commit_version(staged)
    catalog.add_hold(hold(staged), [name])
    assert catalog.held(tenant, [name, "other"]) == {name: "h1"}
    assert catalog.held("globex", [name]) == {}
    assert catalog.has_holds(tenant)
    assert not catalog.has_holds("globex")
    assert ledger.shred(tenant, [name]) == {name}
    with pytest.raises(ConflictError) as caught:
        ledger.close_tenant_keys(tenant)
    assert caught.value.code == "hold.active"
    catalog.set_state(tenant, name, DocumentState.DELETED)
    assert catalog.recover() == 0
    assert ledger.keys_left(tenant, [name]) == 1
    assert ledger.traces(tenant, [name]).counts["chunks"] == len(staged.chunks) > 0
    with pytest.raises(NotFoundError):
        catalog.lift_hold("globex", "h1", by="x", reason="y", target="")
    assert catalog.lift_hold(tenant, "h1", by="user:acme/b", reason="over", target="") == 1
    assert ledger.keys_left(tenant, [name]) == 0
    assert ledger.traces(tenant, [name]).counts["chunks"] == 0
    assert catalog.hold(tenant, "h1").state is HoldState.LIFTED
    assert catalog.holds(tenant, limit=10) == []
    assert [h.hold_id for h in catalog.holds(tenant, lifted=True, limit=10)] == ["h1"]
    with pytest.raises(ConflictError):
        catalog.request_lift(tenant, "h1", by="x", reason="y")


def test_sources_are_prefixes_and_people_are_tags(stores):
    catalog, _ = stores
    staged = version()
    tenant, name = staged.tenant, staged.document_id
    catalog.commit_version(staged)
    folder = staged.source[:3]
    catalog.add_hold(hold(staged, HoldKind.SOURCE, f"{staged.corpus}:{folder}"), [])
    assert catalog.count_held(catalog.hold(tenant, "h1")) == 1
    assert set(catalog.held(tenant, [name])) == {name}
    catalog.add_hold(hold(staged, HoldKind.SOURCE, f"{staged.corpus}:zz", hold_id="h2"), [])
    assert catalog.count_held(catalog.hold(tenant, "h2")) == 0
    person = hold(staged, HoldKind.SUBJECT, "tag", hold_id="h3", tags=frozenset({"t1", "t2"}))
    catalog.add_hold(person, [])
    assert catalog.standing_tags(tenant) == {"h3": {"t1", "t2"}}
    assert catalog.standing_tags("globex") == {}
    catalog.also_hold(tenant, "h3", [name])
    catalog.also_hold(tenant, "h3", [name])
    assert catalog.count_held(catalog.hold(tenant, "h3")) == 1


def test_since_when_the_bytes_are_here(stores):
    catalog, _ = stores
    staged = version()
    catalog.commit_version(staged)
    ids = [staged.document_id, "absent"]
    assert catalog.content_since(staged.tenant, ids) == {staged.document_id: NOW}
    assert catalog.content_since("globex", ids) == {}


def test_names_in_clear_are_found_and_emptied_and_what_is_held_stays(stores):
    catalog, ledger = stores
    staged = dataclasses.replace(version(), source="people/Müßig.txt")
    catalog.commit_version(staged)
    tenant = staged.tenant

    def forget(dry_run, tenant=tenant):
        found = ledger.forget_names(tenant, lambda text: "Müßig" in text, dry_run=dry_run)
        return found["tombstones"]

    assert forget(True) == 0  # it is there: it would go as a whole
    catalog.add_hold(hold(staged), [staged.document_id])
    catalog.set_state(tenant, staged.document_id, DocumentState.DELETED)
    assert forget(False) == 0
    catalog.lift_hold(tenant, "h1", by="x", reason="y", target="")
    assert forget(True) == 1
    assert forget(False, "globex") == 0
    assert forget(False) == 1
    assert forget(True) == 0
    assert catalog.find_document(tenant, staged.corpus, staged.source) is None
