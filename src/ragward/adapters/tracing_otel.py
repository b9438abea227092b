"""Spans of retrievals for an OpenTelemetry collector: one for each answer, one below it for each of its steps.

Ids and counts only: never a query, a text or a name. Spans wait in a bounded queue and are dropped when it is full: an answer
never waits for a collector. Attribute names follow OpenTelemetry's conventions for generative AI where there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ragward.answers import Tally
from ragward.domain.errors import ConfigurationError, RagwardError
from ragward.domain.passages import Answer, RetrievalRequest
from ragward.ports import Clock

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Tracer

_MAX_DOCUMENTS: Final = 50


class Tracing:
    """Makes spans. Thread-safe."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("ragward", version("ragward"))

    @classmethod
    def open(cls, endpoint: str) -> Tracing:
        """To a collector that speaks OTLP over HTTP. Raises `config.invalid` where the extra `otel` is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigurationError("otel_endpoint needs the extra `otel`") from error
        return cls.by(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))

    @classmethod
    def by(cls, processor: SpanProcessor) -> Tracing:
        """With what becomes of finished spans."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        # Said here, not detected: detectors read the environment, command lines and host names.
        about = {"service.name": "ragward", "service.version": version("ragward")}
        provider = TracerProvider(resource=Resource(about), shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return cls(provider)

    def tally(self, clock: Clock) -> Tally:
        """A tally whose stages are spans under the one of the answer."""
        return TracedTally(clock, self._tracer)

    def answered(
        self, request: RetrievalRequest, retrieve: Callable[[RetrievalRequest], Answer]
    ) -> Answer:
        """The answer, in a span."""
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            "retrieval",
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": "retrieval",
                "gen_ai.request.top_k": request.limit,
                "ragward.corpora": len(request.corpora),
                "ragward.search": request.search.value,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                answer = retrieve(request)
            except BaseException as error:
                code = error.code if isinstance(error, RagwardError) else "internal.error"
                span.set_attribute("error.type", code)
                span.set_status(StatusCode.ERROR)
                raise
            documents = dict.fromkeys(passage.document_id for passage in answer.passages)
            span.set_attributes(
                {
                    "ragward.receipt_id": answer.receipt.receipt_id,
                    "ragward.passages": len(answer.passages),
                    "ragward.documents": list(documents)[:_MAX_DOCUMENTS],
                    "ragward.classification": answer.classification.name,
                    "ragward.query_flags": len(answer.query_flags),
                }
            )
            return answer

    @contextmanager
    def under(self, traceparent: str) -> Iterator[None]:
        """Makes what is begun within it part of the caller's trace. What is not a `traceparent` begins one of its own; of a
        caller's `tracestate` and baggage, which hold text, nothing is taken."""
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        found = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        token = context.attach(found)
        try:
            yield
        finally:
            context.detach(token)

    def close(self) -> None:
        """Sends what waits, for a few seconds at most."""
        self._provider.shutdown()


class TracedTally(Tally):
    """Each stage is a span, too."""

    __slots__ = ("_tracer",)

    def __init__(self, clock: Clock, tracer: Tracer) -> None:
        super().__init__(clock)
        self._tracer = tracer

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the seconds of a step, in a span."""
        with (
            self._tracer.start_as_current_span(
                name, record_exception=False, set_status_on_exception=False
            ),
            super().stage(name),
        ):
            yield
