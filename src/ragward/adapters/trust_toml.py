"""Which sources are curated, from `policies/trust.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ragward.domain.errors import ConfigurationError
from ragward.domain.marking import CuratedSource, SourceTrust


def load_trust(path: Path) -> SourceTrust:
    """The sources; without a file there are none. Raises `config.invalid`."""
    if not path.exists():
        return SourceTrust()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        items = document.pop("curated", [])
        if document or not all(
            isinstance(value, str) and value for item in items for value in item.values()
        ):
            raise ValueError("only [[curated]] tables with tenant, corpus and source")
        rules = tuple(CuratedSource(**item) for item in items)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"trust.toml: {error}") from error
    return SourceTrust(rules)
