"""Attribute filters of a request, in OpenAI's shape: parsed once, then asked per document.

A document that lacks the key matches no operator, not even `ne` and `nin`; neither does a value of another kind (text,
number, boolean). A boolean is not a number.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ragward.domain.corpus import AttributeValue
from ragward.domain.errors import InvalidRequestError

MAX_DEPTH: Final = 5
MAX_CONDITIONS: Final = 50
MAX_VALUES: Final = 100
_KEY: Final = re.compile(r"(?!rw_)[A-Za-z0-9_.-]{1,64}")
_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; `values` are of one kind, and one unless the operator is `in` or `nin`."""

    operator: str
    key: str
    values: tuple[AttributeValue, ...]

    def matches(self, attributes: Mapping[str, AttributeValue]) -> bool:
        """Whether a document with these attributes is meant."""
        value = attributes.get(self.key)
        if value is None or _kind(value) is not _kind(self.values[0]):
            return False
        if self.operator in {"eq", "in"}:
            return value in self.values
        if self.operator in {"ne", "nin"}:
            return value not in self.values
        return _ORDERED[self.operator](value, self.values[0])

    def keys(self) -> frozenset[str]:
        """The attribute it looks at."""
        return frozenset({self.key})


@dataclass(frozen=True, slots=True)
class Compound:
    """All, or any, of several filters."""

    every: bool
    parts: tuple[Condition | Compound, ...]

    def matches(self, attributes: Mapping[str, AttributeValue]) -> bool:
        """Whether a document with these attributes is meant."""
        return (all if self.every else any)(part.matches(attributes) for part in self.parts)

    def keys(self) -> frozenset[str]:
        """The attributes it looks at: a document with none of them cannot match."""
        return frozenset().union(*(part.keys() for part in self.parts))


AttributeFilter = Condition | Compound


def parse_filter(filters: Mapping[str, object]) -> AttributeFilter:
    """The filter a request asks for. Raises `request.invalid`."""
    parsed = _parse(filters, 1)
    if _count(parsed) > MAX_CONDITIONS:
        raise _invalid(f"has more than {MAX_CONDITIONS} conditions")
    return parsed


def _parse(filters: object, depth: int) -> AttributeFilter:
    if depth > MAX_DEPTH:
        raise _invalid(f"is nested deeper than {MAX_DEPTH}")
    if not isinstance(filters, Mapping):
        raise _invalid("is not an object")
    kind = filters.get("type")
    if kind in ("and", "or"):
        _require_fields(filters, {"type", "filters"})
        parts = filters["filters"]
        if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= MAX_CONDITIONS:
            raise _invalid(f"and/or take a list of 1 to {MAX_CONDITIONS} filters")
        return Compound(kind == "and", tuple(_parse(part, depth + 1) for part in parts))
    _require_fields(filters, {"type", "key", "value"})
    return _condition(kind, filters["key"], filters["value"])


def _condition(kind: object, key: object, value: object) -> Condition:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise _invalid("has a key that cannot be an attribute's")
    if kind in ("in", "nin"):
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_VALUES:
            raise _invalid(f"in/nin take a list of 1 to {MAX_VALUES} values")
        values = _values(value)
    elif kind in ("eq", "ne", *_ORDERED):
        values = _values([value])
        if kind in _ORDERED and isinstance(value, bool):
            raise _invalid("cannot order booleans")
    else:
        raise _invalid("has an unknown type")
    return Condition(str(kind), key, values)


def _values(values: Sequence[object]) -> tuple[AttributeValue, ...]:
    out: list[AttributeValue] = []
    for value in values:
        if not isinstance(value, str | int | float):
            raise _invalid("has a value that is not text, a number or a boolean")
        if isinstance(value, float) and not math.isfinite(value):
            raise _invalid("has a number that is not finite")
        if out and _kind(value) is not _kind(out[0]):
            raise _invalid("mixes kinds of values in one list")
        out.append(value)
    return tuple(out)


def _require_fields(filters: Mapping[Any, object], fields: set[str]) -> None:
    if set(filters) != fields:
        raise _invalid(f"must have exactly the fields {', '.join(sorted(fields))}")


def _kind(value: AttributeValue) -> type:
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float


def _count(parsed: AttributeFilter) -> int:
    return sum(map(_count, parsed.parts)) if isinstance(parsed, Compound) else 1


def _invalid(detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"the filter {detail}")
