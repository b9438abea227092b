"""What somebody does, counted by day, and when it is too much.

An account counts what one person, application or agent does. Each day has limits of its own, set when it begins: what is usual
for the account (`ports.Baselines`, learned from its closed days), never below the policy's floor and never above its cap. So the
cap holds from the first request on, and whoever moves what is usual slowly gets as far as the cap and no further.

Counting one answer is a bounded number of small steps. Nothing here holds a text: documents are 32-bit tags of their ids, queries
keyed tags of three words in a row.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.domain.labels import Classification

DAYS_KEPT: Final = 30
_DAY: Final = 86_400
_MAX_DOCUMENTS: Final = 8_192
_MAX_TAGS: Final = 4_096
_MAX_PARTNERS: Final = 256
_MAX_WORDS: Final = 18
_AGAIN: Final = 3
"""A run of three words that came this often today makes a query like the ones before."""
_USUAL_DAYS: Final = 5
_ALONE: Final = 0.8
"""Who has this share of an account's requests of the day is who it is about."""


class Feature(StrEnum):
    """What is counted of an account, by day."""

    REQUESTS = "requests"
    HOUR = "hour"
    """the most requests in one hour"""
    NEW_DOCUMENTS = "new_documents"
    """documents it was not answered from in 30 days"""
    SWEEP = "sweep"
    """queries like earlier ones of the day that brought new documents"""
    EMPTY = "empty"
    """answers without a passage, and refusals"""
    FLAGGED = "flagged"
    """queries that look like instructions to a model"""
    HONEY = "honey"
    """honey documents touched"""
    PROTECTED = "protected"
    """tokens of CONFIDENTIAL and above"""
    UNUSUAL_HOURS = "unusual_hours"
    """requests at hours of the day at which it does not ask"""
    ACTIVE_HOURS = "active_hours"
    """different hours of the day"""
    DRIFT = "drift"
    """days on end with more new documents than before; 1 when that is so"""


FEATURES: Final = tuple(Feature)
_INDEX: Final = {feature: at for at, feature in enumerate(FEATURES)}
(
    _REQUESTS,
    _HOUR,
    _NEW,
    _SWEEP,
    _EMPTY,
    _FLAGGED,
    _HONEY,
    _PROTECTED,
    _UNUSUAL,
    _ACTIVE,
    _DRIFT,
) = range(len(FEATURES))


class Seen(NamedTuple):
    """One thing that somebody did. `partner` is who acted for them, or for whom it acted; empty where nobody did."""

    at: int
    documents: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    protected_tokens: int = 0
    empty: bool = False
    flagged: bool = False
    honey: bool = False
    partner: str = ""

    def through(self, partner: str) -> Seen:
        """The same, with who acted."""
        return Seen(*self[:-1], partner)


@dataclass(frozen=True, slots=True)
class Day:
    """A closed day: counts by feature, no higher than what was usual, and a bit for each hour of the day it asked at."""

    day: int
    counts: tuple[int, ...]
    hours: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A limit that an account went over. `level` is how often the limit was doubled, `partner` who has most of the day's requests."""

    feature: Feature
    count: int
    limit: int
    level: int
    partner: str


def document_tag(document_id: str) -> int:
    """A document in an account: two may have one tag, which only makes one of them old news."""
    return zlib.crc32(document_id.encode())


def query_tags(query: str, key: bytes) -> tuple[int, ...]:
    """Keyed tags of three words in a row, of the first 18 words."""
    words = query.lower().split(maxsplit=_MAX_WORDS)[:_MAX_WORDS]
    new = hashlib.blake2b
    return tuple(
        int.from_bytes(new(" ".join(words[at : at + 3]).encode(), key=key, digest_size=6).digest())
        for at in range(max(1, len(words) - 2))
    )


@dataclass(slots=True)
class Account:
    """What one of them does. Not thread-safe."""

    day: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(FEATURES))
    hour: int = -1
    in_hour: int = 0
    hours: int = 0
    documents: dict[int, int] = field(default_factory=dict)
    """tag -> the last day it was answered from"""
    words: Counter[int] = field(default_factory=Counter)
    partners: Counter[str] = field(default_factory=Counter)
    raised: dict[str, int] = field(default_factory=dict)
    """feature and partner -> the level an alarm was given at today"""
    history: deque[Day] = field(default_factory=lambda: deque(maxlen=DAYS_KEPT))
    limits: Sequence[int] = ()
    unusual: int = 0
    """a bit for each hour of the day at which it does not ask"""

    def is_behind(self, at: int) -> bool:
        """Whether a day ended since it counted last. A clock that goes backwards begins no day again."""
        return at // _DAY > self.day

    def close_day(self, at: int) -> None:
        """Puts the day away and begins the one of `at`; limits are to be set for it."""
        today = at // _DAY
        if self.counts[_REQUESTS]:
            known = self.limits or self.counts
            kept = tuple(min(pair) for pair in zip(self.counts, known, strict=True))
            self.history.append(Day(self.day, kept, self.hours))
        while self.history and self.history[0].day < today - DAYS_KEPT:
            self.history.popleft()
        old = today - DAYS_KEPT
        self.documents = {tag: day for tag, day in self.documents.items() if day >= old}
        self.day, self.counts = today, [0] * len(FEATURES)
        self.hour, self.in_hour, self.hours = -1, 0, 0
        self.words, self.partners, self.raised = Counter(), Counter(), {}
        self.unusual = _unusual(self.history)

    def add(self, seen: Seen) -> None:
        """Counts it in, on the present day."""
        counts = self.counts
        counts[_REQUESTS] += 1
        hour = seen.at % _DAY // 3600
        bit = 1 << hour
        if hour != self.hour:
            self.hour, self.in_hour = hour, 0
            if not self.hours & bit:
                self.hours |= bit
                counts[_ACTIVE] += 1
        self.in_hour += 1
        if self.in_hour > counts[_HOUR]:
            counts[_HOUR] = self.in_hour
        if self.unusual & bit:
            counts[_UNUSUAL] += 1
        fresh = self._new_documents(seen.documents)
        counts[_NEW] += fresh
        if seen.words and self._is_like_others(seen.words) and fresh:
            counts[_SWEEP] += 1
        counts[_EMPTY] += seen.empty
        counts[_FLAGGED] += seen.flagged
        counts[_HONEY] += seen.honey
        counts[_PROTECTED] += seen.protected_tokens
        if seen.partner and (seen.partner in self.partners or len(self.partners) < _MAX_PARTNERS):
            self.partners[seen.partner] += 1

    def alarms(self) -> list[Alarm]:
        """The limits it is over that no alarm of this level was given for today."""
        found = []
        for at, (count, limit) in enumerate(zip(self.counts, self.limits, strict=False)):
            if count > limit:
                level = (count // max(limit, 1)).bit_length() - 1
                partner = self._main_partner()
                key = f"{FEATURES[at].value} {partner}"
                if level > self.raised.get(key, -1):
                    self.raised[key] = level
                    found.append(Alarm(FEATURES[at], count, limit, level, partner))
        return found

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(
            {
                "v": 1,
                "day": self.day,
                "counts": self.counts,
                "hour": [self.hour, self.in_hour, self.hours],
                "documents": [[tag, day] for tag, day in self.documents.items()],
                "words": [[tag, times] for tag, times in self.words.items()],
                "partners": self.partners,
                "raised": self.raised,
                "history": [[day.day, list(day.counts), day.hours] for day in self.history],
                "limits": list(self.limits),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Account:
        """What `to_json` made. Raises `integrity.behaviour`."""
        try:
            found = json.loads(text)
            if found["v"] != 1 or len(found["counts"]) != len(FEATURES):
                raise ValueError
            history = deque(
                (Day(day, tuple(counts), hours) for day, counts, hours in found["history"]),
                maxlen=DAYS_KEPT,
            )
            hour, in_hour, hours = found["hour"]
            return cls(
                day=found["day"],
                counts=[int(count) for count in found["counts"]],
                hour=hour,
                in_hour=in_hour,
                hours=hours,
                documents=dict(found["documents"]),
                words=Counter(dict(found["words"])),
                partners=Counter(found["partners"]),
                raised=found["raised"],
                history=history,
                limits=tuple(found["limits"]),
                unusual=_unusual(history),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(code="integrity.behaviour") from error

    def _new_documents(self, tags: Iterable[int]) -> int:
        fresh = 0
        for tag in tags:
            if tag not in self.documents:
                fresh += 1
                if len(self.documents) >= _MAX_DOCUMENTS:
                    del self.documents[next(iter(self.documents))]
            self.documents[tag] = self.day
        return fresh

    def _is_like_others(self, words: Sequence[int]) -> bool:
        """Whether most of its runs of three words came several times today; counts them in."""
        known = self.words
        again = 0
        for tag in words:
            times = known.get(tag, 0)
            again += times >= _AGAIN
            if times or len(known) < _MAX_TAGS:
                known[tag] = times + 1
        return again * 2 > len(words)

    def _main_partner(self) -> str:
        if not self.partners:
            return ""
        name, times = self.partners.most_common(1)[0]
        return name if times >= _ALONE * self.counts[_REQUESTS] else ""


def _unusual(history: Sequence[Day]) -> int:
    """The hours of the day at which, and at whose neighbours, it asked on none of its days; none while it has too few."""
    if len(history) < _USUAL_DAYS:
        return 0
    usual = 0
    for day in history:
        usual |= day.hours
    around = usual | usual << 1 | usual >> 1 | (usual >> 23 & 1) | (usual & 1) << 23
    return ~around & 0xFFFFFF


MAX_MINUTES: Final = 7 * 1440
#: What the policy may do by itself, mildest first (`restrictions.RestrictionKind`).
RESPONSES: Final = frozenset({"throttle", "step_up", "ceiling", "suspend"})


# Policy. ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureLimit:
    """The limits of one feature: an account's own is never below `floor` nor above `cap`; applications and agents have theirs.

    `respond` is what is done, the first at the limit, each next at twice the one before.
    """

    floor: int
    cap: int
    machine_floor: int
    machine_cap: int
    respond: tuple[str, ...]
    minutes: int

    def bounded(self, learned: float | None, *, machine: bool) -> int:
        """The limit of a day, from what is usual; without that, the cap."""
        floor, cap = (self.machine_floor, self.machine_cap) if machine else (self.floor, self.cap)
        return cap if learned is None else int(min(max(learned, floor), cap))


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourRules:
    """`policies/behaviour.toml`: limits by feature, how far from usual is too far, what a throttle leaves, the ceiling that a
    response lowers to."""

    features: Mapping[Feature, FeatureLimit]
    deviations: float
    least_spread: float
    throttle_per_minute: int
    ceiling: Classification

    def __post_init__(self) -> None:
        if set(self.features) != set(Feature):
            raise ConfigurationError(
                "behaviour.toml: each feature has its limits, and nothing else"
            )
        if not 1 <= self.deviations <= 20 or not 0.05 <= self.least_spread <= 3:
            raise ConfigurationError("behaviour.toml: deviations 1 to 20, least_spread 0.05 to 3")
        if not 1 <= self.throttle_per_minute <= 1000:
            raise ConfigurationError("behaviour.toml: throttle_per_minute is 1 to 1000")
        for feature, limit in self.features.items():
            bounds = (limit.floor, limit.cap, limit.machine_floor, limit.machine_cap, limit.minutes)
            if not all(type(bound) is int and 0 <= bound <= 10**9 for bound in bounds):
                raise ConfigurationError(f"behaviour.toml: {feature}: limits are whole numbers")
            if limit.floor > limit.cap or limit.machine_floor > limit.machine_cap:
                raise ConfigurationError(f"behaviour.toml: {feature}: the floor is below the cap")
            if not 1 <= limit.minutes <= MAX_MINUTES or not set(limit.respond) <= RESPONSES:
                raise ConfigurationError(f"behaviour.toml: {feature}: unknown response or time")

    def limits(self, learned: Mapping[Feature, float], *, machine: bool) -> tuple[int, ...]:
        """One limit for each feature, in their order."""
        return tuple(
            self.features[feature].bounded(learned.get(feature), machine=machine)
            for feature in FEATURES
        )

    def scales(self, *, machine: bool) -> tuple[float, ...]:
        """For each feature the count below which days are much alike: a quarter of the floor."""
        every = [self.features[feature] for feature in FEATURES]
        return tuple(
            max(1.0, (limit.machine_floor if machine else limit.floor) / 4) for limit in every
        )


def is_machine(principal: str) -> bool:
    """Whether nobody sits behind it who could authenticate afresh."""
    return principal.startswith(("agent:", "app:"))


def set_drift(account: Account, *, drifting: bool) -> None:
    """Notes what was learned at the turn of the day: it lasts for the day."""
    account.counts[_DRIFT] = int(drifting)


def counted(account: Account, feature: Feature) -> int:
    """A count of the present day."""
    return account.counts[_INDEX[feature]]
