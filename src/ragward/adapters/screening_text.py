"""Text as the screening rules read it: every disguise undone that can be undone cheaply.

Undone are invisible characters and tag characters, variation selectors that carry bytes, direction overrides, look-alikes,
full-width and mathematical letters, combining marks, HTML entities, tags and comments, URL encoding, base64, hex and escape
sequences, Markdown emphasis, spaced or joined letters, digits for letters, and line breaks between or within words. Ciphers
are not undone.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]+")
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_REVERSED: Final = re.compile("[\u202e\u2067]([^\u202c\u2069\n]*)")
_ROUNDS: Final = 3
"""How deep one encoding may lie within another."""

# What looks like a Latin letter in lower case or, for those whose capitals do, in upper case.
_LOOKALIKES: Final = {
    ord(character): letter
    for letter, characters in {
        "a": "\u0430\u03b1\u0251\u1d00\u0561\u2200",
        "b": "\u0432\u03b2\u0253\u0299\u044c\u0184\u13cf",
        "c": "\u0441\u03f2\u1d04\u217d\u2ca5\u13df",
        "d": "\u0501\u0257\u1d05\u217e\u0221\u13e7",
        "e": "\u0435\u03b5\u04bd\u1d07\u0454\u212e\u0119\u0117\u13ac",
        "f": "\u0192\ua730\u1e9d\u0584",
        "g": "\u0261\u0262\u0581\u0260\u050d",
        "h": "\u04bb\u043d\u03b7\u029c\u0570\u13bb",
        "i": "\u0456\u03b9\u0131\u026a\u0269\u04cf\u2170\u1d09",
        "j": "\u0458\u03f3\u1d0a\u0575",
        "k": "\u043a\u03ba\u1d0b\u0138\u212a",
        "l": "\u029f\u04c0\u217c\u01c0\u0196\u2223",
        "m": "\u043c\u03bc\u1d0d\u217f\u13b7",
        "n": "\u0578\u057c\u0274\u043f\u0271",
        "o": "\u043e\u03bf\u1d0f\u0585\u03c3\u00f8\u0275\u0ed0\u2c9f",
        "p": "\u0440\u03c1\u1d18\u048f\u2ca3",
        "q": "\u051b\u0563\u0566\ua757",
        "r": "\u0433\u0280\u027c\u1d26\u13a1",
        "s": "\u0455\ua731\u01bd\u0282\u13da",
        "t": "\u0442\u03c4\u1d1b\u01ad\u2ca7\u13a2",
        "u": "\u03c5\u057d\u1d1c\u028b\u0446",
        "v": "\u03bd\u0475\u1d20\u2174\u2228",
        "w": "\u051d\u0461\u1d21\u0561\u03c9\u026f",
        "x": "\u0445\u03c7\u04b3\u2179\u2a2f\u00d7",
        "y": "\u0443\u04af\u028f\u03b3\u0263\u1eff",
        "z": "\u1d22\u0290\u01b6\u13c3",
    }.items()
    for character in characters
} | {  # letters in boxes and circles, and those that spell flags, which NFKC leaves
    start + at: chr(0x61 + at) for start in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for at in range(26)
}

_BASE64: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:[A-Za-z0-9+/]{56,80}\r?\n)+[A-Za-z0-9+/]{4,80}={0,2}|[A-Za-z0-9][A-Za-z0-9+/_-]{15,}+={0,2})"
)
_HEX: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:;-]?){8,4000}(?![0-9A-Za-z])"
)
_HEX_PAIR: Final = re.compile(r"(?:0x|\\x)?([0-9A-Fa-f]{2})")
_ESCAPES: Final = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,5})\}|x([0-9A-Fa-f]{2})|([0-7]{3}))"
)
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_PLUS: Final = re.compile(r"(?<=[A-Za-z])\+(?=[A-Za-z])")

_COMMENT: Final = re.compile(r"<!-{0,2}|-->")
_HTML_TAG: Final = re.compile(
    r"(?<![<\w])</?(a|abbr|b|big|body|br|button|code|div|em|font|footer|h[1-6]|head|header|html|i|iframe|img|input|ins|label|li|link|mark|meta|nav|noscript|ol|option|p|pre|s|script|section|select|small|span|strong|style|sub|sup|svg|table|tbody|td|template|text|textarea|th|thead|title|tr|tt|u|ul|video|wbr)\b([^<>]*+)>",
    re.IGNORECASE,
)
_INLINE: Final = frozenset(
    (
        *("a", "abbr", "b", "big", "code", "em", "font", "i", "ins", "mark", "s", "small", "span"),
        *("strong", "sub", "sup", "tt", "u", "wbr"),
    )
)
_QUOTED: Final = re.compile(r"\"([^\"]{8,})\"|'([^']{8,})'")
_EMPHASIS: Final = re.compile(r"\\(?=[*_`~])|[*`]+|~~|(?<![^\W_])_+|_+(?![^\W_])")

_MARKS: Final = re.compile(r"[*`~_\\]")
_SINGLES: Final = re.compile(r"(?<![^\W_])[^\W_][ ._\-|/+,][^\W_][ ._\-|/+,]+[^\W_](?![^\W_])")
_SPACED: Final = re.compile(
    r"(?<![^\W_])[^\W_](?:([ ._\-|/+,])[^\W_])(?:\1[^\W_]){3,200}(?![^\W_])"
)
_SPACED_RUNS: Final = re.compile(
    r"(?<!\S)(?:\S ){1,60}\S(?: {2,}(?:\S ){0,60}\S)+(?!\S)|(?<!\S)\S {2,}(?:\S ){2,60}\S(?!\S)"
)
_JOINED: Final = re.compile(r"(?<![^\W_])[A-Za-z]++(?:([_.~|+-])[A-Za-z]++)(?:\1[A-Za-z]++)+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_LONG_WORD: Final = re.compile(r"[A-Za-z]{16,}")
_LEET_WORD: Final = re.compile(r"\b(?=\w*[A-Za-z@$])[\w@$]*[013457@$][\w@$]*")
_LEET_SIGN: Final = re.compile(r"[A-Za-z][013457@$]|[013457@$][A-Za-z]")
_LEET: Final = str.maketrans("013457@$", "oieastas")
_SHORT_LINES: Final = re.compile(
    r"(?:^[^\S\n]*\S+(?:[^\S\n]+\S+)?[^\S\n]*(?:\n+|\Z)){3,}", re.MULTILINE
)
_BREAK_IN_WORD: Final = re.compile(r"(?<=\w)-?\n(?=\w)")


def normalised(text: str, divide: Callable[[str], str] = str) -> str:
    """`text` with its disguises undone; case and line breaks stay. `divide` sets spaces between words that were run together."""
    if not text.isascii():
        text = _plain_letters(text)
    for _ in range(_ROUNDS):
        decoded = _decoded_once(text)
        if decoded == text:
            break
        text = decoded if decoded.isascii() else _plain_letters(decoded)
    if "<" in text:
        text = _HTML_TAG.sub(_tag_text, _COMMENT.sub(" ", text))
    if _MARKS.search(text):
        text = _EMPHASIS.sub("", text)
    if _SINGLES.search(text):
        text = _SPACED_RUNS.sub(_despaced, text)
        text = _SPACED.sub(lambda run: divide("".join(filter(str.isalnum, run[0]))), text)
    text = _JOINED.sub(lambda run: run[0].replace(run[1], " "), text)
    return _LONG_WORD.sub(lambda word: divide(_CAMEL.sub(" ", word[0])), text)


def folded(text: str) -> str:
    """Lower case, look-alikes as the letters they look like, single spaces: what rules are matched on."""
    text = text.lower()
    if not text.isascii():
        text = text.translate(_LOOKALIKES)
    return " ".join(text.split())


def without_short_lines(text: str) -> str:
    """Lines of one or two words, several in a row, as one line: words must not hide in a column."""
    return _SHORT_LINES.sub(lambda lines: " ".join(lines[0].split()) + "\n", text)


def without_breaks_in_words(text: str) -> str | None:
    """`text` with the two ends of every broken word joined; None where no line ends within what may be one."""
    joined, count = _BREAK_IN_WORD.subn("", text)
    return joined if count else None


def without_digits_for_letters(text: str) -> str | None:
    """`text` with the digits and signs in words read as letters; None where there are none."""
    if not _LEET_SIGN.search(text):
        return None
    read, count = _LEET_WORD.subn(lambda word: word[0].translate(_LEET), text)
    return read if count else None


def _plain_letters(text: str) -> str:
    """Hidden characters read or removed, compatibility forms as letters, marks off their letters."""
    text = _TAGS.sub(lambda run: f" {_shifted(run[0])} ", text)
    text = _SELECTORS.sub(_selector_text, text)
    text = _REVERSED.sub(lambda run: f"{run[1]} {run[1][::-1]} ", text)
    text = INVISIBLE.sub("", text)
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _shifted(run: str) -> str:
    return "".join(chr(ord(character) - 0xE0000) for character in run)


def _selector_text(run: re.Match[str]) -> str:
    """Variation selectors number 256: a run of them can spell any bytes."""
    numbers = (ord(c) - 0xFE00 if ord(c) < 0xFE10 else ord(c) - 0xE0100 + 16 for c in run[0])
    return f" {_printable(bytes(numbers)) or ''} "


def _decoded_once(text: str) -> str:
    if "&" in text:
        text = html.unescape(text)
    if "%" in text and len(_PERCENT.findall(text)) > 1:
        text = _PLUS.sub(" ", unquote(text))
    elif "+" in text:
        text = _PLUS.sub(" ", text)
    if "\\" in text:
        text = _ESCAPES.sub(_escaped, text)
    text = _HEX.sub(_from_hex, text)
    return _BASE64.sub(_from_base64, text)


def _escaped(found: re.Match[str]) -> str:
    four, braces, two, octal = found.groups()
    number = int(four or braces or two, 16) if not octal else int(octal, 8)
    character = chr(number) if number < 0xD800 or 0xE000 <= number < 0x110000 else ""
    return character if character.isprintable() else " "


def _from_hex(found: re.Match[str]) -> str:
    pairs = bytes.fromhex("".join(_HEX_PAIR.findall(found[0])))
    return f" {text} " if (text := _printable(pairs)) else found[0]


def _from_base64(found: re.Match[str]) -> str:
    """What a base64 word says, if that is text; otherwise the word."""
    word = "".join(found[0].split()).rstrip("=").translate({0x2D: "+", 0x5F: "/"})
    try:
        data = base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except (binascii.Error, ValueError):
        return found[0]
    return f" {text} " if (text := _printable(data)) else found[0]


def _printable(data: bytes) -> str | None:
    for encoding in ("utf-8", "utf-16-le"):
        try:
            text = " ".join(data.decode(encoding).split())
        except UnicodeDecodeError:
            continue
        if text.isprintable() and text.isascii() | (encoding == "utf-8"):
            return text
    return None


def _tag_text(found: re.Match[str]) -> str:
    """What an HTML tag shows or says: its quoted attributes, for scripts and screen readers say them too."""
    said = " ".join(one or other for one, other in _QUOTED.findall(found[2]))
    if said:
        return f" {said} "
    return "" if found[1].lower() in _INLINE else " "


def _despaced(run: re.Match[str]) -> str:
    """Letters one space apart are a word, words are further apart."""
    return " ".join(word.replace(" ", "") for word in re.split(r" {2,}", run[0]))
