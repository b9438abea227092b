"""No oracle: whatever an asker may not know of moves nothing that comes back. And a leak would be found."""

from __future__ import annotations

import dataclasses
import json
import random
import statistics
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from tests import company
from tests.conformance import no_oracle_worlds as worlds
from tests.conformance.no_oracle import (
    DATES,
    FEATURES,
    LEGS,
    NEW,
    RANDOM,
    RANDOM_FEATURES,
    RANDOM_HEADERS,
    Trial,
    advantages,
    best,
    features,
    random_features,
    trials,
)
from tests.conformance.no_oracle_asks import KINDS
from tests.conftest import PROVE
from tests.installation import qdrant_client_index

#: Pairs: one half to train on, one to judge by.
PAIRS = 10_100 if PROVE else 120
SEEDS = (3, 4, 5) if PROVE else (3,)
GRAPH_SHARE, QDRANT_SHARE = (0.06, 0.06) if PROVE else (0.0, 0.04)
#: What Hoeffding's bound can show with so few.
BOUND = 0.05
BY_KIND = {kind.name: kind for kind in KINDS}


@dataclass
class Played:
    """All trials, and what the worlds were."""

    trials: list[Trial] = field(default_factory=list)
    differed: dict[tuple, bool] = field(default_factory=dict)
    plans: Counter = field(default_factory=Counter)


def play(into, base, directory, leg, kind, count, seed):
    """One pair of worlds, and this many trials on it."""
    index = (lambda: qdrant_client_index()) if leg == "qdrant-client" else None
    given = {"seed": seed, "index": index, "graph": leg == "graph"}
    with worlds.both(base, directory, kind.change, **given) as (a, b, facts):
        into.differed[leg, kind.name, seed] = kind.shows(a, facts) != kind.shows(b, facts)
        into.trials += trials(leg, kind, a, b, facts, min(count, len(facts.sources) or count), seed)
        if index is None:
            into.plans.update(
                {f"{leg}: {plan}": n for plan, n in a.ragward.index.plain.plans().items()}
            )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return worlds.Base(tmp_path_factory.mktemp("base")).make()


@pytest.fixture(scope="module")
def played(base, tmp_path_factory):
    made, directory = Played(), tmp_path_factory.mktemp("worlds")
    others = {"graph": round(PAIRS * GRAPH_SHARE), "qdrant-client": round(PAIRS * QDRANT_SHARE)}
    whole, left = sum(kind.weight for kind in KINDS), PAIRS - sum(others.values())
    for kind in KINDS:
        for seed in SEEDS:
            count = round(left * kind.weight / whole / len(SEEDS))
            play(made, base, directory, "edge", kind, count, seed)
    searched = [BY_KIND[name] for name in ("forbidden", "waiting", "near_duplicate")]
    for leg, count in others.items():
        kinds = searched if PROVE else searched[:1]
        below = base
        if leg == "graph" and count:
            below = worlds.Base(tmp_path_factory.mktemp("wide"), wide=True).make(chunks=8_000)
        for kind in kinds if count else ():
            play(made, below, tmp_path_factory.mktemp(leg), leg, kind, count // len(kinds), 3)
    random.Random(1).shuffle(made.trials)
    return made


def test_everything_that_is_exact_is_the_same_to_the_byte(played):
    unequal = [trial for trial in played.trials if trial.leg != "graph" and not trial.equal]
    for trial in unequal[:3]:
        print(trial)  # pytest shows it
    assert Counter((trial.leg, trial.kind, trial.asks, trial.asker) for trial in unequal) == {}


@pytest.mark.prove
def test_the_best_of_three_classifiers_does_not_tell_the_worlds_apart(played, capsys):
    found = advantages([trial.vectors() for trial in played.trials])
    if PROVE:
        with capsys.disabled():
            print(_report(played, found))
    assert len(played.trials) >= 10_000
    assert best(found).upper <= BOUND


@pytest.mark.prove
def test_what_is_random_by_design_tells_nothing_either(played):
    answers = [t for t in played.trials if t.asks in ("retrieve", "twice") and t.leg != "graph"]
    found = best(advantages([trial.random_vectors() for trial in answers]))
    assert found.measured <= 0.08, found


def test_the_entitled_tell_every_pair_of_worlds_apart(played):
    assert [pair for pair, differed in played.differed.items() if not differed] == []
    assert {kind for _, kind, _ in played.differed} == set(BY_KIND)


def test_the_trials_were_about_something(played):
    """Answers with passages and without, refusals of every sort, both exact plans, every asker and every request."""
    statuses = Counter(reply.status for trial in played.trials for reply in trial.replies[0])
    assert set(statuses) >= {200, 201, 400, 403, 404, 422}
    answered = [
        len(json.loads(reply.body)["passages"])
        for trial in played.trials
        for reply in trial.replies[0]
        if trial.asks in ("retrieve", "twice") and reply.status == 200
    ]
    assert 0.3 < sum(count > 0 for count in answered) / len(answered) < 0.95
    assert len(set(answered)) > 5
    assert min(played.plans["edge: exact"], played.plans["edge: over-fetch"]) > PAIRS / 60
    assert not PROVE or played.plans["graph: over-fetch"] > 50
    assert {trial.asker for trial in played.trials} == set(worlds.ASKERS)
    assert {trial.asks for trial in played.trials} == {a.__name__ for k in KINDS for a in k.asks}


# The tests can fail. -------------------------------------------------------------------------------------------------


def with_dropped_count(reply, world, asker, body):
    """A post-filter's count, in a header."""
    hits = everything(world, body, limit=10)
    permit = world.ragward.pdp.decide_labels(person(asker), world.ragward.clock.context())
    stored = world.ragward.catalog.stored_chunks("acme", [hit.point_id for hit in hits]).chunks
    dropped = sum(not permit.admits(chunk.label_id) for chunk in stored.values())
    headers = sorted([*reply.headers, ("x-dropped", str(dropped))])
    return dataclasses.replace(reply, headers=headers)


def with_relative_scores(reply, world, asker, body):
    """Scores as a share of the best score of all."""
    top = everything(world, body, limit=1)[0].score
    answer = json.loads(reply.body)
    vector = world.ragward.embedder.embed([body["query"]])[0]
    for passage in answer["passages"]:
        own = world.ragward.embedder.embed([passage["text"]])[0]
        passage["score"] = sum(x * y for x, y in zip(vector, own, strict=True)) / top
    return dataclasses.replace(reply, body=json.dumps(answer).encode())


def with_place_in_the_log(reply, world, asker, body):
    """What receipts said before this test was written."""
    answer = json.loads(reply.body)
    found = world.ragward.audit.find(answer["receipt"]["receipt_id"])
    answer["receipt"]["audit_index"] = found.index
    return dataclasses.replace(reply, body=json.dumps(answer).encode())


def everything(world, body, limit):
    """The best of all, whoever may read it."""
    vector = world.ragward.embedder.embed([body["query"]])[0]
    scopes = {scope.scope_id for scope in world.ragward.catalog.scopes("acme")}
    return world.ragward.index.search(vector, scopes=scopes, limit=limit)


def person(asker):
    """An asker as a subject."""
    return company.subject(asker)


@pytest.mark.parametrize(
    ("change", "leak"),
    [
        (worlds.forbidden, with_dropped_count),
        (worlds.forbidden, with_relative_scores),
        pytest.param(worlds.traffic, with_place_in_the_log, marks=pytest.mark.prove),
    ],
    ids=lambda value: value.__name__,
)
def test_a_leak_is_found(base, tmp_path, change, leak):
    chance, made = random.Random(2), []
    with worlds.both(base, tmp_path, change, seed=6) as (a, b, facts):
        for _ in range(64):
            asker = chance.choice(("ann", "ben"))
            body = {"query": " ".join(chance.sample(facts.words, 3)), "limit": 10}
            sides = []
            for world in (a, b):
                replies = []
                for _ in range(2 if change is worlds.traffic else 1):
                    reply = world.ask(asker, "POST", "/v1/retrieve", body)
                    replies.append(leak(reply, world, asker, body))
                    world.meanwhile()
                sides.append(replies)
            made.append(Trial("edge", change.__name__, "leak", asker, (sides[0], sides[1])))
    assert best(advantages([trial.vectors() for trial in made])).measured > 0.5
    assert not all(trial.equal for trial in made)


def test_the_features_have_names_and_the_random_ones_are_listed(played):
    reply = played.trials[0].replies[0][0]
    assert len(features(reply)) == len(FEATURES) == len(set(FEATURES))
    assert len(random_features(reply)) == len(RANDOM_FEATURES)
    assert not set(RANDOM) & set(DATES)
    assert set(RANDOM_HEADERS) == {"x-request-id", "ragward-epoch-token"}
    assert set(NEW) == {"document_id", "location"}


# The report. ---------------------------------------------------------------------------------------------------------


def _report(played, found):
    legs = Counter(trial.leg for trial in played.trials)
    graph = [trial for trial in played.trials if trial.leg == "graph"]
    lines = [
        "",
        f"{len(played.trials)} pairs ({', '.join(f'{leg} {legs[leg]}' for leg in LEGS)}), half of them judged",
        *(f"{a.name:22} advantage {a.measured:.4f}  95 % bound {a.upper:.4f}" for a in found),
        f"graph pairs that differ: {sum(not trial.equal for trial in graph)} of {len(graph)}",
        f"plans: {dict(played.plans)}",
        "time, milliseconds: request, pairs, median without, median of the difference, p95 of both, advantage",
    ]
    for name in sorted({trial.asks for trial in played.trials}):
        mine = [trial.seconds for trial in played.trials if trial.asks == name]
        lines.append(_timing(name, np.array(mine) * 1000))
    everything = np.array([trial.seconds for trial in played.trials]) * 1000
    asked = np.array([trial.vectors()[0][: len(KINDS) + len(LEGS) + 1] for trial in played.trials])
    lines.append(
        f"time alone, all requests, knowing what was asked: {_by_time(everything, asked):.3f}"
    )
    return "\n".join(lines)


def _timing(name, times):
    with_it, without = times[:, 0], times[:, 1]
    p95 = " ".join(f"{np.percentile(side, 95):.1f}" for side in (with_it, without))
    gap = statistics.median(with_it - without)
    told = _by_time(times, np.zeros((len(times), 1)))
    return f"{name:16} {len(times):6} {np.median(without):8.2f} {gap:+8.2f}   {p95}   {told:.3f}"


def _by_time(times, asked):
    """What a classifier makes of the time alone, trained on one half and judged on the other."""
    half = len(times) // 2
    inputs = [np.column_stack([asked, times[:, side]]) for side in (0, 1)]
    model = HistGradientBoostingClassifier(max_iter=60, random_state=1)
    model.fit(
        np.concatenate([inputs[0][:half], inputs[1][:half]]),
        np.concatenate([np.zeros(half), np.ones(half)]),
    )
    right = (model.predict(inputs[0][half:]) == 0).mean()
    right += (model.predict(inputs[1][half:]) == 1).mean()
    return abs(right - 1)
