"""Task grants: what people lend to agents, for one task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import Level, Name, Principal, Strict, Whole, level_of
from ragward.api.schemas_keys import Reason
from ragward.domain.labels import Classification
from ragward.domain.task_grants import (
    MAX_BUDGET_TOKENS,
    MAX_CORPORA,
    MAX_MINUTES,
    TaskGrantRecord,
    TaskGrantRequest,
)

router = APIRouter(prefix="/v1/task-grants", tags=["task grants"])
Id = Annotated[str, Path(min_length=1, max_length=64)]


class TaskGrantBody(Strict):
    """What is lent to whom. Nothing in it may exceed what you have yourself."""

    agent: Principal
    application: Principal | None = Field(
        None,
        description="The application that the agent comes through; by default the one it is registered with, or yours.",
    )
    corpora: list[Name] = Field(min_length=1, max_length=MAX_CORPORA)
    ceiling: Level
    actions: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=["corpus:retrieve"], min_length=1, max_length=50
    )
    budget_tokens: Whole = Field(
        ge=1, le=MAX_BUDGET_TOKENS, description="What all answers under it may carry together."
    )
    minutes: Whole = Field(ge=1, le=MAX_MINUTES, description="At most `task_grant_max_minutes`.")
    purpose: str = Field("", pattern=r"^([a-z][a-z0-9_-]{0,31})?$")
    reason: Reason

    def request(self) -> TaskGrantRequest:
        """The domain's."""
        return TaskGrantRequest(
            agent=self.agent,
            application=self.application,
            corpora=frozenset(self.corpora),
            ceiling=Classification.parse(self.ceiling),
            actions=frozenset(self.actions),
            budget_tokens=self.budget_tokens,
            minutes=self.minutes,
            purpose=self.purpose,
            reason=self.reason,
        )


class TaskGrantModel(BaseModel):
    """A task grant, without its secret."""

    grant_id: str
    state: Literal["active", "expired", "revoked", "spent"]
    minted_by: str
    agent: str
    application: str
    corpora: list[str]
    ceiling: Level
    actions: list[str]
    purpose: str
    reason: str
    budget_tokens: int
    spent_tokens: int
    stepped_up: bool
    not_before: int
    not_after: int
    revoked_at: int | None
    revoked_by: str | None

    @classmethod
    def of(cls, record: TaskGrantRecord, now: int) -> TaskGrantModel:
        """From the domain's."""
        return cls(**_fields(record, now))


class MintedModel(TaskGrantModel):
    """The same with its secret, shown this once: what the agent sends as `Ragward-Task-Grant`."""

    secret: str


def _fields(record: TaskGrantRecord, now: int) -> dict[str, Any]:
    grant = record.grant
    return {
        "grant_id": grant.grant_id,
        "state": record.state(now),
        "minted_by": grant.minted_by,
        "agent": grant.agent,
        "application": grant.application,
        "corpora": sorted(grant.corpora),
        "ceiling": level_of(grant.ceiling),
        "actions": sorted(grant.actions),
        "purpose": grant.purpose,
        "reason": record.reason,
        "budget_tokens": grant.budget_tokens,
        "spent_tokens": record.spent_tokens,
        "stepped_up": grant.stepped_up,
        "not_before": grant.not_before,
        "not_after": grant.not_after,
        "revoked_at": record.revoked_at,
        "revoked_by": record.revoked_by,
    }


@router.post("", status_code=201, operation_id="mint_task_grant", responses=responses(403))
def mint_task_grant(body: TaskGrantBody, parts: Parts, subject: Asker) -> MintedModel:
    """Lends an agent less than you have, for one task, until soon; in person only."""
    record, secret = parts.ragward.task_grants.mint(subject, body.request())
    return MintedModel(**_fields(record, parts.ragward.clock.now()), secret=secret)


@router.get("", operation_id="list_task_grants", responses=responses())
def list_task_grants(
    parts: Parts, subject: Asker, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[TaskGrantModel]:
    """The newest you minted; for whoever may read policy, the newest of all."""
    found = parts.ragward.task_grants.grants(subject, limit=limit)
    return [TaskGrantModel.of(record, parts.ragward.clock.now()) for record in found]


@router.get("/{grant_id}", operation_id="get_task_grant", responses=responses(404))
def get_task_grant(grant_id: Id, parts: Parts, subject: Asker) -> TaskGrantModel:
    """One of those."""
    record = parts.ragward.task_grants.show(subject, grant_id)
    return TaskGrantModel.of(record, parts.ragward.clock.now())


@router.delete("/{grant_id}", operation_id="revoke_task_grant", responses=responses(404))
def revoke_task_grant(
    grant_id: Id, parts: Parts, subject: Asker, response: Response
) -> TaskGrantModel:
    """Worth nothing from the next answer on: your own, or with the right to write policy anybody's."""
    record = parts.ragward.task_grants.revoke(subject, grant_id)
    stamp(response, parts, subject)
    return TaskGrantModel.of(record, parts.ragward.clock.now())
