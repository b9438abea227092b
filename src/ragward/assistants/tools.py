"""What the two tools do, for one asker, with no protocol in it.

`search` gives ids, titles and addresses; `fetch` a document by id, as much as the asker may see and one answer may hold. Both
are retrievals: what is denied is not found, everything is recorded, texts come between their answer's marks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ragward.client.retrievers import Answering
from ragward.client.sync import RagwardClient
from ragward.domain.access import Credentials, Subject
from ragward.domain.errors import NotFoundError
from ragward.domain.handling import Mode
from ragward.domain.marking import NOTICE
from ragward.domain.passages import Answer, Passage, RetrievalRequest

_FOUND: Final = 10
_LARGEST: Final = 50
_TITLE_CHARACTERS: Final = 200
_ID_CHARACTERS: Final = 100


class Asker(Protocol):
    """Somebody who asks: each call is made with their credentials, and verified anew."""

    def retrieve(self, request: RetrievalRequest) -> Answer:
        """What they may know."""

    def title(self, document_id: str) -> str:
        """A document's title. Raises `access.not_found`, absent or not theirs to know of."""


class _Documents(Protocol):
    def document(self, subject: Subject, document_id: str) -> Any: ...


class Installation(Answering, Protocol):
    """An open installation, as `Ragward` is."""

    @property
    def stewardship(self) -> _Documents:
        """Documents by id."""

    def identify(self, credentials: Credentials) -> Subject:
        """The verified subject."""


@dataclass(frozen=True, slots=True)
class LocalAsker:
    """Through an installation that is open in this process."""

    ragward: Installation
    credentials: Credentials
    observe: Callable[[Answer], None] = lambda _answer: None

    def retrieve(self, request: RetrievalRequest) -> Answer:
        """What they may know."""
        answer = self.ragward.retrieve(self.credentials, request)
        self.observe(answer)
        return answer

    def title(self, document_id: str) -> str:
        """A document's title. Raises `access.not_found`."""
        subject = self.ragward.identify(self.credentials)
        return str(self.ragward.stewardship.document(subject, document_id).title)


@dataclass(frozen=True, slots=True)
class RemoteAsker:
    """Through the REST API."""

    client: RagwardClient
    token: str = field(repr=False)

    def retrieve(self, request: RetrievalRequest) -> Answer:
        """What they may know."""
        return self.client.retrieve(request, user_token=self.token)

    def title(self, document_id: str) -> str:
        """A document's title. Raises `access.not_found`."""
        return self.client.document(document_id, user_token=self.token).title


def search(asker: Asker, query: str, base: str) -> dict[str, Any]:
    """`{"results": [{"id", "title", "url"}]}`: one of each document, best first."""
    answer = asker.retrieve(
        RetrievalRequest(query=query, limit=_FOUND, max_passages_per_document=1)
    )
    return {
        "results": [
            {"id": one.document_id, "title": _title(one), "url": _url(one, base)}
            for one in answer.passages
        ]
    }


def fetch(asker: Asker, document_id: str, base: str) -> dict[str, Any]:
    """`{"id", "title", "text", "url", "metadata"}`. Raises `access.not_found`, absent or not readable.

    Nobody says here what the document is read for, so its title stands for the question where a classification demands that
    there be one (`minimize_at_least`)."""
    if not 0 < len(document_id) <= _ID_CHARACTERS or not document_id.isprintable():
        raise NotFoundError
    answer = asker.retrieve(
        RetrievalRequest(
            query=_question(asker.title(document_id)),
            document_id=document_id,
            limit=_LARGEST,
            max_passages_per_document=_LARGEST,
            minimize=Mode.OFF,
        )
    )
    if not answer.passages:
        raise NotFoundError
    first = answer.passages[0]
    texts = [answer.marked_text(passage) for passage in answer.passages]
    return {
        "id": document_id,
        "title": _title(first),
        "text": "\n\n".join([NOTICE, *texts]),
        "url": _url(first, base),
        "metadata": {
            "corpus": first.corpus,
            "source": first.source,
            "classification": answer.classification.name,
            "trust": first.trust.value,
            "receipt_id": answer.receipt.receipt_id,
            "passages": len(texts),
        },
    }


def _question(title: str) -> str:
    """A title as a query: what a query may not hold is left out."""
    plain = "".join(c for c in title if unicodedata.category(c) not in ("Cc", "Cs"))[:1000]
    return plain if any(c.isalnum() for c in unicodedata.normalize("NFKC", plain)) else "document"


def _title(passage: Passage) -> str:
    """One line: a title is the document's own words."""
    line = " ".join(passage.title.split()) or passage.source
    return "".join(c for c in line if c.isprintable())[:_TITLE_CHARACTERS] or passage.document_id


def _url(passage: Passage, base: str) -> str:
    """Never empty, or assistants drop the citation: where the document says it is, otherwise what the API says of it."""
    given = passage.attributes.get("url")
    if isinstance(given, str) and given.startswith("https://") and given.isprintable():
        return given
    return f"{base}/v1/documents/{passage.document_id}"
