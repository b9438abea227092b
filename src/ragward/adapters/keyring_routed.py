"""Several keyrings as one: classifications with a provider of their own, and one keyring for all others.

A provider that is away takes down what needs it, and nothing else: its keyring is opened when it is first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from ragward.domain.envelope import KeyPurpose, PurposeKey, WrappingContext
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.keys import KEKStatus, Reading, WrappedDEK
from ragward.domain.labels import Classification
from ragward.ports import Keyring

Out = TypeVar("Out")


class HoldingKeyring(Keyring, Protocol):
    """A keyring that knows which KEKs are its own."""

    def holds(self, kek_id: str) -> bool:
        """Whether a version of this KEK is or was here."""


class RoutedKeyring:
    """`ports.Keyring`: by classification for what is made, by KEK for what is there. MAC keys are the main keyring's."""

    def __init__(
        self,
        main: HoldingKeyring,
        others: Mapping[Classification, Callable[[], HoldingKeyring]],
    ) -> None:
        self._main, self._openers = main, others
        self._opened: dict[Classification, HoldingKeyring] = {}
        self._lock = threading.Lock()
        self.mac_key = main.mac_key

    def active_kek(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """From the keyring of the classification."""
        return self._of(classification).active_kek(tenant, classification, purpose)

    def stage(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """In the keyring of the classification."""
        return self._of(classification).stage(tenant, classification, purpose)

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """Under the KEK named."""
        return self._with(context.kek_id).wrap(dek, context)

    def unwrap_all(
        self, wraps: Sequence[WrappedDEK], reading: Reading | None
    ) -> Sequence[bytes | RagwardError]:
        """From the keyrings of their KEKs, each asked once."""
        return self._each(wraps, lambda ring, part: ring.unwrap_all(part, reading))

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """From the keyrings of their KEKs, each asked once."""
        return self._each(wraps, lambda ring, part: ring.vector_keys(part))

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        reading: Reading | None = None,
    ) -> Sequence[bytes | RagwardError]:
        """Within a keyring there, and from one to another through here."""
        from ragward.adapters.keyring_registry import RegistryKeyring, require_same_dek

        out: list[bytes | RagwardError] = []
        for item, to in moves:
            require_same_dek(item.context, to)
            source, target = self._with(item.context.kek_id), self._with(to.kek_id)
            if source is target:
                out.extend(source.rewrap_all([(item, to)], reading))
            elif isinstance(source, RegistryKeyring):
                out.append(target.wrap(source.unwrap(item.wrapped, item.context), to))
            else:
                raise UnavailableError(code="unavailable.keys")
        return out

    def activate(self, kek_id: str, version: int) -> None:
        """Where it is."""
        self._with(kek_id).activate(kek_id, version)

    def destroy(self, kek_id: str, version: int) -> None:
        """Where it is."""
        self._with(kek_id).destroy(kek_id, version)

    def status(self) -> Sequence[KEKStatus]:
        """Of all keyrings that can be reached."""
        found = list(self._main.status())
        for ring in self._reachable():
            found += ring.status()
        return found

    def forget(self) -> None:
        """In all of them."""
        for ring in (self._main, *self._opened.values()):
            ring.forget()

    def close(self) -> None:
        """All of them."""
        for ring in (*self._opened.values(), self._main):
            ring.close()

    def _of(self, classification: Classification) -> HoldingKeyring:
        if classification not in self._openers:
            return self._main
        with self._lock:
            if classification not in self._opened:
                self._opened[classification] = self._openers[classification]()
            return self._opened[classification]

    def _with(self, kek_id: str) -> HoldingKeyring:
        if self._main.holds(kek_id):
            return self._main
        for ring in self._opened.values():
            if ring.holds(kek_id):
                return ring
        for ring in self._reachable():
            if ring.holds(kek_id):
                return ring
        raise UnavailableError("no keyring in reach holds that key", code="unavailable.keys")

    def _reachable(self) -> Iterator[HoldingKeyring]:
        for classification in self._openers:
            try:
                ring = self._of(classification)
            except UnavailableError:
                continue  # what needs it is refused; the others go on
            yield ring

    def _each(
        self,
        wraps: Sequence[WrappedDEK],
        ask: Callable[[HoldingKeyring, Sequence[WrappedDEK]], Sequence[Out | RagwardError]],
    ) -> list[Out | RagwardError]:
        parts: dict[int, tuple[HoldingKeyring, list[int]]] = {}
        out: dict[int, Out | RagwardError] = {}
        for position, item in enumerate(wraps):
            try:
                ring = self._with(item.context.kek_id)
            except UnavailableError as error:
                out[position] = error
                continue
            parts.setdefault(id(ring), (ring, []))[1].append(position)
        for ring, positions in parts.values():
            given = ask(ring, [wraps[position] for position in positions])
            out.update(zip(positions, given, strict=True))
        return [out[position] for position in range(len(wraps))]
