"""The graph that ONNX Runtime runs is the model: its own library's vectors, its ranking, and a refusal where they differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragward.adapters import bert_graph
from ragward.adapters.bert_graph import is_bert
from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.model_manifest import REFERENCE_TEXTS, ModelManifest, find_installed_model
from ragward.domain.errors import ConfigurationError, IntegrityError

pytestmark = pytest.mark.model
INSTALLED = find_installed_model()
SHIPPED = ModelManifest.shipped()


@pytest.fixture(scope="module")
def embedder():
    return OnnxEmbedder.load(INSTALLED, SHIPPED, threads=1)


def test_vectors_are_of_unit_length_and_independent_of_their_batch(embedder):
    texts = ["Parental leave is 16 weeks.", "The reference drifts 0.2 ppm a year. " * 90, ""]
    together = embedder.embed(texts)
    assert [len(vector) for vector in together] == [384] * 3
    for text, vector in zip(texts, together, strict=True):
        assert sum(x * x for x in vector) == pytest.approx(1, abs=1e-5)
        assert embedder.embed([text])[0] == pytest.approx(vector, abs=1e-5)
    assert embedder.embed([]) == []
    assert embedder.embed_and_read([]) == ([], [])
    assert embedder.dimension == 384
    assert embedder.model_digest == SHIPPED.digest()


def test_what_means_the_same_is_near(embedder):
    question, right, wrong = np.array(
        embedder.embed(
            [
                "How long may parents stay at home?",
                "Parental leave is 16 weeks.",
                "The reference drifts.",
            ]
        )
    )
    assert question @ right > question @ wrong + 0.2


def test_the_shipped_manifest_has_every_reference():
    assert {text for text, _ in SHIPPED.reference} == set(REFERENCE_TEXTS)
    for _, vector in SHIPPED.reference:
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert len({tuple(vector) for _, vector in SHIPPED.reference}) == len(REFERENCE_TEXTS)


def test_a_manifest_is_written_as_it_is_read(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(SHIPPED.text(), encoding="utf-8")
    assert ModelManifest.load(path) == SHIPPED
    told = json.loads(path.read_text())
    told["reference"] = {"a": "no base64"}
    path.write_text(json.dumps(told))
    with pytest.raises(ConfigurationError):
        ModelManifest.load(path)


def test_a_model_that_answers_something_else_than_its_reference_is_not_used():
    text, vector = SHIPPED.reference[0]
    moved = [vector[0] + 1e-3, *vector[1:]]
    other = replace(SHIPPED, reference=((text, moved), *SHIPPED.reference[1:]))
    embedder = OnnxEmbedder.load(INSTALLED, other, threads=1)
    for _ in range(2):  # not only the first time
        with pytest.raises(IntegrityError) as caught:
            embedder.embed(["anything"])
        assert caught.value.code == "integrity.model"
    with pytest.raises(IntegrityError):
        embedder.embed_and_read(["anything"])


def test_a_model_that_nothing_says_anything_of_is_not_used():
    embedder = OnnxEmbedder.load(INSTALLED, replace(SHIPPED, reference=()), threads=1)
    with pytest.raises(IntegrityError, match="no vectors to compare with"):
        embedder.embed(["anything"])


def test_a_mistake_in_the_graph_is_noticed(monkeypatch):
    """The attack on the check itself: one operator fewer, and nothing may be embedded."""
    monkeypatch.setattr(
        bert_graph._Graph, "_normalised", lambda self, given, name: given, raising=True
    )
    with pytest.raises(IntegrityError):
        OnnxEmbedder.load(INSTALLED, SHIPPED, threads=1).embed(["anything"])


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"hidden_act": "gelu_new"}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"model_type": "mpnet"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
        ("config.json", None),
    ],
)  # fmt: skip
def test_other_models_are_left_to_their_own_library(tmp_path, file, change):
    for name in (
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "config_sentence_transformers.json",
    ):
        to = tmp_path / name
        to.parent.mkdir(exist_ok=True)
        to.write_bytes((INSTALLED / name).read_bytes())
    assert is_bert(tmp_path)
    path = tmp_path / file
    path.write_text(
        "{" if change is None else json.dumps({**json.loads(path.read_text()), **change})
    )
    assert not is_bert(tmp_path)


def test_files_of_something_else_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError):
        bert_graph.bert_graph(tmp_path, hidden_after=1)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_the_ranking_is_that_of_the_models_own_library(embedder):
    """Every page of the documentation against every heading: the same ten, in the same order but for ties."""
    from ragward.adapters.embedder_sentence_transformers import SentenceTransformersEmbedder

    pages = Path(__file__).parents[3] / "docs"
    paragraphs = sorted(
        {part for page in pages.glob("*.md") for part in page.read_text().split("\n\n")}
    )
    passages = [text for text in paragraphs if len(text) > 80][:240]
    questions = [text for text in paragraphs if text.startswith("#")][:60]
    own = SentenceTransformersEmbedder.load(INSTALLED, SHIPPED, threads=2)
    found = []
    for model in (own, embedder):
        read, asked = np.array(model.embed(passages)), np.array(model.embed(questions))
        found.append((asked @ read.T, read))
    assert np.abs(found[0][1] - found[1][1]).max() < 1e-5
    assert len(questions) == 60
    for one, other in zip(found[0][0], found[1][0], strict=True):
        best, same = np.argsort(-one)[:10], np.argsort(-other)[:10]
        assert np.abs(one[best] - one[same]).max() < 1e-5
        assert set(best) == set(same) or np.ptp(one[[*set(best) ^ set(same)]]) < 1e-5
