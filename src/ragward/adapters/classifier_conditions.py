"""The conditions that a steward's classification rules are made of: each holds or not, and says where.

Regular expressions run on RE2, whose time is linear in the text whatever the pattern: none can be catastrophic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final

from ragward.domain import classified_text as marks
from ragward.domain.classified_text import Line, normalised

MAX_VALUES: Final = 500
MAX_CHARACTERS: Final = 1000
_MAX_STARS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the conditions look at, each part prepared once. `attributes` is what the source says of the document,
    `properties` what the file says of itself."""

    source: str
    title: str
    text: str
    attributes: Mapping[str, object]
    properties: Mapping[str, object]
    counts: Mapping[str, int]

    @cached_property
    def whole(self) -> str:
        """Title and text, as words are looked for in it."""
        return normalised(f"{self.title}\n{self.text}")

    @cached_property
    def lowered(self) -> str:
        """The same in lower case."""
        return self.whole.lower()

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Those that may hold a mark."""
        return tuple(marks.short_lines(self.whole))

    @cached_property
    def purview(self) -> frozenset[tuple[str, str]]:
        """(id, name) of enabled Purview labels; what the source and what the file says, both."""
        return marks.purview(self.attributes) | marks.purview(self.properties)


Condition = Callable[[Facts], str | None]
"""Where it holds, in words without content; None where it does not."""


def _place(number: int | None) -> str | None:
    """The first line of `Facts.whole` is the title."""
    if number is None:
        return None
    return "title" if number == 1 else f"text line {number - 1}"


def _at(text: str, start: int) -> str | None:
    return _place(text.count("\n", 0, start) + 1)


def _path_glob(value: Any) -> Condition:
    pattern = _text(value)
    if pattern.count("*") > _MAX_STARS:
        raise ValueError(f"a glob has at most {_MAX_STARS} stars")
    return lambda facts: "path" if fnmatchcase(facts.source, pattern) else None


def _keyword_any(values: Any) -> Condition:
    words = [normalised(word).lower() for word in _texts(values)]

    def condition(facts: Facts) -> str | None:
        for word in words:
            if (start := facts.lowered.find(word)) >= 0:
                return _at(facts.lowered, start)
        return None

    return condition


def _regex(value: Any) -> Condition:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(_text(value), options)
    except re2.error as error:
        raise ValueError(f"not a regular expression of RE2: {_said(error)}") from None

    def condition(facts: Facts) -> str | None:
        found = pattern.search(facts.whole)
        return None if found is None else _at(facts.whole, found.start())

    return condition


def _said(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def _attribute(values: Any) -> Condition:
    wanted = _mapping(values)
    named = ", ".join(wanted)

    def condition(facts: Facts) -> str | None:
        held = all(facts.attributes.get(key) == value for key, value in wanted.items())
        return f"metadata {named}" if held else None

    return condition


def _entity_any(values: Any) -> Condition:
    kinds = _texts(values)

    def condition(facts: Facts) -> str | None:
        found = [kind for kind in kinds if facts.counts.get(kind, 0)]
        return f"found {', '.join(found)}" if found else None

    return condition


def _entity_count(values: Any) -> Condition:
    least: dict[str, int] = {}
    for kind, count in _mapping(values).items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{kind} needs a whole number of at least 1")
        least[kind] = count

    def condition(facts: Facts) -> str | None:
        if any(facts.counts.get(kind, 0) < count for kind, count in least.items()):
            return None
        return "found " + ", ".join(f"{kind} x{facts.counts[kind]}" for kind in least)

    return condition


def _banner_any(values: Any) -> Condition:
    words = frozenset(" ".join(word.lower().split()) for word in _texts(values))
    return lambda facts: _place(marks.banner(facts.lines, words))


def _tlp_any(values: Any) -> Condition:
    names = frozenset(_texts(values))
    if unknown := names - set(marks.TLP):
        raise ValueError(f"{', '.join(sorted(unknown))} is not a label of TLP 2.0")
    return lambda facts: _place(marks.tlp(facts.lines, names))


def _cui(value: Any) -> Condition:
    if value is not True:
        raise ValueError("cui is true, or left out")
    return lambda facts: _place(marks.cui(facts.lines))


def _purview_any(values: Any) -> Condition:
    wanted = {value.lower() for value in _texts(values)}

    def condition(facts: Facts) -> str | None:
        for label, name in sorted(facts.purview):
            if "*" in wanted or label in wanted or name.lower() in wanted:
                return f"Purview label {label}"
        return None

    return condition


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS:
        raise TypeError(f"a text of 1 to {MAX_CHARACTERS} characters is needed")
    return value


def _texts(values: Any) -> list[str]:
    """The values of a list: a lone word would be taken for its letters."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        raise TypeError(f"a list of 1 to {MAX_VALUES} texts is needed")
    return [_text(value) for value in values]


def _mapping(values: Any) -> dict[str, object]:
    if not isinstance(values, dict) or not 0 < len(values) <= MAX_VALUES:
        raise TypeError(f"a mapping of 1 to {MAX_VALUES} names is needed")
    return {_text(key): value for key, value in values.items()}


CONDITIONS: Final[Mapping[str, Callable[[Any], Condition]]] = {
    "path_glob": _path_glob,
    "keyword_any": _keyword_any,
    "regex": _regex,
    "attribute": _attribute,
    "entity_any": _entity_any,
    "entity_count_at_least": _entity_count,
    "banner_any": _banner_any,
    "tlp_any": _tlp_any,
    "cui": _cui,
    "purview_any": _purview_any,
}
ENTITY_CONDITIONS: Final = frozenset({"entity_any", "entity_count_at_least"})
