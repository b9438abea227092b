"""Roles that can be had for a time, from `policies/elevation.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ragward.domain.elevation import ElevationRules, RequestableRole
from ragward.domain.errors import ConfigurationError

_TABLES = {"requestable", "emergency"}


def load_elevation(path: Path) -> ElevationRules:
    """Raises `config.invalid` for unknown lines, too long times, and names that are no role's."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if not document.keys() <= _TABLES:
            raise ValueError(f"tables are {', '.join(sorted(_TABLES))}")
        found = {
            table: {
                name: _role(name, values, emergency=table == "emergency")
                for name, values in document.get(table, {}).items()
            }
            for table in _TABLES
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"elevation.toml: {error}") from error
    return ElevationRules(requestable=found["requestable"], emergency=found["emergency"])


def _role(name: str, values: dict[str, Any], *, emergency: bool) -> RequestableRole:
    approvers = values.pop("approvers", [])
    if not isinstance(approvers, list):
        raise TypeError("approvers is a list of groups or roles")
    return RequestableRole(role=name, emergency=emergency, approvers=frozenset(approvers), **values)
