"""Training a classifier with scikit-learn: multinomial logistic regression, its temperature fitted on documents it had not seen.

Documents of a group are alike (a folder, a form), so all of a group are held out together: a classifier that only remembers
its folders is found out, and its confidence is calibrated to that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from ragward.adapters.classifier_trained import Floats, LinearClassifier, artefact_of
from ragward.domain.classification import Example, Judgement, Thresholds, Training
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification

MIN_DOCUMENTS: Final = 20
"""Of a level, for it to be learnt."""
MIN_GROUPS: Final = 4
_FOLDS: Final = 5
_STRENGTHS: Final = (1.0, 4.0, 16.0)
_SEED: Final = 1


class ScikitLearnTrainer:
    """`ports.ClassifierTrainer`."""

    def __init__(self, model_digest: str, thresholds: Thresholds) -> None:
        self._model_digest, self._thresholds = model_digest, thresholds

    def train(self, tenant: str, examples: Sequence[Example]) -> Training:
        """Raises `request.invalid` for examples of fewer than two levels, or of too few documents or groups."""
        counts = Counter(example.level for example in examples)
        levels = sorted(level for level, count in counts.items() if count >= MIN_DOCUMENTS)
        kept = [example for example in examples if example.level in levels and example.vectors]
        groups = len({example.group for example in kept})
        if len(levels) < 2 or groups < MIN_GROUPS:
            raise InvalidRequestError(
                f"training needs {MIN_DOCUMENTS} reviewed documents of each of two levels at least,"
                f" from {MIN_GROUPS} folders"
            )
        strength, temperature, held_out = self._validated(levels, kept)
        weights, bias = _fitted(levels, kept, strength)
        judged = [(e.level, Judgement.of(p, self._thresholds)) for e, p in held_out]
        measured = {
            "accuracy": _share(level is j.predicted for level, j in judged),
            "reviewed": _share(j.doubtful for _, j in judged),
            "too_low": _share(not j.doubtful and j.level < level for level, j in judged),
        }
        documents = {level.name: counts[level] for level in levels}
        artefact = artefact_of(
            levels,
            weights,
            bias,
            temperature,
            tenant=tenant,
            model_digest=self._model_digest,
            trained={"documents": documents, "groups": groups, "held_out": measured},
        )
        return Training(
            artefact=artefact,
            sha256=hashlib.sha256(artefact).hexdigest(),
            documents=documents,
            groups=groups,
            **measured,
        )

    def _validated(
        self, levels: Sequence[Classification], kept: Sequence[Example]
    ) -> tuple[float, float, list[tuple[Example, Any]]]:
        """(strength, temperature, (example, prediction) of every document by a classifier that had not seen its group)."""
        best: tuple[float, float, float, list[Any]] | None = None
        for strength in _STRENGTHS:
            folds = [
                (*_fitted(levels, [kept[i] for i in seen], strength), unseen)
                for seen, unseen in _folds(kept)
            ]
            temperature, loss = _temperature(levels, kept, folds)
            if best is None or loss < best[0]:
                best = loss, strength, temperature, folds
        assert best is not None
        _, strength, temperature, folds = best
        held_out = []
        for weights, bias, unseen in folds:
            model = LinearClassifier(levels, weights, bias, temperature)
            held_out += [(kept[i], model.predict(kept[i].vectors)) for i in unseen]
        return strength, temperature, held_out


def _folds(kept: Sequence[Example]) -> Iterator[tuple[list[int], list[int]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [example.group for example in kept]
    number = min(_FOLDS, len(set(groups)))
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=_SEED)
    levels = [int(example.level) for example in kept]
    for seen, unseen in splitter.split(np.zeros((len(kept), 1)), levels, groups):
        if len({levels[i] for i in seen}) == len(set(levels)) and len(unseen):
            yield seen.tolist(), unseen.tolist()


def _fitted(
    levels: Sequence[Classification], examples: Sequence[Example], strength: float
) -> tuple[Floats, Floats]:
    """Weights and bias, a row per level; every document counts the same, however long it is."""
    from sklearn.linear_model import LogisticRegression

    rows = np.asarray([vector for e in examples for vector in e.vectors], np.float64)
    wanted = [int(e.level) for e in examples for _ in e.vectors]
    shares = Counter(e.level for e in examples)
    each = [1 / len(e.vectors) / shares[e.level] for e in examples for _ in e.vectors]
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(rows, wanted, sample_weight=np.asarray(each) * len(examples) / len(levels))
    weights, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(levels) == 2:  # one row that tells the second from the first
        weights, bias = np.vstack([0 * weights, weights]), np.hstack([[0.0], bias])
    return weights, bias


def _temperature(
    levels: Sequence[Classification], kept: Sequence[Example], folds: Sequence[Any]
) -> tuple[float, float]:
    """(the temperature under which the unseen documents are least surprising, how surprising they are)."""
    if not folds:
        raise InvalidRequestError("every level has to come from several folders")
    unseen = [_Unseen(levels, kept, *fold) for fold in folds]
    surprises = {
        temperature: float(np.mean(np.concatenate([f.surprises(temperature) for f in unseen])))
        for temperature in np.geomspace(0.25, 8, 26).tolist()
    }
    best = min(surprises, key=surprises.__getitem__)
    return best, surprises[best]


class _Unseen:
    """The documents of a fold as its classifier sees them, their chunks in a row."""

    def __init__(
        self,
        levels: Sequence[Classification],
        kept: Sequence[Example],
        weights: Floats,
        bias: Floats,
        unseen: Sequence[int],
    ) -> None:
        examples = [kept[i] for i in unseen]
        rows = np.asarray([vector for e in examples for vector in e.vectors], np.float64)
        self._logits = rows @ weights.T + bias
        self._starts = np.cumsum([0, *(len(e.vectors) for e in examples)])[:-1]
        self._truth = np.asarray([levels.index(e.level) for e in examples])

    def surprises(self, temperature: float) -> Floats:
        """Minus the logarithm of the chance that each document's level was given."""
        logits = self._logits / temperature
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        at_least = np.cumsum(chances[:, ::-1], axis=1)[:, ::-1]
        joined = np.maximum.reduceat(at_least, self._starts, axis=0)
        exact = joined - np.hstack([joined[:, 1:], np.zeros((len(joined), 1))])
        given = exact[np.arange(len(exact)), self._truth]
        return np.asarray(-np.log(np.maximum(given, 1e-6)))


def _share(hits: Any) -> float:
    found = list(hits)
    return round(sum(found) / len(found), 4) if found else 0.0
