"""Where agents, keys and their uses are kept: a part of the catalog. Applications themselves are `ApplicationStore`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ragward.domain.identities import Agent, Custody, Identity, NewKey


class IdentityStore(Protocol):
    """The inventory of identities that are no persons."""

    def find_agent(self, tenant: str, principal: str) -> Agent | None:
        """A registered agent, also one that has expired."""

    def save_agent(
        self,
        agent: Agent,
        custody: Custody,
        key: NewKey | None,
        *,
        earlier_keys_end_at: int | None = None,
    ) -> None:
        """Registers or renews an agent, whose earlier keys may end then; moves the epoch. Raises `request.invalid` for an application that is not there,
        `catalog.exists` for a key prefix that is taken."""

    def rotate_key(
        self, tenant: str, principal: str, key: NewKey, *, earlier_ends_at: int | None
    ) -> bool:
        """A new key for an application or agent; the newest before it stays good until then (None: not at all), any older
        one ends now.

        Returns whether one stays. Raises `access.not_found`, `catalog.exists`."""

    def identities(self, tenant: str) -> Sequence[Identity]:
        """Every application and registered agent with its keys, expired ones too, by principal; and agents that only uses name."""

    def note_uses(self, tenant: str, uses: Mapping[str, int]) -> None:
        """Principal, or `key:` and a key's id -> when it was last used. Never moves a use back."""
