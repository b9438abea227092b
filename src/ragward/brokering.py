"""The key broker: it decides for itself before it unwraps, whatever the process that asks has decided.

    credentials  -> Subject     verified here, not believed
    label digest -> label       of the catalog; the DEK is bound to that very label, so another one opens nothing
    Subject, label -> permit    by the broker's own PDP over the same policy
    count        -> budget      per subject and classification; more is refused
    record       -> DEKs        in the broker's own log, before they are handed out

A permit is used for up to five seconds; a denial is never remembered. What is made (wraps), what the index gets (keys of vectors) and what
is rewrapped under the label it has (rotation) needs no subject: none of them opens a text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.access import Action, Context, Credentials, Decision, Permit, Subject
from ragward.domain.audit import EventType
from ragward.domain.envelope import PurposeKey, WrappingContext
from ragward.domain.errors import (
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    RagwardError,
    RequestRefusedError,
)
from ragward.domain.keys import DEKS_PER_MINUTE, Reading, WrappedDEK
from ragward.domain.labels import AccessLabel, Classification
from ragward.evidence import Recorder
from ragward.ports import Clock, IdentityVerifier, Keyring, LabelStore, PolicyDecisionPoint

_REMEMBERED_SECONDS: Final = 5
_REMEMBERED: Final = 1024
_TENANT_FACTOR: Final = 100
_ACTIONS: Final = frozenset({Action.CORPUS_RETRIEVE, Action.DOCUMENT_RELABEL})
MAX_BATCH: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPorts:
    """Everything the broker talks to. `keyring` holds the KEKs; the others only read."""

    identity: IdentityVerifier
    pdp: PolicyDecisionPoint
    labels: LabelStore
    keyring: Keyring
    recorder: Recorder
    clock: Clock
    deks_per_minute: Mapping[Classification, int] = field(default_factory=lambda: DEKS_PER_MINUTE)


@dataclass(slots=True)
class _Session:
    """Somebody verified a moment ago, and what was decided for them."""

    subject: Subject
    decision: Decision
    ends: int


Unwrapped = tuple[bytes | RagwardError, Classification | None]


class KeyBroker:
    """Unwraps for subjects; thread-safe."""

    def __init__(self, ports: BrokerPorts) -> None:
        self._ports = ports
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._labels: dict[str, tuple[int, dict[bytes, tuple[int, AccessLabel]]]] = {}
        self._minute, self._spent = 0, Counter[tuple[str, ...]]()

    def unwrap_all(
        self, credentials: Credentials, action: str, wraps: Sequence[WrappedDEK]
    ) -> list[Unwrapped]:
        """Per item the DEK or why not, and its classification. Raises `auth.*`, `limit.rate`, `request.invalid`, `unavailable.*`."""
        _require_batch(wraps)
        if action not in _ACTIONS:
            raise InvalidRequestError("keys are not unwrapped for that")
        session = self._session(credentials)
        labels = [self._permitted(credentials, session, action, item) for item in wraps]
        permitted = [item for item, label in zip(wraps, labels, strict=True) if label is not None]
        levels = Counter(label.classification for label in labels if label is not None)
        subject = session.subject
        try:
            self._spend(subject.tenant, subject.principal, levels)
        except LimitExceededError as refused:
            self._record("unwrap", subject, wraps, "refused", code=refused.code)
            raise
        self._record("unwrap", subject, wraps, "permit", refused=len(wraps) - len(permitted))
        reading = Reading(subject=subject, action=Action(action))
        given = iter(self._ports.keyring.unwrap_all(permitted, reading) if permitted else ())
        return [
            (NotFoundError(), None) if label is None else (next(given), label.classification)
            for label in labels
        ]

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """For who keeps the index: recorded; no subject, as they open no text."""
        _require_batch(wraps)
        self._record("vectors", None, wraps, "permit")
        return self._ports.keyring.vector_keys(wraps)

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        credentials: Credentials | None,
    ) -> Sequence[bytes | RagwardError]:
        """For rotation, and for relabelling by somebody who may relabel under the label that a DEK is bound to.

        Without that a worker could have a DEK bound to a label that somebody whose token it holds may read.
        """
        wraps = [item for item, _ in moves]
        _require_batch(wraps)
        session = None if credentials is None else self._session(credentials)
        allowed = [
            item.context.label_digest == to.label_digest
            or (
                session is not None
                and self._permitted(credentials, session, Action.DOCUMENT_RELABEL, item) is not None
            )
            for item, to in moves
        ]
        subject = session.subject if session else None
        self._record("rewrap", subject, wraps, "permit", refused=allowed.count(False))
        permitted = [move for move, may in zip(moves, allowed, strict=True) if may]
        given = iter(self._ports.keyring.rewrap_all(permitted) if permitted else ())
        return [next(given) if may else NotFoundError() for may in allowed]

    def administered(self, act: str, tenant: str, details: Mapping[str, object]) -> None:
        """Records an act on KEKs, before it is done."""
        self._ports.recorder.record(
            EventType.KEY_USED, None, "permit", {"use": act, **details}, tenant=tenant, durable=True
        )

    # How. -----------------------------------------------------------------------------------------------------------

    def _session(self, credentials: Credentials, *, fresh: bool = False) -> _Session:
        name = _name(credentials)
        now = self._ports.clock.now()
        with self._lock:
            known = self._sessions.get(name)
            if known is not None and now < known.ends and not fresh:
                return known
        try:
            subject = self._ports.identity.verify(credentials)
        except RequestRefusedError as refused:
            details = {"use": "unwrap", "code": refused.code}
            self._ports.recorder.record(EventType.IDENTITY_REFUSED, None, "refused", details)
            raise
        decision = self._ports.pdp.decide_labels(subject, Context(now=now))
        ends = [now + _REMEMBERED_SECONDS, subject.not_after]
        if isinstance(decision, Permit):
            ends.append(decision.not_after)
        made = _Session(subject, decision, min(ends))
        with self._lock:
            self._sessions[name] = made
            while len(self._sessions) > _REMEMBERED:
                self._sessions.popitem(last=False)
        return made

    def _permitted(
        self, credentials: Credentials | None, session: _Session, action: str, item: WrappedDEK
    ) -> AccessLabel | None:
        """The label the DEK is bound to, if the subject may do this under it."""
        subject = session.subject
        if item.context.tenant != subject.tenant:
            return None
        found = self._label(subject.tenant, item.context.label_digest)
        if found is None:
            return None
        label_id, label = found
        if action != Action.CORPUS_RETRIEVE:
            context = Context(now=self._ports.clock.now())
            return label if self._ports.pdp.decide(subject, action, label, context) else None
        if _admits(session.decision, label_id):
            return label
        if credentials is None:
            return None
        fresh = self._session(credentials, fresh=True)  # a new label, or a new permission
        session.decision, session.ends = fresh.decision, fresh.ends
        return label if _admits(fresh.decision, label_id) else None

    def _label(self, tenant: str, digest: bytes) -> tuple[int, AccessLabel] | None:
        last, known = self._labels.get(tenant, (0, {}))
        if digest not in known:
            rows = self._ports.labels.labels(tenant, after=last)
            known = known | {label.digest(): (n, label) for n, label in rows.items()}
            self._labels[tenant] = (max(rows, default=last), known)
        return known.get(digest)

    def _spend(self, tenant: str, principal: str, levels: Mapping[Classification, int]) -> None:
        """Raises `limit.rate` where that would be more than a minute's."""
        minute = int(self._ports.clock.now()) // 60
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._spent.clear()
            for level, count in levels.items():
                limit = self._ports.deks_per_minute[level]
                for key, most in (
                    ((level.name, tenant, principal), limit),
                    ((level.name, tenant), limit * _TENANT_FACTOR),
                ):
                    self._spent[key] += count
                    if self._spent[key] > most:
                        raise LimitExceededError(code="limit.rate", retry_after_seconds=60)

    def _record(
        self,
        use: str,
        subject: Subject | None,
        wraps: Sequence[WrappedDEK],
        decision: str,
        **details: object,
    ) -> None:
        documents = sorted({item.context.document_id for item in wraps})
        body = {"use": use, "deks": len(wraps), "documents": documents, **details}
        tenant = wraps[0].context.tenant if wraps else ""
        self._ports.recorder.record(EventType.KEY_USED, subject, decision, body, tenant=tenant)


def _admits(decision: Decision, label_id: int) -> bool:
    return isinstance(decision, Permit) and decision.admits(label_id)


def _name(credentials: Credentials) -> bytes:
    shown = credentials.connection
    parts = (
        credentials.untrusted_authorization,
        credentials.untrusted_user_authorization,
        credentials.untrusted_task_grant,
        None if shown is None else dataclasses.astuple(dataclasses.replace(shown, request_id="")),
    )
    return hashlib.sha256(repr(parts).encode()).digest()


def _require_batch(wraps: Sequence[WrappedDEK]) -> None:
    if len(wraps) > MAX_BATCH:
        raise InvalidRequestError(f"at most {MAX_BATCH} keys at once")
