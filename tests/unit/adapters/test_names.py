"""The trained name detector: pinned, close to what it was, and reading off the pass that makes the vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ragward.adapters import names_head
from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.finder_presidio import ENTITY_TYPES, PresidioFinder
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.adapters.names import NamesDetector
from ragward.adapters.names_head import NamesHead
from ragward.adapters.names_presidio import PresidioNames
from ragward.domain.corpus import Chunk
from ragward.domain.errors import ConfigurationError, IntegrityError

pytestmark = pytest.mark.model

# written for this test, by nobody whose sentences the detector learned from
SENTENCES = [
    ("Yesterday Ingeborg Halvorsen called from Trondheim about the boiler.", "Ingeborg Halvorsen", "PERSON"),
    ("The keys are with Tomasz, not with the porter.", "Tomasz", "PERSON"),
    ("A nurse named Adaeze Nwosu changed the dressing at noon.", "Adaeze Nwosu", "PERSON"),
    ("i think priya sharma has the spare badge", "priya sharma", "PERSON"),
    ("Nobody had told Mrs Castellanos that the lift was out of order.", "Castellanos", "PERSON"),
    ("The parcel was signed for by Jean-Baptiste Moreau.", "Jean-Baptiste Moreau", "PERSON"),
    ("Kowalczyk refused the offer twice before lunch.", "Kowalczyk", "PERSON"),
    ("She grew up in Valparaíso and never liked the cold.", "Valparaíso", "LOCATION"),
    ("Trains to Ljubljana leave every second hour.", "Ljubljana", "LOCATION"),
    ("The pumps were made in Slovakia until last spring.", "Slovakia", "LOCATION"),
    ("We bought the licences from Brightwater Systems Ltd.", "Brightwater Systems Ltd", "ORGANIZATION"),
    ("Her pension is paid by Hartmann & Söhne GmbH.", "Hartmann & Söhne GmbH", "ORGANIZATION"),
]  # fmt: skip
PLAIN = [
    "The meeting closed at noon and nobody asked for the minutes.",
    "Press Save, then choose Network and wait for the green light.",
    "Travel Policy: hotels are booked through the portal.",
    "Call update() before commit(); a ValueError means that the index is stale.",
]


@pytest.fixture(scope="module")
def embedder():
    return OnnxEmbedder.load(find_installed_model(), ModelManifest.shipped(), threads=1)


@pytest.fixture(scope="module")
def names(embedder):
    return NamesDetector(embedder, find_installed_model())


def test_names_are_found_where_nothing_announces_them(names):
    found = names.read([text for text, _, _ in SENTENCES])
    missed = [
        text
        for (text, value, kind), spans in zip(SENTENCES, found, strict=True)
        if (value, kind) not in [(text[s.start : s.end].rstrip("."), s.entity_type) for s in spans]
    ]
    assert len(missed) <= 1, missed


def test_ordinary_sentences_hold_no_people(names):
    assert not any(s.entity_type == "PERSON" for spans in names.read(PLAIN) for s in spans)


def test_the_pass_that_embeds_gives_the_same_vectors_and_names(embedder, names):
    texts = [
        *[text for text, _, _ in SENTENCES],
        *PLAIN,
        "The tank is full. " * 120 + "Yesterday Ingeborg Halvorsen left.",
    ]
    vectors, found = names.read_chunks(texts)
    plain = np.array(embedder.embed(texts))
    assert (np.array(vectors) * plain).sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    assert [texts[-1][s.start : s.end] for s in found[-1]] == [
        "Ingeborg Halvorsen"
    ]  # past the window
    alone = NamesDetector(embedder, find_installed_model()).read(texts[:-1])
    assert [[(s.start, s.end, s.entity_type) for s in spans] for spans in alone] == [
        [(s.start, s.end, s.entity_type) for s in spans] for spans in found[:-1]
    ]


def test_strict_finds_whatever_standard_finds_and_more(embedder, names):
    strict = NamesDetector(embedder, find_installed_model(), strict=True)
    texts = [text for text, _, _ in SENTENCES]

    def letters(detector):
        return sum(s.end - s.start for spans in detector.read(texts) for s in spans)

    assert letters(strict) >= letters(names)
    assert strict.version != names.version


def test_a_name_found_in_one_chunk_is_found_in_the_others(names):
    finder = PresidioFinder.load(names)
    first, second = (
        "Yesterday Ingeborg Halvorsen called.",
        "Minutes: Halvorsen absent, Halvorsen late.",
    )
    text = f"{first}\n\n{second}"
    base = len(first) + 2
    chunks = [
        Chunk(ordinal=0, start=0, end=len(first), text=first),
        Chunk(ordinal=1, start=base, end=len(text), text=second),
    ]
    scan = finder.scan(text, chunks)
    values = [text[s.start : s.end] for s in scan.spans if s.entity_type == "PERSON"]
    assert values == ["Ingeborg Halvorsen", "Halvorsen", "Halvorsen"]
    assert scan.vectors is not None
    assert len(scan.vectors) == 2


def test_an_address_of_several_lines_is_one_span(names):
    finder = PresidioFinder.load(names, ENTITY_TYPES)
    text = "Please send it to 48 Harbour Road, Flat 7, Galway before Friday."
    [(value, kind)] = [
        (text[s.start : s.end], s.entity_type)
        for s in finder.find(text)
        if s.entity_type != "DATE_TIME"
    ]
    assert (value, kind) == ("48 Harbour Road, Flat 7, Galway", "STREET_ADDRESS")


def test_changed_weights_are_refused(monkeypatch, tmp_path):
    for name in ("names-head.npz", "names-head.json"):
        (tmp_path / name).write_bytes((names_head._MODELS / name).read_bytes())
    monkeypatch.setattr(names_head, "_MODELS", tmp_path)
    NamesHead.shipped()
    data = bytearray((tmp_path / "names-head.npz").read_bytes())
    data[-1] ^= 1
    (tmp_path / "names-head.npz").write_bytes(data)
    with pytest.raises(IntegrityError) as refused:
        NamesHead.shipped()
    assert refused.value.code == "integrity.model"


def test_the_head_belongs_to_the_model_that_is_installed():
    manifest = json.loads((names_head._MODELS / "names-head.json").read_text("utf-8"))
    assert manifest["body"] == ModelManifest.shipped().digest()
    assert (names_head._MODELS / "names-head.npz").stat().st_size < 300_000


def test_an_engine_of_presidios_own_can_take_its_place(tmp_path):
    import spacy

    language = spacy.blank("en")
    ruler = language.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Zorblax"}])
    language.to_disk(tmp_path / "model")
    file = tmp_path / "engine.yaml"
    file.write_text(
        f"""
supported_languages: [en]
nlp_configuration:
  nlp_engine_name: spacy
  models: [{{lang_code: en, model_name: {tmp_path / "model"}}}]
recognizer_registry:
  supported_languages: [en]
  recognizers:
    - {{name: SpacyRecognizer, type: predefined}}
"""
    )
    finder = PresidioFinder.load(PresidioNames(file))
    text = "Nobody saw Zorblax leave at noon."
    chunks = [Chunk(ordinal=0, start=0, end=len(text), text=text)]
    scan = finder.scan(text, chunks)
    assert [(text[s.start : s.end], s.entity_type) for s in scan.spans] == [("Zorblax", "PERSON")]
    assert scan.vectors is None
    file.write_text("nlp_configuration: {nlp_engine_name: nothing}")
    with pytest.raises(ConfigurationError):
        PresidioNames(file).read([text])
    with pytest.raises(ConfigurationError):
        PresidioNames(tmp_path / "absent.yaml")
