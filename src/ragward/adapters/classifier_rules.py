"""A steward's classification rules, from `policies/classification.yaml`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import Classification


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    source: str
    text: str
    attributes: Mapping[str, object]
    counts: Mapping[str, int]


_Condition = Callable[[_Facts], bool]


class RuleClassifier:
    """`ports.Classifier`: all conditions of a rule are needed, the highest level of all rules that hold counts."""

    def __init__(self, rules: list[tuple[str, Classification, list[_Condition]]]) -> None:
        self._rules = rules

    @classmethod
    def from_file(cls, path: Path) -> RuleClassifier:
        """Raises `config.invalid` naming the rule."""
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls([_rule(item) for item in document["rules"]])
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{path.name} cannot be read: {type(error).__name__}"
            ) from error

    def classify(
        self,
        source: str,
        title: str,
        text: str,
        attributes: Mapping[str, object],
        entity_counts: Mapping[str, int],
    ) -> tuple[Classification, tuple[str, ...]]:
        """(highest level any rule demands, evidence); PUBLIC if none does."""
        facts = _Facts(
            source=source, text=f"{title}\n{text}", attributes=attributes, counts=entity_counts
        )
        held = [
            (rule_id, level)
            for rule_id, level, conditions in self._rules
            if all(condition(facts) for condition in conditions)
        ]
        level = max((level for _, level in held), default=Classification.PUBLIC)
        return level, tuple(f"rule {rule_id}: {level.name}" for rule_id, level in held)


def _rule(item: Any) -> tuple[str, Classification, list[_Condition]]:
    if not isinstance(item, dict):
        raise TypeError("a rule is a mapping")
    name = str(item.get("id", "?"))
    if (
        set(item) != {"id", "level", "when"}
        or not isinstance(item["when"], dict)
        or not item["when"]
    ):
        raise ConfigurationError(
            f"classification rule {name}: needs id, level and a non-empty when"
        )
    try:
        level = Classification.parse(item["level"])
        conditions = [_CONDITIONS[kind](value) for kind, value in item["when"].items()]
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        re.error,
        InvalidRequestError,
    ) as error:
        raise ConfigurationError(f"classification rule {name}: {error}") from error
    return name, level, conditions


def _path_glob(value: str) -> _Condition:
    pattern = str(value)
    return lambda facts: fnmatchcase(facts.source, pattern)


def _keyword_any(values: list[str]) -> _Condition:
    words = [word.lower() for word in _listed(values)]
    return lambda facts: any(word in facts.text.lower() for word in words)


def _listed(values: list[str]) -> list[str]:
    """The values of a list: a lone word would be taken for its letters."""
    if not isinstance(values, list):
        raise TypeError("a list is needed")
    return [str(value) for value in values]


def _regex(value: str) -> _Condition:
    pattern = re.compile(value)
    return lambda facts: pattern.search(facts.text) is not None


def _attribute(values: Mapping[str, object]) -> _Condition:
    wanted = dict(values)
    return lambda facts: all(facts.attributes.get(key) == value for key, value in wanted.items())


def _entity_any(values: list[str]) -> _Condition:
    kinds = _listed(values)
    return lambda facts: any(facts.counts.get(kind, 0) for kind in kinds)


def _entity_count(values: Mapping[str, int]) -> _Condition:
    least = {str(kind): int(count) for kind, count in values.items()}
    return lambda facts: all(facts.counts.get(kind, 0) >= count for kind, count in least.items())


_CONDITIONS: Final[Mapping[str, Callable[[Any], _Condition]]] = {
    "path_glob": _path_glob,
    "keyword_any": _keyword_any,
    "regex": _regex,
    "attribute": _attribute,
    "entity_any": _entity_any,
    "entity_count_at_least": _entity_count,
}
