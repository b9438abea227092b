"""What one pass over a document gives: the personal data in it and, where the same pass made them, its chunks' vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ragward.domain.corpus import Vector
from ragward.domain.findings import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """`spans` are of the whole text. `vectors`, one per chunk in order, are None where nothing was embedded."""

    spans: tuple[Span, ...] = field(repr=False)
    vectors: Sequence[Vector] | None = field(default=None, repr=False)
