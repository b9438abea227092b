"""Questions about access and their answers, in the words of AuthZEN 1.0 (information model, sections 5 to 8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ragward.domain.assurance import Demands, StepUp
from ragward.domain.errors import InvalidRequestError
from ragward.domain.explanation import Explanation
from ragward.domain.handling import HandlingProfile
from ragward.domain.labels import AccessLabel, Classification, require_principal

#: Subjects we know: the kinds of principal that ask. Groups and roles never ask.
SUBJECT_TYPES: Final = frozenset({"user", "app", "agent"})


class ResourceType(StrEnum):
    """What a question can be about."""

    DOCUMENT = "document"
    CHUNK = "chunk"
    CORPUS = "corpus"
    LABEL = "label"


class Semantic(StrEnum):
    """How far a batch is evaluated (AuthZEN 1.0, 7.1.2.1)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"

    def ends_with(self, decision: bool) -> bool:
        """Whether nothing is evaluated after this decision."""
        return self is (
            Semantic.PERMIT_ON_FIRST_PERMIT if decision else Semantic.DENY_ON_FIRST_DENY
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectName:
    """A subject as a request names it; the tenant is never part of it."""

    type: str
    id: str

    def principal(self, tenant: str) -> str | None:
        """The principal of this tenant, None for one that cannot exist."""
        if self.type not in SUBJECT_TYPES:
            return None
        try:
            return require_principal(f"{self.type}:{tenant}/{self.id}")
        except InvalidRequestError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceName:
    """A resource as a request names it. Only a label's `properties` count: what else is, the catalog knows better."""

    type: str
    id: str
    properties: Mapping[str, object] = field(default_factory=dict)

    def label(self, tenant: str) -> AccessLabel:
        """The label that the properties describe. Raises `request.invalid`, `label.*`, `principal.invalid`."""
        level, corpus = (self.properties.get(name) for name in ("classification", "corpus"))
        if not isinstance(level, str) or not isinstance(corpus, str):
            raise InvalidRequestError("a label has the properties `classification` and `corpus`")
        return AccessLabel(
            tenant=tenant,
            corpus=corpus,
            classification=Classification.parse(level),
            compartments=self._names("compartments"),
            granted=self._names("granted"),
            denied=self._names("denied"),
        )

    def _names(self, property_name: str) -> frozenset[str]:
        values = self.properties.get(property_name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InvalidRequestError(f"`{property_name}` of a label is a list of names")
        return frozenset(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this subject do this action on this resource?"""

    subject: SubjectName
    action: str
    resource: ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """An element of a batch that is no question, and why."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """What whoever enforces a permit has to do."""

    id: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to one question. A denial carries nothing, unless the asker may have it explained or the question was malformed."""

    decision: bool
    obligations: tuple[Obligation, ...] = ()
    epoch_token: str = ""
    reason: Explanation | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which part of a search's results is wanted; `limit` None means what the token says, or the default."""

    untrusted_token: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """Ids (or names of actions) in order; `next_token` is empty after the last."""

    ids: tuple[str, ...]
    next_token: str = ""


def handling_obligations(
    profile: HandlingProfile, redacted: frozenset[str]
) -> tuple[Obligation, ...]:
    """What handling demands of whoever shows content of this classification to somebody not shown the types `redacted`."""
    demanded = [Obligation(id="budget", values={"max_tokens": profile.budget_tokens})]
    if redacted:
        demanded.append(Obligation(id="redact", values={"entity_types": sorted(redacted)}))
    mode = "durable" if profile.durable_audit else "buffered"
    demanded.append(Obligation(id="audit", values={"mode": mode}))
    if profile.recheck_epoch:
        demanded.append(Obligation(id="recheck_epoch"))
    if profile.demanded != Demands():
        demanded.append(_proof_obligation(profile.demanded))
    return tuple(demanded)


def step_up_obligation(wanted: StepUp) -> Obligation:
    """What the asker has to prove for a yes (RFC 9470's words, as AuthZEN's obligations profile sends them)."""
    values = {
        "acr_values": list(wanted.acr_values),
        "max_age": wanted.max_age,
        "lacks": sorted(wanted.lacks),
    }
    return Obligation(id="step-up", values=values)


def _proof_obligation(demands: Demands) -> Obligation:
    """What whoever enforces has to see proven: here nobody has shown a credential of the subject's."""
    values = {
        "assurance": demands.assurance.word,
        "max_age": demands.max_auth_age_seconds,
        "device": demands.device.word,
        "zones": sorted(demands.zones),
        "sender_bound": demands.sender_bound,
    }
    return Obligation(id="step-up", values=values)


def digest_of(*parts: object) -> str:
    """SHA-256 (hex) over what was asked, for the log and for page tokens."""
    text = json.dumps(parts, sort_keys=True, default=_plain, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Question):
        return [value.subject, value.action, value.resource]
    if isinstance(value, SubjectName):
        return [value.type, value.id]
    if isinstance(value, ResourceName):
        known = value.properties if value.type == ResourceType.LABEL else {}
        return [value.type, value.id, dict(known)]
    if isinstance(value, Malformed):
        return value.detail
    raise TypeError(type(value).__name__)
