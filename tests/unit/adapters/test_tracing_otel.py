"""Spans say how long and how much, under the caller's trace, and never what was asked or read."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ragward.adapters.tracing_otel import Tracing
from ragward.answers import Tally
from ragward.api.middleware import TraceContext
from ragward.domain.errors import ConfigurationError, DeniedError
from ragward.domain.passages import RetrievalRequest
from ragward.settings import Settings, outgoing_hosts
from tests import company
from tests.installation import asked_by, initialised, opened
from tests.unit.adapters.test_export import Service

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUESTION = "zebra-question about the budget"


@pytest.fixture
def finished():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(finished):
    made = Tracing.by(SimpleSpanProcessor(finished))
    yield made
    made.close()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return initialised(tmp_path_factory.mktemp("tracing") / "home")


def test_an_answer_is_a_span_with_its_stages_below_and_nothing_that_was_asked(settings):
    collector = Service()
    with opened(
        settings.model_copy(
            update={"otel_endpoint": collector.url.replace("/events", "/v1/traces")}
        )
    ) as ragward:
        for document in company.documents(8):
            ragward.ingestion.ingest(company.subject("steward"), document)
        with ragward.tracing.under(CALLER):
            answer = ragward.retrieve(asked_by("ann"), QUESTION)
    collector.close()
    sent = b"".join(collector.bodies)
    for stage in (b"retrieval", b"identity", b"audit", b"redact"):
        assert stage in sent
    assert bytes.fromhex(CALLER.split("-")[1]) in sent
    assert answer.receipt.receipt_id.encode() in sent
    assert b"zebra" not in sent
    assert b"user:acme" not in sent
    for passage in answer.passages:
        assert passage.text[:20].encode() not in sent


def test_stages_are_children_and_are_counted_as_without(tracing, finished):
    tally = tracing.tally(company.SetClock())

    def retrieve(request):
        with tally.stage("search"), tally.stage("inner"):
            pass
        raise DeniedError(f"not for you: {QUESTION}")

    with pytest.raises(DeniedError), tracing.under(CALLER):
        tracing.answered(RetrievalRequest(query=QUESTION), retrieve)
    spans = {span.name: span for span in finished.get_finished_spans()}
    root = spans["retrieval"]
    assert spans["search"].parent.span_id == root.context.span_id
    assert spans["inner"].parent.span_id == spans["search"].context.span_id
    assert f"{root.context.trace_id:032x}" == CALLER.split("-")[1]
    assert f"{root.parent.span_id:016x}" == CALLER.split("-")[2]
    assert root.attributes["error.type"] == "access.denied"
    assert root.status.description is None
    assert not root.events
    assert "zebra" not in "".join(span.to_json() for span in spans.values())
    assert set(tally.seconds) == {"search", "inner"}


@pytest.mark.parametrize(
    "given",
    ["", "x", CALLER[:-3], "00-" + "0" * 32 + "-b7ad6b7169203331-01", "\udcff" * 3, "a" * 9999],
)
def test_what_is_no_traceparent_begins_a_trace_of_its_own(tracing, finished, given):
    with tracing.under(given), tracing.tally(company.SetClock()).stage("x"):
        pass
    assert finished.get_finished_spans()[0].parent is None


def test_a_request_lies_under_its_header(tracing, finished):
    async def app(scope, receive, send):
        with tracing.tally(company.SetClock()).stage("x"):
            pass

    headers = [
        (b"traceparent", CALLER.encode()),
        (b"tracestate", b"a=text"),
        (b"baggage", b"q=zebra"),
    ]
    scope = {"type": "http", "headers": headers}
    asyncio.run(TraceContext(app, tracing=tracing)(scope, None, None))
    span = finished.get_finished_spans()[0]
    assert f"{span.context.trace_id:032x}" == CALLER.split("-")[1]
    assert not span.context.trace_state


def test_without_the_setting_there_is_nothing(settings):
    with opened(settings) as ragward:
        assert ragward.tracing is None
        assert ragward.retrieval._ports.tally is Tally


@pytest.mark.parametrize("url", ["http://collector.example/v1/traces", "ftp://x/", "collector"])
def test_spans_do_not_travel_in_clear(tmp_path, url):
    with pytest.raises(ConfigurationError):
        Settings.load(data_dir=tmp_path / "d", keyring=tmp_path / "k", otel_endpoint=url)


def test_the_collector_is_a_host_that_may_be_connected_to(tmp_path):
    made = Settings.load(
        data_dir=tmp_path / "d",
        keyring=tmp_path / "k",
        otel_endpoint="https://collector.example/v1/traces",
        audit_export=("syslog+tls://siem.example:6514", "file:/x"),
    )
    assert {"collector.example", "siem.example"} <= outgoing_hosts(made)
