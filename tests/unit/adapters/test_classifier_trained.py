"""The trained classifier: what it learns, how its artefact is pinned, and what is refused of one that was tampered with."""

from __future__ import annotations

import hashlib
import json
import random

import numpy as np
import pytest

from ragward.adapters.classifier_trained import LinearClassifier
from ragward.adapters.classifier_training import ScikitLearnTrainer
from ragward.domain.classification import Example, Thresholds
from ragward.domain.errors import ConfigurationError, IntegrityError, InvalidRequestError
from ragward.domain.labels import Classification

DIGEST = "d" * 64
LEVELS = tuple(Classification)


def examples(count=160, levels=LEVELS, groups=8, noise=0.6, seed=1):
    """Points around a centre per level; every group is a little apart."""
    chance = random.Random(seed)
    centres = np.random.default_rng(7).normal(size=(4, 16))
    shifts = np.random.default_rng(8).normal(size=(4, groups, 16)) * 0.3
    made = []
    for number in range(count):
        level = levels[number % len(levels)]
        group = chance.randrange(groups)
        rows = [
            (
                centres[level]
                + shifts[level][group]
                + np.random.default_rng(seed + number).normal(size=16) * noise
            )
            for _ in range(chance.randint(1, 3))
        ]
        rows = [(row / np.linalg.norm(row)).tolist() for row in rows]
        made.append(Example(group=f"{level.name}-{group}", level=level, vectors=rows))
    return made


@pytest.fixture(scope="module")
def training():
    return ScikitLearnTrainer(DIGEST, Thresholds()).train("acme", examples())


@pytest.fixture
def stored(training, tmp_path):
    """Writes a body as an artefact; returns what loads it."""

    def store(change=None, digest=None):
        data = training.artefact
        if change is not None:
            body = change(json.loads(data))
            data = body if isinstance(body, bytes) else json.dumps(body, sort_keys=True).encode()
        path = tmp_path / "classifier.json"
        path.write_bytes(data)
        sha256 = digest or hashlib.sha256(data).hexdigest()
        return LinearClassifier.load(path, sha256, model_digest=DIGEST)

    return store


def test_it_learns_and_says_how_well_on_what_it_has_not_seen(training, stored):
    model = stored()
    unseen = examples(80, seed=1000)
    right = [model.predict(e.vectors).level is e.level for e in unseen]
    assert sum(right) / len(right) > 0.85
    assert training.accuracy > 0.8
    assert training.documents == {level.name: 40 for level in LEVELS}
    assert model.tenant == "acme"
    assert model.version == training.sha256[:12]


def test_its_confidence_is_about_right(stored):
    model = stored()
    unseen = examples(400, seed=5000)
    predictions = [(model.predict(e.vectors), e.level) for e in unseen]
    sure = sum(p.confidence for p, _ in predictions) / len(unseen)
    right = sum(p.level is level for p, level in predictions) / len(unseen)
    assert abs(sure - right) < 0.1


def test_the_same_examples_make_the_same_artefact(training):
    again = ScikitLearnTrainer(DIGEST, Thresholds()).train("acme", examples())
    assert again.sha256 == training.sha256


def test_a_chunk_that_is_added_only_raises(stored):
    model = stored()
    for first, second in zip(examples(20), examples(20, seed=50), strict=True):
        before = model.predict(first.vectors)
        after = model.predict([*first.vectors, *second.vectors])
        assert all(b <= a + 1e-12 for b, a in zip(before.at_least, after.at_least, strict=True))


def test_two_levels_are_enough(tmp_path):
    two = examples(80, levels=(LEVELS[0], LEVELS[3]))
    made = ScikitLearnTrainer(DIGEST, Thresholds()).train("acme", two)
    path = tmp_path / "two.json"
    path.write_bytes(made.artefact)
    model = LinearClassifier.load(path, made.sha256, model_digest=DIGEST)
    right = [
        model.predict(e.vectors).level is e.level
        for e in examples(40, levels=(LEVELS[0], LEVELS[3]), seed=9)
    ]
    assert all(right[:4])
    assert sum(right) / len(right) > 0.9


@pytest.mark.parametrize(
    "few",
    [
        [],
        examples(8),
        examples(80, levels=LEVELS[:1]),
        examples(80, groups=1, levels=LEVELS[:2]),
    ],
    ids=["none", "few", "one level", "one folder each"],
)
def test_too_little_to_learn_from_is_refused(few):
    with pytest.raises(InvalidRequestError):
        ScikitLearnTrainer(DIGEST, Thresholds()).train("acme", few)


# The artefact. --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body | {"tenant": "globex"},
        lambda body: body | {"temperature": body["temperature"] * 2},
        lambda body: body | {"weights": [[-w for w in row] for row in body["weights"]]},
        lambda body: b"",
        lambda body: b"\x80\x04\x95.",  # a pickle
    ],
)
def test_an_artefact_that_is_not_the_pinned_one_is_refused(training, stored, change):
    with pytest.raises(IntegrityError) as caught:
        stored(change, digest=training.sha256)
    assert caught.value.code == "integrity.model"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body | {"more": 1},
        lambda body: {k: v for k, v in body.items() if k != "bias"},
        lambda body: body | {"format": "ragward.classifier.v2"},
        lambda body: body | {"levels": ["PUBLIC", "SECRET"]},
        lambda body: body | {"levels": list(reversed(body["levels"]))},
        lambda body: body | {"bias": body["bias"][:-1]},
        lambda body: body | {"weights": [["x"]]},
        lambda body: body | {"temperature": 0},
        lambda body: json.dumps(body).replace('"bias": [', '"bias": [NaN, ').encode(),
        lambda body: b"[]",
        lambda body: b"\x80\x04\x95.",
    ],
)
def test_a_pinned_file_that_is_no_classifier_is_refused(stored, change):
    with pytest.raises(ConfigurationError) as caught:
        stored(change)
    assert caught.value.code == "config.invalid"


def test_one_of_another_embedding_model_is_refused(stored):
    with pytest.raises(ConfigurationError) as caught:
        stored(lambda body: body | {"model_digest": "e" * 64})
    assert caught.value.code == "config.model_mismatch"


def test_one_that_is_not_there_or_too_large_is_refused(tmp_path):
    path = tmp_path / "c.json"
    with pytest.raises(ConfigurationError):
        LinearClassifier.load(path, DIGEST, model_digest=DIGEST)
    path.write_bytes(b" " * (8 * 2**20 + 1))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(IntegrityError):
        LinearClassifier.load(path, digest, model_digest=DIGEST)
