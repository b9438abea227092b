"""Wrapped DEKs, credentials and KEK versions as the key broker and its clients send them; the framing is `owner_wire`'s."""

from __future__ import annotations

import base64
from typing import Any, Final

from ragward.domain.access import Credentials
from ragward.domain.envelope import KeyPurpose, WrappingContext
from ragward.domain.errors import RagwardError, error_of
from ragward.domain.keys import KEKState, KEKStatus, KeyRole, WrappedDEK
from ragward.domain.labels import Classification

VERSION: Final = 1
#: One socket for each role: what a process may do is which one it was given.
SOCKETS: Final = {role: f"{role.value}.sock" for role in KeyRole}


def text(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


def data_of(value: str) -> bytes:
    """The inverse. Raises `ValueError`."""
    return base64.b64decode(value, validate=True)


def pack_context(context: WrappingContext) -> list[Any]:
    """As JSON."""
    return [
        context.tenant,
        context.kek_id,
        context.kek_version,
        context.dek_id,
        context.document_id,
        context.document_version,
        context.label_digest.hex(),
    ]


def context_of(fields: list[Any]) -> WrappingContext:
    """The inverse. Raises `ValueError`, `TypeError`."""
    tenant, kek_id, kek_version, dek_id, document_id, document_version, digest = fields
    texts, numbers = (tenant, kek_id, dek_id, document_id), (kek_version, document_version)
    if not all(type(t) is str for t in texts) or not all(type(n) is int for n in numbers):
        raise TypeError
    if not (0 <= kek_version < 2**32 and 0 <= document_version < 2**64):
        raise ValueError
    return WrappingContext(
        tenant=tenant,
        kek_id=kek_id,
        kek_version=kek_version,
        dek_id=dek_id,
        document_id=document_id,
        document_version=document_version,
        label_digest=bytes.fromhex(digest),
    )


def pack_wrap(item: WrappedDEK) -> list[Any]:
    """As JSON."""
    return [text(item.wrapped), *pack_context(item.context)]


def wrap_of(fields: list[Any]) -> WrappedDEK:
    """The inverse. Raises `ValueError`, `TypeError`."""
    return WrappedDEK(wrapped=data_of(fields[0]), context=context_of(fields[1:]))


def pack_credentials(credentials: Credentials) -> list[str | None]:
    """As JSON."""
    return [credentials.untrusted_authorization, credentials.untrusted_user_authorization]


def credentials_of(fields: list[str | None]) -> Credentials:
    """The inverse. Raises `ValueError`, `TypeError`."""
    first, second = fields
    if not all(value is None or type(value) is str for value in fields):
        raise TypeError
    return Credentials(untrusted_authorization=first, untrusted_user_authorization=second)


def pack_result(value: bytes | RagwardError) -> list[str]:
    """A key, or the code of why not."""
    return ["", value.code] if isinstance(value, RagwardError) else [text(value)]


def result_of(fields: list[str]) -> bytes | RagwardError:
    """The inverse."""
    return data_of(fields[0]) if len(fields) == 1 else error_of(fields[1], "")


def pack_status(status: KEKStatus) -> dict[str, Any]:
    """As JSON."""
    return {
        "kek_id": status.kek_id,
        "tenant": status.tenant,
        "classification": status.classification.name,
        "purpose": status.purpose.value,
        "version": status.version,
        "state": status.state.value,
        "provider": status.provider,
        "created_at": status.created_at,
        "activated_at": status.activated_at,
        "destroyed_at": status.destroyed_at,
        "wraps": status.wraps,
    }


def status_of(fields: dict[str, Any]) -> KEKStatus:
    """The inverse."""
    named = {
        "classification": Classification[fields["classification"]],
        "purpose": KeyPurpose(fields["purpose"]),
        "state": KEKState(fields["state"]),
    }
    return KEKStatus(**(fields | named))
