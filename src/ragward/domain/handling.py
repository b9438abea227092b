"""What a classification demands of whoever stores or answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ragward.domain.errors import ConfigurationError
from ragward.domain.labels import Classification


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlingProfile:
    """The handling of one classification.

    `encrypt`: content is encrypted, not only authenticated. `recheck_epoch`: compare the epoch once more before sending.
    `budget_tokens`: how much of this classification one answer may carry. `durable_audit`: fsync before answering.
    """

    classification: Classification
    encrypt: bool
    recheck_epoch: bool
    durable_audit: bool
    budget_tokens: int

    def __post_init__(self) -> None:
        if self.classification >= Classification.CONFIDENTIAL and not (
            self.encrypt and self.recheck_epoch
        ):
            raise ConfigurationError(
                f"{self.classification.name} is always encrypted and re-checked before sending"
            )
        if not 1 <= self.budget_tokens <= 1_000_000:
            raise ConfigurationError("budget_tokens must be between 1 and 1000000")


Handling = Mapping[Classification, HandlingProfile]


def require_complete(handling: Handling) -> Handling:
    """`handling` if every classification has its profile. Raises `config.invalid`."""
    missing = [level.name for level in Classification if level not in handling]
    if missing:
        raise ConfigurationError(f"handling.toml lacks {', '.join(missing)}")
    return handling
