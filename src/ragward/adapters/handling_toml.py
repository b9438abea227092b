"""Handling profiles from `policies/handling.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

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
    except (OSError, tomllib.TOMLDecodeError, TypeError, ValueError, InvalidRequestError) as error:
        raise ConfigurationError(f"handling.toml: {error}") from error
    return require_complete(profiles)


def _words(values: dict[str, Any]) -> dict[str, Any]:
    """The values that are one of a few words."""
    return {
        "stale_spans": Stale(values.get("stale_spans", "detect")),
        "minimize": Mode(values.get("minimize", "balanced")),
        "minimize_at_least": Mode(values.get("minimize_at_least", "off")),
        "when_gone": WhenGone(values.get("when_gone", "withheld")),
    }
