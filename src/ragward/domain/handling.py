"""What a classification demands of whoever stores or answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ragward.domain.disclosure import Stale
from ragward.domain.errors import ConfigurationError
from ragward.domain.labels import Classification


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlingProfile:
    """The handling of one classification.

    `encrypt`: content is encrypted, not only authenticated. `recheck_epoch`: compare the epoch once more before sending.
    `budget_tokens`: how much of this classification one answer may carry. `durable_audit`: fsync before answering.
    `stale_spans`: what to do with personal data that another detector version found: detect anew on reading, or withhold.
    `raw_scores`: passages carry their similarity to the question, not only their rank (ADR 3).
    """

    classification: Classification
    encrypt: bool
    recheck_epoch: bool
    durable_audit: bool
    budget_tokens: int
    raw_scores: bool = False
    stale_spans: Stale = Stale.DETECT

    def __post_init__(self) -> None:
        if self.classification >= Classification.CONFIDENTIAL and not (
            self.encrypt and self.recheck_epoch
        ):
            raise ConfigurationError(
                f"{self.classification.name} is always encrypted and re-checked before sending"
            )
        switches = (self.encrypt, self.recheck_epoch, self.durable_audit, self.raw_scores)
        if not all(type(switch) is bool for switch in switches):
            raise ConfigurationError(
                "encrypt, recheck_epoch, durable_audit and raw_scores are true or false"
            )
        if not isinstance(self.stale_spans, Stale):
            raise ConfigurationError("stale_spans is detect or withhold")
        if not 1 <= self.budget_tokens <= 1_000_000:
            raise ConfigurationError("budget_tokens must be between 1 and 1000000")


Handling = Mapping[Classification, HandlingProfile]


def require_complete(handling: Handling) -> Handling:
    """`handling` if every classification has its profile. Raises `config.invalid`."""
    missing = [level.name for level in Classification if level not in handling]
    if missing:
        raise ConfigurationError(f"handling.toml lacks {', '.join(missing)}")
    return handling
