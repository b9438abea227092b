"""Rotating a KEK while everything goes on: what is written from now on is under a new version, what is there is moved to it.

    stage       a new version, pending
    record      before it takes effect
    activate    new wraps use it; the version before only unwraps
    rewrap      batch by batch, each DEK compared and set: no content is touched, whoever reads meanwhile reads
    retire      once nothing is under earlier versions, nothing can be stored under them again
    destroy     by a person, with a reason, after a time in which requests that had read the old key have ended

Where it stands is in the keyring and the catalog: a killed rotation is gone on with, by whoever comes next, in several processes at once if need be.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.envelope import KeyPurpose
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
    UnavailableError,
)
from ragward.domain.keys import KEKState, KEKStatus
from ragward.domain.labels import Classification, administrative
from ragward.domain.pseudonyms import VAULT_LEVEL
from ragward.domain.rotation import (
    HeldDEK,
    KEKReport,
    Rewrapped,
    RotationProgress,
    report,
)
from ragward.evidence import Recorder
from ragward.ports import Clock, KeyLedger, Keyring, PolicyDecisionPoint

BATCH: Final = 2000
_PASSES: Final = 20
Progress = Callable[[int, int], None]
_Prepared = tuple[list[Rewrapped], list[tuple[HeldDEK, RagwardError]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPorts:
    """Everything a rotation touches. `grace_seconds`: the longest that a request may still use a key it has read."""

    keyring: Keyring
    ledger: KeyLedger
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock
    rotate_after_days: Mapping[Classification, int]
    grace_seconds: int


class Rotation:
    """Rotates, resumes, reports and destroys."""

    def __init__(self, ports: RotationPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def begin(
        self,
        subject: Subject,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> RotationProgress:
        """Makes a new version the active one, or finds that an earlier rotation is not finished; moves nothing yet.

        Raises `access.denied`, `request.invalid`, `unavailable.keys`.
        """
        tenant = subject.tenant
        self._acts.require(subject, Action.KEY_ROTATE, administrative(tenant, classification))
        if purpose is KeyPurpose.VECTOR:
            raise InvalidRequestError("keys for vectors are derived: they are as old as the DEK")
        if purpose is KeyPurpose.PSEUDONYM and classification is not VAULT_LEVEL:
            raise InvalidRequestError(f"the vault's keys are under {VAULT_LEVEL.name}")
        active = self._active(tenant, classification, purpose)
        if active is not None and (tenant, active.kek_id) in self._waiting():
            return RotationProgress(
                kek_id=active.kek_id,
                version=active.version,
                resumed=True,
                rewrapped=0,
                remaining=self._left(active),
            )
        kek_id, version = self._ports.keyring.stage(tenant, classification, purpose)
        details = {
            "act": "activate",
            "kek": kek_id,
            "version": version,
            "classification": classification.name,
            "purpose": purpose.value,
        }
        self._ports.recorder.record(EventType.KEY_ROTATED, subject, "permit", details, durable=True)
        self._activate(kek_id, version)
        held = self._ports.ledger.ledger(tenant).held
        return RotationProgress(
            kek_id=kek_id,
            version=version,
            resumed=False,
            rewrapped=0,
            remaining=_below(held, kek_id, version),
        )

    def rotate(
        self,
        subject: Subject,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
        progress: Progress | None = None,
    ) -> RotationProgress:
        """`begin`, and everything moved when it returns, but for DEKs that do not open."""
        begun = self.begin(subject, classification, purpose)
        done = self.finish(subject.tenant, begun.kek_id, progress)
        return dataclasses.replace(done, resumed=begun.resumed)

    def finish(
        self, tenant: str, kek_id: str, progress: Progress | None = None
    ) -> RotationProgress:
        """Moves what is under earlier versions of a KEK to its active one, then retires them. The installation's own work,
        which a permitted `begin` began. Raises `unavailable.keys`, `unavailable.catalog`."""
        done = damaged = 0
        for _ in range(_PASSES):
            version = self._version_of(kek_id)
            moved, damaged, stale = self._pass(tenant, kek_id, version, done, progress)
            done += moved
            remaining = self._ports.ledger.retire(tenant, kek_id, version)
            if self._version_of(kek_id) != version:
                continue  # somebody rotated again
            if remaining == 0 or (moved == 0 and not stale):
                break
        else:
            raise UnavailableError("keys keep being rotated", code="unavailable.keys")
        if done or remaining == 0:
            details = {
                "act": "rewrap",
                "kek": kek_id,
                "version": version,
                "rewrapped": done,
                "remaining": remaining,
            }
            self._ports.recorder.record(
                EventType.KEY_ROTATED, None, "permit", details, tenant=tenant, durable=True
            )
        return RotationProgress(
            kek_id=kek_id,
            version=version,
            resumed=True,
            rewrapped=done,
            remaining=remaining,
            damaged=damaged,
        )

    def resume(self) -> int:
        """Goes on with every rotation that is not finished; returns how many DEKs were moved."""
        moved = 0
        for tenant, kek_id in self._waiting():
            try:
                moved += self.finish(tenant, kek_id).rewrapped
            except UnavailableError:
                continue  # not yet
        return moved

    def waiting(self) -> int:
        """How many KEKs, of all tenants, are being rotated. Raises `unavailable.keys`, `unavailable.catalog`."""
        return len(self._waiting())

    def keys(self, subject: Subject) -> list[KEKReport]:
        """The tenant's KEK versions: states, ages, what is wrapped under them, what is due; no key material."""
        self._acts.require_on_tenant(subject, Action.KEY_ROTATE)
        return self.report(subject.tenant)

    def report(self, tenant: str) -> list[KEKReport]:
        """The same for the installation itself."""
        return report(
            [s for s in self._ports.keyring.status() if s.tenant == tenant],
            self._ports.ledger.ledger(tenant),
            self._ports.rotate_after_days,
            self._ports.clock.now(),
        )

    def destroy(self, subject: Subject, kek_id: str, version: int, reason: str) -> None:
        """Erases a KEK version for good: what old backups hold under it does not open again. Again is fine.

        Raises `access.not_found`, `access.denied`, `request.invalid`, and `key.state` while it is in use, something is
        wrapped under it, or a request may still hold it.
        """
        found = [
            status
            for status in self._ports.keyring.status()
            if (status.tenant, status.kek_id, status.version) == (subject.tenant, kek_id, version)
        ]
        if not found or not self._acts.may(
            subject, Action.KEY_ROTATE, administrative(subject.tenant)
        ):
            self._acts.require_on_tenant(subject, Action.KEY_ROTATE)
            raise NotFoundError
        require_reason(reason)
        if found[0].state is not KEKState.DESTROYED:
            self._require_unused(found[0])
        details = {
            "kek": kek_id,
            "version": version,
            "classification": found[0].classification.name,
            "reason": reason,
        }
        self._ports.recorder.record(
            EventType.KEY_DESTROYED, subject, "permit", details, durable=True
        )
        self._ports.keyring.destroy(kek_id, version)

    def destroy_all(self, subject: Subject, reason: str) -> None:
        """Every KEK version of the tenant, once its DEKs were dropped: what is left of it opens nowhere."""
        for level in Classification:
            self._acts.require(subject, Action.KEY_ROTATE, administrative(subject.tenant, level))
        ledger = self._ports.ledger.ledger(subject.tenant)
        if ledger.held:
            raise ConflictError("something is still wrapped", code="key.state")
        mine = [s for s in self._ports.keyring.status() if s.tenant == subject.tenant]
        versions = [[s.kek_id, s.version] for s in mine]
        self._ports.recorder.record(
            EventType.KEY_DESTROYED,
            subject,
            "permit",
            {"versions": versions, "reason": reason},
            durable=True,
        )
        for status in mine:
            self._ports.keyring.destroy(status.kek_id, status.version)

    def wait(self, subject: Subject) -> int:
        """Seconds until what is retired by now may be destroyed."""
        ends = self._ports.ledger.ledger(subject.tenant).retired.values()
        return max(0, max(ends, default=0) + self._ports.grace_seconds - self._ports.clock.now())

    def _waiting(self) -> set[tuple[str, str]]:
        retired = self._ports.ledger.all_retired()
        return {
            (status.tenant, status.kek_id)
            for status in self._ports.keyring.status()
            if status.state is KEKState.DECRYPT_ONLY
            and (status.kek_id, status.version) not in retired
        }

    # How. -----------------------------------------------------------------------------------------------------------

    def _active(
        self, tenant: str, classification: Classification, purpose: KeyPurpose
    ) -> KEKStatus | None:
        for status in self._ports.keyring.status():
            of = (status.tenant, status.classification, status.purpose, status.state)
            if of == (tenant, classification, purpose, KEKState.ACTIVE):
                return status
        return None

    def _left(self, active: KEKStatus) -> int:
        held = self._ports.ledger.ledger(active.tenant).held
        return _below(held, active.kek_id, active.version)

    def _activate(self, kek_id: str, version: int) -> None:
        try:
            self._ports.keyring.activate(kek_id, version)
        except (
            ConflictError
        ):  # another rotation took the same pending version, and a further one followed
            if self._version_of(kek_id) < version:
                raise

    def _version_of(self, kek_id: str) -> int:
        for status in self._ports.keyring.status():
            if status.kek_id == kek_id and status.state is KEKState.ACTIVE:
                return status.version
        raise UnavailableError("that KEK has no active version here", code="unavailable.keys")

    def _pass(
        self,
        tenant: str,
        kek_id: str,
        version: int,
        before: int,
        progress: Progress | None,
    ) -> tuple[int, int, bool]:
        """Once through everything: (moved, damaged, whether something was changed by others meanwhile)."""
        held = self._ports.ledger.ledger(tenant).held
        total = before + _below(held, kek_id, version)
        moved = damaged = 0
        stale = False
        try:
            for ready, failed in self._prepared(tenant, kek_id, version):
                stored = self._ports.ledger.store_rewrapped(tenant, kek_id, ready)
                stale = stale or stored < len(ready)
                moved += stored
                damaged += len(failed)
                self._report_damaged(tenant, failed)
                if progress is not None:
                    progress(before + moved, total)
        except (
            ConflictError
        ):  # a further rotation activated another version: the next pass is for that one
            return moved, damaged, True
        return moved, damaged, stale

    def _prepared(self, tenant: str, kek_id: str, version: int) -> Iterator[_Prepared]:
        """Batch after batch, each made while the one before it is stored."""

        def prepare(after: tuple[str, int]) -> tuple[tuple[str, int], _Prepared] | None:
            batch = self._ports.ledger.held_under(tenant, kek_id, version, after=after, limit=BATCH)
            if not batch:
                return None
            return (batch[-1].document_id, batch[-1].version), self._rewrapped(batch, version)

        with ThreadPoolExecutor(1, thread_name_prefix="rewrap") as ahead:
            upcoming = ahead.submit(prepare, ("", 0))
            while (made := upcoming.result()) is not None:
                upcoming = ahead.submit(prepare, made[0])
                yield made[1]

    def _rewrapped(self, batch: Sequence[HeldDEK], version: int) -> _Prepared:
        moves = [(item.dek, item.dek.context.under(version)) for item in batch]
        ready: list[Rewrapped] = []
        failed: list[tuple[HeldDEK, RagwardError]] = []
        for item, given in zip(batch, self._ports.keyring.rewrap_all(moves), strict=True):
            if isinstance(given, UnavailableError):
                raise given
            if isinstance(given, RagwardError):
                failed.append((item, given))
                continue
            ready.append(
                Rewrapped(
                    document_id=item.document_id,
                    version=item.version,
                    from_version=item.dek.context.kek_version,
                    before=item.dek.wrapped,
                    to_version=version,
                    after=given,
                )
            )
        return ready, failed

    def _report_damaged(self, tenant: str, failed: Sequence[tuple[HeldDEK, RagwardError]]) -> None:
        """Once for each pass, whatever their number."""
        for code, count in Counter(error.code for _, error in failed).items():
            documents = [item.document_id for item, error in failed if error.code == code]
            details = {"code": code, "act": "rewrap", "count": count, "documents": documents[:100]}
            self._ports.recorder.record(
                EventType.INTEGRITY_FAILURE, None, "kept", details, tenant=tenant
            )

    def _require_unused(self, status: KEKStatus) -> None:
        if status.state is not KEKState.DECRYPT_ONLY:
            raise ConflictError(f"it is {status.state.value}: rotate first", code="key.state")
        ledger = self._ports.ledger.ledger(status.tenant)
        key = (status.kek_id, status.version)
        if held := ledger.held.get(key, 0):
            raise ConflictError(f"{held} DEKs are wrapped under it", code="key.state")
        if key not in ledger.retired:
            raise ConflictError("its rotation is not finished", code="key.state")
        wait = ledger.retired[key] + self._ports.grace_seconds - self._ports.clock.now()
        if wait > 0:
            raise ConflictError(
                f"requests that have read its keys may run for {wait} more seconds",
                code="key.state",
            )


def _below(held: Mapping[tuple[str, int], int], kek_id: str, version: int) -> int:
    return sum(n for (kek, at), n in held.items() if kek == kek_id and at < version)
