"""What concerns ragward alone: more rules under the same questions, and permissions and documents that change between them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.bench.goals import AUTHORIZATION
from ragward.bench.installed import Installed, Staging
from ragward.bench.measuring import Answers
from ragward.bench.report import Changes, Growth, percentiles
from ragward.bench.system_ragward import Authorization
from ragward.bench.system_shard import policy_rows
from ragward.bench.world import TENANT, Asker, Question, World
from ragward.domain.access import TenantHead
from ragward.domain.corpus import DocumentState
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import Membership, PolicySnapshot
from ragward.domain.task_grants import TaskGrantRecord
from ragward.opening import entity_types, resource

_STEWARD: Final = f"user:{TENANT}/root"
_EVERY: Final = (0, 10, 1)
_NEWS: Final = "news"


class _OtherRules:
    """The catalog with another number of rules."""

    def __init__(self, made: Installed, count: int) -> None:
        self._catalog, self._count = made.ragward.catalog, count
        before = self._catalog.policy(TENANT)
        self._snapshot = PolicySnapshot(
            TENANT, before.version, policy_rows(count), before.memberships
        )

    def head(self, tenant: str) -> TenantHead:
        return self._catalog.head(tenant)

    def policy(self, tenant: str) -> PolicySnapshot:
        return self._snapshot

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        return self._catalog.labels(tenant, after=after)

    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord:
        return self._catalog.task_grant(tenant, grant_id)


def along_rules(
    made: Installed, world: World, askers: Sequence[Asker], rules: Sequence[int], count: int
) -> Growth:
    """Authorized searches under policies of other sizes, in turn on the same questions; every answer is the exact one."""
    model = (resource("policies") / "model.conf").read_text(encoding="utf-8")
    systems = [
        Authorization(
            made,
            world,
            CasbinPolicyDecisionPoint(
                _OtherRules(made, size), model_text=model, entity_types=entity_types()
            ),
        )
        for size in rules
    ]
    asker = _somebody(askers)
    seconds: list[list[float]] = [[] for _ in rules]
    questions = world.questions(asker.topic, count + 1, seed=4)
    chance, exact, asked = np.random.default_rng(3), 0, 0
    for system in systems:
        system.prepare(asker)
        system.ask(asker, questions[0])
    for question in questions[1:]:
        truth = world.truth(asker, question)
        for position in chance.permutation(len(systems)):
            begin = time.perf_counter()
            found = systems[position].ask(asker, question)
            seconds[position].append(time.perf_counter() - begin)
            asked += 1
            exact += set(found.numbers) == set(truth)
    return Growth(
        what=AUTHORIZATION,
        axis="rules",
        at=tuple(float(size) for size in rules),
        p50_us=tuple(statistics.median(each) * 1e6 for each in seconds),
        checked=f"{exact} of {asked} answers are the exact ones",
    )


def while_permissions_change(
    made: Installed, world: World, askers: Sequence[Asker], count: int
) -> list[Changes]:
    """The asker is put out of a group, or back in, before one question in so many. The write is not timed; what is answered
    afterwards is held against what may be read then."""
    asker = _somebody(askers)
    group = asker.groups[len(asker.groups) // 2]
    membership = Membership(asker.principal, f"group:{TENANT}/{group}")
    without = _without(world, asker, group)
    out = False

    def change(_question: Question) -> None:
        nonlocal out
        _change(made, membership, back=out)
        out = not out

    def now() -> Asker:
        return without if out else asker

    found = [
        _asked_meanwhile(made, world, now, "permissions", every, change, count) for every in _EVERY
    ]
    if out:
        _change(made, membership, back=True)
    return found


def while_documents_come(
    made: Installed, world: World, askers: Sequence[Asker], count: int
) -> list[Changes]:
    """A document that the asker may not read, and that is nearer to the question than any other, is ingested before one question in
    so many, and in the index before it is asked. The write is not timed."""
    asker = _somebody(askers)
    stage, catalog = Staging(made.ragward), made.ragward.catalog
    hidden = int(np.flatnonzero(~asker.readable)[0])
    label = world.access_label(int(world.label[hidden]))

    def ingest(question: Question) -> None:
        before = catalog.find_document(TENANT, label.corpus, f"{_NEWS}.txt")
        version = stage.version(
            _NEWS,
            label,
            [question.text],
            [question.vector.tolist()],
            number=before.version + 1 if before else 1,
        )
        catalog.commit_version(version)
        made.ragward.index_sync.run()
        for name in (version.chunks[0].chunk_id, version.chunks[0].points[0].point_id):
            made.number_of[name] = hidden  # whoever is given it is given what is forbidden

    found = [
        _asked_meanwhile(made, world, lambda: asker, "documents", every, ingest, count)
        for every in _EVERY[1:]
    ]
    catalog.set_state(
        TENANT, _NEWS, DocumentState.DELETED
    )  # others may read it, and know no truth with it
    made.ragward.index_sync.run()
    return found


def _asked_meanwhile(
    made: Installed,
    world: World,
    now: Callable[[], Asker],
    what: str,
    every: int,
    change: Callable[[Question], None],
    count: int,
) -> Changes:
    """So many questions, each held against what `now` may read; `change` before one in `every`, untimed."""
    system = Authorization(made, world)
    system.prepare(now())
    answers = Answers()
    for position, question in enumerate(world.questions(now().topic, count, seed=6 + every)):
        if every and position % every == 0:
            change(question)
        asker = now()
        truth = world.truth(asker, question)
        begin = time.perf_counter()
        answered = system.ask(asker, question)
        answers.take(asker, truth, answered.numbers, time.perf_counter() - begin, 0.0)
    return Changes(
        what=what,
        every=every,
        asked=len(answers.seconds),
        latency=percentiles(answers.seconds, answers.recall),
        forbidden=answers.forbidden,
    )


def _change(made: Installed, membership: Membership, *, back: bool) -> None:
    catalog = made.ragward.catalog
    if back:
        catalog.change_policy(TENANT, add_memberships=[membership], author=_STEWARD)
    else:
        catalog.change_policy(TENANT, remove_memberships=[membership], author=_STEWARD)


def _without(world: World, asker: Asker, group: str) -> Asker:
    """The same asker outside one group."""
    own = np.array([group in world.groups_of(label) for label in range(world.shape.labels)])
    others = np.array(
        [
            bool((set(world.groups_of(label)) - {group}) & set(asker.groups))
            for label in range(world.shape.labels)
        ]
    )
    readable = asker.readable & ~(own & ~others)[world.label]
    return Asker(
        name=asker.name,
        kind=asker.kind,
        share=asker.share,
        topic=asker.topic,
        groups=tuple(name for name in asker.groups if name != group),
        readable=readable,
    )


def _somebody(askers: Sequence[Asker]) -> Asker:
    """Whose permission does not follow topics, and covers about a tenth."""
    chosen = [asker for asker in askers if asker.kind == "independent"]
    return min(chosen, key=lambda asker: abs(asker.share - 0.1))
