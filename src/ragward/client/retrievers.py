"""One shape of asking, in process and over REST: what frameworks are adapted to."""

from __future__ import annotations

from typing import Protocol

from ragward.domain.access import Credentials
from ragward.domain.errors import UnauthenticatedError
from ragward.domain.passages import Answer, RetrievalRequest


class Retriever(Protocol):
    """Answers for the person whose token comes with the call; `RagwardClient` and `LocalRetriever` do."""

    def retrieve(self, request: RetrievalRequest | str, *, user_token: str | None = None) -> Answer:
        """What this asker may know, with a receipt. Raises `auth.*` when nobody is asking, and what a retrieval raises."""


class AsyncRetriever(Protocol):
    """The same for asyncio; `AsyncRagwardClient` does."""

    async def retrieve(
        self, request: RetrievalRequest | str, *, user_token: str | None = None
    ) -> Answer:
        """What this asker may know, with a receipt. Raises as `Retriever.retrieve`."""


class Answering(Protocol):
    """An open installation, as `Ragward` is."""

    def retrieve(self, credentials: Credentials, request: RetrievalRequest | str) -> Answer:
        """Answers a question."""


class LocalRetriever:
    """An installation that is open in this process, as a `Retriever`.

    `credential` is the application's; without one a person's token has to come with each call, as through a public client.
    """

    def __init__(self, ragward: Answering, credential: str | None = None) -> None:
        self._ragward, self._credential = ragward, credential

    def __reduce__(self) -> str:
        raise unportable(self)

    def retrieve(self, request: RetrievalRequest | str, *, user_token: str | None = None) -> Answer:
        """What this asker may know, with a receipt. Raises as `Ragward.retrieve`, and `auth.missing`."""
        return self._ragward.retrieve(credentials_of(self._credential, user_token), request)


def credentials_of(credential: str | None, user_token: str | None) -> Credentials:
    """What a request carries. Raises `auth.missing` when nobody would be asking."""
    if user_token == "" or not (credential or user_token):
        raise UnauthenticatedError("no user token was given", code="auth.missing")
    if not credential:
        return Credentials(untrusted_authorization=user_token)
    return Credentials(untrusted_authorization=credential, untrusted_user_authorization=user_token)


def unportable(what: object) -> TypeError:
    """Why something with a credential or a connection in it is neither pickled nor copied."""
    return TypeError(
        f"a {type(what).__name__} holds credentials: make one where it is used instead of sending it there"
    )
