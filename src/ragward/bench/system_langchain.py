"""LangChain's in-memory vector store with a permission filter: the retriever of its first pages, with a predicate added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ragward.bench.systems import Found, NotHere, Site
from ragward.bench.world import Asker, K, Question

_MOST: Final = 20_000


def opened(site: Site) -> Iterator[LangChain]:
    """The filled store. Raises `NotHere`."""
    try:
        import langchain_core.vectorstores  # noqa: F401 - whether it is there
    except ImportError as error:
        raise NotHere("needs langchain-core: the extra `langchain`") from error
    if site.world.size > _MOST:
        raise NotHere(f"keeps vectors as lists of Python floats: not beyond {_MOST:,} chunks")
    yield LangChain(site)


class LangChain:
    """Compares every permitted vector with the question, in Python."""

    name = "LangChain, filter"
    slow = True

    def __init__(self, site: Site) -> None:
        from langchain_core.embeddings import Embeddings
        from langchain_core.vectorstores import InMemoryVectorStore

        world = site.world
        none: Any = type("Given", (Embeddings,), {"embed_documents": None, "embed_query": None})
        self._store = InMemoryVectorStore(none())
        for n in range(world.size):
            groups = frozenset(world.groups_of(int(world.label[n])))
            self._store.store[str(n)] = {
                "id": str(n),
                "vector": world.vectors[n].tolist(),
                "text": world.text(n),
                "metadata": {"groups": groups},
            }
        self._groups: frozenset[str] = frozenset()
        self.bytes_per_chunk: float | None = None

    def prepare(self, asker: Asker) -> None:
        """Whose groups the filter is about."""
        self._groups = frozenset(asker.groups)

    def ask(self, asker: Asker, question: Question) -> Found:
        """The best ten of what the filter lets pass."""
        found = self._store._similarity_search_with_score_by_vector(
            question.vector.tolist(),
            k=K,
            filter=lambda document: not self._groups.isdisjoint(document.metadata["groups"]),
        )
        return Found(numbers=[int(document.id or -1) for document, _, _ in found])

    def close(self) -> None:
        """Nothing is held."""
