"""Where task grants are kept: a part of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ragward.domain.task_grants import TaskGrantRecord


class TaskGrantStore(Protocol):
    """Task grants. Terms are never changed: a grant is minted, spent and revoked."""

    def add_task_grant(self, record: TaskGrantRecord) -> None:
        """In force when this returns. Raises `catalog.exists`."""

    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord:
        """Raises `access.not_found`, `integrity.envelope` for a row that was edited into nonsense."""

    def task_grants(
        self, tenant: str, *, minted_by: str | None = None, limit: int
    ) -> Sequence[TaskGrantRecord]:
        """Newest first; of one person, or of all."""

    def revoke_task_grant(self, tenant: str, grant_id: str, *, by: str) -> int:
        """Worth nothing when this returns, its digest is gone; moves the epoch and returns it. Again is fine.

        Raises `access.not_found`."""

    def spend_task_tokens(self, tenant: str, grant_id: str, tokens: int) -> bool:
        """Takes this much from its budget in one step; False, and nothing is taken, where so much is not left or the grant
        is revoked."""
