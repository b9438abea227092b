"""Looks at nothing."""

from __future__ import annotations


class FakeWatch:
    """`ports.Watch`: no budgets, no accounts. A test of behaviour takes the real one: `opened(settings, watch=None)`."""

    def spend(self, subject, passages, *, counted):
        pass

    def answered(self, subject, query, passages, flags):
        pass

    def noticed(self, event, subject, code):
        pass
