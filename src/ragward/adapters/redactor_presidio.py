"""Redaction: spans cut out by plain slicing, what takes their place made by presidio-anonymizer's operator.

Its engine is not used: by default it merges and overlaps spans so that text is damaged, and its `encrypt` is not
authenticated. Its `replace` operator on one value by itself is sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from ragward.adapters.presidio_imports import import_presidio
from ragward.domain.findings import Span
from ragward.domain.passages import RedactedText

_START: Final = attrgetter("start")


class PresidioRedactor:
    """`ports.Redactor`. Spans come without overlaps; those that overlap all the same go together, as the first's type."""

    def __init__(self) -> None:
        self._replace: Any = None
        self._names: dict[str, str] = {}

    def redact(
        self,
        text: str,
        spans: Sequence[Span],
        revealed: frozenset[str],
        shown_as: Mapping[str, Callable[[str], str | None]] | None = None,
    ) -> RedactedText:
        """The text as a subject may see it."""
        hidden = [span for span in spans if span.entity_type not in revealed]
        if not hidden:
            return RedactedText(text=text, removed={})
        hidden.sort(key=_START)
        shows = shown_as or {}
        removed: dict[str, int] = {}
        altered: dict[str, int] = {}
        parts: list[str] = []
        at = 0
        for span in hidden:
            start, end, kind = span.start, span.end, span.entity_type
            if start < at:  # overlapping all the same: nothing of either is left
                at = max(at, end)
                continue
            show = shows.get(kind)
            instead = show(text[start:end]) if show else None
            counts = removed if instead is None else altered
            counts[kind] = counts.get(kind, 0) + 1
            parts.append(text[at:start])
            parts.append(instead or self._names.get(kind) or self._name(kind))
            at = end
        parts.append(text[at:])
        return RedactedText(text="".join(parts), removed=removed, altered=altered)

    def _name(self, entity_type: str) -> str:
        if self._replace is None:
            import_presidio()
            from presidio_anonymizer.operators import Replace

            self._replace = Replace()
        name = str(self._replace.operate("", {"entity_type": entity_type}))
        self._names[entity_type] = name
        return name
