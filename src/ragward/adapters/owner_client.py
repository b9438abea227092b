"""The index, the log and the limiter of the process that owns an installation, used from another one."""

from __future__ import annotations

import base64
import socket
import time
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ragward.adapters import owner_wire as wire
from ragward.adapters.audit_spool import Spool, encoded
from ragward.domain.access import IdSet, Subject
from ragward.domain.audit import AuditEntry, AuditEvent, AuditVerification
from ragward.domain.checkpoints import InclusionProof, LogKey
from ragward.domain.corpus import IndexPoint, Vector
from ragward.domain.errors import (
    ConfigurationError,
    LimitExceededError,
    UnavailableError,
    error_of,
)
from ragward.domain.merkle import leaf_hash
from ragward.domain.passages import Candidate
from ragward.domain.rates import Rate
from ragward.domain.words import WordCounts, WordWeights

_MAX_RATES: Final = 10_000
_TIMEOUT_SECONDS: Final = 30.0
_UPSERT_SLICE: Final = 1000
_ASK_SECONDS: Final = 1.0


class Owner:
    """The owner, and the connections to it."""

    def __init__(self, directory: Path, model_digest: str) -> None:
        self._directory, self._model_digest = directory, model_digest
        self._client = uuid.uuid4().hex
        self._connections = wire.Connections(self._connected, _TIMEOUT_SECONDS)

    @classmethod
    def find(cls, directory: Path, model_digest: str) -> Owner | None:
        """The owner of a data directory, if one listens. Raises `config.model_mismatch`, `config.newer_version`."""
        owner = cls(directory, model_digest)
        try:
            owner._connections.open_one()
        except OSError:
            return None
        return owner

    def call(self, part: str, name: str, **arguments: object) -> Any:
        """What the owner answers. Raises its errors, and `unavailable.index` or `.audit` when it is gone."""
        try:
            answer = self._connections.call({"call": f"{part}.{name}", "with": arguments})
        except OSError as error:
            code = "unavailable.index" if part in ("index", "sealed") else "unavailable.audit"
            raise UnavailableError("the owning process cannot be reached", code=code) from error
        if "code" in answer:
            raised = error_of(answer["code"], answer["detail"])
            if isinstance(raised, LimitExceededError) and answer["retry"]:
                raised.retry_after_seconds = answer["retry"]
                raised.rates = _rates(answer.get("rates", ()))
            raise raised
        return answer["ok"]

    def close(self) -> None:
        """Ends all connections."""
        self._connections.close()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_TIMEOUT_SECONDS)
            with wire.short_path(self._directory) as path:
                connection.connect(path)
            wire.require_same_user(connection)
            hello = wire.receive(connection)
            if hello is None:
                raise OSError("the owner is gone")
            if hello.get("version") != wire.VERSION:
                raise ConfigurationError(code="config.newer_version")
            if hello.get("model") != self._model_digest:
                raise ConfigurationError(code="config.model_mismatch")
            wire.send(connection, {"client": self._client})
        except BaseException:
            connection.close()
            raise
        return connection


class OwnerChunkSearch:
    """`ports.ChunkSearch` in the owning process."""

    part = "sealed"

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best points within the scopes."""
        found = self._owner.call(
            self.part,
            "search",
            vector=wire.pack_query(vector),
            scopes=wire.pack_ids(scopes),
            limit=limit,
            excluding=list(excluding),
            only_points=None if only_points is None else list(only_points),
        )
        return [Candidate(point_id=point_id, score=score) for point_id, score in found]

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points."""
        found = self._owner.call(
            self.part, "score_points", vector=wire.pack_query(vector), point_ids=list(point_ids)
        )
        return [Candidate(point_id=point_id, score=score) for point_id, score in found]

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """How many points have each word."""
        total, containing = self._owner.call(
            self.part,
            "count_words",
            words=list(words),
            scopes=wire.pack_ids(scopes),
            excluding=list(excluding),
        )
        return WordCounts(total, dict(containing))

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best points by words."""
        found = self._owner.call(
            self.part,
            "search_words",
            weights=wire.pack_words(weights),
            scopes=wire.pack_ids(scopes),
            limit=limit,
            excluding=list(excluding),
            only_points=None if only_points is None else list(only_points),
        )
        return [Candidate(point_id=point_id, score=score) for point_id, score in found]

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """What named points have of these words."""
        found = self._owner.call(
            self.part, "words_of", words=list(words), point_ids=list(point_ids)
        )
        return {point_id: wire.unpack_words(pairs) for point_id, pairs in found}

    def count(self) -> int:
        """Points held."""
        return int(self._owner.call(self.part, "count"))

    def clear(self) -> None:
        """Removes everything it holds."""
        self._owner.call(self.part, "clear")

    def vacuum(self) -> None:
        """The owner does."""
        self._owner.call("index", "vacuum")

    def close(self) -> None:
        """It stays open at its owner."""


class OwnerChunkIndex(OwnerChunkSearch):
    """`ports.ChunkIndex` in the owning process: the plain and the sealed part as one."""

    part = "index"

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points."""
        for start in range(0, len(points), _UPSERT_SLICE):
            part = [
                [
                    point.point_id,
                    point.scope_id,
                    wire.pack_vector(point.vector),
                    wire.pack_words(point.words),
                    point.generation,
                ]
                for point in points[start : start + _UPSERT_SLICE]
            ]
            self._owner.call(self.part, "upsert", points=part)

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points."""
        self._owner.call(self.part, "delete", point_ids=list(point_ids))

    def expel(self, point_ids: Sequence[str]) -> None:
        """Removes points, and from the files."""
        self._owner.call(self.part, "expel", point_ids=list(point_ids))

    def forget(self, generation: int) -> None:
        """The owner does it."""
        self._owner.call(self.part, "forget", generation=generation)

    def maintain(self) -> None:
        """The owner does it."""
        self._owner.call(self.part, "maintain")


class OwnerAuditLog:
    """`ports.AuditLog` in the owning process: still one writer. What need not be durable goes to a spool of this process's own."""

    def __init__(self, owner: Owner, spools: Path) -> None:
        self._owner = owner
        self._spool = Spool(spools)
        self._asked_at = -_ASK_SECONDS

    @property
    def key(self) -> LogKey:
        """Whose signature the checkpoints carry."""
        return LogKey.parse(self._owner.call("audit", "key"))

    def append(self, event: AuditEvent, *, durable: bool) -> bytes:
        """Records, before this returns."""
        if not durable:
            self.require_fetching()
            data = encoded(event)
            self._spool.write(data)
            return leaf_hash(data)
        sent = {
            "event_id": event.event_id,
            "at": event.at,
            "type": event.type.value,
            "tenant": event.tenant,
            "actor": dict(event.actor),
            "decision": event.decision,
            "details": dict(event.details),
        }
        return bytes.fromhex(self._owner.call("audit", "append", event=sent))

    def entries(self, *, start: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Entries from an index on."""
        found = self._owner.call("audit", "entries", start=start, limit=limit)
        return [_entry(fields) for fields in found]

    def find(self, event_id: str) -> AuditEntry | None:
        """The entry of an event."""
        found = self._owner.call("audit", "find", event_id=event_id)
        return None if found is None else _entry(found)

    def checkpoint(self) -> str:
        """A signed note of the log as it is."""
        return str(self._owner.call("audit", "checkpoint"))

    def prove_inclusion(self, event_id: str) -> InclusionProof:
        """That an event is in the log."""
        return InclusionProof.parse(self._owner.call("audit", "prove_inclusion", event_id=event_id))

    def prove_consistency(self, first: int, second: int) -> Sequence[bytes]:
        """That a log begins with an earlier one."""
        found = self._owner.call("audit", "prove_consistency", first=first, second=second)
        return [bytes.fromhex(node) for node in found]

    def verify(self, *, anchors: Sequence[str] = ()) -> AuditVerification:
        """Hashes everything again."""
        return AuditVerification(**self._owner.call("audit", "verify", anchors=list(anchors)))

    def follow(self) -> None:
        """The owner does."""

    def require_fetching(self) -> None:
        """Asks the owner once a second: nobody fetches for one that is gone."""
        now = time.monotonic()
        if now - self._asked_at >= _ASK_SECONDS:
            self._owner.call("audit", "require_fetching")
            self._asked_at = now

    def close(self) -> None:
        """The log stays open at its owner, which fetches the rest of the spool."""
        self._spool.close()


class OwnerLimiter:
    """`ports.Limiter` in the owning process: one count for all workers."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._rates: OrderedDict[tuple[str, str], tuple[Rate, ...]] = OrderedDict()

    def acquire(self, subject: Subject) -> bool:
        """Counts one request in."""
        counted, rates = self._call("acquire", subject)
        self._rates[subject.tenant, subject.principal] = _rates(rates)
        while len(self._rates) > _MAX_RATES:
            self._rates.popitem(last=False)
        return bool(counted)

    def rates(self, subject: Subject) -> tuple[Rate, ...]:
        """As the subject's latest request here left them."""
        return self._rates.get((subject.tenant, subject.principal), ())

    def release(self, subject: Subject) -> None:
        """Counts it out."""
        self._call("release", subject)

    def _call(self, name: str, subject: Subject) -> Any:
        return self._owner.call(
            "limiter",
            name,
            tenant=subject.tenant,
            principal=subject.principal,
            agents=list(subject.agents),
        )


def _rates(found: Iterable[Iterable[Any]]) -> tuple[Rate, ...]:
    return tuple(Rate(*fields) for fields in found)


def _entry(fields: list[Any]) -> AuditEntry:
    index, leaf, data = fields
    return AuditEntry(index=index, leaf_hash=bytes.fromhex(leaf), data=base64.b64decode(data))
