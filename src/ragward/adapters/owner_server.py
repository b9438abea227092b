"""What one process must hold (the embedded index, the log's writer, the counts of the limiter), shared with other
processes of the same user and installation over a Unix socket in the data directory."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pyroaring import FrozenBitMap

from ragward.adapters import owner_wire as wire
from ragward.domain.access import Application, Subject
from ragward.domain.audit import AuditEntry, AuditEvent, EventType
from ragward.domain.corpus import IndexPoint
from ragward.domain.errors import LimitExceededError, RagwardError
from ragward.domain.labels import Classification
from ragward.ports import AuditLog, ChunkSearch, GenerationalIndex, Limiter

_REMEMBERED_SETS: Final = 1024


class OwnerServer:
    """Answers other processes, one thread for each of their connections, until `close`."""

    def __init__(
        self,
        directory: Path,
        *,
        index: GenerationalIndex,
        sealed: ChunkSearch,
        audit: AuditLog,
        limiter: Limiter,
        model_digest: str,
    ) -> None:
        self._directory = directory
        self._hello = {"version": wire.VERSION, "model": model_digest, "pid": os.getpid()}
        self._calls = _Calls(index, sealed, audit)
        self._limiter = limiter
        self._connections: set[socket.socket] = set()
        self._clients: Counter[str] = Counter()
        self._held: dict[str, list[Subject]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._listener = wire.listener(directory)
        audit.follow()  # what the others spool
        threading.Thread(target=self._accept, name="ragward-owner", daemon=True).start()

    def close(self) -> None:
        """Ends every connection and removes the socket."""
        self._closed = True
        self._listener.close()
        for connection in tuple(self._connections):
            wire.end(connection)
        (self._directory / wire.SOCKET).unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
                wire.require_same_user(connection)
            except OSError:
                continue  # closed, or not ours to talk to
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        client = None
        try:
            wire.send(connection, self._hello)
            client = self._joined(wire.receive(connection))
            while (message := wire.receive(connection)) is not None:
                wire.send(connection, self._answer(message, client))
        except OSError:
            pass  # the other process is gone, or does not speak our language
        finally:
            self._connections.discard(connection)
            wire.end(connection)
            if client is not None:
                self._left(client)

    def _joined(self, message: wire.Message | None) -> str:
        """Which process this is a connection of."""
        client = (message or {}).get("client")
        if not isinstance(client, str):
            raise OSError("malformed message")
        with self._lock:
            self._clients[client] += 1
        return client

    def _left(self, client: str) -> None:
        """With its last connection a process is gone: what it had counted in is counted out."""
        with self._lock:
            self._clients[client] -= 1
            gone = [] if self._clients[client] else self._held.pop(client, [])
            if not self._clients[client]:
                del self._clients[client]
        for subject in gone:
            self._limiter.release(subject)

    def _answer(self, message: wire.Message, client: str) -> wire.Message:
        try:
            name, arguments = message["call"], message["with"]
            if name.startswith("limiter."):
                return {"ok": self._limit(name, client, _subject(**arguments))}
            return {"ok": self._calls.by_name[name](**arguments)}
        except RagwardError as error:
            retry = error.retry_after_seconds if isinstance(error, LimitExceededError) else None
            rates = error.rates if isinstance(error, LimitExceededError) else ()
            left = [list(rate) for rate in rates]
            return {"code": error.code, "detail": error.detail, "retry": retry, "rates": left}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return {"code": "request.invalid", "detail": type(error).__name__, "retry": None}

    def _limit(self, name: str, client: str, subject: Subject) -> list[Any] | None:
        """For a request that was counted in: whether it was, and what is left."""
        if name == "limiter.acquire":
            counted = self._limiter.acquire(subject)
            with self._lock:
                self._held.setdefault(client, []).append(subject)
            return [counted, [list(rate) for rate in self._limiter.rates(subject)]]
        if name == "limiter.release":
            with self._lock:
                self._held[client].remove(subject)  # nobody counts out what they did not count in
            self._limiter.release(subject)
            return None
        raise KeyError(name)


class _Calls:
    """What may be called, by name; arguments and results as JSON has them."""

    def __init__(self, index: GenerationalIndex, sealed: ChunkSearch, audit: AuditLog) -> None:
        self._index, self._audit = index, audit
        self._sets: OrderedDict[str, FrozenBitMap] = OrderedDict()
        self.by_name: dict[str, Callable[..., Any]] = {
            "index.upsert": self._upsert,
            "index.delete": index.delete,
            "index.expel": index.expel,
            "index.maintain": index.maintain,
            "index.vacuum": index.vacuum,
            "index.forget": index.forget,
            **self._searches("index", index),
            **self._searches("sealed", sealed),
            "audit.append": self._append,
            "audit.entries": lambda start, limit: [
                _entry(entry) for entry in audit.entries(start=start, limit=limit)
            ],
            "audit.find": self._find,
            "audit.verify": lambda anchors: asdict(audit.verify(anchors=anchors)),
            "audit.key": audit.key.text,
            "audit.require_fetching": audit.require_fetching,
            "audit.checkpoint": audit.checkpoint,
            "audit.prove_inclusion": lambda event_id: audit.prove_inclusion(event_id).text(),
            "audit.prove_consistency": lambda first, second: [
                node.hex() for node in audit.prove_consistency(first, second)
            ],
        }

    def _upsert(self, points: list[list[Any]]) -> None:
        self._index.upsert(
            [
                IndexPoint(
                    point_id=name,
                    scope_id=scope,
                    vector=wire.unpack_vector(vector),
                    words=wire.unpack_words(words),
                    generation=int(generation),
                )
                for name, scope, vector, words, generation in points
            ]
        )

    def _searches(self, part: str, searched: ChunkSearch) -> dict[str, Callable[..., Any]]:
        """What may be called of the whole index, or of its sealed part alone."""

        def search(
            vector: list[Any],
            scopes: str,
            limit: int,
            excluding: list[str],
            only_points: list[str] | None,
        ) -> list[list[Any]]:
            found = searched.search(
                wire.unpack_query(vector),
                scopes=self._set(scopes),
                limit=limit,
                excluding=excluding,
                only_points=only_points,
            )
            return [[candidate.point_id, candidate.score] for candidate in found]

        def score_points(vector: list[Any], point_ids: list[str]) -> list[list[Any]]:
            found = searched.score_points(wire.unpack_query(vector), point_ids)
            return [[candidate.point_id, candidate.score] for candidate in found]

        def count_words(words: list[int], scopes: str, excluding: list[str]) -> list[Any]:
            counts = searched.count_words(words, scopes=self._set(scopes), excluding=excluding)
            return [counts.total, list(counts.containing.items())]

        def search_words(
            weights: list[list[Any]],
            scopes: str,
            limit: int,
            excluding: list[str],
            only_points: list[str] | None,
        ) -> list[list[Any]]:
            found = searched.search_words(
                wire.unpack_words(weights),
                scopes=self._set(scopes),
                limit=limit,
                excluding=excluding,
                only_points=only_points,
            )
            return [[candidate.point_id, candidate.score] for candidate in found]

        def words_of(words: list[int], point_ids: list[str]) -> list[list[Any]]:
            found = searched.words_of(words, point_ids)
            return [[name, wire.pack_words(pairs)] for name, pairs in found.items()]

        return {
            f"{part}.search": search,
            f"{part}.score_points": score_points,
            f"{part}.count_words": count_words,
            f"{part}.search_words": search_words,
            f"{part}.words_of": words_of,
            f"{part}.count": searched.count,
            f"{part}.clear": searched.clear,
        }

    def _append(self, event: dict[str, Any]) -> str:
        made = AuditEvent(**(event | {"type": EventType(event["type"])}))
        return self._audit.append(made, durable=True).hex()

    def _find(self, event_id: str) -> list[Any] | None:
        found = self._audit.find(event_id)
        return None if found is None else _entry(found)

    def _set(self, text: str) -> FrozenBitMap:
        """The same object for the same ids: the index learns by identity how to search within them."""
        known = self._sets.get(text)
        if known is None:
            known = self._sets[text] = wire.unpack_ids(text)
            while len(self._sets) > _REMEMBERED_SETS:
                self._sets.popitem(last=False)
        return known


def _entry(entry: AuditEntry) -> list[Any]:
    return [entry.index, entry.leaf_hash.hex(), base64.b64encode(entry.data).decode()]


def _subject(tenant: str, principal: str, agents: list[str]) -> Subject:
    """As much of a subject as a limiter looks at."""
    nothing = Application(
        principal=principal,
        tenant=tenant,
        client_id="",
        corpora=frozenset(),
        ceiling=Classification.PUBLIC,
    )
    return Subject(
        tenant=tenant,
        principal=principal,
        application=nothing,
        agents=tuple(agents),
        not_after=0,
    )
