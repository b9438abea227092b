"""What a tenant's classifier learns from, and that it is nobody else's."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import ConfigurationError, DeniedError, IntegrityError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from ragward.settings import ClassifierSettings
from tests.company import TENANT, subject
from tests.installation import initialised, opened

REASON = "because I read it"
WORDS = {
    Classification.INTERNAL: "canteen lunch lift bicycle parking",
    Classification.CONFIDENTIAL: "salary bonus contract margin tender",
}


def ingest(ragward, text, source, level=Classification.INTERNAL, tenant=TENANT, who=None):
    label = AccessLabel(tenant=tenant, corpus="eng", classification=level)
    document = SourceDocument(source=source, filename="a.txt", data=text.encode(), label=label)
    return ragward.ingestion.ingest(who or subject("steward"), document).document_id


def reviewed(ragward, count=40):
    """Documents that came as INTERNAL, half of which a steward raised; the other half taken from CONFIDENTIAL."""
    for number in range(count):
        level = list(WORDS)[number % 2]
        other = list(WORDS)[1 - number % 2]
        name = ingest(
            ragward, f"{WORDS[level]} number {number}", f"f{number % 6}/{number}.txt", other
        )
        label = ragward.catalog.get_document(TENANT, name).label
        changed = dataclasses.replace(label, classification=level)
        ragward.relabelling.relabel(subject("steward"), name, changed, REASON)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """(settings, classifier file, its digest): a steward reviewed, and a classifier was trained."""
    directory = tmp_path_factory.mktemp("learning")
    settings = initialised(directory)
    with opened(settings) as ragward:
        reviewed(ragward)
        made = ragward.learning.train(subject("steward"))
        assert made.documents == {"INTERNAL": 20, "CONFIDENTIAL": 20}
        kinds = [event.data for event in ragward.audit.entries(limit=1000)]
        assert any(made.sha256.encode() in data for data in kinds)
    path = directory / "classifier.json"
    path.write_bytes(made.artefact)
    return settings, path, made.sha256


def pinned(home, **changes):
    settings, path, sha256 = home
    item = ClassifierSettings(**({"path": path, "sha256": sha256} | changes))
    return settings.model_copy(update={"classifiers": (item,)})


def test_decisions_teach_and_the_classifier_raises_and_asks(home):
    with opened(pinned(home)) as ragward:
        document = ingest(ragward, "Tender margin and contract salary bonus.", "new/a.txt")
        record = ragward.catalog.get_document(TENANT, document)
        assert record.label.classification is Classification.CONFIDENTIAL
        [item] = ragward.catalog.reviews(TENANT, document_id=document, limit=9)
        assert item.proposed is Classification.CONFIDENTIAL
        plain = ingest(ragward, "The canteen lunch, the lift and bicycle parking.", "new/b.txt")
        found = ragward.catalog.get_document(TENANT, plain).label.classification
        assert found is Classification.INTERNAL


def test_another_tenants_documents_are_not_judged_by_it(home):
    with opened(pinned(home)) as ragward:
        rows = [
            PolicyRow("user:globex/s", "document:*", "globex/*", "PUBLIC..RESTRICTED", "*", "allow")
        ]
        ragward.catalog.change_policy("globex", add_rows=rows, author="t")
        application = dataclasses.replace(
            subject("s").application, tenant="globex", principal="app:globex/portal"
        )
        stranger = dataclasses.replace(
            subject("s"), tenant="globex", principal="user:globex/s", application=application
        )
        text = "Tender margin and contract salary bonus."
        document = ingest(ragward, text, "x.txt", tenant="globex", who=stranger)
        record = ragward.catalog.get_document("globex", document)
        assert record.label.classification is Classification.INTERNAL
        assert not any(line.startswith("classifier") for line in record.evidence)
        with pytest.raises(DeniedError):
            ragward.learning.train(subject("ann"))


def test_text_that_came_after_a_decision_teaches_nothing(home):
    """Or whoever replaces the text under a steward's label would choose what is learnt."""
    settings, *_ = home
    with opened(settings) as ragward:
        for number in range(0, 8, 2):
            text = f"{WORDS[Classification.CONFIDENTIAL]} poison {number}"
            ingest(ragward, text, f"f{number % 6}/{number}.txt", Classification.CONFIDENTIAL)
        examples = list(ragward.learning._reviewed(subject("steward")))
        assert len(examples) == 36
        assert sum(each.level is Classification.INTERNAL for each in examples) == 16


def test_a_tampered_artefact_keeps_the_installation_shut(home, tmp_path):
    _, path, _ = home
    other = tmp_path / "other.json"
    other.write_bytes(path.read_bytes().replace(b"0.", b"1.", 1))
    with pytest.raises(IntegrityError) as caught:
        opened(pinned(home, path=other))
    assert caught.value.code == "integrity.model"
    with pytest.raises(ConfigurationError):
        opened(pinned(home, path=tmp_path / "absent.json"))
    settings = pinned(home)
    twice = settings.model_copy(update={"classifiers": settings.classifiers * 2})
    with pytest.raises(ConfigurationError, match="two classifiers"):
        opened(twice)
