"""Duties to keep apart, from `policies/duties.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ragward.domain.access import Action
from ragward.domain.errors import ConfigurationError
from ragward.domain.policy_review import SeparatedDuties


def load_duties(path: Path) -> tuple[SeparatedDuties, ...]:
    """The pairs. Raises `config.invalid` for unknown actions, missing sides and anything else."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(_pair(name, **sides) for name, sides in document.items())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"duties.toml: {error}") from error


def _pair(name: str, *, one: list[str], other: list[str]) -> SeparatedDuties:
    sides = [frozenset(Action(text).value for text in side) for side in (one, other)]
    if not all(sides):
        raise ValueError(f"{name!r} has an empty side")
    return SeparatedDuties(name=name, one=sides[0], other=sides[1])
