"""Redaction: spans cut out by plain slicing, what takes their place made by presidio-anonymizer's operator.

Its engine is not used: by default it merges and overlaps spans so that text is damaged, and its `encrypt` is not
authenticated. Its `replace` operator on one value by itself is sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ragward.domain.findings import Span
from ragward.domain.passages import RedactedText


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
        hidden = _joined(sorted(s for s in spans if s.entity_type not in revealed))
        if not hidden:
            return RedactedText(text=text, removed={})
        removed: Counter[str] = Counter()
        altered: Counter[str] = Counter()
        parts: list[str] = []
        at = 0
        for span in hidden:
            show = (shown_as or {}).get(span.entity_type)
            instead = show(text[span.start : span.end]) if show else None
            (removed if instead is None else altered)[span.entity_type] += 1
            parts += [text[at : span.start], instead or self._name(span.entity_type)]
            at = span.end
        parts.append(text[at:])
        return RedactedText(text="".join(parts), removed=dict(removed), altered=dict(altered))

    def _name(self, entity_type: str) -> str:
        name = self._names.get(entity_type)
        if name is None:
            if self._replace is None:
                from presidio_anonymizer.operators import Replace

                self._replace = Replace()
            made = self._replace.operate("", {"entity_type": entity_type})
            name = self._names[entity_type] = str(made)
        return name


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Overlapping spans as one, so that no character of either is left."""
    joined: list[Span] = []
    for span in spans:
        if joined and span.start < joined[-1].end:
            before = joined[-1]
            end = max(before.end, span.end)
            joined[-1] = Span(before.start, end, before.entity_type, before.score)
        else:
            joined.append(span)
    return joined
