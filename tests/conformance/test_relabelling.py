"""Other labels for what is there: at once, whole folders, without embedding anew, with keys away and processes killed."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from ragward.api.maintenance import Maintenance
from ragward.domain.corpus import Pending, SourceDocument, View
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification, LabelChange
from tests import company
from tests.installation import asked_by, initialised, opened

STEWARD = company.subject("steward")
STAFF, ENG = frozenset({"group:acme/staff"}), frozenset({"group:acme/eng"})
REASON = "the project became secret"
QUERY = "voltage laboratory"


class AwayKeyring:
    """A keyring that can be away."""

    def __init__(self, keyring):
        self._keyring, self.away = keyring, False

    def __getattr__(self, name):
        if self.away and name in ("wrap", "unwrap_all", "rewrap_all", "active_kek", "vector_keys"):
            raise UnavailableError(code="unavailable.keys")
        return getattr(self._keyring, name)


class CountingEmbedder:
    """How many texts were embedded."""

    def __init__(self, embedder):
        self._embedder, self.texts = embedder, 0

    def embed(self, texts):
        self.texts += len(texts)
        return self._embedder.embed(texts)

    def __getattr__(self, name):
        return getattr(self._embedder, name)


@pytest.fixture
def ragward(tmp_path):
    from ragward.opening import open_keyring
    from tests.fakes.embedder_sentence_transformers import FakeEmbedder

    settings = initialised(tmp_path)
    keyring = AwayKeyring(open_keyring(settings))
    embedder = CountingEmbedder(FakeEmbedder())
    with opened(settings, keyring=keyring, embedder=embedder) as made:
        for folder in ("lab", "lab/deep", "labour", "hall"):
            for number in range(4):
                ingest(made, f"{folder}/{number}.txt", f"The voltage laboratory {folder} {number}.")
        ingest(made, "lab/other.txt", "The voltage laboratory elsewhere.", corpus="hr")
        yield made


def ingest(ragward, source, text, *, corpus="eng", granted=STAFF):
    label = AccessLabel(
        tenant="acme", corpus=corpus, classification=Classification.INTERNAL, granted=granted
    )
    ragward.ingestion.ingest(
        STEWARD,
        SourceDocument(
            source=source, filename="x.txt", data=text.encode(), label=label, attributes={}
        ),
    )


def seen(ragward, name="ann"):
    """Sources in the answer to the question."""
    from ragward.domain.passages import RetrievalRequest

    asked = RetrievalRequest(query=QUERY, limit=50, max_passages_per_document=50, minimize=Mode.OFF)
    return {passage.source for passage in ragward.retrieve(asked_by(name), asked).passages}


def record(ragward, source, corpus="eng"):
    return ragward.catalog.find_document("acme", corpus, source)


def folder(name):
    return {f"{name}/{number}.txt" for number in range(4)}


def test_a_folder_is_relabelled_at_once_and_nothing_beside_it(ragward):
    every = seen(ragward)
    assert folder("lab") | folder("lab/deep") | folder("labour") <= every
    embedded, before = ragward.embedder.texts, ragward.catalog.epoch("acme")
    change = LabelChange(granted=frozenset({"user:acme/ben"}))
    done = ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", change, REASON)
    assert (done.documents, done.changed, done.raised, done.rewrap_pending) == (8, 8, 0, 0)
    assert ragward.embedder.texts == embedded, "an access change embeds nothing"
    assert ragward.catalog.epoch("acme") == before + 1, "one commit"
    assert seen(ragward) == every - folder("lab") - folder("lab/deep")
    assert "lab/other.txt" in seen(ragward)
    assert record(ragward, "lab/1.txt").evidence[-1] == f"steward: INTERNAL: {REASON}"
    again = ragward.relabelling.relabel_folder(STEWARD, "eng", "lab/", change, REASON)
    assert (again.documents, again.changed) == (8, 0)
    assert ragward.catalog.epoch("acme") == before + 1, "what changes nothing moves nothing"


def test_a_widening_shows_and_a_narrowing_does_not_shorten_while_the_index_is_behind(ragward):
    class Paused:
        def run(self):
            return 0

    ports = ragward.relabelling._ports
    ragward.relabelling._ports = dataclasses.replace(ports, index_sync=Paused())
    narrow = LabelChange(granted=ENG)
    ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", narrow, REASON)
    assert ragward.catalog.head("acme").has_pending
    assert not seen(ragward, "cai") & (folder("lab") | folder("lab/deep"))
    assert folder("hall") | folder("labour") <= seen(ragward, "cai"), "no answer became shorter"
    ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", LabelChange(granted=STAFF), REASON)
    assert folder("lab") | folder("lab/deep") <= seen(ragward, "cai"), "a widening shows at once"


def test_a_raising_is_in_force_with_the_commit_and_encrypted_anew(ragward):
    before = {source: record(ragward, source) for source in folder("lab")}
    change = LabelChange(
        classification=Classification.RESTRICTED, granted=frozenset({"user:acme/ann"})
    )
    done = ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", change, REASON)
    assert done.raised == done.changed == 8
    assert done.classifications == (("INTERNAL", "RESTRICTED", 8),)
    assert ragward.catalog.count_pending() == {}
    for source, old in before.items():
        new = record(ragward, source)
        assert new.version == old.version + 1
        assert new.key.dek_id != old.key.dek_id
        assert new.label.classification is Classification.RESTRICTED
        stored = ragward.catalog.document_chunks("acme", new.document_id)
        full = [chunk for chunk in stored if chunk.view is View.FULL]
        assert b"voltage" not in full[0].blob
        assert "voltage" in ragward.relabelling._ports.protection.open(full[0]).text


def test_a_dry_run_says_the_same_and_does_nothing(ragward):
    epoch, entries = ragward.catalog.epoch("acme"), len(ragward.audit.entries(limit=1000))
    change = LabelChange(classification=Classification.CONFIDENTIAL)
    told = ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", change, REASON, dry_run=True)
    assert ragward.catalog.epoch("acme") == epoch
    assert len(ragward.audit.entries(limit=1000)) == entries
    assert told == ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", change, REASON)


def test_who_may_not_relabel_all_of_it_relabels_nothing(ragward):
    labels = {source: record(ragward, source).label for source in folder("lab")}
    change = LabelChange(granted=frozenset({"user:acme/cai"}))
    with pytest.raises(DeniedError):
        ragward.relabelling.relabel_folder(company.subject("ann"), "eng", "lab", change, REASON)
    nobody = ragward.relabelling.relabel_folder(
        company.subject("nobody"), "eng", "lab", change, REASON
    )
    assert nobody.documents == 0  # and of what they may not know, they learn nothing
    assert labels == {source: record(ragward, source).label for source in labels}
    refused = b"".join(entry.data for entry in ragward.audit.entries(limit=1000))
    assert b"document:relabel" in refused


@pytest.mark.parametrize("reason", ["", "short", "x" * 501, "a line\nbreak"])
def test_a_reason_is_needed(ragward, reason):
    with pytest.raises(InvalidRequestError):
        ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", LabelChange(granted=ENG), reason)
    with pytest.raises(InvalidRequestError):
        ragward.relabelling.relabel(
            STEWARD,
            record(ragward, "lab/1.txt").document_id,
            record(ragward, "hall/1.txt").label,
            reason,
        )


def test_a_bad_change_changes_nothing(ragward):
    epoch = ragward.catalog.epoch("acme")
    for bad in (
        LabelChange(granted=frozenset({"ann"})),
        LabelChange(granted=frozenset({"user:globex/ann"})),
        LabelChange(valid_from=10, valid_until=5),
    ):
        with pytest.raises(InvalidRequestError):
            ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", bad, REASON)
    assert ragward.catalog.epoch("acme") == epoch


def test_with_the_key_away_a_narrowing_is_in_force_and_the_text_waits(ragward):
    document = record(ragward, "lab/1.txt")
    ragward.keyring.away = True
    change = LabelChange(
        classification=Classification.RESTRICTED, granted=frozenset({"user:acme/ann"})
    )
    done = ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", change, REASON)
    assert done.rewrap_pending == 8
    assert ragward.degraded() == ["rewrap_pending"]
    twice = LabelChange(granted=frozenset({"user:acme/ann", "user:acme/ben"}))
    ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", twice, "and ben, a moment later")
    assert ragward.relabelling.resume() == 0
    ragward.keyring.away = False
    assert not seen(ragward, "cai") & folder("lab")
    assert not seen(ragward, "ann") & folder("lab"), "permitted, and not to be opened yet"
    assert seen(ragward, "ann"), "the rest is answered"
    assert b"integrity.failure" not in b"".join(e.data for e in ragward.audit.entries(limit=1000))
    assert ragward.relabelling.resume() == 8
    assert ragward.catalog.count_pending() == {}
    assert ragward.degraded() == []
    after = record(ragward, "lab/1.txt")
    assert after.key.dek_id != document.key.dek_id, "classified higher: encrypted anew after all"
    assert ragward.relabelling.resume() == 0


def test_a_relabelling_killed_before_the_new_encryption_is_finished_later(ragward, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    monkeypatch.setattr(type(ragward.relabelling), "_reencrypt", killed)
    change = LabelChange(classification=Classification.CONFIDENTIAL)
    with pytest.raises(KilledError):
        ragward.relabelling.relabel_folder(STEWARD, "eng", "hall", change, REASON)
    monkeypatch.undo()
    assert ragward.catalog.count_pending() == {Pending.REENCRYPT: 4}
    assert record(ragward, "hall/1.txt").label.classification is Classification.CONFIDENTIAL
    server = Maintenance(ragward, every_seconds=0.05)
    for _ in range(200):
        if not ragward.catalog.count_pending():
            break
        threading.Event().wait(0.05)
    server.close()
    assert ragward.catalog.count_pending() == {}
    assert record(ragward, "hall/1.txt").version == 2


def test_a_document_that_changed_meanwhile_is_a_conflict(ragward):
    document = record(ragward, "lab/1.txt")
    real = ragward.relabelling._ports.catalog

    class Late:
        """Somebody else's relabelling comes first."""

        def relabel(self, tenant, moves):
            ragward.relabelling._ports = ports
            ragward.relabelling.relabel(
                STEWARD,
                document.document_id,
                dataclasses.replace(document.label, granted=frozenset({"user:acme/ben"})),
                "somebody else's reason",
            )
            return real.relabel(tenant, moves)

        def __getattr__(self, name):
            return getattr(real, name)

    ports = ragward.relabelling._ports
    ragward.relabelling._ports = dataclasses.replace(ports, catalog=Late())
    with pytest.raises(ConflictError):
        ragward.relabelling.relabel_folder(STEWARD, "eng", "lab", LabelChange(granted=ENG), REASON)
    assert record(ragward, "lab/1.txt").label.granted == {"user:acme/ben"}
    assert record(ragward, "lab/2.txt").label.granted == STAFF, "all or nothing"


def test_one_document_is_relabelled_by_id_and_absent_ones_are_not_found(ragward):
    document = record(ragward, "lab/1.txt")
    label = dataclasses.replace(document.label, denied=frozenset({"user:acme/cai"}))
    after = ragward.relabelling.relabel(STEWARD, document.document_id, label, REASON)
    assert after.label == label
    assert "lab/1.txt" not in seen(ragward, "cai")
    with pytest.raises(NotFoundError):
        ragward.relabelling.relabel(STEWARD, "no-such-document", label, REASON)
    with pytest.raises(NotFoundError):
        ragward.relabelling.relabel(company.subject("nobody"), document.document_id, label, REASON)
    elsewhere = dataclasses.replace(label, corpus="hr")
    with pytest.raises(InvalidRequestError):
        ragward.relabelling.relabel(STEWARD, document.document_id, elsewhere, REASON)
