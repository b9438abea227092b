"""Other people's clients, unmodified, against a live server: MCP's own over both transports, LangChain's test suite, Dify's
request. Two people get two answers through each of them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from ragward.client import AsyncRagwardClient, LocalRetriever, RagwardClient
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from ragward.integrations.askers import UserToken, asking_as
from tests import company
from tests.e2e.frameworks import framework

QUESTION = "voltage laboratory"


@pytest.fixture(scope="module", autouse=True)
def documents(served):
    """Three that ben may read too, one of them long, and one that is ann's; their ids by name."""
    texts = {
        "safety": "Wear goggles in the voltage laboratory",
        "hours": "The voltage laboratory opens at nine",
        "long": "The voltage laboratory, in parts.\n\n"
        + "\n\n".join(f"Part {n} of the voltage laboratory is about {n}." for n in range(12)),
        "anns": "Ann's plans: a new voltage laboratory",
    }
    found = {}
    for name, text in texts.items():
        label = AccessLabel(
            tenant="acme",
            corpus="hr" if name == "long" else "eng",
            classification=Classification.INTERNAL,
            granted=frozenset(["user:acme/ann" if name == "anns" else "group:acme/staff"]),
        )
        from ragward.domain.corpus import SourceDocument

        document = SourceDocument(
            source=f"lab/{name}.txt",
            filename=f"{name}.txt",
            data=text.encode(),
            label=label,
            attributes={"team": name},
        )
        steward = company.subject("steward")
        found[name] = served.ragward.ingestion.ingest(steward, document).document_id
    return found


# MCP. ---------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def over_http(served, token):
    """MCP's own client over streamable HTTP."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        async with Client(streamable_http_client(f"{served.url}/mcp", http_client=http)) as client:
            yield client


def over_stdio(served, token, file):
    """The same over a process's standard input and output."""
    file.write_text(token)
    command = [sys.executable, "-m", "ragward", "mcp", "--server", served.url]
    parameters = StdioServerParameters(
        command=command[0],
        args=[*command[1:], "--token-file", str(file)],
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PATH": os.environ["PATH"]},
    )
    return Client(stdio_client(parameters))


async def used(opening, documents):
    """What somebody finds, and gets of each document by its id; None for not found."""
    async with opening as client:
        listed = await client.list_tools()
        result = await client.call_tool("search", {"query": QUESTION})
        assert json.loads(result.content[0].text) == result.structured_content
        fetched = {}
        for name, document_id in documents.items():
            got = await client.call_tool("fetch", {"id": document_id})
            fetched[name] = None if got.is_error else got.structured_content
            if got.is_error:
                absent = await client.call_tool("fetch", {"id": "absent"})
                assert got.content[0].text == absent.content[0].text
            else:
                assert json.loads(got.content[0].text) == got.structured_content
        return [tool.name for tool in listed.tools], result.structured_content, fetched


async def used_by_both(clients, documents):
    return await asyncio.gather(*(used(client, documents) for client in clients))


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_mcp_search_and_fetch_as_two_people(served, documents, transport, tmp_path):
    people, found, texts = ("ann", "ben"), {}, {}
    clients = [
        over_http(served, served.token(name))
        if transport == "http"
        else over_stdio(served, served.token(name), tmp_path / f"{name}.token")
        for name in people
    ]
    both = asyncio.run(used_by_both(clients, documents))
    for name, (names, result, fetched) in zip(people, both, strict=True):
        assert names == ["search", "fetch"]
        for hit in result["results"]:
            assert hit.keys() == {"id", "title", "url"}
            assert hit["url"].startswith("http")
        found[name], texts[name] = {hit["id"] for hit in result["results"]}, fetched
        assert len(result["results"]) == len(found[name])
    assert documents["anns"] in found["ann"] - found["ben"]
    assert documents["safety"] in found["ann"] & found["ben"]
    assert {name: text is None for name, text in texts["ben"].items()} == {
        "safety": False,
        "hours": False,
        "long": False,
        "anns": True,
    }
    assert texts["ann"]["anns"]["text"].count("Ann's plans") == 1


def test_a_fetched_document_is_whole_quoted_and_in_its_order(served, documents):
    with RagwardClient(served.url) as client:
        _, _, texts = asyncio.run(used(over_http(served, served.token("ben")), documents))
        answer = client.retrieve(QUESTION, user_token=served.token("ben"))
    fetched = texts["long"]
    assert fetched.keys() == {"id", "title", "text", "url", "metadata"}
    assert fetched["metadata"]["trust"] == "untrusted"
    assert [f"about {n}." in fetched["text"] for n in range(12)] == [True] * 12
    places = [fetched["text"].index(f"Part {n} ") for n in range(12)]
    assert places == sorted(places)
    assert fetched["text"].startswith("Text between a line that begins with DATA")
    assert fetched["text"].count("\nEND ") == fetched["metadata"]["passages"] >= 1
    assert answer.passages


# One document. ------------------------------------------------------------------------------------------------------------


def test_a_question_to_one_document_is_answered_from_it_alone(served, documents):
    def asked(name, document):
        request = RetrievalRequest(query=QUESTION, document_id=documents.get(document, document))
        with RagwardClient(served.url) as client:
            return client.retrieve(request, user_token=served.token(name)).passages

    assert {p.document_id for p in asked("ben", "long")} == {documents["long"]}
    assert asked("ann", "anns")
    assert asked("ben", "anns") == asked("ben", "absent") == ()


# Dify. ----------------------------------------------------------------------------------------------------------------------


def dify(served, credential, corpus="eng", query=QUESTION, **given):
    setting = {"top_k": 5, "score_threshold": 0.0}
    body = {"knowledge_id": corpus, "query": query, "retrieval_setting": setting} | given
    return httpx.post(
        f"{served.url}/dify/retrieval",
        json=body,
        headers={"Authorization": f"Bearer {credential}"},
    )


def test_dify_gets_what_its_key_may_know_and_no_more(served, documents):
    answers = {name: dify(served, served.token(name)) for name in ("ann", "ben")}
    for answer in answers.values():
        for record in answer.json()["records"]:
            assert record.keys() == {"content", "score", "title", "metadata"}
            assert record["content"].startswith("DATA ")
            assert isinstance(record["metadata"], dict)
    ids = {
        name: {r["metadata"]["document_id"] for r in answer.json()["records"]}
        for name, answer in answers.items()
    }
    assert documents["anns"] in ids["ann"] - ids["ben"]
    alone = dify(served, served.key)
    if alone.status_code == 200:
        assert {r["metadata"]["classification"] for r in alone.json()["records"]} <= {"PUBLIC"}
    assert dify(served, "wrong").status_code == 401
    assert dify(served, served.token("ben"), corpus="nothing").status_code == 404


def test_difys_conditions_narrow_and_none_is_left_out(served, documents):
    def teams(operator, value, name="team"):
        condition = {"name": [name], "comparison_operator": operator, "value": value}
        found = dify(
            served,
            served.token("ann"),
            metadata_condition={"logical_operator": "and", "conditions": [condition]},
        )
        return found.status_code, {
            r["metadata"].get("team") for r in found.json().get("records", ())
        }

    assert teams("is", "hours") == (200, {"hours"})
    assert teams("is not", "hours")[1].isdisjoint({"hours"})
    assert teams("is", "nobody") == (200, set())
    assert teams("contains", "ho")[0] == 422
    best = dify(served, served.token("ann"), retrieval_setting={"top_k": 5, "score_threshold": 0.9})
    assert len(best.json()["records"]) == 1


# Frameworks. ----------------------------------------------------------------------------------------------------------------


def by_framework(retrieve, served):
    """Which of the documents two people find."""
    found = {}
    for name in ("ann", "ben"):
        with asking_as(served.token(name)):
            found[name] = {n for n in retrieve() if n}
    return found


EXPECTED = {"ann": {"safety", "hours", "anns"}, "ben": {"safety", "hours"}}


@pytest.mark.parametrize("where", ["rest", "here"])
def test_langchain_as_two_people(served, where):
    langchain = framework("ragward.integrations.langchain")
    with RagwardClient(served.url) as client:
        retriever = langchain.RagwardRetriever(
            retriever=client if where == "rest" else LocalRetriever(served.ragward),
            corpora=("eng",),
            k=20,
        )

        def found():
            return {d.metadata.get("team") for d in retriever.invoke(QUESTION)}

        assert by_framework(found, served) == EXPECTED


def test_langchain_without_blocking(served):
    langchain = framework("ragward.integrations.langchain")

    async def ask():
        async with AsyncRagwardClient(served.url) as client:
            retriever = langchain.RagwardRetriever(async_retriever=client, corpora=("eng",), k=20)
            config = {"configurable": {"ragward_user_token": UserToken(served.token("ben"))}}
            return {d.metadata.get("team") for d in await retriever.ainvoke(QUESTION, config)}

    assert asyncio.run(ask()) - {None} == EXPECTED["ben"]


def test_llamaindex_as_two_people(served):
    llamaindex = framework("ragward.integrations.llamaindex")
    from ragward.integrations.texts import Wanted

    with RagwardClient(served.url) as client:
        retriever = llamaindex.RagwardRetriever(client, wanted=Wanted(corpora=("eng",), limit=20))

        def found():
            return {n.metadata.get("team") for n in retriever.retrieve(QUESTION)}

        assert by_framework(found, served) == EXPECTED
        with asking_as(served.token("ben")):
            nodes = asyncio.run(retriever.aretrieve(QUESTION))
        assert {n.metadata.get("team") for n in nodes} - {None} == EXPECTED["ben"]


def test_haystack_as_two_people(served):
    haystack = framework("ragward.integrations.haystack")
    from haystack import Pipeline

    def pipeline():
        made = Pipeline()
        made.add_component(
            "ragward", haystack.RagwardRetriever(served.url, corpora=["eng"], top_k=20)
        )
        return made

    saved = pipeline().dumps()
    found = {}
    for name in ("ann", "ben"):
        token = served.token(name)
        inputs = {"ragward": {"query": QUESTION, "user_token": UserToken(token)}}
        loaded = Pipeline.loads(saved, allowed_modules=[haystack.__name__])
        documents = loaded.run(inputs)["ragward"]["documents"]
        loaded.get_component("ragward").close()
        found[name] = {d.meta.get("team") for d in documents} - {None}
        assert token not in saved
    assert found == EXPECTED


@pytest.mark.parametrize(
    "through", ["client", "openai", "mcp", "langchain", "llamaindex", "haystack"]
)
def test_the_example_runs(served, through, tmp_path, capsys):
    if through in ("langchain", "llamaindex", "haystack"):
        framework(f"ragward.integrations.{through}")
    path = Path(__file__).parents[2] / "examples" / "clients" / "two_people.py"
    spec = importlib.util.spec_from_file_location("two_people", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    files = [tmp_path / "ann", tmp_path / "ben"]
    for file in files:
        file.write_text(served.token(file.name))
    asked = ["--url", served.url, "--corpus", "eng", "--question", QUESTION, "--through", through]
    example.main([*asked, *map(str, files)])
    lines = capsys.readouterr().out.splitlines()  # the server in this process says something too
    ann, ben = (line for line in lines if line.startswith(("ann: ", "ben: ")))
    assert ("anns" in ann or "Ann's" in ann, "anns" in ben or "Ann's" in ben) == (True, False)
