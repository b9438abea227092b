"""Screening for text that gives orders to a model: normalised first, then rules, sentence by sentence.

Reduces, does not stop: what carries no sign of an override is not recognised.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

from ragward.domain.errors import ConfigurationError
from ragward.domain.findings import Screening, Verdict
from ragward.domain.minimization import split_sentences

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]+")
_LOOKALIKES: Final = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0432\u043a\u043c\u043d\u0442\u03bf\u03b1\u03b5\u03b9\u03ba\u03bd\u03c1\u03c4\u03c5\u03c7",
    "aeopcyxijshdlwbkmhtoaeikvptux",
)
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9+/]{23,}+={0,2}")
_SPACED: Final = re.compile(r"\b(?:\w ){5,60}\w\b")
_MAX_SENTENCE: Final = 2000
_OVERLAP: Final = 300
_LINE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")
# Possessive, and no run may hold its own opening character: each character is read once per pattern.
_MARKDOWN_IMAGE: Final = re.compile(
    r"!\[[^\[\]\n]*+\]\(\s*+<?(?:https?:)?//[^()\n]*+\)", re.IGNORECASE
)
_MARKDOWN_LINK: Final = re.compile(
    r"\[([^\[\]\n]++)\]\(\s*+<?((?:https?:)?//[^()\s]++)[^()\n]*+\)", re.IGNORECASE
)
_ACTIVE_TAG: Final = r"(?:script|style|iframe|object|embed|form|img|link|meta|input|base)\b"
_HTML_ACTIVE: Final = re.compile(
    rf"<(script|style|iframe|object|embed|form)\b[^<>]*+>[^<]*+(?:<(?!/?\1\b)[^<]*+)*+</\1\s*+>|<{_ACTIVE_TAG}[^<>]*+>",
    re.IGNORECASE,
)
# What the patterns above leave (nested, unclosed, reference-style) is broken with a space, so nothing of it works.
_LIVE_LINK: Final = re.compile(r"\](?=[(:]\s*+<?\s*+(?:https?:|[/\\]{2}))", re.IGNORECASE)
_LIVE_TAG: Final = re.compile(rf"<(?={_ACTIVE_TAG})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rule:
    rule_id: str
    verdict: Verdict
    pattern: re.Pattern[str]


class RuleScreener:
    """`ports.Screener` on the rules of `policies/injection.yaml`."""

    def __init__(self, rules: list[_Rule], rule_set: str) -> None:
        self._rules = rules
        self._rule_set = rule_set

    @classmethod
    def from_file(cls, path: Path) -> RuleScreener:
        """Raises `config.invalid`."""
        try:
            data = path.read_bytes()
            rules = [
                _Rule(
                    item["id"],
                    Verdict(item["strength"]),
                    re.compile(item["pattern"], re.IGNORECASE),
                )
                for item in yaml.safe_load(data)["rules"]
            ]
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, re.error) as error:
            raise ConfigurationError(f"{path.name}: {type(error).__name__}") from error
        return cls(rules, hashlib.sha256(data).hexdigest()[:12])

    def screen(self, text: str) -> Screening:
        """The verdict: quarantine for an override, or for two signs in one sentence; flag for one sign."""
        verdict = Verdict.ALLOW
        hits: set[str] = set()
        for sentence, is_one in _sentences(normalised(text)):
            own = [rule for rule in self._rules if rule.pattern.search(sentence)]
            hits.update(rule.rule_id for rule in own)
            is_override = any(rule.verdict is Verdict.QUARANTINE for rule in own)
            if is_override or (is_one and len(own) > 1):
                verdict = Verdict.QUARANTINE
            elif own and verdict is Verdict.ALLOW:
                verdict = Verdict.FLAG
        return Screening(verdict=verdict, rules=tuple(sorted(hits)), rule_set=self._rule_set)

    def neutralise(self, text: str) -> str:
        """The text without invisible characters, active HTML, and links that could carry data out."""
        text = _INVISIBLE.sub("", text)
        text = _HTML_ACTIVE.sub("[active content removed]", text)
        text = _MARKDOWN_IMAGE.sub("[image removed]", text)
        text = _MARKDOWN_LINK.sub(_inert_link, text)
        return _LIVE_TAG.sub("< ", _LIVE_LINK.sub("] ", text))


def normalised(text: str) -> str:
    """NFKC, invisible characters out; tag characters, entities, base64 and spaced letters decoded. Case stays."""
    text = _TAGS.sub(
        lambda found: " " + "".join(chr(ord(c) - 0xE0000) for c in found.group()) + " ", text
    )
    text = _INVISIBLE.sub("", html.unescape(text))
    text = unicodedata.normalize("NFKC", text)
    text = _BASE64.sub(_decoded, text)
    return _SPACED.sub(lambda found: found.group().replace(" ", ""), text)


def _decoded(found: re.Match[str]) -> str:
    """A base64 word followed by what it says, if that is text."""
    word = found.group()
    try:
        plain = " ".join(base64.b64decode(word + "=" * (-len(word) % 4)).decode().split())
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return word
    return f"{word} {plain}" if plain.isprintable() else word


def _sentences(text: str) -> Iterator[tuple[str, bool]]:
    """(sentence in lower case with look-alikes folded, whether it is surely one sentence).

    First by line, then with single line breaks taken for spaces: wrapped text must not hide an override, and list items
    are not one sentence. In overlapping pieces of bounded length, so that patterns stay linear.
    """
    for lines, is_one in ((text, True), (_LINE_BREAK.sub(" ", text), False)):
        for start, end in split_sentences(lines):
            for at in range(start, end, _MAX_SENTENCE - _OVERLAP):
                piece = lines[at : min(end, at + _MAX_SENTENCE)]
                yield " ".join(piece.lower().translate(_LOOKALIKES).split()), is_one


def _inert_link(found: re.Match[str]) -> str:
    try:
        host = urlsplit(found.group(2)).hostname or "elsewhere"
    except ValueError:
        host = "elsewhere"
    return f"{found.group(1)} ({host})"
