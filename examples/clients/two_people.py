"""The same question as two people, through the client of your choice.

ragward demo --keep demo --serve                     # in another terminal: says how to make tokens
ragward --settings demo/ragward.toml token alice --tenant aurora > alice.token
ragward --settings demo/ragward.toml token bob --tenant aurora > bob.token
python examples/clients/two_people.py --through langchain alice.token bob.token
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from ragward.client import RagwardClient
from ragward.integrations.askers import UserToken, asking_as

Found = list[str]


def by_client(url: str, corpus: str, token: str, question: str) -> Found:
    """ragward's own."""
    from ragward.domain.passages import RetrievalRequest

    with RagwardClient(url) as client:
        request = RetrievalRequest(query=question, corpora=(corpus,))
        answer = client.retrieve(request, user_token=token)
    return [passage.source for passage in answer.passages]


def by_openai(url: str, corpus: str, token: str, question: str) -> Found:
    """OpenAI's: a corpus is a vector store."""
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key=token) as client:
        page = client.vector_stores.search(corpus, query=question)
        return [hit.filename for hit in page]


def by_langchain(url: str, corpus: str, token: str, question: str) -> Found:
    """LangChain's retriever."""
    from ragward.integrations.langchain import RagwardRetriever

    with RagwardClient(url) as client, asking_as(token):
        retriever = RagwardRetriever(retriever=client, corpora=(corpus,), k=10)
        return [document.metadata["source"] for document in retriever.invoke(question)]


def by_llamaindex(url: str, corpus: str, token: str, question: str) -> Found:
    """LlamaIndex's retriever."""
    from ragward.integrations.llamaindex import RagwardRetriever
    from ragward.integrations.texts import Wanted

    with RagwardClient(url) as client, asking_as(token):
        retriever = RagwardRetriever(client, wanted=Wanted(corpora=(corpus,), limit=10))
        return [node.metadata["source"] for node in retriever.retrieve(question)]


def by_haystack(url: str, corpus: str, token: str, question: str) -> Found:
    """A Haystack pipeline."""
    from haystack import Pipeline

    from ragward.integrations.haystack import RagwardRetriever

    pipeline = Pipeline()
    pipeline.add_component("ragward", RagwardRetriever(url, corpora=[corpus], top_k=10))
    run = pipeline.run({"ragward": {"query": question, "user_token": UserToken(token)}})
    pipeline.get_component("ragward").close()
    return [document.meta["source"] for document in run["ragward"]["documents"]]


def by_mcp(url: str, _corpus: str, token: str, question: str) -> Found:
    """An assistant's tools; they search all corpora."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def ask() -> Found:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            result = await client.call_tool("search", {"query": question})
        return [hit["title"] for hit in result.structured_content["results"]]

    return asyncio.run(ask())


THROUGH: dict[str, Callable[[str, str, str, str], Found]] = {
    "client": by_client,
    "openai": by_openai,
    "langchain": by_langchain,
    "llamaindex": by_llamaindex,
    "haystack": by_haystack,
    "mcp": by_mcp,
}


def main(arguments: list[str] | None = None) -> None:
    """Asks, and prints what each of them finds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokens", nargs="+", type=Path, help="files with a person's token each")
    parser.add_argument("--url", default="http://127.0.0.1:8420")
    parser.add_argument("--corpus", default="hr")
    parser.add_argument("--question", default="How long is parental leave?")
    parser.add_argument("--through", choices=sorted(THROUGH), default="client")
    given = parser.parse_args(arguments)
    for file in given.tokens:
        token = file.read_text(encoding="utf-8").strip()
        found = THROUGH[given.through](given.url, given.corpus, token, given.question)
        print(f"{file.stem}: {', '.join(found) or 'nothing'}")


if __name__ == "__main__":
    main()
