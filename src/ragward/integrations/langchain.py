"""LangChain: `RagwardRetriever`. Needs `ragward[langchain]`.

The person's token comes per call, one of three ways, and is an error when it is missing:

    with asking_as(token): chain.invoke(question)                                # for a whole request
    RagwardRetriever(retriever=client, user_token=token_of_this_request)          # a function
    chain.invoke(question, config={"configurable": {"ragward_user_token": UserToken(token)}})

LangChain copies plain strings out of `configurable` into the metadata that its tracers record: one is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, ensure_config, run_in_executor
from pydantic import ConfigDict, Field

from ragward.client.retrievers import AsyncRetriever, Retriever, unportable
from ragward.domain.errors import UnauthenticatedError
from ragward.domain.passages import Answer
from ragward.integrations.askers import TokenSource, UserToken, asking_as, current_token
from ragward.integrations.texts import Wanted, metadata_of, text_of

CONFIGURED: Final = "ragward_user_token"


class RagwardRetriever(BaseRetriever):
    """Documents that the asker may know, best first.

    `k` is how many; `marked` puts the answer's marks around each text (docs/clients.md). With `async_retriever` nothing
    blocks the event loop; without it `retriever` is called in a thread. Raises `auth.missing` when nobody is asking, and
    the errors of a retrieval.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    retriever: Any = Field(default=None, repr=False, exclude=True)
    """A `Retriever`: `RagwardClient`, `LocalRetriever`."""
    async_retriever: Any = Field(default=None, repr=False, exclude=True)
    user_token: Any = Field(default=None, repr=False, exclude=True)
    """A function that gives the token of whoever is asking now; never the token."""
    corpora: tuple[str, ...] = ()
    k: int = Field(default=4, ge=1, le=50)
    purpose: str = ""
    marked: bool = True

    def model_post_init(self, context: Any) -> None:
        """Raises `TypeError` for a token in the place of the function."""
        super().model_post_init(context)
        if self.retriever is None and self.async_retriever is None:
            raise TypeError("there is nothing to ask: give a retriever, or an async_retriever")
        if self.user_token is not None and not callable(self.user_token):
            raise TypeError("user_token is a function that gives the token, not the token")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise unportable(self)

    def invoke(
        self,
        input: str,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """As every runnable."""
        with _configured(config):
            found: list[Document] = super().invoke(input, config, **kwargs)
        return found

    async def ainvoke(
        self,
        input: str,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """As every runnable."""
        with _configured(config):
            found: list[Document] = await super().ainvoke(input, config, **kwargs)
        return found

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the signature is LangChain's
        k: int | None = None,
    ) -> list[Document]:
        retriever: Retriever | None = self.retriever
        if retriever is None:
            raise TypeError("this retriever was made for asyncio alone: give it a retriever too")
        request = self._wanted().request(query, k)
        return self._documents(retriever.retrieve(request, user_token=self._token()))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
    ) -> list[Document]:
        if self.async_retriever is None:
            blocking = run_manager.get_sync()
            found: list[Document] = await run_in_executor(
                None, self._get_relevant_documents, query, run_manager=blocking, k=k
            )
            return found
        retriever: AsyncRetriever = self.async_retriever
        request = self._wanted().request(query, k)
        return self._documents(await retriever.retrieve(request, user_token=self._token()))

    def _wanted(self) -> Wanted:
        return Wanted(corpora=self.corpora, limit=self.k, purpose=self.purpose)

    def _token(self) -> str:
        source: TokenSource | None = self.user_token
        return current_token(source)

    def _documents(self, answer: Answer) -> list[Document]:
        return [
            Document(
                id=passage.chunk_id,
                page_content=text_of(answer, passage, marked=self.marked),
                metadata=metadata_of(answer, passage),
            )
            for passage in answer.passages
        ]


@contextmanager
def _configured(config: RunnableConfig | None) -> Iterator[None]:
    """Whom the configuration names, if it names somebody."""
    given = ensure_config(config).get("configurable", {}).get(CONFIGURED)
    if given is None:
        yield
        return
    if not isinstance(given, UserToken):
        raise UnauthenticatedError(
            "LangChain records plain strings of `configurable` in its traces: wrap the token in UserToken",
            code="auth.missing",
        )
    with asking_as(given):
        yield
