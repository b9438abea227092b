"""What an application says its agent did with an answer: tools called and what came back, by name and digest only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ragward.domain.errors import InvalidRequestError

MAX_EVENTS: Final = 50
MAX_COUNT: Final = 2**40
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$"
DIGEST_PATTERN: Final = r"^[0-9a-f]{64}$"


class AgentEventKind(StrEnum):
    """What happened after an answer."""

    TOOL_CALLED = "tool_called"
    TOOL_RETURNED = "tool_returned"
    OUTPUT_GIVEN = "output_given"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent:
    """One step. `name` is the tool's; `sha256` is over what was sent or came back, which stays where it is; `size` is its
    number of bytes."""

    kind: AgentEventKind
    name: str
    sha256: str
    size: int
    failed: bool = False

    def check(self) -> None:
        """Raises `request.invalid`."""
        if not re.fullmatch(NAME_PATTERN, self.name) or not re.fullmatch(
            DIGEST_PATTERN, self.sha256
        ):
            raise InvalidRequestError("an event has a tool's name and a SHA-256 in hex")
        if not 0 <= self.size <= MAX_COUNT:
            raise InvalidRequestError("a size is a number of bytes")

    def body(self) -> dict[str, object]:
        """As the log keeps it."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "sha256": self.sha256,
            "size": self.size,
            "failed": self.failed,
        }


def check_events(events: Sequence[AgentEvent]) -> None:
    """Raises `request.invalid`."""
    if not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidRequestError(f"1 to {MAX_EVENTS} events are recorded at once")
    for event in events:
        event.check()
