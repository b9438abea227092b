"""Where a person is named: by identifiers that somebody gives, in texts as people write them.

A match is of whole words, whatever their case, width, invisible characters and separators; a number whatever separates its
digits; a name of several words also with its last word first. What it is not: initials, genitives, nicknames, misspellings.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from ragward.domain.errors import InvalidRequestError

MAX_IDENTIFIERS: Final = 20
MAX_CHARACTERS: Final = 200
MIN_CHARACTERS: Final = 4
_MIN_DIGITS: Final = 4
_MAX_ORDERED: Final = 4
_WORD: Final = re.compile(r"[^\W_]+")
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
# Bounded, so that a search is linear in the text.
_BETWEEN_WORDS: Final = r"[\W_]{1,8}"
_BETWEEN_DIGITS: Final = r"[\W_]{0,3}"


class Mentions:
    """One person's identifiers, to be looked for."""

    def __init__(self, identifiers: Sequence[str]) -> None:
        """Raises `request.invalid` for none, too many, or one too short to name anybody."""
        if not 1 <= len(identifiers) <= MAX_IDENTIFIERS:
            raise InvalidRequestError(f"a person is named by 1 to {MAX_IDENTIFIERS} identifiers")
        ways: set[tuple[str, ...]] = set()
        for identifier in identifiers:
            words = _words(identifier)
            if len(identifier) > MAX_CHARACTERS or len("".join(words)) < MIN_CHARACTERS:
                raise InvalidRequestError(
                    f"an identifier has {MIN_CHARACTERS} letters or digits at least,"
                    f" and {MAX_CHARACTERS} characters at most"
                )
            ways.add(words)
            if 1 < len(words) <= _MAX_ORDERED and "@" not in identifier and not _is_number(words):
                ways.add((words[-1], *words[:-1]))
        self.forms: Final[frozenset[str]] = frozenset(_form(words) for words in ways)
        """Each of them as `form_of` makes it."""
        body = "|".join(sorted(map(_pattern, ways)))
        self._pattern: Final = re.compile(rf"(?<![^\W_])(?:{body})(?![^\W_])")

    def found_in(self, text: str) -> bool:
        """Whether `text` names the person."""
        return self._pattern.search(_folded(text)) is not None

    def removed_from(self, text: str) -> str:
        """`text` without them, folded where there were any."""
        if not self.found_in(text):
            return text
        return self._pattern.sub("<REMOVED>", _folded(text))


def form_of(value: str) -> str:
    """A value as it is compared: its words in lower case with single spaces, of a number its digits alone."""
    return _form(_words(value))


def subject_tag(key: bytes, tenant: str, forms: Collection[str]) -> str:
    """A keyed tag of one person's identifiers: the same for the same, and nothing to who has not the tenant's key."""
    return _tag(key, b"ragward.subject-tag.v1\0", tenant, sorted(forms))


def value_tags(key: bytes, tenant: str, forms: Iterable[str]) -> frozenset[str]:
    """A keyed tag of each single value."""
    return frozenset(_tag(key, b"ragward.value-tag.v1\0", tenant, [form]) for form in forms)


def _tag(key: bytes, domain: bytes, tenant: str, parts: Sequence[str]) -> str:
    encoded = [part.encode() for part in (tenant, *parts)]
    body = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    return hmac.digest(key, domain + body, hashlib.sha256).hex()[:32]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(_folded(text)))


def _is_number(words: Sequence[str]) -> bool:
    joined = "".join(words)
    digits = sum(character.isdigit() for character in joined)
    return digits >= _MIN_DIGITS and digits * 2 >= len(joined)


def _form(words: Sequence[str]) -> str:
    return ("" if _is_number(words) else " ").join(words)


def _pattern(words: Sequence[str]) -> str:
    if _is_number(words):
        return _BETWEEN_DIGITS.join(map(re.escape, "".join(words)))
    return _BETWEEN_WORDS.join(map(re.escape, words))
