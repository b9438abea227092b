"""What it costs to know which labels a subject may read: cold, warm, and by pycasbin's own loop.

`python benchmarks/permits.py [--json FILE] [--labels N ...] [--rules N ...]`

Every figure is the median of one process; the loop is timed on 200 sampled labels and scaled. Before anything is timed,
the answer is held equal to the loop's on one label of every signature and on 2,000 more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.adapters.pdp_casbin.label_index import LabelIndex
from ragward.adapters.pdp_casbin.model import Ctx, Sub, enforcer
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import Application, Context, Subject, TenantHead
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.opening import resource

MODEL = (resource("policies") / "model.conf").read_text(encoding="utf-8")
TYPES = frozenset({"PERSON", "US_SSN", "EMAIL_ADDRESS", "PHONE_NUMBER"})
NOW = 500
LEVELS = [level.name for level in Classification]
CORPORA = [f"corpus{i}" for i in range(10)]
COMPARTMENTS = [f"deal{i}" for i in range(8)]
APPLICATION = Application(
    principal="app:acme/portal",
    tenant="acme",
    client_id="portal",
    corpora=frozenset({"*"}),
    ceiling=Classification.RESTRICTED,
)


class World:
    """An organisation: 10,000 people in 5,000 nested groups, 200 roles, some rules, some labels."""

    def __init__(self, labels: int, rules: int) -> None:
        self.chance = random.Random(labels * 31 + rules)
        self.groups = [f"group:acme/g{i}" for i in range(5_000)]
        self.roles = [f"role:acme/r{i}" for i in range(200)]
        self.people = [f"user:acme/u{i}" for i in range(10_000)]
        self.memberships = tuple(sorted(self._memberships()))
        self.rows = tuple(sorted(self._rows(rules)))
        self.by_id = {i: self._label() for i in range(1, labels + 1)}

    def head(self, tenant: str) -> TenantHead:
        return TenantHead(epoch=1, policy_epoch=1, last_label_id=len(self.by_id))

    def policy(self, tenant: str) -> PolicySnapshot:
        return PolicySnapshot(tenant, 1, self.rows, self.memberships)

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        return {i: label for i, label in self.by_id.items() if i > after}

    def subject(self, principal: str) -> Subject:
        return Subject(
            tenant="acme", principal=principal, application=APPLICATION, not_after=10**10
        )

    def _memberships(self) -> set[Membership]:
        chance, made = self.chance, set()
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

    def _rows(self, count: int) -> set[PolicyRow]:
        chance, made = self.chance, set()
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


def measured(labels: int, rules: int) -> dict[str, float]:
    """One cell of the table; times in microseconds."""
    world = World(labels, rules)
    begin = time.perf_counter()
    index = LabelIndex("acme")
    index.add(world.by_id)
    RuleIndex(world.policy("acme"))
    build = time.perf_counter() - begin
    pdp = CasbinPolicyDecisionPoint(world, model_text=MODEL, entity_types=TYPES)
    context = Context(now=NOW)
    pdp.decide_labels(world.subject("user:acme/nobody"), context)  # the indexes are there
    readers = world.chance.sample(world.people, 400)
    compared, readable = checked(world, pdp, context)
    cold, warm = [], []
    for principal in readers:
        subject = world.subject(principal)
        begin = time.perf_counter()
        pdp.decide_labels(subject, context)
        cold.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        for _ in range(20):
            pdp.decide_labels(subject, context)
        warm.append((time.perf_counter() - begin) / 20)
    loop = looped(world, readers[0], context)
    return {
        "labels": labels,
        "rules": rules,
        "signatures": len(index.signatures),
        "readable": readable,
        "compared": compared,
        "build": build * 1e6,
        "cold": statistics.median(cold) * 1e6,
        "cold_p99": sorted(cold)[int(len(cold) * 0.99)] * 1e6,
        "warm": statistics.median(warm) * 1e6,
        "add": added(index, world) * 1e6,
        "loop": loop * 1e6,
    }


def checked(world: World, pdp: CasbinPolicyDecisionPoint, context: Context) -> tuple[int, float]:
    """(decisions compared with `enforce`, share of labels that somebody with rules reads). Raises if one differs."""
    rules = RuleIndex(world.policy("acme"))
    best = max(
        world.chance.sample(world.people, 300),
        key=lambda person: len(rules.rows(rules.sub(person), "corpus:retrieve")),
    )
    plain, sub = casbin_for(world, best)
    ctx = Ctx(NOW, delegate=False, administrative=False)
    decision = pdp.decide_labels(world.subject(best), context)
    admitted = decision.label_ids() if decision else frozenset()
    samples = {
        (label.corpus, label.classification, label.compartments): label_id
        for label_id, label in world.by_id.items()
    }
    wanted = set(samples.values()) | set(
        world.chance.sample(sorted(world.by_id), min(2_000, len(world.by_id)))
    )
    for label_id in wanted:
        expected = plain.enforce(sub, "corpus:retrieve", world.by_id[label_id], ctx)
        if expected != (label_id in admitted):
            raise AssertionError(f"label {label_id} is decided otherwise than by enforce")
    return len(wanted), len(admitted) / len(world.by_id)


def casbin_for(world: World, principal: str) -> tuple[Any, Sub]:
    """An enforcer over all rules, with the memberships that concern one principal: all of them take minutes to load."""
    sub = RuleIndex(world.policy("acme")).sub(principal)
    concerned = tuple(m for m in world.memberships if m.member in sub.reached)
    return enforcer(PolicySnapshot("acme", 1, world.rows, concerned), MODEL), sub


def looped(world: World, principal: str, context: Context) -> float:
    """Seconds that `enforce`, label by label, would take for all labels."""
    plain, sub = casbin_for(world, principal)
    ctx = Ctx(context.now, delegate=False, administrative=False)
    sample = world.chance.sample(sorted(world.by_id), min(200, len(world.by_id)))
    begin = time.perf_counter()
    for label_id in sample:
        plain.enforce(sub, "corpus:retrieve", world.by_id[label_id], ctx)
    return (time.perf_counter() - begin) / len(sample) * len(world.by_id)


def added(index: LabelIndex, world: World) -> float:
    """Seconds to take in one more label."""
    times = []
    for _ in range(200):
        label = world._label()
        begin = time.perf_counter()
        index.add({index.last_id + 1: label})
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path)
    options.add_argument("--labels", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    options.add_argument("--rules", type=int, nargs="+", default=[10, 100, 1_000])
    given = options.parse_args()
    table = Table(
        "labels", "rules", "signatures", "read", "= enforce on", "build, ms", "cold, us",
        "cold p99, us", "warm, us", "add one, us", "pycasbin's loop, ms", "loop / cold",
        title=f"the permitted labels of a subject; medians, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    results = []
    for labels in given.labels:
        for rules in given.rules:
            cell = measured(labels, rules)
            results.append(cell)
            table.add_row(
                f"{labels:,}", f"{rules:,}", f"{cell['signatures']:.0f}", f"{cell['readable']:.1%}",
                f"{cell['compared']:,}", f"{cell['build'] / 1000:.0f}", f"{cell['cold']:.0f}",
                f"{cell['cold_p99']:.0f}", f"{cell['warm']:.1f}", f"{cell['add']:.1f}",
                f"{cell['loop'] / 1000:,.0f}", f"{cell['loop'] / cell['cold']:,.0f}x",
            )  # fmt: skip
    Console(width=140).print(table)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
