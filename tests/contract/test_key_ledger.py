"""The catalog's side of keys, on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.catalog_sql.key_ledger import SQLKeyLedger
from ragward.domain.corpus import KeyReference
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.pseudonyms import VaultedPseudonym, vault_token
from ragward.domain.rotation import Rewrapped
from ragward.domain.shredding import ShredKind, ShredReceipt
from tests.contract.catalog_contract import NOW
from tests.contract.catalog_examples import version


@pytest.fixture
def stores(database_url):
    catalog = SQLCatalog.open(database_url, now=lambda: NOW)
    ledger = SQLKeyLedger.open(database_url, now=lambda: NOW)
    yield catalog, ledger
    ledger.close()
    catalog.close()


@pytest.fixture
def staged(stores):
    """A document of acme."""
    made = version()
    stores[0].commit_version(made)
    return made


def moved(staged, held, *, to=2, after=b"n" * 60):
    return Rewrapped(
        document_id=staged.document_id,
        version=staged.version,
        from_version=held.dek.context.kek_version,
        before=held.dek.wrapped,
        to_version=to,
        after=after,
    )


def under(ledger, staged, below, tenant=None):
    return ledger.held_under(tenant or staged.tenant, staged.kek_id, below, after=("", 0), limit=10)


def test_a_dek_is_moved_once_and_only_from_what_was_read(stores, staged):
    _, ledger = stores
    tenant, first, higher = staged.tenant, staged.kek_version, staged.kek_version + 1
    (held,) = under(ledger, staged, higher)
    assert held.dek.wrapped == staged.wrapped_dek
    assert held.dek.context.label_digest == staged.label.digest()
    assert under(ledger, staged, first) == []
    assert under(ledger, staged, higher, "globex") == []
    assert ledger.ledger(tenant).held == {(staged.kek_id, first): 1}
    assert ledger.retire(tenant, staged.kek_id, higher) == 1
    move = moved(staged, held, to=higher)
    assert ledger.store_rewrapped("globex", staged.kek_id, [move]) == 0
    assert ledger.store_rewrapped(tenant, staged.kek_id, [move]) == 1
    assert ledger.store_rewrapped(tenant, staged.kek_id, [move]) == 0
    assert ledger.ledger(tenant).held == {(staged.kek_id, higher): 1}
    assert ledger.retire(tenant, staged.kek_id, higher) == 0
    assert ledger.ledger(tenant).retired[(staged.kek_id, first)] == NOW
    assert (staged.kek_id, first) in ledger.all_retired()
    (held,) = under(ledger, staged, higher + 1)
    with pytest.raises(ConflictError) as caught:
        ledger.store_rewrapped(tenant, staged.kek_id, [moved(staged, held, to=first)])
    assert caught.value.code == "key.state"


def test_keys_of_the_vault_are_moved_as_those_of_documents(stores):
    catalog, ledger = stores
    key = KeyReference(dek_id="d", kek_id="of-the-vault", kek_version=1, wrapped_dek=b"w" * 60)
    row = VaultedPseudonym(
        tenant="acme",
        purpose="",
        entity_type="PERSON",
        tag=b"t" * 32,
        token=vault_token("PERSON", "r" * 43),
        key=key,
        blob=b"b",
        created_at=NOW,
    )
    catalog.add_pseudonyms("acme", [row])
    assert ledger.held_under("globex", key.kek_id, 2, after=("", 0), limit=10) == []
    (held,) = ledger.held_under("acme", key.kek_id, 2, after=("", 0), limit=10)
    assert held.dek.context == row.wrapping_context()
    assert ledger.held_under("acme", key.kek_id, 2, after=(row.token, 1), limit=10) == []
    assert ledger.retire("acme", key.kek_id, 2) == 1
    move = moved(held, held)
    assert ledger.store_rewrapped("globex", key.kek_id, [move]) == 0
    assert ledger.store_rewrapped("acme", key.kek_id, [move]) == 1
    assert ledger.store_rewrapped("acme", key.kek_id, [move]) == 0
    assert catalog.find_pseudonym("acme", row.token).key.kek_version == 2
    assert ledger.ledger("acme").held == {(key.kek_id, 2): 1}
    assert ledger.retire("acme", key.kek_id, 2) == 0
    late = dataclasses.replace(row, tag=b"u" * 32, token=vault_token("PERSON", "s" * 43))
    with pytest.raises(ConflictError):
        catalog.add_pseudonyms("acme", [late])


def test_what_was_shredded_is_a_tombstone(stores, staged):
    catalog, ledger = stores
    tenant, ids = staged.tenant, [staged.document_id]
    traces = ledger.traces(tenant, ids)
    assert traces.kek_ids == {staged.kek_id}
    assert traces.complete
    assert traces.counts["documents"] == traces.counts["versions"] == 1
    assert traces.counts["chunks"] == len(staged.chunks)
    assert ledger.traces("globex", ids).counts["documents"] == 0
    epoch = catalog.epoch(tenant)
    ledger.shred("globex", ids)
    assert ledger.keys_left(tenant, ids) == 1
    ledger.shred(tenant, ids)
    ledger.shred(tenant, ids)  # again is fine
    ledger.scrub()
    assert catalog.epoch(tenant) > epoch
    assert ledger.keys_left(tenant, ids) == 0
    after = ledger.traces(tenant, ids)
    assert (after.counts["chunks"], after.counts["points"]) == (0, 0)
    assert after.kek_ids == {staged.kek_id}  # still known afterwards
    with pytest.raises(NotFoundError):
        catalog.get_document(tenant, staged.document_id)
    assert catalog.find_document(tenant, staged.corpus, staged.source) is None
    assert {item.scope_id for item in catalog.next_work(limit=100)} == {None}
    assert list(ledger.all_documents(tenant)) == ids


def test_a_tenants_keys_are_closed_whoever_uses_them(stores, staged):
    catalog, ledger = stores
    ledger.close_tenant_keys(staged.tenant)
    other = version(document_id="other", source="other.txt")
    with pytest.raises(ConflictError) as caught:
        catalog.commit_version(other)
    assert caught.value.code == "key.state"


def test_receipts_are_kept_by_tenant(stores):
    _, ledger = stores
    receipt = ShredReceipt(
        receipt_id="r",
        tenant="acme",
        kind=ShredKind.DOCUMENT,
        target="d",
        reason="because",
        requested_by="user:acme/ann",
        at=NOW,
        documents=("d",),
        everything=True,
    )
    ledger.save_receipt(receipt)
    assert ledger.receipt("acme", "r") == receipt
    assert list(ledger.unfinished_receipts()) == [receipt]
    for tenant, name in (("globex", "r"), ("acme", "x"), ("acme", "\0")):
        with pytest.raises(NotFoundError):
            ledger.receipt(tenant, name)
    import dataclasses

    done = dataclasses.replace(receipt, done=True)
    ledger.save_receipt(done)
    assert list(ledger.receipts("acme", limit=10)) == [done]
    assert list(ledger.receipts("globex", limit=10)) == []
    assert list(ledger.unfinished_receipts()) == []
