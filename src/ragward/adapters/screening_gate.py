"""Which rules can match a text at all, from one pass over it: an Aho-Corasick automaton over words the rules cannot do without.

The words are derived from the patterns themselves, so a rule that changes brings its own. A pattern is a sequence of parts;
a part that is one of several words means that a match holds one of those words. Where nothing of that kind is found in a
pattern, its rule is tried on every text.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

_parser: Final[Any] = importlib.import_module("re._parser")  # what `re` itself compiles from
_MAX_WORDS: Final = 256
_MIN_LENGTH: Final = 3
_FLAGS: Final = re.VERBOSE | re.IGNORECASE

Words = frozenset[str]


@lru_cache(maxsize=1024)  # a rule is in more than one gate
def required_words(pattern: str) -> list[Words]:
    """Sets of words: every match of `pattern` contains, of each set, one word at least."""
    tree = _parser.parse(pattern)
    if tree.state.flags & _FLAGS:
        return []
    return _best(_required(tree))


class Gate:
    """The rules of a list that a text may match, by their positions in it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        import ahocorasick

        self._automaton = ahocorasick.Automaton()
        self._needs: list[int] = []
        bits: dict[str, int] = {}
        bit = 1
        for pattern in patterns:
            needed = 0
            for words in required_words(pattern):
                for word in words:
                    bits[word] = bits.get(word, 0) | bit
                needed |= bit
                bit <<= 1
            self._needs.append(needed)
        self._always = [at for at, needed in enumerate(self._needs) if not needed]
        for word, mask in bits.items():
            self._automaton.add_word(word, mask)
        self._automaton.make_automaton()
        self._is_empty = not bits

    def candidates(self, text: str) -> list[int]:
        """Positions of the patterns that lower-case `text` may match."""
        seen = 0
        if not self._is_empty:
            for _, mask in self._automaton.iter(text):
                seen |= mask
        if not seen:
            return self._always
        return [at for at, needed in enumerate(self._needs) if needed & seen == needed]


def vocabulary(patterns: Iterable[str]) -> frozenset[str]:
    """Every word of three letters or more in any pattern."""
    found: set[str] = set()
    for pattern in patterns:
        for words in _required(_parser.parse(pattern)):
            found.update(part for word in words for part in re.findall("[a-z]{3,}", word))
    return frozenset(found)


def _best(sets: list[Words]) -> list[Words]:
    """Sets without short words, which are everywhere; all of them where there is no other."""
    useful = [words for words in sets if min(map(_weight, words)) >= _MIN_LENGTH]
    return useful or sets


def _weight(word: str) -> int:
    """How much a word says: signs are rare."""
    return len(word.strip()) if word.replace(" ", "").isalpha() else _MIN_LENGTH + len(word)


def _required(tree: Any) -> list[Words]:
    """The sets of a sequence: runs of parts whose words are all known are joined, the rest adds its own sets."""
    sets: list[Words] = []
    run: Words = frozenset({""})
    for operation, argument in tree:
        words, inner = _part(str(operation), argument)
        if words is not None and len(run) * len(words) <= _MAX_WORDS:
            run = frozenset(before + after for before in run for after in words)
            continue
        sets.append(run)
        run = words if words is not None else frozenset({""})
        sets += inner
    sets.append(run)
    return [words for words in sets if words and "" not in words]


def _part(operation: str, argument: Any) -> tuple[Words | None, list[Words]]:
    """(every text the part can be, or None if that is not known; sets required within it)."""
    if operation == "LITERAL":
        return frozenset({chr(argument)}), []
    if operation == "AT":
        return frozenset({""}), []
    if operation in ("ASSERT", "ASSERT_NOT"):
        return frozenset({""}), []  # looks, and takes nothing
    if operation == "IN":
        return _characters(argument), []
    if operation == "SUBPATTERN":
        return _part_of_group(argument)
    if operation == "BRANCH":
        return _branches(argument[1])
    if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _repeat(*argument)
    if operation == "ATOMIC_GROUP":
        return _sequence(argument)
    return None, []


def _part_of_group(argument: Any) -> tuple[Words | None, list[Words]]:
    _, added_flags, _, inner = argument
    return (None, []) if added_flags else _sequence(inner)


def _characters(members: Any) -> Words | None:
    letters = {chr(value) for kind, value in members if str(kind) == "LITERAL"}
    return frozenset(letters) if len(letters) == len(members) <= 4 else None


def _repeat(least: int, most: Any, inner: Any) -> tuple[Words | None, list[Words]]:
    words, sets = _sequence(inner)
    if (least, most) == (1, 1):
        return words, sets
    if (least, most) == (0, 1) and words is not None:
        return words | {""}, []
    if least == 0:
        return None, []
    return None, [words] if words is not None and "" not in words else sets


def _branches(options: Any) -> tuple[Words | None, list[Words]]:
    parts = [_sequence(option) for option in options]
    if all(words is not None for words, _ in parts):
        union = frozenset().union(*(words for words, _ in parts if words is not None))
        if len(union) <= _MAX_WORDS:
            return union, []
        return None, [] if "" in union else [union]
    united: set[str] = set()
    for words, sets in parts:
        own = [words] if words is not None and "" not in words else _best(sets)
        if not own:
            return None, []
        united |= max(own, key=lambda each: min(map(_weight, each)))
    return None, [frozenset(united)]


def _sequence(tree: Any) -> tuple[Words | None, list[Words]]:
    """A sequence that is known as a whole, or the sets it requires."""
    run: Words = frozenset({""})
    for operation, argument in tree:
        words, _ = _part(str(operation), argument)
        if words is None or len(run) * len(words) > _MAX_WORDS:
            return None, _required(tree)
        run = frozenset(before + after for before in run for after in words)
    return run, []
