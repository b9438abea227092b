"""What a classification demands of whoever stores or answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ragward.domain.assurance import Assuring, Demands
from ragward.domain.disclosure import Stale
from ragward.domain.errors import ConfigurationError
from ragward.domain.labels import Classification
from ragward.domain.marking import TRUSTED_MORE, Trust
from ragward.domain.proof import Assurance, Device


class VectorProtection(StrEnum):
    """How the vectors of a classification lie in the index: an embedding can be turned back into much of its text."""

    PLAIN = "plain"
    """As they are: for nearest-neighbour search in the index."""
    SEALED = "sealed"
    """Never in the index: encrypted in the catalog, decrypted into memory for permitted requests and scanned exactly."""


#: Where the lowest classification begins whose vectors are sealed unless a line says otherwise.
SEALED_FROM = Classification.CONFIDENTIAL


class Mode(StrEnum):
    """How much is left of passages, the most first: everything; what is nearer the question, and of the first three at least
    a sentence each; only what is nearest."""

    OFF = "off"
    BALANCED = "balanced"
    STRICT = "strict"


_MODES = tuple(Mode)
#: What RESTRICTED demands unless handling.toml says otherwise.
RESTRICTED_DEMANDS = Demands(
    assurance=Assurance.MFA, max_auth_age_seconds=3600, device=Device.COMPLIANT
)


class WhenGone(StrEnum):
    """What becomes of a document that is no longer at its source, until it is removed."""

    ANSWERED = "answered"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlingProfile:
    """The handling of one classification.

    `encrypt`: content is encrypted, not only authenticated. `recheck_epoch`: compare the epoch once more before sending.
    `budget_tokens`: how much of this classification one answer may carry. `durable_audit`: fsync before answering.
    `stale_spans`: what to do with personal data that another detector version found: detect anew on reading, or withhold.
    `raw_scores`: passages carry their similarity to the question, not only their rank (ADR 3).
    `vectors`: how its vectors lie in the index; without a line, sealed from `SEALED_FROM` on.
    `minimize`: what is left of a passage where the request does not say; `minimize_at_least`: whatever it says.
    `trust_at_least`: what is trusted less is not answered; as it stands everything is.
    `demands`: what readers must have proven; without a line, of RESTRICTED `RESTRICTED_DEMANDS`, else nothing.
    `when_gone`: whether it is answered from while its source no longer has it; without a line, it is not.
    `budget_by_purpose`: the budget where the answer is for that purpose, never more than `budget_tokens`.
    """

    classification: Classification
    encrypt: bool
    recheck_epoch: bool
    durable_audit: bool
    budget_tokens: int
    raw_scores: bool = False
    stale_spans: Stale = Stale.DETECT
    vectors: VectorProtection | None = None
    minimize: Mode = Mode.BALANCED
    minimize_at_least: Mode = Mode.OFF
    budget_by_purpose: Mapping[str, int] = field(default_factory=dict)
    trust_at_least: Trust = Trust.SUSPECT
    when_gone: WhenGone = WhenGone.WITHHELD
    demands: Demands | None = None

    def __post_init__(self) -> None:
        if self.vectors not in (None, *VectorProtection):
            raise ConfigurationError("vectors is plain or sealed")
        if self.classification is Classification.RESTRICTED and not self.is_sealed:
            raise ConfigurationError("the vectors of RESTRICTED are always sealed")
        if self.is_sealed and not self.encrypt:
            raise ConfigurationError("vectors that are sealed are encrypted: encrypt must be true")
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
        if not all(
            type(tokens) is int and 1 <= tokens <= self.budget_tokens
            for tokens in self.budget_by_purpose.values()
        ):
            raise ConfigurationError("a purpose's budget is between 1 and budget_tokens")
        if not all(isinstance(mode, Mode) for mode in (self.minimize, self.minimize_at_least)):
            raise ConfigurationError("minimize and minimize_at_least are off, balanced or strict")
        if not isinstance(self.when_gone, WhenGone):
            raise ConfigurationError("when_gone is answered or withheld")
        if self.classification is Classification.RESTRICTED and self.when_gone is WhenGone.ANSWERED:
            raise ConfigurationError("RESTRICTED is withheld once its source no longer has it")

    @property
    def demanded(self) -> Demands:
        """What readers must have proven."""
        if self.demands is not None:
            return self.demands
        is_restricted = self.classification is Classification.RESTRICTED
        return RESTRICTED_DEMANDS if is_restricted else Demands()

    def is_trusted(self, trust: Trust) -> bool:
        """Whether text that is trusted this far may be answered."""
        return TRUSTED_MORE.index(trust) >= TRUSTED_MORE.index(self.trust_at_least)

    def mode(self, requested: Mode | None) -> Mode:
        """What is left of a passage: as requested, else as usual, but at least minimized as it must be."""
        return max(
            self.minimize if requested is None else requested,
            self.minimize_at_least,
            key=_MODES.index,
        )

    def budget(self, purpose: str) -> int:
        """The tokens of this classification that one answer may carry. A purpose only narrows: a request may name any."""
        return self.budget_by_purpose.get(purpose, self.budget_tokens)

    @property
    def is_sealed(self) -> bool:
        """Whether its vectors stay out of the index."""
        if self.vectors is None:
            return self.classification >= SEALED_FROM
        return self.vectors == VectorProtection.SEALED


Handling = Mapping[Classification, HandlingProfile]


def require_complete(handling: Handling) -> Handling:
    """`handling` if every classification has its profile. Raises `config.invalid`."""
    missing = [level.name for level in Classification if level not in handling]
    if missing:
        raise ConfigurationError(f"handling.toml lacks {', '.join(missing)}")
    return handling


def assuring(handling: Handling, acts: Mapping[str, Demands]) -> Assuring:
    """All demands together, without classifications that demand nothing."""
    levels = {level: profile.demanded for level, profile in handling.items()}
    levels = {level: demands for level, demands in levels.items() if demands != Demands()}
    return Assuring(levels=levels, acts=acts)


def demands_less(handling: Handling) -> bool:
    """Whether RESTRICTED is read with less proof than usual because a line says so: `ragward doctor` names it."""
    demands = handling[Classification.RESTRICTED].demanded
    age = demands.max_auth_age_seconds
    return (
        demands.assurance < RESTRICTED_DEMANDS.assurance
        or demands.device < RESTRICTED_DEMANDS.device
        or age is None
    )


def sealed_levels(handling: Handling) -> frozenset[Classification]:
    """The classifications whose vectors stay out of the index."""
    return frozenset(level for level, profile in handling.items() if profile.is_sealed)


def plainer_than_usual(handling: Handling) -> list[Classification]:
    """Classifications whose vectors lie in plain because a line says so: `ragward doctor` names them."""
    return sorted(
        level
        for level, profile in handling.items()
        if level >= SEALED_FROM and not profile.is_sealed
    )
