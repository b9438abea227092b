"""A provider of KEKs in another place: every use is a call, calls are counted, and it can be away."""

from __future__ import annotations

import os

from ragward.adapters.kek_aesgcm import LocalKEK
from ragward.adapters.keyring_registry import RegistryKeyring, new_body
from ragward.adapters.keyring_store import KeyringStore
from ragward.domain.errors import UnavailableError


class FakeKEKProvider:
    name = "fake"
    is_remote = True
    expires = False

    def __init__(self):
        self.away, self.calls, self.keks = False, [], {}

    def _called(self, what):
        self.calls.append(what)
        if self.away:
            raise UnavailableError(code="unavailable.keys")

    def create(self, which):
        self._called("create")
        reference = f"{which.kek_id}/{which.version}"
        self.keks[reference] = os.urandom(32)
        return reference

    def open(self, which, kept):
        return _Remote(self, kept)

    def destroy(self, which, kept):
        self._called("destroy")
        self.keks.pop(kept, None)

    def close(self):
        pass


class _Remote:
    def __init__(self, provider, reference):
        self._provider, self._reference = provider, reference

    def wrap(self, dek, associated):
        self._provider._called("wrap")
        return LocalKEK(self._provider.keks[self._reference]).wrap(dek, associated)

    def unwrap(self, wrapped, associated):
        self._provider._called("unwrap")
        return LocalKEK(self._provider.keks[self._reference]).unwrap(wrapped, associated)


def remote_keyring(path, provider, **given):
    """A keyring over it, with its file at `path`, made on first use."""
    keys = bytes(64)
    if not path.exists():
        KeyringStore.create(path, {"name": "fake"}, keys, new_body())
    return RegistryKeyring(KeyringStore.open(path, lambda _kdf: keys), provider, **given)
