"""What an agent did with an answer, for the record."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.api.schemas import Strict, Whole
from ragward.domain.agent_events import (
    DIGEST_PATTERN,
    MAX_COUNT,
    MAX_EVENTS,
    NAME_PATTERN,
    AgentEvent,
    AgentEventKind,
)

router = APIRouter(prefix="/v1/events", tags=["task grants"])


class AgentEventModel(Strict):
    """One step: no content, only its digest and size."""

    kind: Literal["tool_called", "tool_returned", "output_given"]
    name: str = Field(pattern=NAME_PATTERN, description="The tool's, or the model's.")
    sha256: str = Field(pattern=DIGEST_PATTERN, description="Of what was sent or came back.")
    size: Whole = Field(ge=0, le=MAX_COUNT, description="Its bytes.")
    failed: bool = False

    def event(self) -> AgentEvent:
        """The domain's."""
        return AgentEvent(
            kind=AgentEventKind(self.kind),
            name=self.name,
            sha256=self.sha256,
            size=self.size,
            failed=self.failed,
        )


class AgentEventsBody(Strict):
    """Steps in order, and the receipt of the answer that they followed."""

    receipt_id: str = Field(min_length=1, max_length=100)
    events: list[AgentEventModel] = Field(min_length=1, max_length=MAX_EVENTS)


class AgentEventsModel(BaseModel):
    """Where they are on record."""

    event_id: str = Field(description="The id of the event in the audit log.")
    recorded: int


@router.post("", status_code=201, operation_id="record_agent_events", responses=responses(404))
def record_agent_events(body: AgentEventsBody, parts: Parts, subject: Asker) -> AgentEventsModel:
    """Puts tool calls and outputs on record under the receipt they followed; another's receipt and none are the same 404."""
    events = [each.event() for each in body.events]
    recorded = parts.ragward.agent_events.record(subject, body.receipt_id, events)
    return AgentEventsModel(event_id=recorded.event_id, recorded=len(events))
