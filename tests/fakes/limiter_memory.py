"""Counts, and refuses nobody."""

from __future__ import annotations


class FakeLimiter:
    """`ports.Limiter`."""

    def __init__(self):
        self.running = 0

    def acquire(self, subject):
        self.running += 1
        return True

    def release(self, subject):
        self.running -= 1

    def rates(self, subject):
        return ()
