"""Wrapped DEKs, credentials and KEK versions as the key broker and its clients send them; the framing is `owner_wire`'s.

What is sent are the domain's own dataclasses, as maps; what arrives becomes one of them again or is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ragward.domain.access import Credentials
from ragward.domain.envelope import WrappingContext
from ragward.domain.errors import RagwardError, error_of
from ragward.domain.keys import KEKStatus, KeyRole, WrappedDEK

VERSION: Final = 3
#: One socket for each role: what a process may do is which one it was given.
SOCKETS: Final = {role: f"{role.value}.sock" for role in KeyRole}

Result = tuple[bytes, str]
"""A key, or nothing and the code of why not."""


def data_of(value: object) -> bytes:
    """Bytes. Raises `TypeError`."""
    if not isinstance(value, bytes):
        raise TypeError
    return value


def context_of(fields: object) -> WrappingContext:
    """Raises `ValueError`."""
    return _in_bounds(msgspec.convert(fields, WrappingContext))


def wraps_of(fields: object) -> list[WrappedDEK]:
    """Raises `ValueError`."""
    wraps = msgspec.convert(fields, list[WrappedDEK])
    for item in wraps:
        _in_bounds(item.context)
    return wraps


def moves_of(fields: object) -> list[tuple[WrappedDEK, WrappingContext]]:
    """Wrapped DEKs and what each is to be bound to. Raises `ValueError`."""
    moves = msgspec.convert(fields, list[tuple[WrappedDEK, WrappingContext]])
    for item, to in moves:
        _in_bounds(item.context)
        _in_bounds(to)
    return moves


def credentials_of(fields: object) -> Credentials:
    """Raises `ValueError`."""
    return msgspec.convert(fields, Credentials)


def statuses_of(fields: object) -> list[KEKStatus]:
    """Raises `ValueError`."""
    return msgspec.convert(fields, list[KEKStatus])


def packed(value: bytes | RagwardError) -> Result:
    """As it is sent."""
    return (b"", value.code) if isinstance(value, RagwardError) else (value, "")


def results_of(fields: object) -> list[bytes | RagwardError]:
    """The inverse, of all of them. Raises `ValueError`."""
    return list(map(result_of, msgspec.convert(fields, list[Result])))


def result_of(result: Result) -> bytes | RagwardError:
    """The inverse of `packed`."""
    key, code = result
    return error_of(code, "") if code else key


def granted_of(fields: object) -> Iterable[tuple[int | None, Result]]:
    """Results with the classification of each. Raises `ValueError`."""
    return msgspec.convert(fields, list[tuple[int | None, Result]])


def _in_bounds(context: WrappingContext) -> WrappingContext:
    if not (0 <= context.kek_version < 2**32 and 0 <= context.document_version < 2**64):
        raise ValueError
    return context
