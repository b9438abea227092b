"""The audit log: an append-only Merkle tree with one writer, over tables in SQLite or PostgreSQL.

What must be on disk before an answer leaves is committed at once, together with whatever else waits at that moment. All other
events go to the process's spool first (`audit_spool`); the writer fetches them, and those of other processes, five times a second.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ragward.adapters.audit_spool import (
    Read,
    Spool,
    encoded,
    read_spool,
    remove_if_finished,
    spool_files,
    worker_of,
)
from ragward.adapters.audit_tables import AuditTables
from ragward.adapters.notes_ed25519 import CheckpointSigner, verify_signature
from ragward.domain.audit import AuditEntry, AuditEvent, AuditVerification, EventType
from ragward.domain.audit_verification import verify_log
from ragward.domain.checkpoints import Checkpoint, InclusionProof, LogKey, opened_checkpoint
from ragward.domain.errors import (
    ConfigurationError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
    UnavailableError,
)
from ragward.domain.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash

ORIGIN: Final = "ragward/audit"
_TAIL: Final = 100
_PAGE: Final = 5000
_FETCH_SECONDS: Final = 0.2
_PUBLISH_SECONDS: Final = 10.0
_PUBLISH_EVENTS: Final = 1000
_LOGGER: Final = logging.getLogger(__name__)


class Anchor(Protocol):
    """A place outside the data directory that keeps checkpoints."""

    def publish(self, note: str) -> None:
        """Raises `UnavailableError`, OSError."""


@dataclass(slots=True)
class _Waiting:
    """An event whose recorder waits until it is on disk."""

    data: bytes
    awake: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    leads: bool = False
    error: RagwardError | None = None


class Store(Protocol):
    """Where the rows are. Not thread-safe; the log has a lock."""

    @property
    def tables(self) -> AuditTables:
        """The rows."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the library raises."""

    def open(self, *, writable: bool) -> None:
        """Connects; a writer holds the log alone from here on. Raises `config.index_owned`, `errors`."""

    def transaction(self) -> AbstractContextManager[object]:
        """What is written within is on disk at its end, or not at all."""

    def is_lost(self) -> bool:
        """Whether the connection is gone and the writer's hold with it: what was committed last is not known then."""

    def close(self) -> None:
        """Lets go of everything."""


class MerkleAuditLog:
    """`ports.AuditLog`. Thread-safe. The writer holds the log for its life; readers need nothing of it."""

    def __init__(
        self,
        store: Store,
        spools: Path,
        secret: bytes,
        *,
        writable: bool,
        origin: str,
        anchors: Sequence[Anchor],
    ) -> None:
        self._store, self._writable = store, writable
        self._signer = CheckpointSigner(secret, origin)
        self._spools, self._anchors = spools, anchors
        self._lock, self._queue_lock = threading.RLock(), threading.Lock()
        self._queue: list[_Waiting] = []
        self._has_leader = False
        self._tree = Frontier()
        self._spool: Spool | None = None
        self._follower: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_failing = False
        self._published, self._published_at = 0, 0.0
        try:
            with self._readable():
                self._open(secret)
        except RagwardError:
            store.close()
            raise

    @property
    def key(self) -> LogKey:
        """Whose signature the checkpoints carry."""
        return self._signer.key

    def append(self, event: AuditEvent, *, durable: bool) -> bytes:
        """Records an event and returns its leaf hash; with `durable` it is in the tree and on disk when this returns, otherwise
        it outlives this process. Raises `unavailable.audit`."""
        data = encoded(event)
        if not self._writable:
            raise UnavailableError("a reader does not write", code="unavailable.audit")
        if durable:
            self._commit(data)
        else:
            self.require_fetching()
            self._own_spool().write(data)
        return leaf_hash(data)

    def require_fetching(self) -> None:
        """Raises `unavailable.audit` while what is spooled does not get into the log: a spool is a way there, not a log."""
        if self._is_failing:
            with self._lock:
                self._sequence()

    def entries(self, *, start: int = 0, limit: int = 1000) -> list[AuditEntry]:
        """Entries from an index on. Raises `unavailable.audit`."""
        with self._reading() as tables:
            return tables.entries(start, limit)

    def find(self, event_id: str) -> AuditEntry | None:
        """The entry of an event. Raises `unavailable.audit`."""
        with self._reading() as tables:
            return tables.find(event_id)

    def checkpoint(self) -> str:
        """A signed note of the log as it is. Raises `unavailable.audit`, `integrity.audit`."""
        with self._reading() as tables:
            return _required(tables.head())

    def prove_inclusion(self, event_id: str) -> InclusionProof:
        """That an event is in the log. Raises `access.not_found`, `unavailable.audit`, `integrity.audit`."""
        with self._reading() as tables:
            entry, note = tables.find(event_id), _required(tables.head())
            if entry is None:
                raise NotFoundError
            size = self._checkpoint(note).size
            if entry.index >= size:
                raise IntegrityError(code="integrity.audit")
            path = inclusion_proof(entry.index, size, tables.subtree)
            return InclusionProof(index=entry.index, path=tuple(path), note=note)

    def prove_consistency(self, first: int, second: int) -> list[bytes]:
        """That the log of `second` entries begins with that of `first`. Raises `request.invalid`, `unavailable.audit`,
        `integrity.audit`."""
        with self._reading() as tables:
            if not 0 < first <= second <= tables.size():
                raise InvalidRequestError("two sizes that the log had, the smaller one first")
            return consistency_proof(first, second, tables.subtree)

    def verify(self, *, anchors: Sequence[str] = ()) -> AuditVerification:
        """Hashes everything again; notes that somebody kept elsewhere prove that nothing up to them is missing.

        Raises `request.invalid` for a note that this log's key did not sign, `unavailable.audit`."""
        kept = [opened_checkpoint(note, self.key, verify_signature) for note in anchors]
        with self._reading() as tables:
            note, size = tables.head_and_size()
        try:
            signed = self._checkpoint(_required(note))
        except IntegrityError:
            problem = "the log's own checkpoint is missing, or not signed by its key"
            return AuditVerification.broken(size, problem)
        return verify_log(self._rows(max(signed.size, size)), signed, kept, self._tile)

    def follow(self) -> None:
        """Fetches from now on what this and other processes spool. For the writer; closing ends it."""
        with self._lock:
            if self._follower is None and self._writable:
                name = "ragward-audit"
                self._follower = threading.Thread(target=self._fetch, name=name, daemon=True)
                self._follower.start()

    def close(self) -> None:
        """Fetches what is spooled, publishes the last checkpoint, and releases the file and the lock."""
        self._stopping.set()
        if self._follower is not None:
            self._follower.join()
        with self._lock:
            if self._writable:
                if self._spool is not None:
                    self._spool.close()
                with suppress(RagwardError):  # it stays spooled: the next writer fetches it
                    self._sequence()
                    self._publish()
            self._store.close()

    # How. -----------------------------------------------------------------------------------------------------------

    def _open(self, secret: bytes) -> None:
        self._store.open(writable=self._writable)
        self._tables = self._store.tables
        if not self._writable:
            self._tables.prepare(secret, writable=False)
            return
        moved = self._tables.prepare(secret, writable=True)
        if moved is not None or self._tables.head() is None:
            self._tree = Frontier.of(self._tables.size(), self._tables.subtree)
            if moved is None and self._tree.size:
                raise IntegrityError(code="integrity.audit")
            with self._store.transaction():
                self._tables.set_head(self._signer.sign(self._tree.size, self._tree.root()))
        self._require_intact()
        self._sequence()

    def _require_intact(self) -> None:
        """Nothing is appended to a log whose latest entries do not verify: it is evidence, and kept as it is."""
        signed = self._checkpoint(_required(self._tables.head()))
        if self._tables.size() != signed.size:
            raise IntegrityError(code="integrity.audit")
        self._tree = Frontier.of(signed.size, self._tables.subtree)
        tail = self._tables.entries(max(0, signed.size - _TAIL), _TAIL)
        if self._tree.root() != signed.root or any(
            entry.leaf_hash != leaf_hash(entry.data) for entry in tail
        ):
            raise IntegrityError(code="integrity.audit")
        self._published = signed.size

    def _checkpoint(self, note: str) -> Checkpoint:
        try:
            return opened_checkpoint(note, self.key, verify_signature)
        except InvalidRequestError:
            raise IntegrityError(code="integrity.audit") from None

    @contextmanager
    def _reading(self) -> Iterator[AuditTables]:
        with self._lock:
            if self._writable:
                self._sequence()
            with self._readable():
                yield self._tables

    def _rows(self, size: int) -> Iterator[tuple[int, bytes | None, bytes]]:
        """What lies below `size`, a page at a time: recording goes on between."""
        for start in range(0, size, _PAGE):
            with self._lock, self._readable():
                page = self._tables.entries(start, _PAGE)
            for entry in page:
                if entry.index < min(size, start + _PAGE):
                    yield entry.index, entry.leaf_hash, entry.data

    def _tile(self, height: int, index: int) -> bytes | None:
        with self._lock, self._readable():
            return self._tables.tile(height, index)

    def _own_spool(self) -> Spool:
        if self._spool is None:
            with self._lock:
                if self._spool is None:
                    self._spool = Spool(self._spools)
            self.follow()
        return self._spool

    def _commit(self, data: bytes) -> None:
        """One of those who wait writes for all of them, and then wakes one of those who came meanwhile to do the same: the time
        goes into the disk, not into rows or into waking each other."""
        waiting = _Waiting(data)
        with self._queue_lock:
            self._queue.append(waiting)
            waiting.leads, self._has_leader = not self._has_leader, True
        if not waiting.leads:
            waiting.awake.wait()
        if waiting.leads:
            self._lead(waiting)
        if waiting.error is not None:
            raise waiting.error

    def _lead(self, waiting: _Waiting) -> None:
        try:
            with self._lock, suppress(UnavailableError):  # those who wait have it, too
                if not waiting.done:
                    self._sequence()
        finally:
            with self._queue_lock:
                following = self._queue[0] if self._queue else None
                self._has_leader = following is not None
            if following is not None:
                following.leads = True
                following.awake.set()

    def _sequence(self) -> None:
        """Everything that waits or is spooled becomes leaves, in one transaction. Raises `unavailable.audit`."""
        with self._queue_lock:
            batch, self._queue = self._queue, []
        failure: RagwardError | None = UnavailableError(code="unavailable.audit")
        expected: tuple[type[Exception], ...] = (*self._store.errors, OSError)
        try:
            self._take_up()
            reads = self._spooled()
            events = [event for read in reads for event in read.events]
            events += [self._gap(read) for read in reads if read.is_gap]
            events += [waiting.data for waiting in batch]
            if events or reads:
                self._append(events, reads)
            failure = None
        except expected as error:
            raise UnavailableError(code="unavailable.audit") from error
        finally:  # whatever went wrong, nobody who waits takes it for done
            self._is_failing = failure is not None
            for waiting in batch:
                waiting.error, waiting.done = failure, True
                waiting.awake.set()

    def _take_up(self) -> None:
        """After a lost connection: holds the log again, and goes on from where it really is. Raises `unavailable.audit` where
        another process holds it by now, `integrity.audit`."""
        if not self._store.is_lost():
            return
        try:
            self._store.open(writable=True)
        except ConfigurationError as error:
            raise UnavailableError("another process writes it", code="unavailable.audit") from error
        self._tables = self._store.tables
        self._require_intact()

    def _append(self, events: Sequence[bytes], reads: Sequence[Read]) -> None:
        tree = self._tree.copy()
        with self._store.transaction():
            self._tables.append(tree, events)
            for read in reads:
                self._tables.set_spool_place(read.name, read.offset, read.worker, read.next_number)
            self._tables.set_head(self._signer.sign(tree.size, tree.root()))
        self._tree = tree

    def _spooled(self) -> list[Read]:
        """What spools hold by now; files that were read and let go of are removed."""
        files = spool_files(self._spools)
        if not files:
            return []
        places = self._tables.spool_places()
        numbers, reads, finished = dict(places.numbers), [], []
        for path in files:
            offset, worker = places.offsets.get(path.name, 0), worker_of(path)
            if path.stat().st_size == offset:
                if remove_if_finished(path, offset):
                    finished.append(path)
                continue
            read = read_spool(path, offset, numbers.get(worker, 0))
            if read.events or read.damaged:
                numbers[worker] = read.next_number
                reads.append(read)
        if finished:
            left = {worker_of(path) for path in spool_files(self._spools)}  # as it is by now
            gone = {worker_of(path) for path in finished} - left
            with self._store.transaction():
                self._tables.forget_spools([path.name for path in finished], sorted(gone))
        return reads

    @staticmethod
    def _gap(read: Read) -> bytes:
        """That events were written which are not there: with what is known of them."""
        details = {"spool": read.name, "expected": read.expected, "next": read.next_number}
        return AuditEvent(
            event_id=str(uuid.uuid4()),
            at=time.time_ns() // 1_000_000,
            type=EventType.LOG_GAP,
            tenant="",
            details=details,
        ).to_bytes()

    def _fetch(self) -> None:
        while not self._stopping.wait(_FETCH_SECONDS):
            try:
                with self._lock:
                    self._sequence()
                self._publish_in_time()
            except RagwardError as error:
                _LOGGER.warning("the audit log does not take what is spooled: %s", error.code)

    def _publish_in_time(self) -> None:
        due = self._tree.size - self._published >= _PUBLISH_EVENTS
        if due or time.monotonic() - self._published_at >= _PUBLISH_SECONDS:
            self._publish()

    def _publish(self) -> None:
        """The last checkpoint to every anchor. One that fails gets the next; the log goes on."""
        with self._lock:
            note, size = _required(self._tables.head()), self._tree.size
        if size == self._published:
            return
        for anchor in self._anchors:
            try:
                anchor.publish(note)
            except (OSError, RagwardError) as error:
                _LOGGER.warning("a checkpoint of the audit log was not kept: %s", error)
        self._published, self._published_at = size, time.monotonic()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except self._store.errors as error:
            raise UnavailableError(code="unavailable.audit") from error


def _required(note: str | None) -> str:
    if note is None:
        raise IntegrityError(code="integrity.audit")
    return note
