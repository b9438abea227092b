"""Another small deterministic model: of more dimensions, its vectors mean nothing to the first, and it answers as well as that."""

from __future__ import annotations

import hashlib
import random

from tests.fakes.embedder_sentence_transformers import FakeEmbedder

_ORDER = random.Random(2).sample(range(80), FakeEmbedder.dimension)
_SIGNS = random.Random(3).choices((1.0, -1.0), k=FakeEmbedder.dimension)


class SecondEmbedder:
    """`ports.Embedder` of 80 dimensions: those of the first in other places, some turned round."""

    dimension = 80
    model_digest = hashlib.sha256(b"second-embedder").hexdigest()

    def embed(self, texts):
        return [self._one(vector) for vector in FakeEmbedder().embed(texts)]

    def _one(self, vector):
        made = [0.0] * self.dimension
        for place, sign, value in zip(_ORDER, _SIGNS, vector, strict=True):
            made[place] = sign * value
        return made


class WorseEmbedder(SecondEmbedder):
    """Every text is the same to it."""

    model_digest = hashlib.sha256(b"worse-embedder").hexdigest()

    def _one(self, vector):
        return [1.0] + [0.0] * (self.dimension - 1)
