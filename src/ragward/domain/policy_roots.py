"""Signed policy roots: what a tenant's authority rows must be to count, as text under a signature.

A root names the tenant, how often it was signed, the epoch of its policy, the model, and a digest of every section of rows.
It is a C2SP signed note, like a checkpoint of the log, under a key that whoever writes the database need not have.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ragward.domain.access import Application
from ragward.domain.checkpoints import LogKey, Verify, opened_text
from ragward.domain.errors import IntegrityError, InvalidRequestError
from ragward.domain.identities import Agent, ApplicationKey
from ragward.domain.policy import MANY_ROWS, PolicySnapshot

KEY_NAME: Final = "ragward/policy"
_HEADER: Final = "ragward/policy-root/v1"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z]{1,32}")
EMPTY_CHAIN: Final = hashlib.sha256(b"").digest()

Field = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRoot:
    """What is signed. `serial` rises with every signature; `epoch` is the tenant's policy epoch; `model` is the SHA-256 of
    model.conf; `sections` are digests of rows by the section's name."""

    tenant: str
    serial: int
    epoch: int
    model: str
    sections: Mapping[str, bytes]

    def text(self) -> str:
        """As it is signed."""
        lines = [_HEADER, self.tenant, str(self.serial), str(self.epoch), self.model]
        lines += [f"{name} {digest.hex()}" for name, digest in sorted(self.sections.items())]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> PolicyRoot:
        """The inverse. Raises `request.invalid`."""
        lines = text.split("\n")
        if len(lines) < 6 or lines[0] != _HEADER or lines[-1] != "":
            raise InvalidRequestError("not a policy root")
        tenant, serial, epoch, model = lines[1:5]
        sections: dict[str, bytes] = {}
        for line in lines[5:-1]:
            name, _, digest = line.partition(" ")
            if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest) or name in sections:
                raise InvalidRequestError("not a policy root")
            sections[name] = bytes.fromhex(digest)
        numbers = _NUMBER.fullmatch(serial) and _NUMBER.fullmatch(epoch)
        if not numbers or not _DIGEST.fullmatch(model):
            raise InvalidRequestError("not a policy root")
        return cls(
            tenant=tenant, serial=int(serial), epoch=int(epoch), model=model, sections=sections
        )


def opened_root(note: str, tenant: str, key: LogKey, verify: Verify) -> PolicyRoot:
    """The root in a note that this key signed for this tenant. Raises `integrity.policy_root`."""
    try:
        root = PolicyRoot.parse(opened_text(note, key, verify))
    except InvalidRequestError as error:
        raise root_error(error.detail) from None
    if root.tenant != tenant:
        raise root_error("the root is another tenant's")
    return root


def root_error(detail: str) -> IntegrityError:
    """Authority rows that do not count, and why."""
    return IntegrityError(detail, code="integrity.policy_root")


def rows_digest(rows: Iterable[Sequence[Field]]) -> bytes:
    """SHA-256 over rows in the order of their bytes: an order of their own, each once for each time it is there."""
    leaves = sorted(map(_leaf, rows))
    return hashlib.sha256("\n".join(leaves).encode()).digest()  # JSON has no line feed in it


def chained(head: bytes, row: Sequence[Field]) -> bytes:
    """The head of a chain that only grows, one row later."""
    return hashlib.sha256(head + hashlib.sha256(_leaf(row).encode()).digest()).digest()


_JSON: Final = json.JSONEncoder(separators=(",", ":"), default=lambda odd: {"odd": repr(odd)})


def _leaf(row: Sequence[Field]) -> str:
    """ASCII. SQLite columns may hold bytes whatever their type says; those are like no text."""
    return _leaf_of(*row)


@lru_cache(maxsize=MANY_ROWS, typed=True)  # 1 and True are equal, and are not the same row
def _leaf_of(*row: Field) -> str:
    return _JSON.encode(row)


def differing(root: PolicyRoot, found: Mapping[str, bytes]) -> list[str]:
    """Sections that are not what was signed, of those that were looked at."""
    return sorted(name for name, digest in found.items() if root.sections.get(name) != digest)


@dataclass(frozen=True, slots=True)
class SignedKey:
    """Of an application or, with `agent`, of an agent of it."""

    sha256: bytes
    client_id: str
    agent: str | None
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What decisions about a tenant are made from, verified against its root."""

    root: PolicyRoot | None
    """None of a tenant nobody wrote to"""
    policy: Callable[[], PolicySnapshot]
    """Raises `policy.invalid`: what is signed may still be no policy."""
    applications: Mapping[str, Application]
    """by client id, expired ones too"""
    keys: Mapping[str, SignedKey]
    """by prefix"""
    agents: Mapping[str, Agent]
    """by principal, expired ones too"""
    disabled: frozenset[str]
    """external ids of people who were deactivated or deleted"""

    def signed_key(self, prefix: str) -> ApplicationKey | None:
        """The key as whoever brings it is verified against, expired or not."""
        key = self.keys.get(prefix)
        application = None if key is None else self.applications.get(key.client_id)
        if key is None or application is None:
            return None
        ends = [key.expires_at]
        if key.agent is not None:
            if key.agent not in self.agents:
                return None
            ends.append(self.agents[key.agent].expires_at)
        return ApplicationKey(
            sha256=key.sha256,
            application=application,
            agent=key.agent,
            not_after=min((end for end in ends if end is not None), default=None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootState:
    """What a tenant's root says and whether the rows are what it says, for an operator."""

    tenant: str
    root: PolicyRoot | None
    problem: str = ""
    is_wrong: bool = False
    """There is a root, and it is not this one's or not of these rows"""
