"""What becomes of personal data, from `policies/redaction.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ragward.domain.disclosure import DisclosureRules, Pseudonyms, Treatment, TypeRules
from ragward.domain.errors import ConfigurationError

_KEYS = frozenset({"detector", "purposes", "types"})


def load_redaction(path: Path, entity_types: Collection[str]) -> DisclosureRules:
    """The rules of every type there is. Raises `config.invalid` for unknown, missing or misspelt values."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        types = {name: _type(values) for name, values in document["types"].items()}
        rules = DisclosureRules(
            types=types,
            purposes={name: Treatment[most.upper()] for name, most in document["purposes"].items()},
            strict={"standard": False, "strict": True}[document["detector"]],
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"redaction.toml: {error}") from error
    wrong = (set(types) ^ set(entity_types)) | (set(document) - _KEYS)
    if wrong:
        raise ConfigurationError(f"redaction.toml: missing or unknown: {', '.join(sorted(wrong))}")
    return rules


def _type(values: dict[str, Any]) -> TypeRules:
    if type(values["detect"]) is not bool:
        raise ValueError("detect is true or false")
    given = dict(values)
    return TypeRules(pseudonyms=Pseudonyms(given.pop("pseudonyms", "none")), **given)
