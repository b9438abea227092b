"""Unwrapped DEKs are kept for a time that nothing extends, for whom they were unwrapped, and are gone afterwards."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from ragward.adapters.dek_cache import DEKCache
from ragward.domain.errors import IntegrityError, UnavailableError
from ragward.domain.labels import Classification
from tests.contract.keyrings import context, moved, opened, reading, wrapped
from tests.fakes.kek_provider import FakeKEKProvider, remote_keyring


class Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def provider():
    return FakeKEKProvider()


@pytest.fixture
def keyring(tmp_path, provider, clock):
    made = remote_keyring(tmp_path / "k", provider, monotonic=clock)
    yield made
    made.close()


def unwraps(provider):
    return provider.calls.count("unwrap")


@pytest.mark.parametrize(
    ("level", "seconds"), [(Classification.RESTRICTED, 60), (Classification.CONFIDENTIAL, 300)]
)
def test_an_entry_ends_at_its_time_and_an_outage_does_not_extend_it(
    keyring, provider, clock, level, seconds
):
    dek, item = wrapped(keyring, level=level)
    assert opened(keyring, item) == [dek]
    provider.away = True
    for now in (1, seconds / 2, seconds - 1):  # being used does not extend it either
        clock.now = now
        assert opened(keyring, item) == [dek]
    clock.now = seconds
    assert opened(keyring, item) == ["unavailable.keys"]
    provider.away = False
    assert opened(keyring, item) == [dek]
    assert unwraps(provider) == 3


def test_a_hit_opens_nothing_in_another_place_or_for_another_asker(keyring, provider):
    dek, item = wrapped(keyring)
    assert opened(keyring, item) == [dek]
    assert opened(keyring, moved(item, label_digest=b"\1" * 32)) == ["integrity.wrapped_key"]
    assert opened(keyring, dataclasses.replace(item, wrapped=bytes(60))) == [
        "integrity.wrapped_key"
    ]
    assert unwraps(provider) == 3
    assert opened(keyring, item, by="ben") == [dek]  # asked again: who may is not remembered here
    assert unwraps(provider) == 4
    opened(keyring, item)
    assert unwraps(provider) == 4


def test_a_moved_epoch_ends_everything_of_the_tenant(keyring, provider):
    _, item = wrapped(keyring)
    opened(keyring, item, epoch=1)
    opened(keyring, item, epoch=1)
    assert unwraps(provider) == 1
    opened(keyring, item, epoch=2)
    assert unwraps(provider) == 2
    opened(keyring, item, epoch=1)  # a late request of before is served, and ends nothing
    opened(keyring, item, epoch=2)
    assert unwraps(provider) == 2


def test_failures_are_not_kept(keyring, provider):
    _, item = wrapped(keyring)
    provider.away = True
    assert opened(keyring, item) == ["unavailable.keys"]
    provider.away = False
    assert opened(keyring, item) != ["unavailable.keys"]


def test_it_is_bounded_and_what_goes_is_overwritten(clock):
    cache = DEKCache(clock, entries=2)
    items = [dataclasses.replace(some_item(), wrapped=bytes([n])) for n in range(3)]

    def fetch(wraps):
        return [(bytes([w.wrapped[0] + 1]) * 32, None) for w in wraps]

    cache.unwrap_all(items[:2], reading(), fetch)
    held = [entry.dek for entry in cache._held.values()]
    cache.unwrap_all(items[2:], reading(), fetch)
    assert len(cache) == 2
    assert held[0] == bytes(32)
    assert held[1] == b"\2" * 32
    cache.forget()
    assert len(cache) == 0
    assert held[1] == bytes(32)


def test_what_nobody_asks_for_again_goes_on_time_too(monkeypatch):
    from ragward.adapters import dek_cache

    monkeypatch.setattr(dek_cache, "RESTRICTED_SECONDS", 0.1)
    cache = DEKCache(time.monotonic)
    cache.unwrap_all([some_item()], reading(), lambda wraps: [(b"k" * 32, None)])
    held = next(iter(cache._held.values())).dek
    give_up = time.monotonic() + 5
    while len(cache) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert len(cache) == 0
    assert held == bytes(32)


def test_what_many_miss_at_once_is_unwrapped_once(clock):
    cache, item = DEKCache(clock), some_item()
    calls, go = [], threading.Event()

    def slow(wraps):
        calls.append(len(wraps))
        go.wait(5)
        return [(b"k" * 32, None) for _ in wraps]

    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(cache.unwrap_all([item, item], reading(), slow))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while not calls:
        time.sleep(0.001)
    time.sleep(0.05)
    go.set()
    for thread in threads:
        thread.join()
    assert calls == [1]
    assert found == [[b"k" * 32] * 2] * 8


def test_who_waits_for_one_that_fails_fails_too_and_the_next_tries_again(clock):
    cache, item = DEKCache(clock), some_item()

    def broken(wraps):
        raise UnavailableError(code="unavailable.keys")

    with pytest.raises(UnavailableError):
        cache.unwrap_all([item], reading(), broken)
    refused = IntegrityError(code="integrity.wrapped_key")
    assert cache.unwrap_all([item], reading(), lambda wraps: [(refused, None)]) == [refused]
    assert cache.unwrap_all([item], reading(), lambda wraps: [(b"k", None)]) == [b"k"]


def test_what_was_fetched_before_everything_was_dropped_is_not_kept(clock):
    cache, item = DEKCache(clock), some_item()

    def dropped_meanwhile(wraps):
        cache.forget()
        return [(b"k" * 32, None)]

    assert cache.unwrap_all([item], reading(), dropped_meanwhile) == [b"k" * 32]
    assert len(cache) == 0


def some_item():
    class Anywhere:
        def active_kek(self, tenant, level):
            return "kek", 1

    from ragward.domain.keys import WrappedDEK

    where = dataclasses.replace(context(Anywhere()), dek_id="d")
    return WrappedDEK(wrapped=b"w", context=where)
