"""Who answers makes no keys; who ingests opens no text; and one provider that is away takes down only what needs it."""

from __future__ import annotations

import dataclasses
import os
import uuid

import pytest

from ragward.adapters.keyring_limited import LimitedKeyring
from ragward.adapters.keyring_routed import RoutedKeyring
from ragward.domain.corpus import SourceDocument
from ragward.domain.envelope import PurposeKey
from ragward.domain.errors import IntegrityError, RagwardError, UnavailableError
from ragward.domain.keys import USES_OF, KeyRole, KeyUse
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.opening import open_keyring
from tests import company
from tests.contract.keyrings import RESTRICTED, context, opened, reading, wrapped
from tests.fakes.kek_provider import FakeKEKProvider, remote_keyring
from tests.installation import asked_by, initialised
from tests.installation import opened as installation

USES = {
    KeyUse.WRAP: (
        lambda ring, item: ring.active_kek("acme", RESTRICTED),
        lambda ring, item: ring.wrap(bytes(32), item.context),
    ),
    KeyUse.UNWRAP: (lambda ring, item: ring.unwrap_all([item], reading()),),
    KeyUse.VECTORS: (lambda ring, item: ring.vector_keys([item]),),
    KeyUse.REWRAP: (lambda ring, item: ring.rewrap_all([(item, item.context)]),),
    KeyUse.ADMINISTER: (
        lambda ring, item: ring.status(),
        lambda ring, item: ring.stage("acme", RESTRICTED),
        lambda ring, item: ring.activate(item.context.kek_id, item.context.kek_version),
        lambda ring, item: ring.destroy(item.context.kek_id, item.context.kek_version),
    ),
}


@pytest.fixture
def remote(tmp_path):
    provider = FakeKEKProvider()
    ring = remote_keyring(tmp_path / "remote.json", provider)
    yield ring, provider
    ring.close()


@pytest.mark.parametrize("allowed", [*KeyUse, None])
def test_a_view_permits_its_uses_and_refuses_every_other(remote, allowed):
    ring, _ = remote
    _, item = wrapped(ring)
    view = LimitedKeyring(ring, {allowed} if allowed else set())
    for use, calls in USES.items():
        for call in calls:
            if use is allowed:
                call(view, item)
                continue
            with pytest.raises(UnavailableError) as caught:
                call(view, item)
            assert caught.value.code == "unavailable.keys"
    assert view.mac_key("query-tag") == ring.mac_key("query-tag")


def test_roles():
    assert USES_OF[KeyRole.QUERY] == {KeyUse.UNWRAP}
    assert not USES_OF[KeyRole.INGEST] & {KeyUse.UNWRAP, KeyUse.REWRAP, KeyUse.ADMINISTER}
    assert USES_OF[KeyRole.SERVICE] == set(KeyUse)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return initialised(tmp_path_factory.mktemp("uses"))


def document(name, level):
    label = AccessLabel(
        tenant="acme",
        corpus="hr",
        classification=level,
        granted=frozenset({"user:acme/ann"}),
    )
    text = f"The {name} plan of the pension laboratory names the voltage of {name}."
    return SourceDocument(
        source=f"{name}.txt", filename=f"{name}.txt", data=text.encode(), label=label, attributes={}
    )


def asked(ragward, kind=None):
    filters = {"type": "eq", "key": "kind", "value": kind} if kind else None
    request = RetrievalRequest(query="pension laboratory voltage", limit=20, filters=filters)
    return " ".join(p.text for p in ragward.retrieve(asked_by("ann"), request).passages)


def test_each_flow_holds_only_what_it_needs(home):
    with installation(home) as ragward:
        ragward.ingestion.ingest(company.subject("steward"), document("flow", RESTRICTED))
        stored = next(
            point
            for record in ragward.catalog.documents("acme")
            for point in ragward.catalog.document_chunks("acme", record.document_id)
        )
        assert ragward.retrieval._ports.protection.open(stored, reading())
        with pytest.raises(UnavailableError):
            ragward.ingestion._ports.protection.open(stored, reading())
        with pytest.raises(UnavailableError):
            ragward.retrieval._ports.protection.new_version("d", 1, stored.label)
        with pytest.raises(UnavailableError):
            ragward.index_sync.opener.keyring.unwrap_all([], reading())
        with pytest.raises(UnavailableError):
            ragward.stewardship._ports.keyring.unwrap_all([], reading())


def test_a_process_that_only_answers_makes_no_keys_and_still_answers(tmp_path):
    settings = initialised(tmp_path)
    with installation(settings) as ragward:
        ragward.ingestion.ingest(
            company.subject("steward"), document("old", Classification.INTERNAL)
        )
    with installation(settings.model_copy(update={"keys_role": KeyRole.QUERY})) as ragward:
        assert "old plan" in asked(ragward)
        before = settings.keyring.read_bytes()
        with pytest.raises(RagwardError) as caught:
            ragward.ingestion.ingest(
                company.subject("steward"), document("new", Classification.PUBLIC)
            )
        assert caught.value.code == "unavailable.keys"
        with pytest.raises(RagwardError):
            ragward.rotation.rotate(company.subject("steward"), RESTRICTED)
        assert settings.keyring.read_bytes() == before


def test_a_process_that_only_answers_cannot_open_sealed_vectors_by_itself(tmp_path):
    """Keys of vectors need no subject's token, and text can be approximated from vectors: the index owner opens them."""
    settings = initialised(tmp_path)
    with installation(settings) as ragward:
        ragward.ingestion.ingest(company.subject("steward"), document("old", RESTRICTED))
        assert "old plan" in asked(ragward)
    with installation(settings.model_copy(update={"keys_role": KeyRole.QUERY})) as ragward:
        with pytest.raises(UnavailableError) as caught:
            asked(ragward)
        assert caught.value.code == "unavailable.keys"


def test_a_process_that_only_ingests_puts_into_the_index_and_answers_nothing(tmp_path):
    settings = initialised(tmp_path)
    ingest = settings.model_copy(update={"keys_role": KeyRole.INGEST})
    with installation(ingest) as ragward:
        ragward.ingestion.ingest(company.subject("steward"), document("new", RESTRICTED))
        ragward.ingestion.ingest(
            company.subject("steward"), document("open", Classification.INTERNAL)
        )
        assert ragward.index.plain.count() > 0  # of RESTRICTED nothing enters it
        with pytest.raises(UnavailableError):
            asked(ragward)
        ring = open_keyring(ingest)
        dek = os.urandom(32)
        where = dataclasses.replace(context(ring), dek_id=str(uuid.uuid4()))
        item = dataclasses.replace(wrapped(ring)[1], wrapped=ring.wrap(dek, where), context=where)
        (key,) = ring.vector_keys([item])
        assert isinstance(key, PurposeKey)
        with pytest.raises(IntegrityError):
            ragward.retrieval._ports.protection.cipher.decrypt(
                text_blob(dek, where.dek_id), dek=key, dek_id=where.dek_id, context=TEXT
            )
    with installation(settings) as ragward:
        assert "new plan" in asked(ragward)


def test_a_provider_that_is_away_takes_down_what_needs_it_and_nothing_else(tmp_path, remote):
    settings = initialised(tmp_path)
    ring, provider = remote
    routed = RoutedKeyring(open_keyring(settings), {RESTRICTED: lambda: ring})
    with installation(settings, keyring=routed) as ragward:
        steward = company.subject("steward")
        ragward.ingestion.ingest(steward, document("open", Classification.PUBLIC))
        assert provider.calls == []
        secret = document("secret", RESTRICTED)
        ragward.ingestion.ingest(
            steward, dataclasses.replace(secret, attributes={"kind": "secret"})
        )
        opened_once = dataclasses.replace(
            document("plain", Classification.CONFIDENTIAL), attributes={"kind": "plain"}
        )
        ragward.ingestion.ingest(steward, opened_once)
        assert {s.provider for s in routed.status()} == {"file", "fake"}
        assert "secret plan" in asked(ragward)
        ring.forget()
        provider.away = True
        with pytest.raises(UnavailableError) as caught:  # never silently shorter
            asked(ragward)
        assert caught.value.code == "unavailable.keys"
        assert "plain plan" in asked(ragward, kind="plain")
        ragward.ingestion.ingest(steward, document("more", Classification.CONFIDENTIAL))
        with pytest.raises(UnavailableError):
            ragward.ingestion.ingest(steward, document("hidden", RESTRICTED))
        provider.away = False
        assert "secret plan" in asked(ragward)


def test_a_keyring_that_cannot_even_be_opened_takes_down_only_its_own(tmp_path):
    settings = initialised(tmp_path)

    def away():
        raise UnavailableError(code="unavailable.keys")

    routed = RoutedKeyring(open_keyring(settings), {RESTRICTED: away})
    dek, item = wrapped(routed, level=Classification.PUBLIC)
    unknown = dataclasses.replace(
        item, context=dataclasses.replace(item.context, kek_id="elsewhere")
    )
    assert opened(routed, item, unknown) == [dek, "unavailable.keys"]
    with pytest.raises(UnavailableError):
        wrapped(routed)
    routed.close()


def text_blob(dek, dek_id):
    from ragward.adapters.cipher_aesgcm import AESGCMCipher
    from ragward.domain.envelope import Suite

    return AESGCMCipher().encrypt(b"x", dek=dek, dek_id=dek_id, context=TEXT, suite=Suite.ENCRYPTED)


def _text():
    from ragward.domain.envelope import EncryptionContext, Kind

    return EncryptionContext(
        tenant="acme", document_id="doc", chunk_id="c", kind=Kind.TEXT, revision=1
    )


TEXT = _text()
