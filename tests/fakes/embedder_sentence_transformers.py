"""A small deterministic embedder: hashed bags of words, so that texts with common words are near each other."""

from __future__ import annotations

import hashlib
import math
import re


class FakeEmbedder:
    """`ports.Embedder` of 64 dimensions."""

    dimension = 64
    model_digest = hashlib.sha256(b"fake-embedder").hexdigest()

    def embed(self, texts):
        return [self._one(text) for text in texts]

    def _one(self, text):
        vector = [1e-3] * self.dimension
        for word in re.findall(r"\w+", text.lower()):
            digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
            vector[digest[0] % self.dimension] += 1.0 if digest[1] % 2 else -1.0
            vector[digest[2] % self.dimension] += 0.5 if digest[3] % 2 else -0.5
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]
