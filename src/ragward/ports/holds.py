"""Legal holds, and how old content is: what decides whether something may go, or is due to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from ragward.domain.holds import Hold


class HoldStore(Protocol):
    """Holds. The store keeps to them itself: what is held loses neither key nor content through any of its writes."""

    def add_hold(self, hold: Hold, document_ids: Collection[str]) -> None:
        """Places it, over these documents or over its source; in force when this returns."""

    def hold(self, tenant: str, hold_id: str) -> Hold:
        """Raises `access.not_found`."""

    def holds(self, tenant: str, *, lifted: bool = False, limit: int) -> Sequence[Hold]:
        """Newest first; those in force, or with `lifted` all."""

    def count_held(self, hold: Hold) -> int:
        """How many documents it covers now."""

    def held(self, tenant: str, document_ids: Collection[str]) -> Mapping[str, str]:
        """Document id -> a hold in force, of those of these documents that are held."""

    def has_holds(self, tenant: str) -> bool:
        """Whether any is in force."""

    def standing_tags(self, tenant: str) -> Mapping[str, frozenset[str]]:
        """Hold id -> tags of the person it is about, of those in force that are about one."""

    def also_hold(self, tenant: str, hold_id: str, document_ids: Collection[str]) -> None:
        """More documents under a hold; again is fine. Raises `access.not_found`."""

    def request_lift(self, tenant: str, hold_id: str, *, by: str, reason: str) -> None:
        """Raises `access.not_found`, and `hold.state` unless it is active."""

    def lift_hold(self, tenant: str, hold_id: str, *, by: str, reason: str, target: str) -> int:
        """Lifts it, and removes what only holds kept; returns how many versions that were. `target` is what it says from now
        on that it was about. Raises `access.not_found`, `hold.state`."""

    def content_since(self, tenant: str, document_ids: Collection[str]) -> Mapping[str, int]:
        """Document id -> since when (Unix seconds) the current version's bytes are here: other labels, keys, findings and
        releases of the same bytes do not make them younger."""
