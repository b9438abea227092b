"""A model that answers worse does not take the place of the one on record; a changed file is noticed while it is used."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from ragward.adapters.model_manifest import ModelFiles, ModelManifest
from ragward.domain.canary import PAIRS, PERSONAL, CanaryRecord, regressions
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.opening import open_canary
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.fakes.finder_presidio import FakeFinder
from tests.installation import doubles, initialised, opened


class Newer(FakeEmbedder):
    """The same answers under another digest."""

    model_digest = "b" * 64


class Worse(FakeEmbedder):
    """Every text is the same to it."""

    model_digest = "c" * 64

    def embed(self, texts):
        return [[1.0] + [0.0] * (self.dimension - 1) for _ in texts]


class Blind(FakeFinder):
    version = "fake/2"

    def find(self, text):
        return tuple(s for s in super().find(text) if s.entity_type != "EMAIL_ADDRESS")


@pytest.fixture
def installed(tmp_path):
    return initialised(tmp_path)


def canary(settings, act, **given):
    with ExitStack() as stack:
        return getattr(open_canary(settings, stack, doubles(**given)), act)()


def last_event(settings):
    with opened(settings) as ragward:
        return json.loads(ragward.audit.entries(start=0, limit=100)[-1].data)


def test_before_anything_is_on_record_there_is_nothing_to_compare_with(installed):
    with pytest.raises(ConfigurationError):
        canary(installed, "check")
    with opened(installed):
        pass


def test_a_worse_model_is_refused_and_the_old_one_stays(installed):
    assert canary(installed, "record").accepted
    refused = canary(installed, "check", embedder=Worse())
    assert not refused.accepted
    assert any("recall" in problem for problem in refused.problems)
    assert last_event(installed)["type"] == "model.refused"
    with pytest.raises(ConfigurationError) as caught:
        opened(installed, embedder=Worse())
    assert caught.value.code == "config.model_mismatch"
    with opened(installed):
        pass  # the old one


def test_a_model_that_was_not_checked_is_refused_and_an_equal_one_passes(installed):
    canary(installed, "record")
    with pytest.raises(ConfigurationError):
        opened(installed, embedder=Newer())
    assert canary(installed, "check", embedder=Newer()).accepted
    with pytest.raises(ConfigurationError, match="canary"):
        opened(installed)


def test_going_back_is_a_check_of_the_old_model(installed):
    canary(installed, "record")
    assert canary(installed, "check", embedder=Newer()).accepted
    assert canary(installed, "check").accepted
    with opened(installed):
        pass
    assert last_event(installed)["type"] == "model.accepted"


def test_a_finder_that_no_longer_finds_is_refused(installed):
    canary(installed, "record")
    refused = canary(installed, "check", finder=Blind())
    assert refused.problems == ("text 1: EMAIL_ADDRESS is no longer found",)


def test_another_order_is_refused():
    def record_of(rankings):
        found = tuple(() for _ in PERSONAL)
        return CanaryRecord(model_digest="a", finder="f", rankings=rankings, found=found)

    before = record_of(tuple((at, 0, 1, 2, 3) for at in range(len(PAIRS))))
    reordered = record_of(tuple((at, 9, 10, 11, 12) for at in range(len(PAIRS))))
    assert regressions(before, before) == ()
    assert len(regressions(before, reordered)) == 1
    assert regressions(before, record_of(before.rankings[:-1]))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model_digest": "a"}'])
def test_a_damaged_record_stops_everything(installed, text):
    with opened(installed) as ragward:
        ragward.catalog.set_meta("model_canary", text)
    with pytest.raises(IntegrityError) as caught:
        opened(installed)
    assert caught.value.code == "integrity.model"


def test_files_are_verified_again_while_they_are_used(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    files = ModelFiles(tmp_path, ModelManifest.of(tmp_path))
    files.verify()
    files.require()
    (tmp_path / "weights.safetensors").write_bytes(b"other")
    files.require()
    for _ in range(2):
        with pytest.raises(IntegrityError):
            files.verify()
        with pytest.raises(IntegrityError) as caught:
            files.require()
        assert caught.value.code == "integrity.model"
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    files.verify()
    files.require()
