"""A trained classifier that says what a test wants: levels by a word of the text, which it knows by its vector."""

from __future__ import annotations

from ragward.domain.classification import LEVELS, Prediction
from tests.fakes.embedder_sentence_transformers import FakeEmbedder


class FakeTrainedClassifier:
    """`ports.TrainedClassifier`: chunk text -> at_least, by the fake embedder's vector; PUBLIC, surely, otherwise."""

    version = "fake00000000"

    def __init__(self):
        self._known = {}

    def knows(self, text, level, confidence=1.0, otherwise=None):
        """Says `level` of this chunk, and with the rest of its confidence `otherwise`."""
        exact = [0.0] * len(LEVELS)
        exact[level] += confidence
        exact[level if otherwise is None else otherwise] += 1 - confidence
        at_least = tuple(min(1.0, sum(exact[i:])) for i in range(len(LEVELS)))
        self._known[tuple(FakeEmbedder()._one(text))] = Prediction((1.0, *at_least[1:]))

    def predict(self, vectors):
        surely = Prediction((1.0, 0.0, 0.0, 0.0))
        return Prediction.joined([self._known.get(tuple(vector), surely) for vector in vectors])
