"""What is usual for an account, learned from its closed days with `river` (BSD-3): means and variances of logarithms, and a
Page-Hinkley test for days on end with more than before.

The models are made from the days each time, which is once per account and day: what is stored is counts, which a person can read,
and nothing that is executed when it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from river import drift, stats

from ragward.domain.behaviour import FEATURES, Day, Feature

_MIN_DAYS: Final = 5
_FADING: Final = 0.25
_NEW: Final = FEATURES.index(Feature.NEW_DOCUMENTS)
_DRIFT_DELTA: Final = 0.15
_DRIFT_THRESHOLD: Final = 2.0
_DRIFT_DAYS: Final = 4
_SETTLING_DAYS: Final = 4
"""Everything is new in the first days of an account."""


class RiverBaselines:
    """`ports.Baselines`."""

    def __init__(self, deviations: float, least_spread: float) -> None:
        self._deviations, self._least = deviations, least_spread

    def usual(self, days: Sequence[Day], scales: Sequence[float]) -> Mapping[Feature, float]:
        """For each feature the count that a day stays below; nothing while there are too few days. Recent days count more."""
        if len(days) < _MIN_DAYS:
            return {}
        found: dict[Feature, float] = {}
        for at, feature in enumerate(FEATURES):
            if feature is Feature.DRIFT:
                continue
            mean = stats.EWMean(fading_factor=_FADING)
            variance = stats.EWVar(fading_factor=_FADING)
            for day in days:
                value = math.log1p(day.counts[at] / scales[at])
                mean.update(value)
                variance.update(value)
            spread = max(math.sqrt(max(variance.get(), 0.0)), self._least)
            found[feature] = math.expm1(mean.get() + self._deviations * spread) * scales[at]
        return found

    def is_drifting(self, days: Sequence[Day], scales: Sequence[float]) -> bool:
        """Whether the new documents of the latest days stay above those of the days before."""
        test = drift.PageHinkley(
            min_instances=_DRIFT_DAYS,
            delta=_DRIFT_DELTA,
            threshold=_DRIFT_THRESHOLD,
            alpha=1.0,
            mode="up",
        )
        drifting = False
        for day in days[_SETTLING_DAYS:]:
            test.update(  # type: ignore[no-untyped-call]  # the library has no type here
                math.log1p(2 * day.counts[_NEW] / scales[_NEW])
            )
            drifting = bool(test.drift_detected)
        return drifting
