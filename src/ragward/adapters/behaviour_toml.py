"""Limits and responses from `policies/behaviour.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ragward.domain.behaviour import BehaviourRules, Feature, FeatureLimit
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import Classification


def load_behaviour(path: Path) -> BehaviourRules:
    """Raises `config.invalid` for unknown, missing or wrong values."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        own = {name: values.pop(name) for name in ("deviations", "least_spread")}
        throttle, ceiling = values.pop("throttle_per_minute"), values.pop("ceiling")
        return BehaviourRules(
            features={Feature(name): _limit(**table) for name, table in values.items()},
            throttle_per_minute=throttle,
            ceiling=Classification.parse(ceiling),
            **own,
        )
    except (OSError, KeyError, TypeError, ValueError, InvalidRequestError) as error:
        raise ConfigurationError(f"behaviour.toml: {error}") from error


def _limit(person: list[int], machine: list[int], respond: list[str], minutes: int) -> FeatureLimit:
    (floor, cap), (machine_floor, machine_cap) = person, machine
    return FeatureLimit(
        floor=floor,
        cap=cap,
        machine_floor=machine_floor,
        machine_cap=machine_cap,
        respond=tuple(respond),
        minutes=minutes,
    )
