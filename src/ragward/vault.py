"""Pseudonyms that can be erased: random tokens, and beside each its value, encrypted under a key of its own.

A value is found again by a keyed tag, so it has the same token within tenant, purpose and type; whoever steals the database
has tokens, tags and ciphertexts. Once a row is gone its token is as one that never was, and its value gets a new one.
"""

from __future__ import annotations

import dataclasses
import secrets
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from ragward.domain.corpus import KeyReference
from ragward.domain.envelope import KeyPurpose, Suite
from ragward.domain.errors import InvalidRequestError, RagwardError
from ragward.domain.keys import Reading, WrappedDEK
from ragward.domain.pseudonyms import (
    VAULT_LEVEL,
    Payload,
    PseudonymErasure,
    TypedValue,
    VaultedPseudonym,
    value_tag,
    vault_token,
)
from ragward.ports import Cipher, Clock, Keyring, PseudonymStore

_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudonymVault:
    """Issues, reads and erases. Thread-safe."""

    store: PseudonymStore
    keyring: Keyring
    cipher: Cipher
    clock: Clock

    def tokens(
        self, tenant: str, purpose: str, values: Collection[TypedValue]
    ) -> Mapping[TypedValue, str]:
        """The token of each value: one read, and one short write if any is new. Raises `unavailable.*`, `key.state`."""
        key = self.keyring.mac_key("pseudonym-tag")
        tags = {value: value_tag(key, tenant, purpose, value) for value in values}
        known = dict(self.store.pseudonym_tokens(tenant, list(tags.values())))
        new = [
            self._made(tenant, purpose, value, tag)
            for value, tag in tags.items()
            if tag not in known
        ]
        if new:
            known |= self.store.add_pseudonyms(tenant, new)
        return {value: known[tag] for value, tag in tags.items()}

    def read(self, tenant: str, purpose: str, token: str, reading: Reading) -> Payload:
        """What a token stands for. Raises `pseudonym.invalid` for one that is not there, erased or of elsewhere;
        `integrity.*`, `unavailable.*`, and `access.not_found` from a key broker, which opens none."""
        row = self.store.find_pseudonym(tenant, token)
        if row is None or row.purpose != purpose:
            raise InvalidRequestError(code="pseudonym.invalid")
        item = WrappedDEK(wrapped=row.key.wrapped_dek, context=row.wrapping_context())
        (dek,) = self.keyring.unwrap_all([item], reading)
        if isinstance(dek, RagwardError):
            raise dek
        plain = self.cipher.decrypt(
            row.blob, dek=dek, dek_id=row.key.dek_id, context=row.content_context()
        )
        return Payload(value=plain.decode())

    def meant(self, tenant: str, erasure: PseudonymErasure) -> Collection[str]:
        """The tokens that an erasure is about: those of a value are all there are, of whatever type and purpose."""
        if erasure.token:
            found = self.store.find_pseudonym(tenant, erasure.token)
            return [] if found is None else [found.token]
        key = self.keyring.mac_key("pseudonym-tag")
        tags = [
            value_tag(key, tenant, purpose, TypedValue.of(entity_type, erasure.value))
            for purpose, entity_type in self.store.pseudonym_kinds(tenant)
        ]
        return sorted(self.store.pseudonym_tokens(tenant, tags).values())

    def _made(self, tenant: str, purpose: str, value: TypedValue, tag: bytes) -> VaultedPseudonym:
        kek_id, kek_version = self.keyring.active_kek(tenant, VAULT_LEVEL, KeyPurpose.PSEUDONYM)
        dek = self.cipher.new_dek()
        key = KeyReference(
            dek_id=str(uuid.uuid4()), kek_id=kek_id, kek_version=kek_version, wrapped_dek=b""
        )
        row = VaultedPseudonym(
            tenant=tenant,
            purpose=purpose,
            entity_type=value.entity_type,
            tag=tag,
            token=vault_token(value.entity_type, secrets.token_urlsafe(_TOKEN_BYTES)),
            key=key,
            blob=b"",
            created_at=self.clock.now(),
        )
        blob = self.cipher.encrypt(
            value.value.encode(),
            dek=dek,
            dek_id=key.dek_id,
            context=row.content_context(),
            suite=Suite.ENCRYPTED,
        )
        wrapped = self.keyring.wrap(dek, row.wrapping_context())
        return dataclasses.replace(
            row, key=dataclasses.replace(key, wrapped_dek=wrapped), blob=blob
        )
