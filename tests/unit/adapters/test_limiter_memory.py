"""Rates and concurrency per subject and tenant."""

from __future__ import annotations

import threading

import pytest

from ragward.adapters.limiter_memory import MemoryLimiter
from ragward.domain.errors import LimitExceededError
from tests.company import subject


def refused(limiter, who):
    with pytest.raises(LimitExceededError) as caught:
        limiter.acquire(who)
    assert caught.value.retry_after_seconds > 0
    return caught.value.code


def test_a_rate_per_subject():
    limiter = MemoryLimiter(requests_per_minute=3, concurrent=100)
    for _ in range(3):
        limiter.acquire(subject("ann"))
        limiter.release(subject("ann"))
    assert refused(limiter, subject("ann")) == "limit.rate"
    limiter.acquire(subject("ben"))  # somebody else is not slowed down


def test_an_agent_counts_for_its_person():
    limiter = MemoryLimiter(requests_per_minute=2, concurrent=100)
    limiter.acquire(subject("ann"))
    limiter.acquire(subject("ann", agents=("agent:acme/bot",)))
    assert refused(limiter, subject("ann")) == "limit.rate"


def test_concurrency_is_freed_by_release():
    limiter = MemoryLimiter(requests_per_minute=1000, concurrent=2)
    limiter.acquire(subject("ann"))
    limiter.acquire(subject("ann"))
    assert refused(limiter, subject("ann")) == "limit.concurrency"
    limiter.release(subject("ann"))
    limiter.acquire(subject("ann"))
    limiter.release(subject("ann"))
    limiter.release(subject("ann"))
    assert not limiter._running


def test_many_threads_never_pass_the_limit_and_lose_no_count():
    limiter = MemoryLimiter(requests_per_minute=100_000, concurrent=3)
    most, running, lock = [0], [0], threading.Lock()

    def work():
        for _ in range(200):
            try:
                limiter.acquire(subject("ann"))
            except LimitExceededError:
                continue
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            with lock:
                running[0] -= 1
            limiter.release(subject("ann"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most[0] <= 3
    assert not limiter._running
