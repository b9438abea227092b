"""Systems take turns on the same questions of the same askers; every answer is compared with the exact truth.

Ratios are of medians of alternated runs in one process: two runs of the same thing differ by more on a busy machine than many
systems do from each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ragward.bench.report import ENOUGH, Row, percentiles
from ragward.bench.systems import UNFILTERED, System
from ragward.bench.world import Asker, Question, World

_SLOW_QUESTIONS = 3


@dataclass(slots=True)
class Answers:
    """What one system answered at one point of the axes."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    forbidden: int = 0
    short: int = 0

    def take(
        self, asker: Asker, truth: Sequence[int], found: Sequence[int], seconds: float, cpu: float
    ) -> None:
        """One more answer. What cannot be read does not count towards recall."""
        self.seconds.append(seconds)
        self.cpu.append(cpu)
        permitted = {number for number in found if asker.readable[number]}
        self.forbidden += len(found) - len(permitted)
        self.recalls.append(len(permitted & set(truth)) / len(truth) if truth else 1.0)
        self.short += len(permitted) < len(truth)

    @property
    def recall(self) -> float:
        """The mean."""
        return float(np.mean(self.recalls))


def measured(
    world: World,
    systems: Sequence[System],
    askers: Sequence[Asker],
    questions: int,
    learn: Callable[[Iterable[Question]], None],
    forget: Callable[[], None],
) -> list[Row]:
    """A row for each system; `askers` are all of one kind and share, each asks so many questions. `learn` is told them first.
    `forget` is called before each, untimed: a system must not gain from another having just asked the same."""
    chance = np.random.default_rng(len(askers))
    answers = {system.name: Answers() for system in systems}
    quick = [system for system in systems if not system.slow]
    slow = [system for system in systems if system.slow]
    for asker in askers:
        asked = world.questions(asker.topic, questions + 1)
        learn(asked)
        warm, *rest = asked
        truths = [world.truth(asker, question) for question in rest]
        for system in quick:
            system.prepare(asker)
            system.ask(asker, warm)
        for question, truth in zip(rest, truths, strict=True):
            for position in chance.permutation(len(quick)):
                system = quick[position]
                forget()
                _ask(system, asker, question, truth, answers[system.name])
        for system in slow:
            system.prepare(asker)
            system.ask(asker, warm)
            for question, truth in list(zip(rest, truths, strict=True))[:_SLOW_QUESTIONS]:
                forget()
                _ask(system, asker, question, truth, answers[system.name])
    return [_row(world, system, askers, answers) for system in systems]


def _ask(
    system: System, asker: Asker, question: Question, truth: Sequence[int], into: Answers
) -> None:
    work, begin = time.process_time(), time.perf_counter()
    found = system.ask(asker, question)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - work
    into.take(
        asker,
        truth,
        found.numbers,
        seconds if found.seconds is None else found.seconds,
        cpu if found.cpu_seconds is None else found.cpu_seconds,
    )


def _row(world: World, system: System, askers: Sequence[Asker], answers: dict[str, Answers]) -> Row:
    mine = answers[system.name]
    latency, cpu = percentiles(mine.seconds, mine.recall), float(np.mean(mine.cpu))
    ratio: float | None = None
    floor = answers.get(UNFILTERED)
    if floor is not None and (system.name == UNFILTERED or not mine.forbidden):
        good = system.name == UNFILTERED or mine.recall >= ENOUGH
        ratio = latency.p50 / percentiles(floor.seconds, 0.0).p50 if good else None
    return Row(
        system=system.name,
        points=world.size,
        structure=world.shape.structure,
        kind=askers[0].kind,
        share=askers[0].share,
        readable=float(np.mean([asker.readable.mean() for asker in askers])),
        asked=len(mine.seconds),
        latency=latency,
        cpu_us=None if math.isnan(cpu) else cpu * 1e6,
        forbidden=mine.forbidden,
        short=mine.short,
        ratio=ratio,
        bytes_per_chunk=system.bytes_per_chunk,
    )
