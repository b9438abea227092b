"""Screening for text that gives orders to a model: disguises undone first, then rules, sentence by sentence.

Reduces, does not stop: what carries no sign of an override is not recognised.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from ragward.adapters.screening_gate import Gate, vocabulary
from ragward.adapters.screening_hidden import hidden_parts, neutralised
from ragward.adapters.screening_text import (
    folded,
    normalised,
    without_breaks_in_words,
    without_digits_for_letters,
    without_short_lines,
)
from ragward.domain.errors import ConfigurationError
from ragward.domain.findings import Screening, Verdict
from ragward.domain.sentences import split_sentences

_MAX_SENTENCE: Final = 2000
_OVERLAP: Final = 400
_LINE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")
_NAME: Final = re.compile(r"\{([a-z]+)\}")
_ESCAPED: Final = re.compile(r"\\.")
_HIDDEN: Final = "hidden-text"
_EDITION: Final = b"ragward.screening.2\0"
"""Raised when the same rules say something else, because the code around them does."""


@dataclass(frozen=True, slots=True)
class _Rule:
    rule_id: str
    verdict: Verdict
    source: str
    pattern: re.Pattern[str]
    is_for_hidden: bool


class _Gated:
    """Rules, and the gate to them."""

    def __init__(self, rules: list[_Rule]) -> None:
        self.rules = rules
        self.gate = Gate([rule.source for rule in rules])

    def matching(self, sentence: str) -> list[_Rule]:
        """The rules that match."""
        tried = (self.rules[at] for at in self.gate.candidates(sentence))
        return [rule for rule in tried if rule.pattern.search(sentence)]


class RuleScreener:
    """`ports.Screener` on the rules of `policies/injection.yaml`."""

    def __init__(self, rules: list[_Rule], rule_set: str) -> None:
        self._rule_set = rule_set
        self._anywhere = _Gated([rule for rule in rules if not rule.is_for_hidden])
        self._hidden = _Gated(rules)
        words = sorted(vocabulary(rule.source for rule in rules), key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, words)) or r"(?!)", re.IGNORECASE)

    @staticmethod
    def from_file(path: Path) -> RuleScreener:
        """Raises `config.invalid`."""
        try:
            return _compiled(path.read_bytes())
        except (
            OSError,
            yaml.YAMLError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            re.error,
        ) as error:
            raise ConfigurationError(f"{path.name}: {type(error).__name__}") from error

    @property
    def rule_set(self) -> str:
        """The version of the rules and of how they are applied."""
        return self._rule_set

    def screen(self, text: str) -> Screening:
        """The verdict: quarantine for an override, for two signs in one sentence, or one in hidden text; flag for one sign."""
        verdict, hits = _judged(normalised(text, self._divided), self._anywhere)
        for part in hidden_parts(text):
            _, own = _judged(normalised(part, self._divided), self._hidden)
            if own:
                hits |= own | {_HIDDEN}
                verdict = Verdict.QUARANTINE
        return Screening(verdict=verdict, rules=tuple(sorted(hits)), rule_set=self._rule_set)

    def neutralise(self, text: str) -> str:
        """The text without invisible characters, active or hidden HTML, and links that could carry data out."""
        return neutralised(text)

    def _divided(self, word: str) -> str:
        """Words of the rules that were run together, apart again; a word that holds none is left."""
        return " ".join(self._words.sub(r" \g<0> ", word).split())


@lru_cache(
    maxsize=4
)  # of the same bytes the same, and immutable: compiling takes a fifth of a second
def _compiled(data: bytes) -> RuleScreener:
    parsed = yaml.safe_load(data)
    words = {str(name): str(those) for name, those in parsed.get("words", {}).items()}
    rules = [_rule(item, words) for item in parsed["rules"]]
    return RuleScreener(rules, hashlib.sha256(_EDITION + data).hexdigest()[:12])


def _judged(text: str, rules: _Gated) -> tuple[Verdict, set[str]]:
    verdict = Verdict.ALLOW
    hits: set[str] = set()
    for reading, is_one in _readings(text):
        if not rules.gate.candidates(folded(reading)):
            continue
        for sentence in _sentences(reading):
            own = rules.matching(sentence)
            hits.update(rule.rule_id for rule in own)
            is_override = any(rule.verdict is Verdict.QUARANTINE for rule in own)
            if is_override or (is_one and len(own) > 1):
                verdict = Verdict.QUARANTINE
            elif own and verdict is Verdict.ALLOW:
                verdict = Verdict.FLAG
    return verdict, hits


def _rule(item: Any, words: dict[str, str]) -> _Rule:
    source = item["pattern"]
    for _ in range(3):  # words may stand for words
        source = _NAME.sub(lambda name: words[name[1]], source)
    if any(character.isupper() for character in _ESCAPED.sub("", source)):
        raise ValueError("a pattern is in lower case")
    where = item.get("where", "anywhere")
    if where not in ("anywhere", "hidden"):
        raise ValueError("a rule is for hidden text or for any")
    return _Rule(
        item["id"], Verdict(item["strength"]), source, re.compile(source), where == "hidden"
    )


def _readings(text: str) -> Iterator[tuple[str, bool]]:
    """(a way to read `text`, whether its sentences surely are sentences).

    First by line. Then, so that line breaks hide nothing, with single ones taken for spaces and columns of short lines for one
    line: list items become one sentence there, and two signs in it are not two in a sentence.
    """
    yield text, True
    if "\n" in text:
        yield _LINE_BREAK.sub(" ", without_short_lines(text)), False
        if (joined := without_breaks_in_words(text)) is not None:
            yield joined, False
    if (letters := without_digits_for_letters(text)) is not None:
        yield letters, False


def _sentences(text: str) -> Iterable[str]:
    """Sentences as rules see them, in overlapping pieces of bounded length, so that patterns stay linear."""
    for start, end in split_sentences(text):
        for at in range(start, end, _MAX_SENTENCE - _OVERLAP):
            yield folded(text[at : min(end, at + _MAX_SENTENCE)])
