"""What all answers under one task grant may carry together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragward.domain.access import Subject
from ragward.domain.errors import LimitExceededError
from ragward.domain.minimization import tokens_of
from ragward.domain.passages import Passage
from ragward.ports import TaskGrantStore


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBudgets:
    """What answers under a task grant may still carry."""

    store: TaskGrantStore

    def reserve(self, subject: Subject, passages: Sequence[Passage]) -> int | None:
        """Takes an answer's tokens from the grant's budget before it is given; None without a grant.

        In one step of the catalog, so that answers at the same time cannot both have the last of it. What is taken stays
        taken, also if the answer then fails. Raises `limit.task_budget`, `unavailable.catalog`.
        """
        if subject.task is None:
            return None
        tokens = sum(max(1, tokens_of(passage.text)) for passage in passages)
        task = subject.task
        if tokens and not self.store.spend_task_tokens(task.tenant, task.grant_id, tokens):
            raise LimitExceededError(code="limit.task_budget", retry_after_seconds=60)
        return tokens
