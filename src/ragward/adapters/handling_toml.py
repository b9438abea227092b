"""Handling profiles from `policies/handling.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ragward.domain.assurance import Demands
from ragward.domain.disclosure import Stale
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.handling import (
    Handling,
    HandlingProfile,
    Mode,
    WhenGone,
    require_complete,
)
from ragward.domain.labels import Classification
from ragward.domain.marking import Trust


def load_handling(path: Path) -> Handling:
    """One profile per classification. Raises `config.invalid` for unknown, missing or too weak values."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        profiles = {
            Classification.parse(name): HandlingProfile(
                classification=Classification.parse(name),
                **values | _words(values),
            )
            for name, values in document.items()
        }
    except (
        OSError,
        tomllib.TOMLDecodeError,
        TypeError,
        ValueError,
        AttributeError,
        InvalidRequestError,
    ) as error:
        raise ConfigurationError(f"handling.toml: {error}") from error
    return require_complete(profiles)


def _words(values: dict[str, Any]) -> dict[str, Any]:
    """The values that are one of a few words."""
    return {
        "stale_spans": Stale(values.get("stale_spans", "detect")),
        "minimize": Mode(values.get("minimize", "balanced")),
        "minimize_at_least": Mode(values.get("minimize_at_least", "off")),
        "trust_at_least": Trust(values.get("trust_at_least", "suspect")),
        "when_gone": WhenGone(values.get("when_gone", "withheld")),
        "demands": Demands.parse(values["demands"]) if "demands" in values else None,
    }
