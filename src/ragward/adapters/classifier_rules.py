"""A steward's classification rules and review thresholds, from `policies/classification.yaml`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from ragward.adapters.classifier_conditions import CONDITIONS, ENTITY_CONDITIONS, Condition, Facts
from ragward.domain.classification import Thresholds
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import Classification

_MAX_RULES: Final = 500
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    level: Classification
    conditions: tuple[Condition, ...]

    def held(self, facts: Facts) -> str | None:
        """Where, condition by condition; None unless all of them hold."""
        places: list[str] = []
        for condition in self.conditions:
            place = condition(facts)
            if place is None:
                return None
            places.append(place)
        return ", ".join(dict.fromkeys(places))


class RuleClassifier:
    """`ports.Classifier`: all conditions of a rule are needed, the highest level of all rules that hold counts."""

    def __init__(self, rules: list[_Rule], thresholds: Thresholds, version: str) -> None:
        self._rules, self.thresholds, self._version = rules, thresholds, version

    @property
    def version(self) -> str:
        """The beginning of the file's digest."""
        return self._version

    @classmethod
    def from_file(cls, path: Path, entity_types: Collection[str] | None = None) -> RuleClassifier:
        """Raises `config.invalid` naming the rule: unknown and repeated names, wrong types, levels, patterns and, where
        `entity_types` are given, types that nothing finds, are refused."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{path.name} cannot be read: {type(error).__name__}"
            ) from error
        types = None if entity_types is None else frozenset(entity_types)
        return _read(path.name, data, types)

    def classify(
        self,
        source: str,
        title: str,
        text: str,
        attributes: Mapping[str, object],
        entity_counts: Mapping[str, int],
        properties: Mapping[str, object] | None = None,
    ) -> tuple[Classification, tuple[str, ...]]:
        """(highest level any rule demands, evidence: which rules held, and where); PUBLIC if none does."""
        facts = Facts(
            source=source,
            title=title.replace("\n", " "),
            text=text,
            attributes=attributes,
            properties=properties or {},
            counts=entity_counts,
        )
        held = [(rule, place) for rule in self._rules if (place := rule.held(facts)) is not None]
        level = max((rule.level for rule, _ in held), default=Classification.PUBLIC)
        return level, tuple(
            f"rule {rule.name}: {rule.level.name} ({place})" for rule, place in held
        )


@lru_cache(maxsize=4)  # of the same bytes the same, and immutable: YAML takes 50 ms
def _read(name: str, data: bytes, entity_types: frozenset[str] | None) -> RuleClassifier:
    try:
        document = yaml.load(data.decode(), Loader=_OnceEach)  # noqa: S506 - derived from the safe loader
        if not isinstance(document, dict) or not isinstance(document["rules"], list):
            raise TypeError
        if document.keys() - {"rules", "review"} or len(document["rules"]) > _MAX_RULES:
            raise ValueError
        rules = [_rule(item, entity_types) for item in document["rules"]]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name} cannot be read: {_reason(error)}") from error
    names = [rule.name for rule in rules]
    if repeated := {each for each in names if names.count(each) > 1}:
        raise ConfigurationError(f"classification rule {min(repeated)}: there are two of it")
    version = hashlib.sha256(data).hexdigest()[:12]
    return RuleClassifier(rules, _thresholds(document.get("review", {})), version)


class _OnceEach(yaml.SafeLoader):
    """The safe loader; of two equal keys it refuses the second instead of forgetting the first."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len({str(key) for key in keys}) != len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key is there twice", None)
        return super().construct_mapping(node, deep)


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{error.problem}{line}"
    return type(error).__name__


def _rule(item: Any, entity_types: Collection[str] | None) -> _Rule:
    if not isinstance(item, dict):
        raise TypeError("a rule is a mapping")
    name = str(item.get("id", "?"))
    when = item.get("when")
    if set(item) != {"id", "level", "when"} or not isinstance(when, dict) or not when:
        raise ConfigurationError(
            f"classification rule {name}: needs id, level and a non-empty when, and nothing else"
        )
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"classification rule {name[:64]!r}: must match {_NAME.pattern}")
    try:
        level = Classification.parse(item["level"])
        conditions = tuple(_condition(kind, value, entity_types) for kind, value in when.items())
    except (TypeError, ValueError, AttributeError, InvalidRequestError) as error:
        raise ConfigurationError(f"classification rule {name}: {error}") from error
    return _Rule(name, level, conditions)


def _condition(kind: Any, value: Any, entity_types: Collection[str] | None) -> Condition:
    make = CONDITIONS.get(kind)
    if make is None:
        raise ValueError(f"{kind!r} is not one of {', '.join(CONDITIONS)}")
    made = make(value)
    if kind in ENTITY_CONDITIONS and entity_types is not None and set(value) - set(entity_types):
        unknown = ", ".join(sorted(set(value) - set(entity_types)))
        raise ValueError(f"{unknown}: nothing finds this type of personal data")
    return made


def _thresholds(given: Any) -> Thresholds:
    fields = {"confidence", "risk"}
    if not isinstance(given, dict) or given.keys() - fields:
        raise ConfigurationError("review of classification.yaml knows confidence and risk only")
    if not all(type(value) in (int, float) for value in given.values()):
        raise ConfigurationError("review of classification.yaml: confidence and risk are numbers")
    try:
        return Thresholds(**given)
    except ValueError as error:
        raise ConfigurationError(f"review of classification.yaml: {error}") from error
