"""Identities that are no persons: applications, agents, their keys; who answers for each, and until when it is good."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ragward.domain.access import ALL_CORPORA, Application
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification, require_principal, tenant_of
from ragward.domain.policy import PolicyRow, parse_levels

DAY: Final = 86_400
MAX_LIFETIME_SECONDS: Final = 3 * 366 * DAY
#: How long an earlier key stays good beside the one that follows it.
OVERLAP_SECONDS: Final = DAY
MAX_OVERLAP_SECONDS: Final = 7 * DAY
UNUSED_SECONDS: Final = 90 * DAY
OLD_KEY_SECONDS: Final = 180 * DAY
SOON_SECONDS: Final = 14 * DAY
MAX_PURPOSE_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Who answers for an identity, and what it is for."""

    owner: str
    purpose: str

    def check(self, tenant: str) -> None:
        """Raises `principal.invalid`, `request.invalid` unless a person of this tenant owns it, for a stated purpose."""
        require_principal(self.owner)
        if not self.owner.startswith("user:") or tenant_of(self.owner) != tenant:
            raise InvalidRequestError(
                "an identity is owned by a person of its tenant: user:TENANT/NAME",
                code="principal.invalid",
            )
        told = self.purpose.strip()
        if not told or len(self.purpose) > MAX_PURPOSE_CHARACTERS or not told.isprintable():
            raise InvalidRequestError(
                f"an identity has a purpose of 1 to {MAX_PURPOSE_CHARACTERS} printable characters"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registered agent: it acts for people through one application, and may have keys of its own."""

    principal: str
    tenant: str
    client_id: str
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationKey:
    """What an API key is: its digest, the application it identifies and, for an agent's key, the agent."""

    sha256: bytes = field(repr=False)
    application: Application
    agent: str | None = None
    not_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to be stored."""

    key_id: str
    sha256: bytes = field(repr=False)
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as the inventory lists it. `key_id` is the part of it that is no secret."""

    key_id: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None = None


class IdentityKind(StrEnum):
    """What acts without being a person."""

    APPLICATION = "application"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One of them, as the inventory lists it. An agent that only the policy or tokens name is not `registered`.

    `last_used_at` is to the hour.
    """

    kind: IdentityKind
    principal: str
    client_id: str = ""
    owner: str = ""
    purpose: str = ""
    corpora: frozenset[str] = frozenset()
    ceiling: Classification | None = None
    public_client: bool = False
    created_at: int | None = None
    expires_at: int | None = None
    last_used_at: int | None = None
    keys: tuple[KeyRecord, ...] = ()
    registered: bool = True


class Finding(StrEnum):
    """What is wrong with an identity."""

    OWNERLESS = "ownerless"
    NO_EXPIRY = "no_expiry"
    EXPIRED = "expired"
    EXPIRES_SOON = "expires_soon"
    UNREGISTERED = "unregistered"
    UNUSED = "unused"
    OLD_KEY = "old_key"
    KEY_WITHOUT_EXPIRY = "key_without_expiry"
    CEILING_ABOVE_POLICY = "ceiling_above_policy"
    CEILING_ABOVE_USE = "ceiling_above_use"
    CORPORA_NEVER_USED = "corpora_never_used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What was answered through an identity in the window that was looked at."""

    answers: int = 0
    highest: Classification | None = None
    corpora: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """An identity and what a person should look at."""

    identity: Identity
    findings: tuple[tuple[Finding, str], ...]


def findings_of(
    identity: Identity, rows: Collection[PolicyRow], use: Use, now: int
) -> Iterator[tuple[Finding, str]]:
    """What is wrong with it, each with a sentence. `rows` are the policy's."""
    if not identity.registered:
        yield Finding.UNREGISTERED, "named by the policy or a token, registered by nobody"
    elif not identity.owner:
        yield Finding.OWNERLESS, "nobody answers for it"
    yield from _ends(identity, now)
    yield from _ages(identity, now)
    yield from _excess(identity, rows, use)


def _ends(identity: Identity, now: int) -> Iterator[tuple[Finding, str]]:
    if not identity.registered:
        return
    if identity.expires_at is None:
        yield Finding.NO_EXPIRY, "it never expires"
    elif identity.expires_at <= now:
        yield Finding.EXPIRED, "it has expired: remove it"
    elif identity.expires_at - now < SOON_SECONDS:
        yield Finding.EXPIRES_SOON, f"in {(identity.expires_at - now) // DAY} days"


def _ages(identity: Identity, now: int) -> Iterator[tuple[Finding, str]]:
    since = identity.last_used_at or identity.created_at
    if since is None or now - since > UNUSED_SECONDS:
        yield Finding.UNUSED, f"not used for {UNUSED_SECONDS // DAY} days, as far as is known"
    for key in identity.keys:
        if key.expires_at is None:
            yield Finding.KEY_WITHOUT_EXPIRY, f"key {key.key_id} never expires"
        if now - key.created_at > OLD_KEY_SECONDS:
            yield (
                Finding.OLD_KEY,
                f"key {key.key_id} is {(now - key.created_at) // DAY} days old",
            )


def _excess(
    identity: Identity, rows: Collection[PolicyRow], use: Use
) -> Iterator[tuple[Finding, str]]:
    ceiling = identity.ceiling
    if ceiling is None:
        return
    highest = highest_allowed(identity, rows)
    if highest is None or highest < ceiling:
        given = highest.name if highest is not None else "nothing"
        yield Finding.CEILING_ABOVE_POLICY, f"{ceiling.name}; the policy gives {given}"
    if use.answers and (use.highest is None or use.highest < ceiling):
        used = use.highest.name if use.highest is not None else "nothing"
        yield (
            Finding.CEILING_ABOVE_USE,
            f"{ceiling.name}; {used} was used in {use.answers} answers",
        )
    never = sorted(identity.corpora - use.corpora - {ALL_CORPORA})
    if use.answers and never and ALL_CORPORA not in identity.corpora:
        yield Finding.CORPORA_NEVER_USED, ", ".join(never)


def highest_allowed(identity: Identity, rows: Collection[PolicyRow]) -> Classification | None:
    """The highest classification that any allow row lets somebody read in the corpora that it admits."""
    levels = [
        parse_levels(row.levels)[1]
        for row in rows
        if row.effect == "allow" and _reads(row.action) and _within(row.corpus, identity.corpora)
    ]
    return max(levels, default=None)


def _reads(pattern: str) -> bool:
    star = pattern.find("*")
    return (
        pattern == "corpus:retrieve" if star < 0 else "corpus:retrieve".startswith(pattern[:star])
    )


def _within(pattern: str, corpora: frozenset[str]) -> bool:
    corpus = pattern.partition("/")[2]
    return ALL_CORPORA in (corpus, *corpora) or corpus in corpora


def require_lifetime(expires_at: int | None, now: int) -> int:
    """`expires_at`. Raises `request.invalid` for none, one that has passed, or one too far away."""
    if expires_at is None or not now < expires_at <= now + MAX_LIFETIME_SECONDS:
        days = MAX_LIFETIME_SECONDS // DAY
        raise InvalidRequestError(f"an identity expires: within {days} days from now")
    return expires_at


def by_principal(found: Sequence[Identity]) -> dict[str, Identity]:
    """Identities by their principal."""
    return {identity.principal: identity for identity in found}
