"""LlamaIndex: `RagwardRetriever`. Needs `ragward[llamaindex]`.

The person's token comes per call, `with asking_as(token): engine.query(question)`, or from the function `user_token`.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ragward.client.retrievers import AsyncRetriever, Retriever, unportable
from ragward.domain.passages import Answer
from ragward.integrations.askers import TokenSource, current_token
from ragward.integrations.texts import Wanted, metadata_of, text_of


class RagwardRetriever(BaseRetriever):
    """Nodes that the asker may know, best first; `marked` puts the answer's marks around each text (docs/clients.md).

    Raises `auth.missing` when nobody is asking, and the errors of a retrieval.
    """

    def __init__(
        self,
        retriever: Retriever,
        *,
        async_retriever: AsyncRetriever | None = None,
        user_token: TokenSource | None = None,
        wanted: Wanted | None = None,
        marked: bool = True,
    ) -> None:
        if user_token is not None and not callable(user_token):
            raise TypeError("user_token is a function that gives the token, not the token")
        self._retriever, self._async_retriever = retriever, async_retriever
        self._user_token, self._wanted, self._marked = user_token, wanted or Wanted(), marked
        super().__init__()

    def __reduce__(self) -> NoReturn:
        raise unportable(self)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        request = self._wanted.request(query_bundle.query_str)
        token = current_token(self._user_token)
        return self._nodes(self._retriever.retrieve(request, user_token=token))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._async_retriever is None:
            return await asyncio.to_thread(
                self._retrieve, query_bundle
            )  # which takes the context along
        request = self._wanted.request(query_bundle.query_str)
        token = current_token(self._user_token)
        return self._nodes(await self._async_retriever.retrieve(request, user_token=token))

    def _nodes(self, answer: Answer) -> list[NodeWithScore]:
        found = []
        for passage in answer.passages:
            metadata = metadata_of(answer, passage)
            node = TextNode(
                id_=passage.chunk_id,
                text=text_of(answer, passage, marked=self._marked),
                metadata=metadata,
                excluded_embed_metadata_keys=list(metadata),
                excluded_llm_metadata_keys=list(metadata),  # a title is the document's own words
            )
            found.append(NodeWithScore(node=node, score=passage.score))
        return found
