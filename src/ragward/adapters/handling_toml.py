"""Handling profiles from `policies/handling.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.handling import Handling, HandlingProfile, require_complete
from ragward.domain.labels import Classification


def load_handling(path: Path) -> Handling:
    """One profile per classification. Raises `config.invalid` for unknown, missing or too weak values."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        profiles = {
            Classification.parse(name): HandlingProfile(
                classification=Classification.parse(name), **values
            )
            for name, values in document.items()
        }
    except (OSError, tomllib.TOMLDecodeError, TypeError, InvalidRequestError) as error:
        raise ConfigurationError(f"handling.toml: {error}") from error
    return require_complete(profiles)
