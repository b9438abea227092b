"""Rates and concurrency per subject and tenant."""

from __future__ import annotations

import threading

import pytest

from ragward.adapters.limiter_memory import MemoryLimiter
from ragward.adapters.limiter_windows import Hit, MemoryWindows
from ragward.domain.errors import LimitExceededError, UnavailableError
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


def test_a_window_moves():
    at = [0.0]
    windows = MemoryWindows(lambda: at[0])
    assert windows.hit("subject", "acme", "ann", 2) == Hit(True, 1, 60)
    at[0] = 30
    assert windows.hit("subject", "acme", "ann", 2) == Hit(True, 0, 30)
    at[0] = 59.5
    assert windows.hit("subject", "acme", "ann", 2) == Hit(False, 0, 1)
    at[0] = 60
    assert windows.hit("subject", "acme", "ann", 2) == Hit(True, 0, 30)
    assert not windows.hit("subject", "acme", "ann", 2).within
    for other in (("agent", "acme", "ann"), ("subject", "b", "ann"), ("subject", "acme", "an")):
        assert windows.hit(*other, 2).within


def test_no_count_is_forgotten_to_make_room(monkeypatch):
    """Whoever comes with many names is refused, and frees nobody."""
    monkeypatch.setattr("ragward.adapters.limiter_windows._MAX_NAMES", 3)
    at = [0.0]
    windows = MemoryWindows(lambda: at[0])
    for name in ("a", "b", "c"):
        assert windows.hit("subject", "acme", name, 1).within
    with pytest.raises(UnavailableError) as refused:
        windows.hit("subject", "acme", "d", 1)
    assert refused.value.code == "unavailable.limiter"
    assert not windows.hit("subject", "acme", "a", 1).within
    at[0] = 61
    assert windows.hit("subject", "acme", "d", 1).within
