"""The attacks of `ragward leak-test` have teeth: what is not protected, or only turned, is recognised; ciphertext is not."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ragward.adapters import leak_sources
from ragward.adapters.leak_attacks import as_floats, match_rates
from ragward.cli import leaking
from ragward.domain.corpus import IndexPoint
from ragward.domain.labels import Classification
from tests import company
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.installation import initialised, opened

CHANCE = np.random.default_rng(3)


def texts(count, dimension=64):
    rows = CHANCE.normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_plain_rows_are_recognised_by_every_attack():
    guesses = texts(600)
    assert match_rates(guesses[:500], guesses) == {
        "naive": 1.0,
        "10 known pairs": pytest.approx(
            0.0, abs=0.6
        ),  # fewer than dimensions: it turns the rest at random
        "50 known pairs": pytest.approx(0.9, abs=0.11),
        "200 known pairs": 1.0,
        "no known pair": 1.0,
    }


def test_a_secret_rotation_does_not_hold():
    guesses = texts(600)
    secret, _ = np.linalg.qr(CHANCE.normal(size=(64, 64)))
    rates = match_rates((guesses[:500] @ secret).astype(np.float32), guesses)
    assert rates["naive"] < 0.05
    assert rates["200 known pairs"] == 1.0
    assert rates["no known pair"] > 0.99


def test_ciphertext_is_not_recognised():
    guesses = texts(600)
    stolen = as_floats([os.urandom(80 + 4 * 64 + 16) for _ in range(500)], 64)
    assert all(rate < 0.05 for rate in match_rates(stolen, guesses).values())


def test_the_sample_shows_both_modes(tmp_path):
    found = leak_sources.attacked(*leak_sources.sample_copies(FakeEmbedder(), tmp_path / "i", 60))
    plain, sealed = found
    assert (plain.mode, plain.rates["naive"], plain.rates["no known pair"]) == (
        "in the index",
        pytest.approx(1.0, abs=0.1),
        pytest.approx(1.0, abs=0.1),
    )
    assert sealed.mode == "in the catalog"
    assert max(sealed.rates.values()) < 0.2


@pytest.fixture
def settings(tmp_path):
    made = initialised(tmp_path)
    with opened(made) as ragward:
        for document in company.documents(40):
            ragward.ingestion.ingest(company.subject("steward"), document)
    return made


def test_an_installation_of_its_own(settings):
    with opened(settings) as ragward:
        results = leaking.attack(ragward, ["acme"], 200)
    assert leaking.recognised(results) == []
    found = {(name, result.mode): result.rates for name, result in results}
    assert set(found) == {
        ("PUBLIC (plain)", "in the index"),
        ("PUBLIC (plain)", "in the catalog"),
        ("INTERNAL (plain)", "in the index"),
        ("INTERNAL (plain)", "in the catalog"),
        ("CONFIDENTIAL (sealed)", "in the catalog"),
        ("RESTRICTED (sealed)", "in the catalog"),
    }
    assert found["INTERNAL (plain)", "in the index"]["naive"] == 1.0
    assert found["PUBLIC (plain)", "in the catalog"]["naive"] == 1.0  # not encrypted
    for level in ("INTERNAL (plain)", "CONFIDENTIAL (sealed)", "RESTRICTED (sealed)"):
        assert found[level, "in the catalog"]["naive"] < 0.4


def test_a_sealed_vector_in_the_index_is_found_out(settings):
    with opened(settings) as ragward:
        restricted = next(
            r
            for r in ragward.catalog.documents("acme", limit=100)
            if r.label.classification is Classification.RESTRICTED
        )
        point = ragward.catalog.document_chunks("acme", restricted.document_id)[0]
        ragward.index.plain.upsert(
            [IndexPoint(point_id=point.point_id, scope_id=1, vector=[0.125] * 64)]
        )
        assert leaking.recognised(leaking.attack(ragward, ["acme"], 200)) == ["RESTRICTED (sealed)"]
