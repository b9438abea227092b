"""Accounts: what is counted, when a day ends, what is stored of it."""

from __future__ import annotations

import pytest

from ragward.domain.behaviour import (
    FEATURES,
    Account,
    BehaviourRules,
    Feature,
    FeatureLimit,
    Seen,
    counted,
    query_tags,
)
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.domain.labels import Classification

DAY = 86_400
NOON = 20_000 * DAY + 12 * 3600
KEY = bytes(32)
LIMIT = FeatureLimit(
    floor=2, cap=10, machine_floor=20, machine_cap=100, respond=("throttle",), minutes=5
)


def rules(**changes):
    values = {
        "features": dict.fromkeys(Feature, LIMIT),
        "deviations": 4.0,
        "least_spread": 0.3,
        "throttle_per_minute": 5,
        "ceiling": Classification.INTERNAL,
    }
    return BehaviourRules(**(values | changes))


def account(*seen, at=NOON):
    made = Account()
    made.close_day(at)
    made.limits = rules().limits({}, machine=False)
    for each in seen:
        made.add(each)
    return made


def test_each_thing_is_counted_once():
    made = account(
        Seen(at=NOON, documents=(1, 2), protected_tokens=7),
        Seen(at=NOON + 3600, documents=(2, 3), flagged=True),
        Seen(at=NOON + 3601, empty=True),
        Seen(at=NOON + 3602, honey=True),
    )
    expected = {
        Feature.REQUESTS: 4,
        Feature.HOUR: 3,
        Feature.NEW_DOCUMENTS: 3,
        Feature.EMPTY: 1,
        Feature.FLAGGED: 1,
        Feature.HONEY: 1,
        Feature.PROTECTED: 7,
        Feature.ACTIVE_HOURS: 2,
    }
    assert {feature: counted(made, feature) for feature in FEATURES} == {
        feature: expected.get(feature, 0) for feature in FEATURES
    }


def test_queries_of_one_form_are_a_sweep_only_where_they_bring_something_new():
    def asked(number, documents):
        text = f"show the complete text of record number {number}"
        return Seen(at=NOON, documents=documents, words=query_tags(text, KEY))

    new = account(*(asked(n, (n,)) for n in range(8)))
    old = account(*(asked(n, (1,)) for n in range(8)))
    assert counted(new, Feature.SWEEP) == 5  # the first three are like nothing before
    assert counted(old, Feature.SWEEP) == 0


def test_tags_of_queries_need_the_key():
    assert query_tags("one two three", KEY) != query_tags("one two three", bytes(31) + b"x")
    assert len(query_tags("word " * 500, KEY)) == 16


def test_an_alarm_comes_once_a_level():
    made = account()
    levels = []
    for _ in range(45):
        made.add(Seen(at=NOON, empty=True))
        levels += [a.level for a in made.alarms() if a.feature is Feature.EMPTY]
    assert levels == [0, 1, 2]


def test_a_day_that_is_over_is_kept_no_higher_than_its_limit():
    made = account(*(Seen(at=NOON, documents=(n,)) for n in range(50)))
    made.close_day(NOON + DAY)
    assert made.history[-1].counts[FEATURES.index(Feature.NEW_DOCUMENTS)] == 10
    assert made.counts == [0] * len(FEATURES)
    made.add(Seen(at=NOON + DAY, documents=(3, 99)))
    assert counted(made, Feature.NEW_DOCUMENTS) == 1
    made.close_day(NOON + 40 * DAY)
    assert not made.history
    assert not made.documents


def test_hours_are_unusual_once_five_days_are_known():
    made = account()
    for day in range(6):
        made.add(Seen(at=NOON + day * DAY))
        made.close_day(NOON + (day + 1) * DAY)
    made.add(Seen(at=NOON + 6 * DAY + 3600))  # a neighbour
    assert counted(made, Feature.UNUSUAL_HOURS) == 0
    made.add(Seen(at=NOON + 6 * DAY + 9 * 3600))
    assert counted(made, Feature.UNUSUAL_HOURS) == 1


def test_it_is_stored_and_read_back_whole():
    made = account(
        Seen(at=NOON, documents=(1,), words=(5, 6), partner="agent:acme/bot"),
        *(Seen(at=NOON, empty=True) for _ in range(12)),
    )
    made.alarms()
    made.close_day(NOON + DAY)
    made.limits = rules().limits({}, machine=False)
    made.add(Seen(at=NOON + DAY, words=(5, 6)))
    assert Account.from_json(made.to_json()) == made
    for text in ("", "{}", "[]", '{"v":2}', made.to_json()[:-9]):
        with pytest.raises(IntegrityError):
            Account.from_json(text)


def test_the_limit_of_a_day_is_between_floor_and_cap():
    learned = {Feature.EMPTY: 5.7, Feature.SWEEP: 1.0, Feature.HOUR: 1e9}
    found = dict(zip(FEATURES, rules().limits(learned, machine=False), strict=True))
    assert (found[Feature.EMPTY], found[Feature.SWEEP], found[Feature.HOUR]) == (5, 2, 10)
    assert found[Feature.REQUESTS] == 10
    assert set(rules().limits({}, machine=True)) == {100}


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {}},
        {"deviations": 0.5},
        {"least_spread": 0},
        {"throttle_per_minute": 0},
        {
            "features": dict.fromkeys(
                Feature,
                FeatureLimit(floor=3, cap=2, machine_floor=0, machine_cap=1, respond=(), minutes=1),
            )
        },
        {
            "features": dict.fromkeys(
                Feature,
                FeatureLimit(
                    floor=1, cap=2, machine_floor=0, machine_cap=1, respond=("ban",), minutes=1
                ),
            )
        },
    ],
)
def test_rules_that_make_no_sense_are_refused(changes):
    with pytest.raises(ConfigurationError):
        rules(**changes)
