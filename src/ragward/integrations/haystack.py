"""Haystack: `RagwardRetriever`. Needs `ragward[haystack]`.

The person's token is an input of each run, `pipeline.run({"retriever": {"query": q, "user_token": UserToken(token)}})`, or
comes with `asking_as(token)`. The application's own credential is a `Secret`, which a pipeline's file holds by name only.
"""

from __future__ import annotations

from typing import Any, NoReturn

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret, deserialize_secrets_inplace

from ragward.client.retrievers import Retriever, unportable
from ragward.client.sync import RagwardClient
from ragward.integrations.askers import UserToken, asking_as, current_token
from ragward.integrations.texts import Wanted, metadata_of, text_of


@component
class RagwardRetriever:
    """Documents that the asker may know, best first; `marked` puts the answer's marks around each text (docs/clients.md)."""

    def __init__(
        self,
        url: str,
        credential: Secret | None = None,
        corpora: list[str] | None = None,
        top_k: int = 4,
        purpose: str = "",
        marked: bool = True,
    ) -> None:
        self.url, self.credential = url, credential
        self.corpora, self.top_k, self.purpose, self.marked = corpora, top_k, purpose, marked
        self._retriever: Retriever | None = None

    @classmethod
    def local(cls, retriever: Retriever, **given: Any) -> RagwardRetriever:
        """Over what is open in this process; such a pipeline cannot be saved."""
        made: RagwardRetriever = cls(url="", **given)
        made._retriever = retriever
        return made

    def __reduce__(self) -> NoReturn:
        raise unportable(self)

    def warm_up(self) -> None:
        """Makes the connection's client."""
        if self._retriever is None:
            credential = self.credential.resolve_value() if self.credential else None
            self._retriever = RagwardClient(self.url, credential)

    def close(self) -> None:
        """Releases the connections of the client that it made."""
        if isinstance(self._retriever, RagwardClient) and self.url:
            self._retriever.close()
            self._retriever = None

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file. Raises `ValueError` for one over what is open in this process."""
        if not self.url:
            raise ValueError("a retriever over an open installation cannot be saved")
        data: dict[str, Any] = default_to_dict(
            self,
            url=self.url,
            credential=self.credential.to_dict() if self.credential else None,
            corpora=self.corpora,
            top_k=self.top_k,
            purpose=self.purpose,
            marked=self.marked,
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RagwardRetriever:
        """From a pipeline's file."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["credential"])
        made: RagwardRetriever = default_from_dict(cls, data)
        return made

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, user_token: UserToken | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """One question. Raises `auth.missing` when nobody is asking, `TypeError` for a plain text as the token, and the
        errors of a retrieval."""
        if user_token is not None and not isinstance(user_token, UserToken):
            raise TypeError("Haystack records a component's inputs: wrap the token in UserToken")
        if user_token is not None:
            with asking_as(user_token):
                found: dict[str, list[Document]] = self.run(query=query, top_k=top_k)
            return found
        self.warm_up()
        assert self._retriever is not None
        wanted = Wanted(corpora=tuple(self.corpora or ()), limit=self.top_k, purpose=self.purpose)
        answer = self._retriever.retrieve(wanted.request(query, top_k), user_token=current_token())
        return {
            "documents": [
                Document(
                    id=passage.chunk_id,
                    content=text_of(answer, passage, marked=self.marked),
                    meta=metadata_of(answer, passage),
                    score=passage.score,
                )
                for passage in answer.passages
            ]
        }
