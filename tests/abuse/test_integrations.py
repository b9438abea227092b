"""Frameworks print, copy, pickle, save and trace what they are given: a person's token is in none of it, and never a default."""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import pickle
import threading
from contextlib import redirect_stdout

import httpx
import pytest

from ragward.client import AsyncRagwardClient, LocalRetriever, RagwardClient
from ragward.domain.errors import UnauthenticatedError, UnavailableError
from ragward.integrations.askers import UserToken, asking_as, current_token
from ragward.opening import development_token
from tests.abuse.others import document, installation, put

langchain = pytest.importorskip("ragward.integrations.langchain", exc_type=ImportError)
QUESTION = "voltage laboratory"


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    place = tmp_path_factory.mktemp("integrations")
    with installation(place, identity=None, clock=None) as made:
        put(made, document("open"), document("ann", granted=["user:acme/ann"]))
        yield made


@pytest.fixture(scope="module")
def tokens(ragward):
    return {n: development_token(ragward.settings, n, tenant="acme") for n in ("ann", "ben")}


def sources_of(documents):
    return {found.metadata["source"] for found in documents}


@pytest.fixture
def retriever(ragward):
    return langchain.RagwardRetriever(retriever=LocalRetriever(ragward), marked=False)


# Nobody asks: an error, whatever was asked before. ----------------------------------------------------------------------


def test_a_missing_token_is_an_error_and_never_the_last_one(retriever, tokens):
    with asking_as(tokens["ann"]):
        assert "ann" in sources_of(retriever.invoke(QUESTION))
    for attempt in (retriever.invoke, lambda q: asyncio.run(retriever.ainvoke(q))):
        with pytest.raises(UnauthenticatedError) as caught:
            attempt(QUESTION)
        assert caught.value.code == "auth.missing"
    with asking_as(tokens["ann"]), asking_as(None), pytest.raises(UnauthenticatedError):
        retriever.invoke(QUESTION)


@pytest.mark.parametrize("given", ["", None, 7, b"x"])
def test_a_source_that_gives_no_token_is_an_error(ragward, given):
    made = langchain.RagwardRetriever(
        retriever=LocalRetriever(ragward, "rw_key"), user_token=lambda: given
    )
    with pytest.raises(UnauthenticatedError):
        made.invoke(QUESTION)


def test_an_application_key_does_not_stand_in_for_a_person(ragward, tokens):
    """A retriever over a client with a key of its own asks for nobody either: PUBLIC for all would be a default."""
    sent = []
    transport = httpx.MockTransport(lambda request: sent.append(request) or httpx.Response(500))
    with RagwardClient("http://x", "rw_key", transport=transport) as client:
        with pytest.raises(UnauthenticatedError):
            langchain.RagwardRetriever(retriever=client).invoke(QUESTION)
    assert not sent


def test_a_token_in_the_place_of_the_function_is_refused(ragward, tokens):
    with pytest.raises(TypeError):
        langchain.RagwardRetriever(retriever=LocalRetriever(ragward), user_token=tokens["ann"])


# What a framework keeps. --------------------------------------------------------------------------------------------------


def test_no_token_in_repr_pickle_copy_or_json(retriever, tokens):
    with asking_as(tokens["ann"]):
        assert retriever.invoke(QUESTION)
        shown = [repr(retriever), str(retriever), retriever.model_dump_json(), str(vars(retriever))]
        shown += [
            str(retriever.to_json()),
            repr(UserToken(tokens["ann"])),
            repr(copy.copy(retriever)),
        ]
        shown += [f"{UserToken(tokens['ann'])}", str(retriever.get_name())]
        for whole in (retriever, UserToken(tokens["ann"]), LocalRetriever(None)):
            with pytest.raises(TypeError):
                pickle.dumps(whole)
    with RagwardClient("http://x", tokens["ann"]) as client:
        shown.append(repr(client))
        for attempt in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                attempt(client)
    assert not [text for text in shown if tokens["ann"] in text]
    with pytest.raises(TypeError):
        pickle.dumps(AsyncRagwardClient("http://x", tokens["ann"]))


def test_no_token_in_callbacks_traces_events_or_logs(ragward, retriever, tokens, caplog):
    from langchain_core.globals import set_debug
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tracers.base import BaseTracer

    class Recording(BaseTracer):
        def __init__(self):
            super().__init__()
            self.runs = []

        def _persist_run(self, run):
            self._keep(run)

        def _keep(self, run):
            self.runs.append(run)
            for inner in run.child_runs:
                self._keep(inner)

    caplog.set_level(logging.DEBUG)
    tracer, printed = Recording(), io.StringIO()
    chain = RunnableLambda(lambda q: q) | retriever | RunnableLambda(sources_of)
    config = {
        "configurable": {"ragward_user_token": UserToken(tokens["ann"])},
        "callbacks": [tracer],
    }

    async def events():
        return [event async for event in chain.astream_events(QUESTION, config, version="v2")]

    set_debug(True)
    try:
        with redirect_stdout(printed):
            assert "ann" in chain.invoke(QUESTION, config)
            streamed = asyncio.run(events())
    finally:
        set_debug(False)
    recorded = [repr(vars(run)) for run in tracer.runs]
    assert any("RagwardRetriever" in text for text in recorded), "the run was traced"
    everything = [*recorded, repr(streamed), printed.getvalue(), caplog.text]
    assert not [text for text in everything if tokens["ann"] in text]


def test_a_plain_token_in_the_configuration_is_refused_because_it_is_recorded(retriever, tokens):
    config = {"configurable": {"ragward_user_token": tokens["ann"]}}
    with pytest.raises(UnauthenticatedError, match="UserToken"):
        retriever.invoke(QUESTION, config)


def test_an_error_of_the_connection_does_not_carry_the_request(tokens):
    """Reporters of errors keep the objects in the chain of an exception; httpx's has the headers in it."""

    def broken(request):
        raise httpx.ConnectError("refused", request=request)

    with RagwardClient("http://x", "key", transport=httpx.MockTransport(broken)) as client:
        with pytest.raises(UnavailableError) as caught:
            client.retrieve("x", user_token=tokens["ann"])
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)


# Two people at once. ------------------------------------------------------------------------------------------------------


def test_two_people_at_the_same_time_do_not_get_each_others_answers(retriever, tokens):
    """In threads and in tasks; the token of one request is not the next one's."""
    found = {}

    def ask(name):
        with asking_as(tokens[name]):
            for _ in range(5):
                found.setdefault(name, set()).update(sources_of(retriever.invoke(QUESTION)))

    threads = [threading.Thread(target=ask, args=(name,)) for name in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"ann": {"open", "ann"}, "ben": {"open"}}

    async def one(name):
        with asking_as(tokens[name]):
            await asyncio.sleep(0)
            return sources_of(await retriever.ainvoke(QUESTION))

    async def both():
        return await asyncio.gather(one("ann"), one("ben"))

    assert asyncio.run(both()) == [{"open", "ann"}, {"open"}]
    with pytest.raises(UnauthenticatedError):
        current_token()


def test_a_documents_attributes_do_not_take_our_names(ragward, tokens, retriever):
    put(ragward, document("forged", attributes={"classification": "PUBLIC", "trust": "curated"}))
    with asking_as(tokens["ben"]):
        found = {d.metadata["source"]: d.metadata for d in retriever.invoke(QUESTION)}
    assert (found["forged"]["classification"], found["forged"]["trust"]) == (
        "INTERNAL",
        "untrusted",
    )
