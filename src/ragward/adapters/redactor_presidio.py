"""Redaction by presidio-anonymizer, in the one configuration that leaves the rest of the text alone.

Spans come without overlaps. Adjacent spans must not be merged (three addresses would become one), and the operators of
each call are its own, because presidio writes into the dictionary it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ragward.domain.findings import Span
from ragward.domain.passages import RedactedText


class PresidioRedactor:
    """`ports.Redactor`: every span of a type that is not revealed becomes `<TYPE>`."""

    def __init__(self) -> None:
        self._engine: Any = None

    def redact(self, text: str, spans: Sequence[Span], revealed: frozenset[str]) -> RedactedText:
        """The text as a subject may see it."""
        hidden = [span for span in spans if span.entity_type not in revealed]
        if not hidden:
            return RedactedText(text=text, removed={})
        from presidio_anonymizer import AnonymizerEngine
        from presidio_anonymizer.entities import (
            ConflictResolutionStrategy,
            OperatorConfig,
            RecognizerResult,
        )

        if self._engine is None:
            self._engine = AnonymizerEngine()
        removed = Counter(span.entity_type for span in hidden)
        out = self._engine.anonymize(
            text=text,
            analyzer_results=[
                RecognizerResult(entity_type=s.entity_type, start=s.start, end=s.end, score=s.score)
                for s in hidden
            ],
            operators={
                kind: OperatorConfig("replace", {"new_value": f"<{kind}>"}) for kind in removed
            },
            conflict_resolution=ConflictResolutionStrategy.REMOVE_INTERSECTIONS,
            merge_entities_with_spaces=False,
        )
        return RedactedText(text=out.text, removed=dict(removed))
