"""A trained classifier: one linear layer over the vectors of a document's chunks, its probabilities calibrated.

The artefact is one JSON document of numbers and names, pinned by its SHA-256: nothing in it can run. It is good for one tenant
and one embedding model. `adapters/classifier_training.py` makes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragward.domain.classification import LEVELS, Prediction
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.domain.labels import Classification

FORMAT: Final = "ragward.classifier.v1"
_MAX_BYTES: Final = 8 * 2**20
_FIELDS: Final = frozenset(
    {"format", "tenant", "model_digest", "levels", "weights", "bias", "temperature", "trained"}
)
Floats = NDArray[np.float64]


class LinearClassifier:
    """`ports.TrainedClassifier`. Immutable, thread-safe."""

    def __init__(
        self,
        levels: Sequence[Classification],
        weights: Floats,
        bias: Floats,
        temperature: float,
        *,
        tenant: str = "",
        version: str = "",
    ) -> None:
        self._levels = [int(level) for level in levels]
        self._weights, self._bias = weights / temperature, bias / temperature
        self.tenant, self._version = tenant, version

    @classmethod
    def load(cls, path: Path, sha256: str, *, model_digest: str) -> LinearClassifier:
        """Raises `integrity.model` unless the file is the pinned one, `config.model_mismatch` where it was trained on another
        embedding model, `config.invalid` for one that is no classifier."""
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError:
            raise ConfigurationError(f"classifier {path.name} cannot be read") from None
        if len(data) > _MAX_BYTES or hashlib.sha256(data).hexdigest() != sha256.lower():
            raise IntegrityError(f"classifier {path.name} was changed", code="integrity.model")
        try:
            return cls._of(json.loads(data), sha256[:12].lower(), model_digest)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path.name} is not a classifier of this version") from error

    @classmethod
    def _of(cls, body: Any, version: str, model_digest: str) -> LinearClassifier:
        if not isinstance(body, dict) or set(body) != _FIELDS or body["format"] != FORMAT:
            raise ValueError
        if body["model_digest"] != model_digest:
            raise ConfigurationError(
                "the classifier was trained on another embedding model",
                code="config.model_mismatch",
            )
        levels = [Classification[name] for name in body["levels"]]
        weights = np.asarray(body["weights"], np.float64)
        bias = np.asarray(body["bias"], np.float64)
        fits = weights.ndim == 2 and weights.shape[0] == bias.shape[0] == len(levels) >= 2
        finite = bool(np.isfinite(weights).all() and np.isfinite(bias).all())
        temperature = float(body["temperature"])
        if not (fits and finite and levels == sorted(set(levels)) and 0.01 <= temperature <= 100):
            raise ValueError
        return cls(levels, weights, bias, temperature, tenant=str(body["tenant"]), version=version)

    @property
    def version(self) -> str:
        """The beginning of the artefact's digest."""
        return self._version

    def predict(self, vectors: Sequence[Sequence[float]]) -> Prediction:
        """The join of the chunks': what is added to a document cannot make it less."""
        return Prediction.joined(self.of_chunks(np.asarray(vectors, np.float64)))

    def of_chunks(self, vectors: Floats) -> list[Prediction]:
        """Of each chunk by itself."""
        logits = vectors @ self._weights.T + self._bias
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits)
        chances /= chances.sum(axis=1, keepdims=True)
        exact = np.zeros((len(vectors), len(LEVELS)))
        exact[:, self._levels] = chances
        at_least = np.cumsum(exact[:, ::-1], axis=1)[:, ::-1]
        at_least[:, 0] = 1.0
        return [
            Prediction(tuple(min(1.0, float(value)) for value in row))
            for row in np.minimum.accumulate(at_least, axis=1)
        ]


def artefact_of(
    levels: Sequence[Classification],
    weights: Floats,
    bias: Floats,
    temperature: float,
    *,
    tenant: str,
    model_digest: str,
    trained: dict[str, object],
) -> bytes:
    """The bytes to store."""
    body = {
        "format": FORMAT,
        "tenant": tenant,
        "model_digest": model_digest,
        "levels": [level.name for level in levels],
        "weights": [[_rounded(value) for value in row] for row in weights.tolist()],
        "bias": [_rounded(value) for value in bias.tolist()],
        "temperature": _rounded(temperature),
        "trained": trained,
    }
    return (json.dumps(body, sort_keys=True, allow_nan=False) + "\n").encode()


def _rounded(value: float) -> float:
    """Seven digits: what a 32-bit number holds."""
    return 0.0 if value == 0 else round(value, 6 - math.floor(math.log10(abs(value))))
