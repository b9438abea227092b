"""What handling and acts demand of whoever asks, and whether it was proven.

Decided in the PDP, on every request: what is unmet leaves the permit there (`adapters/pdp_casbin`). People authenticate again;
machines never do: where a person would have to, they need an identity bound to its sender and a task grant that a person
minted who had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ragward.domain.access import CONTENT_ACTIONS, Deny, Permit, Subject
from ragward.domain.errors import ConfigurationError, StepUpRequiredError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.proof import Assurance, Device

_FOREVER: Final = 2**53
_DAY: Final = 86_400
_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


class Lack(StrEnum):
    """What is missing."""

    AGE = "age"
    ASSURANCE = "assurance"
    DEVICE = "device"
    HOURS = "hours"
    SENDER_BOUND = "sender-bound"
    TASK = "task"
    ZONE = "zone"


#: What authenticating again, or another token, does not change.
_OF_CIRCUMSTANCE: Final = frozenset({Lack.HOURS, Lack.ZONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A daily window in UTC, minutes from midnight, the end excluded; on these days of the week, Monday being 0."""

    begin: int
    end: int
    days: frozenset[int] = frozenset(range(7))

    @classmethod
    def parse(cls, window: str, days: Iterable[str] = _DAYS) -> Hours:
        """Of `08:00-18:00` and names of days. Raises `ValueError`."""
        found = _WINDOW.fullmatch(window)
        named = list(days)
        if found is None or not named or not set(named) <= set(_DAYS):
            raise ValueError("hours are like 08:00-18:00, days some of mon to sun")
        begin, end = (int(found[n]) * 60 + int(found[n + 1]) for n in (1, 3))
        if not begin < end <= _DAY // 60:
            raise ValueError("hours end after they begin, at 24:00 at the latest")
        return cls(begin=begin, end=end, days=frozenset(map(_DAYS.index, named)))

    def hold(self, now: int) -> bool:
        """Whether `now` is within them."""
        weekday = (now // _DAY + _EPOCH_WEEKDAY) % 7
        return weekday in self.days and self.begin <= now % _DAY // 60 < self.end

    def until(self, now: int) -> int:
        """When the window that holds `now` ends."""
        return now - now % _DAY + self.end * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What must be proven. As it stands, nothing. `zones` names networks of which one must be where the request came from."""

    assurance: Assurance = Assurance.NONE
    max_auth_age_seconds: int | None = None
    device: Device = Device.UNKNOWN
    zones: frozenset[str] = frozenset()
    hours: Hours | None = None
    sender_bound: bool = False

    def __post_init__(self) -> None:
        age = self.max_auth_age_seconds
        if age is not None and not (type(age) is int and 60 <= age <= 30 * _DAY):
            raise ConfigurationError("max_auth_age_seconds is between 60 and 2592000")
        if type(self.sender_bound) is not bool:
            raise ConfigurationError("sender_bound is true or false")

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Demands:
        """Of a table in a TOML file. Raises `config.invalid`, `ValueError`, `TypeError`."""
        known = {
            "assurance",
            "max_auth_age_seconds",
            "device",
            "zones",
            "hours",
            "days",
            "sender_bound",
        }
        if unknown := values.keys() - known:
            raise ConfigurationError(f"nothing demands {', '.join(sorted(unknown))}")
        zones = values.get("zones", [])
        if not isinstance(zones, list) or not all(isinstance(zone, str) for zone in zones):
            raise ConfigurationError("zones is a list of names")
        if "days" in values and "hours" not in values:
            raise ConfigurationError("days come with hours")
        hours = (
            Hours.parse(values["hours"], values.get("days", _DAYS)) if "hours" in values else None
        )
        return cls(
            assurance=Assurance.parse(values.get("assurance", "none")),
            max_auth_age_seconds=values.get("max_auth_age_seconds"),
            device=Device.parse(values.get("device", "unknown")),
            zones=frozenset(zones),
            hours=hours,
            sender_bound=values.get("sender_bound", False),
        )

    @property
    def of_a_person(self) -> bool:
        """Whether there is something in it that only a person can prove."""
        return bool(self.assurance or self.device or self.max_auth_age_seconds is not None)

    def lacks(self, subject: Subject, now: int) -> frozenset[Lack]:
        """What of it the subject has not proven; empty when everything is."""
        proof = subject.proof
        missing: list[Lack] = []
        if self.zones and not self.zones & proof.zones:
            missing.append(Lack.ZONE)
        if self.hours is not None and not self.hours.hold(now):
            missing.append(Lack.HOURS)
        is_machine = bool(subject.agents) or subject.is_application_alone
        bound = self.sender_bound or (is_machine and self.of_a_person)
        if bound and not proof.sender_bound:
            missing.append(Lack.SENDER_BOUND)
        if not is_machine:
            missing += self._personal_lacks(subject, now)
        elif self.of_a_person and not _has_stepped_up(subject, now):
            missing.append(Lack.TASK)
        return frozenset(missing)

    def until(self, subject: Subject, now: int) -> int:
        """Until when what is proven now stays proven, by itself."""
        ends = [_FOREVER]
        if self.hours is not None:
            ends.append(self.hours.until(now))
        if subject.agents or subject.is_application_alone:
            if self.of_a_person and subject.task is not None:
                ends.append(subject.task.not_after)
        elif self.max_auth_age_seconds is not None and subject.auth_time is not None:
            ends.append(subject.auth_time + self.max_auth_age_seconds)
        return min(ends)

    def _personal_lacks(self, subject: Subject, now: int) -> Iterable[Lack]:
        if subject.proof.assurance < self.assurance:
            yield Lack.ASSURANCE
        if subject.proof.device < self.device:
            yield Lack.DEVICE
        age, at = self.max_auth_age_seconds, subject.auth_time
        if age is not None and (at is None or now >= at + age):
            yield Lack.AGE


def _has_stepped_up(subject: Subject, now: int) -> bool:
    task = subject.task
    return task is not None and task.stepped_up and task.not_before <= now < task.not_after


def proves_restricted(subject: Subject, now: int, demands: Demands) -> bool:
    """Whether a person, here in person, has proven at this moment what `demands` (those of RESTRICTED) ask for: what a task
    grant's `stepped_up` says. An agent or an application proves it never."""
    in_person = not subject.agents and not subject.is_application_alone
    return in_person and not demands.lacks(subject, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """What would turn a no into a yes: acr values that suffice, the weakest first, the oldest authentication (RFC 9470), and
    what exactly is missing."""

    acr_values: tuple[str, ...]
    max_age: int | None
    lacks: frozenset[Lack]

    @property
    def is_curable(self) -> bool:
        """Whether better credentials would do: nobody proves their way into another network, or time of day."""
        return not self.lacks & _OF_CIRCUMSTANCE

    def error(self) -> StepUpRequiredError:
        """The challenge."""
        return StepUpRequiredError(
            acr_values=self.acr_values, max_age=self.max_age, lacks=tuple(sorted(self.lacks))
        )

    @classmethod
    def of(cls, subject: Subject, demanded: Iterable[Demands], now: int) -> StepUp | None:
        """What is missing of all of these together; None when nothing is."""
        unmet = [(each, missing) for each in demanded if (missing := each.lacks(subject, now))]
        if not unmet:
            return None
        enough = max(each.assurance for each, _ in unmet)
        ages = [age for each, _ in unmet if (age := each.max_auth_age_seconds) is not None]
        offers = [acr for acr, level in subject.proof.offers if level >= enough]
        return cls(
            acr_values=tuple(offers) if enough else (),
            max_age=min(ages, default=None),
            lacks=frozenset().union(*(missing for _, missing in unmet)),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """The classifications whose demands a subject does not meet now, and until when the others stay met."""

    unmet: frozenset[Classification]
    until: int


_STANDS: Final = Standing(frozenset(), _FOREVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assuring:
    """All demands of an installation: of classifications on reading, and of acts by name (`policy:write`, `key:*`)."""

    levels: Mapping[Classification, Demands] = field(default_factory=dict)
    acts: Mapping[str, Demands] = field(default_factory=dict)

    def standing(self, subject: Subject, now: int) -> Standing:
        """For all labels at once."""
        if not self.levels:
            return _STANDS
        unmet: list[Classification] = []
        until = _FOREVER
        for level, demands in self.levels.items():
            if demands.lacks(subject, now):
                unmet.append(level)
            else:
                until = min(until, demands.until(subject, now))
        return Standing(frozenset(unmet), until)

    def demanded(self, action: str, label: AccessLabel) -> list[Demands]:
        """What an action on things under `label` demands."""
        found: list[Demands] = []
        if action in CONTENT_ACTIONS and label.classification in self.levels:
            found.append(self.levels[label.classification])
        kind = f"{action.partition(':')[0]}:*"
        found += [self.acts[name] for name in (action, kind) if name in self.acts]
        return found

    def step_up(self, subject: Subject, action: str, label: AccessLabel, now: int) -> StepUp | None:
        """What the action lacks; None when nothing is."""
        demanded = self.demanded(action, label)
        return StepUp.of(subject, demanded, now) if demanded else None

    def hint(
        self, subject: Subject, decision: Permit | Deny, corpora: Iterable[str], now: int
    ) -> StepUp | None:
        """What better proof would add to an answer from these corpora (none named: from all).

        Raises `auth.step_up` where without it nothing of them is left and better credentials would do."""
        if decision.withheld is None:
            return None
        named = frozenset(corpora)
        withheld = decision.withheld.levels
        asked = [levels for corpus, levels in withheld.items() if not named or corpus in named]
        levels = frozenset().union(*asked)
        found = StepUp.of(subject, [self.levels[level] for level in sorted(levels)], now)
        left = decision.withheld.open_corpora
        if found is not None and found.is_curable and not (left & named if named else left):
            raise found.error()
        return found
