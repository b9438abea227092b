"""What acts demand of whoever does them, from `policies/assurance.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ragward.domain.access import Action
from ragward.domain.assurance import Demands
from ragward.domain.errors import ConfigurationError

#: Acts that nobody may do on a weak proof: a file that leaves one out, or demands nothing of it, is refused.
ALWAYS: Final = frozenset({Action.POLICY_WRITE, Action.KEY_ROTATE, Action.ACCESS_EMERGENCY})


def load_act_demands(path: Path) -> Mapping[str, Demands]:
    """By action, `resource:verb` or `resource:*`. Raises `config.invalid` for unknown actions and anything else."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        found = {name: Demands.parse(values) for name, values in document["acts"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"assurance.toml: {error}") from error
    known = {action.value for action in Action}
    kinds = {f"{action.partition(':')[0]}:*" for action in known} | {"reveal:*"}
    unknown = {
        name for name in found if name not in known | kinds and not name.startswith("reveal:")
    }
    if unknown or document.keys() != {"acts"}:
        raise ConfigurationError(f"assurance.toml: there is no act {min(unknown, default='')!r}")
    for action in ALWAYS:
        demands = found.get(action, found.get(f"{action.partition(':')[0]}:*", Demands()))
        if not demands.assurance or demands.max_auth_age_seconds is None:
            raise ConfigurationError(
                f"assurance.toml: {action.value} demands an assurance and its age"
            )
    return found
