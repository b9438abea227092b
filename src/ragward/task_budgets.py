"""What all answers under one task grant may carry together.

A process takes a part of the budget out of the store, alone among all workers, and counts its answers against that part: mostly in
memory, and never more than the budget over all of them. What it took and did not use is lost to the grant when it ends.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ragward.domain.access import Subject
from ragward.domain.errors import LimitExceededError
from ragward.domain.minimization import tokens_of
from ragward.domain.passages import Passage
from ragward.domain.task_grants import TaskGrant
from ragward.ports import TaskGrantStore

_PARTS: Final = 32
_MAX_HELD: Final = 10_000


class TaskBudgets:
    """What answers under a task grant may still carry. Thread-safe."""

    def __init__(self, *, store: TaskGrantStore) -> None:
        self._store = store
        self._held: OrderedDict[TaskGrant, int] = OrderedDict()
        self._lock = threading.Lock()

    def reserve(self, subject: Subject, passages: Sequence[Passage]) -> int | None:
        """Takes an answer's tokens from the grant's budget before it is given; None without a grant.

        Answers at the same time cannot both have the last of it. What is taken stays taken, also if the answer then fails.
        Raises `limit.task_budget`, `unavailable.catalog`.
        """
        if subject.task is None:
            return None
        tokens = sum(max(1, tokens_of(passage.text)) for passage in passages)
        if tokens and not self._took(subject.task, tokens):
            raise LimitExceededError(code="limit.task_budget", retry_after_seconds=60)
        return tokens

    def _took(self, task: TaskGrant, tokens: int) -> bool:
        """By the grant and its terms: that it is in force still is the decision's business."""
        with self._lock:
            held = self._held.get(task, 0)
            if held < tokens:
                lacking = tokens - held
                parts = (max(lacking, task.budget_tokens // _PARTS), lacking)
                took = next((part for part in parts if self._spent(task, part)), None)
                if took is None:
                    return False
                held += took
            self._held[task] = held - tokens
            self._held.move_to_end(task)
            while len(self._held) > _MAX_HELD:
                self._held.popitem(last=False)
            return True

    def _spent(self, task: TaskGrant, tokens: int) -> bool:
        return self._store.spend_task_tokens(task.tenant, task.grant_id, tokens)
