"""What a pseudonym carries and where one stands in a text."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ragward.domain.corpus import KeyReference, wrapping_context
from ragward.domain.envelope import EncryptionContext, Kind, WrappingContext
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification, administrative

VAULT_LEVEL: Final = Classification.RESTRICTED  # a token does not say where its value was read
VAULT_VERSION: Final = 0
"""Where a derived token names its key, a random one has this."""
MAX_VALUE_CHARACTERS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The value a token stands for."""

    value: str = field(repr=False)


class FoundToken(NamedTuple):
    """A token at text[start:end]."""

    start: int
    end: int
    entity_type: str
    token: str


class TypedValue(NamedTuple):
    """A value as one type of personal data, its white space made even."""

    entity_type: str
    value: str

    @classmethod
    def of(cls, entity_type: str, text: str) -> TypedValue:
        """Broken over two lines it is the same name."""
        return cls(entity_type, " ".join(text.split()))


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultedPseudonym:
    """A random token and, encrypted under a key of its own, what it stands for. Without the row nothing leads back.

    `tag` finds the row for a value: `value_tag`, which nobody can compute without the tenant's key."""

    tenant: str
    purpose: str
    entity_type: str
    tag: bytes
    token: str
    key: KeyReference
    blob: bytes = field(repr=False)
    created_at: int

    def content_context(self) -> EncryptionContext:
        """What the value is bound to: another row's, or one under another tag, does not open."""
        return EncryptionContext(
            tenant=self.tenant,
            document_id=self.token,
            chunk_id=f"{self.purpose}/{self.tag.hex()}",
            kind=Kind.PSEUDONYM,
            revision=1,
        )

    def wrapping_context(self) -> WrappingContext:
        """What the wrapped DEK is bound to; the label is the tenant's own, under which reveals are decided."""
        label = administrative(self.tenant)
        return wrapping_context(self.key, self.tenant, self.token, 1, label.digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudonymErasure:
    """Which pseudonyms to erase: all of a value, whatever their type and purpose, or one token."""

    value: str = field(default="", repr=False)
    token: str = ""

    def check(self) -> None:
        """Raises `request.invalid`."""
        if bool(self.value.strip()) == bool(self.token):
            raise InvalidRequestError("name a value or a token, not both")
        if len(self.value) > MAX_VALUE_CHARACTERS:
            raise InvalidRequestError(f"a value has at most {MAX_VALUE_CHARACTERS} characters")
        if self.token and not is_vaulted(self.token):
            raise InvalidRequestError("that is no pseudonym of the vault: derived ones stay")


def vault_token(entity_type: str, random_name: str) -> str:
    """A token in the form of the derived ones, from 43 random characters of base64url."""
    return f"[[{entity_type}:{VAULT_VERSION}.{random_name}]]"


def is_vaulted(token: str) -> bool:
    """Whether a token has the form of the vault's."""
    return token.startswith("[[") and token.partition(":")[2].startswith(f"{VAULT_VERSION}.")


def value_tag(key: bytes, tenant: str, purpose: str, value: TypedValue) -> bytes:
    """HMAC-SHA256 over length-prefixed fields: equal for equal values within tenant, purpose and type only."""
    parts = (tenant.encode(), purpose.encode(), value.entity_type.encode(), value.value.encode())
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, b"ragward.pseudonym-tag.v1\0" + body, hashlib.sha256)
