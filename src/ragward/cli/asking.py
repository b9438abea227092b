"""What the `access` commands do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import typer

from ragward.api.authzen_schemas import DecisionModel, next_page
from ragward.bootstrap import Ragward
from ragward.cli import render, render_explain
from ragward.cli.commands import Caller, document_id
from ragward.domain.access import Subject
from ragward.domain.errors import InvalidRequestError
from ragward.domain.evaluation import (
    PageRequest,
    Question,
    ResourceName,
    ResourceType,
    ResultPage,
    SubjectName,
)
from ragward.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as the command line takes it; what is searched for has no id."""

    subject: str
    action: str
    resource: str
    properties: str | None = None

    def subject_name(self) -> SubjectName:
        """Raises `request.invalid`."""
        kind, name = _split(self.subject)
        return SubjectName(type=kind, id=name)

    def resource_name(self, ragward: Ragward, caller: Subject) -> ResourceName:
        """A document may be named by its corpus and source. Raises `request.invalid`."""
        kind, name = _split(self.resource)
        if kind == ResourceType.DOCUMENT:
            name = document_id(ragward, caller, name)
        return ResourceName(type=kind, id=name, properties=self._properties())

    def _properties(self) -> dict[str, Any]:
        try:
            found = json.loads(self.properties or "{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise InvalidRequestError("--properties is a JSON object")
        return found


def evaluate(settings: Settings, asked: Asked, caller: Caller, *, as_json: bool) -> int:
    """`ragward access evaluate`; 0 for a permit, 3 for a denial."""
    with Ragward.open(settings) as ragward:
        subject = ragward.identify(caller.credentials(settings))
        question = Question(
            subject=asked.subject_name(),
            action=asked.action,
            resource=asked.resource_name(ragward, subject),
        )
        verdict = ragward.evaluation.evaluate(subject, question)
    body = DecisionModel.of(verdict).model_dump(exclude_none=True)
    render.result(body, "permitted" if verdict.decision else "denied", as_json=as_json)
    if not as_json:
        for obligation in verdict.obligations:
            typer.echo(f"  {obligation.id} {json.dumps(dict(obligation.values))}")
        if verdict.reason is not None:
            render_explain.terms(verdict.reason.terms)
    return 0 if verdict.decision else 3


def page(limit: int, token: str | None) -> PageRequest:
    """A page as the flow takes it; the limit goes with the token."""
    return PageRequest(untrusted_token=token or "", limit=None if token else limit)


def search(
    settings: Settings,
    kind: Literal["subject", "resource", "action"],
    asked: Asked,
    wanted: PageRequest,
    caller: Caller,
    *,
    as_json: bool,
) -> None:
    """`ragward access search ...`."""
    with Ragward.open(settings) as ragward:
        subject = ragward.identify(caller.credentials(settings))
        found = _found(ragward, subject, kind, asked, wanted)
    searched = _split(asked.subject if kind == "subject" else asked.resource)[0]
    results = [
        {"name": each} if kind == "action" else {"type": searched, "id": each} for each in found.ids
    ]
    body = {"page": next_page(found).model_dump(), "results": results}
    lines = list(found.ids) or ["none"]
    if found.next_token:
        lines.append(f"more: --page-token {found.next_token}")
    render.result(body, "\n".join(lines), as_json=as_json)


def _found(
    ragward: Ragward, caller: Subject, kind: str, asked: Asked, wanted: PageRequest
) -> ResultPage:
    flow = ragward.evaluation
    if kind == "subject":
        name = asked.subject_name().type
        resource = asked.resource_name(ragward, caller)
        return flow.search_subjects(caller, name, asked.action, resource, wanted)
    subject = asked.subject_name()
    if kind == "action":
        return flow.search_actions(caller, subject, asked.resource_name(ragward, caller), wanted)
    searched = _split(asked.resource)[0]
    return flow.search_resources(caller, subject, asked.action, searched, wanted)


def _split(text: str) -> tuple[str, str]:
    kind, colon, name = text.partition(":")
    if not kind or not colon:
        raise InvalidRequestError(f"{text!r} is not TYPE:ID")
    return kind, name
