"""How long content is kept, by where it came from and how it is classified."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.errors import ConfigurationError
from ragward.domain.labels import Classification

_SECONDS: Final = 86_400
_MAX_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """Documents of these tenants, corpora and sources (patterns with `*` and `?`), of these classifications, are due `days`
    after their bytes came. Without `days` they are kept."""

    name: str
    tenant: str = "*"
    corpus: str = "*"
    source: str = "*"
    classifications: frozenset[Classification] = frozenset(Classification)
    days: int | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or len(self.name) > 100:
            raise ConfigurationError("a retention rule has a name of 1 to 100 characters")
        if self.days is not None and not (type(self.days) is int and 1 <= self.days <= _MAX_DAYS):
            raise ConfigurationError(f"days is between 1 and {_MAX_DAYS}, or left out")

    def covers(self, tenant: str, corpus: str, source: str, level: Classification) -> bool:
        """Whether it is about this document."""
        pairs = ((tenant, self.tenant), (corpus, self.corpus), (source, self.source))
        return level in self.classifications and all(
            fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs
        )

    def is_due(self, since: int, now: int) -> bool:
        """Whether what came at `since` is to go at `now` (Unix seconds)."""
        return self.days is not None and since + self.days * _SECONDS <= now


def rule_of(
    rules: Sequence[RetentionRule], tenant: str, corpus: str, source: str, level: Classification
) -> RetentionRule | None:
    """The first that is about a document."""
    return next((rule for rule in rules if rule.covers(tenant, corpus, source, level)), None)
