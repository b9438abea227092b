"""What a pseudonym carries and where one stands in a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The value a token stands for."""

    value: str = field(repr=False)


class FoundToken(NamedTuple):
    """A token at text[start:end]."""

    start: int
    end: int
    entity_type: str
    token: str
