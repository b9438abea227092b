"""A keyring as one flow, or one kind of process, may use it: what it is not for raises `unavailable.keys`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ragward.domain.envelope import KeyPurpose, PurposeKey, WrappingContext
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.keys import KEKStatus, KeyUse, Reading, WrappedDEK
from ragward.domain.labels import Classification
from ragward.ports import Keyring


class LimitedKeyring:
    """`ports.Keyring`, of which only some uses are permitted. Whoever closes the keyring behind it is who opened it."""

    def __init__(self, keyring: Keyring, uses: Collection[KeyUse]) -> None:
        self._keyring, self._uses = keyring, frozenset(uses)
        self.mac_key, self.forget = keyring.mac_key, keyring.forget

    def active_kek(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """For `KeyUse.WRAP`."""
        return self._for(KeyUse.WRAP).active_kek(tenant, classification, purpose)

    def wrap(self, dek: bytes, context: WrappingContext) -> bytes:
        """For `KeyUse.WRAP`."""
        return self._for(KeyUse.WRAP).wrap(dek, context)

    def unwrap_all(
        self, wraps: Sequence[WrappedDEK], reading: Reading | None
    ) -> Sequence[bytes | RagwardError]:
        """For `KeyUse.UNWRAP`."""
        return self._for(KeyUse.UNWRAP).unwrap_all(wraps, reading)

    def vector_keys(self, wraps: Sequence[WrappedDEK]) -> Sequence[PurposeKey | RagwardError]:
        """For `KeyUse.VECTORS`."""
        return self._for(KeyUse.VECTORS).vector_keys(wraps)

    def rewrap_all(
        self,
        moves: Sequence[tuple[WrappedDEK, WrappingContext]],
        reading: Reading | None = None,
    ) -> Sequence[bytes | RagwardError]:
        """For `KeyUse.REWRAP`."""
        return self._for(KeyUse.REWRAP).rewrap_all(moves, reading)

    def stage(
        self,
        tenant: str,
        classification: Classification,
        purpose: KeyPurpose = KeyPurpose.CONTENT,
    ) -> tuple[str, int]:
        """For `KeyUse.ADMINISTER`."""
        return self._for(KeyUse.ADMINISTER).stage(tenant, classification, purpose)

    def activate(self, kek_id: str, version: int) -> None:
        """For `KeyUse.ADMINISTER`."""
        self._for(KeyUse.ADMINISTER).activate(kek_id, version)

    def destroy(self, kek_id: str, version: int) -> None:
        """For `KeyUse.ADMINISTER`."""
        self._for(KeyUse.ADMINISTER).destroy(kek_id, version)

    def status(self) -> Sequence[KEKStatus]:
        """For `KeyUse.ADMINISTER`."""
        return self._for(KeyUse.ADMINISTER).status()

    def close(self) -> None:
        """Nothing of its own to release."""

    def _for(self, use: KeyUse) -> Keyring:
        if use not in self._uses:
            raise UnavailableError(f"keys may not be used to {use} here", code="unavailable.keys")
        return self._keyring
