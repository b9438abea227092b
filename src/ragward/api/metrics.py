"""Counters for operators. No label names a subject, a document or a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from ragward.domain.corpus import Pending
from ragward.domain.passages import Answer

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Events(Collector):
    """What this process recorded: answers, denials, honey that was touched, integrity failures, each by its type."""

    def __init__(self, events: Callable[[], Mapping[str, int]]) -> None:
        self._events = events

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family."""
        found = CounterMetricFamily("ragward_events", "Events recorded, by type.", labels=["type"])
        for event_type, count in sorted(self._events().items()):
            found.add_metric([event_type], count)
        yield found


class Metrics:
    """One registry per application."""

    def __init__(self, events: Callable[[], Mapping[str, int]] = dict) -> None:
        """`events` says how many events of each type were recorded."""
        self.registry = CollectorRegistry()
        self.registry.register(_Events(events))
        self._refusals = Counter(
            "ragward_refusals",
            "Requests refused or failed, by error code.",
            ["code"],
            registry=self.registry,
        )
        self._entries = Gauge(
            "ragward_audit_entries", "Entries of the audit log.", registry=self.registry
        )
        self._spooled = Gauge(
            "ragward_audit_spool_bytes",
            "What processes have spooled, read or not.",
            registry=self.registry,
        )
        self._lag = Gauge(
            "ragward_export_lag",
            "Entries that a receiver of the export has not had.",
            ["receiver"],
            registry=self.registry,
        )
        self._requests = Counter(
            "ragward_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "ragward_request_seconds",
            "Time per request.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "ragward_retrieval_seconds",
            "Time per stage of a retrieval.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._passages = Counter(
            "ragward_passages",
            "Passages given, by classification.",
            ["classification"],
            registry=self.registry,
        )
        self._removed = Counter(
            "ragward_redactions",
            "Personal data taken out, by type.",
            ["entity"],
            registry=self.registry,
        )

        self._rotations = Gauge(
            "ragward_rotations_unfinished",
            "KEKs of which something still lies under an earlier version.",
            registry=self.registry,
        )
        self._pending = Gauge(
            "ragward_pending_versions",
            "Document versions whose relabelling is not finished, by what is due.",
            ["work"],
            registry=self.registry,
        )

    def observe_request(self, route: str, status: int, seconds: float, code: str = "") -> None:
        """One finished request; `code` is that of the error it ended with."""
        if code:
            self._refusals.labels(code).inc()
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def observe_answer(self, answer: Answer) -> None:
        """One retrieval."""
        self._observe_stages(answer.stage_seconds)
        for passage in answer.passages:
            self._passages.labels(passage.classification.name).inc()
            for kind, count in passage.removed.items():
                self._removed.labels(kind).inc(count)

    def observe_pending(self, waiting: Mapping[Pending, int], rotations: int) -> None:
        """What is still to be done, as of now."""
        self._rotations.set(rotations)
        for pending in (Pending.REWRAP, Pending.REENCRYPT):
            self._pending.labels(pending.value).set(waiting.get(pending, 0))

    def observe_log(self, entries: int, spooled: int, lags: Mapping[str, int]) -> None:
        """The audit log and its exports, as of now."""
        self._entries.set(entries)
        self._spooled.set(spooled)
        for receiver, lag in lags.items():
            self._lag.labels(receiver).set(lag)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)

    def _observe_stages(self, seconds: Mapping[str, float]) -> None:
        for stage, value in seconds.items():
            self._stage_seconds.labels(stage).observe(value)
