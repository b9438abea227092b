"""Restrictions, accounts of what is done, and what is left of budgets: kept where all workers see them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from ragward.domain.access import Subject
from ragward.domain.audit import EventType
from ragward.domain.behaviour import Day, Feature
from ragward.domain.passages import Passage
from ragward.domain.restrictions import Restriction


class RestrictionStore(Protocol):
    """Restrictions. Each write moves the tenant's epoch: it is in force at every worker when it returns."""

    def add_restriction(
        self, restriction: Restriction, *, spare: Collection[str] | None = None
    ) -> bool:
        """Places it. With `spare`, nothing is placed, and the answer is False, where it would leave none of these principals
        without a suspension that is in force or to come."""

    def restriction(self, tenant: str, restriction_id: str) -> Restriction:
        """Raises `access.not_found`."""

    def restrictions(
        self, tenant: str, *, now: int, ended: bool = False, limit: int = 100
    ) -> Sequence[Restriction]:
        """Newest first; those that are not over at `now`, or with `ended` all."""

    def restrictions_ahead(self, tenant: str, now: int) -> tuple[int, Sequence[Restriction]]:
        """(epoch, those neither released nor over), read together."""

    def release_restriction(
        self, tenant: str, restriction_id: str, *, by: str, reason: str, now: int
    ) -> None:
        """Ends it. Raises `access.not_found`, and `restriction.state` for one that has ended."""


class AccountStore(Protocol):
    """Accounts, as `domain.behaviour` writes them."""

    def account(self, tenant: str, principal: str) -> str | None:
        """As it is stored."""

    def change_account(
        self, tenant: str, principal: str, change: Callable[[str | None], str]
    ) -> str:
        """Replaces it by what `change` makes of it, alone among all workers; returns that."""


class BudgetStore(Protocol):
    """What was taken out of daily budgets."""

    def take(self, tenant: str, name: str, day: int, wanted: int, least: int, budget: int) -> int:
        """Takes `wanted` of what is left of the budget of `day`, or what is left if that is at least `least`, or nothing;
        returns how much. A day before the one last taken from counts as that one."""


class RateStore(Protocol):
    """Requests counted in windows, for several machines."""

    def hit(self, tenant: str, name: str, window: int, seconds: int) -> int:
        """Counts one in; returns how many there are in the window of this number."""


class Baselines(Protocol):
    """What is usual, by days that are over."""

    def usual(self, days: Sequence[Day], scales: Sequence[float]) -> Mapping[Feature, float]:
        """The counts that a day stays below; nothing for a feature of which that is not known. Of each
        feature, counts well below its scale are much alike."""

    def is_drifting(self, days: Sequence[Day], scales: Sequence[float]) -> bool:
        """Whether the latest days bring more new documents than those before."""


class Watch(Protocol):
    """Looks at answers: at what may leave before, at what was done after."""

    def spend(self, subject: Subject, passages: Sequence[Passage], *, counted: bool) -> None:
        """Before the answer leaves. Raises `limit.exposure`; and `unavailable.limiter` where the request could not be counted
        and the handling of a passage wants that."""

    def answered(
        self, subject: Subject, query: str, passages: Sequence[Passage], flags: Sequence[str]
    ) -> None:
        """After it is on record; without passages nothing was found or permitted."""

    def noticed(self, event: EventType, subject: Subject | None, code: str) -> None:
        """Something was recorded, with the code of a refusal."""
