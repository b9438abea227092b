"""The OpenID AuthZEN Authorization API 1.0: other enforcement points ask this decision point."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from ragward.api.authzen_schemas import (
    ActionName,
    ActionSearchRequest,
    ActionsResponse,
    DecisionModel,
    DecisionsModel,
    EntitiesResponse,
    EvaluationRequest,
    EvaluationsRequest,
    MetadataModel,
    ResourceSearchRequest,
    SubjectSearchRequest,
    next_page,
)
from ragward.api.context import Asker, Parts
from ragward.api.problems import BadRequestRoute, responses
from ragward.domain.errors import NotFoundError

PREFIX: Final = "/access/v1"
router = APIRouter(tags=["authorization"], route_class=BadRequestRoute)


@router.post(
    f"{PREFIX}/evaluation",
    operation_id="evaluate_access",
    responses=responses(400, 403),
    response_model_exclude_none=True,
)
def evaluate(body: EvaluationRequest, parts: Parts, subject: Asker) -> DecisionModel:
    """May this subject do this action on this resource? A denial is a 200."""
    return DecisionModel.of(parts.ragward.evaluation.evaluate(subject, body.question()))


@router.post(
    f"{PREFIX}/evaluations",
    operation_id="evaluate_accesses",
    responses=responses(400, 403),
    response_model_exclude_none=True,
)
def evaluations(
    body: EvaluationsRequest, parts: Parts, subject: Asker
) -> DecisionsModel | DecisionModel:
    """Many questions at once, by one of three semantics; without `evaluations`, one question."""
    evaluation = parts.ragward.evaluation
    if body.evaluations:
        verdicts = evaluation.evaluate_all(subject, body.questions(), body.semantic())
        return DecisionsModel(evaluations=[DecisionModel.of(verdict) for verdict in verdicts])
    try:
        single = EvaluationRequest.model_validate(body, from_attributes=True)
    except ValidationError as error:
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        ) from error
    return DecisionModel.of(evaluation.evaluate(subject, single.question()))


@router.post(
    f"{PREFIX}/search/subject", operation_id="search_subjects", responses=responses(400, 403)
)
def search_subjects(body: SubjectSearchRequest, parts: Parts, subject: Asker) -> EntitiesResponse:
    """Who may do this? For callers with `access:evaluate`."""
    found = parts.ragward.evaluation.search_subjects(
        subject, body.subject.type, body.action.name, body.resource.name(), body.wanted()
    )
    return EntitiesResponse.of(body.subject.type, found)


@router.post(
    f"{PREFIX}/search/resource", operation_id="search_resources", responses=responses(400, 403)
)
def search_resources(body: ResourceSearchRequest, parts: Parts, subject: Asker) -> EntitiesResponse:
    """On which documents or corpora may they do this? Of those the caller may know."""
    found = parts.ragward.evaluation.search_resources(
        subject, body.subject.name(), body.action.name, body.resource.type, body.wanted()
    )
    return EntitiesResponse.of(body.resource.type, found)


@router.post(
    f"{PREFIX}/search/action", operation_id="search_actions", responses=responses(400, 403)
)
def search_actions(body: ActionSearchRequest, parts: Parts, subject: Asker) -> ActionsResponse:
    """What may they do with it?"""
    found = parts.ragward.evaluation.search_actions(
        subject, body.subject.name(), body.resource.name(), body.wanted()
    )
    names = [ActionName(name=name) for name in found.ids]
    return ActionsResponse(page=next_page(found), results=names)


@router.get(
    "/.well-known/authzen-configuration",
    operation_id="get_authzen_configuration",
    responses={404: responses(404)[404]},
)
def configuration(parts: Parts) -> MetadataModel:
    """Where the decision point is, if `public_url` is set. Open to everybody: it names addresses only."""
    base = parts.ragward.settings.public_url
    if not base:
        raise NotFoundError("public_url is not set")
    return MetadataModel(
        policy_decision_point=base,
        access_evaluation_endpoint=f"{base}{PREFIX}/evaluation",
        access_evaluations_endpoint=f"{base}{PREFIX}/evaluations",
        search_subject_endpoint=f"{base}{PREFIX}/search/subject",
        search_resource_endpoint=f"{base}{PREFIX}/search/resource",
        search_action_endpoint=f"{base}{PREFIX}/search/action",
    )
