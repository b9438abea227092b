"""What somebody lends for one task: less than they have, to whom, and until when."""

from __future__ import annotations

from dataclasses import dataclass

from ragward.domain.labels import AccessLabel, Classification


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGrant:
    """A grant for one task. It permits nothing by itself: it is one more term of the intersection.

    `minted_by` is the person who minted it, `agent` the only principal that may bring it. `actions` are names of
    `domain.access.Action`. `not_before` and `not_after` are Unix seconds, the end excluded: it expires in the decision.
    `budget_tokens` is what all answers under it may carry together. `stepped_up` says that the person who minted it proved
    who they are as RESTRICTED demands at that moment.
    """

    grant_id: str
    tenant: str
    minted_by: str
    agent: str
    purpose: str
    corpora: frozenset[str]
    ceiling: Classification
    actions: frozenset[str]
    budget_tokens: int
    not_before: int
    not_after: int
    stepped_up: bool = False

    def admits(self, label: AccessLabel, action: str, now: int) -> bool:
        """Whether `action` on content under `label` is within the task at `now`."""
        return (
            self.not_before <= now < self.not_after
            and label.tenant == self.tenant
            and label.corpus in self.corpora
            and label.classification <= self.ceiling
            and action in self.actions
        )
