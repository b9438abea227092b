"""Rules of retention from `policies/retention.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import Classification
from ragward.domain.retention import RetentionRule


def load_retention(path: Path) -> tuple[RetentionRule, ...]:
    """The rules, in order; without a file there are none. Raises `config.invalid`."""
    if not path.exists():
        return ()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = document.pop("rule", [])
        if document or not isinstance(tables, list):
            raise ValueError("only [[rule]] tables")
        rules = tuple(_rule(dict(table)) for table in tables)
    except ConfigurationError as error:
        raise ConfigurationError(f"retention.toml: {error.detail}") from error
    except (OSError, ValueError, TypeError, InvalidRequestError) as error:
        raise ConfigurationError(f"retention.toml: {error}") from error
    if len({rule.name for rule in rules}) != len(rules):
        raise ConfigurationError("retention.toml: two rules have one name")
    return rules


def _rule(table: dict[str, object]) -> RetentionRule:
    levels = table.pop("classifications", list(Classification.__members__))
    if not isinstance(levels, list) or not levels:
        raise ValueError("classifications is a list of names")
    texts = [table.get(name, "*") for name in ("name", "tenant", "corpus", "source")]
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("name, tenant, corpus and source are texts")
    named = frozenset(Classification.parse(str(level)) for level in levels)
    return RetentionRule(classifications=named, **table)  # type: ignore[arg-type]  # a field of another type raises TypeError or ValueError
