"""Behavioural analytics on a simulated organisation: ten kinds of misuse among ordinary work.

`python -m benchmarks.behaviour [--seeds 301 302 ...] [--json FILE] [--svg FILE]`

200 subjects (people, agents, services), 30 days, seeded. Ordinary work holds what makes false alarms: deadlines, nights on call,
holidays, travel, people who come or change their team, heavy users. Into it three cases of each kind of misuse are put, in random
strength, at random times. What counts are `policies/behaviour.toml` and the code that the query flow runs; nothing else.

    detected      cases with an alarm on the misused account from the first to the last misused request, or the turn of the day after
    false alarms  (account, day) pairs with an alarm and without misuse, per 1,000 subject-days
    response      from the first misused request to the alarm, median
    through       documents that misuse got before the alarm, of all it went for, median over cases

Seeds 1 to 9 were used to write it and to set the limits; 101 to 105 and 201 were looked at once, before limits were set again on 1 to 9.
The defaults were run once, afterwards.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ragward.adapters.behaviour_river import RiverBaselines
from ragward.adapters.behaviour_toml import load_behaviour
from ragward.behaviour import Accounts
from ragward.domain.behaviour import Seen, query_tags

RULES = load_behaviour(Path(__file__).parents[1] / "policies/behaviour.toml")
REPORTED = (301, 302, 303, 304, 305, 306, 307, 308, 309, 310)
DAY, HOUR = 86_400, 3600
START = 20_000 * DAY + 3 * DAY  # a Monday
TEAMS, TEAM_DOCUMENTS, SHARED_DOCUMENTS = 12, 300, 500
KEY = bytes(32)
TOPICS = [f"topic{n}" for n in range(400)]
PHRASES = ("how do i", "what is the", "where can i find", "who is responsible for", "status of")


class MemoryStore:
    """`ports.AccountStore`: nothing is there before."""

    def account(self, tenant: str, principal: str) -> str | None:
        """None."""
        return None

    def change_account(
        self, tenant: str, principal: str, change: Callable[[str | None], str]
    ) -> str:
        """What it would be; nothing is kept, for nothing is merged over workers here."""
        return change(None)


@dataclass
class Member:
    """Somebody who works here."""

    name: str
    team: int
    rate: float
    begins: float
    hours: float
    protected: float
    empties: float
    from_day: int = 0
    new_team: tuple[int, int] | None = None
    away: range = range(0)
    travel: tuple[range, int] = (range(0), 0)
    on_call: bool = False
    weekends: float = 0.03
    spread: float = 0.35

    @property
    def is_machine(self) -> bool:
        """Whether it is an agent or a service."""
        return not self.name.startswith("user:")

    def team_on(self, day: int) -> int:
        """The team it works in."""
        return self.new_team[1] if self.new_team and day >= self.new_team[0] else self.team


@dataclass
class Case:
    """Misuse of one account."""

    kind: str
    member: Member
    begins: int = 0
    ends: int = 0
    events: list[Seen] = field(default_factory=list)
    alarm_at: int | None = None
    alarm_feature: str = ""

    def finish(self) -> Case:
        """With its time, by its events."""
        self.events.sort(key=lambda seen: seen.at)
        self.begins, self.ends = self.events[0].at, self.events[-1].at
        return self


def organisation(chance: random.Random, people: int = 185, machines: int = 15) -> list[Member]:
    """People, and machines, three quarters of them agents."""
    members = [_person(number, chance) for number in range(people)]
    for number in range(machines):
        kind = "agent" if number < machines * 3 // 4 else "app"
        members.append(
            Member(
                name=f"{kind}:acme/m{number}",
                team=chance.randrange(TEAMS),
                rate=chance.lognormvariate(5.2, 0.5),
                begins=0.0 if chance.random() < 0.5 else 7.0,
                hours=24.0 if chance.random() < 0.5 else 11.0,
                protected=chance.choice((0.0, 0.0, 0.1)),
                empties=0.05,
                weekends=1.0 if chance.random() < 0.5 else 0.05,
                spread=0.15,
            )
        )
    return members


def _person(number: int, chance: random.Random) -> Member:
    member = Member(
        name=f"user:acme/p{number}",
        team=chance.randrange(TEAMS),
        rate=min(chance.lognormvariate(2.8, 0.6), 90),
        begins=chance.uniform(6.5, 10),
        hours=chance.uniform(7.5, 9.5),
        protected=chance.choice((0.0, 0.02, 0.05, 0.15, 0.3)),
        empties=chance.uniform(0.03, 0.1),
        on_call=chance.random() < 0.08,
    )
    luck = chance.random()
    if luck < 0.05:
        member.from_day = chance.randrange(3, 16)
    elif luck < 0.07:
        member.new_team = (chance.randrange(8, 26), chance.randrange(TEAMS))
    elif luck < 0.17:
        first = chance.randrange(0, 22)
        member.away = range(first, first + chance.randrange(3, 11))
    elif luck < 0.20:
        first = chance.randrange(8, 24)
        member.travel = (range(first, first + chance.randrange(2, 6)), chance.randrange(3, 9))
    return member


def document(team: int, chance: random.Random, *, popular: bool = True) -> int:
    """One of a team's documents, or of those of everybody; the popular ones again and again."""
    if popular and chance.random() < 0.15:
        return 10_000_000 + int(SHARED_DOCUMENTS * chance.random() ** 2.5)
    at = chance.random() ** 2.5 if popular else chance.random()
    return team * 100_000 + int(TEAM_DOCUMENTS * at)


def words(team: int, chance: random.Random) -> tuple[int, ...]:
    """A question of a person's, as tags."""
    topic = [chance.choice(TOPICS[team * 30 : team * 30 + 60]) for _ in range(chance.randint(1, 4))]
    phrase = chance.choice(PHRASES) + " " if chance.random() < 0.5 else ""
    return query_tags(phrase + " ".join(topic), KEY)


def ordinary(member: Member, deadlines: set[int], chance: random.Random) -> Iterator[Seen]:
    """30 days of work."""
    for day in range(member.from_day, 30):
        if day in member.away:
            continue
        weekday = day % 7 < 5
        if not weekday and chance.random() > member.weekends:
            continue
        rate = member.rate * chance.lognormvariate(0, member.spread)
        rate *= 1.0 if weekday else (1.0 if member.is_machine else 0.3)
        rate *= 2.0 if day in deadlines and not member.is_machine else 1.0
        team = member.team_on(day)
        begins = member.begins + (member.travel[1] if day in member.travel[0] else 0)
        for _ in range(round(rate)):
            hour = begins + member.hours * chance.betavariate(1.6, 1.6)
            yield _asked(member, team, START + day * DAY + int(hour % 24 * HOUR), chance)
        if member.on_call and chance.random() < 0.15:
            at = START + day * DAY + int(chance.uniform(0, 5) * HOUR)
            for _ in range(chance.randint(2, 8)):
                at += chance.randint(30, 600)
                yield _asked(member, team, at, chance)


def _asked(member: Member, team: int, at: int, chance: random.Random) -> Seen:
    if chance.random() < member.empties:
        return Seen(at=at, words=words(team, chance), empty=True)
    found = {document(team, chance) for _ in range(chance.randint(1, 5))}
    tokens = (
        sum(chance.randint(60, 300) for _ in found) if chance.random() < member.protected else 0
    )
    if member.is_machine and chance.random() < 0.6:
        asked = query_tags(f"summarise the open points of {chance.choice(TOPICS)} today", KEY)
    else:
        asked = words(team, chance)
    return Seen(
        at=at,
        documents=tuple(found),
        words=asked,
        protected_tokens=tokens,
        flagged=chance.random() < 0.001,
    )


# Misuse. ------------------------------------------------------------------------------------------------------------


def _elsewhere(member: Member, chance: random.Random, count: int) -> tuple[int, ...]:
    teams = [team for team in range(TEAMS) if team != member.team]
    return tuple(document(chance.choice(teams), chance, popular=False) for _ in range(count))


def _working(member: Member, day: int, chance: random.Random) -> int:
    hour = member.begins + member.hours * chance.random()
    return START + day * DAY + int(hour % 24 * HOUR)


def _weekdays(first: int, count: int) -> list[int]:
    return [day for day in range(first, 30) if day % 7 < 5][:count]


def _enumerated(number: int) -> tuple[int, ...]:
    return query_tags(f"show the complete text of record number {number}", KEY)


def slow_sweep(case: Case, chance: random.Random) -> None:
    """A dozen or two new documents on each working day, for two to three weeks."""
    templated, number = chance.random() < 0.5, 0
    for day in _weekdays(chance.randint(8, 13), chance.randint(10, 15)):
        for _ in range(chance.randint(10, 20)):
            number += 1
            asked = _enumerated(number) if templated else words(chance.randrange(TEAMS), chance)
            found = _elsewhere(case.member, chance, chance.randint(1, 3))
            at = _working(case.member, day, chance)
            case.events.append(Seen(at=at, documents=found, words=asked))


def fast_sweep(case: Case, chance: random.Random) -> None:
    """Some hundred queries of one form within two hours."""
    at = _working(case.member, *_one_day(chance), chance)
    for number in range(chance.randint(150, 600)):
        at += chance.randint(5, 20)
        found = _elsewhere(case.member, chance, chance.randint(2, 5))
        case.events.append(Seen(at=at, documents=found, words=_enumerated(number)))


def off_hours(case: Case, chance: random.Random) -> None:
    """A stolen session in the middle of the night."""
    (day,) = _one_day(chance)
    night = (case.member.begins + case.member.hours + chance.uniform(5, 8)) % 24
    at = START + day * DAY + int(night * HOUR)
    for _ in range(chance.randint(20, 45)):
        at += chance.randint(20, 150)
        case.events.append(_asked(case.member, case.member.team, at, chance))


def breadth(case: Case, chance: random.Random) -> None:
    """As many questions as ever, all about what others work on."""
    for day in _weekdays(_one_day(chance)[0], 2):
        for _ in range(max(25, round(case.member.rate * 1.3))):
            found = _elsewhere(case.member, chance, chance.randint(3, 6))
            at = _working(case.member, day, chance)
            asked = words(chance.randrange(TEAMS), chance)
            case.events.append(Seen(at=at, documents=found, words=asked))


def probing(case: Case, chance: random.Random) -> None:
    """Ids and corpora are tried that answer nothing."""
    at = _working(case.member, *_one_day(chance), chance)
    for _ in range(chance.randint(40, 120)):
        at += chance.randint(10, 90)
        case.events.append(Seen(at=at, empty=True))


def injection(case: Case, chance: random.Random) -> None:
    """Orders to the model are tried."""
    at = _working(case.member, *_one_day(chance), chance)
    for _ in range(chance.randint(7, 20)):
        at += chance.randint(20, 300)
        found = (document(case.member.team, chance),)
        case.events.append(Seen(at=at, documents=found, flagged=True))


def agent_rate(case: Case, chance: random.Random) -> None:
    """A stolen agent asks as fast as it can."""
    at = START + _one_day(chance)[0] * DAY + chance.randint(0, 20 * HOUR)
    for _ in range(chance.randint(1500, 6000)):
        at += chance.randint(1, 3)
        found = _elsewhere(case.member, chance, chance.randint(1, 4))
        case.events.append(Seen(at=at, documents=found, words=words(0, chance)))


def label_mix(case: Case, chance: random.Random) -> None:
    """Usual documents and rates, but only what is CONFIDENTIAL."""
    (day,) = _one_day(chance)
    for _ in range(chance.randint(25, 50)):
        found = tuple({document(case.member.team, chance) for _ in range(chance.randint(2, 5))})
        tokens = sum(chance.randint(150, 400) for _ in found)
        at = _working(case.member, day, chance)
        asked = words(case.member.team, chance)
        case.events.append(Seen(at=at, documents=found, words=asked, protected_tokens=tokens))


def shared_account(case: Case, chance: random.Random) -> None:
    """A second person, of another team and at other hours, uses the account."""
    other = _person(999, chance)
    other.team = (case.member.team + 5) % TEAMS
    other.rate = max(15.0, other.rate)
    other.begins = case.member.begins + chance.uniform(7, 12)
    for day in _weekdays(chance.randint(8, 18), chance.randint(5, 8)):
        for _ in range(round(other.rate * chance.lognormvariate(0, 0.3))):
            at = _working(other, day, chance)
            case.events.append(_asked(other, other.team, at, chance))


def honey_hunting(case: Case, chance: random.Random) -> None:
    """Ids from elsewhere are opened, among them bait."""
    at = _working(case.member, *_one_day(chance), chance)
    for _ in range(chance.randint(1, 3)):
        at += chance.randint(20, 900)
        case.events.append(Seen(at=at, honey=True))


def _one_day(chance: random.Random) -> tuple[int]:
    return (chance.choice([day for day in range(8, 29) if day % 7 < 5]),)


KINDS: dict[str, Callable[[Case, random.Random], None]] = {
    "slow extraction": slow_sweep,
    "fast extraction": fast_sweep,
    "off-hours burst": off_hours,
    "breadth explosion": breadth,
    "denial probing": probing,
    "injection attempts": injection,
    "agent at machine rate": agent_rate,
    "shift to CONFIDENTIAL": label_mix,
    "shared account": shared_account,
    "honey hunting": honey_hunting,
}


def cases(members: list[Member], chance: random.Random, each: int = 3) -> list[Case]:
    """So many of each kind, on accounts of their own."""
    settled = [m for m in members if not (m.from_day or m.new_team or m.away or m.travel[0])]
    people = [m for m in settled if not m.is_machine]
    agents = [m for m in settled if m.name.startswith("agent:")]
    chance.shuffle(people)
    chance.shuffle(agents)
    found = []
    for kind, make in KINDS.items():
        for _ in range(each):
            member = (agents if make is agent_rate else people).pop()
            case = Case(kind, member)
            make(case, chance)
            found.append(case.finish())
    return found


# Running. -----------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What one seed gave."""

    cases: list[Case]
    false_alarms: Counter[str]
    subject_days: int
    microseconds: float


def simulated(seed: int, people: int = 185, machines: int = 15, each: int = 3) -> Outcome:
    """One organisation, day by day."""
    chance = random.Random(seed)
    members = organisation(chance, people, machines)
    injected = {case.member.name: case for case in cases(members, chance, each)}
    deadlines = set(chance.sample([day for day in range(30) if day % 7 < 5], 2))
    accounts = Accounts(MemoryStore(), RiverBaselines(RULES.deviations, RULES.least_spread), RULES)
    false: dict[tuple[str, int], str] = {}
    active, seconds, count = 0, 0.0, 0
    for member in members:
        case = injected.get(member.name)
        work = list(ordinary(member, deadlines, chance))
        events = sorted([*work, *(case.events if case else [])], key=lambda seen: seen.at)
        active += 30
        for seen in events:
            begin = time.perf_counter()
            raised = accounts.add("acme", member.name, seen)
            seconds += time.perf_counter() - begin
            count += 1
            for each in raised:
                day = seen.at // DAY
                if case and case.begins <= seen.at and day <= case.ends // DAY + 1:
                    if case.alarm_at is None:
                        case.alarm_at, case.alarm_feature = seen.at, each.alarm.feature.value
                else:
                    false.setdefault((member.name, day), each.alarm.feature.value)
    return Outcome(list(injected.values()), Counter(false.values()), active, seconds / count * 1e6)


def _through(case: Case) -> float:
    wanted = sum(len(seen.documents) for seen in case.events)
    until = case.alarm_at if case.alarm_at is not None else case.ends + 1
    got = sum(len(seen.documents) for seen in case.events if seen.at < until)
    return got / wanted if wanted else 0.0


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """The figures of several seeds together."""
    by_kind: dict[str, list[Case]] = defaultdict(list)
    for outcome in outcomes:
        for case in outcome.cases:
            by_kind[case.kind].append(case)
    kinds = {}
    for kind, found in by_kind.items():
        caught = [case for case in found if case.alarm_at is not None]
        waits = [case.alarm_at - case.begins for case in caught if case.alarm_at is not None]
        kinds[kind] = {
            "cases": len(found),
            "detected": len(caught) / len(found),
            "response_seconds": statistics.median(waits) if waits else None,
            "through": statistics.median(_through(case) for case in found),
            "by": dict(Counter(case.alarm_feature for case in caught)),
        }
    every = [case for outcome in outcomes for case in outcome.cases]
    days = sum(outcome.subject_days for outcome in outcomes)
    false = sum((outcome.false_alarms for outcome in outcomes), Counter())
    return {
        "kinds": kinds,
        "detected": sum(case.alarm_at is not None for case in every) / len(every),
        "cases": len(every),
        "subject_days": days,
        "false_per_1000_subject_days": 1000 * false.total() / days,
        "false_by_feature": dict(false),
        "microseconds_per_event": statistics.median(o.microseconds for o in outcomes),
    }


def show(found: dict[str, object], seeds: list[int]) -> None:
    """A table, and a line."""
    table = Table("misuse", "cases", "detected", "response", "through", "by")
    kinds: dict[str, dict[str, object]] = found["kinds"]  # type: ignore[assignment]
    for kind, row in kinds.items():
        table.add_row(
            kind,
            str(row["cases"]),
            f"{row['detected']:.2f}",
            _duration(row["response_seconds"]),  # type: ignore[arg-type]
            f"{row['through']:.0%}",
            ", ".join(f"{name} {times}" for name, times in row["by"].items()),  # type: ignore[attr-defined]
        )
    console = Console(width=140)
    console.print(table)
    console.print(
        f"seeds {', '.join(map(str, seeds))}: detected {found['detected']:.3f} of {found['cases']}; "
        f"{found['false_per_1000_subject_days']:.2f} false alarms per 1,000 subject-days of "
        f"{found['subject_days']} {found['false_by_feature']}; "
        f"{found['microseconds_per_event']:.1f} us an event (mean)"
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.1f} d"


def plot(found: dict[str, object]) -> str:
    """Detection by kind, as bars (SVG)."""
    kinds: dict[str, dict[str, float]] = found["kinds"]  # type: ignore[assignment]
    bars = []
    for at, (kind, row) in enumerate(kinds.items()):
        y, width = 30 + at * 26, row["detected"] * 300
        bars.append(
            f'<text x="170" y="{y + 13}" text-anchor="end">{kind}</text>'
            f'<rect x="180" y="{y}" width="{width:.0f}" height="18" fill="#4477aa"/>'
            f'<text x="{186 + width:.0f}" y="{y + 13}">{row["detected"]:.2f}</text>'
        )
    limit = '<line x1="450" y1="24" x2="450" y2="290" stroke="#cc3311" stroke-dasharray="4"/>'
    rate = found["false_per_1000_subject_days"]
    title = (
        f'<text x="10" y="16">detected, at {rate:.2f} false alarms per 1,000 subject-days</text>'
    )
    body = title + limit + "".join(bars)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="540" height="300" '
        f'font-family="sans-serif" font-size="12">{body}</svg>\n'
    )


def main() -> None:
    """Prints, and writes what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(REPORTED))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    given = parser.parse_args()
    found = summary([simulated(seed) for seed in given.seeds])
    show(found, given.seeds)
    if given.json:
        given.json.write_text(json.dumps({"seeds": given.seeds} | found, indent=2) + "\n")
    if given.svg:
        given.svg.write_text(plot(found))


if __name__ == "__main__":
    main()
