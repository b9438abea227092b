"""ragward itself: authorization alone, everything in the library, and by way of HTTP (`serving.py`)."""

from __future__ import annotations

import time

from ragward.bench.installed import Installed
from ragward.bench.systems import Found, System
from ragward.bench.world import Asker, K, Question, World
from ragward.domain.access import Context, Credentials, Deny, Subject
from ragward.domain.admission import drop_reason
from ragward.domain.handling import Mode
from ragward.domain.passages import RetrievalRequest
from ragward.ports import PolicyDecisionPoint


class Authorization:
    """Decision, search within the permit, one catalog read with the re-check: what authorization is, and nothing else."""

    slow = False

    def __init__(
        self,
        installed: Installed,
        world: World,
        pdp: PolicyDecisionPoint | None = None,
        name: str = "ragward, authorization",
    ) -> None:
        ports = installed.ragward.retrieval._ports
        self.name = name
        self._installed = installed
        self._pdp = pdp or ports.pdp
        self._scopes, self._index, self._catalog = ports.scopes, ports.index, ports.catalog
        self._clock = ports.clock
        self._subject: Subject
        self.bytes_per_chunk: float | None = installed.bytes_per_chunk(world)

    def prepare(self, asker: Asker) -> None:
        """The asker's identity is verified before."""
        self._subject = self._installed.subject(asker)

    def ask(self, asker: Asker, question: Question) -> Found:
        """The best ten, each read from the catalog and decided on the label that it has there."""
        subject, request = self._subject, RetrievalRequest(query="?")
        permit = self._pdp.decide_labels(subject, Context(now=self._clock.now()))
        if isinstance(permit, Deny):
            return Found(numbers=[])
        scopes = self._scopes.permitted(subject.tenant, permit, ())
        found = self._index.search(question.vector.tolist(), scopes=scopes, limit=K)
        names = [candidate.point_id for candidate in found]
        snapshot = self._catalog.stored_chunks(subject.tenant, names)
        if snapshot.epoch != permit.epoch:
            return Found(numbers=[])
        number_of, chunks = self._installed.number_of, snapshot.chunks
        return Found(
            numbers=[
                number_of[name]
                for name in names
                if drop_reason(permit, request, chunks.get(name)) is None
            ]
        )

    def close(self) -> None:
        """The installation is closed by who opened it."""


class Whole:
    """`Ragward.retrieve`: a token in, passages with a receipt out. Nothing is minimized, so that recall can be measured."""

    name = "ragward, everything"
    slow = False

    def __init__(self, installed: Installed, world: World) -> None:
        self._installed = installed
        self._credentials: Credentials
        self.bytes_per_chunk: float | None = installed.bytes_per_chunk(world)

    def prepare(self, asker: Asker) -> None:
        """A token."""
        self._credentials = self._installed.credentials(asker.name)

    def ask(self, asker: Asker, question: Question) -> Found:
        """The chunks of the passages; vectors of questions are looked up, not made."""
        answer = self._installed.ragward.retrieve(self._credentials, asked(question))
        number_of = self._installed.number_of
        return Found(numbers=[number_of[each.chunk_id] for each in answer.passages])

    def close(self) -> None:
        """The installation is closed by who opened it."""


class AskedBefore:
    """One of them, asked right after the same question while nobody commits: nothing is read of the catalog."""

    slow = False

    def __init__(self, system: System) -> None:
        self._system = system
        self.name = f"{system.name}, known"
        self.bytes_per_chunk = system.bytes_per_chunk

    def prepare(self, asker: Asker) -> None:
        """As the other."""
        self._system.prepare(asker)

    def ask(self, asker: Asker, question: Question) -> Found:
        """Twice, of which the second is timed."""
        self._system.ask(asker, question)
        work, begin = time.process_time(), time.perf_counter()
        found = self._system.ask(asker, question)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - work
        return Found(numbers=found.numbers, seconds=seconds, cpu_seconds=cpu)

    def close(self) -> None:
        """The installation is closed by who opened it."""


def asked(question: Question, *corpora: str, minimize: Mode = Mode.OFF) -> RetrievalRequest:
    """The request for the best ten, however many of a document."""
    return RetrievalRequest(
        query=question.text,
        corpora=corpora,
        limit=K,
        max_passages_per_document=K,
        minimize=minimize,
    )
