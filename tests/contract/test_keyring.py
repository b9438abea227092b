"""Every keyring, held to one contract: what opens, what does not, and with which code."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.adapters.keyring_file import FileKeyring
from ragward.domain.envelope import KeyPurpose, PurposeKey, purpose_key
from ragward.domain.errors import ConflictError, InvalidRequestError, UnavailableError
from ragward.domain.keys import KEKState, WrappedDEK
from ragward.domain.labels import Classification
from tests.contract.key_providers import Place
from tests.contract.keyrings import RESTRICTED, context, moved, opened, wrapped
from tests.fakes.kek_provider import FakeKEKProvider, remote_keyring

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def file_place(tmp_path):
    path = tmp_path / "keyring.json"
    FileKeyring.create(path, PASSPHRASE)
    return Place(path, lambda: FileKeyring.open(path, PASSPHRASE))


@pytest.fixture
def fake_place(tmp_path):
    path, provider = tmp_path / "keyring.json", FakeKEKProvider()
    return Place(path, lambda: remote_keyring(path, provider))


@pytest.fixture(params=["file", "fake", "pkcs11", "awskms", "awskms_remote", "vault"])
def place(request):
    made = request.getfixturevalue(f"{request.param}_place")
    yield made
    made.close()


@pytest.fixture
def keyring(place):
    return place.open()


def test_a_wrapped_dek_opens_in_its_own_place_only(keyring):
    dek, item = wrapped(keyring)
    assert opened(keyring, item) == [dek]
    elsewhere = [
        moved(item, **change)
        for change in (
            {"label_digest": b"\1" * 32},
            {"document_id": "other"},
            {"document_version": 2},
            {"dek_id": "e"},
            {"tenant": "globex"},
        )
    ]
    assert opened(keyring, *elsewhere) == ["integrity.wrapped_key"] * 5
    assert opened(keyring, item) == [dek]


def test_what_was_changed_or_cut_does_not_open(keyring):
    _, item = wrapped(keyring)
    broken = [item.wrapped[:-1], item.wrapped + b"\0", b"", item.wrapped[:-60] + bytes(60)]
    # moto puts the key's id in clear text in front, and breaks where that is no text; KMS itself tells
    for position in range(max(0, len(item.wrapped) - 60), len(item.wrapped), 7):
        changed = bytearray(item.wrapped)
        changed[position] ^= 1 << position % 8
        broken.append(bytes(changed))
    items = [WrappedDEK(wrapped=data, context=item.context) for data in broken]
    assert set(opened(keyring, *items)) == {"integrity.wrapped_key"}


def test_good_and_bad_in_one_batch_are_told_apart(keyring):
    one, first = wrapped(keyring)
    two, second = wrapped(keyring, level=Classification.PUBLIC)
    unknown = moved(first, kek_id="gone")
    found = opened(keyring, first, moved(first, document_id="x"), unknown, second, first)
    assert found == [one, "integrity.wrapped_key", "unavailable.keys", two, one]


def test_tenants_classifications_and_purposes_have_keys_of_their_own(keyring):
    keks = {
        keyring.active_kek(tenant, level, purpose)
        for tenant in ("acme", "globex")
        for level in (Classification.PUBLIC, RESTRICTED)
        for purpose in KeyPurpose
    }
    assert len(keks) == 4 * len(KeyPurpose)
    _, item = wrapped(keyring)
    other = keyring.active_kek("acme", RESTRICTED, KeyPurpose.VECTOR)
    assert opened(keyring, moved(item, kek_id=other[0])) == ["integrity.wrapped_key"]


def test_the_life_of_a_version(place, keyring):
    dek, item = wrapped(keyring)
    kek_id, first = item.context.kek_id, item.context.kek_version
    assert keyring.stage("acme", RESTRICTED) == (kek_id, first + 1)
    assert keyring.stage("acme", RESTRICTED) == (kek_id, first + 1)  # again is the same
    assert keyring.active_kek("acme", RESTRICTED) == (kek_id, first)
    early = dataclasses.replace(item.context, kek_version=first + 1)
    with pytest.raises(ConflictError):
        keyring.wrap(dek, early)
    keyring.activate(kek_id, first + 1)
    keyring.activate(kek_id, first + 1)
    other = place.open()
    assert other.active_kek("acme", RESTRICTED) == (kek_id, first + 1)
    with pytest.raises(ConflictError) as caught:
        keyring.wrap(dek, item.context)
    assert caught.value.code == "key.state"
    assert opened(keyring, item) == opened(other, item) == [dek]
    (again,) = keyring.rewrap_all([(item, early)])
    keyring.destroy(kek_id, first)
    keyring.destroy(kek_id, first)
    for ring in (keyring, other, place.open()):
        assert opened(ring, item) == ["integrity.key_destroyed"]
        assert opened(ring, WrappedDEK(wrapped=again, context=early)) == [dek]
    with pytest.raises(ConflictError):
        keyring.activate(kek_id, first)
    states = {s.version: s.state for s in keyring.status() if s.kek_id == kek_id}
    assert states == {first: KEKState.DESTROYED, first + 1: KEKState.ACTIVE}


def test_after_the_only_version_is_destroyed_the_next_one_has_another_number(keyring):
    _, item = wrapped(keyring)
    keyring.destroy(item.context.kek_id, item.context.kek_version)
    assert keyring.active_kek("acme", RESTRICTED) == (
        item.context.kek_id,
        item.context.kek_version + 1,
    )


def test_a_dek_is_rewrapped_for_its_own_document_version_only(keyring):
    dek, item = wrapped(keyring)
    relabelled = dataclasses.replace(item.context, label_digest=b"\2" * 32)
    damaged = moved(item, document_version=9)
    (given,) = keyring.rewrap_all([(item, relabelled)])
    assert opened(keyring, WrappedDEK(wrapped=given, context=relabelled)) == [dek]
    (code,) = keyring.rewrap_all([(damaged, damaged.context)])
    assert code.code == "integrity.wrapped_key"
    for change in ({"document_id": "x"}, {"dek_id": "x"}, {"document_version": 3}, {"tenant": "t"}):
        with pytest.raises(InvalidRequestError):
            keyring.rewrap_all([(item, dataclasses.replace(item.context, **change))])


def test_the_index_gets_the_key_of_vectors_and_not_the_dek(keyring):
    dek, item = wrapped(keyring)
    found, refused = keyring.vector_keys([item, moved(item, document_id="x")])
    assert found == purpose_key(dek, KeyPurpose.VECTOR)
    assert isinstance(found, PurposeKey)
    assert found.key != dek
    assert refused.code == "integrity.wrapped_key"


def test_mac_keys_differ_by_purpose_and_survive_reopening(place, keyring):
    purposes = ("audit-chain", "query-tag", "epoch-token", "page-token")
    keys = {purpose: keyring.mac_key(purpose) for purpose in purposes}
    assert len(set(keys.values())) == 4
    other = place.open()
    assert {purpose: other.mac_key(purpose) for purpose in purposes} == keys


def test_wraps_are_counted_and_the_count_is_kept(place, keyring):
    where = context(keyring)
    for _ in range(5):
        keyring.wrap(bytes(32), where)
    assert [s.wraps for s in keyring.status() if s.kek_id == where.kek_id] == [5]
    keyring.close()
    again = place.open()
    again.wrap(bytes(32), where)
    (status,) = [s for s in again.status() if s.kek_id == where.kek_id]
    assert status.wraps == 6
    assert status.classification is RESTRICTED
    assert status.purpose is KeyPurpose.CONTENT
    assert status.activated_at >= status.created_at > 0 == status.destroyed_at


def test_a_used_up_version_wraps_no_more(keyring, monkeypatch):
    from ragward.adapters import keyring_registry

    where = context(keyring)
    keyring.wrap(bytes(32), where)
    monkeypatch.setattr(keyring_registry, "_MAX_WRAPS", 2)
    with pytest.raises(UnavailableError):
        keyring.wrap(bytes(32), where)
