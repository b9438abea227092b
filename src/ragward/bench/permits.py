"""What it costs to know which labels a subject may read: cold, warm, and by pycasbin's own loop.

The loop is timed on 100 sampled labels and scaled. Before anything is timed, the answer is held equal to the loop's on one label of
every signature and on as many more as `checks` says.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.adapters.pdp_casbin.model import Ctx, Sub, enforcer
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.bench.report import Growth
from ragward.domain.access import Application, Context, Deny, Subject, TenantHead
from ragward.domain.errors import NotFoundError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.task_grants import TaskGrantRecord
from ragward.opening import resource

MODEL = (resource("policies") / "model.conf").read_text(encoding="utf-8")
TYPES = frozenset({"PERSON", "US_SSN", "EMAIL_ADDRESS", "PHONE_NUMBER"})
NOW = 500
LEVELS = [level.name for level in Classification]
CORPORA = [f"corpus{i}" for i in range(10)]
COMPARTMENTS = [f"deal{i}" for i in range(8)]
_JOINERS: Final = 20
APPLICATION = Application(
    principal="app:acme/portal",
    tenant="acme",
    client_id="portal",
    corpora=frozenset({"*"}),
    ceiling=Classification.RESTRICTED,
)


class Organisation:
    """An organisation: 10,000 people in 5,000 nested groups, 200 roles, some rules, some labels.

    With `groups_each` there are twenty people more, each a member of so many groups, of twice as many in all if need be; they are
    its `readers`, otherwise everybody is."""

    def __init__(self, labels: int, rules: int, groups_each: int | None = None) -> None:
        self.chance = random.Random(labels * 31 + rules)
        self.groups = [f"group:acme/g{i}" for i in range(max(5_000, 2 * (groups_each or 0)))]
        self.roles = [f"role:acme/r{i}" for i in range(200)]
        self.people = [f"user:acme/u{i}" for i in range(10_000)]
        joiners = [f"user:acme/j{i}" for i in range(_JOINERS if groups_each else 0)]
        self.readers = joiners or self.people
        self.memberships = tuple(sorted(self._memberships() | self._joined(joiners, groups_each)))
        self.rows = tuple(sorted(self._rows(rules)))
        self.by_id = {i: self._label() for i in range(1, labels + 1)}

    def head(self, tenant: str) -> TenantHead:
        return TenantHead(epoch=1, policy_epoch=1, last_label_id=len(self.by_id))

    def policy(self, tenant: str) -> PolicySnapshot:
        return PolicySnapshot(tenant, 1, self.rows, self.memberships)

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        return {i: label for i, label in self.by_id.items() if i > after}

    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord:
        raise NotFoundError

    def subject(self, principal: str) -> Subject:
        return Subject(
            tenant="acme", principal=principal, application=APPLICATION, not_after=10**10
        )

    def _memberships(self) -> set[Membership]:
        chance = self.chance
        made: set[Membership] = set()
        for position, group in enumerate(self.groups[50:], start=50):
            made.add(Membership(group, self.groups[chance.randrange(position // 8)]))
        for person in self.people:
            made |= {Membership(person, group) for group in chance.sample(self.groups, 8)}
            made |= {Membership(person, role) for role in chance.sample(self.roles, 3)}
            made |= {
                Membership(person, f"compartment:acme/{name}")
                for name in chance.sample(COMPARTMENTS, 3)
            }
        return made

    def _joined(self, joiners: list[str], groups_each: int | None) -> set[Membership]:
        chance = self.chance
        made: set[Membership] = set()
        for person in joiners:
            made |= {Membership(person, g) for g in chance.sample(self.groups, groups_each or 0)}
            made |= {Membership(person, role) for role in chance.sample(self.roles, 3)}
        return made

    def _rows(self, count: int) -> set[PolicyRow]:
        chance = self.chance
        made: set[PolicyRow] = set()
        while len(made) < count:
            low = chance.randrange(4)
            made.add(
                PolicyRow(
                    chance.choice(self.roles),
                    chance.choice(["corpus:retrieve", "corpus:*", "reveal:PERSON", "reveal:*"]),
                    f"acme/{chance.choice([*CORPORA, '*'])}",
                    f"{LEVELS[low]}..{LEVELS[chance.randrange(low, 4)]}",
                    chance.choice(["*"] * 6 + COMPARTMENTS),
                    chance.choice(["allow"] * 9 + ["deny"]),
                )
            )
        return made

    def _label(self) -> AccessLabel:
        chance = self.chance
        return AccessLabel(
            tenant="acme",
            corpus=chance.choice(CORPORA),
            classification=Classification(chance.randrange(4)),
            compartments=frozenset(
                chance.choice([[], [], [], COMPARTMENTS[:1], COMPARTMENTS[2:4]])
            ),
            granted=frozenset(chance.sample(self.groups[:500], chance.choice([1, 2, 3, 20]))),
            denied=frozenset(chance.sample(self.groups[500:], chance.choice([0, 0, 0, 1]))),
            valid_until=chance.choice([None] * 9 + [chance.randrange(1_000, 10_000)]),
        )


class Cell:
    """One size of an organisation: seconds, medians over its people."""

    def __init__(
        self, labels: int, rules: int, *, people: int, checks: int, groups_each: int | None = None
    ) -> None:
        world = Organisation(labels, rules, groups_each)
        self._pdp = CasbinPolicyDecisionPoint(world, model_text=MODEL, entity_types=TYPES)
        context = Context(now=NOW)
        self._pdp.decide_labels(world.subject("user:acme/nobody"), context)  # the indexes are there
        readers = world.chance.sample(world.readers, min(people, len(world.readers)))
        self.compared, self.readable = checked(world, self._pdp, context, checks)
        cold, warm = [], []
        for reader in readers:
            subject = world.subject(reader)
            begin = time.perf_counter()
            self._pdp.decide_labels(subject, context)
            between = time.perf_counter()
            for _ in range(5):
                self._pdp.decide_labels(subject, context)
            cold.append(between - begin)
            warm.append((time.perf_counter() - between) / 5)
        self.cold, self.warm = statistics.median(cold), statistics.median(warm)
        self.loop = looped(world, readers[0], context)


def grown(
    labels: tuple[int, ...],
    rules: tuple[int, ...],
    groups: tuple[int, ...],
    people: int,
    checks: int,
) -> list[Growth]:
    """Along labels with the middle number of rules, along rules with the middle number of labels, and along the groups that a
    subject is in with the middle of both."""
    if not labels or not rules:
        return []
    many, some = rules[len(rules) // 2], labels[len(labels) // 2]
    sizes: dict[str, tuple[tuple[int, ...], Callable[[int], Cell]]] = {
        "labels": (labels, lambda size: Cell(size, many, people=people, checks=checks)),
        "rules": (rules, lambda size: Cell(some, size, people=people, checks=checks)),
        "groups of the subject": (
            groups,
            # of 10,000 groups `enforce` takes half a second a label
            lambda size: Cell(some, many, people=people, checks=checks // 10, groups_each=size),
        ),
    }
    return [growth for axis, (at, cell) in sizes.items() if at for growth in _along(axis, at, cell)]


def _along(axis: str, at: tuple[int, ...], cell: Callable[[int], Cell]) -> Iterator[Growth]:
    cells = [cell(size) for size in at]
    compared = sum(each.compared for each in cells)
    for what, name in _WHAT.items():
        yield Growth(
            what=name,
            axis=axis,
            at=tuple(float(size) for size in at),
            p50_us=tuple(getattr(each, what) * 1e6 for each in cells),
            checked=f"{compared:,} decisions equal to enforce",
        )


_WHAT: Final = {
    "cold": "a subject's permit, cold",
    "warm": "a subject's permit, warm",
    "loop": "the same by pycasbin's enforce on every label",
}


def checked(
    world: Organisation, pdp: CasbinPolicyDecisionPoint, context: Context, checks: int
) -> tuple[int, float]:
    """(decisions compared with `enforce`, share of labels that somebody with rules reads). Raises if one differs."""
    rules = RuleIndex(world.policy("acme"))
    best = max(
        world.chance.sample(world.readers, min(300, len(world.readers))),
        key=lambda person: len(rules.rows(rules.sub(person), "corpus:retrieve")),
    )
    plain, sub = casbin_for(world, best)
    ctx = Ctx(NOW, delegate=False, administrative=False)
    decision = pdp.decide_labels(world.subject(best), context)
    admitted = frozenset() if isinstance(decision, Deny) else decision.label_ids()
    samples = {
        (label.corpus, label.classification, label.compartments): label_id
        for label_id, label in world.by_id.items()
    }
    wanted = set(samples.values()) | set(
        world.chance.sample(sorted(world.by_id), min(checks, len(world.by_id)))
    )
    for label_id in wanted:
        expected = plain.enforce(sub, "corpus:retrieve", world.by_id[label_id], ctx)
        if expected != (label_id in admitted):
            raise AssertionError(f"label {label_id} is decided otherwise than by enforce")
    return len(wanted), len(admitted) / len(world.by_id)


def casbin_for(world: Organisation, principal: str) -> tuple[Any, Sub]:
    """An enforcer over all rules, with the memberships that concern one principal: all of them take minutes to load."""
    sub = RuleIndex(world.policy("acme")).sub(principal)
    concerned = tuple(m for m in world.memberships if m.member in sub.reached)
    return enforcer(PolicySnapshot("acme", 1, world.rows, concerned), MODEL), sub


def looped(world: Organisation, principal: str, context: Context) -> float:
    """Seconds that `enforce`, label by label, would take for all labels."""
    plain, sub = casbin_for(world, principal)
    ctx = Ctx(context.now, delegate=False, administrative=False)
    sample = world.chance.sample(sorted(world.by_id), min(100, len(world.by_id)))
    begin = time.perf_counter()
    for label_id in sample:
        plain.enforce(sub, "corpus:retrieve", world.by_id[label_id], ctx)
    return (time.perf_counter() - begin) / len(sample) * len(world.by_id)
