"""A model's answer that is looked at before a person gets it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from ragward.domain.access import Permit, Subject
from ragward.domain.audit import AuditEntry, EventType
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.findings import Span
from ragward.domain.fingerprints import FingerprintMatch
from ragward.domain.labels import Classification
from ragward.domain.pseudonyms import FoundToken

MAX_ANSWER_CHARACTERS: Final = 32_000
MAX_CITATIONS: Final = 200
_CITED: Final = re.compile(
    r"(?:\[|\b(?:document|doc|chunk|source)[=:] ?)"
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b",
    re.IGNORECASE,
)


class Outcome(StrEnum):
    """What became of an answer."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputToInspect:
    """A model's answer, the receipt of the passages it was made from, and what it says it cites."""

    receipt_id: str
    answer: str = field(repr=False)
    citations: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `request.invalid`."""
        if len(self.answer) > MAX_ANSWER_CHARACTERS:
            raise InvalidRequestError(f"an answer has at most {MAX_ANSWER_CHARACTERS} characters")
        if len(self.citations) > MAX_CITATIONS:
            raise InvalidRequestError(f"an answer has at most {MAX_CITATIONS} citations")

    def cited(self) -> list[str]:
        """Everything it cites, as given and as written in it, each once."""
        written = (found.lower() for found in _CITED.findall(self.answer))
        return list(dict.fromkeys((*self.citations, *written)))[:MAX_CITATIONS]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedOutput:
    """What may be shown. Of a withheld answer nothing is said but that it is."""

    inspection_id: str
    outcome: Outcome
    text: str | None = field(repr=False)
    removed: Mapping[str, int]
    """Personal data taken out, by type."""
    revealed: Mapping[str, int]
    """Pseudonyms turned back, by type."""
    flags: tuple[str, ...]
    """Rules of screening that hit."""
    unknown_citations: tuple[str, ...]
    classification: Classification
    """The join of what was used, as it is classified now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptedPassage:
    """A passage as its receipt names it."""

    document_id: str
    chunk_id: str
    classification: Classification


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptedAnswer:
    """What a receipt says of its answer: the passages, and the purpose they were given for."""

    passages: Sequence[ReceiptedPassage]
    purpose: str


def named(subject: Subject) -> dict[str, object]:
    """A subject as the log names it: person, application, agents, and the task grant they came under."""
    actor: dict[str, object] = {
        "principal": subject.principal,
        "application": subject.application.principal,
        "agents": list(subject.agents),
    }
    return actor if subject.task is None else actor | {"task": subject.task.grant_id}


def receipted_answer(entry: AuditEntry | None, subject: Subject) -> ReceiptedAnswer:
    """The answer of a receipt that this very subject got: same person, application, agents and task. Raises `access.not_found`."""
    event = {} if entry is None else json.loads(entry.data)
    of_answers = (EventType.RETRIEVAL_ANSWERED.value, EventType.RETRIEVAL_DENIED.value)
    is_theirs = event.get("tenant") == subject.tenant and event.get("actor") == named(subject)
    if event.get("type") not in of_answers or not is_theirs:
        raise NotFoundError
    passages = [
        ReceiptedPassage(
            document_id=item["document"],
            chunk_id=item["chunk"],
            classification=Classification.parse(item["classification"]),
        )
        for item in event["details"].get("passages", ())
    ]
    return ReceiptedAnswer(passages=passages, purpose=event["details"].get("purpose", ""))


def beside_tokens(spans: Sequence[Span], tokens: Sequence[FoundToken]) -> list[Span]:
    """The spans without what lies within pseudonym tokens: of one that reaches into a token, the parts beside it."""
    out: list[Span] = []
    for span in spans:
        start = span.start
        for token in tokens:
            if token.start >= span.end or token.end <= start:
                continue
            if token.start > start:
                out.append(replace(span, start=start, end=token.start))
            start = token.end
        if start < span.end:
            out.append(replace(span, start=start))
    return out


def unknown_citations(
    cited: Sequence[str], passages: Collection[ReceiptedPassage]
) -> tuple[str, ...]:
    """What is cited and was not among the passages."""
    known = {passage.chunk_id for passage in passages} | {p.document_id for p in passages}
    return tuple(name for name in cited if name not in known)


def leaks(matches: Sequence[FingerprintMatch], permit: Permit | None) -> list[FingerprintMatch]:
    """Chunks the subject may not see and of which the text holds something that none they may see has too."""

    def is_theirs(match: FingerprintMatch) -> bool:
        return permit is not None and match.is_active and permit.admits(match.label_id)

    known: set[int] = set()
    known.update(*(match.shared for match in matches if is_theirs(match)))
    return [match for match in matches if not is_theirs(match) and not match.shared <= known]
