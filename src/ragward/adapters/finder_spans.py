"""From finds that overlap to spans that do not: identifiers first, then names around them, then names seen elsewhere.

Nothing of a name is left standing because something else overlaps it: what remains of it on either side is kept.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from ragward.domain.findings import Span

_MIN_NAME: Final = 4
_EXPECTED: Final = 0.8
_SEEN_ELSEWHERE: Final = 0.7
_DIGIT: Final = re.compile(r"\d")
_WORD_CHARACTER: Final = re.compile(r"\w")
_JOINT: Final = re.compile(r"[\s,]{0,3}(?:#\s?)?")
_PLACES: Final = frozenset({"LOCATION", "STREET_ADDRESS", "ZIP_CODE"})
_EDGES: Final = " \t\n,.;:"


def without_overlaps(spans: Iterable[Span]) -> tuple[Span, ...]:
    """By start; where two overlap, the surer and then the longer stays."""
    kept: list[Span] = []
    for span in sorted(
        set(spans), key=lambda s: (-s.score, s.start - s.end, s.start, s.entity_type)
    ):
        at = bisect_left(kept, span.start, key=lambda s: s.start)
        after_previous = at == 0 or kept[at - 1].end <= span.start
        if after_previous and (at == len(kept) or span.end <= kept[at].start):
            kept.insert(at, span)
    return tuple(kept)


def with_names(text: str, certain: Sequence[Span], names: Iterable[Span]) -> tuple[Span, ...]:
    """Identifiers and cues, and the names between them.

    A name that overlaps one of its own kind widens it; of one that overlaps something else, the rest is kept. Places that
    follow each other are one address if there is a number in them.
    """
    kept = list(certain)
    for name in sorted(set(names), key=lambda s: (s.start, -s.end)):
        _add(text, kept, name)
    return tuple(_addresses(text, kept))


def everywhere(text: str, spans: Iterable[Span]) -> list[Span]:
    """A name found once is found everywhere in the document: the whole of it, and its last part alone.

    Not what the document also writes with a small letter: that is a word.
    """
    people = {
        text[span.start : span.end]
        for span in spans
        if span.entity_type == "PERSON" and span.score >= _SEEN_ELSEWHERE
    }
    parts = {name for full in people for name in (full, full.split()[-1]) if len(name) >= _MIN_NAME}
    parts = {part for part in parts if part[0].isupper() and "\n" not in part}
    if not parts:
        return []
    ordered = sorted(parts, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in ordered) + r")(?!\w)")
    words = set(re.findall(r"(?<![\w@.])[^\W\d_]+(?![\w@])", text))
    return [
        Span(match.start(), match.end(), "PERSON", _SEEN_ELSEWHERE)
        for match in pattern.finditer(text)
        if match[0].lower() not in words or match[0].islower()
    ]


def _add(text: str, kept: list[Span], name: Span) -> None:
    """Puts one name among the spans that stand."""
    start, end = _trimmed(text, name.start, name.end)
    first = bisect_left(kept, start, key=lambda s: s.start)
    first -= first > 0 and kept[first - 1].end > start
    last = first
    while last < len(kept) and kept[last].start < end:
        last += 1
    touched = kept[first:last]
    kind = name.entity_type
    if touched and all(_alike(span.entity_type, kind) for span in touched):
        start, end = min(start, touched[0].start), max(end, touched[-1].end)
        strongest = max((*touched, name), key=lambda s: s.score)
        kind = "STREET_ADDRESS" if kind in _PLACES else strongest.entity_type
        kept[first:last] = [Span(start, end, kind, strongest.score)]
        return
    pieces: list[Span] = []
    at = start
    for span in touched:
        pieces += _piece(text, at, span.start, name)
        pieces.append(span)
        at = span.end
    kept[first:last] = [*pieces, *_piece(text, at, end, name)]


def _alike(one: str, other: str) -> bool:
    return one == other or (one in _PLACES and other in _PLACES)


def _piece(text: str, start: int, end: int, name: Span) -> list[Span]:
    start, end = _trimmed(text, start, end)
    if start >= end or not _WORD_CHARACTER.search(text, start, end):
        return []
    return [Span(start, end, name.entity_type, name.score)]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _EDGES:
        start += 1
    while end > start and text[end - 1] in " \t\n,;:":
        end -= 1
    return start, end


def _addresses(text: str, spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        before = joined[-1] if joined else None
        if (
            before is not None
            and {before.entity_type, span.entity_type} <= _PLACES
            and _JOINT.fullmatch(text, before.end, span.start)
            and (_has_number(text, before) or _has_number(text, span))
        ):
            score = max(before.score, span.score)
            joined[-1] = Span(before.start, span.end, "STREET_ADDRESS", score)
        elif span.entity_type == "LOCATION" and _has_number(text, span):
            joined.append(Span(span.start, span.end, "STREET_ADDRESS", span.score))
        else:
            joined.append(span)
    return joined


def _has_number(text: str, span: Span) -> bool:
    return _DIGIT.search(text, span.start, span.end) is not None
